//! Presignatures of CGGMP24 (ePrint 2021/060, figure 8): three rounds and an echo that need no message, so that signing is one.
//!
//! What a presignature is for is fixed when it is made: key share, child and signers in their order. What remains is the message, which
//! must be one whose hash is computed here. Each of these misuses leaks the key or forges a signature (ePrint 2021/1330), and none
//! of them type-checks. A hash from elsewhere:
//!
//! ```compile_fail,E0308
//! # fn check(presignature: quorate_mpc_protocol::Presignature) {
//! presignature.issue(&[7u8; 32]);
//! # }
//! ```
//!
//! A second signature from one presignature:
//!
//! ```compile_fail,E0382
//! # fn check(presignature: quorate_mpc_protocol::Presignature, message: &quorate_types::Preimage) {
//! presignature.issue(message);
//! presignature.issue(message);
//! # }
//! ```
//!
//! A copy, which comes to the same:
//!
//! ```compile_fail,E0599
//! # fn check(presignature: quorate_mpc_protocol::Presignature) {
//! let copy = presignature.clone();
//! # }
//! ```
//!
//! A child, or other signers, chosen afterwards:
//!
//! ```compile_fail,E0061
//! # fn check(presignature: quorate_mpc_protocol::Presignature, message: &quorate_types::Preimage) {
//! presignature.issue(message, &quorate_types::DerivationPath::root());
//! # }
//! ```
//!
//! ```compile_fail,E0061
//! # fn check(presignature: quorate_mpc_protocol::Presignature, message: &quorate_types::Preimage) {
//! presignature.issue(message, &[1, 0]);
//! # }
//! ```

use cggmp24::signing::{PresignatureCommitment, PresignaturePublicData};
use cggmp24::{DataToSign, PartialSignature};
use generic_ec::coords::AlwaysHasAffineX;
use generic_ec::curves::{Secp256k1, Secp256r1};
use generic_ec::{NonZero, Point, Scalar};
use quorate_types::{DerivationPath, EcdsaPartial, Preimage};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ecdsa::{Goal, check_signers, data_to_sign, run};
use crate::{Abort, Ceremony, CeremonyRng, Level, ReadyAux, Seat, Share};

/// Longer than the encoding for as many signers as a committee has members.
const MAX_LEN: usize = 4096;

/// One party's part of a signature whose message is not known yet. Secret, and of use once.
pub struct Presignature(Curves<Secp256k1Part, P256Part>);

type Secp256k1Part = Part<Secp256k1>;
type P256Part = Part<Secp256r1>;

/// What is left of a used presignature: with it a wrong partial signature names its signer. Not secret.
pub struct PartialCheck(Curves<Check<Secp256k1>, Check<Secp256r1>>);

#[derive(Serialize, Deserialize)]
enum Curves<K, R> {
    Secp256k1(K),
    P256(R),
}

/// The library's presignature, and per signer `(Delta_j, S_j)`.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct Part<E: generic_ec::Curve> {
    secret: cggmp24::Presignature<E>,
    commitments: Vec<(Point<E>, Point<E>)>,
}

struct Check<E: generic_ec::Curve> {
    data: DataToSign<E>,
    public: PresignaturePublicData<E>,
}

/// Bytes that are no presignature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid presignature: {0}")]
pub struct PresignatureError(String);

impl std::fmt::Debug for Presignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presignature([redacted])")
    }
}

impl std::fmt::Debug for PartialCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PartialCheck")
    }
}

/// The ceremony. `signers` are the participants' committee indices in session order, `path` the child that will sign.
///
/// # Errors
/// As [`crate::sign_ecdsa`].
pub fn presign<L: Level>(
    seat: Seat,
    share: &Share,
    aux: &ReadyAux<L>,
    signers: &[u16],
    path: &DerivationPath,
    rng: CeremonyRng,
) -> Result<Box<dyn Ceremony>, Abort> {
    check_signers(&seat, share, signers)?;
    match share {
        Share::Secp256k1(core) => {
            let goal = Goal::Presignature(|s, p| Presignature(Curves::Secp256k1(Part::new(s, p))));
            run::<Secp256k1, L>(seat, core, aux, signers, path, goal, rng)
        }
        Share::P256(core) => {
            let goal = Goal::Presignature(|s, p| Presignature(Curves::P256(Part::new(s, p))));
            run::<Secp256r1, L>(seat, core, aux, signers, path, goal, rng)
        }
        Share::Ed25519(_) => Err(Abort::local("Ed25519 keys do not sign ECDSA")),
    }
}

