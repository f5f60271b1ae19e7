//! FROST nonces made ahead, in real agents: signed with in one round, used once, and gone with the process (I4, T04).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where an assumption fails"
)]

#[allow(dead_code, reason = "shared with tests that need other parts of it")]
mod support;

use quorate_chain::{analyse_for, combine};
use quorate_party_agent::{LogEntry, PresignConfig};
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{NodeReply, NodeRequest, RunResult};
use quorate_types::{
    Action, Batch, Curve, DerivationPath, Hash32, KeyRecord, NonceCommitments, PartialSignature,
    Payload, Preprocessed, Signature, SignedIntent, SignedPartials,
};
use support::{Committee, begin, party, refused};

/// A key of FROST, for which the first two custodians of three sign.
struct Signing {
    committee: Committee,
    key: KeyRecord,
}

impl Signing {
    async fn new(curve: Curve) -> Self {
        Self::with(PresignConfig::default(), curve).await
    }

    async fn with(presign: PresignConfig, curve: Curve) -> Self {
        let mut committee = Committee::new(2, 3, 3).await;
        committee.presign = presign;
        for number in 1..=3 {
            committee.restart(number).await;
        }
        let key = committee.active_key("hot", curve).await;
        Self { committee, key }
    }

    async fn commit(&self, number: usize, count: u32) -> Vec<NonceCommitments> {
        let key = self.key.id;
        match self
            .committee
            .ask(number, NodeRequest::Commit { key, count })
            .await
        {
            NodeReply::Commitments(list) => list,
            other => panic!("{other:?}"),
        }
    }

    /// One list of both signers'.
    async fn list(&self) -> Vec<NonceCommitments> {
        let [one, two] = [self.commit(1, 1).await, self.commit(2, 1).await];
        [one, two].concat()
    }

    fn raw(&self, message: &[u8]) -> SignedIntent {
        self.intent(Payload::Raw(message.to_vec()))
    }

    fn batch(&self, messages: &[&[u8]]) -> SignedIntent {
        let members = messages
            .iter()
            .map(|message| Payload::Raw(message.to_vec()));
        self.intent(Payload::Batch(Batch::new(members.collect()).unwrap()))
    }

    fn intent(&self, payload: Payload) -> SignedIntent {
        self.committee.sign(&self.key, payload)
    }

    /// What an agent's log says of each run that was begun to sign: what it used up.
    fn begun(&self, number: usize) -> Vec<Vec<Hash32>> {
        let leaves = self.committee.homes[number - 1].ledger.leaves(0, 1000);
        let entries = leaves
            .unwrap()
            .into_iter()
            .map(|(_, leaf)| LogEntry::from_canonical_bytes(&leaf, 1 << 20).unwrap());
        let used = |entry| match entry {
            LogEntry::Begun {
                sessions,
                presignatures,
                ..
            } if !presignatures.is_empty() => {
                assert_eq!(sessions.len(), presignatures.len());
                Some(presignatures)
            }
            _ => None,
        };
        entries.filter_map(used).collect()
    }

    fn combine(&self, message: &[u8], partials: &[PartialSignature]) -> Option<Signature> {
        let payload = Payload::Raw(message.to_vec());
        let (child, analysis) =
            analyse_for(&payload, None, &self.key, &DerivationPath::root()).unwrap();
        combine(analysis.items[0].message(), &child, partials).ok()
    }
}

fn issue(intent: &SignedIntent, attempt: u32, list: &[NonceCommitments]) -> NodeRequest {
    issue_items(intent, attempt, &[list.to_vec()])
}

