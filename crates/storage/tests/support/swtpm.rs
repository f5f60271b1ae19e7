//! swtpm: TPMs in software.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Running;

/// A TPM whose seeds are in a directory.
pub struct Swtpm {
    _process: Running,
    pub tcti: String,
}

impl Swtpm {
    /// A chip never seen before.
    pub fn new() -> (tempfile::TempDir, Self) {
        let state = tempfile::tempdir().unwrap();
        let tpm = Self::start(state.path());
        (state, tpm)
    }

    /// Switches the chip in a directory on: its PCRs are reset, its seeds are as they were.
    pub fn start(state: &Path) -> Self {
        for _ in 0..20 {
            if let Some(started) = Self::try_start(state) {
                return started;
            }
        }
        panic!("swtpm does not start; run `make tools`");
    }

    /// `None` when someone else took the ports in between.
    fn try_start(state: &Path) -> Option<Self> {
        let port = two_free_ports();
        let tcp = |port: u16| format!("type=tcp,port={port},bindaddr=127.0.0.1");
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .arg("--tpmstate")
            .arg(format!("dir={}", state.display()))
            .args(["--server", &tcp(port), "--ctrl", &tcp(port + 1)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("swtpm is not installed; run `make tools`");
        let mut process = Running(child);
        let deadline = Instant::now() + Duration::from_secs(20);
        // It says nothing when it is ready, so ask: the control port takes any number of callers.
        while TcpStream::connect(("127.0.0.1", port + 1)).is_err() {
            if process.0.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(Instant::now() < deadline, "swtpm does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(Self {
            _process: process,
            tcti: format!("swtpm:host=127.0.0.1,port={port}"),
        })
    }
}

/// The command port's number; the control port is the next, as the TCTI expects.
fn two_free_ports() -> u16 {
    loop {
        let first = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}
