//! A typed client.

use std::time::Duration;

use quorate_types::canonical::Canonical as _;
use quorate_types::node::KeyListing;
use quorate_types::{IntentHash, SignedIntent};
use reqwest::{Certificate, Identity, Response};
use serde::de::DeserializeOwned;

use crate::model::{ClusterStatus, IntentState, IntentView, Problem, routes};

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

    /// Hands in a signed intent. Handing in the same one again is harmless.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn submit(&self, intent: &SignedIntent) -> Result<IntentView, ClientError> {
        let request = self
            .http
            .post(self.url(routes::INTENTS))
            .header("content-type", "application/octet-stream")
            .body(intent.canonical_bytes());
        self.read(request.send().await).await
    }

    /// Where an intent is, waiting a few seconds for its end.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn poll(&self, intent: IntentHash) -> Result<IntentView, ClientError> {
        let path = format!("{}/{intent}?wait_ms={}", routes::INTENTS, POLL.as_millis());
        self.get(&path).await
    }

    /// Hands in an intent and waits for its end.
    ///
    /// # Errors
    /// See [`ClientError`]; a failed intent is a [`ClientError::Problem`].
    pub async fn run(&self, intent: &SignedIntent) -> Result<IntentView, ClientError> {
        let mut view = self.submit(intent).await?;
        while view.state == IntentState::Running {
            view = self.poll(view.intent).await?;
        }
        match view.problem {
            Some(problem) => Err(ClientError::Problem(Box::new(problem))),
            None => Ok(view),
        }
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
        let unreachable = |e: reqwest::Error| ClientError::Unreachable {
            endpoint: self.endpoint.clone(),
            reason: chain(&e),
        };
        let response = sent.map_err(unreachable)?;
        let ok = response.status().is_success();
        let bytes = response.bytes().await.map_err(unreachable)?;
        let answer = |e: serde_json::Error| ClientError::Answer(e.to_string());
        if ok {
            return serde_json::from_slice(&bytes).map_err(answer);
        }
        let problem: Problem = serde_json::from_slice(&bytes).map_err(answer)?;
        Err(ClientError::Problem(Box::new(problem)))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
