//! Real agents over the in-process hub, driven without an orchestrator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use futures::StreamExt as _;
use quorate_messaging::{
    InProcessHub, Messenger, MessengerOptions, PartyKeys, Permissions, Session, SessionSpec,
    Subscription, Transport, TransportError,
};
use quorate_party_agent::agent::Parts;
use quorate_party_agent::{Agent, PresignConfig, Timeouts};
use quorate_service::now_ms;
use quorate_storage::{EncryptedFileStore, ItemKind, ItemName, Ledger, Passphrase};
use quorate_testkit::primes;
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{CommitteeRecord, NodeReply, NodeRequest, Record, RunResult, Standing};
use quorate_types::{
    Action, Admins, Attestation, CeremonyKind, Curve, DerivationPath, Dialect, Hash32, Intent,
    KeyDiscard, KeyId, KeyName, KeyRecord, OperatorEntry, OperatorId, PartyEntry, PartyId, Payload,
    PersonId, Preprocessed, Roster, SessionId, SignedBundle, SignedDiscard, SignedIntent,
    SignedPartials, Threshold, ValidBundle, ValidRoster,
};
use rand_core::OsRng;
use tempfile::TempDir;
use tokio::sync::watch;
use zeroize::Zeroizing;

/// A committee of which some parties are real agents.
pub struct Committee {
    pub roster: Arc<ValidRoster>,
    pub agents: Vec<Arc<Agent>>,
    pub hub: InProcessHub,
    pub keys: Vec<Arc<PartyKeys>>,
    pub operator: SigningKey,
    /// What each agent has on its disk; an agent built anew finds it there.
    pub homes: Vec<Home>,
    /// How agents that are built from now on keep presignatures.
    pub presign: PresignConfig,
    /// How long agents that are built from now on wait for each other in a committee setup's round.
    pub setup_seconds: u32,
    /// The dialects of agents that are built from now on; the current one for those not named.
    pub dialects: BTreeMap<usize, Dialect>,
    founders: Founders,
    dir: TempDir,
}

/// An agent's disk.
#[derive(Clone)]
pub struct Home {
    pub store: Arc<EncryptedFileStore>,
    pub ledger: Arc<Ledger>,
}

/// What a roster has besides its parties, and the first policy.
pub struct Founders {
    pub policy: String,
    /// Besides `operator`.
    pub operators: Vec<(String, SigningKey)>,
    pub admins: Admins,
    /// Those admins who sign the first policy.
    pub signers: Vec<(String, SigningKey)>,
}

impl Founders {
    fn all_operators(&self, operator: &SigningKey) -> Vec<OperatorEntry> {
        let more = self.operators.iter().map(|(id, key)| (id.as_str(), key));
        let all = std::iter::once(("operator", operator)).chain(more);
        let entry = |(id, key): (&str, &SigningKey)| OperatorEntry {
            id: OperatorId::new(id).unwrap(),
            key: key.verifying_key().to_bytes(),
        };
        all.map(entry).collect()
    }
}

/// One face of a party with two: it hears one peer alone. Subjects end with the sender.
struct HearsOnly {
    transport: Arc<dyn Transport>,
    from: String,
}

#[async_trait]
impl Transport for HearsOnly {
    async fn publish(&self, subject: String, payload: Bytes) -> Result<(), TransportError> {
        self.transport.publish(subject, payload).await
    }

    async fn subscribe(&self, subject: String) -> Result<Subscription, TransportError> {
        let all = self.transport.subscribe(subject).await?;
        let from = self.from.clone();
        Ok(Subscription::new(all.filter(move |delivery| {
            std::future::ready(delivery.subject.ends_with(&from))
        })))
    }

    async fn request(
        &self,
        subject: String,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, TransportError> {
        self.transport.request(subject, payload, timeout).await
    }
}

/// `party-<number>`, from 1.
pub fn party(number: usize) -> PartyId {
    PartyId::new(&format!("party-{number}")).unwrap()
}

impl Committee {
    /// `t` of `n`, with the first `real` parties as agents.
    pub async fn new(t: u16, n: u16, real: usize) -> Self {
        let keys = (0..n).map(|_| PartyKeys::generate(&mut OsRng)).collect();
        Self::with_keys(t, keys, real).await
    }

