//! A key changes the protocol that signs for it, from the outside.

use std::sync::Arc;
use std::time::Duration;

use quorate_messaging::{Messenger, MessengerOptions, NatsTransport, PartyKeys};
use quorate_party_agent::driver::{Drive, Participants};
use quorate_party_agent::pool::Priority;
use quorate_storage::{EncryptedFileStore, ItemKind, Passphrase};
use quorate_testkit::dkls::Cheat;
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{NodeReply, NodeRequest, Record, RunResult};
use quorate_types::{
    Action, CeremonyKind, DerivationPath, Hash32, HashAlgorithm, KeyId, Network, Payload, Preimage,
    Preprocessed, Protocol, ProtocolListing, SessionDescriptor, SignedIntent,
};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::support::cluster::party;
use crate::support::hostile::{Hostile, begin, code, options};
use crate::support::{Cluster, Setup, wait_for};

const MESSAGE: [&str; 4] = ["--chain", "ethereum", "--message", "hello"];

/// Signs a message, has it verified, and returns the custodians that signed.
fn sign(cluster: &Cluster, key: &str) -> Vec<String> {
    let payload = [&["--key", key][..], &MESSAGE].concat();
    let signed = cluster.json(&[&["sign"][..], &payload].concat());
    let signature = signed["signatures"][0]["bytes"].as_str().unwrap();
    let verify = [&["verify"][..], &payload, &["--signature", signature]].concat();
    assert_eq!(cluster.json(&verify)["valid"], true);
    let custodians = signed["custodians"].as_array().unwrap().iter();
    custodians.map(|c| c.as_str().unwrap().to_owned()).collect()
}

fn address(cluster: &Cluster, key: &str) -> String {
    let shown = cluster.json(&["address", "--key", key, "--chain", "ethereum"]);
    shown["address"].as_str().unwrap().to_owned()
}

fn shown(cluster: &Cluster, key: &str) -> Value {
    cluster.json(&["key", "show", key])
}

/// Whether a command says that the library is unaudited.
fn warns(cluster: &Cluster, args: &[&str]) -> bool {
    cluster.cli(args).ok().stderr.contains("nobody has audited")
}

#[test]
fn a_key_signs_by_both_protocols_under_one_address() {
    let mut cluster = Cluster::start(Setup::new(2, 3).with_committee());
    cluster.create_key("hot", "secp256k1", &[]);
    let before = address(&cluster, "hot");
    sign(&cluster, "hot");
    assert!(!warns(&cluster, &["key", "list"]));

    assert!(warns(&cluster, &["key", "set-protocol", "hot", "dkls23"]));
    assert_eq!(sign(&cluster, "hot"), ["party-1", "party-2"]);
    assert_eq!(address(&cluster, "hot"), before);
    let listing = shown(&cluster, "hot");
    assert_eq!(listing["protocol"], "dkls23");
    assert_eq!(listing["key"]["protocol"]["record"]["sequence"], 1);
    assert!(warns(&cluster, &["key", "list"]) && warns(&cluster, &["key", "show", "hot"]));
    let again = cluster.problem(&["key", "set-protocol", "hot", "dkls23"]);
    assert_eq!(again["code"], "protocol-in-force", "{again}");

    // Custodians keep it, and one that is away is not needed.
    cluster.stop_agent(1);
    assert_eq!(sign(&cluster, "hot"), ["party-2", "party-3"]);
    cluster.restart(1);
    cluster.restart(2);
    sign(&cluster, "hot");

    cluster.json(&["key", "set-protocol", "hot", "dkls23", "--renew"]);
    sign(&cluster, "hot");
    cluster.json(&["key", "set-protocol", "hot", "cggmp24"]);
    sign(&cluster, "hot");
    assert_eq!(
        shown(&cluster, "hot")["key"]["protocol"]["record"]["sequence"],
        3
    );
    assert_eq!(address(&cluster, "hot"), before);
}

#[test]
fn a_key_is_created_for_dkls23_in_one_command_and_without_a_committee_setup() {
    let mut cluster = Cluster::start(Setup::new(2, 3));
    let problem = cluster.problem(&[
        "key",
        "create",
        "--curve",
        "ed25519",
        "--name",
        "sol",
        "--protocol",
        "dkls23",
    ]);
    assert!(
        problem["detail"].as_str().unwrap().contains("eddsa"),
        "{problem}"
    );
    let listing = cluster.create_key("fast", "secp256k1", &["--protocol", "dkls23"]);
    assert_eq!(listing["protocol"]["record"]["protocol"], "dkls23");
    sign(&cluster, "fast");

    // A change takes everyone; until then the old protocol signs.
    cluster.kill(3);
    let problem = cluster.problem(&["key", "set-protocol", "fast", "cggmp24"]);
    assert_eq!(problem["code"], "party-offline", "{problem}");
    assert_eq!(problem["missing"][0], "party-3", "{problem}");
    assert_eq!(shown(&cluster, "fast")["protocol"], "dkls23");
    sign(&cluster, "fast");
}

