//! Transactions as JSON: whatever is built from it is a transaction, and analysed as one on its chain.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_chain::ChainError;
use quorate_chain::evm::{EvmError, from_json};
use quorate_fuzz::{ETHEREUM, accepted, analysed};
use quorate_types::Scheme;

fuzz_target!(|text: &str| {
    let Ok(payload) = from_json(text) else {
        return;
    };
    if accepted(&payload, Some(ETHEREUM), Scheme::Ecdsa).is_some() {
        return;
    }
    let refused = analysed(&payload, Some(ETHEREUM), Scheme::Ecdsa).unwrap_err();
    let by_content = matches!(
        refused,
        ChainError::PayloadTooLong { .. }
            | ChainError::Evm(
                EvmError::WrongChainId { .. }
                    | EvmError::TipAboveCap { .. }
                    | EvmError::NoBlobs
                    | EvmError::BlobHashVersion { .. }
                    | EvmError::NoAuthorizations
            )
    );
    assert!(by_content, "{refused}");
});
