//! What the ledger must do, on a real disk and on one that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::simulated::SimulatedStorage;
use super::*;
use crate::simulated_disk::Fault;

fn hash(number: u8) -> Hash32 {
    Hash32::from_bytes([number; 32])
}

fn start(intent: u8, attempt: u32, session: u8) -> Start {
    Start {
        intent: IntentHash::from_bytes([intent; 32]),
        attempt,
        sessions: vec![SessionId::from_bytes([session; 32])],
    }
}

fn plain(intent: u8, attempt: u32, session: u8) -> Batch {
    Batch::new(start(intent, attempt, session), 1_000_000)
}

fn presignature(id: u8) -> OneTimeId {
    OneTimeId {
        kind: OneTimeKind::Presignature,
        pool: hash(200),
        id: hash(id),
    }
}

fn fresh() -> Begun {
    Begun::Fresh { taken: Vec::new() }
}

fn on_disk() -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&dir.path().join("ledger.redb")).unwrap();
    (dir, ledger)
}

#[test]
fn i05_a_repeated_start_is_refused_and_a_finished_one_returns_its_result_across_restart() {
    let (dir, ledger) = on_disk();
    assert_eq!(ledger.begin(plain(1, 0, 1)).unwrap(), fresh());
    assert_eq!(ledger.begin(plain(1, 0, 2)).unwrap(), Begun::Repeated);
    assert_eq!(
        ledger.begin(plain(2, 0, 1)).unwrap(),
        Begun::Repeated,
        "session id reused"
    );
    assert_eq!(
        ledger.begin(plain(2, 0, 3)).unwrap(),
        fresh(),
        "a refused start leaves no trace"
    );
    let intent = start(1, 0, 1).intent;
    ledger.finish(intent, b"first", Vec::new()).unwrap();
    ledger.finish(intent, b"second", Vec::new()).unwrap();
    drop(ledger);
    let ledger = Ledger::open(&dir.path().join("ledger.redb")).unwrap();
    assert_eq!(
        ledger.begin(plain(1, 1, 9)).unwrap(),
        Begun::Finished(b"first".to_vec())
    );
    assert!(ledger.has_session(SessionId::from_bytes([1; 32])).unwrap());
    assert!(!ledger.has_session(SessionId::from_bytes([9; 32])).unwrap());
}

#[test]
fn i05_of_racing_starts_exactly_one_wins() {
    let (_dir, ledger) = on_disk();
    for round in 0..20u8 {
        let fresh: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..4u8)
                .map(|i| {
                    let ledger = &ledger;
                    scope.spawn(move || ledger.begin(plain(round, 0, round * 4 + i)).unwrap())
                })
                .collect();
            threads
                .into_iter()
                .map(|t| usize::from(t.join().unwrap() == fresh()))
                .sum()
        });
        assert_eq!(fresh, 1);
    }
}

/// For the ledger any bytes are sealed.
fn sealed(id: OneTimeId, bytes: &[u8]) -> SealedOneTime {
    SealedOneTime {
        id,
        sealed: bytes.to_vec(),
    }
}

#[test]
fn t04_of_racing_requests_for_a_presignature_exactly_one_gets_it() {
    let (_dir, ledger) = on_disk();
    for round in 0..20u8 {
        let id = presignature(round);
        ledger.put_one_time(vec![sealed(id, &[round])]).unwrap();
        let winners = AtomicUsize::new(0);
        thread::scope(|scope| {
            for racer in 0..4u8 {
                let (ledger, winners) = (&ledger, &winners);
                scope.spawn(move || {
                    let number = round * 4 + racer;
                    let mut batch = plain(number, 0, number);
                    batch.take = vec![id];
                    match ledger.begin(batch).unwrap() {
                        Begun::Fresh { taken } => {
                            assert_eq!(taken, [sealed(id, &[round])]);
                            winners.fetch_add(1, Ordering::Relaxed);
                        }
                        other => assert_eq!(other, Begun::Unavailable(id)),
                    }
                });
            }
        });
        assert_eq!(winners.into_inner(), 1);
    }
}

#[test]
fn i04_what_was_consumed_is_never_accepted_again() {
    let (dir, ledger) = on_disk();
    let id = presignature(1);
    assert_eq!(ledger.put_one_time(vec![sealed(id, b"x")]).unwrap(), 1);
    assert_eq!(
        ledger.put_one_time(vec![sealed(id, b"y")]).unwrap(),
        0,
        "not replaced"
    );
    let mut batch = plain(1, 0, 1);
    batch.take = vec![id, id];
    assert_eq!(
        ledger.begin(batch.clone()).unwrap(),
        Begun::Unavailable(id),
        "twice in one request"
    );
    batch.take = vec![id];
    let taken = vec![sealed(id, b"x")];
    assert_eq!(ledger.begin(batch).unwrap(), Begun::Fresh { taken });
    drop(ledger);
    let ledger = Ledger::open(&dir.path().join("ledger.redb")).unwrap();
    for pool in [id.pool, hash(7)] {
        let again = OneTimeId { pool, ..id };
        let put = ledger.put_one_time(vec![sealed(again, b"z")]);
        assert_eq!(put.unwrap(), 0, "an id is consumed in every pool");
    }
    let mut batch = plain(2, 0, 2);
    batch.take = vec![id];
    assert_eq!(ledger.begin(batch).unwrap(), Begun::Unavailable(id));
}

