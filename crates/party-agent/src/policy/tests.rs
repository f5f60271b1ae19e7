//! What may come into force between a ruling and the start that relies on it.

use ed25519_dalek::{Signer as _, SigningKey};
use quorate_storage::{Batch, Begun, Start};
use quorate_types::canonical::tagged_hash;
use quorate_types::{
    Action, Approval, FreezeOrder, Intent, OperatorEntry, OperatorId, PartyEntry, PersonId, Proof,
    RefusalCode, Roster, SessionId, SignedFreeze, SignedIntent, Threshold, ValidBundle, Verdict,
    VerifiedIntent,
};

use super::*;
use crate::judge::RefusalReason;

const NOW: u64 = 1_900_000_000_000;

fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(tagged_hash("desk", &[name.as_bytes()]).as_bytes())
}

fn public(name: &str) -> [u8; 32] {
    key(name).verifying_key().to_bytes()
}

fn person(name: &str) -> PersonId {
    PersonId::new(name).unwrap()
}

struct Case {
    desk: PolicyDesk,
    roster: Arc<ValidRoster>,
    first: ValidBundle,
    intent: VerifiedIntent,
    _dir: tempfile::TempDir,
}

fn roster() -> ValidRoster {
    let party = |name: &str| PartyEntry {
        id: PartyId::new(name).unwrap(),
        identity: public(name),
        channel: *tagged_hash("channel", &[name.as_bytes()]).as_bytes(),
    };
    Roster {
        cluster: "desk".to_owned(),
        threshold: Threshold::new(2, 3).unwrap(),
        parties: ["party-1", "party-2", "party-3"].map(party).to_vec(),
        operators: vec![OperatorEntry {
            id: OperatorId::new("operator").unwrap(),
            key: public("operator"),
        }],
        admins: quorate_types::Admins::single(person("root"), public("root")),
    }
    .try_into()
    .unwrap()
}

fn text() -> String {
    let of = |name: &str| hex::encode(public(name));
    format!(
        "[people.gus]\nguardian = true\ned25519 = [\"{}\"]\n[people.ann]\ned25519 = [\"{}\"]\n",
        of("gus"),
        of("ann")
    )
}

fn case() -> Case {
    let dir = tempfile::tempdir().unwrap();
    let roster = Arc::new(roster());
    let root = key("root");
    let genesis = quorate_testkit::policy::bundle(&roster, None, &text(), &[("root", &root)]);
    let first = genesis.clone().follow(&roster, None).unwrap();
    let ledger = Arc::new(Ledger::open(&dir.path().join("ledger.redb")).unwrap());
    let party = roster.party_ids()[0].clone();
    let desk = PolicyDesk::open(party, Arc::clone(&roster), ledger, Some(genesis), NOW).unwrap();
    let intent = Intent {
        roster: roster.hash(),
        operator: OperatorId::new("operator").unwrap(),
        nonce: [0; 16],
        issued_at: NOW,
        expires_at: NOW + 60_000,
        action: Action::SetUpCommittee,
    };
    let signature = key("operator").sign(&intent.signing_bytes()).to_bytes();
    let signed = SignedIntent { intent, signature };
    Case {
        intent: signed.verify(&roster, NOW).unwrap(),
        desk,
        first,
        roster,
        _dir: dir,
    }
}

impl Case {
    fn rule(&self) -> Result<Ruling, PolicyRefusal> {
        self.desk.rule(&Question {
            intent: &self.intent,
            signing: None,
            changed: None,
            approvals: &[],
            now: NOW,
        })
    }

    fn proof(who: &str, bytes: &[u8]) -> Proof {
        Proof::Ed25519 {
            key: public(who),
            signature: key(who).sign(bytes).to_bytes(),
        }
    }

    fn freeze(&self) {
        let order = FreezeOrder {
            cluster: self.roster.cluster_id(),
            person: person("gus"),
            nonce: [1; 16],
            issued_at: NOW,
            reason: "drill".to_owned(),
        };
        let proof = Self::proof("gus", &order.signing_bytes());
        self.desk.freeze(SignedFreeze { order, proof }).unwrap();
    }

    fn reject(&self) {
        let approval = Approval {
            cluster: self.roster.cluster_id(),
            intent: self.intent.hash(),
            sighashes: Vec::new(),
            verdict: Verdict::Reject,
            policy: self.first.hash(),
            policy_version: 1,
            display: Hash32::from_bytes([0; 32]),
            person: person("ann"),
            nonce: [2; 16],
            issued_at: NOW,
            expires_at: NOW + 60_000,
        };
        let proof = Self::proof("ann", &approval.signing_bytes());
        let said = quorate_types::SignedApproval { approval, proof };
        self.desk.say(said, NOW).unwrap();
    }

    fn publish(&self) {
        let next = quorate_testkit::policy::bundle(
            &self.roster,
            Some(&self.first),
            &text(),
            &[("root", &key("root"))],
        );
        self.desk.publish(next, NOW).unwrap();
    }
}

fn begin(case: &Case, ruling: &Ruling) -> Result<Begun, RefusalReason> {
    let start = Start {
        intent: case.intent.hash(),
        attempt: 0,
        sessions: vec![SessionId::from_bytes([1; 32])],
    };
    case.desk.begin(ruling, Batch::new(start, NOW))
}

fn is_fresh(begun: &Result<Begun, RefusalReason>) -> bool {
    matches!(begun, Ok(Begun::Fresh { .. }))
}

#[test]
fn i03_what_comes_between_a_ruling_and_its_start_stops_the_start() {
    let nothing = case();
    let ruling = nothing.rule().unwrap();
    assert!(is_fresh(&begin(&nothing, &ruling)));

    let (frozen, rejected, published) = (case(), case(), case());
    let rulings = [&frozen, &rejected, &published].map(|case| case.rule().unwrap());
    frozen.freeze();
    rejected.reject();
    published.publish();
    let [frozen, rejected, anew] = [
        (&frozen, &rulings[0]),
        (&rejected, &rulings[1]),
        (&published, &rulings[2]),
    ]
    .map(|(case, ruling)| begin(case, ruling).unwrap_err());
    let code = |refused: &RefusalReason| refused.code();
    assert_eq!(code(&frozen), RefusalCode::PolicyDenied);
    assert_eq!(code(&rejected), RefusalCode::PolicyChanged);
    assert_eq!(code(&anew), RefusalCode::PolicyChanged);
    // Nothing was begun under the old ruling, and it may be under a new one.
    let ruling = published.rule().unwrap();
    assert!(is_fresh(&begin(&published, &ruling)));
}

#[test]
fn nothing_comes_into_force_while_a_start_is_made_durable() {
    let case = Arc::new(case());
    let ruling = case.rule().unwrap();
    let held = case.desk.hold(&ruling).unwrap();
    let (told, hears) = std::sync::mpsc::channel();
    let guardian = {
        let case = Arc::clone(&case);
        std::thread::spawn(move || {
            case.freeze();
            told.send(()).unwrap();
        })
    };
    // However long the start takes, the order waits for its end.
    for _ in 0..1_000 {
        std::thread::yield_now();
        assert!(hears.try_recv().is_err() && case.desk.frozen().is_empty());
    }
    drop(held);
    hears.recv().unwrap();
    guardian.join().unwrap();
    assert!(case.desk.hold(&ruling).is_err());
}
