use super::*;
use quorate_types::{OperatorEntry, OperatorId, PartyEntry, Roster, Threshold};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

const KEY: [u8; 32] = [7; 32];

fn party(name: &str) -> PartyId {
    PartyId::new(name).unwrap()
}

struct World {
    roster: Arc<ValidRoster>,
    keys: Vec<Arc<PartyKeys>>,
}

impl World {
    fn new() -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let keys: Vec<_> = (0..3)
            .map(|_| Arc::new(PartyKeys::generate(&mut rng)))
            .collect();
        let entry = |(i, k): (usize, &Arc<PartyKeys>)| PartyEntry {
            id: party(&format!("party-{}", i + 1)),
            identity: k.identity(),
            channel: k.channel(),
        };
        let roster = Roster {
            cluster: "test".into(),
            threshold: Threshold::new(2, 3).unwrap(),
            parties: keys.iter().enumerate().map(entry).collect(),
            operators: vec![OperatorEntry {
                id: OperatorId::new("alice").unwrap(),
                key: PartyKeys::generate(&mut rng).identity(),
            }],
            admins: quorate_types::Admins::single(
                quorate_types::PersonId::new("admin").unwrap(),
                PartyKeys::generate(&mut rng).identity(),
            ),
        };
        Self {
            roster: Arc::new(roster.try_into().unwrap()),
            keys,
        }
    }

    fn link(&self, me: usize, peer: usize, options: LinkOptions) -> Link {
        Link::new(
            party(&format!("party-{me}")),
            party(&format!("party-{peer}")),
            Arc::clone(&self.keys[me - 1]),
            Arc::clone(&self.roster),
            options,
        )
        .unwrap()
    }

    fn pair(&self) -> [Link; 2] {
        let options = LinkOptions::default();
        [self.link(1, 2, options), self.link(2, 1, options)]
    }
}

fn at(monotonic: u64) -> Now {
    Now {
        monotonic,
        unix: 1_700_000_000_000 + monotonic,
    }
}

fn sent(actions: Vec<Action>) -> Vec<Bytes> {
    let bytes = |a| match a {
        Action::Send(bytes) => Some(bytes),
        Action::Ready => None,
    };
    actions.into_iter().filter_map(bytes).collect()
}

/// Passes messages between the two until nothing moves.
fn settle(links: &mut [Link; 2], now: Now) {
    let mut wire: Vec<(usize, Bytes)> = Vec::new();
    for (i, link) in links.iter_mut().enumerate() {
        wire.extend(sent(link.poll(now)).into_iter().map(|b| (1 - i, b)));
    }
    while let Some((to, bytes)) = wire.pop() {
        let actions = links[to].on_message(bytes, now).unwrap();
        wire.extend(sent(actions).into_iter().map(|b| (1 - to, b)));
    }
}

fn passes(links: &mut [Link; 2], from: usize, now: Now) -> bool {
    let wrap = links[from].seal(&KEY, now).unwrap();
    links[1 - from]
        .open(&wrap, now)
        .is_ok_and(|key| key.as_slice() == KEY)
}

#[test]
fn either_side_brings_a_channel_up_that_carries_both_ways() {
    for wanting in [0, 1] {
        let mut links = World::new().pair();
        assert!(links[wanting].seal(&KEY, at(0)).is_err());
        settle(&mut links, at(0));
        assert!(passes(&mut links, 0, at(1)) && passes(&mut links, 1, at(1)));
    }
}

#[test]
fn nonces_count_up_and_a_changed_wrap_is_refused() {
    let mut links = World::new().pair();
    links[0].want(at(0));
    settle(&mut links, at(0));
    let nonces: Vec<u64> = (0..5)
        .map(|_| links[0].seal(&KEY, at(1)).unwrap().nonce)
        .collect();
    assert_eq!(nonces, [0, 1, 2, 3, 4]);
    let mut wrap = links[0].seal(&KEY, at(1)).unwrap();
    wrap.nonce += 1;
    assert_eq!(links[1].open(&wrap, at(1)), Err(OpenError::Refused));
}

#[test]
fn channels_come_up_through_loss_duplication_and_reordering() {
    for seed in 0..200 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut links = World::new().pair();
        let mut wire: Vec<(u64, usize, Bytes)> = Vec::new();
        let mut now = 0;
        links[(seed % 2) as usize].want(at(0));
        while !(links[0].is_ready() && links[1].is_ready()) {
            assert!(now < 60_000, "seed {seed}: no channel after a minute");
            let mut out = Vec::new();
            for (i, link) in links.iter_mut().enumerate() {
                out.extend(link.poll(at(now)).into_iter().map(|a| (1 - i, a)));
            }
            let due: Vec<_> = wire.extract_if(.., |(t, _, _)| *t <= now).collect();
            for (_, to, bytes) in due {
                let actions = links[to].on_message(bytes, at(now)).unwrap_or_default();
                out.extend(actions.into_iter().map(|a| (1 - to, a)));
            }
            for (to, action) in out {
                let Action::Send(bytes) = action else {
                    continue;
                };
                for _ in 0..rng.next_u32() % 3 {
                    let delay = u64::from(rng.next_u32() % 400);
                    wire.push((now + delay, to, bytes.clone()));
                }
            }
            now += 10;
        }
        assert!(passes(&mut links, 0, at(now)), "seed {seed}");
        assert!(passes(&mut links, 1, at(now)), "seed {seed}");
    }
}

