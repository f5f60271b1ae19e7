//! Custodians that did not answer a question. What nobody could be asked is not known: that is
//! never the same as nothing.

use quorate_api::Problem;
use quorate_types::{PartyId, ProblemCode};

/// Whoever did not answer, and why.
pub(crate) struct Silent {
    asked: usize,
    parties: Vec<PartyId>,
    reasons: Vec<String>,
}

impl Silent {
    /// Nobody yet, of so many that were asked.
    pub(crate) const fn of(asked: usize) -> Self {
        Self {
            asked,
            parties: Vec::new(),
            reasons: Vec::new(),
        }
    }

    /// One did not answer the question.
    pub(crate) fn push(&mut self, party: &PartyId, why: impl ToString) {
        self.parties.push(party.clone());
        self.reasons.push(format!("{party}: {}", why.to_string()));
    }

    /// Fails where no custodian answered.
    ///
    /// # Errors
    /// [`ProblemCode::Unreachable`].
    pub(crate) fn unless_somebody_answered(&self) -> Result<(), Problem> {
        if self.parties.len() < self.asked {
            return Ok(());
        }
        let what = "no custodian answers the orchestrator, so nothing is known; are NATS and the agents running?";
        Err(self.problem(ProblemCode::Unreachable, what))
    }

    /// Fails where fewer answered than `enough`, that something is not there. Of t custodians one
    /// is honest, and knows every key in force.
    ///
    /// # Errors
    /// [`ProblemCode::PartyOffline`].
    pub(crate) fn unless_enough_answered(&self, enough: u16, what: &str) -> Result<(), Problem> {
        let answered = self.asked.saturating_sub(self.parties.len());
        match answered >= usize::from(enough) {
            true => Ok(()),
            false => Err(self.problem(ProblemCode::PartyOffline, what)),
        }
    }

    fn problem(&self, code: ProblemCode, what: &str) -> Problem {
        let detail = format!("{what} ({})", self.reasons.join("; "));
        let mut problem = Problem::new(503, code, "Custodians do not answer", detail);
        problem.missing.clone_from(&self.parties);
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(asked: usize, number: usize) -> Silent {
        let mut silent = Silent::of(asked);
        for party in 1..=number {
            let party = PartyId::new(&format!("party-{party}")).unwrap();
            silent.push(&party, "timed out");
        }
        silent
    }

    #[test]
    fn what_nobody_answered_is_not_known_and_what_t_answered_is() {
        let nobody = silent(3, 3).unless_somebody_answered().unwrap_err();
        assert_eq!(nobody.code, ProblemCode::Unreachable);
        assert_eq!(nobody.missing.len(), 3);
        assert!(nobody.detail.contains("party-2: timed out"), "{nobody}");
        let one = silent(3, 2);
        one.unless_somebody_answered().unwrap();
        let few = one.unless_enough_answered(2, "no key").unwrap_err();
        assert_eq!(few.code, ProblemCode::PartyOffline);
        silent(3, 1).unless_enough_answered(2, "no key").unwrap();
    }
}
