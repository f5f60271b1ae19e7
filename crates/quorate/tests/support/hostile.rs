//! An orchestrator that does what it likes: the orchestrator's own certificate, no orchestrator. With the operator's key beside it, for
//! what takes both.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use quorate_messaging::{NatsOptions, NatsTransport, Subject, Transport, TransportError};
use quorate_party_agent::passphrase;
use quorate_service::{load_roster, now_ms};
use quorate_storage::{SealedBox, read_private};
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{NodeReply, NodeRequest, NodeStatus, RunResult};
use quorate_types::{
    Action, CeremonyKind, Dialect, Intent, IntentHash, KeyId, OperatorId, PartyId, Preprocessed,
    SessionDescriptor, Signature, SignedIntent, ValidRoster,
};
use tokio::runtime::Runtime;

use super::cluster::{Cluster, party, tls};

const ASK: Duration = Duration::from_secs(60);
const MINUTE: u64 = 60_000;

/// Options for a user of the cluster with its own certificate.
pub fn options(cluster: &Cluster, user: &str) -> NatsOptions {
    let tls = tls(&cluster.root(), user);
    NatsOptions::new(
        &cluster.nats_url(),
        user,
        &tls.join("ca.crt"),
        &tls.join("cert.pem"),
        &tls.join("key.pem"),
    )
}

pub struct Hostile {
    pub runtime: Runtime,
    transport: Arc<NatsTransport>,
    pub roster: Arc<ValidRoster>,
    operator: SigningKey,
}

