//! The Noise handshake and transport, in the four calls a link needs. Failures are `None`: nothing about them may be told
//! to the peer, and nothing else can be done.

use bytes::Bytes;
use quorate_types::{Hash32, PartyId};
use rand_core::{OsRng, RngCore as _};
use snow::params::NoiseParams;
use snow::resolvers::{BoxedCryptoResolver, DefaultResolver, FallbackResolver};
use snow::{Builder, HandshakeState, StatelessTransportState};
use zeroize::Zeroizing;

use super::ChannelId;

const PATTERN: &str = "Noise_KK_25519_ChaChaPoly_BLAKE2s";

/// Noise adds a 16-byte tag.
const TAG: usize = 16;

pub(super) struct Keys<'a> {
    pub secret: &'a [u8; 32],
    pub peer: &'a [u8; 32],
    pub prologue: Vec<u8>,
}

/// What both sides must agree on beforehand: protocol version, roster, who initiates, who responds.
pub(super) fn prologue(roster: &Hash32, initiator: &PartyId, responder: &PartyId) -> Vec<u8> {
    let names = [initiator.as_str().as_bytes(), responder.as_str().as_bytes()];
    let [a, b] = names;
    quorate_types::canonical::tagged_hash("quorate/link-prologue/v1", &[roster.as_bytes(), a, b])
        .as_bytes()
        .to_vec()
}

/// The operating system's randomness, for the ephemeral keys.
struct Random;

impl snow::types::Random for Random {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        OsRng.try_fill_bytes(out).map_err(|_| snow::Error::Rng)
    }
}

struct OsRandomness;

impl snow::resolvers::CryptoResolver for OsRandomness {
    fn resolve_rng(&self) -> Option<Box<dyn snow::types::Random>> {
        Some(Box::new(Random))
    }

    fn resolve_dh(&self, _: &snow::params::DHChoice) -> Option<Box<dyn snow::types::Dh>> {
        None
    }

    fn resolve_hash(&self, _: &snow::params::HashChoice) -> Option<Box<dyn snow::types::Hash>> {
        None
    }

    fn resolve_cipher(
        &self,
        _: &snow::params::CipherChoice,
    ) -> Option<Box<dyn snow::types::Cipher>> {
        None
    }
}

fn resolver() -> BoxedCryptoResolver {
    Box::new(FallbackResolver::new(
        Box::new(OsRandomness),
        Box::new(DefaultResolver),
    ))
}

fn builder<'a>(keys: &'a Keys<'_>) -> Option<Builder<'a>> {
    let params: NoiseParams = PATTERN.parse().ok()?;
    Builder::with_resolver(params, resolver())
        .local_private_key(keys.secret)
        .and_then(|b| b.remote_public_key(keys.peer))
        .and_then(|b| b.prologue(&keys.prologue))
        .ok()
}

/// First message: `-> e, es, ss`.
pub(super) fn initiate(keys: &Keys<'_>) -> Option<(HandshakeState, Bytes)> {
    let mut noise = builder(keys)?.build_initiator().ok()?;
    let message = write(&mut noise)?;
    Some((noise, message))
}

/// Reads the first message and writes the second: `<- e, ee, se`.
pub(super) fn respond(
    keys: &Keys<'_>,
    message: &[u8],
) -> Option<(StatelessTransportState, ChannelId, Bytes)> {
    let mut noise = builder(keys)?.build_responder().ok()?;
    noise.read_message(message, &mut [0; 128]).ok()?;
    let answer = write(&mut noise)?;
    let (noise, id) = split(noise)?;
    Some((noise, id, answer))
}

/// Reads the second message.
pub(super) fn finish(
    mut noise: HandshakeState,
    answer: &[u8],
) -> Option<(StatelessTransportState, ChannelId)> {
    noise.read_message(answer, &mut [0; 128]).ok()?;
    split(noise)
}

fn write(noise: &mut HandshakeState) -> Option<Bytes> {
    let mut out = [0; 128];
    let len = noise.write_message(&[], &mut out).ok()?;
    out.get(..len).map(Bytes::copy_from_slice)
}

fn split(noise: HandshakeState) -> Option<(StatelessTransportState, ChannelId)> {
    let id = ChannelId::from_slice(noise.get_handshake_hash().get(..16)?)?;
    Some((noise.into_stateless_transport_mode().ok()?, id))
}

pub(super) fn seal(noise: &StatelessTransportState, nonce: u64, plain: &[u8]) -> Option<Bytes> {
    let mut out = vec![0; plain.len() + TAG];
    let len = noise.write_message(nonce, plain, &mut out).ok()?;
    out.truncate(len);
    Some(out.into())
}

pub(super) fn open(
    noise: &StatelessTransportState,
    nonce: u64,
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(vec![0; sealed.len()]);
    let len = noise.read_message(nonce, sealed, &mut out).ok()?;
    out.truncate(len);
    Some(out)
}