    /// `t` of as many as there are keys.
    pub async fn with_keys(t: u16, keys: Vec<PartyKeys>, real: usize) -> Self {
        Self::under(quorate_testkit::policy::PERMISSIVE, t, keys, real).await
    }

    /// The same under a policy of one's own.
    pub async fn under(policy: &str, t: u16, keys: Vec<PartyKeys>, real: usize) -> Self {
        let operator = SigningKey::generate(&mut OsRng);
        let founders = Founders {
            policy: policy.to_owned(),
            operators: Vec::new(),
            admins: Admins::single(
                PersonId::new("admin").unwrap(),
                operator.verifying_key().to_bytes(),
            ),
            signers: vec![("admin".to_owned(), operator.clone())],
        };
        Self::founded(founders, operator, t, keys, real).await
    }

    /// The same with more operators and other admins.
    pub async fn founded(
        founders: Founders,
        operator: SigningKey,
        t: u16,
        keys: Vec<PartyKeys>,
        real: usize,
    ) -> Self {
        let n = u16::try_from(keys.len()).unwrap();
        let keys: Vec<_> = keys.into_iter().map(Arc::new).collect();
        let parties = (1..).zip(&keys).map(|(number, keys)| PartyEntry {
            id: party(number),
            identity: keys.identity(),
            channel: keys.channel(),
        });
        let roster = Roster {
            cluster: "test".to_owned(),
            threshold: Threshold::new(t, n).unwrap(),
            parties: parties.collect(),
            operators: founders.all_operators(&operator),
            admins: founders.admins.clone(),
        };
        let mut committee = Self {
            roster: Arc::new(roster.try_into().unwrap()),
            agents: Vec::new(),
            hub: InProcessHub::new(),
            keys,
            operator,
            homes: Vec::new(),
            presign: PresignConfig::default(),
            setup_seconds: 20,
            dialects: BTreeMap::new(),
            founders,
            dir: tempfile::tempdir().unwrap(),
        };
        for number in 1..=real {
            let agent = committee.agent(number).await;
            committee.agents.push(agent);
        }
        committee
    }

    /// A messenger of one party, under that party's own permissions.
    pub async fn messenger(&self, number: usize) -> Arc<Messenger> {
        let id = party(number);
        let transport = self.hub.connect(id.as_str(), Permissions::party(&id));
        self.messenger_over(transport, number).await
    }

    pub async fn messenger_over(
        &self,
        transport: Arc<dyn Transport>,
        number: usize,
    ) -> Arc<Messenger> {
        let id = party(number);
        let keys = Arc::clone(&self.keys[number - 1]);
        Messenger::start(
            keys,
            id,
            Arc::clone(&self.roster),
            transport,
            MessengerOptions::default(),
        )
        .await
        .unwrap()
    }

    /// Two ends of a DKG session for the third party, each with one of the others.
    pub async fn two_ends(&self, session: SessionId) -> [Session; 2] {
        let mut ends = Vec::new();
        for other in [1, 2] {
            let own = party(3);
            let hears = HearsOnly {
                transport: self.hub.connect(own.as_str(), Permissions::party(&own)),
                from: format!(".{}", party(other)),
            };
            let messenger = self.messenger_over(Arc::new(hears), 3).await;
            let participants = vec![party(3), party(other)];
            let spec = SessionSpec {
                id: session,
                kind: CeremonyKind::Keygen,
                participants,
            };
            ends.push(messenger.open_session(spec).unwrap());
            // Dropping a messenger ends its sessions.
            std::mem::forget(messenger);
        }
        ends.try_into().unwrap()
    }

    /// The third party's end of a DKG session with both others.
    pub async fn end(&self, session: SessionId) -> Session {
        let messenger = self.messenger(3).await;
        let participants = self.everyone();
        let spec = SessionSpec {
            id: session,
            kind: CeremonyKind::Keygen,
            participants,
        };
        let end = messenger.open_session(spec).unwrap();
        // Dropping a messenger ends its sessions.
        std::mem::forget(messenger);
        end
    }

