//! Intents that need every party: committee setup, key creation, change of a key's protocol. They end with every party's attestation of
//! one record, which is then activated everywhere.

use std::time::Duration;

use quorate_api::{PartyStatus, Problem, ResultView};
use quorate_types::node::{
    CommitteeListing, KeyListing, NodeReply, NodeRequest, Record, RunResult,
};
use quorate_types::{Action, Attestation, PartyId, ProtocolListing, RefusalCode, ValidRoster};

use super::attempt::{Attempts, Inputs, PartyEnd, problem_of};
use crate::keys::KeyCache;
use crate::nodes::Nodes;

const ACTIVATE_TIMEOUT: Duration = Duration::from_secs(10);
/// The same where nobody asked for it, and somebody waits for something else.
const HEAL_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) async fn run(
    attempts: &Attempts<'_>,
    roster: &ValidRoster,
    keys: &KeyCache,
) -> Result<ResultView, Problem> {
    let parties = roster.party_ids();
    if let Action::SetProtocol { key, .. } = &attempts.case.intent.intent().action {
        // They count changes: whoever missed one would attest another.
        keys.refresh(attempts.nodes, roster, *key).await?;
    }
    let ends = attempts
        .run(&parties, &[], &Inputs::default(), |_, end| {
            !matches!(end, PartyEnd::Finished(_))
        })
        .await;
    let (record, attestations) = agreed(roster, &ends)?;
    let outdated = activate(attempts, &parties, &record, &attestations).await;
    Ok(match record {
        Record::Protocol(record) => {
            keys.forget(record.key);
            if !outdated.is_empty() {
                return Err(problem_of(&outdated));
            }
            ResultView::Protocol(Box::new(ProtocolListing {
                record,
                attestations,
            }))
        }
        Record::Committee(record) => ResultView::Committee(record),
        Record::Key(record) => ResultView::Key(Box::new(KeyListing {
            record,
            attestations,
            active: true,
            protocol: None,
        })),
    })
}

/// The one record that every party attested.
fn agreed(
    roster: &ValidRoster,
    ends: &[(PartyId, PartyEnd)],
) -> Result<(Record, Vec<Attestation>), Problem> {
    let attested: Option<Vec<_>> = ends
        .iter()
        .map(|(_, end)| match end {
            PartyEnd::Finished(RunResult::Attested {
                record,
                attestation,
            }) => Some((record, attestation)),
            _ => None,
        })
        .collect();
    let attested = attested.ok_or_else(|| problem_of(ends))?;
    let disagree = |detail: &str| {
        Problem::new(
            502,
            RefusalCode::NotAttested,
            "The custodians do not agree",
            detail,
        )
    };
    let (record, _) = attested
        .first()
        .ok_or_else(|| disagree("nobody attested anything"))?;
    let message = record.signing_bytes();
    for ((party, _), (theirs, attestation)) in ends.iter().zip(&attested) {
        let valid = attestation.party == *party
            && theirs == record
            && roster.party_signed(party, &message, &attestation.signature);
        if !valid {
            return Err(disagree(&format!(
                "{party} attests another record than the others, or does not sign it"
            )));
        }
    }
    let attestations = attested
        .iter()
        .map(|(_, attestation)| (*attestation).clone())
        .collect();
    Ok(((*record).clone(), attestations))
}

/// A party that misses this is told again when keys are next listed. Returns those that have brought something else into force meanwhile.
async fn activate(
    attempts: &Attempts<'_>,
    parties: &[PartyId],
    record: &Record,
    attestations: &[Attestation],
) -> Vec<(PartyId, PartyEnd)> {
    let mut outdated = Vec::new();
    let request = NodeRequest::Activate {
        record: record.clone(),
        attestations: attestations.to_vec(),
    };
    let replies = attempts
        .nodes
        .ask_all(parties, &request, ACTIVATE_TIMEOUT)
        .await;
    for (party, reply) in parties.iter().zip(replies) {
        let note = match reply {
            Ok(NodeReply::Active) => continue,
            Ok(NodeReply::Refused(refusal)) => {
                let note = format!("{party} did not activate: {refusal}");
                if refusal.code == RefusalCode::ProtocolOutdated {
                    outdated.push((party.clone(), PartyEnd::Refused(refusal)));
                }
                note
            }
            Ok(_) => format!("{party} did not activate"),
            Err(error) => format!("{party} was not told to activate: {error}"),
        };
        tracing::warn!("{note}");
        attempts.case.view.send_modify(|view| view.notes.push(note));
    }
    outdated
}

/// A setup that one custodian has in force, and every party attested, is brought into force where
/// it is not: that is how an activation lost to a crash is made up for.
pub(super) async fn heal(nodes: &Nodes, roster: &ValidRoster, parties: &[PartyStatus]) {
    let statuses = || parties.iter().filter_map(|p| p.status.as_ref());
    let mut listings = statuses().filter_map(|s| s.committee.as_ref());
    let Some(listing) = listings.find(|listing| is_attested(roster, listing)) else {
        return;
    };
    let request = NodeRequest::Activate {
        record: Record::Committee(listing.record.clone()),
        attestations: listing.attestations.clone(),
    };
    let behind = statuses().filter(|s| s.committee.is_none());
    let behind: Vec<PartyId> = behind.map(|s| s.party.clone()).collect();
    let replies = nodes.ask_all(&behind, &request, HEAL_TIMEOUT).await;
    for (party, reply) in behind.iter().zip(replies) {
        match reply {
            Ok(NodeReply::Active) => {
                tracing::info!(%party, "committee setup activated")
            }
            other => {
                tracing::warn!(%party, ?other, "cannot activate the committee setup")
            }
        }
    }
}

/// What one custodian shows is only what it says, unless all have signed it.
fn is_attested(roster: &ValidRoster, listing: &CommitteeListing) -> bool {
    let attesters = roster.attesters(&listing.record, &listing.attestations);
    attesters.len() == roster.parties().len()
}
