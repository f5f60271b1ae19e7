//! A setup on disk: it survives its encoding, nothing else passes for one, and it serves its own key and party only.

use std::sync::LazyLock;

use ciborium::Value;

use quorate_mpc_protocol::{
    AbortReason, DklsSetup, DklsSetupError, Seat, Share, dkls_setup, sign_dkls,
};
use quorate_testkit::committee::preimage;
use quorate_testkit::dkls::Stage;
use quorate_testkit::sim::session_id;
use quorate_testkit::{committee, keys::Identities};
use quorate_types::{Curve, DerivationPath, Threshold};

use crate::{THREE, TWO};

static OTHER: LazyLock<Vec<Share>> =
    LazyLock::new(|| committee::shares(&TWO.identities, Curve::Secp256k1, 77));

#[test]
fn a_setup_survives_its_encoding() {
    for stage in [&TWO, &THREE] {
        for setup in &stage.setups {
            let bytes = setup.to_secret_bytes().unwrap();
            let back = DklsSetup::from_secret_bytes(&bytes).unwrap();
            // What the limit counts with.
            assert!(bytes.len() < usize::from(setup.parties()) * 54 * 1024);
            assert_eq!(*back.to_secret_bytes().unwrap(), *bytes);
            assert_eq!(back.public_key(), stage.shares[0].public_key());
            assert_eq!(
                (back.id(), back.curve(), back.index(), back.parties()),
                (setup.id(), setup.curve(), setup.index(), setup.parties())
            );
        }
    }
}

#[test]
fn bytes_that_are_no_setup_are_refused() {
    let bytes = TWO.setups[0].to_secret_bytes().unwrap();
    let refused = |bytes: &[u8]| DklsSetup::from_secret_bytes(bytes).unwrap_err();
    let changed = |at: usize, to: u8| {
        let mut changed = bytes.to_vec();
        changed[at] = to;
        refused(&changed)
    };
    assert_eq!(changed(0, 2), DklsSetupError::Version(2));
    for curve in [0, 3] {
        assert!(matches!(changed(1, curve), DklsSetupError::Invalid(_)));
    }
    for len in [0, 1, 2, 34, bytes.len() / 2, bytes.len() - 1] {
        assert!(matches!(refused(&bytes[..len]), DklsSetupError::Invalid(_)));
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(matches!(refused(&longer), DklsSetupError::Invalid(_)));
    let huge = vec![1; 2 << 20];
    assert!(matches!(refused(&huge), DklsSetupError::TooLong(_)));
}

#[test]
fn nothing_secret_is_shown() {
    assert_eq!(format!("{:?}", TWO.setups[0]), "DklsSetup([redacted])");
}

#[track_caller]
fn refused(stage: &Stage, share: &Share, setup: &DklsSetup) {
    let seat = Seat::new(session_id(1), 0, stage.identities.roster.threshold().t()).unwrap();
    let others = (0..seat.parties()).filter(|j| *j != share.index());
    let signers: Vec<u16> = std::iter::once(share.index()).chain(others).collect();
    let path = DerivationPath::root();
    let abort = sign_dkls(seat, share, setup, &signers, &path, &preimage(1))
        .err()
        .expect("refused");
    assert!(matches!(abort.reason, AbortReason::Local { .. }));
}

#[test]
fn a_setup_of_another_key_party_or_committee_is_refused() {
    refused(&TWO, &OTHER[0], &TWO.setups[0]);
    refused(&TWO, &TWO.shares[0], &TWO.setups[1]);
    refused(&TWO, &TWO.shares[0], &THREE.setups[0]);
    refused(&THREE, &THREE.shares[1], &THREE.setups[2]);
}

#[test]
fn a_setup_seats_the_whole_committee_in_its_order() {
    for (me, parties, share) in [(0, 2, 0), (1, 3, 0), (0, 4, 0)] {
        let seat = Seat::new(session_id(1), me, parties).unwrap();
        assert!(dkls_setup(seat, &THREE.shares[share]).is_err());
    }
}

#[test]
fn ed25519_keys_have_no_setup() {
    let shares = committee::shares(&TWO.identities, Curve::Ed25519, 1);
    let seat = Seat::new(session_id(1), 0, 2).unwrap();
    assert!(dkls_setup(seat, &shares[0]).is_err());
}

fn field<'v>(value: &'v mut Value, name: &str) -> &'v mut Value {
    let Value::Map(entries) = value else {
        panic!("{name}: not in a map");
    };
    entries
        .iter_mut()
        .find(|(key, _)| key.as_text() == Some(name))
        .map(|(_, value)| value)
        .unwrap_or_else(|| panic!("no field {name}"))
}

/// The second party's share, as one of a committee that the first has left: points 2 to n.
fn without_the_first(share: &Share) -> Share {
    let bytes = share.to_secret_bytes().unwrap();
    let mut value: Value = ciborium::from_reader(bytes.as_slice()).unwrap();
    *field(&mut value, "i") = Value::from(0);
    let points = field(field(&mut value, "vss_setup"), "I");
    points.as_array_mut().unwrap().remove(0);
    let public_shares = field(&mut value, "public_shares");
    public_shares.as_array_mut().unwrap().remove(0);
    let mut bytes = Vec::new();
    ciborium::into_writer(&value, &mut bytes).unwrap();
    Share::from_secret_bytes(share.curve(), &bytes).unwrap()
}

#[test]
fn evaluation_points_other_than_one_to_n_are_refused() {
    for curve in [Curve::Secp256k1, Curve::P256] {
        let identities = Identities::new(Threshold::new(2, 4).unwrap(), 7);
        let shares = committee::shares(&identities, curve, 1);
        let share = without_the_first(&shares[1]);
        let seat = Seat::new(session_id(1), 0, 3).unwrap();
        let abort = dkls_setup(seat, &share).err().expect("refused");
        assert!(abort.to_string().contains("evaluation points"), "{abort}");
        assert!(abort.culprits.is_empty());
    }
}
