//! Agents of adjacent versions of the protocol sign together; a third is refused, and says so
//! itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where an assumption fails"
)]

#[allow(dead_code, reason = "shared with tests that need other parts of it")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quorate_messaging::{Permissions, Subject, Transport as _, TransportError};
use quorate_party_agent::presence::{self, Accept};
use quorate_party_agent::serve::FrontDoor;
use quorate_types::node::{NodeReply, NodeRequest, RunResult, Standing};
use quorate_types::{Capability, Curve, Dialect, KeyRecord, WireVersion};
use support::{Committee, party, prepare, refused};
use tokio::sync::watch;

fn speaking(version: u16) -> Dialect {
    Dialect {
        version: WireVersion(version),
        ..Dialect::current()
    }
}

/// A key made by three agents of one version, which then are of versions 1, 2 and 3 and have heard
/// of each other.
async fn upgraded_one_by_one() -> (Committee, KeyRecord) {
    let mut committee = Committee::new(2, 3, 3).await;
    let key = committee.active_key("hot", Curve::Ed25519).await;
    for number in 1..=3 {
        let version = u16::try_from(number).unwrap();
        committee.dialects.insert(number, speaking(version));
        committee.restart(number).await;
    }
    for number in 1..=3 {
        let agent = Arc::clone(&committee.agents[number - 1]);
        let id = party(number);
        let transport = committee.hub.connect(id.as_str(), Permissions::party(&id));
        // Its standing here is of no consequence: the agent was built as serving.
        let (standing, _) = watch::channel(Standing::Serving { not_before: 0 });
        tokio::spawn(presence::run(
            agent,
            transport,
            standing,
            Arc::new(Accept::default()),
        ));
    }
    (committee, key)
}

/// Asks until the answer is another than a prepared run: presence takes a moment.
async fn until_refused(committee: &Committee, key: &KeyRecord, at: usize, with: usize) -> String {
    let everyone = [party(at), party(with)];
    for attempt in 0..200 {
        let intent = committee.raw(key, format!("{attempt}").as_bytes());
        let reply = committee.ask(at, prepare(&intent, 0, &everyone)).await;
        if !matches!(reply, NodeReply::Prepared { .. }) {
            return refused(&reply, "peer-version");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("party-{at} works with party-{with}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_adjacent_versions_sign_together_and_refuse_a_third() {
    let (committee, key) = upgraded_one_by_one().await;
    for (one, third) in [(1, 3), (3, 1)] {
        let said = until_refused(&committee, &key, one, third).await;
        let names = format!("party-{third} speaks version {third} of the protocol");
        assert!(said.contains(&names) && said.contains("upgrade"), "{said}");
    }
    for (number, strangers) in [(1, vec![party(3)]), (2, Vec::new()), (3, vec![party(1)])] {
        let NodeReply::Status(status) = committee.ask(number, NodeRequest::Status).await else {
            panic!("party-{number} does not say how it is");
        };
        assert_eq!(status.strangers, strangers);
    }
    for pair in [[1, 2], [2, 3]] {
        let intent = committee.raw(&key, format!("{pair:?}").as_bytes());
        let signers = pair.map(party);
        for reply in committee.run(&intent, &signers, &pair).await {
            assert!(
                matches!(reply, NodeReply::Finished(RunResult::Signatures(_))),
                "{reply:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_answers_orchestrators_of_adjacent_versions_and_tells_a_third_its_own() {
    let mut committee = Committee::new(2, 3, 1).await;
    let mut dialect = speaking(2);
    dialect.capabilities = [Capability::NoncesAhead].into_iter().collect();
    committee.dialects.insert(1, dialect.clone());
    committee.restart(1).await;
    let id = party(1);
    let own = committee.hub.connect(id.as_str(), Permissions::party(&id));
    let _door = FrontDoor::of(Arc::clone(&committee.agents[0]), own);
    let orchestrator = committee
        .hub
        .connect("orchestrator", Permissions::orchestrator("orchestrator"));
    let subject = Subject::Node(id).to_string();
    let ask = async |bytes: Vec<u8>| {
        let (wait, bytes) = (Duration::from_secs(20), Bytes::from(bytes));
        loop {
            let asked = orchestrator.request(subject.clone(), bytes.clone(), wait);
            match asked.await {
                // It has not subscribed yet.
                Err(TransportError::NoResponder(_)) => tokio::task::yield_now().await,
                answered => return answered.unwrap(),
            }
        }
    };

    for version in [1, 2, 3] {
        let asker = speaking(version);
        let answer = ask(asker.frame(&NodeRequest::Status)).await;
        let (sender, reply) = asker.read::<NodeReply>(&answer, 1 << 20).unwrap();
        // The newer of the two speaks as the older one does.
        assert_eq!(sender, dialect.towards(asker.version));
        let NodeReply::Status(status) = reply else {
            panic!("{reply:?}");
        };
        assert_eq!(status.dialect, dialect);
    }
    // What it answers others is in its own version, whose head every version reads.
    for bytes in [speaking(4).frame(&NodeRequest::Status), vec![0]] {
        let expected = match bytes.len() {
            1 => "unreadable",
            _ => "version-unsupported",
        };
        let answer = ask(bytes).await;
        assert!(speaking(4).read::<NodeReply>(&answer, 1 << 20).is_err());
        let (_, reply) = speaking(3).read::<NodeReply>(&answer, 1 << 20).unwrap();
        refused(&reply, expected);
    }
}
