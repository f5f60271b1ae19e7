//! Safe primes made beforehand. Their secrets are public: they protect nothing.

use quorate_mpc_protocol::{Aux, PrimeSet, Production, SafePrime};
use quorate_types::Hash32;

const PRIMES_520: &str = include_str!("../fixtures/primes-520.txt");
const PRIMES_1536: &str = include_str!("../fixtures/primes-1536.txt");
const LOPSIDED_3072: &str = include_str!("../fixtures/lopsided-3072.txt");

fn nth(list: &str, index: usize) -> SafePrime {
    let line = list.lines().nth(index).expect("enough test primes");
    SafePrime::from_secret_bytes(&hex::decode(line).expect("test primes are hexadecimal"))
}

fn set(list: &str, party: u16) -> PrimeSet {
    let first = usize::from(party) * PrimeSet::LEN;
    PrimeSet::new(std::array::from_fn(|i| nth(list, first + i))).expect("test primes differ")
}

/// Four 520-bit primes for [`quorate_mpc_protocol::DangerTestLevel`], different for each party
/// index below 15.
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

/// Two primes, each 3 modulo 4, whose product is as long as a modulus of the production level: one
/// of 200 bits, one of 2872.
#[must_use]
pub fn lopsided() -> [SafePrime; 2] {
    [0, 1].map(|index| nth(LOPSIDED_3072, index))
}

fn listed(list: &str, party: u16) -> Vec<SafePrime> {
    (0..PrimeSet::LEN)
        .map(|i| nth(list, usize::from(party) * PrimeSet::LEN + i))
        .collect()
}

/// Auxiliary information made beforehand, by how many parties the committee has. `make-test-aux`
/// makes it.
const AUX_SMALL: [(usize, &str); 4] = [
    (2, include_str!("../fixtures/aux-small-2.txt")),
    (3, include_str!("../fixtures/aux-small-3.txt")),
    (4, include_str!("../fixtures/aux-small-4.txt")),
    (5, include_str!("../fixtures/aux-small-5.txt")),
];
const AUX_FULL: [(usize, &str); 2] = [
    (3, include_str!("../fixtures/aux-3.txt")),
    (5, include_str!("../fixtures/aux-5.txt")),
];

fn aux_of(all: &[(usize, &str)], parties: usize) -> Option<Vec<Aux>> {
    let (_, list) = all.iter().find(|(n, _)| *n == parties)?;
    let decode = |line| hex::decode(line).expect("test aux info is hexadecimal");
    let aux = list
        .lines()
        .map(|line| Aux::from_secret_bytes(&decode(line)));
    Some(aux.collect())
}

/// Auxiliary information of a committee at the test level, in committee order; none where none was
/// made beforehand.
#[must_use]
pub fn small_aux(parties: usize) -> Option<Vec<Aux>> {
    aux_of(&AUX_SMALL, parties)
}

/// Auxiliary information of a committee of three or five at the production level, in committee
/// order. Making it takes a party 15 to 25 seconds of computing.
#[must_use]
pub fn full_aux(parties: usize) -> Vec<Aux> {
    aux_of(&AUX_FULL, parties).expect("a committee of three or five")
}

/// Digest of [`full_aux`], which every party attests.
#[must_use]
pub fn full_aux_digest(parties: usize) -> Hash32 {
    let aux = full_aux(parties);
    let digest = aux.first().map(Aux::public_digest::<Production>);
    digest
        .expect("a committee has parties")
        .expect("test aux info is well formed")
}
