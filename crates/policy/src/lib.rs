//! (bundle, effects, approvals, history) to a decision with reasons.
//!
//! Pure: no network, no files, no clock. Every agent runs this alone, on its own copy of the bundle.

pub mod webauthn;
