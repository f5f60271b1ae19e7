//! From a payload and its signatures to what the network takes.

use quorate_types::{Network, Payload, PublicKey, Scheme, Signature};

use crate::{Analysis, ChainError, Facts, VerifyError, analyse, evm, psbt, solana, verify};

/// A finished transaction or signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// EVM: the signed EIP-2718 transaction. EIP-191 and EIP-712: `r || s || v`, 65 bytes, v 27 or 28. Bitcoin: the
    /// consensus encoding with witnesses. Solana: the wire transaction. Raw: the signature, see [`Signature::to_bytes`].
    pub bytes: Vec<u8>,
    /// EVM: the transaction hash, `0x` and 64 digits; for EIP-191 and EIP-712 the signed hash. Bitcoin: the txid. Solana: the
    /// first signature in base58. Raw: the SHA-256 of the raw bytes, 64 digits.
    pub id: String,
}

/// Analyses the payload again, verifies each signature against its item, and assembles: one result for each member of a batch,
/// for everything else one.
///
/// Whether a key may sign raw bytes is decided by [`analyse`] before signing, not here.
///
/// # Errors
/// Everything [`analyse`] refuses; a wrong number of signatures; a signature that does not verify, naming its item;
/// a Solana message that also needs other signers.
pub fn assemble(
    payload: &Payload,
    network: Option<Network>,
    scheme: Scheme,
    child: &PublicKey,
    signatures: &[Signature],
) -> Result<Vec<Assembled>, ChainError> {
    let members = payload.members();
    let mut read = Vec::new();
    for (number, member) in (1..).zip(members) {
        let analysis = analyse(member, network, scheme, child, true);
        read.push(analysis.map_err(|e| e.in_member(number, members))?);
    }
    let expected = read.iter().map(|analysis| analysis.items.len()).sum();
    let found = signatures.len();
    if expected != found {
        return Err(ChainError::SignatureCount { expected, found });
    }
    let mut rest = signatures;
    let mut done = Vec::new();
    for ((number, member), analysis) in (1..).zip(members).zip(&read) {
        let (own, later) = rest.split_at(analysis.items.len().min(rest.len()));
        rest = later;
        let assembled = assemble_one(member, scheme, child, analysis, own);
        done.push(assembled.map_err(|e| e.in_member(number, members))?);
    }
    Ok(done)
}

fn assemble_one(
    payload: &Payload,
    scheme: Scheme,
    child: &PublicKey,
    analysis: &Analysis,
    signatures: &[Signature],
) -> Result<Assembled, ChainError> {
    check_signatures(analysis, child, signatures)?;
    match (payload, signatures) {
        (Payload::BitcoinPsbt(bytes), _) => {
            psbt::CheckedPsbt::parse(bytes, scheme, child)?.assemble(signatures)
        }
        (Payload::EvmTransaction(bytes), [Signature::Ecdsa(signature)]) => {
            Ok(evm::UnsignedTx::decode(bytes)?.assemble(signature))
        }
        (Payload::Message(_) | Payload::TypedData(_), [Signature::Ecdsa(signature)]) => {
            evm::message::assemble(analysis, signature)
        }
        (Payload::SolanaMessage(bytes), [Signature::Ed25519(signature)]) => {
            solana::CheckedMessage::parse(bytes, child)?.assemble(signature)
        }
        (Payload::Raw(bytes), [signature]) => Ok(Assembled {
            bytes: signature.to_bytes(),
            id: hex::encode(<sha2::Sha256 as sha2::Digest>::digest(bytes)),
        }),
        _ => Err(ChainError::SignatureCount {
            expected: analysis.items.len(),
            found: signatures.len(),
        }),
    }
}

fn check_signatures(
    analysis: &Analysis,
    child: &PublicKey,
    signatures: &[Signature],
) -> Result<(), ChainError> {
    // EVM signatures carry the parity of R's y and nothing else of the recovery id.
    let parity_only = matches!(
        analysis.facts,
        Facts::Evm(_) | Facts::EvmMessage(_) | Facts::TypedData(_)
    );
    for (item, signature) in analysis.items.iter().zip(signatures) {
        verify(item.message(), child, signature).map_err(|reason| ChainError::BadSignature {
            item: item.index(),
            reason,
        })?;
        if matches!(signature, Signature::Ecdsa(sig) if parity_only && sig.recovery_id > 1) {
            return Err(ChainError::BadSignature {
                item: item.index(),
                reason: VerifyError::Malformed,
            });
        }
    }
    Ok(())
}
