//! What a setup leaves behind: one party's side of the pairwise state.

use std::collections::BTreeMap;

use dkls23::protocols::PartyIndex;
use dkls23::utilities::multiplication::{MulReceiver, MulSender};
use dkls23::utilities::zero_shares::ZeroShare;
use k256_dkls::Secp256k1;
use p256_dkls::NistP256;
use quorate_types::{Curve, Hash32, MAX_PARTIES, PublicKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::curve::{self, Suite};
use crate::{Abort, Share, codec};

/// The first byte of the encoding.
const VERSION: u8 = 1;
/// The longest string of bytes in the encoding: a scalar, with room for a point.
const MAX_ITEM: usize = 64;
/// What one peer's part of the encoding takes at most, in bytes: two gadgets of 416 scalars, 768 seeds, 256 bits and a zero seed.
const PER_PEER: usize = 54 * 1024;
/// The rest of the encoding.
const REST: usize = 1024;

/// One party's setup for signing with one key by DKLs23. Secret: with its peer's half it opens what that peer put into their
/// multiplications. Memory is zeroized on drop.
///
/// Bound to the key's public key and to the committee's evaluation points, which are 1 to n, and made for one key only. Not bound to
/// an epoch, since it depends on no share; make a new one after a refresh all the same: whoever held one party's
/// setup before the refresh and another's after it has both ends of their transfers.
pub struct DklsSetup {
    pub(super) header: Header,
    pub(super) state: State,
}

/// What the setup is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The library's session id.
    pub id: [u8; 32],
    pub public_key: Vec<u8>,
    pub index: u16,
    pub parties: u16,
}

pub(super) enum State {
    Secp256k1(Pairwise<Secp256k1>),
    P256(Pairwise<NistP256>),
}

/// The library's types for all peers; each zeroizes itself on drop.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct Pairwise<C: Suite> {
    pub zero: ZeroShare,
    pub senders: BTreeMap<PartyIndex, MulSender<C>>,
    pub receivers: BTreeMap<PartyIndex, MulReceiver<C>>,
}

/// Bytes that are no DKLs23 setup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DklsSetupError {
    /// Longer than any setup of this version.
    #[error("{0} bytes, more than a DKLs23 setup has")]
    TooLong(usize),
    /// Written by another version.
    #[error("DKLs23 setup of unknown version {0}")]
    Version(u8),
    /// Not decodable, or inconsistent in itself.
    #[error("not a valid DKLs23 setup: {0}")]
    Invalid(String),
}

impl std::fmt::Debug for DklsSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DklsSetup([redacted])")
    }
}

impl DklsSetup {
    /// A name for this run of the setup, the same for all parties of it. Signers must use setups of the same name, or they name each
    /// other.
    #[must_use]
    pub const fn id(&self) -> Hash32 {
        Hash32::from_bytes(self.header.id)
    }

    /// The root public key of the key it is for.
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        PublicKey::new(self.curve(), &self.header.public_key).ok()
    }

    /// The key's curve.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        match self.state {
            State::Secp256k1(_) => Curve::Secp256k1,
            State::P256(_) => Curve::P256,
        }
    }

    /// This party's index in the committee, from 0.
    #[must_use]
    pub const fn index(&self) -> u16 {
        self.header.index
    }

    /// How many parties the committee has.
    #[must_use]
    pub const fn parties(&self) -> u16 {
        self.header.parties
    }

    /// The secret encoding, for sealing: a version byte, a byte for the curve, then postcard. About 52 KiB per peer.
    ///
    /// # Errors
    /// Only if encoding fails, which a setup that a ceremony made does not.
    pub fn to_secret_bytes(&self) -> Result<Zeroizing<Vec<u8>>, DklsSetupError> {
        match &self.state {
            State::Secp256k1(pairs) => encode(CURVE_SECP256K1, &self.header, pairs),
            State::P256(pairs) => encode(CURVE_P256, &self.header, pairs),
        }
    }

    /// Decodes and validates: dimensions are right, and there is exactly one entry for each peer.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, DklsSetupError> {
        if bytes.len() > max_len(MAX_PARTIES) {
            return Err(DklsSetupError::TooLong(bytes.len()));
        }
        match bytes {
            [VERSION, CURVE_SECP256K1, rest @ ..] => {
                decode(rest).map(|(header, pairs)| (header, State::Secp256k1(pairs)))
            }
            [VERSION, CURVE_P256, rest @ ..] => {
                decode(rest).map(|(header, pairs)| (header, State::P256(pairs)))
            }
            [VERSION, ..] => Err(DklsSetupError::Invalid("unknown curve".to_owned())),
            [version, ..] => Err(DklsSetupError::Version(*version)),
            [] => Err(DklsSetupError::Invalid("no bytes".to_owned())),
        }
        .map(|(header, state)| Self { header, state })
        .and_then(|setup| {
            setup
                .public_key()
                .map(|_| setup)
                .ok_or_else(|| DklsSetupError::Invalid("no public key".to_owned()))
        })
    }

    /// The setup is this party's for this share's key and committee.
    pub(super) fn check_fits(&self, share: &Share) -> Result<(), Abort> {
        let parties = share.threshold().map_err(Abort::local)?.n();
        let fits = self.public_key().is_some()
            && self.public_key() == share.public_key()
            && self.header.index == share.index()
            && self.header.parties == parties;
        if fits {
            Ok(())
        } else {
            Err(Abort::local(
                "the DKLs23 setup belongs to another key, committee or party",
            ))
        }
    }
}

