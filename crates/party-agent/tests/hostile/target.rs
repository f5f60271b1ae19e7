//! A cluster with people under a policy, and what stands between requests and its agents.

use std::collections::BTreeMap;
use std::sync::Mutex;

use ed25519_dalek::{Signer as _, SigningKey};
use quorate_messaging::PartyKeys;
use quorate_policy::{Shown, sighashes};
use quorate_service::now_ms;
use quorate_types::canonical::{Canonical as _, tagged_hash};
use quorate_types::node::{NodeReply, NodeRequest, NodeStatus};
use quorate_types::{
    Action, Admin, AdminSignature, Admins, Approval, Bundle, Curve, DerivationPath, FreezeOrder,
    Hash32, Intent, IntentHash, KeyRecord, Network, OperatorId, PartyId, Payload, PersonId,
    Preprocessed, Proof, SignedApproval, SignedBundle, SignedFreeze, SignedIntent, ValidBundle,
    Verdict,
};
use rand_core::{OsRng, RngCore as _};

use crate::expect::is_signed;
use crate::payload;
use crate::support::{Committee, Founders, party};
use crate::weakness::{Passed, Undo, none};

pub const HOUR: u64 = 60 * 60 * 1000;
/// Everything that is paid needs two of the treasury.
pub const TWO: &str = r#"
[[rule]]
id = "two"
type = "threshold"
group = "treasury"
approvals = 2
"#;

/// Whoever holds a name holds this key.
pub fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(tagged_hash("hostile/key", &[name.as_bytes()]).as_bytes())
}

pub fn person(name: &str) -> PersonId {
    PersonId::new(name).unwrap()
}

pub fn nonce() -> [u8; 16] {
    let mut nonce = [0; 16];
    OsRng.fill_bytes(&mut nonce);
    nonce
}

