//! Threshold ECDSA: CGGMP24's signing (ePrint 2021/060, figures 8 to 10), four rounds and an echo, the last of which may wait for its
//! message.

use cggmp24::key_share::{KeyShare, Valid};
use cggmp24::signing::PresignaturePublicData;
use cggmp24::signing::msg::Msg;
use cggmp24::{DataToSign, ExecutionId, Signature as LibrarySignature};
use generic_ec::coords::{AlwaysHasAffineX, HasAffineX};
use generic_ec::curves::{Secp256k1, Secp256r1};
use generic_ec::{NonZero, Point, Scalar};
use hd_wallet::{DeriveShift, Slip10};
use key_share::CoreKeyShare;
use quorate_types::{DerivationPath, EcdsaSignature, HashAlgorithm, Preimage, Signature};
use round_based::state_machine::wrap_protocol;
use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

use crate::adapter::{Adapter, conclude};
use crate::psi::FirstRound;
use crate::rules::Rules;
use crate::{
    Abort, Ceremony, CeremonyRng, Level, Outcome, Presignature, ReadyAux, Seat, Share, hd, rules,
};

/// Signs a message, which is hashed here.
///
/// `signers` are the participants' committee indices in session order; the seat's own entry must be the share's index.
/// The signature has a low `s` and has been verified under the derived key.
///
/// # Errors
/// A share of another curve, a wrong signer list, aux info of another committee.
pub fn sign_ecdsa<L: Level>(
    seat: Seat,
    share: &Share,
    aux: &ReadyAux<L>,
    signers: &[u16],
    path: &DerivationPath,
    message: &Preimage,
    rng: CeremonyRng,
) -> Result<Box<dyn Ceremony>, Abort> {
    check_signers(&seat, share, signers)?;
    match share {
        Share::Secp256k1(core) => {
            let goal = Goal::Signature(data_to_sign(message));
            run::<Secp256k1, L>(seat, core, aux, signers, path, goal, rng)
        }
        Share::P256(core) => {
            let goal = Goal::Signature(data_to_sign(message));
            run::<Secp256r1, L>(seat, core, aux, signers, path, goal, rng)
        }
        Share::Ed25519(_) => Err(Abort::local("Ed25519 keys do not sign ECDSA")),
    }
}

/// What the ceremony is to yield.
pub(crate) enum Goal<E: generic_ec::Curve> {
    /// A signature over this.
    Signature(DataToSign<E>),
    /// A presignature, made from the library's.
    Presignature(fn(cggmp24::Presignature<E>, PresignaturePublicData<E>) -> Presignature),
}

impl<E: generic_ec::Curve> Goal<E> {
    const fn rules(&self) -> &'static Rules {
        match self {
            Self::Signature(_) => &rules::ECDSA,
            Self::Presignature(_) => &rules::PRESIGN,
        }
    }
}

/// The participants are exactly t different members of the committee, and this party sits where it says.
pub(crate) fn check_signers(seat: &Seat, share: &Share, signers: &[u16]) -> Result<(), Abort> {
    if signers.len() != usize::from(seat.parties()) {
        return Err(Abort::local(format!(
            "{} signers in a session of {}",
            signers.len(),
            seat.parties()
        )));
    }
    check_quorum(usize::from(seat.me()), share, signers)
}

/// The same outside of a session.
pub(crate) fn check_quorum(seat: usize, share: &Share, signers: &[u16]) -> Result<(), Abort> {
    let threshold = share.threshold().map_err(Abort::local)?;
    let distinct: std::collections::BTreeSet<_> = signers.iter().collect();
    let well_formed = signers.len() == usize::from(threshold.t())
        && distinct.len() == signers.len()
        && signers.iter().all(|j| *j < threshold.n())
        && signers.get(seat) == Some(&share.index());
    if well_formed {
        Ok(())
    } else {
        Err(Abort::local(format!(
            "signers {signers:?} are not {threshold} with this party in seat {seat}"
        )))
    }
}

