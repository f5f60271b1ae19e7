//! A cluster with people, and requests to judge.

use ed25519_dalek::{Signer as _, SigningKey};
use quorate_chain::{AssetRef, Call, Danger, Effects, Movement, MovementKind, Reading, U256};
use quorate_policy::{
    Act, Book, Decision, Engine, Evidence, Header, History, KeyFacts, Request, Tally, compile,
};
use quorate_types::canonical::{Canonical as _, tagged_hash};
use quorate_types::{
    AdminSignature, Admins, Approval, Bundle, ChainRules, Curve, Hash32, IntentHash, KeyId,
    KeyName, Network, OperatorEntry, OperatorId, PartyEntry, PartyId, Payload, PersonId, Proof,
    Roster, Scheme, SignedApproval, SignedBundle, Threshold, ValidBundle, ValidRoster, Verdict,
};

pub const ETHEREUM: Network = Network::Evm { chain_id: 1 };
pub const NOW: u64 = 1_900_000_000_000;
pub const MINUTE: u64 = 60_000;
pub const HOUR: u64 = 60 * MINUTE;
pub const ALICE: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
pub const BOB: &str = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
pub const USDC: &str = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48";

pub fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(tagged_hash("test key", &[name.as_bytes()]).as_bytes())
}

pub fn public(name: &str) -> String {
    hex::encode(key(name).verifying_key().to_bytes())
}

pub fn person(name: &str) -> PersonId {
    PersonId::new(name).unwrap()
}

pub fn roster(t: u16, n: u16) -> ValidRoster {
    let parties = (1..=n).map(|number| {
        let name = format!("party-{number}");
        PartyEntry {
            identity: key(&name).verifying_key().to_bytes(),
            channel: *tagged_hash("channel", &[name.as_bytes()]).as_bytes(),
            id: PartyId::new(&name).unwrap(),
        }
    });
    let operators = ["operator", "trader", "bot"].map(|name| OperatorEntry {
        id: OperatorId::new(name).unwrap(),
        key: key(name).verifying_key().to_bytes(),
    });
    Roster {
        cluster: "test".to_owned(),
        threshold: Threshold::new(t, n).unwrap(),
        parties: parties.collect(),
        operators: operators.to_vec(),
        admins: admins(2, &["root-1", "root-2", "root-3"]),
    }
    .try_into()
    .unwrap()
}

pub fn admins(quorum: u16, names: &[&str]) -> Admins {
    let members = names.iter().map(|name| quorate_types::Admin {
        id: person(name),
        key: key(name).verifying_key().to_bytes(),
    });
    Admins {
        quorum,
        members: members.collect(),
    }
}

pub fn header(roster: &ValidRoster, previous: Option<&ValidBundle>) -> Header {
    Header {
        cluster: roster.cluster_id(),
        version: previous.map_or(0, |p| p.bundle().version) + 1,
        previous: previous.map_or(Hash32::from_bytes([0; 32]), ValidBundle::hash),
        issued_at: NOW - HOUR,
        admins: previous.map_or_else(
            || roster.roster().admins.clone(),
            |p| p.bundle().admins.clone(),
        ),
        lifts: Vec::new(),
    }
}

pub fn signed_by(bundle: Bundle, names: &[&str]) -> SignedBundle {
    let message = bundle.signing_bytes();
    let signatures = names.iter().map(|name| AdminSignature {
        admin: person(name),
        signature: key(name).sign(&message).to_bytes(),
    });
    SignedBundle {
        signatures: signatures.collect(),
        bundle,
    }
}

