//! What a custodian that may have forgotten something does about the policy, among peers of which
//! some are hostile (T35).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: a failed assumption should stop the test where it happens"
)]

#[allow(dead_code, reason = "shared with tests that need other parts of it")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use quorate_messaging::{Permissions, Subject, Transport as _};
use quorate_party_agent::presence::{self, Accept};
use quorate_storage::RestoreMark;
use quorate_testkit::policy::PERMISSIVE;
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{NodeReply, NodeRequest, NodeStatus, Standing};
use quorate_types::presence::{
    PolicyWord, Presence, Recollection, SignedPolicyWord, SignedRecollection,
};
use quorate_types::{Curve, Dialect, FreezeOrder, PersonId, Proof, SignedFreeze};
use rand_core::OsRng;
use support::{Committee, party};
use tokio::sync::watch;

/// An agent among its peers.
struct Present {
    standing: watch::Receiver<Standing>,
    accept: Arc<Accept>,
}

impl Present {
    fn start(committee: &Committee, number: usize) -> Self {
        let id = party(number);
        let transport = committee.hub.connect(id.as_str(), Permissions::party(&id));
        let agent = Arc::clone(&committee.agents[number - 1]);
        let (sender, standing) = watch::channel(Standing::Confirming {
            answers: 0,
            needed: 1,
        });
        let accept = Arc::new(Accept::default());
        let run = presence::run(agent, transport, sender, Arc::clone(&accept));
        tokio::spawn(run);
        Self { standing, accept }
    }

    /// Waits until it is as wanted.
    async fn until(&mut self, wanted: impl Fn(&Standing) -> bool) -> Standing {
        let settled = self.standing.wait_for(wanted);
        let settled = tokio::time::timeout(Duration::from_secs(60), settled).await;
        settled.unwrap().unwrap().clone()
    }

    async fn until_it_says(&mut self, words: &str) {
        let says =
            |s: &Standing| matches!(s, Standing::Quarantined { reason } if reason.contains(words));
        self.until(says).await;
    }
}

