//! The protobuf messages, field by field. Only what a signature covers is believed, see [`crate::envelope`].

use prost::bytes::Bytes;

/// Version of all messages in this file.
pub(crate) const VERSION: u32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MpcEnvelope {
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// 32 bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub session_id: Bytes,
    /// `keygen`, `aux`, `presign`, `sign`, `reshare`.
    #[prost(string, tag = "3")]
    pub kind: String,
    #[prost(uint32, tag = "4")]
    pub round: u32,
    #[prost(string, tag = "5")]
    pub sender: String,
    /// Empty for a broadcast.
    #[prost(string, tag = "6")]
    pub recipient: String,
    #[prost(uint32, tag = "7")]
    pub sequence: u32,
    /// Unix milliseconds.
    #[prost(uint64, tag = "8")]
    pub timestamp: u64,
    /// 32 bytes.
    #[prost(bytes = "bytes", tag = "9")]
    pub commitment: Bytes,
    /// An encoded [`SealedBody`]; decoded only after the signature over its hash was verified.
    #[prost(bytes = "bytes", tag = "10")]
    pub ciphertext: Bytes,
    /// Ed25519, 64 bytes.
    #[prost(bytes = "bytes", tag = "11")]
    pub signature: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SealedBody {
    /// ChaCha20-Poly1305 under the content key.
    #[prost(bytes = "bytes", tag = "1")]
    pub payload: Bytes,
    /// The content key, once per recipient.
    #[prost(message, repeated, tag = "2")]
    pub wraps: Vec<WrappedKey>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WrappedKey {
    #[prost(string, tag = "1")]
    pub recipient: String,
    /// 16 bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub channel: Bytes,
    /// Noise transport nonce.
    #[prost(fixed64, tag = "3")]
    pub nonce: u64,
    /// Noise transport message: 32 bytes of key and 16 of tag.
    #[prost(bytes = "bytes", tag = "4")]
    pub sealed: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LinkMessage {
    #[prost(uint32, tag = "1")]
    pub version: u32,
    #[prost(string, tag = "2")]
    pub sender: String,
    #[prost(string, tag = "3")]
    pub recipient: String,
    /// Random, 16 bytes: each message is taken once.
    #[prost(bytes = "bytes", tag = "4")]
    pub id: Bytes,
    /// Unix milliseconds.
    #[prost(uint64, tag = "5")]
    pub timestamp: u64,
    /// See `link::Body`.
    #[prost(uint32, tag = "6")]
    pub step: u32,
    /// Random, 16 bytes: which handshake.
    #[prost(bytes = "bytes", tag = "7")]
    pub handshake: Bytes,
    /// Noise handshake message, or a channel id.
    #[prost(bytes = "bytes", tag = "8")]
    pub body: Bytes,
    #[prost(bytes = "bytes", tag = "9")]
    pub signature: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ControlMessage {
    #[prost(uint32, tag = "1")]
    pub version: u32,
    #[prost(bytes = "bytes", tag = "2")]
    pub session_id: Bytes,
    #[prost(string, tag = "3")]
    pub kind: String,
    #[prost(string, tag = "4")]
    pub sender: String,
    #[prost(uint64, tag = "5")]
    pub timestamp: u64,
    /// An encoded [`ControlBody`]; decoded only after the signature was verified.
    #[prost(bytes = "bytes", tag = "6")]
    pub body: Bytes,
    #[prost(bytes = "bytes", tag = "7")]
    pub signature: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ControlBody {
    #[prost(oneof = "ControlStep", tags = "1, 2")]
    pub step: Option<ControlStep>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum ControlStep {
    #[prost(message, tag = "1")]
    Have(Have),
    #[prost(message, tag = "2")]
    Abort(Abort),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Have {
    #[prost(message, repeated, tag = "1")]
    pub rows: Vec<HaveRow>,
}

/// What has arrived from one sender.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HaveRow {
    #[prost(string, tag = "1")]
    pub sender: String,
    /// All broadcasts below this sequence.
    #[prost(uint32, tag = "2")]
    pub broadcast_next: u32,
    /// And these.
    #[prost(uint32, repeated, tag = "3")]
    pub broadcast_extra: Vec<u32>,
    /// All direct messages below this sequence.
    #[prost(uint32, tag = "4")]
    pub direct_next: u32,
    /// And these.
    #[prost(uint32, repeated, tag = "5")]
    pub direct_extra: Vec<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Abort {
    #[prost(string, tag = "1")]
    pub reason: String,
    /// Borsh-encoded `SignedStatement`s.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub evidence: Vec<Bytes>,
}
