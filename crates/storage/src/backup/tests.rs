use age::x25519::Identity;

use super::*;
use crate::Passphrase;

/// With a signature that stands for a party's.
fn make(about: &About, content: &Content, lock: &Lock) -> Result<Vec<u8>, BackupError> {
    super::make(about, content, lock, |_| Ok::<_, BackupError>([7; 64]))
}

fn about() -> About {
    About {
        party: PartyId::new("party-1").unwrap(),
        made_at: 1_700_000_000_123,
        restore_counter: 2,
        policy_version: 1,
        keys: Vec::new(),
    }
}

fn item(kind: ItemKind) -> ItemName {
    ItemName {
        kind,
        id: Hash32::from_bytes([7; 32]),
        epoch: 3,
    }
}

fn content() -> Content {
    let mut content = Content::default();
    for name in [CONFIG, ROSTER, "tls/ca.crt"] {
        let text = Zeroizing::new(name.as_bytes().to_vec());
        content.files.insert(name.to_owned(), text);
    }
    content
        .records
        .insert(format!("key/{}", "ab".repeat(32)), vec![1, 2, 3]);
    for kind in KINDS {
        content
            .secrets
            .insert(item(kind), Zeroizing::new(vec![9; 100]));
    }
    content
}

fn identity() -> (Identity, Lock) {
    let identity = Identity::generate();
    let lock = Lock::to_recipients([identity.to_public().to_string()]).unwrap();
    (identity, lock)
}

#[test]
fn what_goes_in_comes_out() {
    let (identity, lock) = identity();
    let bytes = make(&about(), &content(), &lock).unwrap();
    let opened = open(&bytes, &Opener::Identities(vec![identity])).unwrap();
    assert_eq!(opened.content.files, content().files);
    assert_eq!(opened.content.records, content().records);
    assert_eq!(opened.content.secrets, content().secrets);
    assert_eq!(opened.manifest.restore_counter, 2);
    assert_eq!(opened.manifest.entries.len(), 7);
}

#[test]
fn t04_nothing_that_is_used_once_gets_into_a_backup() {
    assert_eq!(
        KINDS,
        [ItemKind::Identity, ItemKind::Share, ItemKind::Aux],
        "a kind that is used once must not be here"
    );
    let mut with_prime = content();
    let prime = Zeroizing::new(vec![1]);
    with_prime.secrets.insert(item(ItemKind::Prime), prime);
    let error = make(&about(), &with_prime, &identity().1).unwrap_err();
    assert!(error.to_string().contains("prime-"), "{error}");
    for name in ["presignature/1", "committee-x", "key/", "restore-mark"] {
        let mut with_record = content();
        with_record.records.insert(name.to_owned(), vec![1]);
        assert!(
            make(&about(), &with_record, &identity().1).is_err(),
            "{name}"
        );
    }
}

#[test]
fn t24_every_altered_or_missing_byte_is_noticed() {
    let (identity, lock) = identity();
    let bytes = make(&about(), &content(), &lock).unwrap();
    let opener = Opener::Identities(vec![identity]);
    for position in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
        let mut altered = bytes.clone();
        altered[position] ^= 1;
        assert!(open(&altered, &opener).is_err(), "byte {position}");
        assert!(open(&bytes[..position], &opener).is_err(), "cut {position}");
    }
    let cut = open(&bytes[..bytes.len() - 1], &opener).unwrap_err();
    assert!(matches!(cut, BackupError::Altered), "{cut}");
    let longer = [bytes, vec![0]].concat();
    assert!(open(&longer, &opener).is_err());
}

#[test]
fn the_error_says_what_would_open_it() {
    let (_, to_other) = identity();
    let (identity, lock) = identity();
    let passphrase = |text: &str| Passphrase::new(Zeroizing::new(text.to_owned()));
    let to_key = make(&about(), &content(), &lock).unwrap();
    let to_words = make(&about(), &content(), &Lock::Passphrase(passphrase("right"))).unwrap();
    let other = make(&about(), &content(), &to_other).unwrap();
    let key = Opener::Identities(vec![identity]);
    let says = |bytes: &[u8], opener: &Opener| open(bytes, opener).unwrap_err();
    assert!(matches!(says(&other, &key), BackupError::WrongIdentity));
    assert!(matches!(
        says(&to_words, &key),
        BackupError::NeedsPassphrase
    ));
    assert!(matches!(says(b"hello", &key), BackupError::NotAge));
    let right = Opener::Passphrase(passphrase("right"));
    let wrong = Opener::Passphrase(passphrase("wrong"));
    assert!(matches!(says(&to_key, &right), BackupError::NeedsIdentity));
    assert!(matches!(
        says(&to_words, &wrong),
        BackupError::WrongPassphrase
    ));
    assert!(open(&to_words, &right).is_ok());
    assert!(matches!(
        make(&about(), &content(), &Lock::Passphrase(passphrase(""))),
        Err(BackupError::NoRecipient)
    ));
}