async fn status(committee: &Committee, number: usize) -> NodeStatus {
    match committee.ask(number, NodeRequest::Status).await {
        NodeReply::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

/// A peer that remembers nothing of anybody and has no policy, whoever asks.
fn forgetful(committee: &Committee, number: usize) {
    let me = party(number);
    let transport = committee.hub.connect(me.as_str(), Permissions::party(&me));
    let keys = Arc::clone(&committee.keys[number - 1]);
    let subject = Subject::Presence(me.clone()).to_string();
    tokio::spawn(async move {
        let mut heard = transport
            .subscribe("mpc.presence.*".to_owned())
            .await
            .unwrap();
        while let Some(delivery) = heard.next().await {
            let read = Dialect::current().read(&delivery.payload, Presence::MAX_LEN);
            let answer = match read {
                Ok((_, Presence::Recall { party, nonce })) if party != me => {
                    let recollection = Recollection {
                        from: me.clone(),
                        about: party,
                        nonce,
                        last: None,
                    };
                    let signature = keys.sign(&recollection.signing_bytes()).unwrap();
                    Presence::Recollection(SignedRecollection {
                        recollection,
                        signature,
                    })
                }
                Ok((_, Presence::AskPolicy { party, nonce, .. })) if party != me => {
                    let word = PolicyWord {
                        from: me.clone(),
                        to: party,
                        nonce,
                        version: 0,
                        settled: true,
                        next: None,
                        freezes: Vec::new(),
                    };
                    let signature = keys.sign(&word.signing_bytes()).unwrap();
                    Presence::Policy(Box::new(SignedPolicyWord { word, signature }))
                }
                _ => continue,
            };
            let bytes = Bytes::from(Dialect::current().frame(&answer));
            transport.publish(subject.clone(), bytes).await.unwrap();
        }
    });
}

/// All agents of `real`, then party-1 again from a disk of before two more versions of the policy,
/// as a restore leaves it.
async fn restored_at_version_1(t: u16, n: u16, real: usize, guardian: &SigningKey) -> Committee {
    let key = hex::encode(guardian.verifying_key().to_bytes());
    let text = format!("[people.gus]\ned25519 = [{key:?}]\nguardian = true\n{PERMISSIVE}");
    let keys = (0..n).map(|_| quorate_messaging::PartyKeys::generate(&mut OsRng));
    let mut committee = Committee::under(&text, t, keys.collect(), real).await;
    if real == usize::from(n) {
        committee.active_key("k", Curve::Ed25519).await;
    }
    let disk = committee.copy_of_disk(1);
    let second = committee.publish(None, &text).await;
    committee.publish(Some(second), &text).await;
    disk.ledger
        .set_restore_mark(&RestoreMark {
            counter: 1,
            restored_at: 0,
            backup_made_at: 1,
            confirmed: false,
        })
        .unwrap();
    committee.restart_from(1, disk).await;
    assert_eq!(status(&committee, 1).await.policy_version, 1);
    committee
}

fn freeze(committee: &Committee, guardian: &SigningKey) -> SignedFreeze {
    let order = FreezeOrder {
        cluster: committee.roster.cluster_id(),
        person: PersonId::new("gus").unwrap(),
        nonce: [7; 16],
        issued_at: 1,
        reason: "stop".to_owned(),
    };
    let proof = Proof::Ed25519 {
        key: guardian.verifying_key().to_bytes(),
        signature: guardian.sign(&order.signing_bytes()).to_bytes(),
    };
    SignedFreeze { order, proof }
}

/// Nobody heard a heartbeat of party-1, as with a server that kept them back; of its peers one is
/// hostile. The honest one's chain and freeze order bring it to where the admins and the guardian
/// are.
#[tokio::test(flavor = "multi_thread")]
async fn t35_i07_a_restored_custodian_follows_one_honest_peer_to_the_policy_and_freeze_in_force() {
    let guardian = SigningKey::generate(&mut OsRng);
    let committee = restored_at_version_1(2, 3, 3, &guardian).await;
    let order = freeze(&committee, &guardian);
    let noted = committee.ask(2, NodeRequest::Freeze(order)).await;
    assert_eq!(noted, NodeReply::Noted);
    forgetful(&committee, 3);
    // It has served for long, which nobody here remembers.
    let mut honest = Present::start(&committee, 2);
    honest.accept.policy(3);
    honest.until(Standing::is_serving).await;
    let mut restored = Present::start(&committee, 1);
    restored.until(Standing::is_serving).await;
    let (after, peer) = (status(&committee, 1).await, status(&committee, 2).await);
    assert_eq!(after.policy_version, 3);
    assert_eq!(after.policy, peer.policy);
    assert_eq!((after.frozen.len(), &after.frozen), (1, &peer.frozen));
}

/// Both must sign, and the other one is hostile: nothing but its custodian's word gets it out.
#[tokio::test(flavor = "multi_thread")]
async fn t35_i07_where_all_who_answer_may_be_hostile_a_restored_custodian_waits_for_its_own() {
    let guardian = SigningKey::generate(&mut OsRng);
    let committee = restored_at_version_1(2, 2, 1, &guardian).await;
    forgetful(&committee, 2);
    let mut restored = Present::start(&committee, 1);
    restored.until_it_says("accept-policy").await;
    restored.accept.restore();
    restored.accept.policy(3);
    restored
        .until_it_says("the custodian confirmed policy version 3, this disk has 1")
        .await;
    assert_eq!(status(&committee, 1).await.policy_version, 1);
    // The admins' chain reaches it some other way.
    let second = committee.genesis().follow(&committee.roster, None).unwrap();
    let third = committee.publish(Some(second), PERMISSIVE).await;
    committee.publish(Some(third), PERMISSIVE).await;
    restored.until(Standing::is_serving).await;
    assert_eq!(status(&committee, 1).await.policy_version, 3);
}

/// Restarted undisturbed, where both must sign: the peer remembers it, and nobody is asked.
#[tokio::test(flavor = "multi_thread")]
async fn t35_an_undisturbed_restart_is_unattended_where_all_must_sign() {
    let mut committee = Committee::new(2, 2, 2).await;
    committee.active_key("k", Curve::Ed25519).await;
    let mut first = [Present::start(&committee, 1), Present::start(&committee, 2)];
    for present in &mut first {
        // These have a key, but no peer that ever heard of them.
        present.until_it_says("accept-policy").await;
        present.accept.policy(1);
        present.until(Standing::is_serving).await;
    }
    // A policy that comes while nothing is signed is remembered too.
    let version_1 = status(&committee, 1).await.policy;
    committee.publish(None, PERMISSIVE).await;
    assert_ne!(status(&committee, 1).await.policy, version_1);
    let name = "peer/party-1";
    let peer = Arc::clone(&committee.homes[1].ledger);
    loop {
        let known = peer.record(name).unwrap();
        let heartbeat = known.and_then(|bytes| {
            borsh::from_slice::<quorate_types::presence::SignedHeartbeat>(&bytes).ok()
        });
        if heartbeat.is_some_and(|h| h.heartbeat.policy_version == 2) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    committee.restart(1).await;
    let mut again = Present::start(&committee, 1);
    again.until(Standing::is_serving).await;
}
