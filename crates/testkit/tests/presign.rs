//! Presignatures: made without a message, used for one, and a wrong partial signature names its signer.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where an assumption fails"
)]

use std::cell::Cell;
use std::rc::Rc;

use quorate_chain::{CombineError, SigningMessage};
use quorate_mpc_protocol::{
    Abort, Aux, DangerTestLevel, Outcome, PartialCheck, Presignature, Share, child_public_key,
    presign,
};
use quorate_testkit::committee::{self, preimage};
use quorate_testkit::keys::Identities;
use quorate_testkit::sim::{Simulation, ceremony_rng, session_id};
use quorate_testkit::verify;
use quorate_types::{
    CeremonyKind, Curve, DerivationPath, EcdsaPartial, HashAlgorithm, PartialSignature, Preimage,
    PublicKey, Signature, Threshold,
};

fn combine(
    message: &SigningMessage,
    child: &PublicKey,
    partials: &[EcdsaPartial],
) -> Result<Signature, CombineError> {
    let partials: Vec<_> = partials
        .iter()
        .copied()
        .map(PartialSignature::Ecdsa)
        .collect();
    quorate_chain::combine(message, child, &partials)
}

struct Cluster {
    identities: Identities,
    shares: Vec<Share>,
    aux: Vec<Aux>,
}

impl Cluster {
    fn new(t: u16, n: u16, curve: Curve) -> Self {
        let identities = Identities::new(Threshold::new(t, n).unwrap(), 7);
        Self {
            shares: committee::shares(&identities, curve, 1),
            aux: committee::aux(&identities, 2),
            identities,
        }
    }

    fn presign(&self, signers: &[u16], path: &DerivationPath, seed: u64) -> Vec<Presignature> {
        committee::presignatures(committee::presigning_simulation(
            &self.identities,
            &self.shares,
            &self.aux,
            signers,
            path,
            seed,
        ))
    }

    fn child(&self, path: &DerivationPath) -> PublicKey {
        child_public_key(&self.shares[0], path).unwrap()
    }
}

fn issue(all: Vec<Presignature>, message: &Preimage) -> (Vec<EcdsaPartial>, Vec<PartialCheck>) {
    let issued = all.into_iter().map(|one| one.issue(message).unwrap());
    issued.unzip()
}

#[test]
fn presignatures_sign_for_every_quorum_child_and_hash() {
    let algorithms = [
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha256d,
        HashAlgorithm::Keccak256,
    ];
    let quorums: [&[u16]; 4] = [&[0, 1], &[0, 2], &[1, 2], &[2, 0]];
    for curve in [Curve::Secp256k1, Curve::P256] {
        let cluster = Cluster::new(2, 3, curve);
        for (seed, signers) in (10..).zip(quorums) {
            let path: DerivationPath = ["m", "m/0/7"][(seed % 2) as usize].parse().unwrap();
            let child = cluster.child(&path);
            for algorithm in algorithms {
                let message = Preimage::new(algorithm, b"pay".to_vec());
                let (partials, checks) = issue(cluster.presign(signers, &path, seed), &message);
                let hash = *message.digest();
                let signature =
                    combine(&SigningMessage::Ecdsa(message), &child, &partials).unwrap();
                assert!(
                    verify::is_valid(&child, &hash, &signature),
                    "{curve} {signers:?}"
                );
                for check in &checks {
                    assert!(
                        (0..)
                            .zip(&partials)
                            .all(|(seat, p)| check.is_right(seat, p))
                    );
                }
            }
        }
    }
}

#[test]
fn presignatures_of_three_of_five_sign() {
    let cluster = Cluster::new(3, 5, Curve::Secp256k1);
    let path = DerivationPath::root();
    let message = preimage(1);
    let (partials, _) = issue(cluster.presign(&[4, 0, 2], &path, 3), &message);
    let child = cluster.child(&path);
    combine(&SigningMessage::Ecdsa(message), &child, &partials).unwrap();
}

/// ePrint 2021/060, figure 8: `sigma_j * Gamma = m * Delta_j + r * S_j`, per signer.
#[test]
fn a_wrong_partial_signature_names_its_signer() {
    let cluster = Cluster::new(3, 3, Curve::Secp256k1);
    let path = DerivationPath::root();
    let child = cluster.child(&path);
    let message = preimage(1);
    let (good, checks) = issue(cluster.presign(&[0, 1, 2], &path, 4), &message);
    let (other_message, _) = issue(cluster.presign(&[0, 1, 2], &path, 4), &preimage(2));
    let (other_session, _) = issue(cluster.presign(&[0, 1, 2], &path, 5), &message);
    let mut off_by_one = good[1];
    off_by_one.sigma[31] ^= 1;
    let mut too_large = good[1];
    too_large.sigma = [0xff; 32];
    let mut other_point = good[1];
    other_point.nonce_point[0] ^= 1;
    let lies = [
        off_by_one,
        too_large,
        other_point,
        other_message[1],
        other_session[1],
        good[0],
    ];
    for lie in lies {
        let partials = [good[0], lie, good[2]];
        combine(&SigningMessage::Ecdsa(message.clone()), &child, &partials).unwrap_err();
        for check in &checks {
            let right: Vec<_> = (0..)
                .zip(&partials)
                .map(|(s, p)| check.is_right(s, p))
                .collect();
            assert_eq!(right, [true, false, true], "{lie:?}");
        }
    }
    assert!(!checks[0].is_right(3, &good[0]));
}

