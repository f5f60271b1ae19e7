//! FROST in one round: nonces made ahead, whoever carries the commitments.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where an assumption fails"
)]

use quorate_chain::{CombineError, SigningMessage, TaprootTweak as ChainTweak, combine};
use quorate_mpc_protocol::{
    CeremonyRng, FrostCheck, FrostMessage, FrostNonces, Share, TaprootTweak, child_public_key,
};
use quorate_testkit::committee;
use quorate_testkit::keys::Identities;
use quorate_types::{
    Curve, DerivationPath, NonceCommitments, PartialSignature, PublicKey, SchnorrPartial,
    Signature, Threshold,
};
use rand_core::SeedableRng as _;

/// A message in the forms of both crates.
struct Message {
    frost: FrostMessage,
    chain: SigningMessage,
}

impl Message {
    fn ed25519(bytes: &[u8]) -> Self {
        Self {
            frost: FrostMessage::Ed25519(bytes.to_vec()),
            chain: SigningMessage::Ed25519(bytes.to_vec()),
        }
    }

    fn bip340(message: [u8; 32], tweak: TaprootTweak) -> Self {
        let in_chain = match tweak {
            TaprootTweak::None => ChainTweak::None,
            TaprootTweak::Bip86 => ChainTweak::Bip86,
        };
        Self {
            frost: FrostMessage::Bip340 { message, tweak },
            chain: SigningMessage::Bip340 {
                message,
                tweak: in_chain,
            },
        }
    }
}

struct Scene {
    shares: Vec<Share>,
    rng: CeremonyRng,
    path: DerivationPath,
}

type Issued = Vec<(SchnorrPartial, FrostCheck)>;

impl Scene {
    fn new(t: u16, n: u16, curve: Curve) -> Self {
        let identities = Identities::new(Threshold::new(t, n).unwrap(), 3);
        Self {
            shares: committee::shares(&identities, curve, 4),
            rng: CeremonyRng::from_seed([5; 32]),
            path: "m/1/7".parse().unwrap(),
        }
    }

    fn child(&self) -> PublicKey {
        child_public_key(&self.shares[0], &self.path).unwrap()
    }

    fn nonces(&mut self, signers: &[u16]) -> (Vec<FrostNonces>, Vec<NonceCommitments>) {
        let of =
            |j: &u16| FrostNonces::generate(&self.shares[usize::from(*j)], &mut self.rng).unwrap();
        signers.iter().map(of).unzip()
    }

    fn issue(
        &self,
        signers: &[u16],
        nonces: Vec<FrostNonces>,
        list: &[NonceCommitments],
        message: &Message,
    ) -> Issued {
        let one = |(j, nonces): (&u16, FrostNonces)| {
            let share = &self.shares[usize::from(*j)];
            nonces
                .sign(share, signers, &self.path, list, &message.frost)
                .unwrap()
        };
        signers.iter().zip(nonces).map(one).collect()
    }

    fn sign(&mut self, signers: &[u16], message: &Message) -> Issued {
        let (nonces, list) = self.nonces(signers);
        self.issue(signers, nonces, &list, message)
    }

    fn combine(&self, message: &Message, issued: &Issued) -> Result<Signature, CombineError> {
        let partials: Vec<_> = issued
            .iter()
            .map(|(partial, _)| PartialSignature::Schnorr(*partial))
            .collect();
        combine(&message.chain, &self.child(), &partials)
    }
}

#[test]
fn every_quorum_signs_in_one_round() {
    for (curve, message) in [
        (Curve::Ed25519, Message::ed25519(b"pay")),
        (
            Curve::Secp256k1,
            Message::bip340([9; 32], TaprootTweak::None),
        ),
        (
            Curve::Secp256k1,
            Message::bip340([9; 32], TaprootTweak::Bip86),
        ),
    ] {
        let mut scene = Scene::new(3, 5, curve);
        for signers in [[0, 1, 2], [4, 0, 2], [3, 4, 1]] {
            // Often enough for both signs of every point that BIP-340 leaves out.
            for _ in 0..8 {
                let issued = scene.sign(&signers, &message);
                scene.combine(&message, &issued).unwrap();
            }
        }
    }
}

