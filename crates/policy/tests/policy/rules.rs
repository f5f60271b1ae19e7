//! Every template, at its edges.

use quorate_chain::{Danger, U256};
use quorate_policy::{Act, Decision};
use quorate_types::{KeyName, Payload};

use crate::support::*;

#[test]
fn without_rules_known_things_may_be_signed_and_dangers_not() {
    let desk = Desk::new("");
    desk.allowed(&transfer(ALICE, "1000000"));
    desk.allowed(&token(USDC, ALICE, "5"));
    for danger in Danger::ALL {
        assert_eq!(desk.denied(&dangerous(danger)), [format!("no-{danger}")]);
    }
    let unknown = token(BOB, ALICE, "5");
    assert_eq!(desk.denied(&unknown), ["no-unknown-asset"]);
    let raw = Ask {
        payload: Payload::Raw(vec![1]),
        ..transaction(Default::default())
    };
    assert_eq!(desk.denied(&raw), ["no-permit"]);
}

#[test]
fn keys_and_the_committee_may_be_made_by_operators() {
    let desk = Desk::new("");
    let name = KeyName::new("new").unwrap();
    let intent = quorate_types::IntentHash::from_bytes([1; 32]);
    let acts = [
        Act::SetUpCommittee,
        Act::CreateKey(facts(&name)),
        Act::SetProtocol(facts(&name)),
    ];
    for act in acts {
        assert!(matches!(desk.decide(act, intent).0, Decision::Allow(_)));
    }
    let desk = Desk::new("[[rule]]\nid = \"who\"\ntype = \"initiators\"\ngroups = [\"trading\"]");
    for act in acts {
        assert!(matches!(desk.decide(act, intent).0, Decision::Deny(_)));
    }
}

#[test]
fn a_change_of_protocol_can_be_made_to_wait_for_approvals() {
    let desk = Desk::new(
        "[[rule]]\nid = \"two\"\ntype = \"threshold\"\ngroup = \"treasury\"\napprovals = 2\nwhen = { actions = [\"set-protocol\"] }",
    );
    let name = KeyName::new("hot").unwrap();
    let intent = quorate_types::IntentHash::from_bytes([1; 32]);
    let decide = |act| desk.decide(act, intent).0;
    assert!(matches!(
        decide(Act::SetProtocol(facts(&name))),
        Decision::Pending(_)
    ));
    assert!(matches!(
        decide(Act::CreateKey(facts(&name))),
        Decision::Allow(_)
    ));
}

#[test]
fn a_threshold_waits_for_so_many_of_its_group() {
    let mut desk = Desk::new(
        "[[rule]]\nid = \"two\"\ntype = \"threshold\"\ngroup = \"treasury\"\napprovals = 2\nwhen = { asset = \"ETH\", above = \"10\" }",
    );
    let small = transfer(ALICE, "10");
    let large = transfer(ALICE, "10.00000001");
    desk.allowed(&small);
    assert_eq!(desk.pending(&large), ["approve:treasury:2"]);
    desk.approve("ann", &large);
    assert_eq!(desk.pending(&large), ["approve:treasury:2"]);
    desk.approve("ben", &large);
    desk.allowed(&large);
    // One wei over is rounded up to the next unit.
    let mut dust = transfer(ALICE, "10");
    dust.effects.movements[0].amount += U256::from(1);
    assert_eq!(desk.pending(&dust), ["approve:treasury:2"]);
}

#[test]
fn roles_are_asked_for_together() {
    let mut desk = Desk::new(
        "[[rule]]\nid = \"roles\"\ntype = \"roles\"\nroles = [\"treasury-head\", \"compliance\"]",
    );
    let ask = transfer(ALICE, "1");
    assert_eq!(desk.pending(&ask), ["role:treasury-head+compliance"]);
    desk.approve("ann", &ask);
    assert_eq!(desk.pending(&ask).len(), 1);
    desk.approve("cas", &ask);
    desk.allowed(&ask);
}

#[test]
fn a_limit_of_one_request_counts_all_its_destinations() {
    let desk = Desk::new("[[rule]]\nid = \"one\"\ntype = \"limit\"\nasset = \"ETH\"\nmax = \"5\"");
    desk.allowed(&transfer(ALICE, "5"));
    assert_eq!(desk.denied(&transfer(ALICE, "5.00000001")), ["one"]);
    let mut split = transfer(ALICE, "3");
    split
        .effects
        .movements
        .extend(transfer(BOB, "3").effects.movements);
    assert_eq!(desk.denied(&split), ["one"]);
    let mut huge = transfer(ALICE, "1");
    huge.effects.movements[0].amount = U256::MAX;
    assert_eq!(desk.denied(&huge), ["one"]);
    desk.allowed(&token(USDC, ALICE, "500000"));
}