#[test]
fn partial_signatures_that_do_not_belong_together_are_not_combined() {
    let cluster = Cluster::new(2, 2, Curve::P256);
    let path = DerivationPath::root();
    let child = cluster.child(&path);
    let message = preimage(1);
    let (one, _) = issue(cluster.presign(&[0, 1], &path, 6), &message);
    let (two, _) = issue(cluster.presign(&[0, 1], &path, 7), &message);
    let message = SigningMessage::Ecdsa(message);
    let mixed = combine(&message, &child, &[one[0], two[1]]);
    assert_eq!(mixed, Err(CombineError::NoncePoints));
    assert_eq!(combine(&message, &child, &[]), Err(CombineError::Nothing));
    combine(&message, &child, &one[..1]).unwrap_err();
    combine(&message, &cluster.child(&"m/1".parse().unwrap()), &one).unwrap_err();
    combine(&message, &child, &one).unwrap();
}

#[test]
fn a_stored_presignature_is_the_same_and_anything_else_is_refused() {
    for curve in [Curve::Secp256k1, Curve::P256] {
        let cluster = Cluster::new(2, 2, curve);
        let path = DerivationPath::root();
        let message = preimage(1);
        let stored: Vec<_> = cluster
            .presign(&[0, 1], &path, 8)
            .into_iter()
            .map(|p| p.to_secret_bytes().unwrap())
            .collect();
        for cut in [0, 1, stored[0].len() - 1] {
            Presignature::from_secret_bytes(&stored[0][..cut]).unwrap_err();
        }
        let longer = [&stored[0][..], &[0]].concat();
        Presignature::from_secret_bytes(&longer).unwrap_err();
        let read = stored
            .iter()
            .map(|bytes| Presignature::from_secret_bytes(bytes).unwrap());
        let (partials, _) = issue(read.collect(), &message);
        combine(
            &SigningMessage::Ecdsa(message),
            &cluster.child(&path),
            &partials,
        )
        .unwrap();
    }
}

#[test]
fn the_largest_presignature_can_be_stored() {
    let cluster = Cluster::new(7, 7, Curve::Secp256k1);
    let signers: Vec<u16> = (0..7).collect();
    for presignature in cluster.presign(&signers, &DerivationPath::root(), 9) {
        let len = presignature.to_secret_bytes().unwrap().len();
        // Fifteen signers take about twice that, well within the limit of 4 KiB.
        assert!(len < 1536, "{len}");
    }
}

/// A thread in the background steps aside between long computations, and may end there: without such places it would compute for as long as a step
/// takes.
#[test]
fn presigning_pauses_between_long_computations_and_may_end_there() {
    let cluster = Cluster::new(2, 2, Curve::Secp256k1);
    let (seats, root) = ([0, 1], DerivationPath::root());
    let paused = |allowed: u32| {
        let pauses = [0, 1].map(|_| Rc::new(Cell::new(0u32)));
        let mut simulation = Simulation::new(
            &cluster.identities,
            CeremonyKind::Presign,
            &seats,
            session_id(9),
            9,
            |seat| {
                let me = usize::from(seat.me());
                let rng = ceremony_rng(9, seat.me());
                let (share, aux) = (&cluster.shares[me], cluster.aux[me].ready().unwrap());
                let mut ceremony =
                    presign::<DangerTestLevel>(seat, share, &aux, &seats, &root, rng)?;
                let seen = Rc::clone(&pauses[me]);
                ceremony.between_computations(Box::new(move || {
                    seen.set(seen.get() + 1);
                    seen.get() <= allowed
                }));
                Ok(ceremony)
            },
        );
        simulation.run();
        (simulation.endings(), pauses.map(|seen| seen.get()))
    };
    let (endings, pauses) = paused(u32::MAX);
    for ending in endings {
        assert!(matches!(ending.done(), Outcome::Presignature(_)));
    }
    assert!(pauses.iter().all(|seen| *seen >= 4), "{pauses:?}");
    let (endings, pauses) = paused(2);
    for ending in endings {
        assert_eq!(ending.abort(), Abort::gave_way());
    }
    assert_eq!(pauses, [3, 3]);
}
