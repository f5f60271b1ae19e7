use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use ed25519_dalek::SigningKey;
use quorate_messaging::PartyKeys;
use quorate_mpc_protocol::{Aux, DangerTestLevel, Share};
use quorate_storage::backup::{self as format, AgeIdentity, Lock, ObjectName, Opener};
use quorate_storage::blobs::BlobStores;
use quorate_storage::{
    EncryptedFileStore, ItemKind, ItemName, Passphrase, RestoreMark, create_private_dir,
};
use quorate_testkit::committee;
use quorate_testkit::keys::{Identities, party_id};
use quorate_types::node::{CommitteeRecord, Record};
use quorate_types::{
    Attestation, Curve, Hash32, KeyId, KeyName, KeyRecord, OperatorEntry, OperatorId, PartyEntry,
    Protocol, ProtocolRecord, Roster, SessionId, Threshold, ValidRoster,
};

use std::sync::Arc;

use quorate_policy::{Place, SignedSpendRecord, SpendEntry, SpendRecord};
use quorate_types::canonical::Canonical as _;

use super::verify::verify_at;
use super::*;
use crate::boot::{identity_item, store_dir};
use crate::config::{BackupConfig, NatsConfig};
use crate::keybook::{Stored, aux_name, key_name, share_name};
use crate::policy::{PolicyDesk, to_ledger};
use crate::protocols::protocol_name;
use tokio::sync::watch;

/// party-1 of three, with a directory as `quorate init` makes it, a key of each curve, and a committee setup at the test level.
struct World {
    dir: tempfile::TempDir,
    keys: Vec<PartyKeys>,
    identity: AgeIdentity,
    admin: SigningKey,
    source: Source,
}

fn roster(keys: &[PartyKeys], admin: &SigningKey) -> Roster {
    let entry = |(keys, number): (&PartyKeys, u16)| PartyEntry {
        id: party_id(number),
        identity: keys.identity(),
        channel: keys.channel(),
    };
    Roster {
        cluster: "test".to_owned(),
        threshold: Threshold::new(2, 3).unwrap(),
        parties: keys.iter().zip(1..).map(entry).collect(),
        operators: vec![OperatorEntry {
            id: OperatorId::new("operator").unwrap(),
            key: PartyKeys::generate(&mut rand_core::OsRng).identity(),
        }],
        admins: quorate_types::Admins::single(
            quorate_types::PersonId::new("admin").unwrap(),
            admin.verifying_key().to_bytes(),
        ),
    }
}