/// People that most tests need, and two assets.
pub fn people() -> String {
    format!(
        r#"
[people.ann]
groups = ["treasury"]
roles = ["treasury-head"]
ed25519 = ["{ann}", "{ann2}"]
[people.ben]
groups = ["treasury"]
ed25519 = ["{ben}"]
[people.cas]
groups = ["treasury", "risk"]
roles = ["compliance"]
guardian = true
ed25519 = ["{cas}"]
[people.trader]
groups = ["trading", "treasury"]
ed25519 = ["{trader}"]

[key_groups]
cold = ["vault", "reserve"]

[[asset]]
id = "ETH"
network = "ethereum"
decimals = 18
[[asset]]
id = "USDC"
network = "ethereum"
contract = "{USDC}"
decimals = 6
[[asset]]
id = "BTC"
network = "bitcoin"
decimals = 8
"#,
        ann = public("ann"),
        ann2 = public("ann-2"),
        ben = public("ben"),
        cas = public("cas"),
        trader = public("trader"),
    )
}

pub struct Desk {
    pub roster: ValidRoster,
    pub engine: Engine,
    pub history: History,
    pub book: Book,
    pub frozen: Vec<String>,
    pub approvals: Vec<SignedApproval>,
    pub now: u64,
    pub asked_at: u64,
    pub proposed_at: u64,
    pub operator: String,
}

/// A request to sign that moves what it is told.
#[derive(Clone)]
pub struct Ask {
    pub key: String,
    pub network: Network,
    pub payload: Payload,
    pub effects: Effects,
}

pub fn bundle(roster: &ValidRoster, rules: &str) -> Bundle {
    compile(&format!("{}\n{rules}", people()), header(roster, None)).unwrap()
}

impl Desk {
    pub fn new(rules: &str) -> Self {
        let roster = roster(2, 3);
        let bundle = bundle(&roster, rules);
        Self::of(roster, bundle)
    }

    pub fn of(roster: ValidRoster, bundle: Bundle) -> Self {
        let signed = signed_by(bundle, &["root-1", "root-3"]);
        let valid = signed.follow(&roster, None).unwrap();
        Self {
            history: History::new(valid.bundle()),
            book: Book::new(&valid.bundle().book),
            engine: Engine::new(valid).unwrap(),
            roster,
            frozen: Vec::new(),
            approvals: Vec::new(),
            now: NOW,
            asked_at: NOW,
            proposed_at: NOW,
            operator: "operator".to_owned(),
        }
    }

    pub fn ask(&self, ask: &Ask) -> (Decision, Tally) {
        let name = KeyName::new(&ask.key).unwrap();
        let sighashes = [sighash(ask)];
        let act = Act::Sign {
            id: KeyId::from_bytes(*tagged_hash("key id", &[ask.key.as_bytes()]).as_bytes()),
            key: facts(&name),
            network: (!matches!(ask.payload, Payload::Raw(_))).then_some(ask.network),
            payload: &ask.payload,
            effects: &ask.effects,
            sighashes: &sighashes,
        };
        self.decide(act, intent(ask))
    }

    pub fn decide(&self, act: Act<'_>, intent: IntentHash) -> (Decision, Tally) {
        let operator = OperatorId::new(&self.operator).unwrap();
        let request = Request {
            intent,
            operator: &operator,
            operator_key: &key(&self.operator).verifying_key().to_bytes(),
            act,
            asked_at: self.asked_at,
            proposed_at: self.proposed_at,
            now: self.now,
        };
        let evidence = Evidence {
            approvals: &self.approvals,
            display: Hash32::from_bytes([7; 32]),
            frozen: &self.frozen,
            book: &self.book,
        };
        self.engine.decide(&request, &evidence, &self.history)
    }

    /// Records that it was spent, now.
    pub fn spend(&mut self, ask: &Ask) {
        let name = KeyName::new(&ask.key).unwrap();
        let id = KeyId::from_bytes(*tagged_hash("key id", &[ask.key.as_bytes()]).as_bytes());
        self.history.insert(quorate_policy::Spend::new(
            intent(ask),
            (id, name),
            Some(ask.network),
            &ask.effects,
            &ChainRules::default(),
            &[sighash(ask)],
            self.now,
        ));
    }