/// People, and the one asset there is. The operator `trader` is the person of that name; the operator `desk` has dora's key.
pub fn policy(rules: &str) -> String {
    let someone = |name: &str, groups: &str, keys: &[&str]| {
        let keys = keys
            .iter()
            .map(|k| hex::encode(key(k).verifying_key().to_bytes()));
        let keys: Vec<String> = keys.collect();
        format!("[people.{name}]\ngroups = {groups}\ned25519 = {keys:?}\n")
    };
    let people = [
        someone("ann", r#"["treasury"]"#, &["ann", "ann-2"]),
        someone("ben", r#"["treasury"]"#, &["ben"]),
        someone("cas", r#"["treasury"]"#, &["cas"]),
        someone("dora", r#"["treasury"]"#, &["dora", "desk"]),
        someone("trader", r#"["treasury"]"#, &["trader-phone"]),
        someone("lea", r#"["legal"]"#, &["lea"]),
        someone("gus", r#"["watch"]"#, &["gus"]) + "guardian = true\n",
    ];
    let asset = "[[asset]]\nid = \"SOL\"\nnetwork = \"solana\"\ndecimals = 9\n";
    // What belongs to no table comes first.
    let (top, tables) = rules.split_at(rules.find('[').unwrap_or(rules.len()));
    format!("{top}\n{}{asset}{tables}", people.concat())
}

fn founders(rules: &str) -> Founders {
    let with_keys = |names: &[&str]| names.iter().map(|n| ((*n).to_owned(), key(n))).collect();
    let member = |name: &str| Admin {
        id: person(name),
        key: key(name).verifying_key().to_bytes(),
    };
    Founders {
        policy: policy(rules),
        operators: with_keys(&["trader", "desk"]),
        admins: Admins {
            quorum: 2,
            members: ["root-1", "root-2", "root-3"].map(member).to_vec(),
        },
        signers: with_keys(&["root-1", "root-2"]),
    }
}

/// How custodians are asked to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Prepared, then begun.
    InSteps,
    /// In one round, with nonces that were committed to ahead.
    AtOnce,
}

impl Way {
    pub const BOTH: [Self; 2] = [Self::InSteps, Self::AtOnce];
}

/// The cluster that is attacked.
pub struct Target {
    way: Mutex<Way>,
    pub committee: Committee,
    pub key: KeyRecord,
    undo: Undo,
    /// Every version so far.
    versions: Mutex<Vec<ValidBundle>>,
    /// What a weakness remembers.
    pub heard: Mutex<Vec<SignedApproval>>,
    pub prepared: Mutex<BTreeMap<(usize, IntentHash), u8>>,
}

/// A request as an orchestrator passes it on.
#[derive(Clone)]
pub struct Ask {
    pub intent: SignedIntent,
    pub approvals: Vec<SignedApproval>,
    pub signers: Vec<usize>,
    pub witnesses: Vec<usize>,
    pub attempt: u32,
}

impl Ask {
    pub fn hash(&self) -> IntentHash {
        self.intent.intent.hash()
    }

    pub fn by(mut self, signers: &[usize]) -> Self {
        self.signers = signers.to_vec();
        self
    }

    pub fn approved(mut self, approvals: Vec<SignedApproval>) -> Self {
        self.approvals = approvals;
        self
    }

    fn everyone(&self) -> impl Iterator<Item = usize> {
        self.signers.iter().chain(&self.witnesses).copied()
    }
}

impl Target {
    /// 2 of 3, as they are.
    pub async fn honest(rules: &str) -> Self {
        Self::new(2, 3, rules, none).await
    }

    /// 2 of 3, without one of their checks.
    pub async fn weak(rules: &str, undo: Undo) -> Self {
        Self::new(2, 3, rules, undo).await
    }

    pub async fn new(t: u16, n: u16, rules: &str, undo: Undo) -> Self {
        let keys = (0..n).map(|_| PartyKeys::generate(&mut OsRng)).collect();
        let operator = key("operator");
        let committee =
            Committee::founded(founders(rules), operator, t, keys, usize::from(n)).await;
        let record = committee.active_key("k", Curve::Ed25519).await;
        let first = committee.genesis().follow(&committee.roster, None).unwrap();
        Self {
            way: Mutex::new(Way::InSteps),
            committee,
            key: record,
            undo,
            versions: Mutex::new(vec![first]),
            heard: Mutex::default(),
            prepared: Mutex::default(),
        }
    }

    /// From now on custodians are asked like this.
    pub fn over(&self, way: Way) -> &Self {
        *self.way.lock().unwrap() = way;
        self
    }

    /// What one agent says that is asked to sign.
    pub async fn asked(&self, number: usize, ask: &Ask) -> NodeReply {
        let way = *self.way.lock().unwrap();
        let request = match way {
            Way::InSteps => self.prepare(ask),
            Way::AtOnce => self.issue(ask).await,
        };
        self.say(number, request).await
    }

    async fn issue(&self, ask: &Ask) -> NodeRequest {
        let key = self.key.id;
        let mut list = Vec::new();
        for number in &ask.signers {
            let commit = NodeRequest::Commit { key, count: 1 };
            match self.committee.agents[number - 1].answer(commit).await {
                NodeReply::Commitments(commitments) => list.extend(commitments),
                other => panic!("no commitments: {other:?}"),
            }
        }
        NodeRequest::Issue {
            intent: ask.intent.clone(),
            approvals: ask.approvals.clone(),
            attempt: ask.attempt,
            participants: self.participants(&ask.signers),
            preprocessed: Preprocessed::Nonces(vec![list]),
        }
    }

    /// What one agent, or what stands before it, says.
    pub async fn say(&self, number: usize, request: NodeRequest) -> NodeReply {
        match (self.undo)(self, number, request) {
            Passed::Request(request) => self.committee.agents[number - 1].answer(*request).await,
            Passed::Reply(reply) => *reply,
        }
    }

    pub async fn status(&self, number: usize) -> NodeStatus {
        match self.committee.agents[number - 1]
            .answer(NodeRequest::Status)
            .await
        {
            NodeReply::Status(status) => status,
            other => panic!("no status: {other:?}"),
        }
    }

    /// An agent's process ends, and another begins on the same disk.
    pub async fn restart(&mut self, number: usize) {
        self.committee.restart(number).await;
    }

    pub fn participants(&self, numbers: &[usize]) -> Vec<PartyId> {
        numbers.iter().map(|number| party(*number)).collect()
    }
}

/// Requests.
impl Target {
    pub fn signing(&self, payload: Payload) -> Action {
        Action::Sign {
            key: self.key.id,
            path: DerivationPath::root(),
            network: (!matches!(payload, Payload::Raw(_))).then_some(Network::Solana),
            payload,
            purpose: String::new(),
        }
    }

    pub fn payment(&self, lamports: u64) -> Action {
        let message = payload::transfer(&self.key, lamports);
        self.signing(Payload::SolanaMessage(message))
    }

    /// An operator's, good for an hour.
    pub fn intent(&self, operator: &str, action: Action) -> Intent {
        let issued_at = now_ms();
        Intent {
            roster: self.committee.roster.hash(),
            operator: OperatorId::new(operator).unwrap(),
            nonce: nonce(),
            issued_at,
            expires_at: issued_at + HOUR,
            action,
        }
    }

    /// To the first custodians, without approvals.
    pub fn ask(&self, intent: Intent) -> Ask {
        let t = usize::from(self.committee.roster.threshold().t());
        Ask {
            intent: signed_by_operator(intent),
            approvals: Vec::new(),
            signers: (1..=t).collect(),
            witnesses: Vec::new(),
            attempt: 0,
        }
    }

    pub fn pay(&self, lamports: u64) -> Ask {
        self.ask(self.intent("operator", self.payment(lamports)))
    }

    /// The same, approved by two people whom nothing keeps from it.
    pub fn approved_payment(&self, lamports: u64) -> Ask {
        let ask = self.pay(lamports);
        let approvals = self.approvals(&["ann", "ben"], &ask);
        ask.approved(approvals)
    }

    pub fn prepare(&self, ask: &Ask) -> NodeRequest {
        NodeRequest::Prepare {
            intent: ask.intent.clone(),
            approvals: ask.approvals.clone(),
            witnesses: self.participants(&ask.witnesses),
            attempt: ask.attempt,
            participants: self.participants(&ask.signers),
            preprocessed: Preprocessed::Nothing,
            protocol: None,
        }
    }

    /// What everyone asked says to preparing it, in order.
    pub async fn prepare_at_all(&self, ask: &Ask) -> Vec<NodeReply> {
        let mut replies = Vec::new();
        for number in ask.everyone() {
            replies.push(self.say(number, self.prepare(ask)).await);
        }
        replies
    }

    /// Begins at one agent and waits for the end there.
    pub async fn begin(&self, number: usize, ask: &Ask, nonces: &[[u8; 32]]) -> NodeReply {
        let (intent, attempt, wait_ms) = (ask.hash(), ask.attempt, 5_000);
        let begin = NodeRequest::Begin {
            intent,
            attempt,
            nonces: nonces.to_vec(),
            wait_ms,
        };
        let mut reply = self.say(number, begin).await;
        while reply == NodeReply::Running {
            let again = NodeRequest::Await {
                intent,
                attempt,
                wait_ms,
            };
            reply = self.say(number, again).await;
        }
        reply
    }

    pub async fn begin_at_all(&self, ask: &Ask, nonces: &[[u8; 32]]) -> Vec<NodeReply> {
        let runs = ask.everyone().map(|number| self.begin(number, ask, nonces));
        futures::future::join_all(runs).await
    }

    /// A whole run; where somebody does not prepare it, what everyone said to that.
    pub async fn run(&self, ask: &Ask) -> Vec<NodeReply> {
        let replies = self.prepare_at_all(ask).await;
        match nonces(&replies) {
            Some(nonces) => self.begin_at_all(ask, &nonces).await,
            None => replies,
        }
    }

    /// Whether a run gave signatures.
    pub async fn signs(&self, ask: &Ask) -> bool {
        let replies = self.run(ask).await;
        replies[..ask.signers.len()].iter().all(is_signed)
    }

    /// An honest request is signed, whatever went before.
    pub async fn works(&self) {
        let replies = self.run(&self.approved_payment(10)).await;
        assert!(replies.iter().all(is_signed), "not signed: {replies:?}");
    }
}

/// Everyone's nonces, if everyone prepared it.
pub fn nonces(replies: &[NodeReply]) -> Option<Vec<[u8; 32]>> {
    let nonce = |reply: &NodeReply| match reply {
        NodeReply::Prepared { nonce, .. } => Some(*nonce),
        _ => None,
    };
    replies.iter().map(nonce).collect()
}

/// With the key of the operator that the intent names.
pub fn signed_by_operator(intent: Intent) -> SignedIntent {
    let operator = key(intent.operator.as_str());
    let signature = operator.sign(&intent.signing_bytes()).to_bytes();
    SignedIntent { intent, signature }
}

/// With a key of any name.
pub fn prove(with: &str, message: &[u8]) -> Proof {
    let with = key(with);
    Proof::Ed25519 {
        key: with.verifying_key().to_bytes(),
        signature: with.sign(message).to_bytes(),
    }
}

pub fn signed(with: &str, approval: Approval) -> SignedApproval {
    let proof = prove(with, &approval.signing_bytes());
    SignedApproval { approval, proof }
}

/// What people say.
impl Target {
    /// Whether a payload can be read.
    pub fn understands(&self, intent: &Intent) -> bool {
        match &intent.action {
            Action::Sign {
                network,
                payload,
                path,
                ..
            } => quorate_chain::analyse_for(payload, *network, &self.key, path).is_ok(),
            _ => true,
        }
    }

    /// What honest agents read in a request.
    fn reads(&self, intent: &Intent) -> (Vec<Hash32>, Hash32) {
        let Action::Sign {
            network,
            payload,
            path,
            ..
        } = &intent.action
        else {
            return (Vec::new(), Shown::other(intent, Some(&self.key)).hash());
        };
        let analysed = quorate_chain::analyse_for(payload, *network, &self.key, path);
        let (child, analysis) = analysed.unwrap();
        let shown =
            Shown::signing(intent, &self.key, &analysis, &self.policy().bundle().chains).hash();
        (sighashes(&child, &analysis.items), shown)
    }

    pub fn approval(&self, who: &str, intent: &Intent) -> Approval {
        let (sighashes, display) = self.reads(intent);
        let policy = self.policy();
        Approval {
            cluster: self.committee.roster.cluster_id(),
            intent: intent.hash(),
            sighashes,
            verdict: Verdict::Approve,
            policy: policy.hash(),
            policy_version: policy.bundle().version,
            display,
            person: person(who),
            nonce: nonce(),
            issued_at: now_ms(),
            expires_at: now_ms() + HOUR,
        }
    }

    pub fn approvals(&self, who: &[&str], ask: &Ask) -> Vec<SignedApproval> {
        let approval = |who: &&str| signed(who, self.approval(who, &ask.intent.intent));
        who.iter().map(approval).collect()
    }

    /// A person's other word on a request.
    pub fn word(&self, who: &str, verdict: Verdict, ask: &Ask) -> SignedApproval {
        let approval = self.approval(who, &ask.intent.intent);
        signed(
            who,
            Approval {
                verdict,
                ..approval
            },
        )
    }

    pub fn freeze(&self, who: &str) -> SignedFreeze {
        let order = FreezeOrder {
            cluster: self.committee.roster.cluster_id(),
            person: person(who),
            nonce: nonce(),
            issued_at: now_ms(),
            reason: "drill".to_owned(),
        };
        let proof = prove(who, &order.signing_bytes());
        SignedFreeze { order, proof }
    }
}

/// Versions of the policy.
impl Target {
    /// The version in force.
    pub fn policy(&self) -> ValidBundle {
        self.versions.lock().unwrap().last().unwrap().clone()
    }

    /// The next version, not signed yet.
    pub fn next(&self, rules: &str) -> Bundle {
        let before = self.policy();
        let text = policy(rules);
        quorate_testkit::policy::bundle(&self.committee.roster, Some(&before), &text, &[]).bundle
    }

    pub async fn publish_at(&self, number: usize, bundle: SignedBundle) -> NodeReply {
        self.say(number, NodeRequest::Publish(Box::new(bundle)))
            .await
    }

    /// Brings the next version into force everywhere.
    pub async fn publish(&self, bundle: Bundle) {
        let signed = admins_signed(bundle, &["root-1", "root-3"]);
        for number in 1..=self.committee.agents.len() {
            let reply = self.publish_at(number, signed.clone()).await;
            assert_eq!(reply, NodeReply::Bundle(None), "party-{number}");
        }
        let valid = signed.follow(&self.committee.roster, Some(&self.policy()));
        self.versions.lock().unwrap().push(valid.unwrap());
    }
}

pub fn admins_signed(bundle: Bundle, names: &[&str]) -> SignedBundle {
    let message = bundle.signing_bytes();
    let sign = |name: &&str| AdminSignature {
        admin: person(name),
        signature: key(name).sign(&message).to_bytes(),
    };
    SignedBundle {
        signatures: names.iter().map(sign).collect(),
        bundle,
    }
}