#[test]
fn pools_are_kept_apart_and_purged_together() {
    let (_dir, ledger) = on_disk();
    let other = OneTimeId {
        pool: hash(7),
        ..presignature(3)
    };
    let nonce = OneTimeId {
        kind: OneTimeKind::Nonce,
        ..presignature(4)
    };
    let all = [presignature(2), presignature(1), other, nonce];
    let put = all.iter().map(|id| sealed(*id, b"s")).collect();
    assert_eq!(ledger.put_one_time(put).unwrap(), 4);
    let of = |id: OneTimeId, max| ledger.one_time(id.kind, id.pool, max).unwrap();
    assert_eq!(of(presignature(0), 9), [presignature(1), presignature(2)]);
    assert_eq!(of(presignature(0), 1), [presignature(1)]);
    assert_eq!(of(other, 9), [other]);
    assert_eq!(of(nonce, 9), [nonce]);
    assert_eq!(ledger.purge_one_time().unwrap(), 4);
    assert_eq!(of(presignature(0), 9), []);
}

#[test]
fn spends_are_kept_until_their_windows_close() {
    let (_dir, ledger) = on_disk();
    let spend = |at, id| Spend {
        at,
        id: hash(id),
        record: vec![id],
    };
    let mut batch = plain(1, 0, 1);
    batch.spends = vec![spend(30, 3), spend(10, 1), spend(20, 2)];
    ledger.begin(batch).unwrap();
    assert_eq!(
        ledger.spends_since(20).unwrap(),
        [spend(20, 2), spend(30, 3)]
    );
    // A smaller record of the same spend does not take its place.
    let mut batch = plain(2, 0, 2);
    batch.spends = vec![Spend {
        record: Vec::new(),
        ..spend(30, 3)
    }];
    ledger.begin(batch).unwrap();
    assert_eq!(ledger.spends_since(30).unwrap(), [spend(30, 3)]);
    let closed = vec![spend(10, 1), spend(20, 2), spend(40, 4)];
    ledger.remove_spends(closed).unwrap();
    assert_eq!(ledger.spends_since(0).unwrap(), [spend(30, 3)]);
}

#[test]
fn the_log_counts_on_after_a_restore_from_where_peers_saw_it() {
    let (_dir, ledger) = on_disk();
    assert_eq!(ledger.log_size().unwrap(), 0);
    assert_eq!(
        ledger.append(vec![b"a".to_vec(), b"b".to_vec()]).unwrap(),
        2
    );
    ledger
        .put_one_time(vec![sealed(presignature(1), b"s")])
        .unwrap();
    let mark = RestoreMark {
        counter: 1,
        restored_at: 5,
        backup_made_at: 0,
        confirmed: true,
    };
    ledger
        .resume_after_restore(&mark, 10, b"gap".to_vec(), 500_000)
        .unwrap();
    assert_eq!(ledger.restore_mark().unwrap(), Some(mark));
    assert_eq!(
        ledger.leaves(1, 9).unwrap(),
        [(1, b"b".to_vec()), (10, b"gap".to_vec())]
    );
    assert_eq!(ledger.log_size().unwrap(), 11);
    assert_eq!(
        ledger
            .one_time(OneTimeKind::Presignature, hash(200), 9)
            .unwrap(),
        [],
        "purged with it"
    );
    ledger
        .resume_after_restore(&mark, 3, b"no gap".to_vec(), 7)
        .unwrap();
    assert_eq!(ledger.log_size().unwrap(), 12, "never backwards");
    // On a machine whose clock is slow, nothing is begun until it is past what peers had seen.
    let slow = Batch::new(start(1, 0, 1), 400_000);
    assert_eq!(ledger.begin(slow).unwrap(), Begun::ClockBack(100_000));
    // What a start among too few peers leaves behind.
    assert_eq!(ledger.not_before().unwrap(), 5);
    ledger.start_anew(600_000).unwrap();
    assert_eq!(ledger.not_before().unwrap(), 600_000);
    ledger.start_anew(1).unwrap();
    assert_eq!(ledger.not_before().unwrap(), 600_000, "never backwards");
    // Unless a person says that the clock was wrong.
    ledger.accept_clock(1_000).unwrap();
    assert_eq!(ledger.not_before().unwrap(), 1_000);
}

