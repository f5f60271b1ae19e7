//! T16 and T15: an orchestrator with the right certificate and no scruples. The agents refuse, each alone.

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{NodeReply, NodeRequest, Record, RunResult};
use quorate_types::{
    Action, Attestation, Curve, DerivationPath, Dialect, Hash32, KeyId, KeyName, KeyRecord,
    Network, OperatorId, Payload, Preprocessed, Scheme, SignedIntent,
};
use serde_json::Value;

use crate::support::cluster::party;
use crate::support::hostile::{Hostile, begin, code, signatures, signed_by};
use crate::support::{Cluster, Setup, payloads};

const ALL: [u16; 3] = [1, 2, 3];

struct Scene {
    cluster: Cluster,
    hostile: Hostile,
    record: KeyRecord,
}

impl Scene {
    /// A cluster with one Ed25519 key that may not sign raw bytes.
    fn new() -> Self {
        let cluster = Cluster::start(Setup::new(2, 3).timeouts(30, 200, 30));
        let hostile = Hostile::new(&cluster);
        let listing = cluster.create_key("sol", "ed25519", &[]);
        Self {
            record: serde_json::from_value(listing["record"].clone()).unwrap(),
            hostile,
            cluster,
        }
    }

    fn sign(&self, network: Option<Network>, payload: Payload) -> Action {
        Action::Sign {
            key: self.record.id,
            path: DerivationPath::root(),
            network,
            payload,
            purpose: String::new(),
        }
    }

    fn transfer(&self, lamports: u64) -> Action {
        let message =
            payloads::solana_transfer(self.record.public_key.as_bytes(), &[7; 32], lamports);
        self.sign(Some(Network::Solana), Payload::SolanaMessage(message))
    }

    /// Every agent refuses the intent with this code when it is asked to sign with a quorum it belongs to.
    fn every_agent_refuses(&self, intent: &SignedIntent, expected: &str) {
        for (number, quorum) in [(1, [1, 2]), (2, [1, 2]), (3, [3, 1])] {
            assert_eq!(
                self.hostile.refusal(number, intent, 0, &quorum),
                expected,
                "party-{number}"
            );
        }
    }

    /// Nothing was signed and nothing is lost: no agent runs anything, the key is there, and an honest signing works.
    fn all_is_well(&self) {
        for number in ALL {
            assert_eq!(self.hostile.status(number).running, 0, "party-{number}");
        }
        let keys = self.cluster.json(&["key", "list"]);
        assert_eq!(keys[0]["record"]["name"], "sol");
        assert_eq!(keys[0]["active"], true);
        let message = payloads::solana_transfer(self.record.public_key.as_bytes(), &[7; 32], 1);
        let file = self.cluster.write("transfer.bin", message);
        let signed: Value = self
            .cluster
            .json(&["sign", "--key", "sol", "--chain", "solana", "--in", &file]);
        assert_eq!(signed["attempts"], 1, "{signed}");
    }
}

#[test]
fn t16_i03_only_an_operators_own_intent_is_acted_on() {
    let scene = Scene::new();
    let Scene {
        hostile, cluster, ..
    } = &scene;
    let stranger = SigningKey::from_bytes(&[0x51; 32]);
    let good = hostile.signed(scene.transfer(5));

    let forged = signed_by(&stranger, hostile.intent(scene.transfer(5)));
    scene.every_agent_refuses(&forged, "operator-signature");

    let mut unknown = hostile.intent(scene.transfer(5));
    unknown.operator = OperatorId::new("mallory").unwrap();
    scene.every_agent_refuses(&signed_by(&stranger, unknown), "operator-unknown");

    // The transaction is swapped under the operator's signature; then only its recipient; then the key.
    let mut swapped = good.clone();
    swapped.intent.action = scene.transfer(1_000_000_000);
    scene.every_agent_refuses(&swapped, "operator-signature");
    let mut other_key = good.clone();
    if let Action::Sign { key, .. } = &mut other_key.intent.action {
        *key = KeyId::from_bytes([1; 32]);
    }
    scene.every_agent_refuses(&other_key, "operator-signature");
    let mut longer = good.clone();
    longer.intent.expires_at += 1;
    scene.every_agent_refuses(&longer, "operator-signature");

    let mut other_roster = hostile.intent(scene.transfer(5));
    other_roster.roster = Hash32::from_bytes([3; 32]);
    scene.every_agent_refuses(&hostile.sign(other_roster), "other-roster");

    // The orchestrator of an honest cluster does not even ask the agents.
    let endpoint = cluster.endpoint();
    let refused = super::strangers::post_intent(cluster, &endpoint, &forged.canonical_bytes());
    assert_eq!(refused.0, 422);
    assert_eq!(refused.1["code"], "operator-signature", "{}", refused.1);
    scene.all_is_well();
}

