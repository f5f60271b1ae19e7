//! Custodians that lie about their policy, or pass junk on.

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use quorate_messaging::{InProcessHub, PartyKeys, Permissions, Subject, Transport as _};
use quorate_service::now_ms;
use quorate_testkit::policy::{PERMISSIVE, bundle};
use quorate_types::canonical::Canonical as _;
use quorate_types::node::Refusal;
use quorate_types::{
    Action, Admins, Approval, Dialect, Hash32, Intent, OperatorEntry, OperatorId, PartyEntry,
    PersonId, Proof, RefusalCode, Roster, SignedIntent, Threshold, Verdict,
};
use rand_core::OsRng;
use tokio::time::Instant as Clock;

use super::super::Coordinator;
use super::*;

/// Three custodians and their admin's policies.
struct World {
    hub: InProcessHub,
    nodes: Nodes,
    roster: Arc<ValidRoster>,
    admin: SigningKey,
    ann: SigningKey,
    chain: Vec<ValidBundle>,
    policies: Arc<Policies>,
    /// Requests that custodians got, besides those for their status.
    asked: Arc<Mutex<Vec<(PartyId, NodeRequest)>>>,
}

fn party(number: usize) -> PartyId {
    PartyId::new(&format!("party-{number}")).unwrap()
}

impl World {
    fn new(versions: usize) -> Self {
        let admin = SigningKey::generate(&mut OsRng);
        let entry = |number| {
            let keys = PartyKeys::generate(&mut OsRng);
            PartyEntry {
                id: party(number),
                identity: keys.identity(),
                channel: keys.channel(),
            }
        };
        let roster = Roster {
            cluster: "test".to_owned(),
            threshold: Threshold::new(2, 3).unwrap(),
            parties: (1..=3).map(entry).collect(),
            operators: vec![OperatorEntry {
                id: OperatorId::new("operator").unwrap(),
                key: admin.verifying_key().to_bytes(),
            }],
            admins: Admins::single(
                PersonId::new("admin").unwrap(),
                admin.verifying_key().to_bytes(),
            ),
        };
        let roster = Arc::new(ValidRoster::try_from(roster).unwrap());
        let hub = InProcessHub::new();
        let transport = hub.connect("orchestrator", Permissions::orchestrator("orchestrator"));
        let mut world = Self {
            hub,
            nodes: Nodes::new(transport),
            policies: Arc::new(Policies::new(Arc::clone(&roster))),
            roster,
            admin,
            ann: SigningKey::generate(&mut OsRng),
            chain: Vec::new(),
            asked: Arc::default(),
        };
        for _ in 0..versions {
            let next = world.next();
            let next = next.follow(&world.roster, world.chain.last()).unwrap();
            world.chain.push(next);
        }
        world
    }

    /// The version after the last.
    fn next(&self) -> SignedBundle {
        let ann = hex::encode(self.ann.verifying_key().to_bytes());
        let text = format!("[people.ann]\ned25519 = [{ann:?}]\n{PERMISSIVE}");
        let signers = [("admin", &self.admin)];
        bundle(&self.roster, self.chain.last(), &text, &signers)
    }

    /// How a custodian with a version of the chain says it is; with one that nobody has, what it
    /// claims.
    fn status(&self, number: usize, version: u64) -> NodeStatus {
        let of = |b: &&ValidBundle| b.bundle().version == version;
        let hash = self.chain.iter().find(of).map(ValidBundle::hash);
        NodeStatus {
            party: party(number),
            version: String::new(),
            dialect: Dialect::current(),
            roster: self.roster.hash(),
            primes: 0,
            primes_needed: 0,
            committee: None,
            keys: 0,
            running: 0,
            standing: Standing::Serving { not_before: 0 },
            policy_version: version,
            policy: hash.or((version > 0).then(|| Hash32::from_bytes([7; 32]))),
            frozen: Vec::new(),
            pools: Vec::new(),
            strangers: Vec::new(),
            bans: Vec::new(),
        }
    }