/// An orchestrator that does what it likes with one key.
struct Scene {
    cluster: Cluster,
    hostile: Hostile,
    key: KeyId,
}

const ALL: [u16; 3] = [1, 2, 3];

impl Scene {
    fn new() -> Self {
        let cluster = Cluster::start(Setup::new(2, 3).with_committee());
        let listing = cluster.create_key("hot", "secp256k1", &["--raw-signing"]);
        let key = serde_json::from_value(listing["record"]["id"].clone()).unwrap();
        Self {
            hostile: Hostile::new(&cluster),
            cluster,
            key,
        }
    }

    /// Has the operator make a change.
    fn change(&self, protocol: &str, more: &[&str]) -> ProtocolListing {
        let command = [&["key", "set-protocol", "hot", protocol], more].concat();
        serde_json::from_value(self.cluster.json(&command)).unwrap()
    }

    /// Has everyone attest a change, and tells nobody.
    fn agree(&self, protocol: Protocol) -> ProtocolListing {
        let intent = self.hostile.signed(Action::SetProtocol {
            key: self.key,
            protocol,
            renew: false,
        });
        let nonces = self.hostile.nonces(&intent, 0, &ALL);
        let mut attestations = Vec::new();
        let mut found = None;
        for reply in self.hostile.finish(&begin(&intent, 0, &nonces), &ALL) {
            let NodeReply::Finished(RunResult::Attested {
                record: Record::Protocol(record),
                attestation,
            }) = reply
            else {
                panic!("{reply:?}");
            };
            attestations.push(attestation);
            found = Some(record);
        }
        ProtocolListing {
            record: found.unwrap(),
            attestations,
        }
    }

    fn activate(&self, number: u16, listing: &ProtocolListing) -> NodeReply {
        let request = NodeRequest::Activate {
            record: Record::Protocol(listing.record.clone()),
            attestations: listing.attestations.clone(),
        };
        self.hostile.ask(number, &request)
    }

    fn prepare(&self, number: u16, protocol: Option<Hash32>) -> NodeReply {
        let intent = self.hostile.signed(Action::Sign {
            key: self.key,
            path: DerivationPath::root(),
            network: Some(Network::Evm { chain_id: 1 }),
            payload: Payload::Message(b"hello".to_vec()),
            purpose: String::new(),
        });
        let request = prepare(&intent, &[number, number % 3 + 1], protocol);
        self.hostile.ask(number, &request)
    }
}

#[test]
fn t16_old_activations_and_another_protocol_are_refused_and_who_missed_one_catches_up() {
    let mut scene = Scene::new();
    let first = scene.agree(Protocol::Dkls23);
    // Not with less than everyone's word.
    let mut less = first.clone();
    less.attestations.pop();
    assert_eq!(code(scene.activate(1, &less)), "not-attested");
    assert_eq!(scene.activate(2, &first), NodeReply::Active);
    assert_eq!(scene.activate(3, &first), NodeReply::Active);
    let hash = Some(first.record.canonical_hash());
    for (number, believed) in [(1, hash), (2, None), (3, Some(Hash32::from_bytes([1; 32])))] {
        assert_eq!(code(scene.prepare(number, believed)), "protocol-differs");
    }

    // The honest orchestrator finds that they differ, and tells the one that missed it.
    sign(&scene.cluster, "hot");
    scene.cluster.kill(3);
    assert_eq!(sign(&scene.cluster, "hot"), ["party-1", "party-2"]);
    scene.cluster.restart(3);
    assert_eq!(shown(&scene.cluster, "hot")["protocol"], "dkls23");

    scene
        .cluster
        .json(&["key", "set-protocol", "hot", "cggmp24"]);
    for number in ALL {
        assert_eq!(code(scene.activate(number, &first)), "protocol-outdated");
        assert_eq!(code(scene.prepare(number, hash)), "protocol-differs");
    }
    sign(&scene.cluster, "hot");
}

impl Scene {
    /// One of each of these that a custodian that is stopped has in its store. Opened once: a program that another test starts at that moment
    /// inherits the lock until it runs.
    fn secrets<const N: usize>(
        &self,
        number: u16,
        kinds: [ItemKind; N],
    ) -> [Zeroizing<Vec<u8>>; N] {
        let home = self.cluster.custodian(number);
        let text = std::fs::read_to_string(home.join("passphrase")).unwrap();
        let passphrase = Passphrase::new(Zeroizing::new(text.trim().to_owned()));
        let store = home.join("data/store");
        let store = EncryptedFileStore::open(&store, &party(number), &passphrase).unwrap();
        kinds.map(|kind| store.get(store.list(kind).unwrap()[0]).unwrap())
    }

