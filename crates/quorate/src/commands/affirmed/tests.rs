//! A hostile orchestrator between a guardian and the custodians.

use ed25519_dalek::{Signer as _, SigningKey};
use quorate_api::Delivery;
use quorate_types::node::RefusalSignature;
use quorate_types::{
    Admins, OperatorEntry, OperatorId, PartyEntry, PersonId, RefusalCode, Roster,
    SignedAffirmation, Threshold,
};

use super::*;
use crate::exit::problem_of;

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn public(number: u8) -> [u8; 32] {
    key(number).verifying_key().to_bytes()
}

fn party(number: u8) -> PartyId {
    PartyId::new(&format!("party-{number}")).unwrap()
}

fn roster() -> ValidRoster {
    let parties = (1..=5).map(|number| PartyEntry {
        id: party(number),
        identity: public(number),
        channel: [number; 32],
    });
    let operator = OperatorEntry {
        id: OperatorId::new("operator").unwrap(),
        key: public(9),
    };
    let roster = Roster {
        cluster: "test".to_owned(),
        threshold: Threshold::new(3, 5).unwrap(),
        parties: parties.collect(),
        operators: vec![operator],
        admins: Admins::single(PersonId::new("root").unwrap(), public(8)),
    };
    roster.try_into().unwrap()
}

fn challenge() -> Hash32 {
    Hash32::from_bytes([7; 32])
}

fn affirmation(number: u8, version: u64) -> SignedAffirmation {
    let affirmation = Affirmation {
        cluster: roster().cluster_id(),
        party: party(number),
        challenge: challenge(),
        at: 1,
        policy_version: version,
        policy: None,
        orders: Vec::new(),
    };
    let signature = key(number).sign(&affirmation.signing_bytes()).to_bytes();
    SignedAffirmation {
        affirmation,
        signature,
    }
}

fn affirmed(number: u8) -> Delivery {
    Delivery {
        affirmation: Some(affirmation(number, 2)),
        ..Delivery::done(party(number))
    }
}

fn refused(number: u8) -> Delivery {
    let mut refusal = Refusal::new(RefusalCode::ApprovalRefused, "no guardian".to_owned());
    let mut signed = RefusalSignature {
        party: party(number),
        intent: None,
        at: 1,
        policy_version: 1,
        signature: [0; 64],
    };
    signed.signature = key(number).sign(&refusal.signing_bytes(&signed)).to_bytes();
    refusal.signed = Some(signed);
    Delivery {
        problem: Some(refusal.to_string()),
        refusal: Some(refusal),
        ..Delivery::done(party(number))
    }
}

/// The code of the error, if there is one, and what is known of each custodian.
fn judged(deliveries: Vec<Delivery>) -> (Option<String>, Vec<&'static str>) {
    let done = |a: &Affirmation| a.policy_version == 2;
    let ordered = Ordered::new(&roster(), deliveries, challenge(), done);
    let code = ordered.unless_too_few("done").err();
    let code = code.map(|error| problem_of(&error).code.as_str().to_owned());
    let name = |(_, outcome): &(PartyId, Outcome)| match outcome {
        Outcome::Affirmed => "affirmed",
        Outcome::Unsigned => "unsigned",
        Outcome::Refused(_) => "refused",
        Outcome::Unknown(_) => "unknown",
    };
    (code, ordered.outcomes.iter().map(name).collect())
}

#[test]
fn an_order_is_carried_out_when_the_others_are_too_few_to_sign() {
    let (code, outcomes) = judged(vec![affirmed(1), affirmed(2), affirmed(5)]);
    assert_eq!(code, None);
    assert_eq!(
        outcomes,
        ["affirmed", "affirmed", "unknown", "unknown", "affirmed"]
    );
    let (code, _) = judged(vec![affirmed(1), affirmed(2), refused(3)]);
    assert_eq!(
        code.as_deref(),
        Some("order-incomplete"),
        "two could still follow"
    );
    let (code, _) = judged(vec![affirmed(1), refused(2), refused(3), refused(4)]);
    assert_eq!(code.as_deref(), Some("approval-refused"));
    let (code, _) = judged(Vec::new());
    assert_eq!(code.as_deref(), Some("unreachable"));
}

#[test]
fn what_an_orchestrator_makes_up_counts_for_nothing() {
    let with = |signed: SignedAffirmation| Delivery {
        affirmation: Some(signed),
        ..Delivery::done(party(1))
    };
    let mut forged = affirmation(1, 1);
    forged.affirmation.policy_version = 2;
    let mut stale = affirmation(1, 2);
    stale.affirmation.challenge = Hash32::from_bytes([8; 32]);
    stale.signature = key(1).sign(&stale.affirmation.signing_bytes()).to_bytes();
    let mut stolen = refused(2);
    stolen.party = party(1);
    for (delivery, expected) in [
        (Delivery::done(party(1)), "unsigned"),
        (with(forged), "unknown"),
        (with(stale), "unknown"),
        (with(affirmation(2, 2)), "unknown"),
        (with(affirmation(1, 1)), "unknown"),
        (stolen, "unknown"),
        (affirmed(1), "affirmed"),
    ] {
        let (_, outcomes) = judged(vec![delivery.clone()]);
        assert_eq!(outcomes[0], expected, "{delivery:?}");
    }
    // One custodian's word, five times.
    let (code, outcomes) = judged(vec![affirmed(1); 5]);
    assert_eq!(code.as_deref(), Some("order-incomplete"));
    assert_eq!(
        outcomes,
        ["affirmed", "unknown", "unknown", "unknown", "unknown"]
    );
}