#[test]
fn t15_intents_out_of_their_time_are_refused() {
    let scene = Scene::new();
    let hostile = &scene.hostile;
    let day = 24 * 60 * 60 * 1000;
    let week = 7 * day;
    let with_times = |shift: &dyn Fn(u64) -> (u64, u64)| {
        let mut intent = hostile.intent(scene.transfer(5));
        (intent.issued_at, intent.expires_at) = shift(intent.issued_at);
        hostile.sign(intent)
    };
    scene.every_agent_refuses(
        &with_times(&|now| (now - 2000, now - 1000)),
        "intent-expired",
    );
    scene.every_agent_refuses(
        &with_times(&|now| (now + day / 2, now + day)),
        "intent-invalid",
    );
    scene.every_agent_refuses(
        &with_times(&|now| (now, now + week + 60_000)),
        "intent-invalid",
    );
    scene.all_is_well();
}

#[test]
fn t16_i02_digests_and_payloads_of_another_kind_are_not_signed() {
    let scene = Scene::new();
    let hostile = &scene.hostile;
    let digest = Payload::Raw(vec![0xab; 32]);
    scene.every_agent_refuses(
        &hostile.signed(scene.sign(None, digest.clone())),
        "raw-not-allowed",
    );
    scene.every_agent_refuses(
        &hostile.signed(scene.sign(Some(Network::Solana), digest)),
        "raw-with-network",
    );
    let message = payloads::solana_transfer(scene.record.public_key.as_bytes(), &[7; 32], 5);
    let trailing = Payload::SolanaMessage([message.as_slice(), &[0]].concat());
    scene.every_agent_refuses(
        &hostile.signed(scene.sign(Some(Network::Solana), trailing)),
        "payload-trailing-bytes",
    );
    let foreign = payloads::solana_transfer(&[0x33; 32], &[7; 32], 5);
    let foreign =
        hostile.signed(scene.sign(Some(Network::Solana), Payload::SolanaMessage(foreign)));
    assert!(
        hostile
            .refusal(1, &foreign, 0, &[1, 2])
            .starts_with("solana-")
    );
    let elsewhere = Payload::SolanaMessage(message);
    scene.every_agent_refuses(
        &hostile.signed(scene.sign(Some(Network::Evm { chain_id: 1 }), elsewhere)),
        "payload-not-for-network",
    );
    let unknown = Action::Sign {
        key: KeyId::from_bytes([9; 32]),
        path: DerivationPath::root(),
        network: None,
        payload: Payload::Raw(vec![1]),
        purpose: String::new(),
    };
    scene.every_agent_refuses(&hostile.signed(unknown), "key-unknown");
    scene.all_is_well();
}

#[test]
fn t16_wrong_participants_are_refused() {
    let scene = Scene::new();
    let hostile = &scene.hostile;
    let transfer = hostile.signed(scene.transfer(5));
    for wrong in [&[1][..], &[1, 2, 3], &[1, 1], &[2, 3], &[1, 4], &[]] {
        assert_eq!(
            hostile.refusal(1, &transfer, 0, wrong),
            "participants",
            "{wrong:?}"
        );
    }
    let setup = hostile.signed(Action::SetUpCommittee);
    for wrong in [&[1, 2][..], &[2, 1, 3], &[1, 2, 3, 3]] {
        assert_eq!(
            hostile.refusal(1, &setup, 0, wrong),
            "participants",
            "{wrong:?}"
        );
    }
    assert_eq!(
        hostile.refusal(1, &transfer, NodeRequest::MAX_ATTEMPTS, &[1, 2]),
        "attempts-exhausted"
    );
    scene.all_is_well();
}

#[test]
fn i05_one_intent_gets_one_signature_however_often_it_is_started() {
    let scene = Scene::new();
    let hostile = &scene.hostile;
    let intent = hostile.signed(scene.transfer(5));
    let quorum = [1, 2];

    let unprepared = begin(&intent, 0, &[[1; 32], [2; 32]]);
    assert_eq!(code(hostile.ask(1, &unprepared)), "not-prepared");
    let nonces = hostile.nonces(&intent, 0, &quorum);
    assert_eq!(
        code(hostile.ask(1, &unprepared)),
        "nonces",
        "others' nonces"
    );
    let swapped: Vec<_> = nonces.iter().rev().copied().collect();
    assert_eq!(
        code(hostile.ask(1, &begin(&intent, 0, &swapped))),
        "nonces",
        "its own, in another's place"
    );

    let nonces = hostile.nonces(&intent, 0, &quorum);
    let start = begin(&intent, 0, &nonces);
    let first = signatures(hostile.finish(&start, &quorum).remove(0));
    for number in quorum {
        assert_eq!(
            code(hostile.ask(number, &start)),
            "repeated",
            "party-{number}"
        );
        for attempt in [0, 1, 2] {
            let again = hostile.prepare(number, &intent, attempt, &quorum);
            assert_eq!(
                signatures(again),
                first,
                "party-{number}: the stored result, nothing new"
            );
        }
    }
    scene.all_is_well();
}

