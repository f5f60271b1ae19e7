//! Whom the CGGMP24 libraries blame.
//!
//! Their error types are private and name culprits only in their `Debug` text, so that text of the exactly pinned versions is
//! read here, in one place. The tests drive the libraries into these errors, so a version that words them
//! differently fails the build.

use crate::{Abort, AbortReason};

/// A library's error, flattened.
#[derive(Debug)]
pub(crate) struct LibraryError {
    debug: String,
    display: String,
}

impl LibraryError {
    pub(crate) fn new(error: &(dyn std::error::Error + 'static)) -> Self {
        let chain = std::iter::successors(Some(error), |e| e.source());
        Self {
            debug: format!("{error:?}"),
            display: chain
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(": "),
        }
    }

    /// The abort this error means. `first_round` is the protocol's echoed broadcast.
    pub(crate) fn into_abort(self, first_round: u16) -> Abort {
        if self.debug.contains("NotReliable") {
            return Abort::blaming(
                AbortReason::UnreliableBroadcast { round: first_round },
                Vec::new(),
            );
        }
        let culprits = culprits(&self.debug);
        let detail = self.display;
        let reason = if !culprits.is_empty() {
            AbortReason::FailedCheck { detail }
        } else if self.debug.contains("Aborted(") {
            AbortReason::Unattributable { detail }
        } else {
            AbortReason::Local { detail }
        };
        Abort::blaming(reason, culprits)
    }
}

/// Indices after `faulty_party: ` (CGGMP24's `AbortBlame`) and in `parties: [0, 2]` (its keygen's lists).
fn culprits(debug: &str) -> Vec<u16> {
    let single = debug
        .split("faulty_party: ")
        .skip(1)
        .filter_map(leading_number);
    let lists = debug
        .split("parties: [")
        .skip(1)
        .filter_map(|rest| rest.split(']').next())
        .flat_map(|list| list.split(", ").filter_map(|item| item.parse().ok()));
    let mut found: Vec<u16> = single.chain(lists).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn leading_number(text: &str) -> Option<u16> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::culprits;

    #[test]
    fn reads_both_forms() {
        assert_eq!(
            culprits(
                "InvalidDecommitment([AbortBlame { faulty_party: 12, data_message: 3, proof_message: 5 }])"
            ),
            [12]
        );
        assert_eq!(culprits("InvalidDataSize { parties: [2, 0] }"), [0, 2]);
        assert_eq!(
            culprits(
                "ProtocolAborted { reason: X, parties: [AbortBlame { faulty_party: 1, .. }] }"
            ),
            [1]
        );
        assert!(culprits("MismatchedDelta").is_empty());
    }
}
