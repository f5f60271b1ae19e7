//! What an approver reads before signing. Everyone computes it alone: an approval carries its hash, and an agent that would show
//! something else does not count the approval.

use quorate_chain::{Analysis, Effects, SigningItem, SigningMessage};
use quorate_types::canonical::tagged_hash;
use quorate_types::{Action, ChainRules, Hash32, Intent, KeyRecord, Network, PublicKey};
use sha2::{Digest as _, Sha256};

use crate::fees::dangers;

/// The lines of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    lines: Vec<String>,
}

impl Shown {
    /// A request to sign, as it was understood here, under a bundle's chain rules.
    #[must_use]
    pub fn signing(
        intent: &Intent,
        record: &KeyRecord,
        analysis: &Analysis,
        chains: &ChainRules,
    ) -> Self {
        let mut network = None;
        let mut lines = vec![format!("operator {} asks", intent.operator)];
        lines.extend(analysis.facts.summary_lines());
        if let Action::Sign {
            path,
            network: asked,
            purpose,
            ..
        } = &intent.action
        {
            // One that the signed bytes do not name would only seem to say something.
            network = asked.filter(|_| !analysis.effects.any_network);
            lines.push(format!("key {} {path}", record.name));
            lines.extend(network.map(|n| format!("chain {n}")));
            if !purpose.is_empty() {
                lines.push(format!("purpose: \"{}\"", purpose.escape_debug()));
            }
        }
        lines.extend(change_lines(&analysis.effects, chains));
        lines.extend(danger_lines(&analysis.effects, network, chains));
        Self { lines }
    }

    /// A request that is not about signing; `key` is the one it is to change, if it is known here.
    #[must_use]
    pub fn other(intent: &Intent, key: Option<&KeyRecord>) -> Self {
        let mut lines = vec![format!("operator {} asks", intent.operator)];
        match &intent.action {
            Action::SetUpCommittee => lines.push("set the committee up for ECDSA".to_owned()),
            Action::CreateKey {
                name,
                curve,
                scheme,
                raw_signing,
            } => {
                lines.push(format!("create key {name}: {scheme} on {curve}"));
                if *raw_signing {
                    lines.push("the key may sign raw bytes".to_owned());
                }
            }
            Action::Sign { .. } => lines.push("sign something that was not understood".to_owned()),
            Action::SetProtocol {
                key: id,
                protocol,
                renew,
            } => {
                let name = key.map_or_else(|| id.to_string(), |key| key.name.to_string());
                let anew = if *renew { ", with a new setup" } else { "" };
                lines.push(format!("sign with key {name} by {protocol}{anew}"));
                lines.extend(protocol.warning().map(|text| format!("DANGER: {text}")));
            }
        }
        Self { lines }
    }

    /// One line each, escaped for a terminal.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// What approvals carry.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        let parts: Vec<&[u8]> = self.lines.iter().map(String::as_bytes).collect();
        tagged_hash("quorate/display/v1", &parts)
    }
}

/// What the policy takes for change, which the facts cannot know.
fn change_lines(effects: &Effects, chains: &ChainRules) -> Vec<String> {
    let change = effects.movements.iter().filter_map(|movement| {
        let path = movement
            .own
            .as_ref()
            .filter(|path| chains.is_change(path))?;
        let to = &movement.destination;
        Some(format!(
            "what goes to {to} is change: the policy names a branch above {path}"
        ))
    });
    change.collect()
}

/// Of a batch, with the number of the member that is dangerous.
fn danger_lines(effects: &Effects, network: Option<Network>, chains: &ChainRules) -> Vec<String> {
    let lines = |effects: &Effects, place: &str| -> Vec<String> {
        let dangers = dangers(effects, network, chains).into_iter();
        dangers.map(|d| format!("DANGER{place}: {d}")).collect()
    };
    let of = effects.members.len();
    if of == 0 {
        return lines(effects, "");
    }
    let members = (1..).zip(&effects.members);
    members
        .flat_map(|(number, member): (usize, _)| lines(member, &format!(" in {number}/{of}")))
        .collect()
}

/// One hash for each item, of the child key that signs and of what it signs, as approvals and spends name it: the same unsigned
/// transaction signed by another child is another transaction.
#[must_use]
pub fn sighashes(child: &PublicKey, items: &[SigningItem]) -> Vec<Hash32> {
    let hash = |item: &SigningItem| match item.message() {
        SigningMessage::Ecdsa(preimage) => *preimage.digest(),
        SigningMessage::Bip340 { message, .. } => *message,
        SigningMessage::Ed25519(bytes) => Sha256::digest(bytes).into(),
    };
    let named = |item: &SigningItem| {
        let parts: [&[u8]; 2] = [child.as_bytes(), &hash(item)];
        tagged_hash("quorate/signing-item/v1", &parts)
    };
    items.iter().map(named).collect()
}