#[test]
fn t16_unreadable_requests_are_refused_and_the_agent_goes_on() {
    let scene = Scene::new();
    let hostile = &scene.hostile;
    let good = Dialect::current().frame(&NodeRequest::Status);
    let intent = hostile.signed(scene.transfer(5));
    let prepare = NodeRequest::Prepare {
        approvals: Vec::new(),
        witnesses: Vec::new(),
        intent,
        attempt: 0,
        participants: vec![party(1), party(2)],
        preprocessed: Preprocessed::Nothing,
        protocol: None,
    };
    let prepare = Dialect::current().frame(&prepare);
    let too_long = [&prepare[..], &vec![0u8; NodeRequest::MAX_LEN + 1]].concat();
    let cut = &prepare[..prepare.len() - 1];
    for bad in [
        &[][..],
        &[0xff; 40],
        &[good.as_slice(), &[0]].concat(),
        cut,
        &too_long,
    ] {
        let reply = hostile.try_ask(1, Bytes::copy_from_slice(bad)).unwrap();
        assert_eq!(code(reply), "unreadable", "{} bytes", bad.len());
    }
    scene.all_is_well();
}

#[test]
fn t16_no_record_comes_into_force_that_not_every_custodian_attested() {
    let scene = Scene::new();
    let hostile = &scene.hostile;
    let stranger = SigningKey::from_bytes(&[0x51; 32]);
    let mut forged = scene.record.clone();
    forged.raw_signing = true;
    let record = Record::Key(forged);
    let signature = ed25519_dalek::Signer::sign(&stranger, &record.signing_bytes()).to_bytes();
    let attestations = ALL
        .map(|number| Attestation {
            party: party(number),
            signature,
        })
        .to_vec();
    for attestations in [Vec::new(), attestations] {
        for number in ALL {
            let request = NodeRequest::Activate {
                record: record.clone(),
                attestations: attestations.clone(),
            };
            assert_eq!(
                code(hostile.ask(number, &request)),
                "not-attested",
                "party-{number}"
            );
        }
    }
    let raw = hostile.signed(scene.sign(None, Payload::Raw(b"text".to_vec())));
    scene.every_agent_refuses(&raw, "raw-not-allowed");
    scene.all_is_well();
}

#[test]
fn of_two_keys_made_under_one_name_only_one_comes_into_force() {
    let scene = Scene::new();
    let hostile = &scene.hostile;
    let create = || {
        hostile.signed(Action::CreateKey {
            name: KeyName::new("twin").unwrap(),
            curve: Curve::Ed25519,
            scheme: Scheme::Eddsa,
            raw_signing: true,
        })
    };
    // Both are made before either is in force, when the name is still free.
    let made = [create(), create()].map(|intent| {
        let start = begin(&intent, 0, &hostile.nonces(&intent, 0, &ALL));
        attested(hostile.finish(&start, &ALL))
    });
    for (request, id) in &made[..1] {
        for number in ALL {
            assert_eq!(hostile.ask(number, request), NodeReply::Active, "{id}");
        }
    }
    let (request, id) = &made[1];
    let raw = hostile.signed(Action::Sign {
        key: *id,
        path: DerivationPath::root(),
        network: None,
        payload: Payload::Raw(b"text".to_vec()),
        purpose: String::new(),
    });
    for number in ALL {
        assert_eq!(
            code(hostile.ask(number, request)),
            "key-name-taken",
            "party-{number}"
        );
    }
    scene.every_agent_refuses(&raw, "key-not-active");
    scene.all_is_well();
}

/// The request that brings a key into force which every custodian has made and attested.
fn attested(replies: Vec<NodeReply>) -> (NodeRequest, KeyId) {
    let mut made = None;
    let mut attestations = Vec::new();
    for reply in replies {
        match reply {
            NodeReply::Finished(RunResult::Attested {
                record: Record::Key(record),
                attestation,
            }) => {
                made = Some(record);
                attestations.push(attestation);
            }
            other => panic!("{other:?}"),
        }
    }
    let made = made.unwrap();
    let id = made.id;
    let record = Record::Key(made);
    (
        NodeRequest::Activate {
            record,
            attestations,
        },
        id,
    )
}
