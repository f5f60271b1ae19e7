//! FROST in one round (RFC 9591, section 5.1, done ahead): nonces made before a message is known.
//!
//! Each signer makes its nonces alone and hands out the commitments; whoever carries them may choose whose are put together and for which
//! message, and need not be trusted: each share is bound by its binding factor to the message and to the whole list of
//! commitments (Komlo, Goldberg, ePrint 2020/852). What must never happen is a second share from the same nonces: they are used up by value.
//!
//! ```compile_fail,E0382
//! # use quorate_mpc_protocol::{FrostMessage, FrostNonces, Share};
//! # use quorate_types::{DerivationPath, NonceCommitments};
//! # fn check(nonces: FrostNonces, share: &Share, list: &[NonceCommitments], message: &FrostMessage) {
//! nonces.sign(share, &[0, 1], &DerivationPath::root(), list, message);
//! nonces.sign(share, &[0, 1], &DerivationPath::root(), list, message);
//! # }
//! ```
//!
//! ```compile_fail,E0599
//! # fn check(nonces: quorate_mpc_protocol::FrostNonces) {
//! let copy = nonces.clone();
//! # }
//! ```

use std::collections::BTreeMap;

use frost_core::keys::{PublicKeyPackage, SigningShare};
use frost_core::round1::{NonceCommitment, SigningCommitments, SigningNonces};
use frost_core::round2::{self, SignatureShare};
use frost_core::{
    Identifier, SigningPackage, compute_binding_factor_list, compute_group_commitment,
    verify_signature_share,
};
use frost_ed25519::Ed25519Sha512;
use frost_secp256k1_tr::Secp256K1Sha256TR;
use quorate_types::{DerivationPath, NonceCommitments, SchnorrPartial};

use super::{Keys, Suite, bip340_keys, ed25519_keys, library, scalar};
use crate::ecdsa::check_quorum;
use crate::{Abort, CeremonyRng, FrostMessage, Share};

/// Nonces for one signature share. Zeroized on drop.
pub struct FrostNonces(Suites<SigningNonces<Ed25519Sha512>, SigningNonces<Secp256K1Sha256TR>>);

/// What each signer's share must be, once one was given: public.
pub struct FrostCheck(Suites<Check<Ed25519Sha512>, Check<Secp256K1Sha256TR>>);

/// One of the two ciphersuites.
enum Suites<E, B> {
    Ed25519(E),
    Bip340(B),
}

struct Check<C: Suite> {
    package: SigningPackage<C>,
    public: PublicKeyPackage<C>,
    identifiers: Vec<Identifier<C>>,
    nonce_point: [u8; 32],
}

impl std::fmt::Debug for FrostNonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FrostNonces([redacted])")
    }
}

impl std::fmt::Debug for FrostCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FrostCheck")
    }
}

impl FrostNonces {
    /// Fresh ones, hedged with the share, and the commitments to them.
    ///
    /// # Errors
    /// A share of a curve without Schnorr signatures.
    pub fn generate(
        share: &Share,
        rng: &mut CeremonyRng,
    ) -> Result<(Self, NonceCommitments), Abort> {
        match share {
            Share::Ed25519(core) => {
                let (nonces, commitments) = fresh(&scalar::<Ed25519Sha512, _>(&core.x)?, rng)?;
                Ok((Self(Suites::Ed25519(nonces)), commitments))
            }
            Share::Secp256k1(core) => {
                let (nonces, commitments) = fresh(&scalar::<Secp256K1Sha256TR, _>(&core.x)?, rng)?;
                Ok((Self(Suites::Bip340(nonces)), commitments))
            }
            Share::P256(_) => Err(Abort::local("P-256 keys do not sign Schnorr signatures")),
        }
    }

    /// This party's signature share over a message, which uses the nonces up. `signers` are committee indices; `commitments` are theirs, in the
    /// same order.
    ///
    /// INVARIANT (I4): nobody else may have these nonces, and no copy of them may be left.
    ///
    /// # Errors
    /// A wrong signer list, commitments that are no points, this party's own that are not these nonces'.
    pub fn sign(
        self,
        share: &Share,
        signers: &[u16],
        path: &DerivationPath,
        commitments: &[NonceCommitments],
        message: &FrostMessage,
    ) -> Result<(SchnorrPartial, FrostCheck), Abort> {
        let seat = signers.iter().position(|j| *j == share.index());
        let seat = seat.ok_or_else(|| Abort::local("this party is not among the signers"))?;
        check_quorum(seat, share, signers)?;
        match (self.0, share, message) {
            (Suites::Ed25519(nonces), Share::Ed25519(core), FrostMessage::Ed25519(bytes)) => {
                let keys = ed25519_keys(core, signers, path)?;
                let (partial, check) = issue(keys, &nonces, commitments, bytes)?;
                Ok((partial, FrostCheck(Suites::Ed25519(check))))
            }
            (
                Suites::Bip340(nonces),
                Share::Secp256k1(core),
                FrostMessage::Bip340 { message, tweak },
            ) => {
                let keys = bip340_keys(core, signers, path, *tweak)?;
                let (partial, check) = issue(keys, &nonces, commitments, message)?;
                Ok((partial, FrostCheck(Suites::Bip340(check))))
            }
            _ => Err(Abort::local(
                "the nonces are for another curve than the message's scheme",
            )),
        }
    }
}

