//! A key sealed to a TPM 2.0.

use std::str::FromStr as _;

use quorate_storage::{EncryptedFileStore, Passphrase, Protector, StoreError, Tpm, TpmError};
use tss_esapi::handles::PcrHandle;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Digest, DigestValues};
use tss_esapi::tcti_ldr::TctiNameConf;

use crate::behaves;
use crate::header::{is_bound_to_its_party, withstands_damage};
use crate::support::swtpm::Swtpm;
use crate::support::{party, passphrase};

fn tpm<'p>(chip: &Swtpm, pcrs: &[u8], pin: Option<&'p Passphrase>) -> Tpm<'p> {
    Tpm::open(&chip.tcti, pcrs, pin).unwrap()
}

/// As firmware does when it measures something new.
fn extend_pcr_7(chip: &Swtpm) {
    let tcti = TctiNameConf::from_str(&chip.tcti).unwrap();
    let mut context = tss_esapi::Context::new(tcti).unwrap();
    let mut values = DigestValues::new();
    values.set(
        HashingAlgorithm::Sha256,
        Digest::try_from([7u8; 32].as_slice()).unwrap(),
    );
    context
        .execute_with_session(Some(AuthSession::Password), |context| {
            context.pcr_extend(PcrHandle::Pcr7, values)
        })
        .unwrap();
}

/// A store under one protector.
struct Scene {
    _dir: tempfile::TempDir,
    path: std::path::PathBuf,
}

impl Scene {
    fn new<'p>(protector: impl Into<Protector<'p>>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        drop(EncryptedFileStore::create(&path, &party(), protector).unwrap());
        Self { _dir: dir, path }
    }

    fn open<'p>(
        &self,
        protector: impl Into<Protector<'p>>,
    ) -> Result<EncryptedFileStore, StoreError> {
        EncryptedFileStore::open(&self.path, &party(), protector)
    }

    fn refusal(&self, tpm: &Tpm<'_>) -> TpmError {
        match self.open(tpm).unwrap_err() {
            StoreError::Tpm(error) => error,
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_tpm_behaves() {
    let (_one, right) = Swtpm::new();
    let (_two, other) = Swtpm::new();
    behaves(&tpm(&right, &[0, 7], None), &tpm(&other, &[], None));
    let pin = passphrase("2718");
    behaves(
        &tpm(&right, &[], Some(&pin)),
        &tpm(&other, &[16], Some(&pin)),
    );
}

#[test]
fn t24_a_damaged_header_under_a_tpm_never_opens_wrongly() {
    let (_state, chip) = Swtpm::new();
    let pin = passphrase("2718");
    let tpm = tpm(&chip, &[0, 7], Some(&pin));
    withstands_damage(&tpm);
    is_bound_to_its_party(&tpm);
}

#[test]
fn a_tpm_refuses_when_its_pcrs_changed_and_another_protector_still_opens() {
    let (state, chip) = Swtpm::new();
    let bound = tpm(&chip, &[7, 0, 7], None);
    let scene = Scene::new(&bound);
    let phrase = passphrase("spare");
    let store = scene.open(&bound).unwrap();
    store.add_protector("spare", &phrase).unwrap();
    drop(store);

    extend_pcr_7(&chip);
    let refused = scene.refusal(&bound);
    assert!(
        matches!(&refused, TpmError::PcrsChanged(pcrs) if pcrs == &[0, 7]),
        "{refused}"
    );
    let store = scene.open(&phrase).unwrap();
    store.rotate_protector("first", &bound).unwrap();
    drop(store);
    scene.open(&bound).unwrap();

    // Switched off and on, the register is what it was before the change.
    drop(chip);
    let chip = Swtpm::start(state.path());
    let refused = scene.refusal(&tpm(&chip, &[], None));
    assert!(matches!(refused, TpmError::PcrsChanged(_)), "{refused}");
    extend_pcr_7(&chip);
    scene.open(&tpm(&chip, &[], None)).unwrap();
}

#[test]
fn another_tpm_is_said_to_be_one() {
    let (_one, right) = Swtpm::new();
    let (_two, other) = Swtpm::new();
    let scene = Scene::new(&tpm(&right, &[], None));
    let refused = scene.refusal(&tpm(&other, &[], None));
    assert!(matches!(refused, TpmError::AnotherTpm), "{refused}");
}

#[test]
fn a_wrong_pin_is_refused_and_too_many_lock_the_tpm() {
    let (_state, chip) = Swtpm::new();
    let (right, wrong) = (passphrase("2718"), passphrase("3141"));
    let scene = Scene::new(&tpm(&chip, &[], Some(&right)));
    let refused = scene.refusal(&tpm(&chip, &[], None));
    assert!(matches!(refused, TpmError::PinNeeded), "{refused}");
    let refused = scene.refusal(&tpm(&chip, &[], Some(&wrong)));
    assert!(matches!(refused, TpmError::WrongPin), "{refused}");
    scene.open(&tpm(&chip, &[], Some(&right))).unwrap();
    let locked = (0..100).any(|_| {
        matches!(
            scene.refusal(&tpm(&chip, &[], Some(&wrong))),
            TpmError::Locked
        )
    });
    assert!(locked, "wrong PINs can be tried without end");
    let refused = scene.refusal(&tpm(&chip, &[], Some(&right)));
    assert!(matches!(refused, TpmError::Locked), "{refused}");
}

#[test]
fn a_tpm_says_what_is_wrong_with_a_request() {
    let (_state, chip) = Swtpm::new();
    let refused =
        |tcti: &str, pcrs: &[u8], pin: Option<&Passphrase>| Tpm::open(tcti, pcrs, pin).unwrap_err();
    let absent = refused("device:/dev/no-such-tpm", &[], None);
    assert!(matches!(absent, TpmError::Absent { .. }), "{absent}");
    assert!(matches!(
        refused("carrier-pigeon", &[], None),
        TpmError::Address(_)
    ));
    assert!(matches!(
        refused(&chip.tcti, &[24], None),
        TpmError::NoSuchPcr(24)
    ));
    for length in [0, 33] {
        let pin = passphrase(&"1".repeat(length));
        assert!(matches!(
            refused(&chip.tcti, &[], Some(&pin)),
            TpmError::PinLength
        ));
    }
}

#[test]
fn nothing_stays_in_the_tpm() {
    let (_state, chip) = Swtpm::new();
    let tpm = tpm(&chip, &[0], None);
    let scene = Scene::new(&tpm);
    // Three objects fit; far more openings than that do.
    for _ in 0..12 {
        scene.open(&tpm).unwrap();
    }
}