    /// A custodian that answers so; where there is no answer it stays silent.
    async fn custodian(
        &self,
        number: usize,
        answer: impl Fn(&NodeRequest) -> Option<NodeReply> + Send + 'static,
    ) {
        let id = party(number);
        let transport = self.hub.connect(id.as_str(), Permissions::party(&id));
        let subject = Subject::Node(id.clone()).to_string();
        let mut requests = transport.subscribe(subject).await.unwrap();
        let asked = Arc::clone(&self.asked);
        tokio::spawn(async move {
            while let Some(delivery) = requests.next().await {
                let read = Dialect::current().read(&delivery.payload, NodeRequest::MAX_LEN);
                let (_, request) = read.unwrap();
                let reply = answer(&request);
                asked.lock().unwrap().push((id.clone(), request));
                if let Some(reply) = reply {
                    let bytes = Bytes::from(Dialect::current().frame(&reply));
                    let reply_to = delivery.reply.unwrap();
                    transport.publish(reply_to, bytes).await.unwrap();
                }
            }
        });
    }

    /// One that hands out the chain, takes what it is given and accepts no word but ann's.
    async fn honest(&self, number: usize, version: u64) {
        let chain: Vec<SignedBundle> = self.chain.iter().map(|b| b.signed().clone()).collect();
        let status = self.status(number, version);
        self.custodian(number, move |request| match request {
            NodeRequest::Status => Some(NodeReply::Status(status.clone())),
            NodeRequest::Policy { version } => {
                let found = chain.iter().find(|b| b.bundle.version == *version);
                Some(NodeReply::Bundle(found.cloned().map(Box::new)))
            }
            NodeRequest::Publish(_) => Some(NodeReply::Bundle(None)),
            NodeRequest::Say(said) if said.approval.person.as_str() == "ann" => {
                Some(NodeReply::Noted)
            }
            NodeRequest::Propose { .. } | NodeRequest::Prepare { .. } => {
                let waits = Refusal::new(RefusalCode::PolicyPending, "waits".to_owned());
                Some(NodeReply::Refused(waits))
            }
            _ => {
                let refusal = Refusal::new(RefusalCode::ApprovalRefused, "no".to_owned());
                Some(NodeReply::Refused(refusal))
            }
        })
        .await;
    }

    fn published(&self, number: usize) -> Vec<u64> {
        let asked = self.asked.lock().unwrap();
        let to = asked.iter().filter(|(id, _)| *id == party(number));
        to.filter_map(|(_, request)| match request {
            NodeRequest::Publish(bundle) => Some(bundle.bundle.version),
            _ => None,
        })
        .collect()
    }
}