impl FrostCheck {
    /// Whether this is what the signer in a seat must have sent for the message.
    #[must_use]
    pub fn is_right(&self, seat: usize, partial: &SchnorrPartial) -> bool {
        match &self.0 {
            Suites::Ed25519(check) => check.is_right(seat, partial),
            Suites::Bip340(check) => check.is_right(seat, partial),
        }
    }
}

fn fresh<C: Suite>(
    secret: &[u8],
    rng: &mut CeremonyRng,
) -> Result<(SigningNonces<C>, NonceCommitments), Abort> {
    let share = library(SigningShare::<C>::deserialize(secret))?;
    let (nonces, commitments) = frost_core::round1::commit(&share, rng);
    Ok((nonces, encode(&commitments)?))
}

fn encode<C: Suite>(commitments: &SigningCommitments<C>) -> Result<NonceCommitments, Abort> {
    Ok(NonceCommitments {
        hiding: library(commitments.hiding().serialize())?,
        binding: library(commitments.binding().serialize())?,
    })
}

fn decode<C: Suite>(commitments: &NonceCommitments) -> Result<SigningCommitments<C>, Abort> {
    let point = |bytes: &[u8]| library(NonceCommitment::<C>::deserialize(bytes));
    Ok(SigningCommitments::new(
        point(&commitments.hiding)?,
        point(&commitments.binding)?,
    ))
}

fn issue<C: Suite>(
    keys: Keys<C>,
    nonces: &SigningNonces<C>,
    commitments: &[NonceCommitments],
    message: &[u8],
) -> Result<(SchnorrPartial, Check<C>), Abort> {
    if commitments.len() != keys.identifiers.len() {
        return Err(Abort::local("not one signer's commitments for each signer"));
    }
    let list = keys.identifiers.iter().zip(commitments);
    let list = list
        .map(|(id, commitments)| Ok((*id, decode::<C>(commitments)?)))
        .collect::<Result<BTreeMap<_, _>, Abort>>()?;
    let package = SigningPackage::new(list, message);
    // Refuses a list in which this party's own commitments are not those of the nonces.
    let share = library(round2::sign(&package, nonces, &keys.secret))?;
    let nonce_point = nonce_point(&package, &keys.public)?;
    let partial = SchnorrPartial {
        nonce_point,
        share: array(&share.serialize())?,
    };
    let check = Check {
        package,
        public: keys.public,
        identifiers: keys.identifiers,
        nonce_point,
    };
    Ok((partial, check))
}

/// The signature's R: RFC 9591's group commitment, without the sign that BIP-340 leaves out.
fn nonce_point<C: Suite>(
    package: &SigningPackage<C>,
    public: &PublicKeyPackage<C>,
) -> Result<[u8; 32], Abort> {
    let (package, _, public) = library(C::pre_aggregate(package, &BTreeMap::new(), public)).map(
        |(package, shares, public)| {
            (
                package.into_owned(),
                shares.into_owned(),
                public.into_owned(),
            )
        },
    )?;
    let factors = library(compute_binding_factor_list(
        &package,
        public.verifying_key(),
        &[],
    ))?;
    let package = library(C::pre_commitment_aggregate(&package, &factors))?;
    let point = library(compute_group_commitment(&package, &factors))?.to_element();
    let encoded = <C::Group as frost_core::Group>::serialize(&point).map_err(Abort::local)?;
    // The x-coordinate follows a tag where the encoding has one.
    let encoded = encoded.as_ref();
    array(
        encoded
            .get(encoded.len().saturating_sub(32)..)
            .unwrap_or_default(),
    )
}

fn array(bytes: &[u8]) -> Result<[u8; 32], Abort> {
    bytes.try_into().map_err(Abort::local)
}

impl<C: Suite> Check<C> {
    fn is_right(&self, seat: usize, partial: &SchnorrPartial) -> bool {
        let Some(id) = self.identifiers.get(seat) else {
            return false;
        };
        let (Some(own), Ok(share)) = (
            self.public.verifying_shares().get(id),
            SignatureShare::<C>::deserialize(&partial.share),
        ) else {
            return false;
        };
        let key = self.public.verifying_key();
        partial.nonce_point == self.nonce_point
            && verify_signature_share(*id, own, &share, &self.package, key).is_ok()
    }
}
