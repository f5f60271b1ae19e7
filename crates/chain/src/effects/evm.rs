//! Effects of EVM transactions, messages and typed data.

use std::collections::BTreeSet;

use super::{AssetRef, Call, Danger, Effects, Movement, Reading};
use crate::facts::{EvmCall, EvmFacts, EvmMessageFacts, TypedDataFacts};

pub(super) fn transaction(facts: &EvmFacts) -> Effects {
    let mut effects = Effects {
        fee: facts.max_fee,
        ..Effects::default()
    };
    if let Some(created) = &facts.created {
        effects.dangers.insert(Danger::ContractCreation);
        if !facts.value.is_zero() {
            effects
                .movements
                .push(Movement::transfer(AssetRef::Native, created, facts.value));
        }
    }
    if !facts.authorizations.is_empty() {
        effects.dangers.insert(Danger::SetCode);
    }
    if facts.authorizations.iter().any(|a| a.chain_id.is_zero()) {
        effects.dangers.insert(Danger::AnyChain);
    }
    if let Some(call) = &facts.call {
        effects.add_call(call);
    }
    effects
}

/// An EIP-191 message names no chain. It is text for people and contracts to read, unless it is not text or has the length of a
/// hash: Safe and ERC-4337 accounts take EIP-191 signatures of 32-byte transaction hashes.
pub(super) fn message(facts: &EvmMessageFacts) -> Effects {
    let mut dangers = BTreeSet::from([Danger::AnyChain]);
    if facts.text.is_none() || facts.len == 32 {
        dangers.insert(Danger::Undecodable);
    }
    Effects {
        dangers,
        any_network: true,
        ..Effects::default()
    }
}

/// Whoever verifies the signature acts on it: a call, whose method is the type that is signed.
pub(super) fn typed_data(facts: &TypedDataFacts) -> Effects {
    let mut effects = Effects::default();
    if facts.domain_chain_id.is_none() {
        effects.dangers.insert(Danger::AnyChain);
        effects.any_network = true;
    }
    if let Some(contract) = &facts.verifying_contract {
        effects.calls.insert(Call {
            contract: contract.clone(),
            method: format!("eip712:{}", facts.primary_type),
            reading: match facts.meaning {
                Some(_) => Reading::Decoded,
                // No list of contracts vouches for what is signed for them.
                None => Reading::Incomplete,
            },
        });
    }
    match &facts.meaning {
        Some(meaning) => {
            effects.movements.extend(meaning.movements.iter().cloned());
            effects.dangers.extend(&meaning.dangers);
            meaning.inner.iter().for_each(|call| effects.add_call(call));
        }
        None => {
            effects.dangers.insert(Danger::Undecodable);
        }
    }
    effects
}

impl Effects {
    /// A call and, depth first, those inside it.
    fn add_call(&mut self, call: &EvmCall) {
        if call.data_len > 0 || call.delegated {
            self.calls.insert(Call {
                contract: call.contract.clone(),
                method: call.method.clone(),
                reading: call.reading,
            });
        }
        self.movements.extend(call.movements.iter().cloned());
        self.dangers.extend(&call.dangers);
        call.inner.iter().for_each(|inner| self.add_call(inner));
    }
}
