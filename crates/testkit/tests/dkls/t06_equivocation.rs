//! T06: a signer that broadcasts different points to different peers is noticed, and two honest parties' evidence convicts it.

use std::cell::RefCell;
use std::rc::Rc;

use quorate_mpc_protocol::{
    Abort, AbortReason, Ceremony, Effect, Incoming, Outcome, Outgoing, Seat, To,
};
use quorate_testkit::dkls::Protocol;
use quorate_testkit::malicious::{flipped, with_payload};
use quorate_testkit::sim::{Ending, session_id};
use quorate_types::Equivocation;

use crate::{CHEAT, THREE, honest_aborts};

/// The peer that is told the second story.
const MISLED: u16 = 2;

/// Two honest ceremonies in one seat, each consistent in itself: one talks to seat 0, the other to seat 2.
struct TwoFaced {
    first: Box<dyn Ceremony>,
    second: Box<dyn Ceremony>,
    /// What the second broadcasts.
    second_story: Rc<RefCell<Vec<Outgoing>>>,
}

impl TwoFaced {
    fn merge(&self, first: Vec<Effect>, second: Vec<Effect>) -> Vec<Effect> {
        let told_by_second = second.into_iter().filter_map(|effect| match effect {
            Effect::Send(m) if m.to == To::Party(MISLED) => Some(Effect::Send(m)),
            Effect::Send(m) if m.to == To::Everyone => {
                self.second_story.borrow_mut().push(m);
                None
            }
            _ => None,
        });
        // Broadcasts of the second must be known before the first's are sent.
        let mut effects: Vec<Effect> = told_by_second.collect();
        effects.extend(first.into_iter().filter(|effect| match effect {
            Effect::Send(m) => m.to != To::Party(MISLED),
            _ => true,
        }));
        effects
    }
}

impl Ceremony for TwoFaced {
    fn begin(&mut self) -> Vec<Effect> {
        let (first, second) = (self.first.begin(), self.second.begin());
        self.merge(first, second)
    }

    fn deliver(&mut self, message: Incoming) -> Vec<Effect> {
        let first = self.first.deliver(message.clone());
        let second = self.second.deliver(message);
        self.merge(first, second)
    }
}

fn two_faced(protocol: Protocol, session: u64) -> Vec<Ending> {
    let stage = &*THREE;
    let story = Rc::new(RefCell::new(Vec::<Outgoing>::new()));
    let told = Rc::clone(&story);
    let mut simulation = stage
        .simulation_with(protocol, session, |seat| {
            if seat.me() != CHEAT {
                return stage.ceremony(protocol, seat);
            }
            Box::new(TwoFaced {
                first: stage.ceremony(protocol, seat.clone()),
                second: stage.ceremony(protocol, seat),
                second_story: Rc::clone(&story),
            })
        })
        .with_meddler(CHEAT, move |to, m| {
            let story = told.borrow();
            let second = story
                .iter()
                .find(|s| to == MISLED && m.to == To::Everyone && s.round == m.round);
            Some(second.unwrap_or(m).clone())
        });
    simulation.run();
    simulation.endings()
}

#[test]
fn t06_two_nonce_points_are_noticed_by_all_and_convict_their_sender() {
    let aborts: Vec<Abort> = honest_aborts(two_faced(Protocol::Sign, 40));
    let [first, second] = aborts.as_slice() else {
        panic!("two honest parties");
    };
    for abort in [first, second] {
        let unreliable = AbortReason::UnreliableBroadcast { round: 1 };
        assert_eq!(abort.reason, unreliable);
        assert!(abort.culprits.is_empty(), "one view alone proves nothing");
    }
    let roster = &THREE.identities.roster;
    let proof = Equivocation::find(roster, &first.evidence, &second.evidence).expect("conflict");
    assert!(proof.verify(roster));
    let cheat = THREE.party(Protocol::Sign, CHEAT);
    assert_eq!(proof.culprit(), &roster.parties()[cheat].id);
    assert_eq!(
        Equivocation::find(roster, &first.evidence, &first.evidence),
        None
    );
}

/// A broadcast that its own opening contradicts needs no second witness.
#[test]
fn t06_points_of_another_run_are_refused_by_who_hears_them() {
    let seat = Seat::new(session_id(41), CHEAT, 3).unwrap();
    let mut simulation = THREE.simulation(Protocol::Sign, 41);
    simulation.run();
    let twin = simulation
        .transcript()
        .iter()
        .find(|m| m.message.from == seat.me() && m.message.round == 1)
        .unwrap()
        .message
        .payload
        .clone();
    let mut simulation = THREE
        .simulation(Protocol::Sign, 41)
        .with_meddler(CHEAT, |to, m| {
            Some(if m.round == 1 && to == MISLED {
                with_payload(m, twin.clone())
            } else {
                m.clone()
            })
        });
    simulation.run();
    let mut endings = simulation.endings();
    let misled = endings.remove(usize::from(MISLED)).abort();
    assert_eq!(misled.culprits, [CHEAT], "{misled:?}");
}

/// The last broadcast has no echo: told apart, one finishes and one does not, with no signature that is not one.
#[test]
fn t06_two_different_last_messages_only_keep_some_from_finishing() {
    let mut simulation = THREE
        .simulation(Protocol::Sign, 42)
        .with_meddler(CHEAT, |to, m| {
            Some(if m.round == 3 && to == MISLED {
                with_payload(m, flipped(&m.payload, 90))
            } else {
                m.clone()
            })
        });
    simulation.run();
    let mut endings = simulation.endings();
    let misled = endings.remove(usize::from(MISLED)).abort();
    assert!(matches!(misled.reason, AbortReason::Unattributable { .. }));
    assert!(misled.culprits.is_empty());
    assert!(matches!(endings.remove(0).done(), Outcome::Signature(_)));
}

/// In a setup nothing is broadcast: two stories are two valid setups, each with the peer it was told.
#[test]
fn t06_two_stories_in_a_setup_are_two_valid_setups() {
    for (ending, seat) in two_faced(Protocol::Setup, 43).into_iter().zip(0u16..) {
        if seat != CHEAT {
            assert!(matches!(ending.done(), Outcome::DklsSetup(_)));
        }
    }
}
