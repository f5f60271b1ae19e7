//! `quorate up`: a cluster that stays.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::Value;

use crate::support::process::Running;
use crate::support::{Ran, nats_server, payloads, quorate, wait_for};

const LIMIT: Duration = Duration::from_secs(120);

struct Up {
    running: Running,
    dir: PathBuf,
}

impl Up {
    fn start(dir: &Path, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = quorate();
        command.args(["up", "--dir"]).arg(dir);
        change(&mut command);
        let mut running = Running::start(&mut command);
        running.process().has_children = true;
        wait_for("the cluster is ready", LIMIT, || {
            assert!(
                running.process().has_ended().is_none(),
                "{}",
                running.process().log()
            );
            running.stdout().contains("ready at https://").then_some(())
        });
        Self {
            running,
            dir: dir.to_owned(),
        }
    }

    fn json(&self, args: &[&str]) -> Value {
        self.run(args).json()
    }

    fn run(&self, args: &[&str]) -> Ran {
        let mut command = quorate();
        command
            .args(args)
            .arg("--json")
            .env("QUORATE_CLIENT", self.dir.join("operator/client.toml"));
        Ran::of(&mut command, LIMIT)
    }

    /// Ctrl-C.
    fn interrupt(mut self) -> Ran {
        self.running.process().signal(Signal::INT);
        self.running.end(Duration::from_secs(60)).ok()
    }

    fn pids(&self) -> Vec<Pid> {
        let files = std::fs::read_dir(self.dir.join("run"))
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        let pids = files.filter(|path| path.extension().is_some_and(|e| e == "pid"));
        pids.map(|path| {
            Pid::from_raw(std::fs::read_to_string(path).unwrap().parse().unwrap()).unwrap()
        })
        .collect()
    }
}

/// A file with a transfer that the plain policy of a new cluster lets an operator have.
fn transfer(dir: &Path, key: &Value) -> String {
    let key = hex::decode(key["record"]["public_key"]["hex"].as_str().unwrap()).unwrap();
    let file = dir.join("transfer.bin");
    std::fs::write(&file, payloads::solana_transfer(&key, &[7; 32], 5)).unwrap();
    file.to_str().unwrap().to_owned()
}

fn sign<'a>(file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [
        &["sign", "--key", "sol", "--chain", "solana", "--in", file],
        more,
    ]
    .concat()
}

#[test]
fn up_runs_separate_processes_that_end_with_it_and_keeps_the_keys() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("cluster");
    let nats_dir = nats_server().parent().unwrap().canonicalize().unwrap();
    let path = std::env::join_paths([nats_dir]).unwrap();
    let first = Up::start(&dir, |command| {
        command.env("PATH", &path);
    });
    assert!(
        first
            .running
            .stdout()
            .contains("starting 3 agents as separate processes")
    );
    let pids = first.pids();
    assert_eq!(pids.len(), 5, "NATS, three agents, the orchestrator");
    for pid in &pids {
        test_kill_process(*pid).unwrap();
    }
    let created = first.json(&["key", "create", "--curve", "ed25519", "--name", "sol"]);
    let ran = first.interrupt();
    assert!(
        ran.stdout.trim_end().ends_with("stopping"),
        "{}",
        ran.stdout
    );
    for pid in pids {
        assert!(test_kill_process(pid).is_err(), "{pid:?} still runs");
    }
    assert!(
        !dir.join("operator/endpoint").exists(),
        "nothing listens there any more"
    );

    let second = Up::start(&dir, |command| {
        command.env("PATH", &path);
    });
    assert_eq!(
        second.json(&["key", "show", "sol"])["key"]["record"],
        created["record"]
    );
    let file = transfer(temporary.path(), &created);
    let signed = second.json(&sign(&file, &["--yes"]));
    assert_eq!(signed["attempts"], 1);
    second.interrupt();
}

#[test]
fn up_says_which_custodian_died_and_the_others_go_on() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("cluster");
    let up = Up::start(&dir, |command| {
        command.env("QUORATE_NATS_SERVER", nats_server());
    });
    let pids = up.pids();
    let created = up.json(&["key", "create", "--curve", "ed25519", "--name", "sol"]);
    let file = transfer(temporary.path(), &created);
    let agent: i32 = std::fs::read_to_string(dir.join("run/party-2.pid"))
        .unwrap()
        .parse()
        .unwrap();
    rustix::process::kill_process(Pid::from_raw(agent).unwrap(), Signal::KILL).unwrap();
    wait_for("it says so", Duration::from_secs(30), || {
        up.running
            .stdout()
            .contains("party-2 ended by itself; see ")
            .then_some(())
    });
    let signed = up.json(&sign(&file, &["--yes"]));
    assert_eq!(
        signed["custodians"],
        serde_json::json!(["party-1", "party-3"])
    );
    up.interrupt();
    for pid in pids {
        assert!(test_kill_process(pid).is_err(), "{pid:?} still runs");
    }
}

#[test]
fn up_without_a_nats_server_says_that_all_parties_are_in_one_process() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("cluster");
    let up = Up::start(&dir, |command| {
        command.env("PATH", temporary.path());
    });
    assert!(
        up.running.stdout().contains("ALL PARTIES IN ONE PROCESS"),
        "{}",
        up.running.stdout()
    );
    let status = up.json(&["status"]);
    assert_eq!(status["parties"].as_array().map(Vec::len), Some(3));
    let created = up.json(&["key", "create", "--curve", "ed25519", "--name", "sol"]);
    let file = transfer(temporary.path(), &created);
    let unasked = up.run(&sign(&file, &[])).problem();
    assert!(
        unasked["detail"].as_str().unwrap().contains("--yes"),
        "{unasked}"
    );
    up.json(&sign(&file, &["--yes"]));
    up.interrupt();
}
