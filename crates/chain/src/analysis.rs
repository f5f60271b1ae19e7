//! The one door from a payload to something that may be signed.

use quorate_types::{
    Batch, DerivationPath, KeyRecord, Network, Payload, Preimage, PublicKey, Scheme,
};

use crate::address::{check_key, evm_address};
use crate::hd::derive_child;
use crate::psbt::Root;
use crate::{ChainError, Effects, Facts, bounds, evm, psbt, raw, solana};

/// Which key a BIP-340 signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaprootTweak {
    /// The child key itself.
    None,
    /// The output key of BIP-86: the child key tweaked with the hash of itself and no script tree.
    Bip86,
}

/// What a signing protocol is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SigningMessage {
    /// The bytes whose hash is signed, for ECDSA.
    Ecdsa(Preimage),
    /// A 32-byte message for BIP-340, and the key it is for.
    Bip340 {
        /// The message.
        message: [u8; 32],
        /// The key.
        tweak: TaprootTweak,
    },
    /// The whole message, for Ed25519.
    Ed25519(Vec<u8>),
}

/// Proof that a message came out of the analysis of a payload: only [`analyse`] makes one.
///
/// ```compile_fail,E0451
/// use quorate_chain::{SigningItem, SigningMessage};
///
/// let forged = SigningItem { index: 0, message: SigningMessage::Ed25519(Vec::new()) };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningItem {
    index: u32,
    message: SigningMessage,
}

impl SigningItem {
    /// Position among the payload's items, from 0: a PSBT has one item per input, a batch those of its members one after the
    /// other, everything else has one.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// What is to be signed.
    #[must_use]
    pub const fn message(&self) -> &SigningMessage {
        &self.message
    }
}

/// What a payload does, and what is to be signed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Analysis {
    /// For people and policies.
    pub facts: Facts,
    /// The same in words that do not depend on the chain.
    pub effects: Effects,
    /// In the payload's order, at least one.
    pub items: Vec<SigningItem>,
}

/// What a payload does, and what is signed for it.
type Read = (Facts, Vec<SigningMessage>);

/// Parses a payload, re-encodes it to the same bytes, and hashes it (I2).
///
/// `child` is the derived key that is to sign, `raw_signing` whether that key was created for raw bytes.
///
/// # Errors
/// Everything that is not understood completely is refused; see [`ChainError`].
pub fn analyse(
    payload: &Payload,
    network: Option<Network>,
    scheme: Scheme,
    child: &PublicKey,
    raw_signing: bool,
) -> Result<Analysis, ChainError> {
    analyse_below(payload, network, scheme, child, raw_signing, None)
}

/// [`analyse`]; with the root key, what goes to its other children is known by its path.
fn analyse_below(
    payload: &Payload,
    network: Option<Network>,
    scheme: Scheme,
    child: &PublicKey,
    raw_signing: bool,
    root: Option<Root<'_>>,
) -> Result<Analysis, ChainError> {
    let len = payload.size();
    if len > Payload::MAX_LEN {
        return Err(ChainError::PayloadTooLong {
            len,
            max: Payload::MAX_LEN,
        });
    }
    let read = |one: &Payload| {
        check_combination(one, network, raw_signing)?;
        check_key(network, scheme, child)?;
        dispatch(one, network, scheme, child, root)
    };
    let (facts, messages) = match payload {
        Payload::Batch(batch) => read_batch(batch, read)?,
        one => read(one)?,
    };
    let items = (0..)
        .zip(messages)
        .map(|(index, message)| SigningItem { index, message })
        .collect();
    let effects = facts.effects();
    // What is counted is counted for one network or for none.
    let first = effects.members.first().map(|member| member.any_network);
    if effects.members.iter().any(|m| Some(m.any_network) != first) {
        return Err(ChainError::MixedNetworks);
    }
    bounds::check("movements", effects.movements.len(), bounds::MOVEMENTS)?;
    Ok(Analysis {
        effects,
        facts,
        items,
    })
}

