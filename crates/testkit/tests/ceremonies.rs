//! Every ceremony without faults: results agree and pass verifiers that the protocols do not sign with.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where an assumption fails"
)]

use quorate_mpc_protocol::{FrostMessage, Share, TaprootTweak, child_public_key};
use quorate_testkit::committee::{self, Signing, preimage, signature_of};
use quorate_testkit::keys::Identities;
use quorate_testkit::verify;
use quorate_types::{Curve, DerivationPath, PublicKey, Threshold};

fn cluster(t: u16, n: u16) -> Identities {
    Identities::new(Threshold::new(t, n).unwrap(), 7)
}

fn sign(
    identities: &Identities,
    shares: &[Share],
    aux: &[quorate_mpc_protocol::Aux],
    signers: &[u16],
    path: &DerivationPath,
    message: &Signing,
) -> quorate_types::Signature {
    let mut simulation =
        committee::signing_simulation(identities, shares, aux, signers, path, message, 99);
    simulation.run();
    let endings = simulation.endings();
    let signature = signature_of(&endings);
    for ending in endings {
        let _ = ending.done();
    }
    signature.unwrap()
}

fn verification_key(child: &PublicKey, message: &Signing) -> (PublicKey, Vec<u8>) {
    match message {
        Signing::Ecdsa(message) => (child.clone(), message.digest().to_vec()),
        Signing::Frost(FrostMessage::Ed25519(bytes)) => (child.clone(), bytes.clone()),
        Signing::Frost(FrostMessage::Bip340 { message, tweak }) => match tweak {
            TaprootTweak::None => (child.clone(), message.to_vec()),
            TaprootTweak::Bip86 => (verify::bip86_output_key(child), message.to_vec()),
        },
    }
}

/// One body for every curve and scheme, and every signer set named.
fn every_quorum_signs(t: u16, n: u16, curve: Curve, messages: &[Signing], quorums: &[Vec<u16>]) {
    let identities = cluster(t, n);
    let shares = committee::shares(&identities, curve, 1);
    let root = shares[0].public_key().unwrap();
    assert!(
        shares
            .iter()
            .all(|s| s.public_key().as_ref() == Some(&root))
    );
    assert!(
        shares
            .iter()
            .all(|s| s.chain_code() == shares[0].chain_code())
    );
    let needs_aux = messages.iter().any(|m| matches!(m, Signing::Ecdsa(_)));
    let aux = if needs_aux {
        committee::aux(&identities, 2)
    } else {
        Vec::new()
    };
    for path in ["m", "m/0/7"] {
        let path: DerivationPath = path.parse().unwrap();
        let child = child_public_key(&shares[0], &path).unwrap();
        for (quorum, message) in quorums
            .iter()
            .flat_map(|q| messages.iter().map(move |m| (q, m)))
        {
            let signature = sign(&identities, &shares, &aux, quorum, &path, message);
            let (key, bytes) = verification_key(&child, message);
            assert!(
                verify::is_valid(&key, &bytes, &signature),
                "{curve} {path} {quorum:?}"
            );
            let mut other = bytes.clone();
            other[0] ^= 1;
            assert!(
                !verify::is_valid(&key, &other, &signature),
                "verifier accepts anything"
            );
        }
    }
}

fn pairs_of_three() -> Vec<Vec<u16>> {
    vec![vec![0, 1], vec![0, 2], vec![1, 2], vec![2, 0]]
}

#[test]
fn ecdsa_secp256k1_2_of_3() {
    every_quorum_signs(
        2,
        3,
        Curve::Secp256k1,
        &[Signing::Ecdsa(preimage(0x5a))],
        &pairs_of_three(),
    );
}

#[test]
fn ecdsa_p256_2_of_3() {
    every_quorum_signs(
        2,
        3,
        Curve::P256,
        &[Signing::Ecdsa(preimage(0x77))],
        &pairs_of_three()[..2],
    );
}

#[test]
fn ecdsa_secp256k1_3_of_5() {
    every_quorum_signs(
        3,
        5,
        Curve::Secp256k1,
        &[Signing::Ecdsa(preimage(3))],
        &[vec![0, 2, 4]],
    );
}

#[test]
fn eddsa_2_of_3_and_3_of_5() {
    let message = [Signing::Frost(FrostMessage::Ed25519(
        b"a solana message".to_vec(),
    ))];
    every_quorum_signs(2, 3, Curve::Ed25519, &message, &pairs_of_three());
    every_quorum_signs(
        3,
        5,
        Curve::Ed25519,
        &message,
        &[vec![0, 2, 4], vec![4, 1, 3]],
    );
}

#[test]
fn bip340_2_of_3_and_3_of_5_with_and_without_tweak() {
    let message = |tweak| {
        Signing::Frost(FrostMessage::Bip340 {
            message: [9; 32],
            tweak,
        })
    };
    let messages = [message(TaprootTweak::None), message(TaprootTweak::Bip86)];
    every_quorum_signs(2, 3, Curve::Secp256k1, &messages, &pairs_of_three());
    every_quorum_signs(
        3,
        5,
        Curve::Secp256k1,
        &messages,
        &[vec![0, 2, 4], vec![4, 1, 3]],
    );
}

#[test]
fn bip340_works_for_keys_of_either_parity() {
    let identities = cluster(2, 2);
    let mut seen = [false; 2];
    for seed in 0..16 {
        let shares = committee::shares(&identities, Curve::Secp256k1, seed);
        let root = shares[0].public_key().unwrap();
        seen[usize::from(root.as_bytes()[0] - 2)] = true;
        let message = Signing::Frost(FrostMessage::Bip340 {
            message: [1; 32],
            tweak: TaprootTweak::Bip86,
        });
        let signature = sign(
            &identities,
            &shares,
            &[],
            &[0, 1],
            &DerivationPath::root(),
            &message,
        );
        assert!(verify::is_valid(
            &verify::bip86_output_key(&root),
            &[1; 32],
            &signature
        ));
    }
    assert_eq!(seen, [true, true]);
}

#[test]
fn dkg_runs_for_every_threshold_up_to_fifteen() {
    for (t, n) in [(2, 2), (2, 15), (8, 15), (15, 15), (4, 9)] {
        let identities = cluster(t, n);
        for curve in Curve::ALL {
            let shares = committee::shares(&identities, *curve, 3);
            assert_eq!(shares.len(), usize::from(n));
            let root = shares[0].public_key();
            assert!(root.is_some() && shares.iter().all(|s| s.public_key() == root));
        }
    }
}

#[test]
fn a_share_survives_its_encoding() {
    let identities = cluster(2, 3);
    for curve in Curve::ALL {
        for share in committee::shares(&identities, *curve, 5) {
            let bytes = share.to_secret_bytes().unwrap();
            let back = Share::from_secret_bytes(*curve, &bytes).unwrap();
            assert_eq!(back.public_key(), share.public_key());
            assert_eq!(back.index(), share.index());
            let other = if *curve == Curve::P256 {
                Curve::Ed25519
            } else {
                Curve::P256
            };
            assert!(
                Share::from_secret_bytes(other, &bytes).is_err(),
                "curve is bound"
            );
        }
    }
}