    fn home(&self, number: usize) -> Home {
        let path = self.dir.path().join(format!("{number}"));
        let passphrase = Passphrase::new(Zeroizing::new("test".to_owned()));
        let store = EncryptedFileStore::create(&path, &party(number), &passphrase).unwrap();
        let ledger = Ledger::open(&path.join("ledger.redb")).unwrap();
        Home {
            store: Arc::new(store),
            ledger: Arc::new(ledger),
        }
    }

    async fn agent(&mut self, number: usize) -> Arc<Agent> {
        let home = self.home(number);
        self.homes.push(home.clone());
        let messenger = self.messenger(number).await;
        self.agent_over(number, home, messenger)
    }

    /// An agent over what is on a disk.
    pub fn agent_over(&self, number: usize, home: Home, messenger: Arc<Messenger>) -> Arc<Agent> {
        let Home { store, ledger } = home;
        Agent::new(Parts {
            party: party(number),
            roster: Arc::clone(&self.roster),
            shares: Arc::new(Arc::clone(&store)),
            store,
            ledger,
            keys: Arc::clone(&self.keys[number - 1]),
            messenger,
            timeouts: Timeouts {
                keygen: 8,
                aux: self.setup_seconds,
                sign: 20,
                presign: 60,
                spend: 10,
            },
            policy: Some(self.genesis()),
            presign: self.presign.clone(),
            dialect: self
                .dialects
                .get(&number)
                .cloned()
                .unwrap_or_else(Dialect::current),
            // No peer is asked: nothing here was ever restored.
            standing: watch::channel(Standing::Serving { not_before: 0 }).1,
        })
        .unwrap()
    }

    /// Ends an agent's process and starts another over the same disk.
    pub async fn restart(&mut self, number: usize) {
        let home = self.homes[number - 1].clone();
        self.restart_from(number, home).await;
    }

    /// Ends an agent's process and starts another over this disk.
    pub async fn restart_from(&mut self, number: usize, home: Home) {
        drop(self.agents.remove(number - 1));
        self.homes[number - 1] = home.clone();
        let messenger = self.messenger(number).await;
        let agent = self.agent_over(number, home, messenger);
        self.agents.insert(number - 1, agent);
    }

    /// What an agent has on its disk now, once more.
    pub fn copy_of_disk(&self, number: usize) -> Home {
        let path = self.dir.path().join(format!("{number}"));
        let copy = self.dir.path().join(format!("{number}-copy"));
        let copied = std::process::Command::new("cp")
            .args(["-a", "--"])
            .args([&path, &copy])
            .status()
            .unwrap();
        assert!(copied.success());
        let passphrase = Passphrase::new(Zeroizing::new("test".to_owned()));
        let store = EncryptedFileStore::open(&copy, &party(number), &passphrase).unwrap();
        let ledger = Ledger::open(&copy.join("ledger.redb")).unwrap();
        Home {
            store: Arc::new(store),
            ledger: Arc::new(ledger),
        }
    }

    /// Gives a committee of three or five the auxiliary information that ECDSA needs, as a setup
    /// would, and restarts its agents.
    pub async fn set_up(&mut self) {
        let session = SessionId::from_bytes([9; 32]);
        let made = primes::full_aux(self.keys.len());
        let digest = primes::full_aux_digest(self.keys.len());
        let record = CommitteeRecord {
            session,
            committee: self.everyone(),
            digest,
        };
        let attest = |(number, keys): (usize, &Arc<PartyKeys>)| Attestation {
            party: party(number),
            signature: keys.sign(&record.signing_bytes()).unwrap(),
        };
        let attestations: Vec<Attestation> = (1..).zip(&self.keys).map(attest).collect();
        let stored = (Record::Committee(record.clone()), attestations, true);
        let stored = borsh::to_vec(&stored).unwrap();
        for number in 1..=self.agents.len() {
            let Home { store, ledger } = &self.homes[number - 1];
            let name = ItemName {
                kind: ItemKind::Aux,
                id: Hash32::from_bytes(*session.as_bytes()),
                epoch: 0,
            };
            store.put(name, made[number - 1].as_secret_bytes()).unwrap();
            ledger.put_record("committee", &stored).unwrap();
            self.restart(number).await;
        }
    }

