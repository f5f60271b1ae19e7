//! A key changes the protocol that signs for it, in real agents: agreed on by all, then in force; and whoever cheats in DKLs23 is banned (T12).
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

use quorate_chain::SigningMessage;
use quorate_party_agent::driver::{Drive, Participants};
use quorate_party_agent::pool::Priority;
use quorate_storage::{ItemKind, ItemName, RestoreMark};
use quorate_testkit::dkls::Cheat;
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{NodeReply, NodeRequest, Record, RunResult};
use quorate_types::{
    Action, CeremonyKind, Curve, DerivationPath, Hash32, HashAlgorithm, KeyRecord, PartyId,
    Preimage, Preprocessed, PresignaturePool, Protocol, ProtocolListing, SessionDescriptor,
    SignedIntent,
};
use support::{Committee, begin, party, refused};

/// A key of a committee of three, two of which sign.
struct Stage {
    committee: Committee,
    key: KeyRecord,
    in_force: Option<ProtocolListing>,
}

impl Stage {
    /// Not set up for CGGMP24.
    async fn new() -> Self {
        Self::of(Committee::new(2, 3, 3).await).await
    }

    async fn set_up() -> Self {
        let mut committee = Committee::new(2, 3, 3).await;
        committee.set_up().await;
        Self::of(committee).await
    }

    async fn of(committee: Committee) -> Self {
        Self {
            key: committee.active_key("hot", Curve::Secp256k1).await,
            in_force: None,
            committee,
        }
    }

    async fn by_dkls23() -> Self {
        let mut stage = Self::new().await;
        stage.change(Protocol::Dkls23, false).await;
        stage
    }

    fn intent(&self, protocol: Protocol, renew: bool) -> SignedIntent {
        self.committee.intent(Action::SetProtocol {
            key: self.key.id,
            protocol,
            renew,
        })
    }

    /// Attested by all, in force nowhere.
    async fn agree(&self, protocol: Protocol, renew: bool) -> ProtocolListing {
        let (record, attestations) = self.committee.agree(&self.intent(protocol, renew)).await;
        let Record::Protocol(record) = record else {
            panic!("not a protocol: {record:?}");
        };
        let listing = ProtocolListing {
            record,
            attestations,
        };
        assert!(listing.is_good(&self.key, &self.committee.roster));
        listing
    }

    async fn activate(&self, number: usize, listing: &ProtocolListing) -> NodeReply {
        self.committee.ask(number, activation(listing)).await
    }

    async fn change(&mut self, protocol: Protocol, renew: bool) -> ProtocolListing {
        let listing = self.agree(protocol, renew).await;
        for number in 1..=3 {
            assert_eq!(self.activate(number, &listing).await, NodeReply::Active);
        }
        self.in_force = Some(listing.clone());
        listing
    }

