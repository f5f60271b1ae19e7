//! What an envelope's signature says, kept apart from the envelope so that it can be shown to others as evidence.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::canonical::Canonical;
use crate::{CeremonyKind, Hash32, PartyId, SessionId, ValidRoster};

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub enum Recipient {
    /// Every other participant; all must receive the same.
    Everyone,
    /// One participant.
    Party(PartyId),
}

/// The header of a message and the commitments to its content.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Statement {
    /// The session; also binds ceremony, key, epoch, participants and attempt.
    pub session: SessionId,
    /// The ceremony's kind, as in the subject.
    pub kind: CeremonyKind,
    /// Protocol round.
    pub round: u16,
    /// Who speaks.
    pub sender: PartyId,
    /// To whom.
    pub recipient: Recipient,
    /// Counts the sender's messages of this session from 0, broadcasts and direct messages to each recipient apart.
    pub sequence: u32,
    /// Sender's clock, Unix milliseconds.
    pub timestamp: u64,
    /// Hash that commits to the plaintext. For a broadcast it also covers the content key, so that two recipients who see the
    /// same commitment have the same plaintext.
    pub commitment: Hash32,
    /// Hash of the sealed body as transmitted.
    pub body: Hash32,
}

impl Canonical for Statement {
    const DOMAIN: &'static str = "quorate/envelope/v1";
}

/// A statement with its sender's Ed25519 signature over [`Canonical::signing_bytes`].
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedStatement {
    /// What is said.
    pub statement: Statement,
    /// 64 bytes.
    pub signature: [u8; 64],
}

/// Why a statement is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The sender is not in the roster.
    #[error("sender {0} is not in the roster")]
    UnknownSender(PartyId),
    /// The signature is not the named sender's.
    #[error("the signature is not {0}'s")]
    BadSignature(PartyId),
}

impl SignedStatement {
    /// Checks the signature against the roster's key of the named sender.
    ///
    /// # Errors
    /// An unknown sender, or someone else's signature.
    pub fn verify(&self, roster: &ValidRoster) -> Result<(), StatementError> {
        let sender = &self.statement.sender;
        if roster.party(sender).is_none() {
            return Err(StatementError::UnknownSender(sender.clone()));
        }
        if roster.party_signed(sender, &self.statement.signing_bytes(), &self.signature) {
            Ok(())
        } else {
            Err(StatementError::BadSignature(sender.clone()))
        }
    }
}

/// Proof that a party broadcast two different things in the same place.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Equivocation {
    /// One.
    pub first: SignedStatement,
    /// The other.
    pub second: SignedStatement,
}

impl Equivocation {
    /// Looks for an equivocation between what this party received and what another party says it received.
    /// Statements with bad signatures prove nothing and are passed over.
    #[must_use]
    pub fn find(
        roster: &ValidRoster,
        ours: &[SignedStatement],
        theirs: &[SignedStatement],
    ) -> Option<Self> {
        ours.iter().find_map(|a| {
            // A decoy that nobody signed may stand before the one that convicts.
            let mut conflicting = theirs
                .iter()
                .filter(|b| conflict(&a.statement, &b.statement))
                .peekable();
            conflicting.peek()?;
            a.verify(roster).ok()?;
            let b = conflicting.find(|b| b.verify(roster).is_ok())?;
            Some(Self {
                first: a.clone(),
                second: b.clone(),
            })
        })
    }

    /// Who equivocated.
    #[must_use]
    pub const fn culprit(&self) -> &PartyId {
        &self.first.statement.sender
    }

    /// Whether this is what it claims: two valid signatures of one party on conflicting broadcasts.
    #[must_use]
    pub fn verify(&self, roster: &ValidRoster) -> bool {
        conflict(&self.first.statement, &self.second.statement)
            && self.first.verify(roster).is_ok()
            && self.second.verify(roster).is_ok()
    }
}

fn conflict(a: &Statement, b: &Statement) -> bool {
    a.recipient == Recipient::Everyone
        && b.recipient == Recipient::Everyone
        && (a.session, a.kind, a.round, a.sequence) == (b.session, b.kind, b.round, b.sequence)
        && a.sender == b.sender
        && a.commitment != b.commitment
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;
    use crate::{Admins, OperatorEntry, OperatorId, PartyEntry, PersonId, Roster, Threshold};

    fn key(number: u8) -> SigningKey {
        SigningKey::from_bytes(&[number; 32])
    }

    fn party(number: u8) -> PartyId {
        PartyId::new(&format!("party-{number}")).unwrap()
    }

    fn roster() -> ValidRoster {
        let public = |number| key(number).verifying_key().to_bytes();
        let entry = |number: u8| PartyEntry {
            id: party(number),
            identity: public(number),
            channel: public(number + 100),
        };
        let roster = Roster {
            cluster: "test".to_owned(),
            threshold: Threshold::new(2, 3).unwrap(),
            parties: (1..=3).map(entry).collect(),
            operators: vec![OperatorEntry {
                id: OperatorId::new("operator").unwrap(),
                key: public(50),
            }],
            admins: Admins::single(PersonId::new("admin").unwrap(), public(51)),
        };
        roster.try_into().unwrap()
    }

    fn said(commitment: u8, signer: u8) -> SignedStatement {
        let statement = Statement {
            session: SessionId::from_bytes([7; 32]),
            kind: CeremonyKind::Keygen,
            round: 1,
            sender: party(3),
            recipient: Recipient::Everyone,
            sequence: 0,
            timestamp: 1,
            commitment: Hash32::from_bytes([commitment; 32]),
            body: Hash32::from_bytes([0; 32]),
        };
        let signature = key(signer).sign(&statement.signing_bytes()).to_bytes();
        SignedStatement {
            statement,
            signature,
        }
    }

    /// The liar's accomplice puts statements that nobody signed before the one that convicts.
    #[test]
    fn t06_a_badly_signed_decoy_does_not_hide_the_conflict() {
        let (roster, ours) = (roster(), [said(1, 3)]);
        let (decoy, real) = (said(2, 2), said(3, 3));
        let found = |theirs: &[SignedStatement]| Equivocation::find(&roster, &ours, theirs);
        assert_eq!(found(std::slice::from_ref(&decoy)), None);
        let proof = found(&[decoy.clone(), decoy, real.clone()]).unwrap();
        assert_eq!(proof.second, real);
        assert!(proof.verify(&roster));
        assert_eq!(found(&ours), None);
    }
}