impl<E> Part<E>
where
    E: generic_ec::Curve,
    NonZero<Point<E>>: AlwaysHasAffineX<E>,
{
    fn new(secret: cggmp24::Presignature<E>, public: PresignaturePublicData<E>) -> Self {
        let pair = |c: PresignatureCommitment<E>| (c.tilde_Delta, c.tilde_S);
        Self {
            secret,
            commitments: public.commitments.into_iter().map(pair).collect(),
        }
    }

    fn issue(self, message: &Preimage) -> Result<(EcdsaPartial, Check<E>), PresignatureError> {
        let data = data_to_sign::<E>(message);
        let nonce_point = self.secret.Gamma;
        let check = Check {
            data,
            public: PresignaturePublicData {
                Gamma: nonce_point,
                commitments: self
                    .commitments
                    .into_iter()
                    .map(|(delta, s)| PresignatureCommitment {
                        tilde_Delta: delta,
                        tilde_S: s,
                    })
                    .collect(),
            },
        };
        let partial = self.secret.issue_partial_signature(data);
        let length = |_| PresignatureError("a point or scalar of unexpected length".to_owned());
        let partial = EcdsaPartial {
            nonce_point: nonce_point
                .to_bytes(true)
                .as_ref()
                .try_into()
                .map_err(length)?,
            sigma: partial
                .sigma
                .to_be_bytes()
                .as_ref()
                .try_into()
                .map_err(length)?,
        };
        Ok((partial, check))
    }
}

impl<E> Check<E>
where
    E: generic_ec::Curve,
    NonZero<Point<E>>: AlwaysHasAffineX<E>,
{
    /// `sigma_j * Gamma = m * Delta_j + r * S_j` (ePrint 2021/060, figure 8, output step).
    fn is_right(&self, seat: usize, partial: &EcdsaPartial) -> bool {
        let Some(commitment) = self.public.commitments.get(seat) else {
            return false;
        };
        let Ok(sigma) = Scalar::<E>::from_be_bytes(partial.sigma) else {
            return false;
        };
        let same_point = self.public.Gamma.to_bytes(true).as_ref() == partial.nonce_point;
        let alone = PresignaturePublicData {
            Gamma: self.public.Gamma,
            commitments: vec![commitment.clone()],
        };
        same_point
            && PartialSignature::combine(&[PartialSignature { sigma }], &alone, self.data).is_some()
    }
}

impl Presignature {
    /// The secret encoding (postcard), for sealing.
    ///
    /// # Errors
    /// Only if encoding fails, which a presignature does not.
    pub fn to_secret_bytes(&self) -> Result<Zeroizing<Vec<u8>>, PresignatureError> {
        let mut buffer = Zeroizing::new([0u8; MAX_LEN]);
        let encoded = postcard::to_slice(&self.0, &mut *buffer);
        let encoded = encoded.map_err(|e| PresignatureError(e.to_string()))?;
        Ok(Zeroizing::new(encoded.to_vec()))
    }

    /// Decodes what [`Self::to_secret_bytes`] made.
    ///
    /// # Errors
    /// Other bytes, or bytes after it.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, PresignatureError> {
        let decoded = postcard::take_from_bytes(bytes);
        let (inner, rest) = decoded.map_err(|e| PresignatureError(e.to_string()))?;
        if rest.is_empty() {
            Ok(Self(inner))
        } else {
            Err(PresignatureError(format!("{} trailing bytes", rest.len())))
        }
    }

    /// This party's partial signature over a message, which uses the presignature up.
    ///
    /// INVARIANT (I4): that it was removed from where it was kept must be durable before the partial signature leaves.
    ///
    /// # Errors
    /// None that a valid presignature causes.
    pub fn issue(
        self,
        message: &Preimage,
    ) -> Result<(EcdsaPartial, PartialCheck), PresignatureError> {
        match self.0 {
            Curves::Secp256k1(part) => {
                let (partial, check) = part.issue(message)?;
                Ok((partial, PartialCheck(Curves::Secp256k1(check))))
            }
            Curves::P256(part) => {
                let (partial, check) = part.issue(message)?;
                Ok((partial, PartialCheck(Curves::P256(check))))
            }
        }
    }
}

impl PartialCheck {
    /// Whether this is what the signer in a seat must have sent for the message.
    #[must_use]
    pub fn is_right(&self, seat: usize, partial: &EcdsaPartial) -> bool {
        match &self.0 {
            Curves::Secp256k1(check) => check.is_right(seat, partial),
            Curves::P256(check) => check.is_right(seat, partial),
        }
    }
}
