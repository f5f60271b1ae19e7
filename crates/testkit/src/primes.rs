//! Safe primes made beforehand. Their secrets are public: they protect nothing.

use quorate_mpc_protocol::{PrimeSet, SafePrime};

const PRIMES_520: &str = include_str!("../fixtures/primes-520.txt");
const PRIMES_1536: &str = include_str!("../fixtures/primes-1536.txt");

fn nth(list: &str, index: usize) -> SafePrime {
    let line = list.lines().nth(index).expect("enough test primes");
    SafePrime::from_secret_bytes(&hex::decode(line).expect("test primes are hexadecimal"))
}

fn set(list: &str, party: u16) -> PrimeSet {
    let first = usize::from(party) * PrimeSet::LEN;
    PrimeSet::new(std::array::from_fn(|i| nth(list, first + i))).expect("test primes differ")
}

/// Four 520-bit primes for [`quorate_mpc_protocol::DangerTestLevel`], different for each party index below 15.
#[must_use]
pub fn small(party: u16) -> PrimeSet {
    set(PRIMES_520, party)
}

/// Four 1536-bit primes for the production level, different for each party index below 9.
#[must_use]
pub fn full(party: u16) -> PrimeSet {
    set(PRIMES_1536, party)
}

/// The same four as [`small`], one by one.
#[must_use]
pub fn small_list(party: u16) -> Vec<SafePrime> {
    listed(PRIMES_520, party)
}

/// The same four as [`full`], one by one.
#[must_use]
pub fn full_list(party: u16) -> Vec<SafePrime> {
    listed(PRIMES_1536, party)
}

fn listed(list: &str, party: u16) -> Vec<SafePrime> {
    (0..PrimeSet::LEN)
        .map(|i| nth(list, usize::from(party) * PrimeSet::LEN + i))
        .collect()
}

const AUX_3: &str = include_str!("../fixtures/aux-3.txt");

/// Auxiliary information of a committee of three at the production level, by party index: a setup takes its makers a minute.
#[must_use]
pub fn full_aux(party: u16) -> quorate_mpc_protocol::Aux {
    let line = AUX_3
        .lines()
        .nth(usize::from(party))
        .expect("a committee of three");
    let bytes = hex::decode(line).expect("test aux info is hexadecimal");
    quorate_mpc_protocol::Aux::from_secret_bytes(&bytes)
}
