//! The REST API over mutual TLS.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_server::tls_rustls::RustlsConfig;
use quorate_api::{IntentView, Problem, routes};
use quorate_types::canonical::Canonical as _;
use quorate_types::{
    Intent, IntentHash, ProblemCode, RefusalCode, SignedApproval, SignedBundle, SignedDiscard,
    SignedFreeze, SignedIntent,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde::Deserialize;

use crate::Coordinator;
use crate::coordinator::unknown_intent;

/// The longest a poll waits.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// A bundle in JSON is longer than in its canonical form.
const MAX_BUNDLE: usize = 2 * SignedBundle::MAX_LEN;

/// A problem as an HTTP answer.
struct Failed(Problem);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.0.retry_after;
        let mut response = (status, Json(self.0)).into_response();
        if let Some(seconds) = retry_after {
            let seconds = header::HeaderValue::from(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        let kind = header::HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// The routes.
pub fn router(coordinator: Arc<Coordinator>) -> Router {
    Router::new()
        .route(routes::STATUS, get(status))
        .route(routes::KEYS, get(keys))
        .route(routes::DISCARD, post(discard))
        .route(routes::AFFIRMATIONS, get(affirmations))
        .route(routes::INTENTS, post(submit).get(intents))
        .route(routes::INTENT, get(intent))
        .route(routes::REQUEST, get(request))
        .route(routes::APPROVALS, post(say))
        .route(
            routes::POLICY,
            post(publish).layer(DefaultBodyLimit::max(MAX_BUNDLE)),
        )
        .route(routes::POLICY_VERSION, get(policy))
        .route(routes::FREEZE, post(freeze))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(Intent::MAX_LEN))
        .with_state(coordinator)
}

async fn not_found() -> Failed {
    Failed(Problem::new(
        404,
        ProblemCode::NotFound,
        "Not found",
        "no such resource",
    ))
}

async fn method_not_allowed() -> Failed {
    Failed(Problem::new(
        405,
        ProblemCode::MethodNotAllowed,
        "Method not allowed",
        "this resource does not take this method",
    ))
}

/// What the framework itself refuses: a body that is too long or breaks off, a query that does not parse.
fn unreadable(status: StatusCode, detail: String) -> Failed {
    Failed(Problem::new(
        status.as_u16(),
        RefusalCode::Unreadable,
        "The request cannot be read",
        detail,
    ))
}

async fn status(State(coordinator): State<Arc<Coordinator>>) -> Response {
    Json(coordinator.status().await).into_response()
}

async fn keys(State(coordinator): State<Arc<Coordinator>>) -> Result<Response, Failed> {
    let keys = coordinator.keys().await.map_err(Failed)?;
    Ok(Json(keys).into_response())
}

async fn discard(
    State(coordinator): State<Arc<Coordinator>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failed> {
    let body = body.map_err(|e| unreadable(e.status(), e.body_text()))?;
    let discard =
        SignedDiscard::from_canonical_bytes(&body, SignedDiscard::MAX_LEN).map_err(|e| {
            Failed(Problem::new(
                400,
                RefusalCode::Unreadable,
                "Not a wish to discard a key",
                e,
            ))
        })?;
    Ok(Json(coordinator.discard(discard).await).into_response())
}

async fn affirmations(
    State(coordinator): State<Arc<Coordinator>>,
    Path(challenge): Path<String>,
) -> Result<Response, Failed> {
    let challenge = challenge.parse().map_err(|e| {
        Failed(Problem::new(
            400,
            RefusalCode::Unreadable,
            "Not a challenge",
            e,
        ))
    })?;
    Ok(Json(coordinator.affirmations(challenge).await).into_response())
}

async fn submit(
    State(coordinator): State<Arc<Coordinator>>,
    wait: Result<Query<Wait>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<IntentView>, Failed> {
    let wait = wait_of(wait)?;
    let body = body.map_err(|e| unreadable(e.status(), e.body_text()))?;
    let intent = SignedIntent::from_canonical_bytes(&body, Intent::MAX_LEN).map_err(|e| {
        Failed(Problem::new(
            400,
            RefusalCode::Unreadable,
            "Not a signed intent",
            e,
        ))
    })?;
    let view = coordinator.submit(intent).map_err(Failed)?;
    if wait.is_zero() {
        return Ok(Json(view));
    }
    let ended = coordinator.view(view.intent, wait).await;
    Ok(Json(ended.unwrap_or(view)))
}

async fn intents(State(coordinator): State<Arc<Coordinator>>) -> Response {
    Json(coordinator.latest()).into_response()
}

fn hash_of(text: &str) -> Result<IntentHash, Failed> {
    text.parse().map_err(|e| {
        Failed(Problem::new(
            400,
            RefusalCode::Unreadable,
            "Not an intent hash",
            e,
        ))
    })
}

async fn request(
    State(coordinator): State<Arc<Coordinator>>,
    Path(hash): Path<String>,
) -> Result<Vec<u8>, Failed> {
    let signed = coordinator.request(hash_of(&hash)?);
    signed
        .map(|s| s.canonical_bytes())
        .ok_or_else(|| Failed(unknown_intent()))
}

async fn say(
    State(coordinator): State<Arc<Coordinator>>,
    Path(hash): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<IntentView>, Failed> {
    let body = body.map_err(|e| unreadable(e.status(), e.body_text()))?;
    let said =
        SignedApproval::from_canonical_bytes(&body, SignedApproval::MAX_LEN).map_err(|e| {
            Failed(Problem::new(
                400,
                RefusalCode::Unreadable,
                "Not a signed approval",
                e,
            ))
        })?;
    if said.approval.intent != hash_of(&hash)? {
        let detail = "the approval is for another intent than the one in the address";
        return Err(Failed(Problem::new(
            400,
            RefusalCode::Unreadable,
            "Not for this intent",
            detail,
        )));
    }
    coordinator.say(said).await.map(Json).map_err(Failed)
}

async fn publish(
    State(coordinator): State<Arc<Coordinator>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failed> {
    let body = body.map_err(|e| unreadable(e.status(), e.body_text()))?;
    let bundle: SignedBundle = serde_json::from_slice(&body).map_err(|e| {
        Failed(Problem::new(
            400,
            RefusalCode::Unreadable,
            "Not a signed bundle",
            e,
        ))
    })?;
    if bundle.canonical_bytes().len() > SignedBundle::MAX_LEN {
        let detail = format!("a bundle has at most {} bytes", SignedBundle::MAX_LEN);
        return Err(Failed(Problem::new(
            413,
            ProblemCode::TooLong,
            "The bundle is too long",
            detail,
        )));
    }
    Ok(Json(coordinator.publish(bundle).await).into_response())
}

async fn policy(
    State(coordinator): State<Arc<Coordinator>>,
    Path(version): Path<String>,
) -> Result<Response, Failed> {
    let version = version.parse().map_err(|e| {
        Failed(Problem::new(
            400,
            RefusalCode::Unreadable,
            "Not a version",
            e,
        ))
    })?;
    let bundle = coordinator.policy(version).await.map_err(Failed)?;
    Ok(Json(bundle).into_response())
}

async fn freeze(
    State(coordinator): State<Arc<Coordinator>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failed> {
    let body = body.map_err(|e| unreadable(e.status(), e.body_text()))?;
    let order =
        SignedFreeze::from_canonical_bytes(&body, SignedApproval::MAX_LEN).map_err(|e| {
            Failed(Problem::new(
                400,
                RefusalCode::Unreadable,
                "Not a freeze order",
                e,
            ))
        })?;
    Ok(Json(coordinator.freeze(order).await).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    #[serde(default)]
    wait_ms: u64,
}

fn wait_of(wait: Result<Query<Wait>, QueryRejection>) -> Result<Duration, Failed> {
    let Query(wait) = wait.map_err(|e| unreadable(e.status(), e.body_text()))?;
    Ok(Duration::from_millis(wait.wait_ms).min(MAX_WAIT))
}

async fn intent(
    State(coordinator): State<Arc<Coordinator>>,
    Path(hash): Path<String>,
    wait: Result<Query<Wait>, QueryRejection>,
) -> Result<Json<IntentView>, Failed> {
    let (wait, hash) = (wait_of(wait)?, hash_of(&hash)?);
    let view = coordinator.view(hash, wait).await;
    view.map(Json).ok_or_else(|| Failed(unknown_intent()))
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// TLS files.
    #[error("the API's TLS files cannot be used: {0}")]
    Tls(String),
    /// Socket.
    #[error("the API cannot listen: {0}")]
    Listen(#[from] std::io::Error),
}

/// A TLS 1.3 server that admits only clients with a certificate of the CA.
///
/// # Errors
/// PEM texts that cannot be used.
pub fn tls(ca: &[u8], certificate: &[u8], key: &[u8]) -> Result<ServerConfig, ServeError> {
    let bad = |e: &dyn std::fmt::Display| ServeError::Tls(e.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        roots
            .add(certificate.map_err(|e| bad(&e))?)
            .map_err(|e| bad(&e))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|e| bad(&e))?;
    let chain = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| bad(&e))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| bad(&e))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| bad(&e))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|e| bad(&e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves until the future is dropped.
///
/// # Errors
/// The socket's.
pub async fn serve(
    listener: TcpListener,
    tls: ServerConfig,
    coordinator: Arc<Coordinator>,
) -> Result<(), ServeError> {
    listener.set_nonblocking(true)?;
    let config = RustlsConfig::from_config(Arc::new(tls));
    axum_server::from_tcp_rustls(listener, config)?
        .serve(router(coordinator).into_make_service())
        .await?;
    Ok(())
}
