//! A batch is one request, and nothing in it is allowed that would not be alone.

use quorate_chain::{Danger, Effects, Reading, analyse_for};
use quorate_policy::Shown;
use quorate_types::{
    Action, Batch, BitcoinNetwork, ChainRules, Curve, DerivationPath, Hash32, Intent, KeyId,
    KeyName, KeyRecord, Network, OperatorId, Payload, PublicKey, Scheme, Threshold,
};

use crate::support::*;

/// All of these in one request.
fn together(asks: &[Ask]) -> Ask {
    let payload = |number: u8| match &asks[0].payload {
        Payload::EvmTransaction(_) => Payload::EvmTransaction(vec![2, number]),
        Payload::TypedData(_) => Payload::TypedData(format!("{number}")),
        other => panic!("{other:?}"),
    };
    let count = u8::try_from(asks.len()).unwrap();
    Ask {
        payload: Payload::Batch(Batch::new((0..count).map(payload).collect()).unwrap()),
        effects: Effects::of_batch(asks.iter().map(|ask| ask.effects.clone()).collect()),
        ..asks[0].clone()
    }
}

/// What it would be if only the sum were looked at.
fn sum_alone(asks: &[Ask]) -> Ask {
    let mut ask = together(asks);
    ask.effects.members.clear();
    ask
}

#[test]
fn limits_hold_for_the_sum() {
    let desk = Desk::new("[[rule]]\nid = \"one\"\ntype = \"limit\"\nasset = \"ETH\"\nmax = \"50\"");
    let half = |to| transfer(to, "25");
    desk.allowed(&together(&[half(ALICE), half(ALICE)]));
    let third = [half(ALICE), half(BOB), transfer(ALICE, "0.00000001")];
    third.iter().for_each(|ask| desk.allowed(ask));
    assert_eq!(desk.denied(&together(&third)), ["one"]);
    // One member that is too large, among others.
    let large = [transfer(BOB, "1"), transfer(ALICE, "51")];
    assert_eq!(desk.denied(&together(&large)), ["one"]);
}

#[test]
fn rolling_limits_count_every_member_and_every_fee() {
    let rule = "[[rule]]\nid = \"daily\"\ntype = \"limit\"\nasset = \"ETH\"\nmax = \"100\"\nwindow = \"24h\"";
    let mut desk = Desk::new(rule);
    desk.spend(&together(&[transfer(ALICE, "30"), transfer(BOB, "30")]));
    let mut asks = [transfer(ALICE, "20"), transfer(BOB, "20")];
    desk.allowed(&together(&asks));
    for ask in &mut asks {
        ask.effects.fee = ether("0.1");
        desk.allowed(ask);
    }
    assert_eq!(desk.denied(&together(&asks)), ["daily"]);
}

#[test]
fn velocity_counts_every_member() {
    let mut desk =
        Desk::new("[[rule]]\nid = \"slow\"\ntype = \"velocity\"\nmax = 4\nwindow = \"1h\"");
    let two = [transfer(ALICE, "1"), transfer(BOB, "1")];
    desk.spend(&together(&two));
    let three = [transfer(ALICE, "2"), transfer(BOB, "2"), transfer(BOB, "3")];
    assert_eq!(desk.denied(&together(&three)), ["slow"]);
    desk.allowed(&together(&three[..2]));
    // The same again is nothing more.
    desk.allowed(&together(&two));
}

#[test]
fn approvals_are_asked_for_by_the_sum() {
    let mut desk = Desk::new(
        "[[rule]]\nid = \"two\"\ntype = \"threshold\"\ngroup = \"treasury\"\napprovals = 1\nwhen = { asset = \"ETH\", above = \"10\" }",
    );
    let asks = [transfer(ALICE, "6"), transfer(BOB, "6")];
    asks.iter().for_each(|ask| desk.allowed(ask));
    let both = together(&asks);
    assert_eq!(desk.pending(&both), ["approve:treasury:1"]);
    desk.approve("ann", &both);
    desk.allowed(&both);
}

#[test]
fn a_danger_in_one_member_is_enough() {
    let desk = Desk::new("");
    for danger in Danger::ALL.into_iter().filter(|d| *d != Danger::AnyChain) {
        let asks = [transfer(ALICE, "1"), transfer(BOB, "1"), dangerous(danger)];
        assert_eq!(desk.denied(&together(&asks)), [format!("no-{danger}")]);
    }
}

#[test]
fn a_member_that_pays_nobody_does_not_hide_behind_one_that_pays_a_friend() {
    let rules = [
        format!(
            "[[address]]\nnetwork = \"ethereum\"\naddress = \"{ALICE}\"\nlabel = \"Alice\"\n[[rule]]\nid = \"to\"\ntype = \"address-book\""
        ),
        format!("[[rule]]\nid = \"to\"\ntype = \"destinations\"\nallow = [\"{ALICE}\"]"),
    ];
    for rules in rules {
        let desk = Desk::new(&rules);
        let asks = [transfer(ALICE, "1"), transaction(Effects::default())];
        desk.allowed(&asks[0]);
        assert_eq!(desk.denied(&asks[1]), ["to"]);
        desk.allowed(&sum_alone(&asks));
        assert_eq!(desk.denied(&together(&asks)), ["to"]);
    }
}