fn key_record(share: &Share, number: u8) -> KeyRecord {
    let public_key = share.public_key().unwrap();
    KeyRecord {
        id: KeyId::from_bytes([number; 32]),
        name: KeyName::new(&format!("key-{number}")).unwrap(),
        scheme: public_key.curve().default_scheme(),
        public_key,
        chain_code: share.chain_code().unwrap(),
        epoch: 0,
        threshold: share.threshold().unwrap(),
        committee: (1..=3).map(party_id).collect(),
        public_shares: share.public_shares().unwrap(),
        raw_signing: false,
        created_at: 1,
    }
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("party-1");
        let keys: Vec<_> = (0..3)
            .map(|_| PartyKeys::generate(&mut rand_core::OsRng))
            .collect();
        let identity = AgeIdentity::generate();
        let passphrase = Passphrase::generate();
        create_private_dir(&home.join("tls")).unwrap();
        passphrase.write_to(&home.join("passphrase")).unwrap();
        for file in ["ca.crt", "cert.pem", "key.pem"] {
            std::fs::write(home.join("tls").join(file), file).unwrap();
        }
        let admin = SigningKey::generate(&mut rand_core::OsRng);
        let roster = serde_json::to_vec(&roster(&keys, &admin)).unwrap();
        std::fs::write(home.join("roster.json"), roster).unwrap();
        let config = AgentConfig {
            policy: None,
            party: party_id(1),
            roster: "roster.json".into(),
            data: "data".into(),
            passphrase_file: Some("passphrase".into()),
            hsm: None,
            tpm: None,
            kms: None,
            nats: NatsConfig {
                url: "tls://127.0.0.1:4222".to_owned(),
                ca: "tls/ca.crt".into(),
                certificate: "tls/cert.pem".into(),
                key: "tls/key.pem".into(),
            },
            backup: Some(BackupConfig {
                stores: vec![format!("file://{}/blobs", dir.path().display())],
                recipients: vec![identity.to_public().to_string()],
                every: std::time::Duration::from_secs(3600),
                keep: 2,
            }),
            presign: crate::PresignConfig::default(),
            timeouts: crate::Timeouts::default(),
        };
        let config_file = home.join("agent.toml");
        std::fs::write(&config_file, toml::to_string(&config).unwrap()).unwrap();
        create_private_dir(&home.join("data")).unwrap();
        let store = store_dir(&home.join("data"));
        EncryptedFileStore::create(&store, &party_id(1), &passphrase)
            .unwrap()
            .put(identity_item(), &keys[0].to_secret_bytes())
            .unwrap();
        let source = Source::open(&config_file).unwrap();
        let world = Self {
            dir,
            keys,
            identity,
            admin,
            source,
        };
        world.fill();
        world
    }

    fn fill(&self) {
        let identities = Identities::new(Threshold::new(2, 3).unwrap(), 1);
        for (curve, number) in Curve::ALL.iter().zip(1..) {
            let share = &committee::shares(&identities, *curve, u64::from(number))[0];
            let record = key_record(share, number);
            let secret = share.to_secret_bytes().unwrap();
            self.source
                .opened
                .store
                .put(share_name(record.id, 0), &secret)
                .unwrap();
            // The last key is pending: only this party has attested it.
            let by = if number == 3 { 1 } else { 3 };
            if number == 1 {
                self.by_dkls23(&record);
            }
            self.record(&key_name(record.id), Record::Key(record), by);
        }
        let aux = &aux(&identities)[0];
        let committee = CommitteeRecord {
            session: SessionId::from_bytes([9; 32]),
            committee: (1..=3).map(party_id).collect(),
            digest: aux.public_digest::<DangerTestLevel>().unwrap(),
        };
        self.source
            .opened
            .store
            .put(aux_name(committee.session), aux.as_secret_bytes())
            .unwrap();
        self.record("committee", Record::Committee(committee), 3);
        let prime = ItemName {
            kind: ItemKind::Prime,
            id: Hash32::from_bytes([1; 32]),
            epoch: 0,
        };
        self.source.opened.store.put(prime, b"a prime").unwrap();
    }

    fn by_dkls23(&self, key: &KeyRecord) {
        let setup = ItemName {
            kind: ItemKind::Dkls,
            id: Hash32::from_bytes([2; 32]),
            epoch: 0,
        };
        self.source.opened.store.put(setup, b"a setup").unwrap();
        let record = ProtocolRecord {
            key: key.id,
            epoch: 0,
            sequence: 1,
            protocol: Protocol::Dkls23,
            setup: Some(setup.id),
            session: SessionId::from_bytes([8; 32]),
            committee: key.committee.clone(),
        };
        self.record(&protocol_name(key.id), Record::Protocol(record), 3);
    }

    fn record(&self, name: &str, record: Record, by: usize) {
        let message = record.signing_bytes();
        let attest = |(keys, number): (&PartyKeys, u16)| Attestation {
            party: party_id(number),
            signature: keys.sign(&message).unwrap(),
        };
        let stored = Stored {
            attestations: self.keys.iter().zip(1..).take(by).map(attest).collect(),
            active: by == 3,
            record,
        };
        let bytes = borsh::to_vec(&stored).unwrap();
        self.source.opened.ledger.put_record(name, &bytes).unwrap();
    }

    fn lock(&self) -> Lock {
        Lock::to_recipients([self.identity.to_public().to_string()]).unwrap()
    }

    fn backup(&self) -> Vec<u8> {
        wait(make(&self.source, self.lock(), 1000)).unwrap().bytes
    }

    fn open(&self, bytes: &[u8]) -> format::Opened {
        format::open(bytes, &Opener::Identities(vec![self.identity.clone()])).unwrap()
    }

    fn verify(&self, bytes: &[u8]) -> Result<Verified, AgentBackupError> {
        verify_at::<DangerTestLevel>(self.open(bytes), None)
    }

    fn restore(&self, into: &str, known: u64) -> Result<Restored, AgentBackupError> {
        let verified = self.verify(&self.backup()).unwrap();
        let into = self.dir.path().join(into);
        restore(&verified, &into, StorePassphrase::Generate, known, 2000)
    }
}

