//! Messages between party agents: sealed, signed, replay-guarded and re-sent when lost, over NATS or in one process.
//!
//! The network is hostile by assumption. What this crate guarantees to a ceremony is in one sentence: a payload that
//! [`Session::recv`] returns was sent in this session, in this round, by the named roster party, to this party or to
//! everyone, once, and nobody else has read it. It does not guarantee delivery against someone who cuts the wire, nor
//! order between messages, nor that a broadcast was the same for everyone: that takes an echo over the
//! [`SignedStatement`](quorate_types::SignedStatement)s, which are handed up with every message.
//!
//! From the wire up: [`transport`] moves bytes under subject permissions ([`subjects`], [`permissions`]); [`link`] keeps
//! one Noise channel per pair of parties; [`envelope`] seals a payload once and wraps its content key for each recipient
//! over those channels; [`replay`] lets each sequence number through once; [`messenger`] puts them together.

pub mod control;
pub mod counters;
pub mod envelope;
pub mod identity;
pub mod link;
pub mod messenger;
pub mod permissions;
pub mod replay;
pub mod subjects;
pub mod transport;

mod outbox;
mod pending;
mod session;
mod wire;

pub use counters::{Counters, Refusal};
pub use identity::{IdentitySigner, IdentityUnavailable, PartyKeys};
pub use messenger::{MessagingError, Messenger, MessengerOptions, Session, SessionSpec};
pub use permissions::{NatsServerSpec, Permissions, nats_server_config};
pub use session::{Event, Misbehaviour, Received};
pub use subjects::Subject;
pub use transport::in_process::{InProcessHub, InProcessTransport};
pub use transport::nats::{NatsOptions, NatsTransport};
pub use transport::{Delivery, Subscription, Transport, TransportError};

/// The longest envelope looked at, in bytes; longer ones are refused before anything is decoded. The largest honest
/// message of the supported ceremonies is 212 KB (CGGMP24 aux info).
pub const MAX_ENVELOPE: usize = 512 * 1024;

/// The longest payload that fits an envelope for 15 parties, in bytes.
pub const MAX_PAYLOAD: usize = MAX_ENVELOPE - 8 * 1024;

/// Two readings of time, both in milliseconds: `monotonic` for timers, `unix` for timestamps on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since an arbitrary start, never backwards.
    pub monotonic: u64,
    /// Since 1970-01-01 UTC, as this machine believes.
    pub unix: u64,
}
