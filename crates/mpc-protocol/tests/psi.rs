//! Both range proofs of CGGMP24's first round are checked, although the pinned library looks at one of them at a time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: a failed assumption should stop the test where it happens"
)]

use cggmp24::backend::Integer;
use cggmp24::signing::msg::{Msg, MsgRound1b};
use generic_ec::curves::Secp256k1;
use quorate_mpc_protocol::Outgoing;
use quorate_testkit::committee::{self, Signing};
use quorate_testkit::keys::Identities;
use quorate_testkit::sim::Ending;
use quorate_types::{Curve, DerivationPath, Threshold};
use sha2::Sha256;

type Library = Msg<Secp256k1, Sha256>;
type Proofs = MsgRound1b<Secp256k1>;

/// Round 1b, the proofs.
const PROOFS: u16 = 1;
/// Every payload begins with the hash of its place.
const PLACE: usize = 32;

/// How a signing ends for party 0 when party 1 changes its proofs so.
fn ends_after(change: impl Fn(&mut Proofs)) -> Ending {
    let identities = Identities::new(Threshold::new(2, 2).unwrap(), 5);
    let shares = committee::shares(&identities, Curve::Secp256k1, 1);
    let aux = committee::aux(&identities, 2);
    let (path, message) = (
        DerivationPath::root(),
        Signing::Ecdsa(committee::preimage(9)),
    );
    let mut simulation =
        committee::signing_simulation(&identities, &shares, &aux, &[0, 1], &path, &message, 3)
            .with_meddler(1, |_, outgoing| Some(changed(outgoing, &change)));
    simulation.run();
    simulation.endings().remove(0)
}

fn changed(outgoing: &Outgoing, change: impl Fn(&mut Proofs)) -> Outgoing {
    let mut outgoing = outgoing.clone();
    if outgoing.round == PROOFS {
        let (place, encoded) = outgoing.payload.split_at(PLACE);
        let Library::Round1b(mut proofs) = postcard::from_bytes(encoded).unwrap() else {
            panic!("round {PROOFS} has another message")
        };
        change(&mut proofs);
        let encoded = postcard::to_stdvec(&Library::Round1b(proofs)).unwrap();
        outgoing.payload = [place, &encoded].concat();
    }
    outgoing
}

#[track_caller]
fn convicted(change: impl Fn(&mut Proofs)) {
    assert_eq!(ends_after(change).abort().culprits, [1]);
}

#[test]
fn unchanged_proofs_are_accepted() {
    let _ = ends_after(|_| {}).done();
}

#[test]
fn a_false_psi0_beside_a_true_psi1_convicts() {
    convicted(|proofs| proofs.psi0.proof.z1 = &proofs.psi0.proof.z1 + Integer::one());
}

#[test]
fn a_false_psi1_beside_a_true_psi0_convicts() {
    convicted(|proofs| proofs.psi1.proof.z1 = &proofs.psi1.proof.z1 + Integer::one());
}

#[test]
fn a_true_psi1_in_the_place_of_psi0_too_convicts() {
    convicted(|proofs| proofs.psi0 = proofs.psi1.clone());
}

#[test]
fn proofs_that_changed_places_convict() {
    convicted(|proofs| std::mem::swap(&mut proofs.psi0, &mut proofs.psi1));
}
