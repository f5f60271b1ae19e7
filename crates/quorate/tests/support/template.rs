//! Cluster directories that tests copy instead of making their own: provisioned and given primes; or with the committee set up
//! too, which takes half a minute of computing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use quorate_party_agent::boot::store_dir;
use quorate_party_agent::passphrase;
use quorate_party_agent::primes::PrimeStock;
use quorate_storage::{EncryptedFileStore, ItemKind};
use quorate_types::PartyId;

use super::{Cluster, Ran, Setup, quorate};

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
    for prime in quorate_testkit::primes::full_list(index) {
        stock.add(&prime).unwrap();
    }
}

fn set_up(t: u16, n: u16) -> PathBuf {
    let mut cluster = Cluster::start(Setup::new(t, n).patient());
    cluster.cli(&["committee", "setup"]).ok();
    cluster.stop();
    let dir = directory().join(format!("{t}-of-{n}-committee"));
    copy(&cluster.root(), &dir);
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