#[test]
fn a_clock_that_went_back_is_refused_until_somebody_accepts_it() {
    let (_dir, ledger) = on_disk();
    let at = |number: u8, now| Batch::new(start(number, 0, number), now);
    let begin = |number, now| ledger.begin(at(number, now)).unwrap();
    assert_eq!(begin(1, 1_000_000), fresh());
    assert_eq!(begin(2, 1_000_000 - CLOCK_TOLERANCE), fresh());
    assert_eq!(begin(3, 900_000), Begun::ClockBack(100_000));
    ledger.accept_clock(900_000).unwrap();
    assert_eq!(begin(3, 900_000), fresh());
}

#[test]
fn records_are_listed_by_prefix() {
    let (_dir, ledger) = on_disk();
    for name in ["key/b", "key/a", "kez", "committee/x"] {
        ledger.put_record(name, name.as_bytes()).unwrap();
    }
    let records = ledger.records("key/").unwrap();
    let names: Vec<_> = records.into_iter().map(|(n, _)| n).collect();
    assert_eq!(names, ["key/a", "key/b"]);
    assert_eq!(ledger.record("key/a").unwrap(), Some(b"key/a".to_vec()));
    assert_eq!(ledger.record("key/").unwrap(), None, "only the name itself");
}

#[test]
fn a_ledger_of_the_first_version_is_upgraded_and_a_newer_one_refused() {
    use redb::TableDefinition;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.redb");
    crate::write_private(&path, b"").unwrap();
    let first = redb::Database::create(&path).unwrap();
    let transaction = first.begin_write().unwrap();
    {
        let records: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
        let mut records = transaction.open_table(records).unwrap();
        records.insert("key/a", b"kept".as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    drop(first);
    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(
        ledger.records("").unwrap(),
        [("key/a".to_owned(), b"kept".to_vec())]
    );
    assert_eq!(ledger.log_size().unwrap(), 0);
    drop(ledger);

    let mark = |name: &str, value| {
        let newer = redb::Database::create(&path).unwrap();
        let transaction = newer.begin_write().unwrap();
        {
            let mut meta = transaction.open_table(operations::META).unwrap();
            meta.insert(name, value).unwrap();
        }
        transaction.commit().unwrap();
    };
    // Of this version, with something in it that only a newer program knows.
    mark("need/epochs", 1);
    let refused = Ledger::open(&path).unwrap_err();
    assert!(
        matches!(&refused, LedgerError::Need(need) if need.0 == "epochs"),
        "{refused}"
    );
    mark(operations::VERSION, 3);
    assert!(matches!(Ledger::open(&path), Err(LedgerError::Version(3))));
}

#[test]
fn the_file_is_private_and_has_one_user() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, ledger) = on_disk();
    let path = dir.path().join("ledger.redb");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(matches!(Ledger::open(&path), Err(LedgerError::InUse)));
    drop(ledger);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = Ledger::open(&path).unwrap_err();
    assert!(error.to_string().contains("chmod 0600"), "{error}");
}

fn simulated(storage: &SimulatedStorage) -> Ledger {
    Ledger::on(storage.database()).unwrap()
}

#[test]
fn writers_that_wait_for_an_fsync_share_the_next_one() {
    const WRITERS: u8 = 63;
    let storage = SimulatedStorage::default();
    let ledger = Arc::new(simulated(&storage));
    let before = storage.syncs();
    ledger.begin(plain(0, 0, 0)).unwrap();
    let alone = storage.syncs() - before;
    assert_eq!(alone, 1, "one fsync for a commit");

    storage.hold();
    let spawn = |number: u8| {
        let ledger = Arc::clone(&ledger);
        thread::spawn(move || ledger.begin(plain(number, 0, number)).unwrap())
    };
    let first = spawn(1);
    storage.await_held();
    let others: Vec<_> = (2..2 + WRITERS).map(spawn).collect();
    while ledger.writer.waiting() < usize::from(WRITERS) {
        thread::yield_now();
    }
    let before = storage.syncs();
    storage.release();
    for writer in others.into_iter().chain([first]) {
        assert_eq!(writer.join().unwrap(), fresh());
    }
    assert_eq!(
        storage.syncs() - before,
        2 * alone,
        "one group for the first, one for the {WRITERS} that waited"
    );
}

/// Everything the batch of the crash tests can leave behind.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    session: bool,
    pool: Vec<OneTimeId>,
    spends: usize,
    log: u64,
}

fn look(ledger: &Ledger) -> Seen {
    Seen {
        session: ledger.has_session(SessionId::from_bytes([2; 32])).unwrap(),
        pool: ledger
            .one_time(OneTimeKind::Presignature, hash(200), 9)
            .unwrap(),
        spends: ledger.spends_since(0).unwrap().len(),
        log: ledger.log_size().unwrap(),
    }
}

