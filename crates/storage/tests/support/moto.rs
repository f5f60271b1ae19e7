//! moto: AWS in a local process.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::Running;

/// A moto server.
pub struct Moto {
    _process: Running,
    pub endpoint: String,
}

impl Moto {
    pub fn start() -> Self {
        let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/moto_server");
        let mut child = Command::new(server)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("moto is not installed; run `make tools`");
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let process = Running(child);
        let endpoint = said
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, address) = line.split_once("Running on ")?;
                Some(address.trim().to_owned())
            })
            .expect("moto ended without listening");
        // Whatever else it says must be read, or it stops.
        std::thread::spawn(move || said.for_each(drop));
        Self {
            _process: process,
            endpoint,
        }
    }
}
