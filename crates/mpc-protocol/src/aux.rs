//! Committee setup for CGGMP24: every party's Paillier key and Pedersen parameters, proven to each other
//! (ePrint 2021/060, figure 7). Once per committee; every key of it reuses the result.

use cggmp24::ExecutionId;
use cggmp24::key_refresh::Msg;
use cggmp24::key_share::{AuxInfo, Validate as _};
use quorate_types::Hash32;
use quorate_types::canonical::tagged_hash;
use round_based::state_machine::wrap_protocol;
use zeroize::Zeroizing;

use crate::adapter::{Adapter, conclude};
use crate::{Abort, Ceremony, CeremonyRng, Level, Outcome, PrimeSet, Seat};
use crate::{codec, rules};

/// One party's auxiliary information, encoded (CBOR). Secret: it holds the party's Paillier primes.
pub struct Aux(Zeroizing<Vec<u8>>);

/// Bytes that are no auxiliary information.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not valid auxiliary information: {0}")]
pub struct AuxError(String);

impl std::fmt::Debug for Aux {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Aux([redacted])")
    }
}

impl Aux {
    /// Wraps stored bytes; they are validated when used.
    #[must_use]
    pub fn from_secret_bytes(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The encoding, for sealing.
    #[must_use]
    pub fn as_secret_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Hash of every party's public part (`N_j`, and Pedersen `N^_j, s_j, t_j`): equal for all parties of one setup.
    ///
    /// # Errors
    /// Bytes that are no auxiliary information of this level.
    pub fn public_digest<L: Level>(&self) -> Result<Hash32, AuxError> {
        let info = self.decode::<L>()?;
        let moduli = info.N.iter().map(|n| n.to_bytes_msf());
        let pedersen = info.pedersen_params.iter().flat_map(|p| {
            [
                p.hat_N.to_bytes_msf(),
                p.s.to_bytes_msf(),
                p.t.to_bytes_msf(),
            ]
        });
        let parts: Vec<Vec<u8>> = moduli.chain(pedersen).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Ok(tagged_hash("quorate/aux-public/v1", &parts))
    }

    /// Decodes and validates for a security level.
    ///
    /// # Errors
    /// Bytes that are no auxiliary information of this level.
    pub fn ready<L: Level>(&self) -> Result<ReadyAux<L>, AuxError> {
        self.decode().map(ReadyAux)
    }

    fn encode<L: Level>(info: &AuxInfo<L>) -> Result<Self, AuxError> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(256 * 1024));
        ciborium::into_writer(&**info, &mut *bytes).map_err(|e| AuxError(e.to_string()))?;
        Ok(Self(bytes))
    }

    /// Decodes and validates for a security level: moduli and primes are large enough, parameters are units.
    fn decode<L: Level>(&self) -> Result<AuxInfo<L>, AuxError> {
        codec::from_cbor(&self.0).map_err(AuxError)
    }
}

/// Auxiliary information decoded and validated once, for as many ceremonies as there will be. Secret.
pub struct ReadyAux<L: Level>(AuxInfo<L>);

impl<L: Level> std::fmt::Debug for ReadyAux<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReadyAux([redacted])")
    }
}

impl<L: Level> ReadyAux<L> {
    /// With tables of powers of everyone's Pedersen parameters, which ceremonies raise to powers again and again. Takes a while, and
    /// [`Self::tables_len`] bytes of memory.
    ///
    /// # Errors
    /// Parameters that no setup made.
    pub fn with_tables(self) -> Result<Self, AuxError> {
        let error = |e: &dyn std::fmt::Display| AuxError(e.to_string());
        let mut info = self.0.into_inner();
        info.precompute_multiexp_tables().map_err(|e| error(&e))?;
        let valid = info.validate().map_err(|e| error(&e.into_error()))?;
        Ok(Self(valid))
    }

    /// What the tables take, in bytes; 0 without.
    #[must_use]
    pub fn tables_len(&self) -> usize {
        self.0.multiexp_tables_size()
    }

    pub(crate) const fn info(&self) -> &AuxInfo<L> {
        &self.0
    }
}

/// The setup ceremony. The seat's index is the party's position in the committee.
///
/// # Errors
/// Primes too small for the level.
pub fn aux_info<L: Level>(
    seat: Seat,
    primes: PrimeSet,
    mut rng: CeremonyRng,
) -> Result<Box<dyn Ceremony>, Abort> {
    let primes = primes.into_library::<L>().map_err(Abort::local)?;
    let session = *seat.session();
    let (me, n) = (seat.me(), seat.parties());
    let machine = wrap_protocol::<Msg<sha2::Sha256, L>, _>(move |party| async move {
        let result = cggmp24::aux_info_gen(ExecutionId::new(session.as_bytes()), me, n, primes)
            .enforce_reliable_broadcast(true)
            .start(&mut rng, party)
            .await;
        conclude(result, &rules::AUX, |info| {
            Aux::encode(&info).map(Outcome::Aux).map_err(Abort::local)
        })
    });
    let adapter = Adapter::new(seat, &rules::AUX, machine);
    Ok(Box::new(
        adapter.with_inspection(|_, message| check_moduli(message)),
    ))
}

/// The library bounds a peer's moduli from below only; a longer one would make every proof about it arbitrarily slow, and a
/// negative or even one leads its arithmetic astray.
fn check_moduli<L: Level>(message: &Msg<sha2::Sha256, L>) -> Result<(), &'static str> {
    let Msg::Round2(parameters) = message else {
        return Ok(());
    };
    // A product of two primes of k bits has 2k - 1 bits, the level's least, or 2k.
    let max_bits = u64::from(L::RSA_PUBKEY_BITLEN) + 1;
    let sound = [&parameters.N, &parameters.hat_N]
        .iter()
        .all(|n| n.cmp0().is_gt() && !n.is_even() && n.significant_bits() <= max_bits);
    if sound {
        Ok(())
    } else {
        Err("a modulus that is negative, even, or longer than the security level's")
    }
}
