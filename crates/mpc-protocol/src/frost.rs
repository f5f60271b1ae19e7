//! Threshold Schnorr: FROST (RFC 9591) over Ed25519, and over secp256k1 for BIP-340 with the BIP-341 tweak applied explicitly.
//!
//! Round 1 broadcasts nonce commitments. Round 2 broadcasts the signature share together with an echo, a hash of all
//! commitments as received: FROST is unforgeable even if commitments are equivocated (its security proof gives the adversary
//! the coordinator), the echo lets the parties notice and convict.

mod nonces;

use std::collections::{BTreeMap, BTreeSet};

use frost_core::keys::{KeyPackage, PublicKeyPackage, SigningShare, VerifyingShare};
use frost_core::round1::{SigningCommitments, SigningNonces};
use frost_core::round2::SignatureShare;
use frost_core::{CheaterDetection, Ciphersuite, Identifier, SigningPackage, VerifyingKey};
use frost_ed25519::Ed25519Sha512;
use frost_secp256k1_tr::Secp256K1Sha256TR;
use frost_secp256k1_tr::keys::Tweak as _;
use generic_ec::curves::{Ed25519, Secp256k1};
use generic_ec::{Point, Scalar};
use hd_wallet::{DeriveShift, Edwards, Slip10};
use key_share::CoreKeyShare;
use quorate_types::Signature;
use quorate_types::canonical::tagged_hash;
use quorate_types::{DerivationPath, Hash32, SignedStatement};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::codec::{self, Place};
use crate::ecdsa::check_signers;
use crate::{
    Abort, AbortReason, Ceremony, CeremonyRng, Effect, Incoming, Outcome, Outgoing, Seat, Share,
    To, hd, rules,
};

pub use nonces::{FrostCheck, FrostNonces};

const COMMIT: u16 = 0;
const SHARE: u16 = 1;

/// How a taproot output key comes from the internal key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaprootTweak {
    /// The key is used as it is (plain BIP-340).
    None,
    /// BIP-86: tweaked with the hash of itself, no script path.
    Bip86,
}

/// What is signed. The caller parsed and hashed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrostMessage {
    /// Any bytes, RFC 8032.
    Ed25519(Vec<u8>),
    /// A 32-byte hash, BIP-340.
    Bip340 {
        /// The sighash.
        message: [u8; 32],
        /// The output key's tweak.
        tweak: TaprootTweak,
    },
}

/// Signs with FROST. `signers` as in [`crate::sign_ecdsa`].
///
/// # Errors
/// A share of another curve than the message's scheme, or a wrong signer list.
pub fn sign_frost(
    seat: Seat,
    share: &Share,
    signers: &[u16],
    path: &DerivationPath,
    message: &FrostMessage,
    rng: CeremonyRng,
) -> Result<Box<dyn Ceremony>, Abort> {
    check_signers(&seat, share, signers)?;
    match (share, message) {
        (Share::Ed25519(core), FrostMessage::Ed25519(bytes)) => {
            let keys = ed25519_keys(core, signers, path)?;
            Ok(Box::new(FrostSigning::new(seat, keys, bytes, rng)))
        }
        (Share::Secp256k1(core), FrostMessage::Bip340 { message, tweak }) => {
            let keys = bip340_keys(core, signers, path, *tweak)?;
            Ok(Box::new(FrostSigning::new(seat, keys, message, rng)))
        }
        _ => Err(Abort::local(
            "the key's curve does not fit the message's scheme",
        )),
    }
}

fn ed25519_keys(
    core: &CoreKeyShare<Ed25519>,
    signers: &[u16],
    path: &DerivationPath,
) -> Result<Keys<Ed25519Sha512>, Abort> {
    Keys::derive::<Ed25519, Edwards>(core, signers, path)
}

fn bip340_keys(
    core: &CoreKeyShare<Secp256k1>,
    signers: &[u16],
    path: &DerivationPath,
    tweak: TaprootTweak,
) -> Result<Keys<Secp256K1Sha256TR>, Abort> {
    let keys = Keys::<Secp256K1Sha256TR>::derive::<Secp256k1, Slip10>(core, signers, path)?;
    Ok(match tweak {
        TaprootTweak::None => keys,
        TaprootTweak::Bip86 => keys.bip86(),
    })
}

/// A ciphersuite whose encodings this file knows how to fill.
trait Suite: Ciphersuite {
    /// The group's scalar in the suite's byte order, from big-endian.
    fn scalar_bytes(big_endian: &[u8]) -> Zeroizing<Vec<u8>>;
    /// The finished signature from the suite's encoding.
    fn signature(bytes: [u8; 64]) -> Signature;
}

