//! More requests than can be worked on: who comes too late is told when to come back, and other keys are not held up.

use std::time::Duration;

use quorate_types::canonical::Canonical as _;
use quorate_types::{Action, DerivationPath, KeyId, Payload, SignedIntent};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::strangers::operator;
use crate::support::hostile::Hostile;
use crate::support::{Cluster, Setup, wait_for};

/// Requests sent at once.
const AT_ONCE: usize = 64;
/// More than can wait in one line, even while some of it are worked off.
const AT_MOST: usize = 8192;
const LIMIT: Duration = Duration::from_secs(120);

/// Status, seconds after which to come back, and body.
type Answer = (u16, Option<u64>, Value);

struct Api<'a> {
    hostile: &'a Hostile,
    client: reqwest::Client,
    intents: String,
}

impl Api<'_> {
    /// So many different requests for a key at once.
    fn send(&self, key: KeyId, count: usize) -> Vec<Answer> {
        let action = Action::Sign {
            key,
            path: DerivationPath::root(),
            network: None,
            payload: Payload::Raw(b"flood".to_vec()),
            purpose: String::new(),
        };
        self.hostile.runtime.block_on(async {
            let intents = (0..count).map(|_| self.hostile.signed(action.clone()));
            let post = |intent: SignedIntent| {
                let post = self.client.post(&self.intents);
                answer_of(post.body(intent.canonical_bytes()))
            };
            let answers: JoinSet<Answer> = intents.map(post).collect();
            answers.join_all().await
        })
    }

    fn state(&self, intent: &str) -> String {
        let get = self.client.get(format!("{}/{intent}", self.intents));
        let (_, _, view) = self.hostile.runtime.block_on(answer_of(get));
        view["state"].as_str().unwrap().to_owned()
    }
}

async fn answer_of(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let after = response.headers().get("retry-after");
    let after = after.map(|seconds| seconds.to_str().unwrap().parse().unwrap());
    let body = response.bytes().await.unwrap();
    (status, after, serde_json::from_slice(&body).unwrap())
}

/// Sends until somebody is turned away. Also the name of one that was let in at last.
fn flood(api: &Api<'_>, key: KeyId) -> (Answer, String) {
    let mut last = None;
    for _ in 0..AT_MOST / AT_ONCE {
        let mut away = None;
        for answer in api.send(key, AT_ONCE) {
            match answer.0 {
                200 => last = answer.2["intent"].as_str().map(str::to_owned),
                _ => away = Some(answer),
            }
        }
        if let Some(away) = away {
            return (away, last.expect("nobody was let in"));
        }
    }
    panic!("everybody was let in");
}

fn raw_key(cluster: &Cluster, name: &str, curve: &str) -> KeyId {
    let listing = cluster.create_key(name, curve, &["--raw-signing"]);
    serde_json::from_value(listing["record"]["id"].clone()).unwrap()
}

#[test]
fn a_flood_for_one_key_is_told_when_to_come_back_and_holds_up_no_other() {
    let mut cluster = Cluster::start(Setup::new(2, 3));
    let flooded = raw_key(&cluster, "flooded", "ed25519");
    let other = raw_key(&cluster, "other", "ed25519");
    let hostile = Hostile::new(&cluster);
    let api = Api {
        hostile: &hostile,
        client: operator(&cluster),
        intents: format!("{}/v1/intents", cluster.endpoint()),
    };
    // Each request takes a while to find that nobody answers.
    for number in [1, 2, 3] {
        cluster.freeze(number);
    }
    let ((status, after, problem), last) = flood(&api, flooded);
    assert_eq!(status, 503, "{problem}");
    assert_eq!(problem["code"], "busy", "{problem}");
    let after = after.expect("nothing says when to come back");
    assert_eq!(problem["retry_after"], after, "{problem}");
    let advice = format!("send it again in {after} s");
    let detail = problem["detail"].as_str().unwrap();
    assert!(after >= 1 && detail.contains(&advice), "{problem}");

    // Another key's has its turn before those that came earlier.
    let (status, _, view) = api.send(other, 1).remove(0);
    assert_eq!(status, 200, "{view}");
    let intent = view["intent"].as_str().unwrap();
    wait_for("the other key's request ends", LIMIT, || {
        (api.state(intent) != "running").then_some(())
    });
    assert_eq!(api.state(&last), "running");

    for number in [1, 2, 3] {
        cluster.thaw(number);
    }
    cluster.wait_until_online(&[1, 2, 3]);
    wait_for("the flood is over", LIMIT, || {
        let sign = ["sign", "--key", "flooded", "--message", "hello"];
        (cluster.cli(&sign).code == Some(0)).then_some(())
    });
}
