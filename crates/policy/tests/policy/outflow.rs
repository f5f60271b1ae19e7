//! T32 and T33: money that leaves as a fee, as change that is none, or by an allowance.

use quorate_chain::{AssetRef, Danger, Effects, Movement, MovementKind, U256};
use quorate_policy::Decision;
use quorate_types::Network;

use crate::support::*;

fn paying(moved: &str, fee: &str) -> Ask {
    let mut ask = transfer(ALICE, moved);
    ask.effects.fee = ether(fee);
    ask
}

/// A token payment, which moves none of the chain's own coin.
fn token_paying(fee: &str) -> Ask {
    let mut ask = token(USDC, ALICE, "5");
    ask.effects.fee = ether(fee);
    ask
}

fn on(network: &str, native: u64, fee: u64) -> Ask {
    let mut ask = transaction(Effects {
        movements: vec![movement(AssetRef::Native, ALICE, U256::from(native))],
        fee: U256::from(fee),
        ..Effects::default()
    });
    ask.network = network.parse::<Network>().unwrap();
    ask
}

const SOL: &str = "[[asset]]\nid = \"SOL\"\nnetwork = \"solana\"\ndecimals = 9\n";

#[test]
fn t32_a_fee_of_everything_is_refused_by_the_first_policy() {
    let desk = Desk::new(SOL);
    // 1 BTC in, 0.00001 out; 14 SOL of priority fee for a transfer of 0.000005; 40 ether of gas.
    let everything = [
        on("bitcoin", 1_000, 99_999_000),
        on("solana", 5_000, 14_000_000_000),
        paying("0.001", "40"),
        token_paying("40"),
    ];
    for ask in &everything {
        assert_eq!(desk.denied(ask), ["no-excessive-fee"]);
    }
    let usual = [
        on("bitcoin", 1_000_000, 20_000),
        on("solana", 5_000, 5_000),
        paying("0.001", "0.002"),
        token_paying("0.02"),
    ];
    for ask in &usual {
        desk.allowed(ask);
    }
}

#[test]
fn t32_bounds_of_fees_are_the_bundles() {
    let desk = Desk::new(
        "[[fee_bound]]\nnetwork = \"ethereum\"\nmost = \"0.1\"\npercent = 50\nfree = \"0.01\"",
    );
    desk.allowed(&paying("1", "0.1"));
    assert_eq!(desk.denied(&paying("1", "0.1000001")), ["no-excessive-fee"]);
    desk.allowed(&paying("0.04", "0.02"));
    assert_eq!(
        desk.denied(&paying("0.04", "0.0200001")),
        ["no-excessive-fee"]
    );
    desk.allowed(&paying("0.0001", "0.01"));
    // The danger may be allowed like any other.
    let desk = Desk::new(
        "[[rule]]\nid = \"rush\"\ntype = \"allow-danger\"\ndangers = [\"excessive-fee\"]",
    );
    desk.allowed(&paying("0.001", "40"));
}

#[test]
fn t32_a_fee_counts_in_thresholds_time_locks_and_limits() {
    let allow = "[[rule]]\nid = \"rush\"\ntype = \"allow-danger\"\ndangers = [\"excessive-fee\"]\n";
    let above = "when = { asset = \"ETH\", above = \"1\" }";
    let rules = [
        format!("type = \"threshold\"\ngroup = \"treasury\"\napprovals = 1\n{above}"),
        format!("type = \"roles\"\nroles = [\"compliance\"]\n{above}"),
        format!("type = \"time-lock\"\ndelay = \"24h\"\n{above}"),
        format!(
            "type = \"gather\"\ngroup = \"treasury\"\napprovals = 1\nwithin = \"24h\"\n{above}"
        ),
        "type = \"limit\"\nasset = \"ETH\"\nmax = \"1\"".to_owned(),
        "type = \"limit\"\nasset = \"ETH\"\nmax = \"1\"\nwindow = \"24h\"".to_owned(),
    ];
    for rule in rules {
        let desk = Desk::new(&format!("{allow}[[rule]]\nid = \"one\"\n{rule}"));
        for over in [paying("0.5", "0.6"), token_paying("1.1")] {
            let spoken = match desk.ask(&over).0 {
                Decision::Deny(reasons) => reasons[0].rule.clone(),
                Decision::Pending(missing) => missing[0].rule.clone(),
                Decision::Allow(_) => panic!("{rule} says nothing of a fee"),
            };
            assert_eq!(spoken, "one");
        }
        for within in [paying("0.4", "0.6"), token_paying("1")] {
            desk.allowed(&within);
        }
    }
}

/// What one destination may get says nothing of fees, which it does not get.
#[test]
fn t32_limits_for_destinations_leave_fees_out() {
    let to = format!("destinations = [\"{ALICE}\"]");
    let rules = [
        format!("type = \"limit\"\nasset = \"ETH\"\nmax = \"1\"\n{to}"),
        format!("type = \"limit\"\nasset = \"ETH\"\nmax = \"1\"\nwindow = \"24h\"\n{to}"),
        "type = \"limit\"\nasset = \"ETH\"\nmax = \"1\"\nwindow = \"24h\"\nper = [\"destination\"]"
            .to_owned(),
    ];
    for rule in rules {
        let desk = Desk::new(&format!("[[rule]]\nid = \"one\"\n{rule}"));
        desk.allowed(&paying("1", "0.2"));
        assert_eq!(desk.denied(&paying("1.1", "0.2")), ["one"]);
    }
}

