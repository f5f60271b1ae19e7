//! Without misbehaviour: signatures pass a verifier that the protocol does not sign with, under the keys CGGMP24 signs for.

use quorate_mpc_protocol::{Share, child_public_key, max_message_len};
use quorate_testkit::committee::{self, Signing, preimage, signature_of};
use quorate_testkit::dkls::{self, Protocol};
use quorate_testkit::keys::Identities;
use quorate_testkit::sim::{Faults, Simulation};
use quorate_testkit::verify;
use quorate_types::{Curve, DerivationPath, Signature, Threshold};

use crate::{THREE, TWO};

fn cluster(t: u16, n: u16) -> Identities {
    Identities::new(Threshold::new(t, n).unwrap(), 7)
}

fn signature(mut simulation: Simulation<'_>) -> Signature {
    simulation.run();
    let endings = simulation.endings();
    let signature = signature_of(&endings);
    for ending in endings {
        let _ = ending.done();
    }
    signature.unwrap()
}

#[track_caller]
fn assert_valid(share: &Share, path: &DerivationPath, hash: &[u8; 32], signature: &Signature) {
    let child = child_public_key(share, path).unwrap();
    assert!(verify::is_valid(&child, hash, signature));
    let mut other = *hash;
    other[0] ^= 1;
    assert!(!verify::is_valid(&child, &other, signature));
}

fn every_quorum_signs(t: u16, n: u16, curve: Curve, quorums: &[&[u16]]) {
    let identities = cluster(t, n);
    let shares = committee::shares(&identities, curve, 1);
    let setups = dkls::setups(&identities, &shares, 2);
    assert!(setups.iter().all(|s| s.id() == setups[0].id()));
    for (path, seed) in ["m", "m/0/7"].into_iter().zip(0u8..) {
        let path: DerivationPath = path.parse().unwrap();
        for (quorum, number) in quorums.iter().zip(0u8..) {
            let message = preimage(u64::from(number.wrapping_mul(31) ^ seed));
            let simulation = dkls::signing_simulation(
                &identities,
                &shares,
                &setups,
                quorum,
                &path,
                &message,
                u64::from(number) + 10,
            );
            assert_valid(&shares[0], &path, message.digest(), &signature(simulation));
        }
    }
}

#[test]
fn two_of_two_sign() {
    for curve in [Curve::Secp256k1, Curve::P256] {
        every_quorum_signs(2, 2, curve, &[&[0, 1], &[1, 0]]);
    }
}

#[test]
fn every_two_of_three_sign() {
    for curve in [Curve::Secp256k1, Curve::P256] {
        every_quorum_signs(2, 3, curve, &[&[0, 1], &[0, 2], &[1, 2], &[2, 0], &[2, 1]]);
    }
}

#[test]
fn three_of_five_sign() {
    every_quorum_signs(3, 5, Curve::Secp256k1, &[&[0, 2, 4], &[4, 1, 3]]);
}

/// A key changes its protocol and back, and its address never.
#[test]
fn a_share_signs_with_either_protocol() {
    let identities = cluster(2, 2);
    let shares = committee::shares(&identities, Curve::Secp256k1, 1);
    let aux = committee::aux(&identities, 2);
    let path: DerivationPath = "m/1/2".parse().unwrap();
    let signers = [1, 0];
    let cggmp = |number: u64, seed| {
        let hash = *preimage(number).digest();
        let message = Signing::Ecdsa(preimage(number));
        let simulation = committee::signing_simulation(
            &identities,
            &shares,
            &aux,
            &signers,
            &path,
            &message,
            seed,
        );
        assert_valid(&shares[0], &path, &hash, &signature(simulation));
    };
    cggmp(1, 10);
    let setups = dkls::setups(&identities, &shares, 11);
    let message = preimage(2);
    let simulation =
        dkls::signing_simulation(&identities, &shares, &setups, &signers, &path, &message, 12);
    assert_valid(&shares[0], &path, message.digest(), &signature(simulation));
    cggmp(3, 13);
}

/// Late, doubled and out of order, every message is taken once.
#[test]
fn an_unruly_network_changes_nothing() {
    let faults = Faults {
        lose: 0,
        corrupt: 0,
        ..Faults::HOSTILE
    };
    for seed in 0..20 {
        for protocol in Protocol::ALL {
            // A setup takes a second.
            if protocol == Protocol::Setup && seed >= 3 {
                continue;
            }
            let mut simulation = THREE.simulation(protocol, seed).with_faults(faults);
            simulation.run();
            for (ending, seat) in simulation.endings().into_iter().zip(0..) {
                let done = matches!(ending, quorate_testkit::sim::Ending::Done(_));
                assert!(done, "{protocol:?} seed {seed} seat {seat}: {ending:?}");
            }
        }
    }
}

/// The sizes that the documentation states, whatever the committee, and far enough below the limits.
#[test]
fn messages_have_the_sizes_documented() {
    for stage in [&TWO, &THREE] {
        for protocol in Protocol::ALL {
            let mut simulation = stage.simulation(protocol, 40);
            simulation.run();
            for sent in simulation.transcript() {
                let documented = match (protocol, sent.message.round) {
                    (Protocol::Setup, 0) => 131,
                    (Protocol::Setup, _) => 147_826,
                    (Protocol::Sign, 0) => 26_785,
                    (Protocol::Sign, 1) => 100,
                    (Protocol::Sign, 2) => 55_419,
                    (Protocol::Sign, _) => 130,
                };
                let len = sent.message.payload.len();
                assert_eq!(len, documented, "{protocol:?} round {}", sent.message.round);
                assert!(len <= max_message_len(protocol.kind()));
            }
        }
    }
}
