//! Whose approvals count: each human once, never the initiator's own, nothing expired, withdrawn, or said of another request or policy.

use std::collections::{BTreeMap, BTreeSet};

use quorate_types::canonical::Canonical;
use quorate_types::roster::verify_ed25519;
use quorate_types::{
    Approval, Credential, FreezeOrder, GroupName, Hash32, Intent, IntentHash, Passkey, Person,
    PersonId, Proof, RoleName, SignedApproval, SignedFreeze, ValidBundle, Verdict,
};

use crate::request::Request;
use crate::webauthn::{self, WebAuthnError};

/// Why a person's signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Nobody of that name.
    #[error("{0} is not in the policy")]
    UnknownPerson(PersonId),
    /// The credential is not the person's.
    #[error("{0} does not have this key or passkey")]
    UnknownCredential(PersonId),
    /// Not this credential's signature.
    #[error("the signature is not {0}'s")]
    BadSignature(PersonId),
    /// A passkey's assertion.
    #[error("{person}: {error}")]
    Passkey {
        /// Whose.
        person: PersonId,
        /// What is wrong.
        error: WebAuthnError,
    },
}

/// Checks that a person of the bundle signed an object.
///
/// # Errors
/// See [`ProofError`].
pub fn verify_proof<'a, T: Canonical>(
    bundle: &'a ValidBundle,
    person: &PersonId,
    object: &T,
    proof: &Proof,
) -> Result<&'a Person, ProofError> {
    let unknown = || ProofError::UnknownPerson(person.clone());
    let entry = bundle.person(person).ok_or_else(unknown)?;
    let not_theirs = || ProofError::UnknownCredential(person.clone());
    match proof {
        Proof::Ed25519 { key, signature } => {
            let theirs = |c: &Credential| matches!(c, Credential::Ed25519 { key: k } if k == key);
            if !entry.credentials.iter().any(theirs) {
                return Err(not_theirs());
            }
            if !verify_ed25519(key, &object.signing_bytes(), signature) {
                return Err(ProofError::BadSignature(person.clone()));
            }
        }
        Proof::Passkey(assertion) => {
            let party = bundle.bundle().relying_party.as_ref();
            let party = party.ok_or_else(not_theirs)?;
            let passkeys = entry.credentials.iter().filter_map(|c| match c {
                Credential::Passkey(passkey) => Some(passkey.clone()),
                Credential::Ed25519 { .. } => None,
            });
            let passkeys: Vec<Passkey> = passkeys.collect();
            let challenge = object.canonical_hash();
            // Looks the credential up by its id, which the signature does not cover.
            webauthn::verify_among(assertion, challenge.as_bytes(), &passkeys, party).map_err(
                |error| ProofError::Passkey {
                    person: person.clone(),
                    error,
                },
            )?;
        }
    }
    Ok(entry)
}

/// Why an approval does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// The signature.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// About something else.
    #[error("{0}'s approval is for another request")]
    OtherRequest(PersonId),
    /// What would be signed is not what was approved.
    #[error("{0} approved other signing hashes")]
    OtherSighashes(PersonId),
    /// The person was shown something else than this agent sees.
    #[error(
        "{0} was shown something else than what this custodian reads in the request; use the same program version"
    )]
    OtherDisplay(PersonId),
    /// Given under another policy.
    #[error(
        "{person}'s approval was given under policy version {version}; approve again under the one in force"
    )]
    OtherPolicy {
        /// Who.
        person: PersonId,
        /// Which.
        version: u64,
    },
    /// Out of its time.
    #[error("{0}'s approval has expired, or its times are not plausible")]
    Times(PersonId),
    /// Somebody's own request.
    #[error("{0} proposed this request and cannot approve it")]
    Initiator(PersonId),
    /// Kept apart.
    #[error("{0} is in the proposer's own group, which the policy keeps apart")]
    Separated(PersonId),
    /// More than people read, and every agent keeps it.
    #[error("the reason of {0}'s freeze order is longer than {max} bytes", max = FreezeOrder::MAX_REASON)]
    LongReason(PersonId),
}

/// What approvals are compared with.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The request.
    pub intent: IntentHash,
    /// What would be signed.
    pub sighashes: &'a [Hash32],
    /// Hash of the lines that this agent would show.
    pub display: Hash32,
    /// This agent's clock, Unix milliseconds.
    pub now: u64,
    /// Who proposed it.
    pub initiator: &'a PersonId,
}

/// The human an operator is: the person of the same name, or the one with the same key; otherwise nobody known, under the operator's own name.
#[must_use]
pub fn initiator(bundle: &ValidBundle, request: &Request<'_>) -> PersonId {
    let same_key = |p: &&Person| {
        p.credentials
            .iter()
            .any(|c| matches!(c, Credential::Ed25519 { key } if key == request.operator_key))
    };
    let people = &bundle.bundle().people;
    if let Some(person) = people.iter().find(same_key) {
        return person.id.clone();
    }
    request.operator.person()
}