#[test]
fn a_rolling_limit_opens_again_when_its_window_has_passed() {
    let mut desk = Desk::new(
        "[[rule]]\nid = \"daily\"\ntype = \"limit\"\nasset = \"ETH\"\nmax = \"5\"\nwindow = \"24h\"",
    );
    let first = transfer(ALICE, "3");
    desk.allowed(&first);
    desk.spend(&first);
    desk.allowed(&first);
    desk.allowed(&transfer(BOB, "2"));
    assert_eq!(desk.denied(&transfer(BOB, "2.1")), ["daily"]);
    desk.now += 24 * HOUR - 1;
    assert_eq!(desk.denied(&transfer(BOB, "2.1")), ["daily"]);
    desk.now += 1;
    desk.allowed(&transfer(BOB, "2.1"));
    // The most the fee can be counts, too.
    let mut fee = transfer(BOB, "4.9");
    fee.effects.fee = ether("0.2");
    assert_eq!(desk.denied(&fee), ["daily"]);
}

#[test]
fn rolling_limits_are_kept_apart_by_key_and_destination_when_asked() {
    let mut desk = Desk::new(
        "[[rule]]\nid = \"per\"\ntype = \"limit\"\nasset = \"ETH\"\nmax = \"5\"\nwindow = \"1h\"\nper = [\"key\", \"destination\"]",
    );
    desk.spend(&transfer(ALICE, "4"));
    assert_eq!(desk.denied(&transfer(ALICE, "2")), ["per"]);
    desk.allowed(&transfer(BOB, "2"));
    desk.allowed(&Ask {
        key: "vault".to_owned(),
        ..transfer(ALICE, "2")
    });

    let mut desk = Desk::new(
        "[[rule]]\nid = \"cold\"\ntype = \"limit\"\nasset = \"ETH\"\nmax = \"5\"\nwindow = \"1h\"\nkey_group = \"cold\"",
    );
    desk.spend(&Ask {
        key: "vault".to_owned(),
        ..transfer(ALICE, "4")
    });
    assert_eq!(
        desk.denied(&Ask {
            key: "reserve".to_owned(),
            ..transfer(BOB, "2")
        }),
        ["cold"]
    );
    desk.allowed(&transfer(BOB, "2"));
}

#[test]
fn a_limit_may_be_lifted_by_approvals() {
    let mut desk = Desk::new(
        "[[rule]]\nid = \"daily\"\ntype = \"limit\"\nasset = \"ETH\"\nmax = \"5\"\nwindow = \"24h\"\nor_approvals = { group = \"treasury\", approvals = 1 }",
    );
    let ask = transfer(ALICE, "6");
    assert_eq!(desk.pending(&ask), ["approve:treasury:1"]);
    desk.approve("ben", &ask);
    desk.allowed(&ask);
}

#[test]
fn what_a_limit_counts_moves_no_more_amounts_than_are_kept_apart() {
    let desk = Desk::new(
        "[[rule]]\nid = \"daily\"\ntype = \"limit\"\nasset = \"ETH\"\nmax = \"5\"\nwindow = \"24h\"",
    );
    let mut ask = transfer(ALICE, "0.001");
    let one = ask.effects.movements[0].clone();
    ask.effects.movements = vec![one.clone(); quorate_policy::Spend::MAX_LINES];
    desk.allowed(&ask);
    ask.effects.movements.push(one);
    assert_eq!(desk.denied(&ask), ["evaluation-error"]);
    Desk::new("").allowed(&ask);
}

#[test]
fn velocity_counts_requests() {
    let mut desk =
        Desk::new("[[rule]]\nid = \"slow\"\ntype = \"velocity\"\nmax = 2\nwindow = \"1h\"");
    desk.spend(&transfer(ALICE, "1"));
    desk.spend(&transfer(BOB, "1"));
    assert_eq!(desk.denied(&transfer(BOB, "2")), ["slow"]);
    // Signing the same transaction again is no further request.
    desk.allowed(&transfer(BOB, "1"));
    desk.now += HOUR;
    desk.allowed(&transfer(BOB, "2"));
}

