//! (bundle, effects, approvals, history) to a decision with reasons.
//!
//! Pure: no network, no files, no clock. Every agent runs this alone, on its own copy of the bundle ([`Engine::decide`]). Rules are Cedar policies under a
//! schema made from the bundle; everything that is counted (approvals of a group, rolling sums) is counted here and handed to the rules as a
//! number, so that no rule does arithmetic. Cedar skips a policy that errs; here any error is a denial.

mod context;
mod decision;
mod engine;
mod fees;
mod history;
mod people;
mod request;
mod schema;
mod shown;
mod source;
mod spend;
mod spend_book;
mod units;
pub mod webauthn;

pub use context::Book;
pub use decision::{Allowed, Decision, Missing, Reason};
pub use engine::{Engine, EngineError, Evidence, Standing, check_rules};
pub use fees::dangers;
pub use history::History;
pub use people::{
    ApprovalError, Expected, ProofError, Tally, initiator, verify_approval, verify_freeze,
    verify_proof,
};
pub use request::{Act, KeyFacts, Request, Understood};
pub use schema::schema;
pub use shown::{Shown, sighashes};
pub use source::{
    Header, SourceError, Statement, Words, changes, compile, named_keys, printable, words,
};
pub use spend::{
    Place, SignedSpendRecord, Spend, SpendEntry, SpendLine, SpendRecord, asset_name, spend_id,
};
pub use spend_book::{ReportError, SpendBook, SpendConflict};
pub use units::{AmountError, parse_units, show_units, to_units};
