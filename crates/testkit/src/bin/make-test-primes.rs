//! Makes the files under `fixtures/`: `make-test-primes BITS COUNT > fixtures/primes-BITS.txt`.

use crypto_bigint::{U576, U1536};
use rand_core::OsRng;

fn main() {
    let mut args = std::env::args().skip(1);
    let bits: u32 = args.next().and_then(|a| a.parse().ok()).unwrap_or(520);
    let count: usize = args.next().and_then(|a| a.parse().ok()).unwrap_or(1);
    for _ in 0..count {
        let line = if bits == 520 {
            let p: U576 = crypto_primes::generate_safe_prime_with_rng(&mut OsRng, 520);
            hex::encode(p.to_be_bytes())
        } else {
            let p: U1536 = crypto_primes::generate_safe_prime_with_rng(&mut OsRng, 1536);
            hex::encode(p.to_be_bytes())
        };
        println!("{line}");
    }
}
