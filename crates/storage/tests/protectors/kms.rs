//! A key at AWS KMS.

use quorate_storage::{EncryptedFileStore, KmsError, KmsKey, Protector, StoreError};

use crate::behaves;
use crate::header::{is_bound_to_its_party, withstands_damage};
use crate::support::aws::{REGION, refusing, with_credentials};
use crate::support::moto::Moto;
use crate::support::{item, party, passphrase};

fn at(endpoint: &str, key: &str) -> KmsKey {
    KmsKey::new(key, Some(REGION), Some(endpoint))
}

fn open<'p>(
    path: &std::path::Path,
    protector: impl Into<Protector<'p>>,
) -> Result<EncryptedFileStore, StoreError> {
    EncryptedFileStore::open(path, &party(), protector)
}

fn refusal(path: &std::path::Path, key: &KmsKey) -> KmsError {
    match open(path, key).unwrap_err() {
        StoreError::Kms(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_kms_key_behaves() {
    with_credentials("kms::a_kms_key_behaves", || {
        let moto = Moto::start();
        let (right, other) = (moto.key(), moto.key());
        behaves(&at(&moto.endpoint, &right), &at(&moto.endpoint, &other));
    });
}

#[test]
fn a_kms_key_works_inside_a_runtime() {
    with_credentials("kms::a_kms_key_works_inside_a_runtime", || {
        let moto = Moto::start();
        let key = at(&moto.endpoint, &moto.key());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            drop(EncryptedFileStore::create(&path, &party(), &key).unwrap());
            open(&path, &key).unwrap();
        });
    });
}

#[test]
fn t24_a_damaged_header_under_a_kms_key_never_opens_wrongly() {
    with_credentials(
        "kms::t24_a_damaged_header_under_a_kms_key_never_opens_wrongly",
        || {
            let moto = Moto::start();
            let key = at(&moto.endpoint, &moto.key());
            withstands_damage(&key);
            // The party is in the encryption context.
            is_bound_to_its_party(&key);
        },
    );
}

#[test]
fn kms_says_what_is_wrong() {
    with_credentials("kms::kms_says_what_is_wrong", || {
        let moto = Moto::start();
        let (arn, other) = (moto.key(), moto.key());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let store = EncryptedFileStore::create(&path, &party(), &at(&moto.endpoint, &arn)).unwrap();
        store.put(item(), b"share").unwrap();
        let phrase = passphrase("spare");
        store.add_protector("spare", &phrase).unwrap();
        drop(store);

        let error = refusal(&path, &at(&moto.endpoint, &other));
        // KMS itself says IncorrectKeyException, moto that access is denied.
        assert!(
            matches!(error, KmsError::DoesNotOpen(_) | KmsError::Denied { .. }),
            "{error}"
        );
        let absent = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555";
        let error = refusal(&path, &at(&moto.endpoint, absent));
        assert!(matches!(error, KmsError::NotFound { .. }), "{error}");
        let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = format!("http://{}", nobody.local_addr().unwrap());
        drop(nobody);
        let error = refusal(&path, &at(&address, &arn));
        assert!(matches!(error, KmsError::Unreachable { .. }), "{error}");
        let error = refusal(&path, &KmsKey::new("alias/x", None, Some(&moto.endpoint)));
        assert!(matches!(error, KmsError::NoRegion), "{error}");

        open(&path, &at(&moto.endpoint, &arn)).unwrap();
        let store = open(&path, &phrase).unwrap();
        assert_eq!(&**store.get(item()).unwrap(), b"share");
    });
}

/// Keys that are disabled or pending deletion still decrypt at moto, so KMS's refusals are made here in its own words.
#[test]
fn every_refusal_of_kms_is_understood() {
    with_credentials("kms::every_refusal_of_kms_is_understood", || {
        let moto = Moto::start();
        let arn = moto.key();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        drop(EncryptedFileStore::create(&path, &party(), &at(&moto.endpoint, &arn)).unwrap());
        let of = |code, message| refusal(&path, &at(&refusing(code, message), &arn));

        let error = of("DisabledException", "arn is disabled.");
        assert!(matches!(error, KmsError::Disabled(_)), "{error}");
        let error = of("KMSInvalidStateException", "arn is pending deletion.");
        assert!(matches!(error, KmsError::State { .. }), "{error}");
        assert!(error.to_string().contains("pending deletion"), "{error}");
        let error = of("NotFoundException", "Key 'arn' does not exist");
        assert!(matches!(error, KmsError::NotFound { .. }), "{error}");
        let error = of("AccessDeniedException", "User is not authorized");
        assert!(matches!(error, KmsError::Denied { .. }), "{error}");
        for code in ["InvalidCiphertextException", "IncorrectKeyException"] {
            let error = of(code, "");
            assert!(matches!(error, KmsError::DoesNotOpen(_)), "{error}");
        }
        let error = of("UnrecognizedClientException", "token is invalid");
        assert!(matches!(error, KmsError::Credentials(_)), "{error}");
        let error = of("SomethingNewException", "words");
        assert!(matches!(error, KmsError::Service { .. }), "{error}");
    });
}
