//! Safe primes for Paillier keys: `p = 2q + 1` with both prime.

use cggmp24::PregeneratedPrimes;
use cggmp24::backend::Integer;
use crypto_bigint::U1536;
use zeroize::Zeroizing;

use crate::{CeremonyRng, Level};

/// One secret safe prime, big-endian. Used once, in one party's setup for one committee.
pub struct SafePrime(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for SafePrime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SafePrime([redacted])")
    }
}

/// Why primes are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrimeError {
    /// Shorter than the security level asks for.
    #[error("a prime is shorter than the security level allows")]
    TooSmall,
    /// Two of the four are equal.
    #[error("the four primes of a party must differ")]
    Repeated,
}

impl SafePrime {
    /// Finds a 1536-bit safe prime (`crypto-primes`); seconds of one core, so never on an async thread.
    #[must_use]
    pub fn generate(rng: &mut CeremonyRng) -> Self {
        let prime: U1536 = crypto_primes::generate_safe_prime_with_rng(rng, U1536::BITS);
        Self(Zeroizing::new(prime.to_be_bytes().to_vec()))
    }

    /// Wraps stored bytes, big-endian. That they are a safe prime is not checked again; peers verify the proofs.
    #[must_use]
    pub fn from_secret_bytes(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The bytes, for sealing.
    #[must_use]
    pub fn as_secret_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The four primes one party needs: two for its Paillier key, two for its Pedersen parameters.
#[derive(Debug)]
pub struct PrimeSet([SafePrime; 4]);

impl PrimeSet {
    /// How many primes a party needs.
    pub const LEN: usize = 4;

    /// Takes four different primes.
    ///
    /// # Errors
    /// Two equal ones.
    pub fn new(primes: [SafePrime; 4]) -> Result<Self, PrimeError> {
        let distinct: std::collections::BTreeSet<&[u8]> =
            primes.iter().map(SafePrime::as_secret_bytes).collect();
        if distinct.len() == primes.len() {
            Ok(Self(primes))
        } else {
            Err(PrimeError::Repeated)
        }
    }

    pub(crate) fn into_library<L: Level>(self) -> Result<PregeneratedPrimes<L>, PrimeError> {
        let integers = self.0.map(|p| Integer::from_bytes_msf(p.as_secret_bytes()));
        PregeneratedPrimes::try_from(integers).map_err(|_| PrimeError::TooSmall)
    }
}