#[test]
fn a_time_lock_counts_from_when_it_was_first_seen() {
    let mut desk = Desk::new(
        "[[rule]]\nid = \"lock\"\ntype = \"time-lock\"\ndelay = \"24h\"\nwhen = { asset = \"ETH\", above = \"10\" }",
    );
    desk.allowed(&transfer(ALICE, "10"));
    let ask = transfer(ALICE, "11");
    assert_eq!(desk.pending(&ask), ["wait:24h"]);
    desk.now += 24 * HOUR - 1;
    assert_eq!(desk.pending(&ask), ["wait:24h"]);
    desk.now += 1;
    desk.allowed(&ask);
}

#[test]
fn business_hours_hold_over_the_end_of_the_week() {
    // 2030-03-17T17:46:40Z, a Sunday.
    let rule = |days: &str, from: &str, to: &str, zone: &str| {
        Desk::new(&format!(
            "[[rule]]\nid = \"hours\"\ntype = \"hours\"\ndays = [{days}]\nfrom = \"{from}\"\nto = \"{to}\"\nutc_offset = \"{zone}\""
        ))
    };
    let ask = transfer(ALICE, "1");
    rule("\"sun\"", "17:46", "17:47", "+00:00").allowed(&ask);
    assert_eq!(
        rule("\"sun\"", "17:47", "18:00", "+00:00").pending(&ask),
        ["wait:hours"]
    );
    assert_eq!(
        rule("\"sun\"", "17:00", "17:46", "+00:00").pending(&ask),
        ["wait:hours"]
    );
    // There it is Monday, 03:46.
    rule("\"mon\"", "03:46", "04:00", "+10:00").allowed(&ask);
    assert_eq!(
        rule("\"sun\"", "03:00", "24:00", "+10:00").pending(&ask),
        ["wait:hours"]
    );
    rule("\"sun\"", "07:46", "08:00", "-10:00").allowed(&ask);
}

#[test]
fn the_address_book_needs_every_destination() {
    let mut desk = Desk::new(&format!(
        "[[address]]\nnetwork = \"ethereum\"\naddress = \"{ALICE}\"\nlabel = \"Alice\"\n[[rule]]\nid = \"book\"\ntype = \"address-book\""
    ));
    desk.allowed(&transfer(ALICE, "1"));
    assert_eq!(desk.denied(&transfer(BOB, "1")), ["book"]);
    let mut both = transfer(ALICE, "1");
    both.effects
        .movements
        .extend(transfer(BOB, "1").effects.movements);
    assert_eq!(desk.denied(&both), ["book"]);
    // The same address on another chain is another address.
    let other = Ask {
        network: quorate_types::Network::Evm { chain_id: 10 },
        ..transfer(ALICE, "1")
    };
    assert!(desk.denied(&other).contains(&"book".to_owned()));
    // An entry that is too new is not handed over.
    desk.book = quorate_policy::Book::default();
    assert_eq!(desk.denied(&transfer(ALICE, "1")), ["book"]);
    let nothing = transaction(Default::default());
    assert_eq!(desk.denied(&nothing), ["book"]);
}

#[test]
fn lists_of_destinations_contracts_chains_and_assets() {
    let desk = Desk::new(&format!(
        "[[rule]]\nid = \"to\"\ntype = \"destinations\"\nallow = [\"{ALICE}\"]"
    ));
    desk.allowed(&transfer(ALICE, "1"));
    assert_eq!(desk.denied(&transfer(BOB, "1")), ["to"]);
    assert_eq!(desk.denied(&transaction(Default::default())), ["to"]);

    let desk = Desk::new(&format!(
        "[[rule]]\nid = \"call\"\ntype = \"contracts\"\nallow = [{{ contract = \"{USDC}\", methods = [\"0xa9059cbb\"] }}]"
    ));
    desk.allowed(&transfer(BOB, "1"));
    desk.allowed(&token(USDC, BOB, "1"));
    let mut other = token(USDC, BOB, "1");
    other.effects.calls = [call(USDC, "0x095ea7b3")].into();
    assert_eq!(desk.denied(&other), ["call"]);
    let mut more = token(USDC, BOB, "1");
    more.effects.calls.insert(call(BOB, "0xa9059cbb"));
    assert_eq!(desk.denied(&more), ["call"]);

    let desk = Desk::new("[[rule]]\nid = \"chain\"\ntype = \"chains\"\nallow = [\"bitcoin\"]");
    assert_eq!(desk.denied(&transfer(ALICE, "1")), ["chain"]);
    let desk = Desk::new("[[rule]]\nid = \"asset\"\ntype = \"assets\"\nallow = [\"USDC\"]");
    assert_eq!(desk.denied(&transfer(ALICE, "1")), ["asset"]);
    desk.allowed(&token(USDC, BOB, "1"));
}