#[test]
fn a_wrong_share_names_its_signer_alone() {
    for (curve, message) in [
        (Curve::Ed25519, Message::ed25519(b"pay")),
        (
            Curve::Secp256k1,
            Message::bip340([9; 32], TaprootTweak::Bip86),
        ),
    ] {
        let mut scene = Scene::new(3, 5, curve);
        let mut issued = scene.sign(&[4, 0, 2], &message);
        // A low byte in either order, so that it stays below the group order.
        let low = if curve == Curve::Ed25519 { 0 } else { 31 };
        issued[1].0.share[low] ^= 1;
        scene.combine(&message, &issued).unwrap_err();
        for (_, check) in &issued {
            let right: Vec<bool> = (0..4)
                .map(|seat| {
                    let of = issued.get(seat).unwrap_or(&issued[0]);
                    check.is_right(seat, &of.0)
                })
                .collect();
            assert_eq!(right, [true, false, true, false]);
        }
        let mut point = issued[0].0;
        point.nonce_point[7] ^= 1;
        assert!(!issued[0].1.is_right(0, &point));
        // Another's share does not pass as one's own.
        assert!(!issued[0].1.is_right(0, &issued[2].0));
    }
}

#[test]
fn a_carrier_that_shows_everybody_another_list_gets_no_signature() {
    let message = Message::ed25519(b"pay");
    let mut scene = Scene::new(2, 3, Curve::Ed25519);
    let (mut nonces, list) = scene.nonces(&[0, 1]);
    let (_, other) = scene.nonces(&[0, 1]);
    // To the second signer the first one's are others.
    let swapped = [other[0].clone(), list[1].clone()];
    let second = nonces.pop().unwrap();
    let first = nonces.pop().unwrap();
    let sign = |j: usize, nonces: FrostNonces, list: &[NonceCommitments]| {
        nonces.sign(&scene.shares[j], &[0, 1], &scene.path, list, &message.frost)
    };
    let issued = vec![
        sign(0, first, &list).unwrap(),
        sign(1, second, &swapped).unwrap(),
    ];
    assert_eq!(
        scene.combine(&message, &issued).unwrap_err(),
        CombineError::NoncePoints
    );
}

#[test]
fn nonces_sign_for_nothing_but_what_they_are_for() {
    let message = Message::ed25519(b"pay");
    let mut scene = Scene::new(2, 3, Curve::Ed25519);
    let path = scene.path.clone();
    let taproot = Message::bip340([9; 32], TaprootTweak::None);
    let others = scene.nonces(&[0, 1]).1;
    let mut refused =
        |signers: &[u16], message: &Message, edit: &dyn Fn(&mut Vec<NonceCommitments>)| {
            let (mut nonces, mut list) = scene.nonces(&[0, 1]);
            edit(&mut list);
            let share = &scene.shares[0];
            nonces
                .remove(0)
                .sign(share, signers, &path, &list, &message.frost)
                .map(|_| ())
        };
    refused(&[0, 1], &message, &|_| {}).unwrap();
    // Another scheme, a quorum that is none, or not this party's.
    refused(&[0, 1], &taproot, &|_| {}).unwrap_err();
    for signers in [&[1, 2][..], &[0], &[0, 0], &[0, 7]] {
        refused(signers, &message, &|_| {}).unwrap_err();
    }
    // Somebody else's in this party's place, one too few or too many.
    refused(&[0, 1], &message, &|list| list[0] = others[0].clone()).unwrap_err();
    refused(&[0, 1], &message, &|list| list.truncate(1)).unwrap_err();
    refused(&[0, 1], &message, &|list| list.push(others[1].clone())).unwrap_err();
    // In the other's place no points at all, and the neutral element.
    let mut neutral = vec![0; 32];
    neutral[0] = 1;
    for bytes in [vec![], vec![0xff; 32], vec![2; 4096], neutral] {
        refused(&[0, 1], &message, &|list| {
            list[1].hiding.clone_from(&bytes);
        })
        .unwrap_err();
        refused(&[0, 1], &message, &|list| {
            list[1].binding.clone_from(&bytes);
        })
        .unwrap_err();
    }
}
