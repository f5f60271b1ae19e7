//! Chromium with a virtual authenticator, driven by `passkey.mjs`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::{chromium, playwright};

const LIMIT: Duration = Duration::from_secs(90);

/// A browser that ends with its owner.
pub struct Browser {
    child: Child,
    /// Closed to end it.
    requests: Option<ChildStdin>,
    answers: Receiver<String>,
    /// Holds its profile.
    _dir: tempfile::TempDir,
}

impl Browser {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/passkey.mjs");
        let mut child = Command::new("node")
            .args([&script, &playwright(), &chromium()])
            .env("TMPDIR", dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let requests = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            requests,
            answers,
            _dir: dir,
        }
    }

    /// Opens a page; what it shows.
    #[track_caller]
    pub fn open(&mut self, url: &str) -> Value {
        let shown = self.ask(&json!({ "open": url }));
        assert_eq!(shown["status"], 200, "{shown}");
        assert_eq!(shown["complaints"], json!([]), "of the browser");
        let host = url.split('/').nth(2).unwrap();
        assert_eq!(shown["hosts"], json!([host]), "nothing from elsewhere");
        shown
    }

    /// Presses the page's button; what kind of result it shows, and its text.
    #[track_caller]
    pub fn press(&mut self) -> (String, String) {
        let result = self.ask(&json!({ "press": true }));
        let text = |name: &str| result[name].as_str().unwrap().to_owned();
        (text("kind"), text("text"))
    }

    /// Whether the authenticator recognises its user.
    #[track_caller]
    pub fn set_user_verified(&mut self, verified: bool) {
        self.ask(&json!({ "verified": verified }));
    }

    /// Leaves pages opened from now on only these COSE algorithms to register with.
    #[track_caller]
    pub fn offer_only(&mut self, algorithms: &[i32]) {
        self.ask(&json!({ "algorithms": algorithms }));
    }

    /// What the authenticator holds.
    #[track_caller]
    pub fn credentials(&mut self) -> Value {
        self.ask(&json!({ "credentials": true }))
    }

    #[track_caller]
    fn ask(&mut self, request: &Value) -> Value {
        let requests = self.requests.as_mut().unwrap();
        writeln!(requests, "{request}").unwrap();
        let line = self.answers.recv_timeout(LIMIT);
        let line = line.unwrap_or_else(|e| panic!("the browser does not answer {request}: {e}"));
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert!(answer.get("failed").is_none(), "{request}: {answer}");
        answer
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It closes its browser and ends; the answers' channel closes with it.
        drop(self.requests.take());
        while self.answers.recv_timeout(LIMIT).is_ok() {}
        // If it did not: Chromium ends with the pipe to its driver.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