impl Hostile {
    pub fn new(cluster: &Cluster) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let transport = runtime
            .block_on(NatsTransport::connect(options(cluster, "orchestrator")))
            .unwrap();
        let roster = load_roster(&cluster.root().join("orchestrator/roster.json")).unwrap();
        Self {
            runtime,
            transport,
            roster,
            operator: operator_key(cluster),
        }
    }

    /// An honest operator's intent.
    pub fn intent(&self, action: Action) -> Intent {
        let now = now_ms();
        let mut nonce = [0u8; 16];
        nonce.copy_from_slice(&SigningKey::generate(&mut rand_core::OsRng).to_bytes()[..16]);
        Intent {
            roster: self.roster.hash(),
            operator: OperatorId::new("operator").unwrap(),
            nonce,
            issued_at: now,
            expires_at: now + 10 * MINUTE,
            action,
        }
    }

    /// The operator's signature on it.
    pub fn sign(&self, intent: Intent) -> SignedIntent {
        signed_by(&self.operator, intent)
    }

    /// Honest from end to end.
    pub fn signed(&self, action: Action) -> SignedIntent {
        self.sign(self.intent(action))
    }

    pub fn ask(&self, number: u16, request: &NodeRequest) -> NodeReply {
        self.try_ask(number, Bytes::from(Dialect::current().frame(request)))
            .unwrap()
    }

    /// Sends any bytes to an agent.
    pub fn try_ask(&self, number: u16, bytes: Bytes) -> Result<NodeReply, TransportError> {
        let subject = Subject::Node(party(number)).to_string();
        let reply = self
            .runtime
            .block_on(self.transport.request(subject, bytes, ASK))?;
        Ok(Dialect::current()
            .read(&reply, NodeRequest::MAX_LEN)
            .unwrap()
            .1)
    }

    /// Sends a request without waiting for its answer.
    pub fn send(&self, number: u16, request: &NodeRequest) {
        let (transport, bytes) = (
            Arc::clone(&self.transport),
            Bytes::from(Dialect::current().frame(request)),
        );
        let subject = Subject::Node(party(number)).to_string();
        self.runtime
            .spawn(async move { transport.request(subject, bytes, ASK).await });
    }

    pub fn status(&self, number: u16) -> NodeStatus {
        match self.ask(number, &NodeRequest::Status) {
            NodeReply::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    pub fn prepare(
        &self,
        number: u16,
        intent: &SignedIntent,
        attempt: u32,
        participants: &[u16],
    ) -> NodeReply {
        let request = NodeRequest::Prepare {
            intent: intent.clone(),
            approvals: Vec::new(),
            witnesses: Vec::new(),
            attempt,
            participants: participants.iter().map(|number| party(*number)).collect(),
            preprocessed: Preprocessed::Nothing,
            protocol: None,
        };
        self.ask(number, &request)
    }

    /// The code with which an agent refuses to prepare.
    pub fn refusal(
        &self,
        number: u16,
        intent: &SignedIntent,
        attempt: u32,
        participants: &[u16],
    ) -> String {
        code(self.prepare(number, intent, attempt, participants))
    }

    /// Everyone's nonce.
    pub fn nonces(
        &self,
        intent: &SignedIntent,
        attempt: u32,
        participants: &[u16],
    ) -> Vec<[u8; 32]> {
        let nonce = |number: &u16| match self.prepare(*number, intent, attempt, participants) {
            NodeReply::Prepared { nonce, .. } => nonce,
            other => panic!("party-{number}: {other:?}"),
        };
        participants.iter().map(nonce).collect()
    }

    /// Begins everywhere and waits for every agent's end.
    pub fn finish(&self, begin: &NodeRequest, participants: &[u16]) -> Vec<NodeReply> {
        for number in participants {
            self.send(*number, begin);
        }
        participants
            .iter()
            .map(|number| self.end_of(*number, begin))
            .collect()
    }

    /// Waits for the end of a run at one agent.
    pub fn end_of(&self, number: u16, begin: &NodeRequest) -> NodeReply {
        let NodeRequest::Begin {
            intent, attempt, ..
        } = begin
        else {
            panic!("{begin:?}");
        };
        let request = NodeRequest::Await {
            intent: *intent,
            attempt: *attempt,
            wait_ms: 500,
        };
        super::wait_for("the run ends", Duration::from_secs(300), || {
            match self.ask(number, &request) {
                NodeReply::Running => None,
                // The request to begin is still on its way.
                NodeReply::Refused(refusal) if refusal.code.as_str() == "not-prepared" => None,
                other => Some(other),
            }
        })
    }

    /// The session that these nonces lead to.
    pub fn session(
        &self,
        kind: CeremonyKind,
        intent: IntentHash,
        key: KeyId,
        participants: &[u16],
        nonces: &[[u8; 32]],
    ) -> SessionDescriptor {
        SessionDescriptor {
            kind,
            intent,
            policy: self.status(1).policy.unwrap(),
            key: Some(key),
            epoch: 0,
            participants: participants.iter().map(|number| party(*number)).collect(),
            attempt: 0,
            item: 0,
            nonces: nonces.to_vec(),
            protocol: None,
        }
    }
}

pub fn begin(intent: &SignedIntent, attempt: u32, nonces: &[[u8; 32]]) -> NodeRequest {
    NodeRequest::Begin {
        intent: intent.intent.hash(),
        attempt,
        nonces: nonces.to_vec(),
        wait_ms: 0,
    }
}

pub fn signed_by(key: &SigningKey, intent: Intent) -> SignedIntent {
    let signature = key.sign(&intent.signing_bytes()).to_bytes();
    SignedIntent { intent, signature }
}

/// The code of a refusal.
#[track_caller]
pub fn code(reply: NodeReply) -> String {
    match reply {
        NodeReply::Refused(refusal) => refusal.code.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

#[track_caller]
pub fn signatures(reply: NodeReply) -> Vec<Signature> {
    match reply {
        NodeReply::Finished(RunResult::Signatures(signatures)) => signatures,
        other => panic!("not signed: {other:?}"),
    }
}

/// Who an agent says was missing.
#[track_caller]
pub fn missing(reply: NodeReply) -> Vec<PartyId> {
    match reply {
        NodeReply::Failed(failure) if failure.code.as_str() == "party-missing" => failure.missing,
        other => panic!("not a time-out: {other:?}"),
    }
}

fn operator_key(cluster: &Cluster) -> SigningKey {
    let home = cluster.root().join("operator");
    let sealed: SealedBox =
        serde_json::from_slice(&read_private(&home.join("key.json"), 1 << 16).unwrap()).unwrap();
    let secret = passphrase::obtain(Some(&home.join("passphrase")), "NONE", "").unwrap();
    let bytes = sealed.open(&secret, "key of operator operator").unwrap();
    SigningKey::from_bytes(bytes.as_slice().try_into().unwrap())
}