fn whole_batch() -> Batch {
    Batch {
        take: vec![presignature(1)],
        spends: vec![Spend {
            at: 5,
            id: hash(1),
            record: vec![1; 500],
        }],
        leaves: vec![vec![2; 5000]],
        ..plain(2, 0, 2)
    }
}

/// A ledger with two presignatures in its pool, all of it durable.
fn with_presignatures() -> SimulatedStorage {
    let storage = SimulatedStorage::default();
    let ledger = simulated(&storage);
    let put = [1, 2].map(|id| sealed(presignature(id), &[id; 3000]));
    ledger.put_one_time(put.to_vec()).unwrap();
    drop(ledger);
    storage.copy()
}

#[test]
fn i04_t04_a_batch_is_whole_or_not_at_all_and_consumed_stays_consumed_whatever_happens() {
    let base = with_presignatures();
    let before = look(&simulated(&base.copy()));
    let storage = base.copy();
    let ledger = simulated(&storage);
    storage.plan(u64::MAX, Fault::Full);
    let done = ledger.begin(whole_batch()).unwrap();
    assert!(matches!(done, Begun::Fresh { .. }));
    let operations = storage.operations();
    assert!(operations >= 3);
    let after = look(&ledger);
    assert_eq!(after.pool, [presignature(2)]);
    for seed in 0..8 {
        let kept = simulated(&storage.after_power_cut(seed));
        assert_eq!(look(&kept), after, "reported, so durable; seed {seed}");
    }

    for at in 0..operations {
        for fault in [Fault::Crash, Fault::Full, Fault::Torn] {
            let storage = base.copy();
            let ledger = simulated(&storage);
            storage.plan(at, fault);
            let result = ledger.begin(whole_batch());
            let context = format!("operation {at} of {operations}, {fault:?}");
            for seed in 0..8 {
                let kept = simulated(&storage.after_power_cut(seed));
                let seen = look(&kept);
                assert!(
                    seen == before || seen == after,
                    "{context}, seed {seed}: {seen:?}"
                );
                if result.is_ok() {
                    assert_eq!(seen, after, "{context}, seed {seed}");
                }
                let again = kept.begin(whole_batch()).unwrap();
                let expected = if seen == before {
                    done.clone()
                } else {
                    Begun::Repeated
                };
                assert_eq!(again, expected, "{context}, seed {seed}");
            }
        }
    }
}

#[test]
fn t22_after_a_full_disk_it_goes_on_without_a_restart() {
    let base = with_presignatures();
    let operations = {
        let storage = base.copy();
        let ledger = simulated(&storage);
        storage.plan(u64::MAX, Fault::Full);
        ledger.begin(whole_batch()).unwrap();
        storage.operations()
    };
    for at in 0..operations {
        let storage = base.copy();
        let ledger = simulated(&storage);
        storage.plan(at, Fault::Full);
        let error = ledger.begin(whole_batch()).unwrap_err();
        assert!(
            matches!(error, LedgerError::DiskFull { .. }),
            "operation {at}: {error}"
        );
        assert!(error.to_string().contains("free some space"), "{error}");
        let next = ledger.begin(plain(3, 0, 3)).unwrap();
        assert_eq!(next, fresh(), "operation {at}: there is room again");
        let seen = look(&ledger);
        let again = ledger.begin(whole_batch()).unwrap();
        match again {
            Begun::Fresh { .. } => assert_eq!(seen.pool.len(), 2, "operation {at}"),
            Begun::Repeated => assert_eq!(seen.pool, [presignature(2)], "operation {at}"),
            other => panic!("operation {at}: {other:?}"),
        }
    }
}

#[test]
fn t12_a_record_and_what_the_log_says_of_it_are_both_there_or_neither() {
    let base = with_presignatures();
    let put = |ledger: &Ledger| ledger.put_record_logged("ban/1", b"ban", b"leaf".to_vec());
    let (operations, before) = {
        let storage = base.copy();
        let ledger = simulated(&storage);
        let before = ledger.log_size().unwrap();
        storage.plan(u64::MAX, Fault::Full);
        put(&ledger).unwrap();
        assert_eq!(ledger.log_size().unwrap(), before + 1);
        (storage.operations(), before)
    };
    for at in 0..operations {
        let storage = base.copy();
        let ledger = simulated(&storage);
        storage.plan(at, Fault::Full);
        put(&ledger).unwrap_err();
        // The next write opens the database anew.
        let size = ledger.append(Vec::new()).unwrap();
        let kept = ledger.record("ban/1").unwrap().is_some();
        assert_eq!(size, before + u64::from(kept), "operation {at}");
    }
}