#[test]
fn what_nobody_can_vouch_for_does_not_hide_behind_what_somebody_can() {
    let desk = Desk::new(&format!(
        "[[rule]]\nid = \"stake\"\ntype = \"allow-danger\"\ndangers = [\"undecodable\"]\ncalls = [{{ contract = \"{BOB}\", methods = [\"0x12345678\"] }}]"
    ));
    let undecodable = |calls| {
        let mut ask = dangerous(Danger::Undecodable);
        ask.payload = Payload::TypedData("{}".to_owned());
        ask.effects.movements.clear();
        ask.effects.calls = calls;
        ask
    };
    let mut staking = call(BOB, "0x12345678");
    staking.reading = Reading::UnknownMethod;
    let asks = [undecodable([staking].into()), undecodable([].into())];
    desk.allowed(&asks[0]);
    assert_eq!(desk.denied(&asks[1]), ["no-undecodable"]);
    desk.allowed(&sum_alone(&asks));
    assert_eq!(desk.denied(&together(&asks)), ["no-undecodable"]);
}

#[test]
fn fees_are_judged_together() {
    let desk = Desk::new("[[rule]]\nid = \"fee\"\ntype = \"fee\"\nasset = \"ETH\"\nmax = \"0.3\"");
    let mut asks = [transfer(ALICE, "1"), transfer(BOB, "1")];
    for ask in &mut asks {
        ask.effects.fee = ether("0.2");
        desk.allowed(ask);
    }
    assert_eq!(desk.denied(&together(&asks)), ["fee"]);
}

#[test]
fn the_highest_fee_rate_counts() {
    let desk = Desk::new("[[rule]]\nid = \"rate\"\ntype = \"fee\"\nasset = \"BTC\"\nmax_rate = 20");
    let at = |rate| Ask {
        network: Network::Bitcoin(BitcoinNetwork::Mainnet),
        ..transaction(Effects {
            fee_rate: Some(rate),
            ..Effects::default()
        })
    };
    desk.allowed(&together(&[at(20), at(19)]));
    assert_eq!(desk.denied(&together(&[at(21), at(19)])), ["rate"]);
}

#[test]
fn what_a_limit_counts_is_bounded_for_all_members_together() {
    let desk = Desk::new(
        "[[rule]]\nid = \"daily\"\ntype = \"limit\"\nasset = \"ETH\"\nmax = \"5\"\nwindow = \"24h\"",
    );
    let mut wide = transfer(ALICE, "0.001");
    let one = wide.effects.movements[0].clone();
    wide.effects.movements = vec![one; quorate_policy::Spend::MAX_LINES / 2 + 1];
    desk.allowed(&wide);
    assert_eq!(
        desk.denied(&together(&[wide.clone(), wide])),
        ["evaluation-error"]
    );
}

/// What an approver reads of a request to sign these.
fn shown(members: &[Payload]) -> Shown {
    let generator = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    let public_key = PublicKey::new(Curve::Secp256k1, &hex::decode(generator).unwrap()).unwrap();
    let payload = Payload::Batch(Batch::new(members.to_vec()).unwrap());
    let record = KeyRecord {
        id: KeyId::from_bytes([1; 32]),
        name: KeyName::new("hot").unwrap(),
        scheme: Scheme::Ecdsa,
        chain_code: Hash32::from_bytes([7; 32]),
        epoch: 0,
        threshold: Threshold::new(2, 3).unwrap(),
        committee: Vec::new(),
        public_shares: vec![public_key.clone(); 3],
        public_key,
        raw_signing: false,
        created_at: 1,
    };
    let root = DerivationPath::root();
    let (_, analysis) = analyse_for(&payload, Some(ETHEREUM), &record, &root).unwrap();
    let intent = Intent {
        roster: Hash32::from_bytes([1; 32]),
        operator: OperatorId::new("operator").unwrap(),
        nonce: [0; 16],
        issued_at: NOW,
        expires_at: NOW + HOUR,
        action: Action::Sign {
            key: record.id,
            path: root,
            network: Some(ETHEREUM),
            payload,
            purpose: String::new(),
        },
    };
    Shown::signing(&intent, &record, &analysis, &ChainRules::default())
}

#[test]
fn approvers_read_every_member_with_its_number() {
    let text = |text: &str| Payload::Message(text.as_bytes().to_vec());
    let hidden = Payload::Message(vec![0xff; 32]);
    let members = [text("one"), text("two\n3/3: nothing"), hidden];
    let shown = shown(&members);
    let starts = ["1/3: ", "2/3: ", "3/3: "];
    let numbered = |line: &&String| starts.iter().any(|start| line.starts_with(start));
    let order: Vec<_> = shown.lines().iter().filter(numbered).collect();
    assert!(order.is_sorted_by_key(|line| &line[..5]), "{order:?}");
    assert_eq!(shown.lines()[1], "batch of 3, signed all or none");
    let third: Vec<_> = order.iter().filter(|l| l.starts_with("3/3: ")).collect();
    assert!(
        third.iter().all(|line| !line.contains("nothing")),
        "{third:?}"
    );
    let dangers: Vec<_> = shown
        .lines()
        .iter()
        .filter(|line| line.starts_with("DANGER"))
        .collect();
    assert_eq!(
        dangers,
        [
            "DANGER in 1/3: any-chain",
            "DANGER in 2/3: any-chain",
            "DANGER in 3/3: undecodable",
            "DANGER in 3/3: any-chain",
        ]
    );
}

#[test]
fn what_approvers_read_covers_every_member_and_their_order() {
    let [one, two, three] = ["1", "2", "3"].map(|text| Payload::Message(text.into()));
    let hashes = [
        shown(&[one.clone(), two.clone()]).hash(),
        shown(&[two.clone(), one.clone()]).hash(),
        shown(&[one.clone(), three.clone()]).hash(),
        shown(&[one, two, three]).hash(),
    ];
    let different: std::collections::HashSet<_> = hashes.into_iter().collect();
    assert_eq!(different.len(), hashes.len());
}