    pub fn approval(&self, who: &str, ask: &Ask) -> Approval {
        Approval {
            cluster: self.roster.cluster_id(),
            intent: intent(ask),
            sighashes: vec![sighash(ask)],
            verdict: Verdict::Approve,
            policy: self.engine.bundle().hash(),
            policy_version: self.engine.bundle().bundle().version,
            display: Hash32::from_bytes([7; 32]),
            person: person(who),
            nonce: [1; 16],
            issued_at: self.now - MINUTE,
            expires_at: self.now + HOUR,
        }
    }

    pub fn approve(&mut self, who: &str, ask: &Ask) {
        let signed = sign(who, self.approval(who, ask));
        self.approvals.push(signed);
    }

    /// Why it is denied.
    #[track_caller]
    pub fn denied(&self, ask: &Ask) -> Vec<String> {
        match self.ask(ask).0 {
            Decision::Deny(reasons) => reasons.into_iter().map(|r| r.rule).collect(),
            other => panic!("not denied: {other:?}"),
        }
    }

    /// What it waits for.
    #[track_caller]
    pub fn pending(&self, ask: &Ask) -> Vec<String> {
        match self.ask(ask).0 {
            Decision::Pending(missing) => missing.into_iter().map(|m| m.what).collect(),
            other => panic!("not pending: {other:?}"),
        }
    }

    #[track_caller]
    pub fn allowed(&self, ask: &Ask) {
        match self.ask(ask).0 {
            Decision::Allow(_) => {}
            other => panic!("not allowed: {other:?}"),
        }
    }
}

pub fn sign(with: &str, approval: Approval) -> SignedApproval {
    let signer = key(with);
    let proof = Proof::Ed25519 {
        key: signer.verifying_key().to_bytes(),
        signature: signer.sign(&approval.signing_bytes()).to_bytes(),
    };
    SignedApproval { approval, proof }
}

pub fn facts(name: &KeyName) -> KeyFacts<'_> {
    KeyFacts {
        name,
        scheme: Scheme::Ecdsa,
        curve: Curve::Secp256k1,
    }
}

pub fn intent(ask: &Ask) -> IntentHash {
    IntentHash::from_bytes(*sighash(ask).as_bytes())
}

/// Stands for the transaction's own hash.
pub fn sighash(ask: &Ask) -> Hash32 {
    let text = format!("{} {} {:?}", ask.key, ask.network, ask.effects);
    let payload = borsh::to_vec(&ask.payload).unwrap();
    tagged_hash("test sighash", &[text.as_bytes(), &payload])
}

pub fn ether(amount: &str) -> U256 {
    units(amount, 18)
}

pub fn units(amount: &str, decimals: usize) -> U256 {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    format!("{whole}{fraction:0<decimals$}").parse().unwrap()
}

pub fn movement(asset: AssetRef, destination: &str, amount: U256) -> Movement {
    Movement {
        asset,
        kind: MovementKind::Transfer,
        destination: destination.to_owned(),
        amount,
        own: None,
    }
}

pub fn transaction(effects: Effects) -> Ask {
    Ask {
        key: "hot".to_owned(),
        network: ETHEREUM,
        payload: Payload::EvmTransaction(vec![2]),
        effects,
    }
}

/// Ether to somebody.
pub fn transfer(to: &str, amount: &str) -> Ask {
    transaction(Effects {
        movements: vec![movement(AssetRef::Native, to, ether(amount))],
        ..Effects::default()
    })
}

/// A token to somebody.
pub fn token(contract: &str, to: &str, amount: &str) -> Ask {
    let asset = AssetRef::Token {
        contract: contract.to_owned(),
    };
    transaction(Effects {
        movements: vec![movement(asset, to, units(amount, 6))],
        calls: [call(contract, "0xa9059cbb")].into(),
        ..Effects::default()
    })
}

pub fn call(contract: &str, method: &str) -> Call {
    Call {
        reading: Reading::Decoded,
        contract: contract.to_owned(),
        method: method.to_owned(),
    }
}

pub fn dangerous(danger: Danger) -> Ask {
    let mut ask = transfer(ALICE, "1");
    ask.effects.dangers.insert(danger);
    ask
}
