//! Makes `fixtures/aux-3.txt`, the auxiliary information of a committee of three at the production level:
//! `make-test-aux > fixtures/aux-3.txt`.

use quorate_mpc_protocol::{Outcome, Production, aux_info};
use quorate_testkit::keys::Identities;
use quorate_testkit::primes;
use quorate_testkit::sim::{Simulation, ceremony_rng, session_id};
use quorate_types::{CeremonyKind, Threshold};

const SEED: u64 = 1;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let identities = Identities::new(Threshold::new(2, 3)?, SEED);
    let mut simulation = Simulation::new(
        &identities,
        CeremonyKind::Aux,
        &[0, 1, 2],
        session_id(SEED),
        SEED,
        |seat| {
            let rng = ceremony_rng(SEED, seat.me());
            aux_info::<Production>(seat.clone(), primes::full(seat.me()), rng)
        },
    );
    simulation.run();
    for ending in simulation.endings() {
        match ending.done() {
            Outcome::Aux(aux) => println!("{}", hex::encode(aux.as_secret_bytes())),
            other => return Err(format!("not aux: {other:?}").into()),
        }
    }
    Ok(())
}