/// An archive that somebody who knows the recipient made, with some signature.
fn crafted(entries: &[(&str, tar::EntryType, &[u8])]) -> Result<Opened, BackupError> {
    let signature = "07".repeat(64);
    let signature = (
        "manifest.sig",
        tar::EntryType::Regular,
        signature.as_bytes(),
    );
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, bytes) in entries.iter().chain([&signature]) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        // Written past the checks of `set_path`, as an attacker would.
        let name = &mut header.as_old_mut().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    archive::read(&builder.into_inner().unwrap())
}

#[test]
fn an_archive_made_by_somebody_else_gets_nothing_past_the_checks() {
    use tar::EntryType::{Regular, Symlink};
    let manifest = |path: &str| {
        let manifest = Manifest {
            format: 1,
            program: String::new(),
            party: about().party,
            made_at: 0,
            restore_counter: 0,
            needs: Vec::new(),
            policy_version: None,
            keys: Vec::new(),
            entries: vec![EntryDigest {
                path: path.to_owned(),
                sha256: Hash32::from_bytes(<sha2::Sha256 as sha2::Digest>::digest(b"x").into()),
            }],
        };
        serde_json::to_vec(&manifest).unwrap()
    };
    let with = |path: &str| {
        let manifest = manifest(path);
        crafted(&[("manifest.json", Regular, &manifest), (path, Regular, b"x")])
    };
    assert!(with("tls/ca.crt").is_ok());
    for path in [
        "../agent.toml",
        "/etc/passwd",
        "tls/../agent.toml",
        "tls/a/b",
        "tls/.hidden",
        "records/key/../../x",
        "records/starts/x",
        "secrets/prime-00-0",
        "passphrase",
    ] {
        let error = with(path).unwrap_err().to_string();
        assert!(error.contains("unknown entry"), "{path}: {error}");
    }
    let says = |entries: &[(&str, tar::EntryType, &[u8])], expected: &str| {
        let error = crafted(entries).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let m = manifest("tls/ca.crt");
    says(&[], "manifest is missing");
    says(&[("manifest.json", Regular, &m)], "tls/ca.crt is missing");
    let entry = ("tls/ca.crt", Regular, &b"x"[..]);
    says(
        &[
            ("manifest.json", Regular, &m),
            ("tls/ca.crt", Regular, b"y"),
        ],
        "not what the manifest says",
    );
    says(&[("manifest.json", Regular, &m), entry, entry], "twice");
    says(
        &[
            ("manifest.json", Regular, &m),
            entry,
            (CONFIG, Regular, b""),
        ],
        "not in its manifest",
    );
    says(&[("tls/ca.crt", Symlink, b"")], "not a regular file");
    let newer = String::from_utf8(m)
        .unwrap()
        .replace("\"format\":1", "\"format\":2");
    says(
        &[("manifest.json", Regular, newer.as_bytes()), entry],
        "format 2",
    );
    let needing = newer.replace("\"format\":2", "\"format\":1,\"needs\":[\"epochs\"]");
    says(
        &[("manifest.json", Regular, needing.as_bytes()), entry],
        "it needs \"epochs\"",
    );
}

#[test]
fn object_names_sort_by_time_and_read_back() {
    let party = PartyId::new("party-1").unwrap();
    let early = ObjectName::new(&party, 999, 7);
    let late = ObjectName::new(&party, 1000, 0);
    assert!(early < late && early.to_string() < late.to_string());
    assert_eq!(ObjectName::parse(&early.to_string()), Some(early));
    for other in [
        "party-1/x.age",
        "backup-1-0-00.age",
        "party-1/backup-1-0-0.age",
    ] {
        assert_eq!(ObjectName::parse(other), None);
    }
    let object = Reader::parse("s3://b/p/party-1/backup-1.age?endpoint=http://x/y");
    let expected = Reader::Object {
        store: "s3://b/p?endpoint=http://x/y".to_owned(),
        name: "party-1/backup-1.age".to_owned(),
    };
    assert_eq!(object, expected);
    assert_eq!(Reader::parse("a/b.age"), Reader::File("a/b.age".into()));
}