/// Every member as if it came alone.
fn read_batch(
    batch: &Batch,
    read: impl Fn(&Payload) -> Result<Read, ChainError>,
) -> Result<Read, ChainError> {
    let (mut members, mut messages) = (Vec::new(), Vec::new());
    for (number, member) in (1..).zip(batch.members()) {
        let read = read(member);
        let (facts, own) = read.map_err(|e| e.in_member(number, batch.members()))?;
        members.push(facts);
        messages.extend(own);
        if messages.len() > Batch::MAX {
            return Err(ChainError::TooManyItems { max: Batch::MAX });
        }
    }
    Ok((Facts::Batch { members }, messages))
}

/// [`analyse`] for the child of a key at a path, which it returns as well. Bitcoin outputs that pay other children of the key are
/// known by their path where the PSBT names it; whether that is change, the policy says.
///
/// # Errors
/// As [`analyse`].
pub fn analyse_for(
    payload: &Payload,
    network: Option<Network>,
    record: &KeyRecord,
    path: &DerivationPath,
) -> Result<(PublicKey, Analysis), ChainError> {
    let root = Root {
        key: &record.public_key,
        chain_code: record.chain_code.as_bytes(),
    };
    let child = derive_child(root.key, root.chain_code, path)?;
    let analysis = analyse_below(
        payload,
        network,
        record.scheme,
        &child,
        record.raw_signing,
        Some(root),
    )?;
    Ok((child, analysis))
}

fn check_combination(
    payload: &Payload,
    network: Option<Network>,
    raw_signing: bool,
) -> Result<(), ChainError> {
    let kind = payload.kind();
    match (payload, network) {
        (Payload::Raw(_), Some(network)) => Err(ChainError::RawWithNetwork { network }),
        (Payload::Raw(_), None) if raw_signing => Ok(()),
        (Payload::Raw(_), None) => Err(ChainError::RawSigningNotAllowed),
        (_, None) => Err(ChainError::NetworkMissing { kind }),
        (
            Payload::EvmTransaction(_) | Payload::TypedData(_) | Payload::Message(_),
            Some(Network::Evm { .. }),
        )
        | (Payload::BitcoinPsbt(_), Some(Network::Bitcoin(_)))
        | (Payload::SolanaMessage(_), Some(Network::Solana)) => Ok(()),
        (Payload::Message(_), Some(network)) => Err(ChainError::MessageNotSupported { network }),
        (_, Some(network)) => Err(ChainError::PayloadNotForNetwork { kind, network }),
    }
}

fn dispatch(
    payload: &Payload,
    network: Option<Network>,
    scheme: Scheme,
    child: &PublicKey,
    root: Option<Root<'_>>,
) -> Result<Read, ChainError> {
    match (payload, network) {
        (Payload::EvmTransaction(bytes), Some(Network::Evm { chain_id })) => {
            let tx = evm::UnsignedTx::parse(bytes, chain_id)?;
            let facts = Facts::Evm(tx.facts(evm_address(child)?));
            Ok((facts, vec![tx.signing_message()]))
        }
        (Payload::Message(bytes), Some(Network::Evm { chain_id })) => {
            let (facts, message) = evm::message::analyse(bytes, chain_id);
            Ok((Facts::EvmMessage(facts), vec![message]))
        }
        (Payload::TypedData(text), Some(Network::Evm { chain_id })) => {
            let (facts, message) = evm::typed_data::analyse(text, chain_id)?;
            Ok((Facts::TypedData(facts), vec![message]))
        }
        (Payload::BitcoinPsbt(bytes), Some(Network::Bitcoin(network))) => {
            let psbt = psbt::CheckedPsbt::parse(bytes, scheme, child)?;
            Ok((Facts::Bitcoin(psbt.facts(network, root)), psbt.messages()?))
        }
        (Payload::SolanaMessage(bytes), Some(Network::Solana)) => {
            let message = solana::CheckedMessage::parse(bytes, child)?;
            let facts = Facts::Solana(message.facts());
            Ok((facts, vec![message.signing_message()]))
        }
        (Payload::Raw(bytes), None) => {
            let (facts, message) = raw::analyse(bytes, scheme, child)?;
            Ok((Facts::Raw(facts), vec![message]))
        }
        (other, Some(network)) => Err(ChainError::PayloadNotForNetwork {
            kind: other.kind(),
            network,
        }),
        (other, None) => Err(ChainError::NetworkMissing { kind: other.kind() }),
    }
}
