//! What the library's aborts mean here.

use dkls23::protocols::{
    Abort as LibraryAbort, AbortKind, AbortReason as LibraryReason, PartyIndex,
};

use super::curve;
use crate::{Abort, AbortReason};

/// The abort for an error of the library. `members` are the participants' committee indices in session order.
///
/// A peer whose message is bound to another setup, key, message or quorum is named like one whose proof is wrong: the session
/// says which of each it is.
pub(super) fn abort(error: &LibraryAbort, members: &[u16]) -> Abort {
    use LibraryReason as Reason;
    let detail = error.description();
    if let AbortKind::BanCounterparty(party) = error.kind {
        return ban(party, detail, members);
    }
    match error.reason {
        Reason::ProofVerificationFailed { counterparty }
        | Reason::CommitmentMismatch { counterparty }
        | Reason::TrivialInstancePoint { counterparty }
        | Reason::SessionBindingMismatch { counterparty }
        | Reason::MultiplicationVerificationFailed { counterparty, .. }
        | Reason::ZeroShareDecommitFailed { counterparty }
        | Reason::ChainCodeCommitmentFailed {
            party: counterparty,
        } if counterparty != error.index => match seat(counterparty, members) {
            Some(from) => Abort::failed_check(from, detail),
            None => Abort::local(detail),
        },
        Reason::PolynomialInconsistency
        | Reason::SignatureVerificationFailed
        | Reason::ZeroDenominator => {
            Abort::blaming(AbortReason::Unattributable { detail }, Vec::new())
        }
        _ => Abort::local(detail),
    }
}

fn ban(party: PartyIndex, detail: String, members: &[u16]) -> Abort {
    match seat(party, members) {
        Some(from) => Abort::blaming(AbortReason::ConsistencyCheck { from, detail }, vec![from]),
        None => Abort::local(detail),
    }
}

fn seat(party: PartyIndex, members: &[u16]) -> Option<u16> {
    let index = curve::index(party);
    (0u16..)
        .zip(members)
        .find(|(_, member)| **member == index)
        .map(|(seat, _)| seat)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(number: u8) -> PartyIndex {
        PartyIndex::new(number).unwrap()
    }

    #[test]
    fn t12_the_librarys_ban_is_ours_and_names_the_seat() {
        let reason = LibraryReason::OtConsistencyCheckFailed {
            counterparty: party(3),
        };
        let error = LibraryAbort::ban(party(1), party(3), reason);
        // Party 3 of the library is member 2 of the committee, in seat 1 of this session.
        let abort = abort(&error, &[0, 2]);
        assert_eq!(abort.culprits, [1]);
        assert!(matches!(
            abort.reason,
            AbortReason::ConsistencyCheck { from: 1, .. }
        ));
    }

    #[test]
    fn nobody_blames_itself_or_a_stranger() {
        for (counterparty, members) in [(1, [0, 2]), (2, [0, 2])] {
            let reason = LibraryReason::CommitmentMismatch {
                counterparty: party(counterparty),
            };
            let abort = abort(&LibraryAbort::recoverable(party(1), reason), &members);
            assert!(abort.culprits.is_empty());
            assert!(matches!(abort.reason, AbortReason::Local { .. }));
        }
    }
}
