//! The server of one page: until one good answer, Ctrl-C or the time limit.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use quorate_types::RelyingParty;
use rand_core::{OsRng, RngCore as _};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use super::ask::Ask;
use super::listen::Local;
use super::page;

/// The longest answer: four fields of 4096 bytes, two of them in hexadecimal, with room.
const MAX_ANSWER: usize = 1 << 16;
/// How long open connections get to take their last answer.
const DRAIN: Duration = Duration::from_secs(1);

/// Reads an answer; an error is shown to the person, who may try again.
type Read<T> = Box<dyn Fn(&[u8]) -> anyhow::Result<T> + Send + Sync>;

/// A page that is being listened for, with a path that only this run knows.
pub struct Page<T> {
    url: String,
    listeners: Vec<TcpListener>,
    router: Router,
    answered: oneshot::Receiver<T>,
}

/// What requests are answered from.
struct Desk<T> {
    ask: String,
    read: Read<T>,
    /// Gone once there is a good answer.
    answered: Mutex<Option<oneshot::Sender<T>>>,
}

impl<T: Send + 'static> Page<T> {
    /// Listens at the relying party's origin on this machine.
    pub(super) async fn open(
        party: &RelyingParty,
        ask: &Ask,
        read: Read<T>,
    ) -> anyhow::Result<Self> {
        let local = Local::of(party)?;
        let listeners = local.listen().await?;
        let mut token = [0; 16];
        OsRng.fill_bytes(&mut token);
        let path = format!("/{}/", hex::encode(token));
        let (sender, answered) = oneshot::channel();
        let desk = Desk {
            ask: serde_json::to_string(ask)?,
            read,
            answered: Mutex::new(Some(sender)),
        };
        Ok(Self {
            url: format!("{}{path}", local.origin),
            listeners,
            router: router(&path, Arc::new(desk), local),
            answered,
        })
    }

    /// Where the person has to go.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Serves the page until it has a good answer.
    ///
    /// # Errors
    /// If there is none within `limit`, Ctrl-C is pressed, or the server fails.
    pub async fn answer(self, limit: Duration) -> anyhow::Result<T> {
        let (stop, stopped) = watch::channel(());
        let serving = self
            .listeners
            .into_iter()
            .map(|listener| tokio::spawn(serve(listener, self.router.clone(), stopped.clone())))
            .collect::<Vec<_>>();
        drop((self.router, stopped));
        let result = tokio::select! {
            answer = self.answered => answer.context("the page's server has ended"),
            () = quorate_service::interrupted() => Err(anyhow!("interrupted; no passkey was used")),
            () = tokio::time::sleep(limit) => Err(anyhow!(
                "nobody used a passkey within {}; try again", humantime::format_duration(limit)
            )),
        };
        drop(stop);
        for server in serving {
            // What is still open after that is idle, and is dropped with the program.
            let _ = tokio::time::timeout(DRAIN, server).await;
        }
        result
    }
}

/// Serves until the other end of `stopped` is dropped.
async fn serve(listener: TcpListener, router: Router, mut stopped: watch::Receiver<()>) {
    let stop = async move { while stopped.changed().await.is_ok() {} };
    // Accepting is retried by the server itself.
    let _ = axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await;
}

fn router<T: Send + 'static>(path: &str, desk: Arc<Desk<T>>, local: Local) -> Router {
    Router::new()
        .route(path, get(page::html))
        .route(&format!("{path}page.css"), get(page::css))
        .route(&format!("{path}page.js"), get(page::js))
        .route(&format!("{path}ask"), get(ask::<T>))
        .route(&format!("{path}answer"), post(answer::<T>))
        .layer(DefaultBodyLimit::max(MAX_ANSWER))
        .with_state(desk)
        .layer(middleware::from_fn_with_state(Arc::new(local), guard))
}

async fn ask<T>(State(desk): State<Arc<Desk<T>>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, desk.ask.clone()).into_response()
}

async fn answer<T>(State(desk): State<Arc<Desk<T>>>, body: Bytes) -> Response {
    let answer = match (desk.read)(&body) {
        Ok(answer) => answer,
        Err(error) => {
            return (StatusCode::UNPROCESSABLE_ENTITY, format!("{error:#}")).into_response();
        }
    };
    let sender = desk
        .answered
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    match sender.map(|sender| sender.send(answer)) {
        Some(Ok(())) => ([(header::CONNECTION, "close")], StatusCode::NO_CONTENT).into_response(),
        _ => (StatusCode::GONE, "this page has been answered already").into_response(),
    }
}

/// Refuses requests that were made for another host (DNS rebinding) or by another site's page, and confines every answer.
async fn guard(State(local): State<Arc<Local>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let mut response = if !is_only(headers, &header::HOST, &local.authority()) {
        let text = format!("this server is {} only", local.authority());
        (StatusCode::MISDIRECTED_REQUEST, text).into_response()
    } else if request.method().is_safe() || is_only(headers, &header::ORIGIN, &local.origin) {
        next.run(request).await
    } else {
        let text = format!("only pages of {} may answer", local.origin);
        (StatusCode::FORBIDDEN, text).into_response()
    };
    page::confine(response.headers_mut());
    response
}

/// Whether the header is there once, with this value.
fn is_only(headers: &HeaderMap, name: &HeaderName, expected: &str) -> bool {
    let mut values = headers.get_all(name).iter();
    values.next().is_some_and(|value| value == expected) && values.next().is_none()
}