    /// An intent signed by the operator, good for a minute.
    pub fn intent(&self, action: Action) -> SignedIntent {
        let issued_at = now_ms();
        self.signed(Intent {
            roster: self.roster.hash(),
            operator: OperatorId::new("operator").unwrap(),
            nonce: rand_nonce(),
            issued_at,
            expires_at: issued_at + 60_000,
            action,
        })
    }

    pub fn signed(&self, intent: Intent) -> SignedIntent {
        let signature = self.operator.sign(&intent.signing_bytes()).to_bytes();
        SignedIntent { intent, signature }
    }

    pub async fn ask(&self, number: usize, request: NodeRequest) -> NodeReply {
        self.agents[number - 1].answer(request).await
    }

    /// The partial signatures of an agent that finishes at once.
    pub async fn partials(&self, number: usize, request: NodeRequest) -> SignedPartials {
        match self.ask(number, request).await {
            NodeReply::Finished(RunResult::Partials(said)) => *said,
            other => panic!("party-{number}: {other:?}"),
        }
    }

    /// An intent to sign with a root key, on no network.
    pub fn sign(&self, key: &KeyRecord, payload: Payload) -> SignedIntent {
        self.intent(Action::Sign {
            key: key.id,
            path: DerivationPath::root(),
            network: None,
            payload,
            purpose: String::new(),
        })
    }

    /// The same for bytes of no chain's format.
    pub fn raw(&self, key: &KeyRecord, message: &[u8]) -> SignedIntent {
        self.sign(key, Payload::Raw(message.to_vec()))
    }

    pub fn create_key(&self, name: &str, curve: Curve) -> SignedIntent {
        self.intent(Action::CreateKey {
            name: KeyName::new(name).unwrap(),
            curve,
            scheme: curve.default_scheme(),
            raw_signing: true,
        })
    }

    /// The hash of the first policy.
    pub fn policy_hash(&self) -> Hash32 {
        self.genesis().bundle.canonical_hash()
    }

    pub fn genesis(&self) -> SignedBundle {
        let signers = self.founders.signers.iter();
        let signers: Vec<_> = signers.map(|(id, key)| (id.as_str(), key)).collect();
        quorate_testkit::policy::bundle(&self.roster, None, &self.founders.policy, &signers)
    }

    /// Brings the version after `previous`, or after the first, into force at all agents.
    pub async fn publish(&self, previous: Option<ValidBundle>, text: &str) -> ValidBundle {
        let first = || self.genesis().follow(&self.roster, None).unwrap();
        let previous = previous.unwrap_or_else(first);
        let signers = self.founders.signers.iter();
        let signers: Vec<_> = signers.map(|(id, key)| (id.as_str(), key)).collect();
        let next = quorate_testkit::policy::bundle(&self.roster, Some(&previous), text, &signers);
        for agent in &self.agents {
            let request = NodeRequest::Publish(Box::new(next.clone()));
            assert_eq!(agent.answer(request).await, NodeReply::Bundle(None));
        }
        next.follow(&self.roster, Some(&previous)).unwrap()
    }

    /// Every party of the roster.
    pub fn everyone(&self) -> Vec<PartyId> {
        self.roster.party_ids()
    }

    /// Prepares at the given agents and returns their nonces.
    pub async fn prepare(
        &self,
        intent: &SignedIntent,
        participants: &[PartyId],
        agents: &[usize],
    ) -> Vec<[u8; 32]> {
        let mut nonces = Vec::new();
        for number in agents {
            let reply = self.agents[number - 1]
                .answer(prepare(intent, 0, participants))
                .await;
            match reply {
                NodeReply::Prepared { nonce, .. } => nonces.push(nonce),
                other => panic!("party-{number} does not prepare: {other:?}"),
            }
        }
        nonces
    }

