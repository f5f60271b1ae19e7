//! EIP-191 version `0x45` messages (`personal_sign`), and the 65-byte form of signatures over messages.

use alloy_primitives::hex;
use alloy_primitives::utils::eip191_message;
use quorate_types::{EcdsaSignature, HashAlgorithm, Preimage};

use crate::facts::EvmMessageFacts;
use crate::{Analysis, Assembled, ChainError, Facts, SigningMessage};

pub(crate) fn analyse(bytes: &[u8], chain_id: u64) -> (EvmMessageFacts, SigningMessage) {
    let preimage = Preimage::new(HashAlgorithm::Keccak256, eip191_message(bytes));
    let text = std::str::from_utf8(bytes).ok().map(str::to_owned);
    let facts = EvmMessageFacts {
        chain_id,
        len: bytes.len(),
        hex: text.is_none().then(|| hex::encode_prefixed(bytes)),
        text,
        hash: hex::encode_prefixed(preimage.digest()),
    };
    (facts, SigningMessage::Ecdsa(preimage))
}

/// `r || s || v` with v 27 or 28, the form of EIP-191 and EIP-712.
pub(crate) fn assemble(
    analysis: &Analysis,
    signature: &EcdsaSignature,
) -> Result<Assembled, ChainError> {
    let id = match &analysis.facts {
        Facts::EvmMessage(facts) => facts.hash.clone(),
        Facts::TypedData(facts) => facts.hash.clone(),
        _ => {
            return Err(ChainError::SignatureCount {
                expected: analysis.items.len(),
                found: 1,
            });
        }
    };
    let mut bytes = signature.to_compact().to_vec();
    bytes.push(if signature.recovery_id & 1 == 1 {
        28
    } else {
        27
    });
    Ok(Assembled { bytes, id })
}
