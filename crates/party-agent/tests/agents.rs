//! Real agents without an orchestrator: what they do together, and what a hostile one among them gets.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: a failed assumption should stop the test where it happens"
)]

#[allow(dead_code, reason = "shared with tests that need other parts of it")]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quorate_messaging::{Event, IdentitySigner, IdentityUnavailable, PartyKeys, Session};
use quorate_mpc_protocol::{Effect, Incoming, Seat, keygen};
use quorate_party_agent::judge::RefusalReason;
use quorate_storage::LedgerError;
use quorate_testkit::sim::ceremony_rng;
use quorate_types::node::{NodeReply, NodeRequest, Record, RunResult};
use quorate_types::{
    Action, CeremonyKind, Curve, DerivationPath, Hash32, KeyId, OperatorId, Payload, Recipient,
    RefusalCode, SessionDescriptor, SessionId, SignedDiscard, Threshold,
};
use rand_core::OsRng;
use support::{Committee, begin, party, prepare, refused};
use zeroize::Zeroizing;

fn refusal_code(reply: &NodeReply) -> &str {
    match reply {
        NodeReply::Refused(refusal) => refusal.code.as_str(),
        other => panic!("not a refusal: {other:?}"),
    }
}

fn sign_raw(committee: &Committee, key: KeyId, message: &[u8]) -> quorate_types::SignedIntent {
    committee.intent(Action::Sign {
        key,
        path: DerivationPath::root(),
        network: None,
        payload: Payload::Raw(message.to_vec()),
        purpose: String::new(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn i05_one_intent_has_one_result_and_a_run_is_begun_once() {
    let committee = Committee::new(2, 3, 3).await;
    let key = committee.active_key("k", Curve::Ed25519).await;
    let intent = sign_raw(&committee, key.id, b"once");
    let quorum = [party(1), party(3)];
    let nonces = committee.prepare(&intent, &quorum, &[1, 3]).await;
    let first = committee.begin(&intent, &nonces, &[1, 3]).await;
    let NodeReply::Finished(RunResult::Signatures(_)) = &first[0] else {
        panic!("not signed: {first:?}")
    };
    assert_eq!(first[0], first[1], "both have the same signature");

    let again = committee.agents[0].answer(begin(&intent, 0, &nonces)).await;
    assert_eq!(refusal_code(&again), "repeated");
    for attempt in [0, 1] {
        let reply = committee.agents[0]
            .answer(prepare(&intent, attempt, &quorum))
            .await;
        assert_eq!(
            reply, first[0],
            "asked again, the first result comes back and nothing is run"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_or_full_here_is_not_the_requests_fault() {
    let committee = Committee::new(2, 3, 3).await;
    let key = committee.active_key("k", Curve::Ed25519).await;
    let intent = sign_raw(&committee, key.id, b"stored");
    let ledger = &committee.homes[0].ledger;
    let stored = ledger.finish(intent.intent.hash(), b"no result", Vec::new());
    stored.unwrap();
    let quorum = [party(1), party(2)];
    let reply = committee.ask(1, prepare(&intent, 0, &quorum)).await;
    let said = refused(&reply, "local-fault");
    assert!(said.contains("the stored result is damaged"), "{said}");

    let full = LedgerError::DiskFull { action: "written" };
    assert_eq!(RefusalReason::from(full).code(), RefusalCode::DiskFull);
    let other = LedgerError::InUse;
    assert_eq!(RefusalReason::from(other).code(), RefusalCode::Storage);
}

#[tokio::test(flavor = "multi_thread")]
async fn i05_of_two_orchestrators_that_begin_at_once_one_wins() {
    let committee = Committee::new(2, 3, 3).await;
    let key = committee.active_key("k", Curve::Ed25519).await;
    let intent = sign_raw(&committee, key.id, b"race");
    let quorum = [party(1), party(2)];
    let nonces = committee.prepare(&intent, &quorum, &[1, 2]).await;
    let both = tokio::join!(
        committee.begin(&intent, &nonces, &[1, 2]),
        committee.begin(&intent, &nonces, &[1, 2])
    );
    for seat in 0..2 {
        let replies = [&both.0[seat], &both.1[seat]];
        let signed = replies
            .iter()
            .filter(|r| matches!(r, NodeReply::Finished(_)))
            .count();
        let refused = replies
            .iter()
            .filter(|r| matches!(r, NodeReply::Refused(x) if x.code.as_str() == "repeated"))
            .count();
        assert_eq!((signed, refused), (1, 1), "{replies:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nonces_of_another_run_are_refused_and_the_right_ones_still_work() {
    let committee = Committee::new(2, 3, 3).await;
    let key = committee.active_key("k", Curve::Ed25519).await;
    let intent = sign_raw(&committee, key.id, b"nonces");
    let quorum = [party(1), party(2)];
    let nonces = committee.prepare(&intent, &quorum, &[1, 2]).await;
    let swapped = [nonces[1], nonces[0]];
    for wrong in [swapped.as_slice(), &nonces[..1], &[]] {
        let reply = committee.agents[0].answer(begin(&intent, 0, wrong)).await;
        assert_eq!(refusal_code(&reply), "nonces");
    }
    let replies = committee.begin(&intent, &nonces, &[1, 2]).await;
    assert!(
        replies.iter().all(|r| matches!(r, NodeReply::Finished(_))),
        "{replies:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_not_every_party_attested_does_not_sign() {
    let committee = Committee::new(2, 3, 3).await;
    let intent = committee.create_key("half", Curve::Ed25519);
    let replies = committee
        .run(&intent, &committee.everyone(), &[1, 2, 3])
        .await;
    let mut attested: Vec<_> = replies
        .into_iter()
        .map(|reply| match reply {
            NodeReply::Finished(RunResult::Attested {
                record,
                attestation,
            }) => (record, attestation),
            other => panic!("no key: {other:?}"),
        })
        .collect();
    let Record::Key(key) = attested[0].0.clone() else {
        panic!("not a key")
    };
    let sign = sign_raw(&committee, key.id, b"early");
    let reply = committee.agents[0]
        .answer(prepare(&sign, 0, &[party(1), party(2)]))
        .await;
    assert_eq!(refusal_code(&reply), "key-not-active");

    let (record, first) = attested.swap_remove(0);
    let mut forged = first.clone();
    forged.party = party(2);
    for attestations in [
        vec![first.clone()],
        vec![first.clone(); 3],
        vec![first, forged],
    ] {
        let request = NodeRequest::Activate {
            record: record.clone(),
            attestations,
        };
        let reply = committee.agents[0].answer(request).await;
        assert_eq!(refusal_code(&reply), "not-attested");
    }
}

/// The third party runs two ends of the session, each with one of the others, and commits to different things. Neither sees what
/// the other was sent; the echo tells them that they differ, the exchanged statements tell them who lied.
#[tokio::test(flavor = "multi_thread")]
async fn t06_an_agent_that_equivocates_is_convicted_by_both_others() {
    let committee = Committee::new(2, 3, 2).await;
    let intent = committee.create_key("k", Curve::Secp256k1);
    let mut nonces = committee
        .prepare(&intent, &committee.everyone(), &[1, 2])
        .await;
    nonces.push([7; 32]);
    let session = keygen_session(&committee, &intent, &nonces);
    let liar = equivocate(
        committee.two_ends(session).await,
        session,
        committee.roster.threshold(),
    );
    // The liar waits for what it answers to, which does not come if a ceremony ends early.
    let replies = tokio::select! {
        replies = committee.begin(&intent, &nonces, &[1, 2]) => replies,
        never = async { liar.await; std::future::pending().await } => never,
    };
    for reply in replies {
        let NodeReply::Failed(failure) = reply else {
            panic!("not failed: {reply:?}")
        };
        assert_eq!(failure.code.as_str(), "equivocation", "{failure}");
        assert_eq!(failure.culprits, [party(3)]);
    }
}

/// The session of a key's creation by everyone, first attempt.
fn keygen_session(
    committee: &Committee,
    intent: &quorate_types::SignedIntent,
    nonces: &[[u8; 32]],
) -> SessionId {
    SessionDescriptor {
        kind: CeremonyKind::Keygen,
        intent: intent.intent.hash(),
        policy: committee.policy_hash(),
        key: Some(KeyId::from_bytes(*intent.intent.hash().as_bytes())),
        epoch: 0,
        participants: committee.everyone(),
        attempt: 0,
        item: 0,
        nonces: nonces.to_vec(),
        protocol: None,
    }
    .session_id()
}

/// Plays the third party of a DKG twice, once with each of the others, from different randomness.
async fn equivocate(ends: [Session; 2], session: SessionId, threshold: Threshold) {
    let mut faces = Vec::new();
    for (number, end) in (1u64..).zip(&ends) {
        let seat = Seat::new(session, 2, 3).unwrap();
        let mut face = keygen(seat, threshold, Curve::Secp256k1, ceremony_rng(number, 2)).unwrap();
        say(end, face.begin()).await;
        faces.push(face);
    }
    let commitments = [
        first_broadcast(&ends[0], 0).await,
        first_broadcast(&ends[1], 1).await,
    ];
    for (end, mut face) in ends.iter().zip(faces) {
        for commitment in &commitments {
            say(end, face.deliver(commitment.clone())).await;
        }
    }
}

async fn say(end: &Session, effects: Vec<Effect>) {
    for effect in effects {
        if let Effect::Send(message) = effect {
            end.send(Recipient::Everyone, message.round, message.payload)
                .await
                .unwrap();
        }
    }
}

async fn first_broadcast(end: &Session, from: u16) -> Incoming {
    loop {
        if let Event::Message(message) = end.recv().await
            && message.round == 0
        {
            return Incoming {
                from,
                round: 0,
                broadcast: true,
                payload: message.payload.to_vec(),
                statement: None,
            };
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t15_what_was_prepared_in_time_is_not_begun_after_the_intent_has_expired() {
    let committee = Committee::new(2, 3, 3).await;
    let key = committee.active_key("k", Curve::Ed25519).await;
    let mut intent = sign_raw(&committee, key.id, b"late").intent;
    intent.expires_at = quorate_service::now_ms() + 1_000;
    let intent = committee.signed(intent);
    let quorum = [party(1), party(2)];
    let nonces = committee.prepare(&intent, &quorum, &[1, 2]).await;
    while quorate_service::now_ms() < intent.intent.expires_at {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    for agent in &committee.agents[..2] {
        let reply = agent.answer(begin(&intent, 0, &nonces)).await;
        assert_eq!(refusal_code(&reply), "not-prepared");
    }
}

/// The third party says its first words twice, which is harmless, and then nothing: it must not buy time with that.
#[tokio::test(flavor = "multi_thread")]
async fn t30_a_party_that_repeats_itself_and_falls_silent_is_named_within_the_time_out() {
    let committee = Committee::new(2, 3, 2).await;
    let intent = committee.create_key("k", Curve::Secp256k1);
    let mut nonces = committee
        .prepare(&intent, &committee.everyone(), &[1, 2])
        .await;
    nonces.push([7; 32]);
    let session = keygen_session(&committee, &intent, &nonces);
    let seat = Seat::new(session, 2, 3).unwrap();
    let mut ceremony = keygen(
        seat,
        committee.roster.threshold(),
        Curve::Secp256k1,
        ceremony_rng(1, 2),
    )
    .unwrap();
    let first = ceremony.begin();
    let end = committee.end(session).await;
    for effect in first {
        if let Effect::Send(message) = effect {
            for _ in 0..2 {
                let payload = message.payload.clone();
                end.send(Recipient::Everyone, message.round, payload)
                    .await
                    .unwrap();
            }
        }
    }
    for reply in committee.begin(&intent, &nonces, &[1, 2]).await {
        let NodeReply::Failed(failure) = reply else {
            panic!("not failed: {reply:?}")
        };
        let named = failure.missing == [party(3)] || failure.code.as_str() == "peer-aborted";
        assert!(named, "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attestations_that_prove_nothing_are_not_kept() {
    let committee = Committee::new(2, 3, 3).await;
    let key = committee.active_key("k", Curve::Ed25519).await;
    let page = committee.agents[0]
        .answer(NodeRequest::Keys { after: None })
        .await;
    let NodeReply::Keys(listings) = page else {
        panic!("not keys: {page:?}")
    };
    let mut padded = listings[0].attestations.clone();
    let mut junk = padded[0].clone();
    junk.signature = [0; 64];
    padded.splice(0..0, std::iter::repeat_n(junk, 1000));
    let request = NodeRequest::Activate {
        record: Record::Key(key),
        attestations: padded,
    };
    assert_eq!(committee.agents[0].answer(request).await, NodeReply::Active);
    let again = committee.agents[0]
        .answer(NodeRequest::Keys { after: None })
        .await;
    assert_eq!(again, NodeReply::Keys(listings));
}

/// A token that may be pulled out.
#[derive(Debug)]
struct Token {
    keys: PartyKeys,
    gone: AtomicBool,
}

impl IdentitySigner for Token {
    fn public(&self) -> [u8; 32] {
        self.keys.identity()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], IdentityUnavailable> {
        if self.gone.load(Ordering::SeqCst) {
            return Err(IdentityUnavailable("no such token".to_owned()));
        }
        self.keys.sign(message)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_identity_is_gone_says_so_and_blames_nobody() {
    let mut keys: Vec<_> = (0..3).map(|_| PartyKeys::generate(&mut OsRng)).collect();
    let inside = keys.remove(0);
    let bytes = inside.to_secret_bytes();
    let channel = Zeroizing::new(<[u8; 32]>::try_from(&bytes[32..]).unwrap());
    let token = Arc::new(Token {
        keys: inside,
        gone: AtomicBool::new(false),
    });
    keys.insert(0, PartyKeys::with_signer(token.clone(), &channel));
    let committee = Committee::with_keys(2, keys, 3).await;
    let key = committee.active_key("k", Curve::Ed25519).await;

    let intent = sign_raw(&committee, key.id, b"gone");
    let quorum = [party(1), party(2)];
    let nonces = committee.prepare(&intent, &quorum, &[1, 2]).await;
    token.gone.store(true, Ordering::SeqCst);
    let replies = committee.begin(&intent, &nonces, &[1]).await;
    let NodeReply::Failed(failure) = &replies[0] else {
        panic!("it did something: {replies:?}");
    };
    assert_eq!(failure.code.as_str(), "identity-unavailable");
    assert!(failure.reason.contains("no such token"), "{failure:?}");
    assert!(failure.culprits.is_empty() && failure.missing.is_empty());

    token.gone.store(false, Ordering::SeqCst);
    let intent = sign_raw(&committee, key.id, b"back");
    let replies = committee.run(&intent, &quorum, &[1, 2]).await;
    assert!(
        replies.iter().all(|r| matches!(r, NodeReply::Finished(_))),
        "{replies:?}"
    );
}

async fn listed(committee: &Committee, number: usize) -> Vec<bool> {
    match committee
        .ask(number, NodeRequest::Keys { after: None })
        .await
    {
        NodeReply::Keys(keys) => keys.iter().map(|key| key.active).collect(),
        other => panic!("not keys: {other:?}"),
    }
}

/// Discarding destroys nothing: whoever attested a key cannot know that nobody has all
/// attestations.
#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_key_is_listed_no_more_and_still_comes_into_force_once_all_attested() {
    let mut committee = Committee::new(2, 3, 3).await;
    let intent = committee.create_key("half", Curve::Ed25519);
    let (record, attestations) = committee.agree(&intent).await;
    let Record::Key(key) = record.clone() else {
        panic!("not a key")
    };
    assert_eq!(listed(&committee, 1).await, [false]);
    let wish = committee.discard(key.id);
    for change in [
        |w: &mut SignedDiscard| w.signature[7] ^= 1,
        |w: &mut SignedDiscard| w.discard.cluster = Hash32::from_bytes([1; 32]),
        |w: &mut SignedDiscard| w.discard.operator = OperatorId::new("stranger").unwrap(),
    ] {
        let mut wrong = wish.clone();
        change(&mut wrong);
        let reply = committee.ask(1, NodeRequest::Discard(wrong)).await;
        assert_eq!(refusal_code(&reply), "operator-signature");
    }
    let other = committee.discard(KeyId::from_bytes([1; 32]));
    let reply = committee.ask(1, NodeRequest::Discard(other)).await;
    assert_eq!(refusal_code(&reply), "key-unknown");
    assert_eq!(listed(&committee, 1).await, [false]);

    for _ in 0..2 {
        let reply = committee.ask(1, NodeRequest::Discard(wish.clone())).await;
        assert_eq!(reply, NodeReply::Noted);
        assert!(listed(&committee, 1).await.is_empty());
    }
    committee.restart(1).await;
    assert!(
        listed(&committee, 1).await.is_empty(),
        "after a restart too"
    );

    for number in [1, 2, 3] {
        let request = NodeRequest::Activate {
            record: record.clone(),
            attestations: attestations.clone(),
        };
        assert_eq!(committee.ask(number, request).await, NodeReply::Active);
    }
    assert_eq!(listed(&committee, 1).await, [true]);
    let reply = committee.ask(1, NodeRequest::Discard(wish)).await;
    assert_eq!(refusal_code(&reply), "key-in-force");
    committee.restart(1).await;
    assert_eq!(listed(&committee, 1).await, [true]);
    let sign = sign_raw(&committee, key.id, b"after all");
    let replies = committee.run(&sign, &[party(1), party(2)], &[1, 2]).await;
    let signed = |r: &NodeReply| matches!(r, NodeReply::Finished(_));
    assert!(replies.iter().all(signed), "{replies:?}");
}

/// What is ordered, and by whom it is heard, is not the orchestrator's to say.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_signs_what_is_in_force_with_it_over_the_challenge() {
    let committee = Committee::new(2, 3, 1).await;
    let challenge = Hash32::from_bytes([7; 32]);
    let reply = committee.ask(1, NodeRequest::Affirm { challenge }).await;
    let NodeReply::Affirmed(signed) = reply else {
        panic!("not affirmed: {reply:?}")
    };
    let good = signed
        .verify(&committee.roster, &party(1), challenge)
        .unwrap();
    assert_eq!(good.policy, Some(committee.policy_hash()));
    assert_eq!((good.policy_version, good.orders.len()), (1, 0));
    let roster = &committee.roster;
    let other = Hash32::from_bytes([8; 32]);
    assert!(
        signed.verify(roster, &party(1), other).is_none(),
        "not fresh"
    );
    assert!(signed.verify(roster, &party(2), challenge).is_none());
    let mut forged = signed.clone();
    forged.affirmation.policy_version = 2;
    assert!(forged.verify(roster, &party(1), challenge).is_none());
    let mut forged = signed;
    forged.affirmation.party = party(2);
    assert!(forged.verify(roster, &party(2), challenge).is_none());
}
