//! A key changes the protocol that signs for it, from the outside.

use quorate_types::canonical::Canonical as _;
use quorate_types::node::{NodeReply, NodeRequest, Record, RunResult};
use quorate_types::{
    Action, DerivationPath, Hash32, KeyId, Network, Payload, Protocol, ProtocolListing,
};
use serde_json::Value;

use crate::support::cluster::party;
use crate::support::hostile::{Hostile, begin, code};
use crate::support::{Cluster, Setup};

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
        let listing = cluster.create_key("hot", "secp256k1", &[]);
        let key = serde_json::from_value(listing["record"]["id"].clone()).unwrap();
        Self {
            hostile: Hostile::new(&cluster),
            cluster,
            key,
        }
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
        let request = NodeRequest::Prepare {
            intent,
            approvals: Vec::new(),
            witnesses: Vec::new(),
            attempt: 0,
            participants: vec![party(number), party(number % 3 + 1)],
            presignatures: Vec::new(),
            protocol,
        };
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