#[test]
fn undecoded_calls_may_be_allowed_by_contract_and_method() {
    let desk = Desk::new(&format!(
        "[[rule]]\nid = \"swap\"\ntype = \"allow-danger\"\ndangers = [\"undecodable\"]\ncalls = [{{ contract = \"{BOB}\", methods = [\"0x12345678\"] }}]"
    ));
    let mut ask = dangerous(Danger::Undecodable);
    assert_eq!(desk.denied(&ask), ["no-undecodable"], "nothing is called");
    let unknown = |method| quorate_chain::Call {
        reading: quorate_chain::Reading::UnknownMethod,
        ..call(BOB, method)
    };
    ask.effects.calls = [unknown("0x12345678")].into();
    desk.allowed(&ask);
    ask.effects.calls.insert(unknown("0x87654321"));
    assert_eq!(desk.denied(&ask), ["no-undecodable"]);
    // A list vouches for methods that are not known here, not for bytes that a known method does not take.
    for reading in [
        quorate_chain::Reading::Malformed,
        quorate_chain::Reading::Incomplete,
    ] {
        let mut worse = unknown("0x12345678");
        worse.reading = reading;
        ask.effects.calls = [unknown("0x12345678"), worse].into();
        assert_eq!(desk.denied(&ask), ["no-undecodable"]);
    }
}

#[test]
fn fees_are_capped() {
    let desk = Desk::new("[[rule]]\nid = \"fee\"\ntype = \"fee\"\nasset = \"ETH\"\nmax = \"0.1\"");
    let mut ask = transfer(ALICE, "1");
    ask.effects.fee = ether("0.1");
    desk.allowed(&ask);
    ask.effects.fee += U256::from(1);
    assert_eq!(desk.denied(&ask), ["fee"]);
    let desk =
        Desk::new("[[rule]]\nid = \"rate\"\ntype = \"fee\"\nasset = \"BTC\"\nmax_rate = 200");
    let mut ask = Ask {
        network: "bitcoin".parse().unwrap(),
        payload: Payload::BitcoinPsbt(vec![]),
        ..transfer("bc1q", "0.000000000000000001")
    };
    ask.effects.fee_rate = Some(200);
    desk.allowed(&ask);
    ask.effects.fee_rate = Some(201);
    assert_eq!(desk.denied(&ask), ["rate"]);
}

#[test]
fn raw_signing_is_an_opt_in() {
    let desk = Desk::new("[[rule]]\nid = \"raw\"\ntype = \"raw\"\nkeys = [\"hot\"]");
    let raw = |key: &str| Ask {
        key: key.to_owned(),
        payload: Payload::Raw(vec![1]),
        ..transaction(Default::default())
    };
    desk.allowed(&raw("hot"));
    assert_eq!(desk.denied(&raw("vault")), ["no-permit"]);
}

#[test]
fn what_nobody_permits_does_not_wait_for_approvals() {
    let desk = Desk::new(
        "[[rule]]\nid = \"who\"\ntype = \"initiators\"\ngroups = [\"trading\"]\n[[rule]]\nid = \"two\"\ntype = \"threshold\"\ngroup = \"treasury\"\napprovals = 2",
    );
    assert_eq!(desk.denied(&transfer(ALICE, "1")), ["no-permit"]);
}

#[test]
fn only_named_groups_propose() {
    let mut desk =
        Desk::new("[[rule]]\nid = \"who\"\ntype = \"initiators\"\ngroups = [\"trading\"]");
    assert_eq!(desk.denied(&transfer(ALICE, "1")), ["no-permit"]);
    desk.operator = "trader".to_owned();
    desk.allowed(&transfer(ALICE, "1"));
}

#[test]
fn t18_a_policy_that_errs_denies() {
    // Strict validation passes; at evaluation it overflows, and Cedar skips it.
    let mut desk = Desk::new(
        r#"
[[rule]]
id = "daily"
type = "limit"
asset = "ETH"
max = "90000000000"
window = "24h"
[[cedar]]
id = "naive"
policy = 'forbid(principal, action, resource) when { context.amount + 9223372036854775807 > 0 };'
"#,
    );
    assert_eq!(desk.denied(&transfer(ALICE, "1")), ["evaluation-error"]);
    desk.approve("ann", &transfer(ALICE, "1"));
    assert_eq!(desk.denied(&transfer(ALICE, "1")), ["evaluation-error"]);
}

#[test]
fn freezing_stops_everything() {
    let mut desk = Desk::new("");
    desk.frozen.push("drill".to_owned());
    assert_eq!(desk.denied(&transfer(ALICE, "1")), ["frozen"]);
}