impl Suite for Ed25519Sha512 {
    fn scalar_bytes(big_endian: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(big_endian.iter().rev().copied().collect())
    }
    fn signature(bytes: [u8; 64]) -> Signature {
        Signature::Ed25519(bytes)
    }
}

impl Suite for Secp256K1Sha256TR {
    fn scalar_bytes(big_endian: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(big_endian.to_vec())
    }
    fn signature(bytes: [u8; 64]) -> Signature {
        Signature::Bip340(bytes)
    }
}

/// The canonical share in FROST's types, moved to the child key.
struct Keys<C: Ciphersuite> {
    secret: KeyPackage<C>,
    public: PublicKeyPackage<C>,
    /// Of the participants, in session order.
    identifiers: Vec<Identifier<C>>,
}

impl<C: Suite> Keys<C> {
    fn derive<E, Hd>(
        core: &CoreKeyShare<E>,
        signers: &[u16],
        path: &DerivationPath,
    ) -> Result<Self, Abort>
    where
        E: generic_ec::Curve,
        Hd: DeriveShift<E>,
    {
        let child = hd::derive::<E, Hd>(core, path)?;
        let shift_point = Point::generator() * child.shift;
        let setup = core
            .vss_setup
            .as_ref()
            .ok_or_else(|| Abort::local("the key share has no Shamir setup"))?;
        // Only the signers': decoding a point is the dearest part of this.
        let members = signers
            .iter()
            .map(|j| {
                let point = pick(&setup.I, *j)?;
                let share = pick(&core.public_shares, *j)? + shift_point;
                let id =
                    scalar::<C, E>(&point).and_then(|b| library(Identifier::deserialize(&b)))?;
                Ok((
                    *j,
                    id,
                    library(VerifyingShare::deserialize(&encoded(&share)))?,
                ))
            })
            .collect::<Result<Vec<_>, Abort>>()?;
        let key = library(VerifyingKey::deserialize(&encoded(&child.public_key)))?;
        let (_, me, own) = members
            .iter()
            .find(|(j, _, _)| *j == core.i)
            .copied()
            .ok_or_else(|| Abort::local("own public share missing"))?;
        let root: &Scalar<E> = core.x.as_ref();
        let mut secret = root + child.shift;
        let signing_share =
            scalar::<C, E>(&secret).and_then(|b| library(SigningShare::deserialize(&b)));
        zeroize::Zeroize::zeroize(&mut secret);
        Ok(Self {
            secret: KeyPackage::new(me, signing_share?, own, key, setup.min_signers),
            public: PublicKeyPackage::new(
                members.iter().map(|(_, id, share)| (*id, *share)).collect(),
                key,
                Some(setup.min_signers),
            ),
            identifiers: members.iter().map(|(_, id, _)| *id).collect(),
        })
    }
}

impl Keys<Secp256K1Sha256TR> {
    /// BIP-341's key-path tweak without a script tree, as BIP-86 prescribes.
    fn bip86(self) -> Self {
        Self {
            secret: self.secret.tweak(None::<&[u8]>),
            public: self.public.tweak(None::<&[u8]>),
            identifiers: self.identifiers,
        }
    }
}

fn pick<T: Copy>(list: &[T], index: u16) -> Result<T, Abort> {
    list.get(usize::from(index))
        .copied()
        .ok_or_else(|| Abort::local("committee index out of range"))
}

fn library<T, C: Ciphersuite>(result: Result<T, frost_core::Error<C>>) -> Result<T, Abort> {
    result.map_err(Abort::local)
}

fn scalar<C: Suite, E: generic_ec::Curve>(
    value: &impl AsRef<Scalar<E>>,
) -> Result<Zeroizing<Vec<u8>>, Abort> {
    Ok(C::scalar_bytes(value.as_ref().to_be_bytes().as_ref()))
}

fn encoded<E: generic_ec::Curve>(point: &impl AsRef<Point<E>>) -> Vec<u8> {
    point.as_ref().to_bytes(true).to_vec()
}

/// Round 2 on the wire.
#[derive(Serialize, Deserialize)]
struct ShareMessage {
    echo: [u8; 32],
    share: Vec<u8>,
}

/// The signing ceremony.
struct FrostSigning<C: Ciphersuite> {
    seat: Seat,
    keys: Keys<C>,
    message: Vec<u8>,
    rng: CeremonyRng,
    /// Taken, and so gone, when the share is computed.
    nonces: Option<SigningNonces<C>>,
    commitments: BTreeMap<u16, (Vec<u8>, SigningCommitments<C>)>,
    shares: BTreeMap<u16, (ShareMessage, SignatureShare<C>)>,
    statements: Vec<SignedStatement>,
    package: Option<SigningPackage<C>>,
    ended: bool,
}