const CURVE_SECP256K1: u8 = 1;
const CURVE_P256: u8 = 2;

const fn max_len(parties: u16) -> usize {
    REST + PER_PEER * (parties as usize)
}

fn encode<C: Suite>(
    curve: u8,
    header: &Header,
    pairs: &Pairwise<C>,
) -> Result<Zeroizing<Vec<u8>>, DklsSetupError> {
    let failed = |e: postcard::Error| DklsSetupError::Invalid(e.to_string());
    // As long as it can get, so that it is not reallocated, which would leave copies behind.
    let mut bytes = Zeroizing::new(vec![0; max_len(header.parties)]);
    let written = match bytes.as_mut_slice() {
        [first, second, rest @ ..] => {
            *first = VERSION;
            *second = curve;
            postcard::to_slice(&(header, pairs), rest)
                .map_err(failed)?
                .len()
        }
        _ => 0,
    };
    bytes.truncate(written + 2);
    Ok(bytes)
}

fn decode<C: Suite>(bytes: &[u8]) -> Result<(Header, Pairwise<C>), DklsSetupError> {
    let (header, pairs): (Header, Pairwise<C>) =
        codec::decode(bytes, MAX_ITEM).map_err(DklsSetupError::Invalid)?;
    if header.parties > MAX_PARTIES || header.index >= header.parties {
        return Err(DklsSetupError::Invalid("no such party".to_owned()));
    }
    pairs.check(&header).map_err(DklsSetupError::Invalid)?;
    Ok((header, pairs))
}

impl<C: Suite> Pairwise<C> {
    fn check(&self, header: &Header) -> Result<(), String> {
        let peers = (0..header.parties)
            .filter(|j| *j != header.index)
            .map(|j| curve::party(j).map_err(|e| e.to_string()))
            .collect::<Result<Vec<_>, _>>()?;
        let me = curve::party(header.index).map_err(|e| e.to_string())?;
        let seeds = self.zero.seeds.iter();
        let complete = self.senders.keys().eq(&peers)
            && self.receivers.keys().eq(&peers)
            && seeds.clone().map(|s| &s.index_counterparty).eq(&peers)
            && seeds
                .clone()
                .all(|s| s.lowest_index == (me < s.index_counterparty));
        if !complete {
            return Err("not one entry for each peer".to_owned());
        }
        self.senders
            .values()
            .map(MulSender::check_state)
            .chain(self.receivers.values().map(|r| r.check_state(None)))
            .collect::<Result<(), _>>()
            .map_err(|e| e.description)
    }

    /// A copy of what concerns these peers.
    pub(super) fn only(&self, peers: &[PartyIndex]) -> Self {
        let seeds = self.zero.seeds.iter();
        let seeds = seeds.filter(|s| peers.contains(&s.index_counterparty));
        let pick = |party: &PartyIndex| peers.contains(party);
        Self {
            zero: ZeroShare::initialize(seeds.cloned().collect()),
            senders: copied(&self.senders, pick),
            receivers: copied(&self.receivers, pick),
        }
    }
}

fn copied<T: Clone>(
    map: &BTreeMap<PartyIndex, T>,
    pick: impl Fn(&PartyIndex) -> bool,
) -> BTreeMap<PartyIndex, T> {
    map.iter()
        .filter(|(party, _)| pick(party))
        .map(|(party, value)| (*party, value.clone()))
        .collect()
}
