//! Real processes on a real disk: killed by SIGKILL at every system call that changes something, told that the disk is full at every
//! one, and racing each other. `strace` injects the signals and errors, so nothing in the program knows of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support: a failed assumption should stop the test where it happens"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::process::{Command, Output, Stdio};

use libtest_mimic::{Arguments, Trial};
use quorate_storage::{
    Batch, Begun, EncryptedFileStore, ItemKind, ItemName, Ledger, LedgerError, OneTimeId,
    OneTimeKind, Passphrase, Start, StoreError, create_private_dir,
};
use quorate_types::{Hash32, IntentHash, PartyId, SessionId};
use zeroize::Zeroizing;

/// The system calls that change what is on the disk.
const CHANGES: &str =
    "write,pwrite64,ftruncate,fallocate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat";
/// What the child is to do.
const ROLE: &str = "QUORATE_TEST_KILL_ROLE";
/// Where it works.
const DIRECTORY: &str = "QUORATE_TEST_KILL_DIRECTORY";

/// Not the usual test harness, whose own output would be tampered with as well.
fn main() -> ExitCode {
    match std::env::var(ROLE).as_deref() {
        Err(_) => {}
        Ok("begins") => return child_begins(),
        Ok("stores") => return child_stores(),
        Ok("races") => return child_races(),
        Ok(other) => panic!("no role {other}"),
    }
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let tests = vec![
        trial(
            "i04_t04_killed_at_every_system_call_of_a_commit_it_is_whole_or_not_at_all",
            i04_t04_killed_at_every_system_call_of_a_commit_it_is_whole_or_not_at_all,
        ),
        trial(
            "t22_a_full_disk_at_every_system_call_of_a_commit_is_an_error_and_then_it_goes_on",
            t22_a_full_disk_at_every_system_call_of_a_commit_is_an_error_and_then_it_goes_on,
        ),
        trial(
            "t24_killed_at_every_system_call_of_the_store_everything_is_old_or_new",
            t24_killed_at_every_system_call_of_the_store_everything_is_old_or_new,
        ),
        trial(
            "t22_a_full_disk_at_every_system_call_of_the_store_leaves_the_old",
            t22_a_full_disk_at_every_system_call_of_the_store_leaves_the_old,
        ),
        trial(
            "t22_a_disk_turned_read_only_at_every_system_call_of_the_store_leaves_the_old",
            t22_a_disk_turned_read_only_at_every_system_call_of_the_store_leaves_the_old,
        ),
        trial(
            "t04_of_racing_processes_exactly_one_gets_the_presignature",
            t04_of_racing_processes_exactly_one_gets_the_presignature,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

fn hash(number: u8) -> Hash32 {
    Hash32::from_bytes([number; 32])
}

fn presignature() -> OneTimeId {
    OneTimeId {
        kind: OneTimeKind::Presignature,
        pool: hash(200),
        id: hash(1),
    }
}

fn batch(number: u8) -> Batch {
    let start = Start {
        intent: IntentHash::from_bytes([number; 32]),
        attempt: 0,
        sessions: vec![SessionId::from_bytes([number; 32])],
    };
    Batch {
        take: vec![presignature()],
        leaves: vec![vec![number; 2000]],
        ..Batch::new(start, 1_000_000)
    }
}

fn open_ledger(directory: &Path) -> Result<Ledger, LedgerError> {
    Ledger::open(&directory.join("ledger.redb"))
}

fn phrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned()))
}

fn open_store(directory: &Path, text: &str) -> Result<EncryptedFileStore, StoreError> {
    let party = PartyId::new("party-1").unwrap();
    EncryptedFileStore::open(&directory.join("store"), &party, &phrase(text))
}

fn item(number: u8) -> ItemName {
    ItemName {
        kind: ItemKind::Share,
        id: hash(number),
        epoch: 0,
    }
}

/// What was there before the child ran.
fn prepare(directory: &Path) {
    create_private_dir(directory).unwrap();
    std::fs::create_dir(directory.join("did")).unwrap();
    let party = PartyId::new("party-1").unwrap();
    let store = EncryptedFileStore::create(&directory.join("store"), &party, &phrase("old"));
    let store = store.unwrap();
    let sealer = store.sealer();
    let sealed = sealer.seal_one_time(presignature(), &[9; 3000]).unwrap();
    let ledger = open_ledger(directory).unwrap();
    assert_eq!(ledger.put_one_time(vec![sealed]).unwrap(), 1);
    store.put(item(1), b"old").unwrap();
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(done.unwrap().success());
}

/// This test binary again, in another role and in a directory, under `strace` with these options.
fn child(role: &str, directory: &Path, strace: &[&str]) -> Command {
    let own = std::env::current_exe().unwrap();
    let mut command = if strace.is_empty() {
        Command::new(own)
    } else {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq"]).args(strace).arg(own);
        command
    };
    command.env(ROLE, role).env(DIRECTORY, directory);
    command.stdin(Stdio::null());
    command
}

fn run(mut command: Command) -> Output {
    command
        .output()
        .expect("strace is not installed; run `make tools`")
}

