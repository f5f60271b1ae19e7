//! The range proofs of CGGMP24's first round, because the pinned library does not check them both.
//!
//! `cggmp24 =0.7.0-alpha.3` verifies `psi0` (that `K_j` encrypts a small number) and `psi1` (the same of `G_j`) in one closure
//! joined by `.err()?`: a valid `psi0` ends it with "no fault", and an invalid one is forgiven if `psi1` is valid. A peer could
//! so send a `K_j` without a range proof and learn about our share from our answers, the attack the proof is there against.
//!
//! Here `psi1` is verified, and then replaced by one that cannot be valid. What is left of the library's check is: `psi0` must be
//! valid. A version of the library that checks both fails every honest signing with this, so it cannot come in unnoticed.

use std::collections::BTreeMap;

use cggmp24::ExecutionId;
use cggmp24::backend::Integer;
use cggmp24::fast_paillier::EncryptionKey;
use cggmp24::key_share::KeyShare;
use cggmp24::signing::msg::{Msg, MsgRound1a};
use generic_ec::Curve;
use paillier_zk::paillier_encryption_in_range_with_el_gamal as pi_enc_elg;
use quorate_types::SessionId;
use sha2::Sha256;

use crate::Level;

/// The transcript prefix of the proof: must encode exactly as the library's private type does.
#[derive(udigest::Digestable)]
#[udigest(tag = "dfns.cggmp24.signing.proof_enc")]
struct ProofEnc<'a> {
    sid: ExecutionId<'a>,
    prover: u16,
    num: u8,
}

/// Verifies each peer's `psi1` as soon as both of its round 1 messages are here.
pub(crate) struct FirstRound<E: Curve> {
    session: SessionId,
    /// Own Pedersen parameters, under which the proofs were made.
    pedersen: pi_enc_elg::Aux,
    /// Paillier keys in session order.
    keys: Vec<EncryptionKey>,
    security: pi_enc_elg::SecurityParams,
    ciphertexts: BTreeMap<u16, MsgRound1a<E>>,
    proofs: BTreeMap<u16, pi_enc_elg::NiProof<E>>,
}

impl<E: Curve> FirstRound<E> {
    /// `None` if the aux info lacks one of the signers.
    pub(crate) fn new<L: Level>(
        session: SessionId,
        me: u16,
        signers: &[u16],
        share: &KeyShare<E, L>,
    ) -> Option<Self> {
        let aux = &share.aux;
        let own = signers.get(usize::from(me))?;
        let keys = signers
            .iter()
            .map(|j| {
                aux.N
                    .get(usize::from(*j))
                    .cloned()
                    .map(EncryptionKey::from_n)
            })
            .collect::<Option<_>>()?;
        Some(Self {
            session,
            pedersen: aux.pedersen_params.get(usize::from(*own))?.into(),
            keys,
            security: pi_enc_elg::SecurityParams {
                l: L::ELL,
                epsilon: L::EPSILON,
            },
            ciphertexts: BTreeMap::new(),
            proofs: BTreeMap::new(),
        })
    }

    pub(crate) fn inspect(
        &mut self,
        from: u16,
        message: &mut Msg<E, Sha256>,
    ) -> Result<(), &'static str> {
        match message {
            Msg::Round1a(m) => {
                self.ciphertexts.insert(from, m.clone());
            }
            Msg::Round1b(m) => {
                // Zero is no unit, so no statement makes this one valid: not even a `psi0` that is really a good `psi1`.
                let mut never_valid = m.psi0.clone();
                never_valid.commitment.s = Integer::zero();
                let psi1 = std::mem::replace(&mut m.psi1, never_valid);
                self.proofs.insert(from, psi1);
            }
            _ => return Ok(()),
        }
        if !(self.ciphertexts.contains_key(&from) && self.proofs.contains_key(&from)) {
            return Ok(());
        }
        let sound = self
            .ciphertexts
            .remove(&from)
            .zip(self.proofs.remove(&from))
            .zip(self.keys.get(usize::from(from)))
            .is_some_and(|((sent, psi1), key)| self.verify(from, key, &sent, &psi1));
        if sound {
            Ok(())
        } else {
            Err("the range proof psi1 of G does not verify")
        }
    }

    fn verify(
        &self,
        prover: u16,
        key: &EncryptionKey,
        sent: &MsgRound1a<E>,
        psi1: &pi_enc_elg::NiProof<E>,
    ) -> bool {
        let state = ProofEnc {
            sid: ExecutionId::new(self.session.as_bytes()),
            prover,
            num: 1,
        };
        let data = pi_enc_elg::Data {
            key,
            ciphertext: &sent.G,
            a: &sent.Y,
            b: &sent.B1,
            x: &sent.B2,
        };
        pi_enc_elg::non_interactive::verify::<E, Sha256>(
            &state,
            &self.pedersen,
            data,
            psi1,
            &self.security,
        )
        .is_ok()
    }
}