fn list(source: &Source, kind: ItemKind) -> Vec<ItemName> {
    EncryptedFileStore::list(&source.opened.store, kind).unwrap()
}

/// Runs a future to its end.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(future)
}

/// Made once for all tests: setup ceremonies are slow.
fn aux(identities: &Identities) -> &'static [Aux] {
    static AUX: std::sync::OnceLock<Vec<Aux>> = std::sync::OnceLock::new();
    AUX.get_or_init(|| committee::aux(identities, 1))
}

/// Every file below a directory, with its content and its mode.
fn tree(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        if path.is_dir() {
            found.insert(path.clone(), (Vec::new(), mode));
            found.extend(tree(&path));
        } else {
            found.insert(path.clone(), (std::fs::read(&path).unwrap(), mode));
        }
    }
    found
}

#[test]
fn a_backup_verifies_without_a_file_being_touched() {
    let world = World::new();
    let bytes = world.backup();
    let before = tree(world.dir.path());
    let verified = world.verify(&bytes).unwrap();
    assert_eq!(tree(world.dir.path()), before);
    let summary = verified.summary();
    assert_eq!((summary.keys.len(), summary.committees), (3, 1));
    assert_eq!(summary.without_record, 0);
    let has_prime = |name: &ItemName| name.kind == ItemKind::Prime;
    assert!(!verified.content().secrets.keys().any(has_prime));
    assert!(!verified.content().files.contains_key("passphrase"));
}

#[test]
fn t24_a_backup_whose_parts_do_not_fit_is_refused() {
    let world = World::new();
    let first = share_name(KeyId::from_bytes([1; 32]), 0);
    let second = share_name(KeyId::from_bytes([2; 32]), 0);
    let identities = Identities::new(Threshold::new(2, 3).unwrap(), 1);
    let theirs = committee::shares(&identities, Curve::Secp256k1, 1)[1].to_secret_bytes();
    let refreshed = committee::shares(&identities, Curve::Secp256k1, 77)[0].to_secret_bytes();
    let (theirs, refreshed) = (theirs.unwrap(), refreshed.unwrap());
    let check = |change: &dyn Fn(&mut format::Opened), says: &str| {
        let mut opened = world.open(&world.backup());
        change(&mut opened);
        let error = verify_at::<DangerTestLevel>(opened, None).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    };
    check(&|o| drop(o.content.secrets.remove(&first)), "share-0101");
    check(
        &|o| {
            let other = o.content.secrets[&second].clone();
            drop(o.content.secrets.insert(first, other));
        },
        "the share of key key-1 is damaged",
    );
    check(
        &|o| drop(o.content.secrets.insert(first, theirs.clone())),
        "another party's",
    );
    check(
        &|o| drop(o.content.secrets.insert(first, refreshed.clone())),
        "another key or epoch",
    );
    check(
        &|o| o.content.secrets.get_mut(&identity_item()).unwrap()[0] ^= 1,
        "not those the roster has",
    );
    let mut opened = world.open(&world.backup());
    opened.content.records.remove("committee");
    let verified = verify_at::<DangerTestLevel>(opened, None).unwrap();
    assert_eq!(verified.summary().without_record, 1, "kept, and said");
}

#[test]
fn t24_a_record_in_force_needs_everyones_attestation_and_the_manifest_the_same_keys() {
    let world = World::new();
    let mut opened = world.open(&world.backup());
    let name = key_name(KeyId::from_bytes([1; 32]));
    let mut stored: Stored = borsh::from_slice(&opened.content.records[&name]).unwrap();
    stored.attestations.pop();
    let bytes = borsh::to_vec(&stored).unwrap();
    opened.content.records.insert(name, bytes);
    let error = verify_at::<DangerTestLevel>(opened, None).unwrap_err();
    assert!(
        error.to_string().contains("without party-3's attestation"),
        "{error}"
    );
    let mut opened = world.open(&world.backup());
    opened.manifest.keys.pop();
    let error = verify_at::<DangerTestLevel>(opened, None).unwrap_err();
    assert!(error.to_string().contains("manifest"), "{error}");
    let other = ValidRoster::try_from(roster(&world.keys, &world.admin)).unwrap();
    let opened = world.open(&world.backup());
    let error = verify_at::<DangerTestLevel>(opened, Some(&other)).unwrap_err();
    assert!(matches!(error, AgentBackupError::OtherRoster { .. }));
}