    /// Begins at the given agents at once and waits for all their ends.
    pub async fn begin(
        &self,
        intent: &SignedIntent,
        nonces: &[[u8; 32]],
        agents: &[usize],
    ) -> Vec<NodeReply> {
        let runs = agents.iter().map(|number| {
            let agent = Arc::clone(&self.agents[number - 1]);
            let request = begin(intent, 0, nonces);
            let intent = intent.intent.hash();
            async move {
                let mut reply = agent.answer(request).await;
                while reply == NodeReply::Running {
                    reply = agent
                        .answer(NodeRequest::Await {
                            intent,
                            attempt: 0,
                            wait_ms: 5_000,
                        })
                        .await;
                }
                reply
            }
        });
        futures::future::join_all(runs).await
    }

    /// A whole run by the given agents.
    pub async fn run(
        &self,
        intent: &SignedIntent,
        participants: &[PartyId],
        agents: &[usize],
    ) -> Vec<NodeReply> {
        let nonces = self.prepare(intent, participants, agents).await;
        self.begin(intent, &nonces, agents).await
    }

    /// The operator's wish that a key is listed no more.
    pub fn discard(&self, key: KeyId) -> SignedDiscard {
        let discard = KeyDiscard {
            cluster: self.roster.cluster_id(),
            operator: OperatorId::new("operator").unwrap(),
            key,
        };
        let signature = self.operator.sign(&discard.signing_bytes()).to_bytes();
        SignedDiscard { discard, signature }
    }

    /// What all agents attest when they run an intent, not activated yet.
    pub async fn agree(&self, intent: &SignedIntent) -> (Record, Vec<Attestation>) {
        let agents: Vec<usize> = (1..=self.agents.len()).collect();
        let mut made = Vec::new();
        for reply in self.run(intent, &self.everyone(), &agents).await {
            match reply {
                NodeReply::Finished(RunResult::Attested {
                    record,
                    attestation,
                }) => made.push((record, attestation)),
                other => panic!("nothing attested: {other:?}"),
            }
        }
        let record = made[0].0.clone();
        let attestations: Vec<_> = made
            .into_iter()
            .map(|(_, attestation)| attestation)
            .collect();
        (record, attestations)
    }

    /// A key made by all agents and activated at all.
    pub async fn active_key(&self, name: &str, curve: Curve) -> KeyRecord {
        let (record, attestations) = self.agree(&self.create_key(name, curve)).await;
        for agent in &self.agents {
            let request = NodeRequest::Activate {
                record: record.clone(),
                attestations: attestations.clone(),
            };
            assert_eq!(agent.answer(request).await, NodeReply::Active);
        }
        match record {
            Record::Key(record) => record,
            other => panic!("not a key: {other:?}"),
        }
    }
}

fn rand_nonce() -> [u8; 16] {
    use rand_core::RngCore as _;
    let mut nonce = [0; 16];
    OsRng.fill_bytes(&mut nonce);
    nonce
}

pub fn prepare(intent: &SignedIntent, attempt: u32, participants: &[PartyId]) -> NodeRequest {
    NodeRequest::Prepare {
        intent: intent.clone(),
        approvals: Vec::new(),
        witnesses: Vec::new(),
        attempt,
        participants: participants.to_vec(),
        preprocessed: Preprocessed::Nothing,
        protocol: None,
    }
}

pub fn begin(intent: &SignedIntent, attempt: u32, nonces: &[[u8; 32]]) -> NodeRequest {
    NodeRequest::Begin {
        intent: intent.intent.hash(),
        attempt,
        nonces: nonces.to_vec(),
        wait_ms: 5_000,
    }
}

/// It refused with this code; what it said.
#[track_caller]
pub fn refused(reply: &NodeReply, code: &str) -> String {
    match reply {
        NodeReply::Refused(refusal) => {
            assert_eq!(refusal.code.as_str(), code, "{refusal}");
            refusal.reason.clone()
        }
        other => panic!("not refused: {other:?}"),
    }
}
