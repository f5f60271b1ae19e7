//! What is refused without being written, and where rules of the text allow it all the same.

use quorate_chain::Danger;
use quorate_types::Bundle;

use super::super::document::Document;
use super::super::rules::{RuleKind, refusal_id, refused};
use super::when::{ANYTHING, applies, calls};
use super::{DANGER, Statement};

/// Name in statements, and in the ids of rules, of what is no danger of a payload's own: an asset
/// that the policy does not list.
const UNKNOWN_ASSET: &str = "unknown-asset";

/// Every danger that is refused unless a rule allows it, by its name.
pub(super) fn names() -> Vec<&'static str> {
    refused().into_iter().chain([UNKNOWN_ASSET]).collect()
}

/// What becomes of a danger, as far as the text goes: refused, refused with exceptions, or allowed
/// where a rule allows it unconditionally.
pub(super) fn statement(name: &'static str, document: &Document, bundle: &Bundle) -> Statement {
    let allowed: Vec<String> = document
        .rule
        .iter()
        .filter_map(|entry| Some((entry, lifting(&entry.kind, name, bundle)?)))
        .map(|(entry, lifting)| format!("ALLOWED by rule {}, {lifting}", entry.id))
        .collect();
    let text = match allowed.as_slice() {
        [] => format!("refused: {}", meaning(name)),
        allowed => format!(
            "refused unless allowed: {}. {}",
            meaning(name),
            allowed.join(". ")
        ),
    };
    Statement::new(DANGER, name, text)
}

/// A danger that a bundle neither refuses nor allows, because it was compiled by a program that did
/// not know it.
pub(super) fn not_refused(name: &'static str) -> Statement {
    let text = format!(
        "NOT REFUSED: {}; this bundle has no rule {}",
        meaning(name),
        refusal_id(name)
    );
    Statement::new(DANGER, name, text)
}

/// Where a rule allows a danger, if it does.
fn lifting(kind: &RuleKind, name: &str, bundle: &Bundle) -> Option<String> {
    match kind {
        RuleKind::AllowDanger {
            dangers,
            calls: only,
            when,
        } if dangers.iter().any(|d| d == name) => {
            let about = applies(when, bundle, ANYTHING);
            Some(match only.as_slice() {
                [] => about,
                only => format!(
                    "{about}, if something is called, nothing but {}, and no bytes are malformed",
                    calls(only)
                ),
            })
        }
        RuleKind::AllowUnknownAssets { when } if name == UNKNOWN_ASSET => {
            Some(applies(when, bundle, ANYTHING))
        }
        _ => None,
    }
}

/// A danger in words.
fn meaning(name: &str) -> &'static str {
    let found = Danger::ALL.into_iter().find(|d| d.name() == name);
    match found {
        Some(Danger::Undecodable) => "something in it is not understood",
        Some(Danger::Delegatecall) => "foreign code runs with the account's own rights",
        Some(Danger::SetCode) => "the account is handed to other code (EIP-7702)",
        Some(Danger::ContractCreation) => "it creates a contract",
        Some(Danger::UnlimitedApproval) => "it lets somebody take any amount of a token",
        Some(Danger::ApprovalForAll) => "it lets somebody take every token of a contract",
        Some(Danger::AuthorityChange) => {
            "it changes an owner, authority, guard, module or implementation"
        }
        Some(Danger::AnyChain) => "the signature is valid on every chain, and it is no message",
        Some(Danger::ExcessiveFee) => "its fee is beyond the bounds of the chain",
        None => "it moves an asset that the policy does not list",
    }
}
