//! A typed client.

use std::time::Duration;

use quorate_types::canonical::Canonical as _;
use quorate_types::node::KeyListing;
use quorate_types::{
    Hash32, Intent, IntentHash, SignedApproval, SignedBundle, SignedDiscard, SignedFreeze,
    SignedIntent,
};
use reqwest::{Certificate, Identity, Response};
use serde::de::DeserializeOwned;

use crate::model::{ClusterStatus, Delivery, IntentState, IntentView, Problem, routes};

/// PEM texts for mutual TLS.
pub struct Tls<'a> {
    /// The cluster's CA certificate.
    pub ca: &'a [u8],
    /// The client's certificate.
    pub certificate: &'a [u8],
    /// Its key.
    pub key: &'a [u8],
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The orchestrator said why.
    #[error(transparent)]
    Problem(Box<Problem>),
    /// It could not be reached, or the TLS handshake failed.
    #[error(
        "cannot reach the orchestrator at {endpoint}: {reason}; is the cluster running? (`quorate up`)"
    )]
    Unreachable {
        /// Where.
        endpoint: String,
        /// Why not.
        reason: String,
    },
    /// Certificates that cannot be used.
    #[error("the client's TLS files cannot be used: {0}")]
    Tls(String),
    /// An answer that is not the API's.
    #[error("the orchestrator's answer cannot be read: {0}")]
    Answer(String),
}

/// One orchestrator.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    endpoint: String,
}

/// How long one long poll waits.
const POLL: Duration = Duration::from_secs(5);

impl Client {
    /// A client for `endpoint`, for example `https://127.0.0.1:7777`.
    ///
    /// # Errors
    /// PEM texts that do not parse.
    pub fn new(endpoint: &str, tls: &Tls<'_>) -> Result<Self, ClientError> {
        let bad = |e: reqwest::Error| ClientError::Tls(chain(&e));
        let identity = [tls.certificate, b"\n", tls.key].concat();
        let http = reqwest::Client::builder()
            .tls_certs_only([Certificate::from_pem(tls.ca).map_err(bad)?])
            .identity(Identity::from_pem(&identity).map_err(bad)?)
            .tls_version_min(reqwest::tls::Version::TLS_1_3)
            .https_only(true)
            .no_proxy()
            .timeout(POLL + Duration::from_secs(30))
            .build()
            .map_err(bad)?;
        Ok(Self {
            http,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
        })
    }