impl<C: Suite> FrostSigning<C> {
    fn new(seat: Seat, keys: Keys<C>, message: &[u8], rng: CeremonyRng) -> Self {
        Self {
            seat,
            keys,
            message: message.to_vec(),
            rng,
            nonces: None,
            commitments: BTreeMap::new(),
            shares: BTreeMap::new(),
            statements: Vec::new(),
            package: None,
            ended: false,
        }
    }

    // Round 1
    fn commit(&mut self) -> Result<Vec<Effect>, Abort> {
        let (nonces, commitments) =
            frost_core::round1::commit(self.keys.secret.signing_share(), &mut self.rng);
        let encoded = library(commitments.serialize())?;
        let mut effects = vec![self.broadcast(COMMIT, &encoded)?];
        self.nonces = Some(nonces);
        self.commitments
            .insert(self.seat.me(), (encoded, commitments));
        // Peers may have been heard before the first step.
        effects.extend(self.progress()?);
        Ok(effects)
    }

    const fn place(&self, round: u16, from: u16) -> Place<'_> {
        Place {
            session: self.seat.session(),
            round,
            from,
        }
    }

    fn broadcast<M: Serialize>(&self, round: u16, message: &M) -> Result<Effect, Abort> {
        let place = self.place(round, self.seat.me());
        Ok(Effect::Send(Outgoing {
            to: To::Everyone,
            round,
            payload: place.encode(message).map_err(Abort::local)?,
        }))
    }

    fn accept(&mut self, incoming: Incoming) -> Result<Vec<Effect>, Abort> {
        let Incoming {
            from,
            round,
            broadcast,
            payload,
            statement,
        } = incoming;
        let invalid = |detail: String| Abort::invalid_message(from, round, detail);
        if from >= self.seat.parties() || from == self.seat.me() {
            return Err(Abort::local(format!(
                "message delivered from impossible seat {from}"
            )));
        }
        if !broadcast {
            return Err(invalid(
                "direct message where a broadcast belongs".to_owned(),
            ));
        }
        if ![COMMIT, SHARE].contains(&round) {
            return Err(invalid("the protocol has no such round".to_owned()));
        }
        let bytes = self
            .place(round, from)
            .open(&payload, rules::FROST.max_len)
            .map_err(invalid)?;
        let fresh = if round == COMMIT {
            self.accept_commitments(from, bytes)
        } else {
            self.accept_share(from, bytes)
        }
        .map_err(invalid)?;
        if !fresh {
            return Ok(vec![self.need()]);
        }
        self.statements.extend(statement);
        self.progress()
    }

    /// `Ok(false)` is a harmless repetition.
    fn accept_commitments(&mut self, from: u16, bytes: &[u8]) -> Result<bool, String> {
        let encoded: Vec<u8> = codec::decode(bytes, rules::FROST.max_item)?;
        if let Some((seen, _)) = self.commitments.get(&from) {
            return unchanged(*seen == encoded);
        }
        let commitments =
            SigningCommitments::<C>::deserialize(&encoded).map_err(|e| e.to_string())?;
        self.commitments.insert(from, (encoded, commitments));
        Ok(true)
    }

    fn accept_share(&mut self, from: u16, bytes: &[u8]) -> Result<bool, String> {
        let message: ShareMessage = codec::decode(bytes, rules::FROST.max_item)?;
        if let Some((seen, _)) = self.shares.get(&from) {
            return unchanged(seen.echo == message.echo && seen.share == message.share);
        }
        let share = SignatureShare::<C>::deserialize(&message.share).map_err(|e| e.to_string())?;
        self.shares.insert(from, (message, share));
        Ok(true)
    }

    fn progress(&mut self) -> Result<Vec<Effect>, Abort> {
        let all = usize::from(self.seat.parties());
        let mut effects = Vec::new();
        if self.package.is_none() && self.commitments.len() == all {
            effects.push(self.sign()?);
        }
        if self.package.is_some() {
            self.check_echoes()?;
            if self.shares.len() == all {
                effects.push(self.aggregate()?);
                return Ok(effects);
            }
        }
        effects.push(self.need());
        Ok(effects)
    }

    // Round 2
    fn sign(&mut self) -> Result<Effect, Abort> {
        let commitments = self
            .commitments
            .iter()
            .map(|(j, (_, c))| Ok((pick(&self.keys.identifiers, *j)?, *c)))
            .collect::<Result<BTreeMap<_, _>, Abort>>()?;
        let package = SigningPackage::new(commitments, &self.message);
        let nonces = self
            .nonces
            .take()
            .ok_or_else(|| Abort::local("signing nonces are already used"))?;
        let share = library(frost_core::round2::sign(
            &package,
            &nonces,
            &self.keys.secret,
        ))?;
        let message = ShareMessage {
            echo: *self.echo().as_bytes(),
            share: share.serialize(),
        };
        let effect = self.broadcast(SHARE, &message)?;
        self.shares.insert(self.seat.me(), (message, share));
        self.package = Some(package);
        Ok(effect)
    }

    /// Hash of all commitments in session order.
    fn echo(&self) -> Hash32 {
        let parts: Vec<&[u8]> = std::iter::once(self.seat.session().as_bytes().as_slice())
            .chain(self.commitments.values().map(|(bytes, _)| bytes.as_slice()))
            .collect();
        tagged_hash("quorate/frost-echo/v1", &parts)
    }

    fn check_echoes(&mut self) -> Result<(), Abort> {
        let echo = self.echo();
        if self
            .shares
            .values()
            .all(|(m, _)| m.echo == *echo.as_bytes())
        {
            return Ok(());
        }
        Err(Abort {
            reason: AbortReason::UnreliableBroadcast { round: COMMIT },
            culprits: Vec::new(),
            evidence: std::mem::take(&mut self.statements),
        })
    }

    fn aggregate(&self) -> Result<Effect, Abort> {
        let package = self
            .package
            .as_ref()
            .ok_or_else(|| Abort::local("no signing package"))?;
        let shares = self
            .shares
            .iter()
            .map(|(j, (_, share))| Ok((pick(&self.keys.identifiers, *j)?, *share)))
            .collect::<Result<BTreeMap<_, _>, Abort>>()?;
        let signature = frost_core::aggregate_custom(
            package,
            &shares,
            &self.keys.public,
            CheaterDetection::AllCheaters,
        )
        .map_err(|error| self.blame(&error))?;
        library(
            self.keys
                .public
                .verifying_key()
                .verify(&self.message, &signature),
        )?;
        let bytes = library(signature.serialize())?;
        let bytes = <[u8; 64]>::try_from(bytes.as_slice()).map_err(Abort::local)?;
        Ok(Effect::Done(Box::new(Outcome::Signature(C::signature(
            bytes,
        )))))
    }

    fn blame(&self, error: &frost_core::Error<C>) -> Abort {
        let culprits: BTreeSet<_> = error.culprits().into_iter().collect();
        let culprits: Vec<u16> = (0..self.seat.parties())
            .zip(&self.keys.identifiers)
            .filter(|(_, id)| culprits.contains(id))
            .map(|(j, _)| j)
            .collect();
        let detail = error.to_string();
        let reason = if culprits.is_empty() {
            AbortReason::Unattributable { detail }
        } else {
            AbortReason::FailedCheck { detail }
        };
        Abort::blaming(reason, culprits)
    }

    fn need(&self) -> Effect {
        let missing = |heard: &dyn Fn(u16) -> bool| -> Vec<u16> {
            self.seat.peers().filter(|j| !heard(*j)).collect()
        };
        let commitments = missing(&|j| self.commitments.contains_key(&j));
        if commitments.is_empty() {
            let from = missing(&|j| self.shares.contains_key(&j));
            Effect::Need { round: SHARE, from }
        } else {
            Effect::Need {
                round: COMMIT,
                from: commitments,
            }
        }
    }

    fn end_on_error(&mut self, result: Result<Vec<Effect>, Abort>) -> Vec<Effect> {
        let effects = result.unwrap_or_else(|abort| vec![Effect::Abort(abort)]);
        self.ended = effects
            .iter()
            .any(|e| matches!(e, Effect::Done(_) | Effect::Abort(_)));
        effects
    }
}

fn unchanged(same: bool) -> Result<bool, String> {
    if same {
        Ok(false)
    } else {
        Err("a second, different message in the same round".to_owned())
    }
}

impl<C: Suite> Ceremony for FrostSigning<C> {
    fn begin(&mut self) -> Vec<Effect> {
        let result = self.commit();
        self.end_on_error(result)
    }

    fn deliver(&mut self, message: Incoming) -> Vec<Effect> {
        if self.ended {
            return Vec::new();
        }
        let result = self.accept(message);
        self.end_on_error(result)
    }
}
