//! Presignatures in real agents: made in the background, used once, and never again (I4, T04).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where an assumption fails"
)]

#[allow(dead_code, reason = "shared with tests that need other parts of it")]
mod support;

use std::time::Duration;

use quorate_chain::{SigningMessage, combine};
use quorate_party_agent::PresignConfig;
use quorate_testkit::policy::PERMISSIVE;
use quorate_types::node::{NodeReply, NodeRequest, RunResult};
use quorate_types::{
    Action, Curve, DerivationPath, Hash32, HashAlgorithm, KeyRecord, PartialSignature, PartyId,
    Payload, PoolLevel, Preimage, Preprocessed, PresignaturePool, Signature, SignedIntent,
    SignedPartials,
};
use support::{Committee, party, refused};

/// A key of a committee that is set up for ECDSA, and which of it signs.
struct Signing {
    committee: Committee,
    key: KeyRecord,
    pool: PresignaturePool,
}

impl Signing {
    async fn new(presign: PresignConfig) -> Self {
        let mut committee = Committee::new(2, 3, 3).await;
        committee.presign = presign;
        committee.set_up().await;
        let key = committee.active_key("hot", Curve::Secp256k1).await;
        let pool = PresignaturePool {
            key: key.id,
            epoch: 0,
            path: DerivationPath::root(),
            signers: vec![party(1), party(2)],
        };
        Self {
            committee,
            key,
            pool,
        }
    }

    /// With this many presignatures of the first two.
    async fn stocked(count: u16) -> Self {
        let this = Self::new(PresignConfig {
            low: 1,
            high: count,
            ..PresignConfig::default()
        })
        .await;
        this.sign_interactively(b"first").await;
        this.fill(usize::from(count)).await;
        this
    }

    fn raw(&self, message: &[u8]) -> SignedIntent {
        self.committee.raw(&self.key, message)
    }

    async fn sign_interactively(&self, message: &[u8]) {
        let intent = self.raw(message);
        let replies = self
            .committee
            .run(&intent, &self.pool.signers, &[1, 2])
            .await;
        let signed = |r: &NodeReply| matches!(r, NodeReply::Finished(RunResult::Signatures(_)));
        assert!(replies.iter().all(signed), "{replies:?}");
    }

    async fn level(&self, number: usize) -> Option<PoolLevel> {
        match self.committee.ask(number, NodeRequest::Pools).await {
            NodeReply::Pools(levels) => levels.into_iter().find(|l| l.pool == self.pool),
            other => panic!("{other:?}"),
        }
    }

    /// What both signers have.
    async fn ids(&self) -> Vec<Hash32> {
        let [one, two] = [self.level(1).await, self.level(2).await].map(Option::unwrap);
        one.ids
            .into_iter()
            .filter(|id| two.ids.contains(id))
            .collect()
    }

    fn prepare_presign(&self, count: u32, useful: Vec<Hash32>) -> NodeRequest {
        NodeRequest::PreparePresign {
            pool: self.pool.clone(),
            count,
            useful,
        }
    }

    async fn promise(&self, count: u32) -> (Vec<[u8; 32]>, u32) {
        let useful = self.ids().await;
        let mut nonces = Vec::new();
        let mut least = count;
        for number in [1, 2] {
            match self
                .committee
                .ask(number, self.prepare_presign(count, useful.clone()))
                .await
            {
                NodeReply::Prepared { nonce, items } => {
                    nonces.push(nonce);
                    least = least.min(items);
                }
                other => panic!("{other:?}"),
            }
        }
        (nonces, least)
    }

    /// Has them make presignatures until both have that many.
    async fn fill(&self, wanted: usize) {
        while self.ids().await.len() < wanted {
            let (nonces, count) = self.promise(64).await;
            for number in [1, 2] {
                let nonces = nonces.clone();
                let begin = NodeRequest::BeginPresign { nonces, count };
                assert_eq!(self.committee.ask(number, begin).await, NodeReply::Running);
            }
            self.made().await;
        }
    }

