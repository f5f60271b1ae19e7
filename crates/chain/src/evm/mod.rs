//! EVM transactions and messages.

mod calls;
mod error;
mod facts;
mod json;
pub(crate) mod message;
mod rlp;
mod transaction;
pub mod typed_data;

pub use error::EvmError;
pub use json::from_json;
pub(crate) use transaction::UnsignedTx;
