//! T09: nobody chooses its contribution after seeing those of others: openings must fit commitments that were echoed before.

use quorate_testkit::malicious::{Protocol, Recording, readdressed, with_payload};
use quorate_testkit::sim::Ending;
use quorate_types::Curve;

use crate::{CHEAT, THREE, all_name_the_cheat};

const COMMIT: u16 = 0;
const OPEN: u16 = 1;
const PROVE: u16 = 3;
const VICTIM: u16 = 0;

const COMMITTED: [Protocol; 4] = [
    Protocol::Keygen(Curve::Secp256k1),
    Protocol::Keygen(Curve::P256),
    Protocol::Keygen(Curve::Ed25519),
    Protocol::Aux,
];

#[test]
fn t09_an_opening_changed_after_the_commitment_is_refused_and_its_sender_named() {
    for protocol in COMMITTED {
        let other_choice = THREE.record(protocol, 70, 71);
        let mut simulation = THREE
            .simulation(protocol, 70, 70)
            .with_meddler(CHEAT, |to, m| {
                let other = other_choice.payload(CHEAT, m.round, to).to_vec();
                let changed = m.round == OPEN;
                Some(if changed {
                    with_payload(m, other)
                } else {
                    m.clone()
                })
            });
        simulation.run();
        all_name_the_cheat(simulation.endings());
    }
}

/// The cheat, last to speak, copies the victim's messages of the given rounds, and echoes what the others will echo.
fn copying(protocol: Protocol, rounds: &[u16]) -> Vec<Ending> {
    let victims = THREE.record(protocol, 72, 72);
    let rehearsal = |echo: Option<&Recording>| {
        let mut simulation = THREE
            .simulation(protocol, 72, 72)
            .with_meddler(CHEAT, |_, m| {
                let source = if rounds.contains(&m.round) {
                    Some(&victims)
                } else if m.round == protocol.echo_round() {
                    echo
                } else {
                    None
                };
                let copied = source.map(|s| readdressed(&m.payload, s.payload(VICTIM, m.round, 2)));
                Some(copied.map_or_else(|| m.clone(), |payload| with_payload(m, payload)))
            });
        simulation.run();
        let sent = Recording::of(&simulation);
        // Its own ceremony may have noticed the lie and stopped.
        for (round, to) in protocol.rounds().iter().flat_map(|r| [(*r, 0), (*r, 2)]) {
            if sent.find(CHEAT, round, to).is_none() {
                let mut forged = victims.find(CHEAT, round, to).unwrap().clone();
                if rounds.contains(&round) {
                    let copied = victims.payload(VICTIM, round, 2);
                    forged.message.payload = readdressed(&forged.message.payload, copied);
                }
                simulation.inject(forged);
            }
        }
        simulation.drain();
        (sent, simulation.endings())
    };
    let (heard, _) = rehearsal(None);
    rehearsal(Some(&heard)).1
}

#[test]
fn t09_a_copied_commitment_and_opening_are_refused_and_the_copier_named() {
    for protocol in COMMITTED {
        all_name_the_cheat(copying(protocol, &[COMMIT, OPEN]));
        all_name_the_cheat(copying(protocol, &[COMMIT]));
        all_name_the_cheat(copying(protocol, &[OPEN]));
    }
}

#[test]
fn t09_a_copied_or_false_schnorr_proof_is_refused_and_its_sender_named() {
    for protocol in &COMMITTED[..3] {
        all_name_the_cheat(copying(*protocol, &[PROVE]));
    }
}

#[test]
fn t09_with_nothing_copied_everyone_finishes() {
    for protocol in COMMITTED {
        for ending in copying(protocol, &[]) {
            let _ = ending.done();
        }
    }
}