pub(crate) fn run<E, L>(
    seat: Seat,
    core: &CoreKeyShare<E>,
    aux: &ReadyAux<L>,
    signers: &[u16],
    path: &DerivationPath,
    goal: Goal<E>,
    mut rng: CeremonyRng,
) -> Result<Box<dyn Ceremony>, Abort>
where
    E: generic_ec::Curve,
    L: Level,
    Slip10: DeriveShift<E>,
    Point<E>: HasAffineX<E>,
    NonZero<Point<E>>: AlwaysHasAffineX<E>,
{
    let key_share: KeyShare<E, L> = Valid::from_parts((core.clone(), aux.info().clone()))
        .map_err(|e| Abort::local(e.into_error()))?;
    let public_key = hd::derive::<E, Slip10>(core, path)?.public_key;
    let session = *seat.session();
    let me = seat.me();
    let mut first_round = FirstRound::new(session, me, signers, &key_share)
        .ok_or_else(|| Abort::local("the aux info lacks a signer"))?;
    let signers = signers.to_vec();
    let path = path.components().to_vec();
    let rules = goal.rules();
    let machine = wrap_protocol::<Msg<E, sha2::Sha256>, _>(move |party| async move {
        let eid = ExecutionId::new(session.as_bytes());
        let builder = cggmp24::signing(eid, me, &signers, &key_share)
            .enforce_reliable_broadcast(true)
            .set_derivation_path(path)
            .map_err(|e| Abort::local(format!("{e:?}")))?;
        match goal {
            Goal::Signature(data) => {
                let result = builder.sign(&mut rng, party, &data).await;
                conclude(result, rules, |signature| {
                    finish(&signature, &public_key, data.to_scalar())
                        .map(|sig| Outcome::Signature(Signature::Ecdsa(sig)))
                })
            }
            Goal::Presignature(wrap) => {
                let result = builder.generate_presignature(&mut rng, party).await;
                conclude(result, rules, |(secret, public)| {
                    Ok(Outcome::Presignature(wrap(secret, public)))
                })
            }
        }
    });
    let adapter = Adapter::new(seat, rules, machine);
    Ok(Box::new(adapter.with_inspection(move |from, message| {
        first_round.inspect(from, message)
    })))
}

/// The message, hashed by the library's own type so that no hash from elsewhere can take its place.
pub(crate) fn data_to_sign<E: generic_ec::Curve>(message: &Preimage) -> DataToSign<E> {
    let bytes = message.bytes();
    match message.algorithm() {
        HashAlgorithm::Sha256 => DataToSign::digest::<Sha256>(bytes),
        HashAlgorithm::Sha256d => DataToSign::digest::<Sha256>(&Sha256::digest(bytes)),
        HashAlgorithm::Keccak256 => DataToSign::digest::<Keccak256>(bytes),
    }
}

/// Normalises to low `s`, verifies, and finds the recovery id: `R = (m*G + r*X)/s` (SEC 1, 4.1.4 and 4.1.6).
pub(crate) fn finish<E: generic_ec::Curve>(
    signature: &LibrarySignature<E>,
    public_key: &NonZero<Point<E>>,
    m: Scalar<E>,
) -> Result<EcdsaSignature, Abort> {
    let LibrarySignature { r, s } = signature.normalize_s();
    let wrong = || {
        Abort::blaming(
            crate::AbortReason::Unattributable {
                detail: "the combined signature does not verify under the derived key".to_owned(),
            },
            Vec::new(),
        )
    };
    let point = (Point::generator() * m + public_key * r) * s.invert();
    let compressed = NonZero::from_point(point).ok_or_else(wrong)?.to_bytes(true);
    let (tag, x) = match &*compressed {
        [tag @ (2 | 3), x @ ..] => (*tag, x),
        _ => return Err(wrong()),
    };
    if Scalar::<E>::from_be_bytes_mod_order(x) != *r.as_ref() {
        return Err(wrong());
    }
    let bytes = |scalar: &Scalar<E>| {
        <[u8; 32]>::try_from(scalar.to_be_bytes().as_ref()).map_err(|_| wrong())
    };
    let r = bytes(r.as_ref())?;
    let x_reduced = u8::from(x != r);
    Ok(EcdsaSignature {
        r,
        s: bytes(s.as_ref())?,
        recovery_id: (tag & 1) | (x_reduced << 1),
    })
}