/// Checks one approval.
///
/// # Errors
/// Why it does not count.
pub fn verify_approval<'a>(
    bundle: &'a ValidBundle,
    expected: &Expected<'_>,
    signed: &SignedApproval,
) -> Result<&'a Person, ApprovalError> {
    let approval = &signed.approval;
    let who = || approval.person.clone();
    if approval.intent != expected.intent || approval.cluster != bundle.bundle().cluster {
        return Err(ApprovalError::OtherRequest(who()));
    }
    let person = verify_proof(bundle, &approval.person, approval, &signed.proof)?;
    if approval.verdict != Verdict::Approve {
        return Ok(person);
    }
    if approval.policy != bundle.hash() {
        return Err(ApprovalError::OtherPolicy {
            person: who(),
            version: approval.policy_version,
        });
    }
    if approval.sighashes != expected.sighashes {
        return Err(ApprovalError::OtherSighashes(who()));
    }
    if approval.display != expected.display {
        return Err(ApprovalError::OtherDisplay(who()));
    }
    check_times(approval, expected.now)?;
    if approval.person == *expected.initiator {
        return Err(ApprovalError::Initiator(who()));
    }
    if kept_apart(bundle, expected.initiator, person) {
        return Err(ApprovalError::Separated(who()));
    }
    Ok(person)
}

fn check_times(approval: &Approval, now: u64) -> Result<(), ApprovalError> {
    let lifetime = approval.expires_at.checked_sub(approval.issued_at);
    let plausible = approval.issued_at <= now.saturating_add(Intent::MAX_SKEW_MS)
        && now < approval.expires_at
        && lifetime.is_some_and(|l| l <= Approval::MAX_LIFETIME_MS);
    if plausible {
        Ok(())
    } else {
        Err(ApprovalError::Times(approval.person.clone()))
    }
}

fn kept_apart(bundle: &ValidBundle, initiator: &PersonId, approver: &Person) -> bool {
    let Some(initiator) = bundle.person(initiator) else {
        return false;
    };
    let shares =
        |group: &GroupName| initiator.groups.contains(group) && approver.groups.contains(group);
    bundle.bundle().separations.iter().flatten().any(shares)
}

/// What the valid approvals come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Who approves.
    pub approvers: BTreeSet<PersonId>,
    /// How many of each group.
    pub groups: BTreeMap<GroupName, i64>,
    /// The roles they have between them.
    pub roles: BTreeSet<RoleName>,
    /// When the approvals of each group that count were given, the earliest first, Unix
    /// milliseconds.
    pub gathered: BTreeMap<GroupName, Vec<u64>>,
    /// Who rejects: that ends it.
    pub rejecters: BTreeSet<PersonId>,
    /// What did not count, and why.
    pub ignored: Vec<ApprovalError>,
}

impl Tally {
    /// Counts approvals. A valid rejection holds whatever else its person says; of other words of one person the latest holds, at the same
    /// time the stricter one.
    #[must_use]
    pub fn of(bundle: &ValidBundle, expected: &Expected<'_>, approvals: &[SignedApproval]) -> Self {
        let mut tally = Self::default();
        let mut last: BTreeMap<&PersonId, (&Approval, &Person)> = BTreeMap::new();
        for signed in approvals {
            match verify_approval(bundle, expected, signed) {
                // Nothing outweighs a rejection, not even a later word of the same person.
                Ok(person) if signed.approval.verdict == Verdict::Reject => {
                    tally.rejecters.insert(person.id.clone());
                }
                Ok(person) => {
                    let entry = last.entry(&person.id).or_insert((&signed.approval, person));
                    if weight(&signed.approval) >= weight(entry.0) {
                        *entry = (&signed.approval, person);
                    }
                }
                Err(error) => tally.ignored.push(error),
            }
        }
        for (approval, person) in last.into_values() {
            match approval.verdict {
                Verdict::Approve => {
                    tally.add(person, approval.issued_at);
                }
                Verdict::Reject | Verdict::Withdraw => {}
            }
        }
        tally
    }

    fn add(&mut self, person: &Person, at: u64) {
        self.approvers.insert(person.id.clone());
        let groups: BTreeSet<&GroupName> = person.groups.iter().collect();
        for group in groups {
            let count = self.groups.entry(group.clone()).or_insert(0);
            *count = count.saturating_add(1);
            let times = self.gathered.entry(group.clone()).or_default();
            let place = times.partition_point(|earlier| *earlier <= at);
            times.insert(place, at);
        }
        self.roles.extend(person.roles.iter().cloned());
    }
}

const fn weight(approval: &Approval) -> (u64, u8) {
    let strictness = match approval.verdict {
        Verdict::Approve => 0,
        Verdict::Withdraw => 1,
        Verdict::Reject => 2,
    };
    (approval.issued_at, strictness)
}

/// Whether a freeze order is a guardian's, under this bundle.
///
/// # Errors
/// The signature's; somebody who is no guardian; a reason that is too long.
pub fn verify_freeze(bundle: &ValidBundle, freeze: &SignedFreeze) -> Result<(), ApprovalError> {
    let order = &freeze.order;
    if order.cluster != bundle.bundle().cluster {
        return Err(ApprovalError::OtherRequest(order.person.clone()));
    }
    let person = verify_proof(bundle, &order.person, order, &freeze.proof)?;
    if !person.guardian {
        return Err(ApprovalError::Proof(ProofError::UnknownCredential(
            order.person.clone(),
        )));
    }
    if order.reason.len() > FreezeOrder::MAX_REASON {
        return Err(ApprovalError::LongReason(order.person.clone()));
    }
    Ok(())
}
