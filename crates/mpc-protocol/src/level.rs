//! Security levels of the Paillier-based protocols.

use cggmp24::security_level::SecurityLevel;

/// A parameter set of CGGMP24; see the paper's section on parameters (ePrint 2021/060).
pub trait Level: SecurityLevel + Clone + 'static {}

/// 128-bit security: 3072-bit Paillier moduli from 1536-bit safe primes.
pub type Production = cggmp24::security_level::SecurityLevel128;

impl Level for Production {}

/// Insecure and fast: 1040-bit moduli, for simulated ceremonies only.
#[cfg(feature = "danger-test-level")]
#[derive(Clone)]
pub struct DangerTestLevel;

#[cfg(feature = "danger-test-level")]
cggmp24::define_security_level!(DangerTestLevel {
    kappa_bits: 256,
    rsa_prime_bitlen: 520,
    rsa_pubkey_bitlen: 1039,
    epsilon: 320,
    ell: 256,
    ell_prime: 576,
    m: 128,
});

#[cfg(feature = "danger-test-level")]
impl Level for DangerTestLevel {}
