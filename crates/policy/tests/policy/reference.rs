//! The same decisions by another way: what the templates say of themselves, taken word by word, without Cedar, without running sums
//! and without the crate's own code. Policies, people, approvals, histories and requests are generated.

pub mod evaluator;
pub mod worlds;

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use quorate_policy::Decision;

use crate::seeds::check;
use worlds::{Tape, World};

/// What is compared: the kind of decision, the rules, and for an allowed one whether it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Allow { counted: bool },
    Pending(BTreeSet<String>),
    Deny(BTreeSet<String>),
}

fn outcome(decision: Decision) -> Outcome {
    match decision {
        Decision::Allow(allowed) => Outcome::Allow {
            counted: allowed.counted(),
        },
        Decision::Pending(missing) => {
            Outcome::Pending(missing.into_iter().map(|m| m.rule).collect())
        }
        Decision::Deny(reasons) => Outcome::Deny(reasons.into_iter().map(|r| r.rule).collect()),
    }
}

#[test]
fn decisions_are_those_of_a_slow_reference() {
    let seen = std::cell::RefCell::new([0u32; 4]);
    check(
        "decisions_are_those_of_a_slow_reference",
        2000,
        &vec(any::<u32>(), 200..400),
        |choices| {
            let mut tape = Tape::new(choices);
            let world = World::new(&mut tape);
            let Some(engine) = world.engine() else {
                // Rules that fit nothing are refused at publication.
                seen.borrow_mut()[3] += 1;
                return Ok(());
            };
            for _ in 0..3 {
                let case = world.case(&mut tape, &engine);
                let found = outcome(case.decide(&engine, &world));
                let expected = evaluator::decide(&world, &case);
                let kind = match expected {
                    Outcome::Allow { .. } => 0,
                    Outcome::Pending(_) => 1,
                    Outcome::Deny(_) => 2,
                };
                seen.borrow_mut()[kind] += 1;
                prop_assert_eq!(found, expected, "{}\n{:#?}", &world.text, &case);
            }
            Ok(())
        },
    );
    let [allowed, pending, denied, refused] = *seen.borrow();
    println!("{allowed} allowed, {pending} pending, {denied} denied; {refused} policies refused");
    if allowed + pending + denied > 1000 {
        let least = (allowed + pending + denied) / 20;
        assert!(allowed > least && pending > least && denied > least);
        assert!(refused < (allowed + pending + denied) / 10);
    }
}