    /// Waits until nothing is being made.
    async fn made(&self) {
        loop {
            let levels = [self.level(1).await.unwrap(), self.level(2).await.unwrap()];
            if levels.iter().all(|level| level.making == 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn issue(&self, intent: &SignedIntent, attempt: u32, ids: &[Hash32]) -> NodeRequest {
        NodeRequest::Issue {
            intent: intent.clone(),
            approvals: Vec::new(),
            attempt,
            participants: self.pool.signers.clone(),
            preprocessed: Preprocessed::Presignatures(ids.to_vec()),
        }
    }

    fn combine(&self, message: &[u8], partials: &[PartialSignature]) -> Option<Signature> {
        let preimage = Preimage::new(HashAlgorithm::Sha256, message.to_vec());
        combine(
            &SigningMessage::Ecdsa(preimage),
            &self.key.public_key,
            partials,
        )
        .ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_presignature_signs_in_one_round_and_the_result_is_settled() {
    let signing = Signing::stocked(2).await;
    let ids = signing.ids().await;
    let intent = signing.raw(b"pay");
    let mut partials = Vec::new();
    for number in [1, 2] {
        let said = signing
            .committee
            .partials(number, signing.issue(&intent, 0, &ids[..1]))
            .await;
        assert_eq!(said.party, party(number));
        assert!(said.is_signed(&signing.committee.roster));
        partials.push(said.partials[0]);
    }
    let signature = signing.combine(b"pay", &partials).unwrap();
    assert_eq!(signing.ids().await, ids[1..]);
    let settle = |signatures| NodeRequest::Settle {
        intent: intent.intent.hash(),
        signatures,
    };
    let other = signing.combine(b"pay", &partials[..1]);
    assert_eq!(other, None);
    refused(
        &signing.committee.ask(1, settle(Vec::new())).await,
        "nothing-issued",
    );
    assert_eq!(
        signing.committee.ask(1, settle(vec![signature])).await,
        NodeReply::Noted
    );
    // I5: asked again, the same result comes, and nothing is used up.
    let again = signing
        .committee
        .ask(1, signing.issue(&intent, 1, &ids[1..]))
        .await;
    assert_eq!(
        again,
        NodeReply::Finished(RunResult::Signatures(vec![signature]))
    );
    assert_eq!(signing.ids().await, ids[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn t04_i04_a_presignature_is_used_once_whoever_asks_at_once() {
    let signing = Signing::stocked(1).await;
    let ids = signing.ids().await;
    let intents: Vec<_> = (0..8u8).map(|n| signing.raw(&[n])).collect();
    let asked = intents
        .iter()
        .map(|intent| signing.committee.ask(1, signing.issue(intent, 0, &ids)));
    let replies = futures::future::join_all(asked).await;
    let used = |r: &&NodeReply| matches!(r, NodeReply::Finished(RunResult::Partials(_)));
    assert_eq!(replies.iter().filter(used).count(), 1, "{replies:?}");
    for reply in replies.iter().filter(|r| !used(r)) {
        refused(reply, "presignature-unavailable");
    }
}

/// An answer may get lost: the same request has the same answer, another under its number has none.
#[tokio::test(flavor = "multi_thread")]
async fn i04_i05_a_repeated_request_has_the_same_answer_and_uses_nothing_up() {
    let signing = Signing::stocked(2).await;
    let ids = signing.ids().await;
    let intent = signing.raw(b"pay");
    let request = signing.issue(&intent, 0, &ids[..1]);
    let first = signing.committee.partials(1, request.clone()).await;
    assert_eq!(signing.committee.partials(1, request).await, first);
    let other = signing
        .committee
        .ask(1, signing.issue(&intent, 0, &ids[1..]))
        .await;
    refused(&other, "repeated");
    assert_eq!(signing.level(1).await.unwrap().ids, ids[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn t04_i04_one_presignature_does_not_sign_two_items_or_for_others() {
    let signing = Signing::stocked(2).await;
    let ids = signing.ids().await;
    let intent = signing.raw(b"pay");
    let two = signing
        .committee
        .ask(1, signing.issue(&intent, 0, &ids))
        .await;
    refused(&two, "presignature-count");
    let none = signing
        .committee
        .ask(1, signing.issue(&intent, 0, &[]))
        .await;
    refused(&none, "presignature-count");
    // Another order of the signers, other signers: T03.
    for signers in [[2, 1], [1, 3]] {
        let mut request = signing.issue(&intent, 0, &ids[..1]);
        if let NodeRequest::Issue { participants, .. } = &mut request {
            *participants = signers.iter().map(|n| party(*n)).collect::<Vec<PartyId>>();
        }
        refused(
            &signing.committee.ask(1, request).await,
            "presignature-unavailable",
        );
    }
    // Another child: T03.
    let child = signing.committee.intent(Action::Sign {
        key: signing.key.id,
        path: "m/1".parse().unwrap(),
        network: None,
        payload: Payload::Raw(b"pay".to_vec()),
        purpose: String::new(),
    });
    let reply = signing
        .committee
        .ask(1, signing.issue(&child, 0, &ids[..1]))
        .await;
    refused(&reply, "presignature-unavailable");
    // Nothing of that used any up.
    assert_eq!(signing.ids().await, ids);
    signing
        .committee
        .partials(1, signing.issue(&intent, 0, &ids[..1]))
        .await;
}

/// A crash between using a presignature and sending the partial signature, an old disk put back, and a copy of the disk come to the same:
/// another process reads a ledger in which the presignature still is.
#[tokio::test(flavor = "multi_thread")]
async fn t04_i04_an_old_disk_has_no_presignature_that_could_be_used_again() {
    let mut signing = Signing::stocked(1).await;
    let ids = signing.ids().await;
    let old = signing.committee.copy_of_disk(1);
    let intent = signing.raw(b"pay");
    signing
        .committee
        .partials(1, signing.issue(&intent, 0, &ids))
        .await;
    // The disk as it is now, and as it was before.
    signing.committee.restart(1).await;
    let other = signing.raw(b"another");
    let reply = signing
        .committee
        .ask(1, signing.issue(&other, 0, &ids))
        .await;
    refused(&reply, "presignature-unavailable");
    signing.committee.restart_from(1, old).await;
    let reply = signing
        .committee
        .ask(1, signing.issue(&other, 0, &ids))
        .await;
    refused(&reply, "presignature-unavailable");
    assert_eq!(signing.level(1).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_partial_signature_names_its_signer_and_only_if_it_signed_it() {
    let signing = Signing::stocked(1).await;
    let ids = signing.ids().await;
    let intent = signing.raw(b"pay");
    let mut said = Vec::new();
    for number in [1, 2] {
        said.push(
            signing
                .committee
                .partials(number, signing.issue(&intent, 0, &ids))
                .await,
        );
    }
    let blame = |partials: &[SignedPartials]| NodeRequest::Blame {
        intent: intent.intent.hash(),
        attempt: 0,
        partials: partials.to_vec(),
    };
    let culprits =
        async |partials: &[SignedPartials]| match signing.committee.ask(1, blame(partials)).await {
            NodeReply::Failed(failure) => failure.culprits,
            other => panic!("{other:?}"),
        };
    assert_eq!(culprits(&said).await, []);
    match &mut said[1].partials[0] {
        PartialSignature::Ecdsa(partial) => partial.sigma[31] ^= 1,
        PartialSignature::Schnorr(_) => panic!("not of an ECDSA key"),
    }
    let both = [said[0].partials[0], said[1].partials[0]];
    assert_eq!(signing.combine(b"pay", &both), None);
    // Whoever carries it may have changed it.
    assert_eq!(culprits(&said).await, []);
    said[1].signature = signing.committee.keys[1]
        .sign(&said[1].signing_bytes())
        .unwrap();
    assert_eq!(culprits(&said).await, [party(2)]);
    // What is about other presignatures is not wrong, but about something else: whoever asked for it is to blame.
    let mut elsewhere = said.clone();
    elsewhere[1].presignatures = vec![Hash32::from_bytes([1; 32])];
    elsewhere[1].signature = signing.committee.keys[1]
        .sign(&elsewhere[1].signing_bytes())
        .unwrap();
    assert_eq!(culprits(&elsewhere).await, []);
    let many = vec![said[1].clone(); 3];
    refused(&signing.committee.ask(1, blame(&many)).await, "unreadable");
    let unknown = NodeRequest::Blame {
        intent: intent.intent.hash(),
        attempt: 1,
        partials: said,
    };
    refused(&signing.committee.ask(1, unknown).await, "nothing-issued");
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_are_for_what_is_used_and_no_more_than_wanted() {
    let signing = Signing::new(PresignConfig {
        low: 1,
        high: 2,
        ..PresignConfig::default()
    })
    .await;
    // Nothing was signed yet: nobody makes any for an orchestrator that merely asks.
    let asked = signing
        .committee
        .ask(1, signing.prepare_presign(1, Vec::new()))
        .await;
    refused(&asked, "presignatures-full");
    signing.sign_interactively(b"first").await;
    let (nonces, count) = signing.promise(64).await;
    assert_eq!(count, 2);
    let asked = signing
        .committee
        .ask(1, signing.prepare_presign(1, Vec::new()))
        .await;
    refused(&asked, "presignatures-full");
    // Nonces of another promise, in another order, or for more than was promised.
    let begin = |nonces: &[[u8; 32]], count| NodeRequest::BeginPresign {
        nonces: nonces.to_vec(),
        count,
    };
    refused(
        &signing.committee.ask(1, begin(&[[7; 32]; 2], 1)).await,
        "nonces",
    );
    let swapped = [nonces[1], nonces[0]];
    refused(
        &signing.committee.ask(1, begin(&swapped, 1)).await,
        "nonces",
    );
    refused(&signing.committee.ask(2, begin(&nonces, 3)).await, "nonces");
    // That used the promises up.
    refused(&signing.committee.ask(1, begin(&nonces, 1)).await, "nonces");
    let mut stale = signing.pool.clone();
    stale.epoch = 1;
    let request = NodeRequest::PreparePresign {
        pool: stale,
        count: 1,
        useful: Vec::new(),
    };
    refused(&signing.committee.ask(1, request).await, "epoch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_presignatures_are_off_has_none() {
    let signing = Signing::new(PresignConfig {
        off: vec!["hot".parse().unwrap()],
        ..PresignConfig::default()
    })
    .await;
    signing.sign_interactively(b"first").await;
    assert_eq!(signing.level(1).await, None);
}

/// What a presignature will sign is judged when it signs, so one that was made under an older policy is as good under the next. A refusal uses
/// none up.
#[tokio::test(flavor = "multi_thread")]
async fn i04_presignatures_outlast_a_policy_and_the_one_in_force_decides() {
    let signing = Signing::stocked(2).await;
    let ids = signing.ids().await;
    let without_raw = PERMISSIVE.replace("[[rule]]\nid = \"raw\"\ntype = \"raw\"\n", "");
    assert_ne!(without_raw, PERMISSIVE);
    let second = signing.committee.publish(None, &without_raw).await;
    assert_eq!(signing.ids().await, ids);
    let intent = signing.raw(b"pay");
    let request = signing.issue(&intent, 0, &ids[..1]);
    for number in [1, 2] {
        let reply = signing.committee.ask(number, request.clone()).await;
        refused(&reply, "policy-denied");
    }
    assert_eq!(signing.ids().await, ids);
    signing.committee.publish(Some(second), PERMISSIVE).await;
    let mut partials = Vec::new();
    for number in [1, 2] {
        let said = signing.committee.partials(number, request.clone()).await;
        partials.push(said.partials[0]);
    }
    assert!(signing.combine(b"pay", &partials).is_some());
    assert_eq!(signing.ids().await, ids[1..]);
}