    async fn listed(&self, number: usize) -> Option<ProtocolListing> {
        match self
            .committee
            .ask(number, NodeRequest::Key { id: self.key.id })
            .await
        {
            NodeReply::Keys(keys) => keys[0].protocol.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn raw(&self, message: &[u8]) -> SignedIntent {
        self.committee.raw(&self.key, message)
    }

    fn believed(&self) -> Option<Hash32> {
        let listing = self.in_force.as_ref();
        listing.map(|listing| listing.record.canonical_hash())
    }

    async fn prepare(&self, number: usize, intent: &SignedIntent, signers: &[usize]) -> NodeReply {
        self.prepare_for(number, intent, signers, self.believed())
            .await
    }

    async fn prepare_for(
        &self,
        number: usize,
        intent: &SignedIntent,
        signers: &[usize],
        protocol: Option<Hash32>,
    ) -> NodeReply {
        let mut request = support::prepare(intent, 0, &parties(signers));
        if let NodeRequest::Prepare {
            protocol: asked, ..
        } = &mut request
        {
            *asked = protocol;
        }
        self.committee.ask(number, request).await
    }

    /// Has these sign, and checks what comes of it under the key's one address.
    async fn sign(&self, signers: &[usize], message: &[u8]) {
        let intent = self.raw(message);
        let mut nonces = Vec::new();
        for number in signers {
            nonces.push(nonce(self.prepare(*number, &intent, signers).await));
        }
        let preimage = Preimage::new(HashAlgorithm::Sha256, message.to_vec());
        let message = SigningMessage::Ecdsa(preimage);
        for reply in self.committee.begin(&intent, &nonces, signers).await {
            let NodeReply::Finished(RunResult::Signatures(signatures)) = reply else {
                panic!("not signed: {reply:?}");
            };
            quorate_chain::verify(&message, &self.key.public_key, &signatures[0]).unwrap();
        }
    }

    fn setups(&self, number: usize) -> Vec<ItemName> {
        let store = &self.committee.homes[number - 1].store;
        store.list(ItemKind::Dkls).unwrap()
    }

    fn secret(&self, number: usize, kind: ItemKind) -> Vec<u8> {
        let store = &self.committee.homes[number - 1].store;
        let items = store.list(kind).unwrap();
        store.get(items[0]).unwrap().to_vec()
    }
}

fn activation(listing: &ProtocolListing) -> NodeRequest {
    NodeRequest::Activate {
        record: Record::Protocol(listing.record.clone()),
        attestations: listing.attestations.clone(),
    }
}

fn parties(numbers: &[usize]) -> Vec<PartyId> {
    numbers.iter().map(|number| party(*number)).collect()
}

#[track_caller]
fn nonce(reply: NodeReply) -> [u8; 32] {
    match reply {
        NodeReply::Prepared { nonce, .. } => nonce,
        other => panic!("not prepared: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_changes_its_protocol_and_back_with_the_same_shares_and_address() {
    let mut stage = Stage::set_up().await;
    let shares = [1, 2, 3].map(|number| stage.secret(number, ItemKind::Share));
    stage.sign(&[1, 2], b"by cggmp24").await;

    let first = stage.change(Protocol::Dkls23, false).await;
    assert_eq!((first.record.sequence, first.record.epoch), (1, 0));
    for signers in [[1, 2], [2, 3], [3, 1]] {
        stage.sign(&signers, b"by dkls23").await;
    }
    assert_eq!(stage.listed(2).await, Some(first));
    for number in 1..=3 {
        assert_eq!(stage.setups(number).len(), 1);
    }

    let second = stage.change(Protocol::Cggmp24, false).await;
    assert_eq!((second.record.sequence, second.record.setup), (2, None));
    stage.sign(&[2, 3], b"by cggmp24 again").await;
    for number in 1..=3 {
        assert_eq!(stage.setups(number), []);
    }
    assert_eq!(
        shares,
        [1, 2, 3].map(|number| stage.secret(number, ItemKind::Share))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dkls23_needs_no_committee_setup() {
    let mut stage = Stage::new().await;
    let intent = stage.raw(b"early");
    let reply = stage.prepare(1, &intent, &[1, 2]).await;
    refused(&reply, "committee-not-set-up");
    stage.change(Protocol::Dkls23, false).await;
    stage.sign(&[1, 2], b"now").await;
    stage.committee.restart(1).await;
    stage.sign(&[1, 2], b"after a restart").await;
}

/// What ends for some and not for others, or is forgotten on the way, leaves the old protocol in force.
#[tokio::test(flavor = "multi_thread")]
async fn until_everyone_has_attested_the_old_protocol_signs() {
    let mut stage = Stage::set_up().await;
    let agreed = stage.agree(Protocol::Dkls23, false).await;
    stage.sign(&[1, 2], b"agreed, not activated").await;
    let mut too_few = agreed.clone();
    too_few.attestations.pop();
    refused(&stage.activate(1, &too_few).await, "not-attested");
    let mut another = agreed.clone();
    another.record.protocol = Protocol::Cggmp24;
    for bad in [&too_few, &another] {
        assert!(!bad.is_good(&stage.key, &stage.committee.roster));
    }
    refused(&stage.activate(1, &another).await, "not-attested");
    for number in 1..=3 {
        stage.committee.restart(number).await;
        assert_eq!(stage.listed(number).await, None);
        assert_eq!(
            stage.setups(number).len(),
            1,
            "it may still come into force"
        );
    }
    stage.sign(&[1, 2], b"after restarts").await;

    // A second agreement, and the first one does not come into force after it.
    let later = stage.change(Protocol::Dkls23, false).await;
    assert_eq!(later.record.sequence, 1);
    refused(&stage.activate(1, &agreed).await, "protocol-outdated");
    assert_eq!(stage.activate(1, &later).await, NodeReply::Active);
    for number in 1..=3 {
        let items = stage.setups(number);
        assert_eq!(items.len(), 1);
        assert_eq!(Some(items[0].id), later.record.setup);
    }
    stage.sign(&[1, 2], b"by dkls23").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t16_an_old_activation_does_not_come_back() {
    let mut stage = Stage::new().await;
    let first = stage.change(Protocol::Dkls23, false).await;
    let second = stage.change(Protocol::Cggmp24, false).await;
    refused(&stage.activate(1, &first).await, "protocol-outdated");
    let third = stage.change(Protocol::Dkls23, false).await;
    for old in [&first, &second] {
        refused(&stage.activate(1, old).await, "protocol-outdated");
    }
    assert_eq!(stage.activate(1, &third).await, NodeReply::Active);
    stage.committee.restart(1).await;
    refused(&stage.activate(1, &second).await, "protocol-outdated");
    stage.sign(&[1, 2], b"by the third").await;
}

/// One that had two agreed on can set custodians apart, until the next change puts them on one record again.
#[tokio::test(flavor = "multi_thread")]
async fn t16_two_changes_of_one_number_are_put_right_by_the_next() {
    let mut stage = Stage::new().await;
    let here = stage.agree(Protocol::Dkls23, false).await;
    let there = stage.agree(Protocol::Dkls23, false).await;
    assert_eq!(here.record.sequence, there.record.sequence);
    for (number, listing) in [(1, &here), (2, &there), (3, &there)] {
        assert_eq!(stage.activate(number, listing).await, NodeReply::Active);
    }
    refused(&stage.activate(1, &there).await, "protocol-outdated");
    stage.in_force = Some(there);
    let intent = stage.raw(b"apart");
    refused(
        &stage.prepare(1, &intent, &[1, 2]).await,
        "protocol-differs",
    );
    stage.sign(&[2, 3], b"of one mind").await;
    stage.change(Protocol::Dkls23, true).await;
    stage.sign(&[1, 2], b"together again").await;
}

/// Nothing is signed by custodians who believe different things.
#[tokio::test(flavor = "multi_thread")]
async fn t16_whoever_has_another_protocol_in_force_refuses_until_it_is_told() {
    let mut stage = Stage::set_up().await;
    let intent = stage.raw(b"prepared before");
    let early = nonce(stage.prepare(1, &intent, &[1, 2]).await);
    let listing = stage.agree(Protocol::Dkls23, false).await;
    for number in [1, 2] {
        assert_eq!(stage.activate(number, &listing).await, NodeReply::Active);
    }
    // Judged again when it begins.
    let late = stage
        .committee
        .ask(1, begin(&intent, 0, &[early, [7; 32]]))
        .await;
    refused(&late, "protocol-differs");

    let hash = Some(listing.record.canonical_hash());
    let intent = stage.raw(b"what is in force?");
    for (number, believed) in [(1, None), (1, Some(Hash32::from_bytes([1; 32]))), (3, hash)] {
        let signers = [number, 2];
        let reply = stage.prepare_for(number, &intent, &signers, believed).await;
        refused(&reply, "protocol-differs");
    }
    assert_eq!(stage.activate(3, &listing).await, NodeReply::Active);
    stage.in_force = Some(listing);
    stage.sign(&[3, 1], b"told").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_changed_is_refused() {
    let mut stage = Stage::by_dkls23().await;
    let all = [1, 2, 3];
    for (protocol, renew, code) in [
        (Protocol::Dkls23, false, "protocol-in-force"),
        (Protocol::Frost, false, "protocol-unfit"),
        (Protocol::Cggmp24, true, "protocol-unfit"),
    ] {
        let intent = stage.intent(protocol, renew);
        refused(&stage.prepare(1, &intent, &all).await, code);
    }
    let intent = stage.intent(Protocol::Cggmp24, false);
    refused(&stage.prepare(1, &intent, &[1, 2]).await, "participants");

    let old = stage.in_force.clone().unwrap();
    let new = stage.change(Protocol::Dkls23, true).await;
    assert_ne!(old.record.setup, new.record.setup);
    stage.sign(&[1, 2], b"renewed").await;

    let sol = stage.committee.active_key("sol", Curve::Ed25519).await;
    let intent = stage.committee.intent(Action::SetProtocol {
        key: sol.id,
        protocol: Protocol::Dkls23,
        renew: false,
    });
    refused(&stage.prepare(1, &intent, &all).await, "protocol-unfit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_signed_for_by_dkls23_has_no_presignatures() {
    let mut stage = Stage::set_up().await;
    stage.sign(&[1, 2], b"first").await;
    let pool = PresignaturePool::of(&stage.key, &DerivationPath::root(), &parties(&[1, 2]));
    let prepare = || NodeRequest::PreparePresign {
        pool: pool.clone(),
        count: 1,
        useful: Vec::new(),
    };
    nonce(stage.committee.ask(1, prepare()).await);
    stage.change(Protocol::Dkls23, false).await;
    assert_eq!(
        stage.committee.ask(1, NodeRequest::Pools).await,
        NodeReply::Pools(Vec::new())
    );
    refused(&stage.committee.ask(1, prepare()).await, "unreadable");
    let issue = NodeRequest::Issue {
        intent: stage.raw(b"at once"),
        approvals: Vec::new(),
        attempt: 0,
        participants: pool.signers.clone(),
        preprocessed: Preprocessed::Presignatures(vec![Hash32::from_bytes([1; 32])]),
    };
    refused(&stage.committee.ask(1, issue).await, "protocol-differs");
    stage.sign(&[1, 2], b"by dkls23").await;
    assert_eq!(
        stage.committee.ask(1, NodeRequest::Pools).await,
        NodeReply::Pools(Vec::new())
    );
}

/// Plays the second party with its own share and setup; its offer to the first is not consistent.
async fn cheat(stage: &Stage, session: &SessionDescriptor, message: &[u8]) {
    let cheat = Cheat {
        share: stage.secret(2, ItemKind::Share),
        setup: stage.secret(2, ItemKind::Dkls),
        signers: vec![0, 1],
        message: Preimage::new(HashAlgorithm::Sha256, message.to_vec()),
    };
    let drive = Drive {
        roster: std::sync::Arc::clone(&stage.committee.roster),
        participants: Participants {
            parties: session.participants.clone(),
            me: 1,
        },
        round_timeout: Duration::from_secs(20),
        priority: Priority::Online,
        online: Default::default(),
        watch: None,
    };
    let messenger = stage.committee.messenger(2).await;
    let end = messenger.open_session(session.into()).unwrap();
    let id = session.session_id();
    let ended = drive.run(end, "cheat".to_owned(), move || cheat.start(id, 1));
    ended.await.unwrap_err();
}

/// Has the second party cheat the first, and returns what the first says of it.
async fn cheated(stage: &mut Stage) -> NodeReply {
    // Its own agent is gone, and in its place nobody asks anything.
    stage.committee.agents[1] = std::sync::Arc::clone(&stage.committee.agents[2]);
    let message = b"to be cheated";
    let intent = stage.raw(message);
    let own = nonce(stage.prepare(1, &intent, &[1, 2]).await);
    let nonces = [own, [2; 32]];
    let session = SessionDescriptor {
        kind: CeremonyKind::Sign,
        intent: intent.intent.hash(),
        policy: stage.committee.policy_hash(),
        key: Some(stage.key.id),
        epoch: 0,
        participants: parties(&[1, 2]),
        attempt: 0,
        item: 0,
        nonces: nonces.to_vec(),
        protocol: stage.believed(),
    };
    let run = stage.committee.begin(&intent, &nonces, &[1]);
    let (mut replies, ()) = futures::join!(run, cheat(stage, &session, message));
    replies.remove(0)
}

fn leaves_of(stage: &Stage, number: usize) -> usize {
    let ledger = &stage.committee.homes[number - 1].ledger;
    ledger.leaves(0, usize::MAX).unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn t12_whoever_fails_a_consistency_check_is_banned_for_good() {
    let mut stage = Stage::by_dkls23().await;
    stage.sign(&[1, 2], b"before").await;
    let leaves = leaves_of(&stage, 1);
    let NodeReply::Failed(failure) = cheated(&mut stage).await else {
        panic!("it signed");
    };
    assert_eq!(failure.code.as_str(), "consistency-check", "{failure}");
    assert_eq!(failure.culprits, [party(2)]);
    // The start and the ban; on the disk by the time anyone hears of it.
    assert_eq!(leaves_of(&stage, 1), leaves + 2);
    let ledger = &stage.committee.homes[0].ledger;
    assert_eq!(ledger.records("ban/").unwrap().len(), 1);

    let intent = stage.raw(b"once more");
    for restarted in [false, true] {
        if restarted {
            stage.committee.restart(1).await;
        }
        let reason = refused(
            &stage.prepare(1, &intent, &[1, 2]).await,
            "counterparty-banned",
        );
        assert!(
            reason.contains("party-2") && reason.contains("lift-ban"),
            "{reason}"
        );
        let NodeReply::Status(status) = stage.committee.ask(1, NodeRequest::Status).await else {
            panic!("no status");
        };
        assert_eq!(status.bans.len(), 1);
        assert_eq!(status.bans[0].party, party(2));
        // The others sign, and this one with them.
        stage.sign(&[1, 3], b"without it").await;
    }
}

/// Nor is a session gone on with that was begun before.
#[tokio::test(flavor = "multi_thread")]
async fn t12_a_ban_ends_what_runs_beside_it() {
    let mut stage = Stage::by_dkls23().await;
    let intent = stage.raw(b"beside");
    let own = nonce(stage.prepare(1, &intent, &[1, 2]).await);
    let mut beside = begin(&intent, 0, &[own, [3; 32]]);
    if let NodeRequest::Begin { wait_ms, .. } = &mut beside {
        *wait_ms = 0;
    }
    assert_eq!(stage.committee.ask(1, beside).await, NodeReply::Running);
    cheated(&mut stage).await;
    let wait = NodeRequest::Await {
        intent: intent.intent.hash(),
        attempt: 0,
        wait_ms: 5_000,
    };
    let NodeReply::Failed(failure) = stage.committee.ask(1, wait).await else {
        panic!("it goes on");
    };
    assert_eq!(failure.code.as_str(), "counterparty-banned", "{failure}");
}

/// A new setup does not lift it by itself, nor does the administrator's word for the setup that it happened with.
#[tokio::test(flavor = "multi_thread")]
async fn t12_a_ban_is_lifted_by_the_administrator_and_for_a_new_setup_only() {
    let mut stage = Stage::by_dkls23().await;
    cheated(&mut stage).await;
    stage.committee.restart(2).await;
    let lift = |stage: &Stage| {
        let agent = std::sync::Arc::clone(&stage.committee.agents[0]);
        let (name, party) = (stage.key.name.clone(), party(2));
        async move { agent.lift_ban(&name, party).await }
    };
    let intent = stage.raw(b"again");
    lift(&stage).await.unwrap();
    assert_eq!(
        lift(&stage).await.unwrap_err().code().to_string(),
        "not-banned"
    );
    refused(
        &stage.prepare(1, &intent, &[1, 2]).await,
        "counterparty-banned",
    );
    stage.change(Protocol::Dkls23, true).await;
    stage.sign(&[1, 2], b"with a new setup").await;

    cheated(&mut stage).await;
    stage.committee.restart(2).await;
    stage.change(Protocol::Dkls23, true).await;
    refused(
        &stage.prepare(1, &intent, &[1, 2]).await,
        "counterparty-banned",
    );
    lift(&stage).await.unwrap();
    stage.committee.restart(1).await;
    stage.sign(&[1, 2], b"looked into").await;
}

/// T12: it may have forgotten whom it banned.
#[tokio::test(flavor = "multi_thread")]
async fn t12_a_restored_agent_does_not_use_setups_from_before() {
    let mut stage = Stage::by_dkls23().await;
    let mark = RestoreMark {
        counter: 1,
        restored_at: 0,
        backup_made_at: 0,
        confirmed: true,
    };
    let ledger = std::sync::Arc::clone(&stage.committee.homes[0].ledger);
    ledger.set_restore_mark(&mark).unwrap();
    stage.committee.restart(1).await;
    let intent = stage.raw(b"restored");
    // It may have forgotten a change, too: that can be mended at once.
    let other = Some(Hash32::from_bytes([1; 32]));
    let reply = stage.prepare_for(1, &intent, &[1, 2], other).await;
    refused(&reply, "protocol-differs");
    let reason = refused(&stage.prepare(1, &intent, &[1, 2]).await, "setup-lost");
    assert!(reason.contains("--renew"), "{reason}");
    stage.sign(&[2, 3], b"without it").await;
    stage.change(Protocol::Dkls23, true).await;
    stage.sign(&[1, 2], b"renewed").await;

    // One that has lost even the record of it is told, and then lacks the setup.
    let record = format!("protocol/{}", stage.key.id);
    ledger.delete_records(vec![record]).unwrap();
    stage.committee.restart(1).await;
    let listing = stage.in_force.clone().unwrap();
    assert_eq!(stage.activate(1, &listing).await, NodeReply::Active);
    refused(&stage.prepare(1, &intent, &[1, 2]).await, "setup-lost");
}

/// What a crash between storing a setup and its record leaves behind is destroyed, and nothing that is in force.
#[tokio::test(flavor = "multi_thread")]
async fn setups_that_no_record_names_are_destroyed_at_start() {
    let mut stage = Stage::by_dkls23().await;
    let stray = ItemName {
        kind: ItemKind::Dkls,
        id: Hash32::from_bytes([3; 32]),
        epoch: 0,
    };
    stage.committee.homes[0].store.put(stray, b"stray").unwrap();
    stage.committee.restart(1).await;
    let setup = stage.in_force.as_ref().unwrap().record.setup;
    let left: Vec<_> = stage.setups(1).iter().map(|item| Some(item.id)).collect();
    assert_eq!(left, [setup]);
    stage.sign(&[1, 2], b"still there").await;
}