/// Virtual time: what is waited for is all that passes.
#[tokio::test(start_paused = true)]
async fn t30_t36_a_version_that_one_custodian_only_claims_costs_a_moment_and_only_once() {
    let world = World::new(1);
    world.honest(1, 1).await;
    world.honest(2, 1).await;
    world.custodian(3, |_| None).await;
    let statuses = vec![
        world.status(1, 1),
        world.status(2, 1),
        world.status(3, 1_000),
    ];
    for most in [ASK, Duration::ZERO] {
        let before = Clock::now();
        world.policies.heal(&world.nodes, &statuses, 2).await;
        assert!(before.elapsed() <= most, "{:?}", before.elapsed());
    }
    let version = world.policies.common(&statuses, 2);
    assert_eq!(version, Some(1));
    let under = world.policies.under(statuses, version);
    assert_eq!(under, [party(1), party(2)], "the liar is left out");
    for number in 1..=3 {
        assert!(world.published(number).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn t36_a_policy_that_the_admins_did_not_sign_is_carried_to_nobody() {
    let world = World::new(1);
    world.honest(1, 1).await;
    world.honest(2, 1).await;
    let mut forged = world.next();
    forged.signatures.clear();
    world
        .custodian(3, move |_| {
            Some(NodeReply::Bundle(Some(Box::new(forged.clone()))))
        })
        .await;
    let statuses = vec![world.status(1, 1), world.status(2, 1), world.status(3, 2)];
    world.policies.heal(&world.nodes, &statuses, 3).await;
    assert_eq!(world.policies.version(), 1);
    assert!(world.published(1).is_empty() && world.published(2).is_empty());
    // Not by its number either: one of the chain's that is another one there.
    let mut twin = world.status(3, 1);
    twin.policy = Some(Hash32::from_bytes([9; 32]));
    let statuses = vec![world.status(1, 1), twin];
    let version = world.policies.common(&statuses, 1);
    assert_eq!(world.policies.under(statuses, version), [party(1)]);
}

#[tokio::test(start_paused = true)]
async fn t30_t36_who_is_behind_is_brought_up_by_an_honest_one_although_others_lie_or_stall() {
    let world = World::new(3);
    world.honest(1, 3).await;
    world.honest(2, 1).await;
    world.custodian(3, |_| None).await;
    let statuses = vec![
        world.status(1, 3),
        world.status(2, 1),
        world.status(3, 1_000),
    ];
    let before = Clock::now();
    assert!(world.policies.heal(&world.nodes, &statuses, 2).await);
    assert!(before.elapsed() <= ASK, "{:?}", before.elapsed());
    assert_eq!(world.published(2), [2, 3]);
    // Where enough have it, nobody waits for one that does not take it.
    let stalls = vec![world.status(1, 3), world.status(2, 3), world.status(3, 1)];
    let before = Clock::now();
    assert!(!world.policies.heal(&world.nodes, &stalls, 2).await);
    assert_eq!(before.elapsed(), Duration::ZERO);
}

impl World {
    fn intent(&self) -> SignedIntent {
        let issued_at = now_ms();
        let intent = Intent {
            roster: self.roster.hash(),
            operator: OperatorId::new("operator").unwrap(),
            nonce: [1; 16],
            issued_at,
            expires_at: issued_at + 60_000,
            action: Action::SetUpCommittee,
        };
        let signature = self.admin.sign(&intent.signing_bytes()).to_bytes();
        SignedIntent { intent, signature }
    }

    /// What somebody who has ann's key, or another one, says in a person's name.
    fn word(&self, intent: &SignedIntent, person: &str, key: &SigningKey) -> SignedApproval {
        let now = now_ms();
        let approval = Approval {
            cluster: self.roster.cluster_id(),
            intent: intent.intent.hash(),
            sighashes: Vec::new(),
            verdict: Verdict::Approve,
            policy: self.chain[0].hash(),
            policy_version: 1,
            display: Hash32::from_bytes([0; 32]),
            person: PersonId::new(person).unwrap(),
            nonce: [1; 16],
            issued_at: now,
            expires_at: now + 60_000,
        };
        let proof = Proof::Ed25519 {
            key: key.verifying_key().to_bytes(),
            signature: key.sign(&approval.signing_bytes()).to_bytes(),
        };
        SignedApproval { approval, proof }
    }
}

/// One custodian takes whatever it is given: a request's places are not for that.
#[tokio::test]
async fn t36_junk_that_one_custodian_accepts_takes_no_place_from_real_approvals() {
    let world = World::new(1);
    world.honest(1, 1).await;
    world.honest(2, 1).await;
    let status = world.status(3, 1);
    world
        .custodian(3, move |request| match request {
            NodeRequest::Status => Some(NodeReply::Status(status.clone())),
            _ => Some(NodeReply::Noted),
        })
        .await;
    let transport = world
        .hub
        .connect("orchestrator", Permissions::orchestrator("orchestrator"));
    let coordinator = Coordinator::new(Arc::clone(&world.roster), transport);
    let intent = world.intent();
    coordinator.submit(intent.clone()).unwrap();
    let stranger = SigningKey::generate(&mut OsRng);
    for number in 0..SignedApproval::MAX_COUNT {
        let word = world.word(&intent, &format!("nobody-{number}"), &stranger);
        let problem = coordinator.say(word).await.unwrap_err();
        assert_eq!(problem.code, RefusalCode::ApprovalRefused);
    }
    // Nor in ann's name.
    let word = world.word(&intent, "ann", &stranger);
    coordinator.say(word).await.unwrap_err();
    let said = coordinator
        .say(world.word(&intent, "ann", &world.ann))
        .await;
    assert_eq!(said.unwrap().said.len(), 1);
}