#[test]
fn after_a_restart_of_either_side_the_pair_shakes_hands_again() {
    let world = World::new();
    for restarted in [0, 1] {
        let mut links = world.pair();
        links[0].want(at(0));
        settle(&mut links, at(0));
        assert!(passes(&mut links, 0, at(1)));
        links[restarted] = world.link(restarted + 1, 2 - restarted, LinkOptions::default());
        let stale = links[1 - restarted].seal(&KEY, at(1000)).unwrap();
        let now = at(1000);
        assert_eq!(
            links[restarted].open(&stale, now),
            Err(OpenError::UnknownChannel)
        );
        let complaint = sent(links[restarted].complain(stale.channel, now));
        for bytes in complaint {
            let answers = links[1 - restarted].on_message(bytes, now).unwrap();
            for answer in sent(answers) {
                let more = links[restarted].on_message(answer, now).unwrap();
                for bytes in sent(more) {
                    links[1 - restarted].on_message(bytes, now).unwrap();
                }
            }
        }
        settle(&mut links, at(1300));
        settle(&mut links, at(2000));
        assert!(!links[1 - restarted].knows(stale.channel));
        assert!(passes(&mut links, 0, at(2001)) && passes(&mut links, 1, at(2001)));
    }
}

#[test]
fn a_used_up_or_old_channel_is_replaced_and_keeps_receiving_for_a_while() {
    let world = World::new();
    let options = LinkOptions {
        renew_after_messages: 4,
        ..LinkOptions::default()
    };
    let mut links = [world.link(1, 2, options), world.link(2, 1, options)];
    links[0].want(at(0));
    settle(&mut links, at(0));
    let late = links[1].seal(&KEY, at(1)).unwrap();
    let first = late.channel;
    for _ in 0..4 {
        assert!(passes(&mut links, 0, at(1)));
    }
    settle(&mut links, at(100));
    let renewed = links[0].seal(&KEY, at(100)).unwrap().channel;
    assert_ne!(renewed, first);
    assert!(links[0].open(&late, at(101)).is_ok());
    let forgotten = at(100 + options.keep_replaced + 1);
    let _ = links[0].poll(forgotten);
    assert_eq!(
        links[0].open(&late, forgotten),
        Err(OpenError::UnknownChannel)
    );

    let old = at(forgotten.monotonic + options.renew_after);
    assert!(passes(&mut links, 1, old));
    settle(&mut links, old);
    assert_ne!(links[1].seal(&KEY, old).unwrap().channel, renewed);
}

#[test]
fn a_channel_never_sends_more_than_twice_its_share() {
    let world = World::new();
    let options = LinkOptions {
        renew_after_messages: 4,
        ..LinkOptions::default()
    };
    let mut links = [world.link(1, 2, options), world.link(2, 1, options)];
    links[0].want(at(0));
    settle(&mut links, at(0));
    let sealed = (0..20).filter(|_| links[0].seal(&KEY, at(1)).is_ok());
    assert_eq!(sealed.count(), 8);
}

#[test]
fn t15_a_handshake_message_is_taken_once_and_only_fresh() {
    let mut links = World::new().pair();
    links[0].want(at(0));
    let first = sent(links[0].poll(at(0))).remove(0);
    assert!(links[1].on_message(first.clone(), at(0)).is_ok());
    assert_eq!(
        links[1].on_message(first.clone(), at(1)),
        Err(Refusal::Replay)
    );
    let late = at(LinkOptions::default().window.past + 1);
    assert_eq!(
        links[1].on_message(first, late),
        Err(Refusal::StaleTimestamp)
    );
}

#[test]
fn t14_a_handshake_from_someone_else_is_refused() {
    let world = World::new();
    let mut links = world.pair();
    let statement = |sender: &str, recipient: &str| LinkStatement {
        sender: party(sender),
        recipient: party(recipient),
        id: random_id(),
        timestamp: at(0).unix,
        step: Step::Initiate,
        handshake: [0; 16],
        body: Bytes::new(),
    };
    let cases = [
        ("party-1", "party-2", 2, Refusal::ForgedSignature),
        ("party-3", "party-2", 2, Refusal::SubjectMismatch),
        ("party-1", "party-3", 0, Refusal::SubjectMismatch),
        ("party-9", "party-2", 2, Refusal::UnknownSender),
    ];
    for (sender, recipient, signer, refusal) in cases {
        let bytes = statement(sender, recipient)
            .sign(&world.keys[signer], &world.roster)
            .unwrap();
        assert_eq!(links[1].on_message(bytes, at(0)), Err(refusal));
    }
    let junk = Bytes::from(vec![0; 2000]);
    assert_eq!(links[1].on_message(junk, at(0)), Err(Refusal::Oversize));
    assert!(!links[1].is_ready());
}

#[test]
fn t23_debug_shows_no_key() {
    let world = World::new();
    let link = world.link(1, 2, LinkOptions::default());
    let shown = format!("{link:?}");
    assert!(shown.starts_with("Link {"));
    assert!(!shown.contains(&hex::encode(world.keys[0].channel_secret())));
    assert!(!shown.contains("keys"));
}
