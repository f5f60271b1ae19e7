//! The operators' contract with an orchestrator: routes, their JSON, and a typed client.
//!
//! | route | body | answer |
//! |---|---|---|
//! | `GET /v1/status` | | [`ClusterStatus`] |
//! | `GET /v1/keys` | | list of [`quorate_types::node::KeyListing`] |
//! | `POST /v1/keys/discard` | a signed wish's canonical bytes | list of [`Delivery`] |
//! | `GET /v1/affirmations/{challenge}` | | list of [`Delivery`] |
//! | `POST /v1/intents?wait_ms=N` | a signed intent's canonical bytes | [`IntentView`] |
//! | `GET /v1/intents` | | list of [`IntentView`], the latest first |
//! | `GET /v1/intents/{hash}?wait_ms=N` | | [`IntentView`] |
//! | `GET /v1/intents/{hash}/request` | | the signed intent's canonical bytes |
//! | `POST /v1/intents/{hash}/approvals` | a signed approval's canonical bytes | [`IntentView`] |
//! | `GET /v1/policy/{version}` | | a [`quorate_types::SignedBundle`]; version 0 is the one in force |
//! | `POST /v1/policy` | a [`quorate_types::SignedBundle`] | list of [`Delivery`] |
//! | `POST /v1/freeze` | a signed freeze order's canonical bytes | list of [`Delivery`] |
//!
//! Errors are [`Problem`] documents (RFC 9457). The connection is TLS 1.3 with a client certificate of the cluster's own CA.
//! Nothing an orchestrator answers is to be believed unchecked: keys carry all parties' attestations, signatures verify.

pub mod client;
pub mod model;

pub use client::{Client, ClientError, Tls};
pub use model::{
    ClusterStatus, Delivery, IntentState, IntentView, PartyStatus, Problem, ResultView, Said,
    routes,
};
