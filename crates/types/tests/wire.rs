//! Messages of protocol version 1 are what they were. A change of any line here is a change that an
//! older program does not understand: it takes the next version, and `Dialect::towards` says in
//! which one to speak. `QUORATE_UPDATE_GOLDEN=1` adds lines for messages that are new.
#![allow(
    clippy::unwrap_used,
    reason = "in a test a failure is the result; the lints' own exception does not reach helper functions"
)]

use std::path::Path;

use quorate_types::canonical::Canonical;
use quorate_types::node::{Failure, NodeReply, NodeRequest, NodeStatus, Refusal, Standing};
use quorate_types::presence::{Heartbeat, PolicyWord, Presence, SignedHeartbeat, SignedPolicyWord};
use quorate_types::{
    Action, Affirmation, Capability, Curve, DerivationPath, Dialect, FailureCode, FreezeOrder,
    Hash32, Intent, IntentHash, KeyDiscard, KeyId, KeyName, Network, OperatorId, PartyId, Payload,
    PersonId, Preprocessed, RefusalCode, Scheme, SignedAffirmation, SignedDiscard, SignedIntent,
    WireVersion,
};

fn party(number: u8) -> PartyId {
    PartyId::new(&format!("party-{number}")).unwrap()
}

fn intent(action: Action) -> SignedIntent {
    SignedIntent {
        intent: Intent {
            roster: Hash32::from_bytes([1; 32]),
            operator: OperatorId::new("operator").unwrap(),
            nonce: [2; 16],
            issued_at: 1_700_000_000_000,
            expires_at: 1_700_000_060_000,
            action,
        },
        signature: [3; 64],
    }
}

fn requests() -> Vec<(&'static str, NodeRequest)> {
    let key = KeyId::from_bytes([4; 32]);
    let about = IntentHash::from_bytes([5; 32]);
    let sign = intent(Action::Sign {
        key,
        path: "m/0/7".parse::<DerivationPath>().unwrap(),
        network: Some(Network::Solana),
        payload: Payload::Message(b"hello".to_vec()),
        purpose: "why".to_owned(),
    });
    let create = intent(Action::CreateKey {
        name: KeyName::new("hot").unwrap(),
        curve: Curve::Secp256k1,
        scheme: Scheme::Ecdsa,
        raw_signing: true,
    });
    vec![
        ("status", NodeRequest::Status),
        ("keys", NodeRequest::Keys { after: Some(key) }),
        ("key", NodeRequest::Key { id: key }),
        (
            "propose",
            NodeRequest::Propose {
                intent: create,
                approvals: Vec::new(),
            },
        ),
        ("policy", NodeRequest::Policy { version: 7 }),
        (
            "prepare",
            NodeRequest::Prepare {
                intent: sign.clone(),
                approvals: Vec::new(),
                witnesses: vec![party(3)],
                attempt: 1,
                participants: vec![party(1), party(2)],
                preprocessed: Preprocessed::Nothing,
                protocol: Some(Hash32::from_bytes([6; 32])),
            },
        ),
        (
            "issue",
            NodeRequest::Issue {
                intent: sign,
                approvals: Vec::new(),
                attempt: 1,
                participants: vec![party(1), party(2)],
                preprocessed: Preprocessed::Presignatures(vec![Hash32::from_bytes([7; 32])]),
            },
        ),
        (
            "settle",
            NodeRequest::Settle {
                intent: about,
                signatures: Vec::new(),
            },
        ),
        (
            "blame",
            NodeRequest::Blame {
                intent: about,
                attempt: 2,
                partials: Vec::new(),
            },
        ),
        ("commit", NodeRequest::Commit { key, count: 8 }),
        ("pools", NodeRequest::Pools),
        (
            "begin-presign",
            NodeRequest::BeginPresign {
                nonces: vec![[8; 32]],
                count: 2,
            },
        ),
        (
            "begin",
            NodeRequest::Begin {
                intent: about,
                attempt: 1,
                nonces: vec![[9; 32]],
                wait_ms: 5,
            },
        ),
        (
            "await",
            NodeRequest::Await {
                intent: about,
                attempt: 1,
                wait_ms: 5,
            },
        ),
        (
            "affirm",
            NodeRequest::Affirm {
                challenge: Hash32::from_bytes([10; 32]),
            },
        ),
        ("discard", NodeRequest::Discard(discard(key))),
    ]
}

fn discard(key: KeyId) -> SignedDiscard {
    SignedDiscard {
        discard: KeyDiscard {
            cluster: Hash32::from_bytes([1; 32]),
            operator: OperatorId::new("operator").unwrap(),
            key,
        },
        signature: [3; 64],
    }
}