    /// How the cluster is.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn status(&self) -> Result<ClusterStatus, ClientError> {
        self.get(routes::STATUS).await
    }

    /// All keys, with the attestations of all parties that answered.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn keys(&self) -> Result<Vec<KeyListing>, ClientError> {
        self.get(routes::KEYS).await
    }

    /// Has every custodian list a key no more that did not come into force.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn discard(&self, discard: &SignedDiscard) -> Result<Vec<Delivery>, ClientError> {
        self.post(routes::DISCARD, discard.canonical_bytes()).await
    }

    /// What every custodian signs to be in force with it, over a challenge that is to be fresh.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn affirmations(&self, challenge: Hash32) -> Result<Vec<Delivery>, ClientError> {
        let path = routes::AFFIRMATIONS.replace("{challenge}", &challenge.to_string());
        self.get(&path).await
    }

    /// Hands in a signed intent. Handing in the same one again is harmless.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn submit(&self, intent: &SignedIntent) -> Result<IntentView, ClientError> {
        self.post(routes::INTENTS, intent.canonical_bytes()).await
    }

    /// Where an intent is, now.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn poll_now(&self, intent: IntentHash) -> Result<IntentView, ClientError> {
        self.get(&format!("{}/{intent}", routes::INTENTS)).await
    }

    /// Where an intent is, waiting a few seconds for its end.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn poll(&self, intent: IntentHash) -> Result<IntentView, ClientError> {
        let path = format!("{}/{intent}?wait_ms={}", routes::INTENTS, POLL.as_millis());
        self.get(&path).await
    }

    /// Hands in an intent and waits for its end, or until it waits for approvals or time.
    ///
    /// # Errors
    /// See [`ClientError`]; a failed intent is a [`ClientError::Problem`].
    pub async fn run(&self, intent: &SignedIntent) -> Result<IntentView, ClientError> {
        let path = format!("{}?wait_ms={}", routes::INTENTS, POLL.as_millis());
        let view = self.post(&path, intent.canonical_bytes()).await?;
        self.follow(view, |state| state == IntentState::Running)
            .await
    }

    /// Waits for an intent's end, however long it waits for approvals.
    ///
    /// # Errors
    /// See [`ClientError`]; a failed intent is a [`ClientError::Problem`].
    pub async fn finish(&self, view: IntentView) -> Result<IntentView, ClientError> {
        self.follow(view, |state| {
            matches!(state, IntentState::Running | IntentState::Pending)
        })
        .await
    }

    async fn follow(
        &self,
        mut view: IntentView,
        unfinished: impl Fn(IntentState) -> bool,
    ) -> Result<IntentView, ClientError> {
        while unfinished(view.state) {
            view = self.poll(view.intent).await?;
        }
        match view.problem {
            Some(problem) => Err(ClientError::Problem(Box::new(problem))),
            None => Ok(view),
        }
    }

    /// The latest intents.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn intents(&self) -> Result<Vec<IntentView>, ClientError> {
        self.get(routes::INTENTS).await
    }

    /// An intent itself. What it is can be believed as far as its signature is checked.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn request(&self, intent: IntentHash) -> Result<SignedIntent, ClientError> {
        let path = routes::REQUEST.replace("{hash}", &intent.to_string());
        let bytes = self
            .bytes(self.http.get(self.url(&path)).send().await)
            .await?;
        SignedIntent::from_canonical_bytes(&bytes, Intent::MAX_LEN)
            .map_err(|e| ClientError::Answer(e.to_string()))
    }

    /// Hands in what a person says of an intent.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn say(&self, said: &SignedApproval) -> Result<IntentView, ClientError> {
        let intent = said.approval.intent.to_string();
        let path = routes::APPROVALS.replace("{hash}", &intent);
        self.post(&path, said.canonical_bytes()).await
    }

    /// A version of the policy; 0 is the one in force.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn policy(&self, version: u64) -> Result<SignedBundle, ClientError> {
        let path = routes::POLICY_VERSION.replace("{version}", &version.to_string());
        self.get(&path).await
    }

    /// Has every custodian bring a bundle into force.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn publish(&self, bundle: &SignedBundle) -> Result<Vec<Delivery>, ClientError> {
        let body = serde_json::to_vec(bundle).map_err(|e| ClientError::Answer(e.to_string()))?;
        self.post(routes::POLICY, body).await
    }

    /// Has every custodian stop.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn freeze(&self, order: &SignedFreeze) -> Result<Vec<Delivery>, ClientError> {
        self.post(routes::FREEZE, order.canonical_bytes()).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<T, ClientError> {
        let request = self
            .http
            .post(self.url(path))
            .header("content-type", "application/octet-stream")
            .body(body);
        self.read(request.send().await).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let sent = self.http.get(self.url(path)).send().await;
        self.read(sent).await
    }

    async fn read<T: DeserializeOwned>(
        &self,
        sent: Result<Response, reqwest::Error>,
    ) -> Result<T, ClientError> {
        let bytes = self.bytes(sent).await?;
        serde_json::from_slice(&bytes).map_err(|e| ClientError::Answer(e.to_string()))
    }

    async fn bytes(&self, sent: Result<Response, reqwest::Error>) -> Result<Vec<u8>, ClientError> {
        let unreachable = |e: reqwest::Error| ClientError::Unreachable {
            endpoint: self.endpoint.clone(),
            reason: chain(&e),
        };
        let response = sent.map_err(unreachable)?;
        let ok = response.status().is_success();
        let bytes = response.bytes().await.map_err(unreachable)?;
        if ok {
            return Ok(bytes.to_vec());
        }
        let problem: Problem =
            serde_json::from_slice(&bytes).map_err(|e| ClientError::Answer(e.to_string()))?;
        Err(ClientError::Problem(Box::new(problem)))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
