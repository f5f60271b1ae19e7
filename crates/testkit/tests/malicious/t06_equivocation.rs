//! T06: a party that broadcasts different things to different peers is noticed, and two honest parties' evidence convicts it.

use quorate_mpc_protocol::{Abort, AbortReason, Seat};
use quorate_testkit::malicious::{Protocol, opening_messages};
use quorate_testkit::sim::session_id;
use quorate_types::{Equivocation, Hash32, PartyId};

use crate::{CHEAT, THREE, honest_aborts};

/// Seat 2 gets the first messages of a second ceremony that the cheat runs beside its own.
fn equivocate(protocol: Protocol) -> Vec<Abort> {
    let seat = Seat::new(session_id(40), CHEAT, 3).unwrap();
    let mut twin = THREE.ceremony(protocol, seat, 41);
    let openings = opening_messages(twin.as_mut());
    let mut simulation = THREE
        .simulation(protocol, 40, 40)
        .with_meddler(CHEAT, move |to, m| {
            let twins = openings
                .iter()
                .find(|o| to == 2 && (o.to, o.round) == (m.to, m.round));
            Some(twins.unwrap_or(m).clone())
        });
    simulation.run();
    honest_aborts(simulation.endings())
}

fn cheat(protocol: Protocol) -> &'static PartyId {
    let party = THREE.party(protocol, CHEAT);
    &THREE.identities.roster.parties()[party].id
}

#[test]
fn t06_an_equivocator_is_noticed_by_all_and_convicted_by_two() {
    for protocol in Protocol::ALL {
        let aborts = equivocate(protocol);
        let [first, second] = aborts.as_slice() else {
            panic!("two honest parties");
        };
        for abort in [first, second] {
            let unreliable = AbortReason::UnreliableBroadcast { round: 0 };
            assert_eq!(abort.reason, unreliable, "{protocol:?}");
            assert!(abort.culprits.is_empty(), "one view alone proves nothing");
        }
        let roster = &THREE.identities.roster;
        let proof = Equivocation::find(roster, &first.evidence, &second.evidence);
        let proof = proof.expect("the two views conflict");
        assert!(proof.verify(roster));
        assert_eq!(proof.culprit(), cheat(protocol));
        assert_eq!(
            Equivocation::find(roster, &first.evidence, &first.evidence),
            None
        );
    }
}

#[test]
fn t06_forged_statements_prove_nothing() {
    let roster = &THREE.identities.roster;
    for protocol in Protocol::ALL {
        let aborts = equivocate(protocol);
        for honest in &aborts[0].evidence {
            let mut forged = honest.clone();
            forged.statement.commitment = Hash32::from_bytes([1; 32]);
            let list = [forged.clone()];
            assert_eq!(Equivocation::find(roster, &aborts[0].evidence, &list), None);
            assert_eq!(Equivocation::find(roster, &list, &aborts[0].evidence), None);
            let claim = Equivocation {
                first: honest.clone(),
                second: forged,
            };
            assert!(!claim.verify(roster));
        }
    }
}

#[test]
fn t06_a_signature_of_the_accuser_does_not_frame_the_accused() {
    use ed25519_dalek::Signer as _;
    use quorate_types::canonical::Canonical as _;
    let roster = &THREE.identities.roster;
    let aborts = equivocate(Protocol::Ed25519);
    for honest in &aborts[0].evidence {
        let mut forged = honest.clone();
        forged.statement.commitment = Hash32::from_bytes([1; 32]);
        let accuser = THREE
            .identities
            .parties
            .iter()
            .zip(roster.parties())
            .find(|(_, entry)| entry.id != honest.statement.sender)
            .map(|(key, _)| key)
            .unwrap();
        forged.signature = accuser.sign(&forged.statement.signing_bytes()).to_bytes();
        assert_eq!(
            Equivocation::find(roster, std::slice::from_ref(honest), &[forged]),
            None
        );
    }
}

#[test]
fn t06_statements_of_different_places_do_not_conflict() {
    let roster = &THREE.identities.roster;
    for protocol in Protocol::ALL {
        let evidence = equivocate(protocol).remove(0).evidence;
        for a in &evidence {
            for b in &evidence {
                let claim = Equivocation {
                    first: a.clone(),
                    second: b.clone(),
                };
                assert!(!claim.verify(roster), "{protocol:?}");
            }
        }
    }
}

#[test]
fn t06_without_equivocation_everyone_finishes() {
    for protocol in Protocol::ALL {
        let mut simulation = THREE.simulation(protocol, 40, 40);
        simulation.run();
        for ending in simulation.endings() {
            let _ = ending.done();
        }
    }
}