fn affirmed() -> SignedAffirmation {
    let order = FreezeOrder {
        cluster: Hash32::from_bytes([1; 32]),
        person: PersonId::new("cas").unwrap(),
        nonce: [2; 16],
        issued_at: 1_700_000_000_000,
        reason: "why".to_owned(),
    };
    SignedAffirmation {
        affirmation: Affirmation {
            cluster: Hash32::from_bytes([1; 32]),
            party: party(1),
            challenge: Hash32::from_bytes([10; 32]),
            at: 1_700_000_000_001,
            policy_version: 2,
            policy: Some(Hash32::from_bytes([2; 32])),
            orders: vec![order],
        },
        signature: [3; 64],
    }
}

fn status() -> NodeStatus {
    NodeStatus {
        party: party(1),
        version: "0.1.0".to_owned(),
        dialect: first(),
        roster: Hash32::from_bytes([1; 32]),
        primes: 4,
        primes_needed: 4,
        committee: None,
        keys: 2,
        running: 1,
        standing: Standing::Serving { not_before: 3 },
        policy_version: 2,
        policy: Some(Hash32::from_bytes([2; 32])),
        frozen: Vec::new(),
        pools: Vec::new(),
        strangers: vec![party(3)],
        bans: Vec::new(),
    }
}

fn replies() -> Vec<(&'static str, NodeReply)> {
    let refusal = Refusal::new(RefusalCode::Busy, "why".to_owned());
    let failure = Failure::by(party(2), FailureCode::WrongPartial, "why");
    vec![
        ("status", NodeReply::Status(status())),
        ("keys", NodeReply::Keys(Vec::new())),
        (
            "judged",
            NodeReply::Judged {
                acknowledgements: 3,
            },
        ),
        ("commitments", NodeReply::Commitments(Vec::new())),
        ("pools", NodeReply::Pools(Vec::new())),
        ("noted", NodeReply::Noted),
        ("bundle", NodeReply::Bundle(None)),
        (
            "prepared",
            NodeReply::Prepared {
                nonce: [1; 32],
                items: 2,
            },
        ),
        ("running", NodeReply::Running),
        ("failed", NodeReply::Failed(failure)),
        ("active", NodeReply::Active),
        ("refused", NodeReply::Refused(refusal)),
        ("affirmed", NodeReply::Affirmed(Box::new(affirmed()))),
    ]
}

fn presence() -> Vec<(&'static str, Presence)> {
    let heartbeat = Heartbeat {
        party: party(1),
        roster: Hash32::from_bytes([1; 32]),
        at: 1_700_000_000_000,
        life: [2; 16],
        restores: 1,
        log_size: 300,
        epoch: 0,
        policy_version: 2,
        keys: 4,
        presignatures: 8,
    };
    let signature = [3; 64];
    let recall = Presence::Recall {
        party: party(2),
        nonce: [4; 32],
    };
    let heartbeat = Presence::Heartbeat(SignedHeartbeat {
        heartbeat,
        signature,
    });
    let ask_policy = Presence::AskPolicy {
        party: party(2),
        nonce: [4; 32],
        have: 3,
        from: Some(party(1)),
    };
    let policy = Presence::Policy(Box::new(SignedPolicyWord {
        word: PolicyWord {
            from: party(1),
            to: party(2),
            nonce: [4; 32],
            version: 3,
            settled: true,
            next: None,
            freezes: Vec::new(),
        },
        signature,
    }));
    vec![
        ("heartbeat", heartbeat),
        ("recall", recall),
        ("ask-policy", ask_policy),
        ("policy", policy),
    ]
}

/// The dialect of the first programs of version 1. What else later ones can do is only a longer
/// list.
fn first() -> Dialect {
    let could = [Capability::Presignatures, Capability::NoncesAhead];
    Dialect {
        version: WireVersion(1),
        capabilities: could.into_iter().collect(),
    }
}

fn lines<T: Canonical>(kind: &str, messages: Vec<(&'static str, T)>) -> Vec<String> {
    let line = |(name, message): (&str, T)| {
        format!("{kind} {name} {}\n", hex::encode(first().frame(&message)))
    };
    messages.into_iter().map(line).collect()
}

#[test]
fn messages_of_version_1_are_what_they_were() {
    let all = [
        lines("request", requests()),
        lines("reply", replies()),
        lines("presence", presence()),
    ];
    let text: String = all.concat().concat();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wire-v1.txt");
    if std::env::var_os("QUORATE_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &text).unwrap();
    }
    let recorded = std::fs::read_to_string(&file).unwrap_or_default();
    for (ours, theirs) in text.lines().zip(recorded.lines()) {
        assert_eq!(ours, theirs, "an older program does not understand this");
    }
    assert_eq!(text.lines().count(), recorded.lines().count());
}
