//! Auxiliary information made beforehand fits together. `make-test-aux` makes it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where an assumption fails"
)]

use quorate_mpc_protocol::{Aux, DangerTestLevel, Production};
use quorate_testkit::primes;

#[test]
fn made_beforehand_every_party_has_the_same_public_part() {
    for parties in 2..=5 {
        let aux = primes::small_aux(parties).unwrap();
        assert_eq!(aux.len(), parties);
        let digest = |aux: &Aux| aux.public_digest::<DangerTestLevel>().unwrap();
        assert!(aux.iter().all(|one| digest(one) == digest(&aux[0])));
    }
    for parties in [3, 5] {
        let aux = primes::full_aux(parties);
        assert_eq!(aux.len(), parties);
        let digest = |aux: &Aux| aux.public_digest::<Production>().unwrap();
        assert!(aux.iter().all(|one| digest(one) == digest(&aux[0])));
    }
    assert!(primes::small_aux(6).is_none());
}