fn issue_items(
    intent: &SignedIntent,
    attempt: u32,
    lists: &[Vec<NonceCommitments>],
) -> NodeRequest {
    NodeRequest::Issue {
        intent: intent.clone(),
        approvals: Vec::new(),
        attempt,
        participants: vec![party(1), party(2)],
        preprocessed: Preprocessed::Nonces(lists.to_vec()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nonces_sign_in_one_round_and_the_result_is_settled() {
    let signing = Signing::new(Curve::Ed25519).await;
    let list = signing.list().await;
    let intent = signing.raw(b"pay");
    let mut partials = Vec::new();
    for number in [1, 2] {
        let request = issue(&intent, 0, &list);
        let said = signing.committee.partials(number, request.clone()).await;
        assert!(said.is_signed(&signing.committee.roster));
        // An answer may get lost: the same request has the same answer.
        assert_eq!(signing.committee.partials(number, request).await, said);
        partials.push(said.partials[0]);
    }
    let signature = signing.combine(b"pay", &partials).unwrap();
    assert_eq!(signing.combine(b"pay", &partials[..1]), None);
    let settle = NodeRequest::Settle {
        intent: intent.intent.hash(),
        signatures: vec![signature],
    };
    assert_eq!(signing.committee.ask(1, settle).await, NodeReply::Noted);
    // I5: asked again, the same result comes, whatever it is asked with.
    let again = issue(&intent, 1, &signing.list().await);
    assert_eq!(
        signing.committee.ask(1, again).await,
        NodeReply::Finished(RunResult::Signatures(vec![signature]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn t04_i04_nonces_are_used_once_whoever_asks_at_once() {
    let signing = Signing::new(Curve::Ed25519).await;
    let list = signing.list().await;
    let intents: Vec<_> = (0..8u8).map(|n| signing.raw(&[n])).collect();
    // The second signer's are others each time: only one's own are what must not be used again.
    let theirs = signing.commit(2, 8).await;
    let asked = intents.iter().zip(theirs).map(|(intent, second)| {
        let list = vec![list[0].clone(), second];
        signing.committee.ask(1, issue(intent, 0, &list))
    });
    let replies = futures::future::join_all(asked).await;
    let used = |r: &&NodeReply| matches!(r, NodeReply::Finished(RunResult::Partials(_)));
    assert_eq!(replies.iter().filter(used).count(), 1, "{replies:?}");
    for reply in replies.iter().filter(|r| !used(r)) {
        refused(reply, "presignature-unavailable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t04_i04_no_process_has_the_nonces_of_another() {
    let mut signing = Signing::new(Curve::Ed25519).await;
    let list = signing.list().await;
    let old = signing.committee.copy_of_disk(1);
    let intent = signing.raw(b"pay");
    signing
        .committee
        .partials(1, issue(&intent, 0, &list))
        .await;
    // After a crash, and with an old disk.
    let other = signing.raw(b"another");
    signing.committee.restart(1).await;
    let reply = signing.committee.ask(1, issue(&other, 0, &list)).await;
    refused(&reply, "presignature-unavailable");
    signing.committee.restart_from(1, old).await;
    let reply = signing.committee.ask(1, issue(&other, 0, &list)).await;
    refused(&reply, "presignature-unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn t04_i04_nonces_are_for_one_item_of_one_key() {
    let signing = Signing::new(Curve::Ed25519).await;
    let list = signing.list().await;
    let intent = signing.raw(b"pay");
    for lists in [
        vec![],
        vec![list.clone(), list.clone()],
        vec![list[..1].to_vec()],
        vec![[list.clone(), list.clone()].concat()],
    ] {
        refused(
            &signing
                .committee
                .ask(1, issue_items(&intent, 0, &lists))
                .await,
            "presignature-count",
        );
    }
    // In another's place.
    let swapped = vec![list[1].clone(), list[0].clone()];
    let reply = signing.committee.ask(1, issue(&intent, 0, &swapped)).await;
    refused(&reply, "presignature-unavailable");
    // Another key's.
    let cold = signing.committee.active_key("cold", Curve::Ed25519).await;
    let for_cold = signing.committee.intent(Action::Sign {
        key: cold.id,
        path: DerivationPath::root(),
        network: None,
        payload: Payload::Raw(b"pay".to_vec()),
        purpose: String::new(),
    });
    let reply = signing.committee.ask(1, issue(&for_cold, 0, &list)).await;
    refused(&reply, "presignature-unavailable");
    // Presignatures are another thing.
    let mut request = issue_items(&intent, 0, &[]);
    if let NodeRequest::Issue { preprocessed, .. } = &mut request {
        *preprocessed = Preprocessed::Presignatures(vec![Hash32::from_bytes([1; 32])]);
    }
    refused(
        &signing.committee.ask(1, request).await,
        "presignature-count",
    );
    // Nothing of that used any up.
    signing
        .committee
        .partials(1, issue(&intent, 0, &list))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_one_request_with_a_list_for_each_of_its_items() {
    let signing = Signing::new(Curve::Ed25519).await;
    let members: [&[u8]; 3] = [b"one", b"two", b"three"];
    let intent = signing.batch(&members);
    let lists = [
        signing.list().await,
        signing.list().await,
        signing.list().await,
    ];
    let reply = signing
        .committee
        .ask(1, issue_items(&intent, 0, &lists[..2]))
        .await;
    refused(&reply, "presignature-count");
    // One member that may not be signed: a Solana message, as raw bytes.
    let solana = [&[1, 0, 0, 1][..], &[7; 32], &[8; 32], &[0]].concat();
    let bad = signing.batch(&[b"one", b"two", &solana]);
    let reply = signing.committee.ask(1, issue_items(&bad, 0, &lists)).await;
    refused(&reply, "raw-is-solana-message");
    assert!(signing.begun(1).is_empty());

    // Nothing of that used any up.
    let mut said = Vec::new();
    for number in [1, 2] {
        let request = issue_items(&intent, 0, &lists);
        let partials = signing.committee.partials(number, request).await.partials;
        assert_eq!(partials.len(), 3);
        said.push(partials);
        let own = lists.iter().map(|list| list[number - 1].id());
        assert_eq!(signing.begun(number), [own.collect::<Vec<_>>()]);
    }
    for (item, message) in members.iter().enumerate() {
        let both = [said[0][item], said[1][item]];
        assert!(signing.combine(message, &both).is_some());
        assert!(signing.combine(members[(item + 1) % 3], &both).is_none());
    }
    // I4: each of them is gone, whatever else it is asked for with.
    for list in &lists {
        let reply = signing
            .committee
            .ask(1, issue(&signing.raw(b"four"), 0, list))
            .await;
        refused(&reply, "presignature-unavailable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_request_signs_with_nonces_when_it_begins() {
    let signing = Signing::new(Curve::Secp256k1).await;
    let reply = signing
        .committee
        .ask(
            1,
            NodeRequest::Commit {
                key: signing.key.id,
                count: 1,
            },
        )
        .await;
    // ECDSA has presignatures.
    refused(&reply, "presignatures-full");

    let signing = Signing::new(Curve::Ed25519).await;
    let list = signing.list().await;
    let intent = signing.raw(b"pay");
    let mut nonces = Vec::new();
    for number in [1, 2] {
        let request = NodeRequest::Prepare {
            intent: intent.clone(),
            approvals: Vec::new(),
            witnesses: Vec::new(),
            attempt: 0,
            participants: vec![party(1), party(2)],
            preprocessed: Preprocessed::Nonces(vec![list.clone()]),
            protocol: None,
        };
        match signing.committee.ask(number, request).await {
            NodeReply::Prepared { nonce, .. } => nonces.push(nonce),
            other => panic!("{other:?}"),
        }
    }
    let mut partials = Vec::new();
    for number in [1, 2] {
        let said = signing
            .committee
            .partials(number, begin(&intent, 0, &nonces))
            .await;
        partials.push(said.partials[0]);
    }
    assert!(signing.combine(b"pay", &partials).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_share_names_its_signer_and_only_if_it_signed_it() {
    let signing = Signing::new(Curve::Ed25519).await;
    let list = signing.list().await;
    let intent = signing.raw(b"pay");
    let mut said = Vec::new();
    for number in [1, 2] {
        let request = issue(&intent, 0, &list);
        said.push(signing.committee.partials(number, request).await);
    }
    let culprits = async |partials: &[SignedPartials]| {
        let blame = NodeRequest::Blame {
            intent: intent.intent.hash(),
            attempt: 0,
            partials: partials.to_vec(),
        };
        match signing.committee.ask(1, blame).await {
            NodeReply::Failed(failure) => failure.culprits,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(culprits(&said).await, []);
    match &mut said[1].partials[0] {
        PartialSignature::Schnorr(partial) => partial.share[0] ^= 1,
        PartialSignature::Ecdsa(_) => panic!("of an Ed25519 key"),
    }
    let both = [said[0].partials[0], said[1].partials[0]];
    assert_eq!(signing.combine(b"pay", &both), None);
    // Whoever carries it may have changed it.
    assert_eq!(culprits(&said).await, []);
    let signature = signing.committee.keys[1].sign(&said[1].signing_bytes());
    said[1].signature = signature.unwrap();
    assert_eq!(culprits(&said).await, [party(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nonces_are_bounded_and_none_are_made_for_a_key_that_is_off() {
    let signing = Signing::new(Curve::Ed25519).await;
    let many = signing.commit(1, u32::MAX).await;
    assert_eq!(many.len(), NodeRequest::MAX_COMMIT as usize);
    let first = signing.list().await;
    // The oldest make room.
    for _ in 0..(16 * 1024 / NodeRequest::MAX_COMMIT) {
        signing.commit(1, NodeRequest::MAX_COMMIT).await;
    }
    let intent = signing.raw(b"pay");
    let reply = signing.committee.ask(1, issue(&intent, 0, &first)).await;
    refused(&reply, "presignature-unavailable");
    let signing = Signing::with(
        PresignConfig {
            off: vec!["hot".parse().unwrap()],
            ..PresignConfig::default()
        },
        Curve::Ed25519,
    )
    .await;
    let commit = NodeRequest::Commit {
        key: signing.key.id,
        count: 1,
    };
    refused(
        &signing.committee.ask(1, commit).await,
        "presignatures-full",
    );
}
