//! Makes `fixtures/aux-*.txt`, the auxiliary information of committees of `N` parties, in seconds
//! to minutes:
//!
//! `make-test-aux small 3 > fixtures/aux-small-3.txt` and `make-test-aux full 5 > fixtures/aux-5.txt`

use std::error::Error;

use quorate_mpc_protocol::{Aux, Outcome, PrimeSet, Production, aux_info};
use quorate_testkit::committee;
use quorate_testkit::keys::Identities;
use quorate_testkit::primes;
use quorate_testkit::sim::{Simulation, ceremony_rng, session_id};
use quorate_types::{CeremonyKind, Threshold};

const SEED: u64 = 1;

fn full(identities: &Identities) -> Result<Vec<Aux>, Box<dyn Error>> {
    let seats = committee::all_seats(identities.roster.threshold());
    let kind = CeremonyKind::Aux;
    let mut setup = Simulation::new(identities, kind, &seats, session_id(SEED), SEED, |seat| {
        let primes: PrimeSet = primes::full(seat.me());
        let rng = ceremony_rng(SEED, seat.me());
        aux_info::<Production>(seat.clone(), primes, rng)
    });
    setup.run();
    let made = setup
        .endings()
        .into_iter()
        .map(|ending| match ending.done() {
            Outcome::Aux(aux) => Ok(aux),
            other => Err(format!("not aux: {other:?}").into()),
        });
    made.collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (level, parties) = match arguments.as_slice() {
        [level, parties] => (level.as_str(), parties.parse()?),
        _ => return Err("usage: make-test-aux small|full N".into()),
    };
    let identities = Identities::new(Threshold::new(2, parties)?, SEED);
    let made = match level {
        "small" => committee::made_aux(&identities, SEED),
        "full" => full(&identities)?,
        other => return Err(format!("{other} is neither small nor full").into()),
    };
    for aux in made {
        println!("{}", hex::encode(aux.as_secret_bytes()));
    }
    Ok(())
}
