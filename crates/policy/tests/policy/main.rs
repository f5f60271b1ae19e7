//! Bundles compiled from text, asked about requests.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: a failed assumption should stop the test where it happens"
)]

mod approvals;
mod batches;
mod chain;
mod cluster;
mod guide;
mod identity;
mod mutations;
mod naive;
mod networks;
mod outflow;
mod reference;
mod rules;
mod seeds;
mod spend_book;
mod spending_bounds;
mod support;
mod times;
mod words;