/// What the child says it did, in order.
fn reported(directory: &Path) -> Vec<String> {
    let mut said: Vec<String> = std::fs::read_dir(directory.join("did"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    said.sort();
    said.iter()
        .filter_map(|name| name.split_once(' '))
        .map(|(_, what)| what.to_owned())
        .collect()
}

/// Says what was done by making a directory: `mkdir` is not among the system calls that are tampered with.
fn say(what: &str) {
    let did = directory().join("did");
    for number in 0.. {
        let what: String = what
            .chars()
            .map(|c| if c == '/' { '|' } else { c })
            .collect();
        let what = what.get(what.len().saturating_sub(200)..).unwrap();
        let before = std::fs::read_dir(&did).unwrap().count();
        let name = format!("{:02}-{} {what}", before + number, std::process::id());
        if std::fs::create_dir(did.join(name)).is_ok() {
            return;
        }
    }
}

fn directory() -> std::path::PathBuf {
    std::env::var_os(DIRECTORY)
        .expect("only run by the other tests here")
        .into()
}

fn child_begins() -> ExitCode {
    let ledger = match open_ledger(&directory()) {
        Ok(ledger) => ledger,
        Err(error) => {
            say(&format!("not open: {error}"));
            return ExitCode::SUCCESS;
        }
    };
    // A disk is full at most once here, so the second must do.
    for number in [1, 2] {
        match ledger.begin(batch(number)) {
            Ok(Begun::Fresh { .. }) => say("begin"),
            Ok(other) => say(&format!("other {other:?}")),
            Err(error) => say(&format!("refused {error}")),
        }
    }
    ExitCode::SUCCESS
}

fn child_stores() -> ExitCode {
    let store = open_store(&directory(), "old").unwrap();
    let step = |what: &str, result: Result<(), StoreError>| match result {
        Ok(()) => say(what),
        Err(error) => say(&format!("not {what}: {error}")),
    };
    step("put", store.put(item(2), b"new"));
    step("replace", store.put(item(1), b"new"));
    step("rotate", store.rotate_protector("first", &phrase("new")));
    ExitCode::SUCCESS
}

/// The child's system calls that change something, each with its number among those of its name and thread, which is how `strace`
/// counts.
fn system_calls(role: &str, directory: &Path) -> BTreeSet<(String, u32)> {
    let log = directory.join("calls");
    let trace = format!("trace={CHANGES}");
    let command = child(
        role,
        directory,
        &["-o", log.to_str().unwrap(), "-e", &trace],
    );
    let output = run(command);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let calls = std::fs::read_to_string(&log).unwrap();
    let mut counts = BTreeMap::<_, u32>::new();
    calls
        .lines()
        .filter_map(|line| {
            let (thread, call) = line.split_once(' ')?;
            let (name, _) = call.trim_start().split_once('(')?;
            let count = counts.entry((thread, name)).or_default();
            *count += 1;
            Some((name.to_owned(), *count))
        })
        .collect()
}

fn check_ledger(directory: &Path, did: &[String], context: &str) {
    let ledger = open_ledger(directory).unwrap_or_else(|e| panic!("{context}: {e}"));
    let pool = ledger
        .one_time(OneTimeKind::Presignature, hash(200), 9)
        .unwrap();
    let begun: Vec<u8> = [1, 2]
        .into_iter()
        .filter(|n| ledger.has_session(SessionId::from_bytes([*n; 32])).unwrap())
        .collect();
    let log = ledger.log_size().unwrap();
    let consumed = pool.is_empty();
    assert_eq!(begun.len(), usize::from(consumed), "{context}: {did:?}");
    assert_eq!(log, u64::from(consumed), "{context}: {did:?}");
    let signed = did.iter().filter(|d| *d == "begin").count();
    assert!(signed <= 1, "{context}: one presignature, two signings");
    assert!(signed == 0 || consumed, "{context}: reported, so durable");
    let next = ledger.begin(batch(3)).unwrap();
    assert_eq!(
        matches!(next, Begun::Fresh { .. }),
        !consumed,
        "{context}: consumed stays consumed"
    );
}

fn check_store(directory: &Path, did: &[String], context: &str) {
    let old = open_store(directory, "old");
    let rotated = old.is_err();
    let store = match old {
        Ok(store) => store,
        Err(StoreError::WrongPassphrase { .. }) => open_store(directory, "new").unwrap(),
        Err(other) => panic!("{context}: {other}"),
    };
    let first = store.get(item(1)).unwrap().to_vec();
    let second = match store.get(item(2)) {
        Ok(found) => Some(found.to_vec()),
        Err(StoreError::Missing(_)) => None,
        Err(other) => panic!("{context}: {other}"),
    };
    assert!(first == b"old" || first == b"new", "{context}");
    assert!(
        second.is_none() || second.as_deref() == Some(b"new"),
        "{context}"
    );
    let said = |what: &str| did.iter().any(|d| d == what);
    assert!(!said("put") || second.is_some(), "{context}: {did:?}");
    assert!(!said("replace") || first == b"new", "{context}: {did:?}");
    assert!(!said("rotate") || rotated, "{context}: {did:?}");
}

/// Runs the child with a fault at every system call, each time on a copy of the same directory.
fn at_every_system_call(
    role: &str,
    fault: &str,
    check: impl Fn(&Path, &[String], &str),
    mut each: impl FnMut(&[String]),
) {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("base");
    prepare(&base);
    let counted = dir.path().join("counted");
    copy(&base, &counted);
    let calls = system_calls(role, &counted);
    assert!(calls.len() >= 4, "{calls:?}");
    for (call, when) in calls {
        let work = dir.path().join(format!("work-{call}-{when}"));
        copy(&base, &work);
        let trace = format!("trace={CHANGES}");
        let inject = format!("inject={call}:{fault}:when={when}");
        let options = ["-o", "/dev/null", "-e", &trace, "-e", &inject];
        let output = run(child(role, &work, &options));
        let did = reported(&work);
        assert!(!did.is_empty() || !output.status.success());
        check(&work, &did, &format!("{fault} at {call} {when}"));
        each(&did);
    }
}

fn i04_t04_killed_at_every_system_call_of_a_commit_it_is_whole_or_not_at_all() {
    let (mut lost, mut kept) = (0, 0);
    at_every_system_call("begins", "signal=KILL", check_ledger, |did| {
        if did.iter().any(|d| d == "begin") {
            kept += 1;
        } else {
            lost += 1;
        }
    });
    assert!(lost > 0, "some kills came before the commit");
    assert!(kept > 0, "and some after");
}

fn t22_a_full_disk_at_every_system_call_of_a_commit_is_an_error_and_then_it_goes_on() {
    let mut refused_first = 0;
    at_every_system_call("begins", "error=ENOSPC", check_ledger, |did| {
        let refused: Vec<_> = did.iter().filter(|d| d.starts_with("refused")).collect();
        for said in &refused {
            assert!(said.contains("the disk is full"), "{said}");
        }
        assert!(refused.len() <= 1, "then there is room: {did:?}");
        if did.first() == refused.first().copied() && !refused.is_empty() {
            refused_first += 1;
            // The presignature is gone if only the very end of the commit failed; signing with it would be unsafe.
            let next = did.get(1).unwrap();
            assert!(
                next == "begin" || next.starts_with("other Unavailable"),
                "{did:?}"
            );
        }
    });
    assert!(refused_first > 0);
}

fn t24_killed_at_every_system_call_of_the_store_everything_is_old_or_new() {
    let mut unfinished = 0;
    at_every_system_call("stores", "signal=KILL", check_store, |did| {
        unfinished += usize::from(!did.iter().any(|d| d == "rotate"));
    });
    assert!(unfinished > 0);
}

fn t22_a_full_disk_at_every_system_call_of_the_store_leaves_the_old() {
    the_store_says_and_leaves_the_old("error=ENOSPC", "No space left on device", "free some space");
}

fn t22_a_disk_turned_read_only_at_every_system_call_of_the_store_leaves_the_old() {
    the_store_says_and_leaves_the_old("error=EROFS", "Read-only file system", "mount it writable");
}

fn the_store_says_and_leaves_the_old(fault: &str, says: &str, advises: &str) {
    let mut failed = 0;
    at_every_system_call("stores", fault, check_store, |did| {
        let not: Vec<_> = did.iter().filter(|d| d.starts_with("not ")).collect();
        for said in &not {
            assert!(said.contains(says) && said.contains(advises), "{said}");
        }
        failed += not.len();
    });
    assert!(failed > 0);
}

fn child_races() -> ExitCode {
    let number: u8 = std::env::var("QUORATE_TEST_RACER")
        .unwrap()
        .parse()
        .unwrap();
    // The other process holds the ledger for a moment; whoever comes second must find the presignature gone.
    let ledger = loop {
        match open_ledger(&directory()) {
            Ok(ledger) => break ledger,
            Err(LedgerError::InUse) => std::thread::yield_now(),
            Err(other) => panic!("{other}"),
        }
    };
    match ledger.begin(batch(number)).unwrap() {
        Begun::Fresh { taken } => say(&format!("won {}", taken.len())),
        other => say(&format!("lost {other:?}")),
    }
    ExitCode::SUCCESS
}

fn t04_of_racing_processes_exactly_one_gets_the_presignature() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("base");
    prepare(&base);
    for round in 0..5 {
        let work = dir.path().join(format!("work-{round}"));
        copy(&base, &work);
        let racers: Vec<_> = (1..=3u8)
            .map(|number| {
                let mut command = child("races", &work, &[]);
                command.env("QUORATE_TEST_RACER", number.to_string());
                command.stdout(Stdio::null()).spawn().unwrap()
            })
            .collect();
        for mut racer in racers {
            assert!(racer.wait().unwrap().success());
        }
        let did = reported(&work);
        assert_eq!(did.len(), 3, "{did:?}");
        let won = did.iter().filter(|d| d.starts_with("won")).count();
        let lost = did.iter().filter(|d| d.starts_with("lost Unavailable"));
        assert_eq!((won, lost.count()), (1, 2), "{did:?}");
    }
}