/// Bitcoin at a path of the signing key's root, which may as well be another customer's.
fn to_own(path: &str) -> Ask {
    let mut ask = on("bitcoin", 100_000_000, 1_000);
    ask.effects.movements[0].own = Some(path.parse().unwrap());
    ask
}

#[test]
fn t20_only_a_branch_that_the_policy_names_is_change() {
    let limit = "[[rule]]\nid = \"one\"\ntype = \"limit\"\nasset = \"BTC\"\nmax = \"0.5\"";
    let desk = Desk::new(limit);
    assert_eq!(desk.denied(&to_own("m/1/7")), ["one"]);
    let desk = Desk::new(&format!("[bitcoin]\nchange = [\"m/1\"]\n{limit}"));
    desk.allowed(&to_own("m/1/7"));
    for other in ["m/0/7", "m/1", "m/11/0"] {
        assert_eq!(desk.denied(&to_own(other)), ["one"], "{other}");
    }
    // Change is not spent either.
    let daily = Desk::new(&format!(
        "[bitcoin]\nchange = [\"m/1\"]\n{limit}\nwindow = \"24h\""
    ));
    daily.allowed(&to_own("m/1/7"));
    assert_eq!(daily.denied(&to_own("m/0/7")), ["one"]);
}

fn allowance(asset: AssetRef, amount: U256) -> Ask {
    transaction(Effects {
        movements: vec![Movement {
            kind: MovementKind::Approval,
            ..movement(asset, BOB, amount)
        }],
        calls: [call(USDC, "0x095ea7b3")].into(),
        ..Effects::default()
    })
}

/// However far below "unlimited": it counts as what may leave.
#[test]
fn t33_an_allowance_counts_like_a_transfer() {
    let token = || AssetRef::Token {
        contract: USDC.to_owned(),
    };
    let rules = [
        "type = \"threshold\"\ngroup = \"treasury\"\napprovals = 1\nwhen = { asset = \"USDC\", above = \"10\" }",
        "type = \"limit\"\nasset = \"USDC\"\nmax = \"10\"",
        "type = \"limit\"\nasset = \"USDC\"\nmax = \"10\"\nwindow = \"24h\"",
    ];
    for rule in rules {
        let desk = Desk::new(&format!("[[rule]]\nid = \"one\"\n{rule}"));
        desk.allowed(&allowance(token(), units("10", 6)));
        for more in [
            units("10.000001", 6),
            (U256::from(1u8) << 119) - U256::from(1u8),
        ] {
            assert!(!matches!(
                desk.ask(&allowance(token(), more)).0,
                Decision::Allow(_)
            ));
        }
    }
}

/// `approve` of ERC-721 says the id where ERC-20 says the amount; id 0 is not nothing.
#[test]
fn t33_an_item_whose_id_is_zero_is_not_nothing() {
    let id = AssetRef::TokenOrItem {
        contract: USDC.to_owned(),
    };
    let desk =
        Desk::new("[[rule]]\nid = \"none\"\ntype = \"limit\"\nasset = \"USDC\"\nmax = \"0\"");
    assert_eq!(desk.denied(&allowance(id, U256::ZERO)), ["none"]);
    let token = AssetRef::Token {
        contract: USDC.to_owned(),
    };
    desk.allowed(&allowance(token, U256::ZERO));
}

/// A fee that no bound forbids is still said to be dangerous where it is.
#[test]
fn t32_what_is_dangerous_follows_the_bundle() {
    let chains = |text: &str| {
        let desk = Desk::new(text);
        desk.engine.bundle().bundle().chains.clone()
    };
    let effects = paying("1", "0.3").effects;
    let found = |text: &str| {
        quorate_policy::dangers(&effects, Some(ETHEREUM), &chains(text))
            .contains(&Danger::ExcessiveFee)
    };
    assert!(found(""));
    assert!(!found(
        "[[fee_bound]]\nnetwork = \"ethereum\"\npercent = 30"
    ));
    assert!(found(
        "[[fee_bound]]\nnetwork = \"ethereum:10\"\npercent = 30"
    ));
}

/// A bundle made by a program that did not know a danger has no rule against it.
fn without_the_new_refusals(text: &str) -> Desk {
    let roster = roster(2, 3);
    let mut older = bundle(&roster, text);
    let new = ["no-excessive-fee", "no-any-chain"];
    older.rules.retain(|rule| !new.contains(&rule.id.as_str()));
    Desk::of(roster, older)
}

#[test]
fn t32_bundles_that_were_made_before_refuse_what_they_could_not_name() {
    let desk = without_the_new_refusals("");
    assert_eq!(desk.denied(&paying("0.001", "40")), ["no-excessive-fee"]);
    let mut chainless = dangerous(Danger::AnyChain);
    chainless.payload = quorate_types::Payload::TypedData("1".to_owned());
    assert_eq!(desk.denied(&chainless), ["no-any-chain"]);
    // What their text allows is allowed.
    let desk = without_the_new_refusals(
        "[[rule]]\nid = \"rush\"\ntype = \"allow-danger\"\ndangers = [\"excessive-fee\"]",
    );
    desk.allowed(&paying("0.001", "40"));
    // One whose text is none any more refuses as well.
    let roster = roster(2, 3);
    let mut unread = bundle(&roster, "");
    unread
        .rules
        .retain(|rule| rule.id.as_str() != "no-excessive-fee");
    unread.source = "not a policy".to_owned();
    let desk = Desk::of(roster, unread);
    assert_eq!(desk.denied(&paying("0.001", "40")), ["no-excessive-fee"]);
}