#[test]
fn t25_a_restored_custodian_is_the_same_but_marked() {
    let world = World::new();
    let restored = world.restore("new/party-1", 0).unwrap();
    assert_eq!(restored.counter, 1);
    let home = world.dir.path().join("new/party-1");
    for (path, (_, mode)) in tree(&home) {
        // Those two are the database's and the lock's own; the directory around them is closed.
        if path.ends_with("ledger.redb") || path.ends_with("lock") {
            continue;
        }
        assert_eq!(mode & 0o077, 0, "{} is open to others", path.display());
    }
    let copy = Source::open(&restored.config_file).unwrap();
    for kind in format::KINDS {
        let names = list(&world.source, kind);
        assert_eq!(list(&copy, kind), names);
        for name in names {
            let (old, new) = (
                world.source.opened.store.get(name),
                copy.opened.store.get(name),
            );
            assert_eq!(old.unwrap(), new.unwrap());
        }
    }
    for kind in [ItemKind::Prime, ItemKind::Dkls] {
        assert!(list(&copy, kind).is_empty());
    }
    for prefix in format::RECORDS {
        let (old, new) = (
            world.source.opened.ledger.records(prefix),
            copy.opened.ledger.records(prefix),
        );
        assert_eq!(old.unwrap(), new.unwrap());
    }
    let expected = RestoreMark {
        counter: 1,
        restored_at: 2000,
        backup_made_at: 1000,
        confirmed: false,
    };
    assert_eq!(copy.opened.ledger.restore_mark().unwrap(), Some(expected));
    assert_eq!(copy.config.backup, world.source.config.backup);
    drop(copy);
    let unlock = Unlock::from_config(&quorate_service::load(&restored.config_file).unwrap());
    let config = quorate_service::load(&restored.config_file).unwrap();
    crate::boot::open(&config, &unlock.unwrap()).unwrap();
}

#[test]
fn t25_the_restore_counter_never_goes_down() {
    let world = World::new();
    assert_eq!(world.restore("a", 6).unwrap().counter, 7);
    let again = Source::open(&world.dir.path().join("a/agent.toml")).unwrap();
    let bytes = wait(make(&again, world.lock(), 3000)).unwrap();
    assert_eq!(bytes.name.restore_counter, 7);
    let verified = world.verify(&bytes.bytes).unwrap();
    let into = world.dir.path().join("b");
    let restored = restore(&verified, &into, StorePassphrase::Generate, 2, 4000).unwrap();
    assert_eq!(restored.counter, 8);
}

#[test]
fn a_directory_in_use_is_left_alone_and_a_failed_restore_leaves_nothing() {
    let world = World::new();
    let before = tree(world.dir.path());
    for into in ["party-1", "party-1/roster.json"] {
        let error = world.restore(into, 0).unwrap_err();
        assert!(matches!(error, AgentBackupError::NotEmpty(_)), "{error}");
    }
    // The given passphrase cannot seal anything, when half of the directory is made already.
    let verified = world.verify(&world.backup()).unwrap();
    let empty = StorePassphrase::Given {
        passphrase: Passphrase::new(String::new().into()),
        file: "none".into(),
    };
    let into = world.dir.path().join("new");
    assert!(restore(&verified, &into, empty, 0, 1).is_err());
    assert_eq!(tree(world.dir.path()), before);
    std::fs::create_dir(&into).unwrap();
    world.restore("new", 0).unwrap();
}

