//! What a refusal must look like, and what the agent's own log must say of it.

use quorate_types::node::{NodeReply, RunResult};
use quorate_types::{IntentHash, PersonId};

use crate::support::party;
use crate::target::Target;

/// An agent did what it must not do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// A refusal.
pub struct Expected {
    code: &'static str,
    rules: Vec<&'static str>,
    missing: Vec<&'static str>,
    /// Whether the agent writes it down: what says something of a request that an operator really made.
    logged: bool,
}

/// By the policy's rules.
pub fn denied(rules: &[&'static str]) -> Expected {
    Expected {
        rules: rules.to_vec(),
        ..judged("policy-denied")
    }
}

/// By a rule that approvals or time would lift.
pub fn pending(rule: &'static str, missing: &'static str) -> Expected {
    Expected {
        rules: vec![rule],
        missing: vec![missing],
        ..judged("policy-pending")
    }
}

/// Of a request that an operator really made.
pub const fn judged(code: &'static str) -> Expected {
    Expected {
        code,
        rules: Vec::new(),
        missing: Vec::new(),
        logged: true,
    }
}

/// Of something that proves nobody's will: it does not fill the log.
pub fn unproven(code: &'static str) -> Expected {
    Expected {
        logged: false,
        ..judged(code)
    }
}

/// Whether it is a whole run's signatures.
pub fn is_signed(reply: &NodeReply) -> bool {
    matches!(reply, NodeReply::Finished(RunResult::Signatures(_)))
}

const BEGUN: u8 = 0;
const REFUSED: u8 = 3;

impl Target {
    /// That an agent's reply is this refusal, signed by it, in its own log; and that it began nothing.
    pub fn refuses(
        &self,
        number: usize,
        about: Option<IntentHash>,
        reply: &NodeReply,
        expected: &Expected,
    ) -> Result<(), Broken> {
        let refusal = match reply {
            NodeReply::Refused(refusal) => refusal,
            done => return Err(Broken(format!("party-{number} does it: {done:?}"))),
        };
        assert_eq!(
            refusal.code.as_str(),
            expected.code,
            "party-{number}: {refusal}"
        );
        assert_eq!(refusal.rules, expected.rules, "party-{number}: {refusal}");
        assert_eq!(refusal.missing, expected.missing, "{refusal}");
        let signer = refusal.signer(&self.committee.roster);
        assert_eq!(signer, Some(&party(number)), "who refuses signs that");
        assert_eq!(refusal.signed.as_ref().and_then(|s| s.intent), about);
        if let Some(intent) = about {
            let reasons = self.logged(number, intent, expected.code);
            let mut wanted = Vec::new();
            wanted.extend(expected.logged.then(|| refusal.reason.clone()));
            assert_eq!(reasons.first(), wanted.first(), "party-{number}'s own log");
        }
        Ok(())
    }

    /// The same of a request that was asked to be prepared: nothing was begun.
    pub fn stays_out(
        &self,
        number: usize,
        intent: IntentHash,
        reply: &NodeReply,
        expected: &Expected,
    ) -> Result<(), Broken> {
        self.refuses(number, Some(intent), reply, expected)?;
        assert_eq!(self.begun(number, intent).len(), 0, "party-{number} began");
        Ok(())
    }

    fn leaves(&self, number: usize) -> Vec<Vec<u8>> {
        let ledger = &self.committee.homes[number - 1].ledger;
        let size = ledger.log_size().unwrap();
        let leaves = ledger.leaves(0, usize::try_from(size).unwrap()).unwrap();
        leaves.into_iter().map(|(_, leaf)| leaf).collect()
    }

    /// How many entries an agent's log has.
    pub fn log_size(&self, number: usize) -> usize {
        self.leaves(number).len()
    }

    /// The reasons that an agent wrote down for refusing a request with this code.
    fn logged(&self, number: usize, intent: IntentHash, code: &str) -> Vec<String> {
        type Refused = (IntentHash, String, u64, Vec<String>);
        let of = |leaf: Vec<u8>| {
            let (kind, rest) = leaf.split_first()?;
            let refused = (*kind == REFUSED).then(|| borsh::from_slice::<Refused>(rest).unwrap());
            refused.filter(|(about, with, ..)| *about == intent && with == code)
        };
        let leaves = self.leaves(number).into_iter();
        leaves
            .filter_map(of)
            .flat_map(|refused| refused.3)
            .collect()
    }

    /// Whose approvals counted, for each run of a request that an agent began.
    pub fn begun(&self, number: usize, intent: IntentHash) -> Vec<Vec<PersonId>> {
        type Begun = (
            (IntentHash, u32),
            Vec<[u8; 32]>,
            [Vec<quorate_types::PartyId>; 2],
            Vec<[u8; 32]>,
            [u8; 32],
            Vec<PersonId>,
        );
        let of = |leaf: Vec<u8>| {
            let (kind, rest) = leaf.split_first()?;
            let begun = (*kind == BEGUN).then(|| borsh::from_slice::<Begun>(rest).unwrap());
            begun.filter(|((about, _), ..)| *about == intent)
        };
        let leaves = self.leaves(number).into_iter();
        leaves.filter_map(of).map(|begun| begun.5).collect()
    }
}
