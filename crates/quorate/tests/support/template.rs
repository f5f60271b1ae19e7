//! Cluster directories that tests copy instead of making their own: provisioned and given primes;
//! or with the committee set up too, from auxiliary information made beforehand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use quorate_party_agent::backup::Source;
use quorate_party_agent::boot::{Opened, store_dir};
use quorate_party_agent::passphrase;
use quorate_party_agent::primes::PrimeStock;
use quorate_storage::{EncryptedFileStore, ItemKind, ItemName};
use quorate_testkit::primes;
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{CommitteeRecord, Record};
use quorate_types::{Attestation, Hash32, PartyId, SessionId};

use super::cluster::party;
use super::{Ran, quorate};

/// Who may approve in every test's cluster.
pub const PEOPLE: [&str; 3] = ["ann", "ben", "cas"];

type Templates = Mutex<BTreeMap<(u16, u16, bool), Arc<OnceLock<PathBuf>>>>;

/// A provisioned cluster, with primes in stock, or with its committee set up.
pub fn template(t: u16, n: u16, committee: bool) -> PathBuf {
    static TEMPLATES: Templates = Mutex::new(BTreeMap::new());
    let cell = {
        let mut templates = TEMPLATES.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(templates.entry((t, n, committee)).or_default())
    };
    cell.get_or_init(|| match committee {
        false => provision(t, n),
        true => set_up(t, n),
    })
    .clone()
}

/// This run's directory of templates. Those of runs that have ended are removed.
fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clusters");
        std::fs::create_dir_all(&all).unwrap();
        for entry in std::fs::read_dir(&all).unwrap().flatten() {
            let runs = entry
                .file_name()
                .to_str()
                .is_some_and(|pid| Path::new("/proc").join(pid).exists());
            if !runs {
                // Another run may be removing it too.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let own = all.join(std::process::id().to_string());
        std::fs::create_dir_all(&own).unwrap();
        own
    })
}

fn provision(t: u16, n: u16) -> PathBuf {
    let dir = directory().join(format!("{t}-of-{n}"));
    let policy = directory().join(format!("{t}-of-{n}.toml"));
    std::fs::write(&policy, quorate_testkit::policy::PERMISSIVE).unwrap();
    let mut init = quorate();
    init.args([
        "init",
        "--threshold",
        &t.to_string(),
        "--parties",
        &n.to_string(),
        "--admins",
        "3",
    ])
    .args(PEOPLE.map(|name| ["--approver", name]).as_flattened())
    .args(["--policy", policy.to_str().unwrap()])
    .arg(&dir);
    Ran::of(&mut init, Duration::from_secs(60)).ok();
    for index in 0..n {
        stock_primes(&dir.join(format!("custodians/party-{}", index + 1)), index);
    }
    dir
}

/// Puts four primes made beforehand into the store of a custodian that is not running.
pub fn stock_primes(custodian: &Path, index: u16) {
    let party = PartyId::new(&format!("party-{}", index + 1)).unwrap();
    let secret = passphrase::obtain(Some(&custodian.join("passphrase")), "NONE", "").unwrap();
    let store =
        EncryptedFileStore::open(&store_dir(&custodian.join("data")), &party, &secret).unwrap();
    // Those left from an earlier stocking are the same ones.
    for left in store.list(ItemKind::Prime).unwrap() {
        store.delete(left).unwrap();
    }
    let stock = PrimeStock::open(Arc::new(store)).unwrap();
    for prime in primes::full_list(index) {
        stock.add(&prime).unwrap();
    }
}

/// A provisioned cluster whose custodians have auxiliary information made beforehand, as a
/// committee setup would leave it. The setup itself is run by
/// `t26_a_custodian_killed_during_committee_setup_is_named_and_the_next_setup_works` and by the
/// demo.
fn set_up(t: u16, n: u16) -> PathBuf {
    let dir = directory().join(format!("{t}-of-{n}-committee"));
    copy(&template(t, n, false), &dir);
    let sources = (1..=n).map(|number| {
        let home = dir.join(format!("custodians/party-{number}"));
        Source::open(&home.join("agent.toml")).unwrap().opened
    });
    let sources: Vec<_> = sources.collect();
    let made = primes::full_aux(n.into());
    let session = SessionId::from_bytes([9; 32]);
    let record = CommitteeRecord {
        session,
        committee: (1..=n).map(party).collect(),
        digest: primes::full_aux_digest(n.into()),
    };
    let attest = |(number, opened): (u16, &Opened)| Attestation {
        party: party(number),
        signature: opened.keys.sign(&record.signing_bytes()).unwrap(),
    };
    let attestations: Vec<Attestation> = (1..).zip(&sources).map(attest).collect();
    let stored = (Record::Committee(record.clone()), attestations, true);
    let stored = borsh::to_vec(&stored).unwrap();
    for (opened, aux) in sources.iter().zip(&made) {
        let name = ItemName {
            kind: ItemKind::Aux,
            id: Hash32::from_bytes(*session.as_bytes()),
            epoch: 0,
        };
        opened.store.put(name, aux.as_secret_bytes()).unwrap();
        opened.ledger.put_record("committee", &stored).unwrap();
    }
    dir
}

/// Copies a directory with everything in it; permissions stay.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