    /// Has the second custodian, whose agent is stopped, fail a consistency check at the first. Returns what that one says.
    fn cheat(&self, protocol: Option<Hash32>) -> NodeReply {
        let hostile = &self.hostile;
        let intent = hostile.signed(Action::Sign {
            key: self.key,
            path: DerivationPath::root(),
            network: None,
            payload: Payload::Raw(b"raw".to_vec()),
            purpose: String::new(),
        });
        let request = prepare(&intent, &[1, 2], protocol);
        let NodeReply::Prepared { nonce, .. } = hostile.ask(1, &request) else {
            panic!("not prepared");
        };
        let nonces = [nonce, [2; 32]];
        let session = SessionDescriptor {
            protocol,
            ..hostile.session(
                CeremonyKind::Sign,
                intent.intent.hash(),
                self.key,
                &[1, 2],
                &nonces,
            )
        };
        let begin = begin(&intent, 0, &nonces);
        hostile.send(1, &begin);
        let kinds = [ItemKind::Share, ItemKind::Dkls, ItemKind::Identity];
        let [share, setup, identity] = self.secrets(2, kinds);
        let cheat = Cheat {
            share: share.to_vec(),
            setup: setup.to_vec(),
            signers: vec![0, 1],
            message: Preimage::new(HashAlgorithm::Sha256, b"raw".to_vec()),
        };
        let identity: [u8; 64] = identity.as_slice().try_into().unwrap();
        let keys = PartyKeys::from_secret_bytes(&Zeroizing::new(identity));
        let drive = Drive {
            roster: Arc::clone(&hostile.roster),
            participants: Participants {
                parties: session.participants.clone(),
                me: 1,
            },
            round_timeout: Duration::from_secs(60),
            priority: Priority::Online,
            online: Default::default(),
            watch: None,
        };
        let options = options(&self.cluster, "party-2");
        hostile.runtime.block_on(async {
            let transport = NatsTransport::connect(options).await.unwrap();
            let (roster, limits) = (Arc::clone(&hostile.roster), MessengerOptions::default());
            let messenger = Messenger::start(Arc::new(keys), party(2), roster, transport, limits);
            let messenger = messenger.await.unwrap();
            let end = messenger.open_session((&session).into()).unwrap();
            let id = session.session_id();
            let ended = drive.run(end, "cheat".to_owned(), move || cheat.start(id, 1));
            ended.await.unwrap_err();
        });
        hostile.end_of(1, &begin)
    }
}

fn prepare(intent: &SignedIntent, participants: &[u16], protocol: Option<Hash32>) -> NodeRequest {
    NodeRequest::Prepare {
        intent: intent.clone(),
        approvals: Vec::new(),
        witnesses: Vec::new(),
        attempt: 0,
        participants: participants.iter().map(|number| party(*number)).collect(),
        preprocessed: Preprocessed::Nothing,
        protocol,
    }
}

#[test]
fn t12_a_custodian_that_cheats_in_dkls23_is_banned_and_the_others_sign() {
    let mut scene = Scene::new();
    let listing = scene.change("dkls23", &[]);
    assert_eq!(sign(&scene.cluster, "hot"), ["party-1", "party-2"]);
    scene.cluster.stop_agent(2);
    let NodeReply::Failed(failure) = scene.cheat(Some(listing.record.canonical_hash())) else {
        panic!("it signed");
    };
    assert_eq!(failure.code.as_str(), "consistency-check", "{failure}");
    assert_eq!(failure.culprits, [party(2)]);
    scene.cluster.kill(1);
    scene.cluster.restart(1);
    scene.cluster.restart(2);

    let bans = &scene.cluster.json(&["status"])["parties"][0]["status"]["bans"];
    assert_eq!(bans[0]["party"], "party-2", "{bans}");
    assert_eq!(sign(&scene.cluster, "hot"), ["party-1", "party-3"]);
    scene.cluster.kill(3);
    let signing = [&["sign", "--key", "hot"][..], &MESSAGE].concat();
    let problem = scene.cluster.problem(&signing);
    assert_eq!(problem["code"], "counterparty-banned", "{problem}");
    scene.cluster.restart(3);

    // A new setup alone does not do, nor does the word of anyone but the first custodian's administrator.
    scene.change("dkls23", &["--renew"]);
    assert_eq!(sign(&scene.cluster, "hot"), ["party-1", "party-3"]);
    let lift = ["lift-ban", "--key", "hot", "--party", "party-2"];
    assert!(
        scene
            .cluster
            .agent_cli(2, &lift)
            .stderr
            .contains("not banned")
    );
    let status = scene.cluster.agent_cli(1, &lift).json();
    assert_eq!(status["bans"], serde_json::json!([]));
    // The orchestrator asks custodians how they are once a second.
    wait_for("they sign together", Duration::from_secs(30), || {
        (sign(&scene.cluster, "hot") == ["party-1", "party-2"]).then_some(())
    });
}