#[tokio::test]
async fn the_schedule_makes_one_backup_when_it_is_due_and_keeps_as_many_as_it_should() {
    let world = World::new();
    let (standing_is, standing) = watch::channel(Standing::Serving { not_before: 0 });
    let urls = &world.source.config.backup.as_ref().unwrap().stores;
    let stores = BlobStores::open(urls).unwrap();
    let party = party_id(1);
    // Made by others, or by an attacker who may write there: one from the future would keep the schedule from ever making any, and
    // have the good ones deleted.
    let foreign = [1, 2, 999_999_999_999_999].map(|time| ObjectName::new(&party, time, 0));
    for name in &foreign {
        stores.put_new(&name.to_string(), b"old").await.unwrap();
    }
    let listed = async || ObjectName::list(&stores, &party).await.unwrap();
    let ours = async || {
        let mut found = listed().await;
        found.retain(|name| !foreign.contains(name));
        found
    };
    let schedule = Schedule::start(world.source.clone(), standing.clone()).unwrap();
    let newest = loop {
        if let Some(first) = ours().await.first() {
            break first.to_string();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let bytes = stores.get(&newest, format::MAX_LEN).await.unwrap();
    world.verify(&bytes).unwrap();
    // More when asked; the first is then too many.
    let second = schedule.make_now().await.unwrap();
    let third = schedule.make_now().await.unwrap();
    assert_eq!((third.keys, third.failed.len()), (3, 0));
    let names = async || {
        ours()
            .await
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(names().await, [second.name.clone(), third.name.clone()]);
    assert_eq!(
        listed().await.len(),
        5,
        "what it did not make, it leaves alone"
    );
    assert_eq!(schedule.last(), Some(third));
    // An old disk would only replace good ones.
    let reason = "behind".to_owned();
    standing_is.send_replace(Standing::Quarantined { reason });
    let refused = schedule.make_now().await;
    assert!(matches!(refused, Err(AgentBackupError::NotServing(_))));
    drop(schedule);
    // Started again, it has nothing to do, unless the last one is gone.
    let mut wait = std::time::Duration::ZERO;
    let settings = world.source.config.backup.clone().unwrap();
    let due = schedule::make_if_due(&world.source, &settings, &mut wait).await;
    assert!(due.unwrap().is_none() && !wait.is_zero());
    for name in names().await {
        stores.delete(&name).await.unwrap();
    }
    let due = schedule::make_if_due(&world.source, &settings, &mut wait).await;
    assert!(due.unwrap().is_some());
}

#[test]
fn t24_a_backup_that_somebody_else_made_or_renamed_is_refused() {
    let world = World::new();
    // Whoever knows the recipient can encrypt to it, but not sign.
    let mut opened = world.open(&world.backup());
    opened.signature[5] ^= 1;
    let error = verify_at::<DangerTestLevel>(opened, None).unwrap_err();
    assert!(error.to_string().contains("did not sign it"), "{error}");
    let opened = world.open(&world.backup());
    let name = ObjectName::new(&party_id(1), 1000, 0);
    name.check(&opened.manifest).unwrap();
    for other in [
        ObjectName::new(&party_id(1), 1001, 0),
        ObjectName::new(&party_id(1), 1000, 1),
        ObjectName::new(&party_id(2), 1000, 0),
    ] {
        let error = other.check(&opened.manifest).unwrap_err();
        assert!(error.to_string().contains("renamed"), "{error}");
    }
}

#[test]
fn a_forged_restore_counter_is_an_error() {
    let world = World::new();
    let error = world.restore("a", u64::MAX).unwrap_err();
    assert!(error.to_string().contains("forged"), "{error}");
}

#[test]
fn t23_a_secret_in_the_place_of_a_recipient_is_not_repeated() {
    let secret = "AGE-SECRET-KEY-1QQQQ";
    let error = Lock::to_recipients([secret]).unwrap_err().to_string();
    assert!(error.contains("a secret identity"), "{error}");
    assert!(!error.contains("QQQQ"), "{error}");
}

/// Two versions of a policy in force, a spend and a ban, as an agent leaves them.
fn with_authority() -> World {
    let world = World::new();
    let (ledger, roster) = (&world.source.opened.ledger, &world.source.opened.roster);
    let desk = desk(&world.source);
    let mut before = None;
    for _ in 0..2 {
        let signers = [("admin", &world.admin)];
        let text = quorate_testkit::policy::PERMISSIVE;
        let next = quorate_testkit::policy::bundle(roster, before.as_ref(), text, &signers);
        desk.publish(next.clone(), 5).unwrap();
        before = Some(next.follow(roster, before.as_ref()).unwrap());
    }
    let record = SpendRecord {
        party: party_id(2),
        place: Place {
            restores: 0,
            sequence: 4,
        },
        at: 77,
        entry: SpendEntry::Void {
            place: Place {
                restores: 0,
                sequence: 3,
            },
        },
    };
    let signature = world.keys[1].sign(&record.signing_bytes()).unwrap();
    let spend = to_ledger(&SignedSpendRecord { record, signature });
    ledger.add_spends(vec![spend]).unwrap();
    world
}

fn desk(source: &Source) -> PolicyDesk {
    let (roster, ledger) = (&source.opened.roster, &source.opened.ledger);
    PolicyDesk::open(party_id(1), Arc::clone(roster), Arc::clone(ledger), None, 9).unwrap()
}

#[test]
fn t35_i07_a_backup_brings_back_the_whole_chain_and_what_was_spent() {
    let world = with_authority();
    let verified = world.verify(&world.backup()).unwrap();
    assert_eq!(verified.summary().policy_version, Some(2));
    let restored = world.restore("new", 0).unwrap();
    let copy = Source::open(&restored.config_file).unwrap();
    let desk = desk(&copy);
    assert_eq!(desk.version(), 2, "not the first version again");
    assert_eq!(desk.floor().unwrap(), 2);
    let spends = |source: &Source| source.opened.ledger.spends_since(0).unwrap();
    assert_eq!(spends(&copy), spends(&world.source));
    assert_eq!(spends(&copy).len(), 1);
    // Without the chain it is below what it had, and stays out.
    let names = copy.opened.ledger.records("policy/").unwrap();
    let last = names.last().unwrap().0.clone();
    copy.opened.ledger.delete_records(vec![last]).unwrap();
    drop(desk);
    let older = self::desk(&copy);
    assert_eq!((older.version(), older.floor().unwrap()), (1, 2));
}

#[test]
fn t35_i07_a_backup_whose_chain_was_cut_or_is_not_the_admins_is_refused() {
    let world = with_authority();
    let name = |version: u64| format!("policy/{version:020}");
    let check = |change: &dyn Fn(&mut format::Opened), says: &str| {
        let mut opened = world.open(&world.backup());
        change(&mut opened);
        let error = verify_at::<DangerTestLevel>(opened, None).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    };
    check(
        &|o| drop(o.content.records.remove(&name(2))),
        "its policies end with version 1, its manifest says 2",
    );
    check(
        &|o| drop(o.content.records.remove(&name(1))),
        "its policies do not follow each other",
    );
    check(
        &|o| {
            let second = o.content.records.remove(&name(2)).unwrap();
            o.content.records.insert(name(1), second);
        },
        "its policies do not follow each other",
    );
    check(
        &|o| {
            let bytes = o.content.records.get_mut(&name(2)).unwrap();
            // In the last signature, after the lengths of everything before.
            let at = bytes.len() - 20;
            bytes[at] ^= 1;
        },
        "its policies do not follow each other",
    );
    check(
        &|o| o.manifest.policy_version = Some(1),
        "its policies end with version 2, its manifest says 1",
    );
    check(
        &|o| {
            let bytes = o.content.records.get_mut(format::SPENDS).unwrap();
            let at = bytes.len() - 20;
            bytes[at] ^= 1;
        },
        "the record spends is damaged",
    );
}

/// As a program made it that carried the first version only.
#[test]
fn t35_a_backup_without_a_chain_is_still_read_and_says_so() {
    let world = with_authority();
    let mut opened = world.open(&world.backup());
    let authority = |name: &String| name.starts_with("policy/") || name == format::SPENDS;
    opened.content.records.retain(|name, _| !authority(name));
    opened.manifest.policy_version = None;
    let verified = verify_at::<DangerTestLevel>(opened, None).unwrap();
    assert_eq!(verified.summary().policy_version, None);
}
