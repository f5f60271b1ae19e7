//! What nats-server has carried, from its monitoring endpoint.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;

/// Totals since the server began. Bytes are those of messages, without TLS and without the protocol's own lines.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Carried {
    /// Messages from clients to the server.
    pub in_msgs: u64,
    /// Messages from the server to clients.
    pub out_msgs: u64,
    /// Bytes of the former.
    pub in_bytes: u64,
    /// Bytes of the latter.
    pub out_bytes: u64,
}

/// Asks the server.
///
/// # Errors
/// No answer, or an unreadable one.
pub fn carried(monitoring: SocketAddr) -> anyhow::Result<Carried> {
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&monitoring, limit)
        .context("nats-server does not answer; has it been ended?")?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(b"GET /varz HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer
        .split_once("\r\n\r\n")
        .context("nats-server's monitoring did not answer")?;
    serde_json::from_str(body).context("nats-server's monitoring")
}
