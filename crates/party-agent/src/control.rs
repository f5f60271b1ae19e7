//! The agent's control socket: `control.sock` in its data directory, which only its own user may enter. One JSON line each way.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_types::node::Standing;
use quorate_types::{KeyName, PartyId};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use crate::backup::StoredBackup;

/// The longest line, in bytes.
const MAX_LINE: usize = 64 * 1024;
/// How long a client may take to send its request.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an agent can be asked locally.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ControlRequest {
    /// How are you?
    Status,
    /// Open the store with this passphrase or PIN; null where none is needed.
    Unseal {
        /// Wiped after use on both sides.
        secret: Option<Zeroizing<String>>,
    },
    /// Close the store and forget every secret.
    Seal,
    /// Believe the machine's clock although it is before the ledger's last entry.
    AcceptClock,
    /// Resume although not every peer that should has said what it last heard: those that have not are lost for good.
    AcceptRestore,
    /// The admins' policy is at this version, as the custodian has heard from them: nobody else
    /// could tell this agent.
    AcceptPolicy {
        /// The version.
        version: u64,
    },
    /// Let a party sign by DKLs23 again for a key, with setups made later than the one it was banned for.
    LiftBan {
        /// The key.
        key: KeyName,
        /// Who.
        party: PartyId,
    },
    /// Make a backup now, as the agent's configuration says: nobody on the socket chooses who can open it.
    Backup,
}

/// How an agent is, for its own custodian.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentStatus {
    /// Who.
    pub party: PartyId,
    /// Program version.
    pub version: String,
    /// Whether it takes part.
    pub standing: Standing,
    /// Keys it holds shares of, while it is not sealed.
    pub keys: Option<u32>,
    /// Leaves in its log, while it is not sealed.
    pub log_size: Option<u64>,
    /// How often it was restored, while it is not sealed.
    pub restores: Option<u64>,
    /// The last backup made since it was unsealed.
    pub last_backup: Option<StoredBackup>,
    /// With whom it signs no more by DKLs23, while it is not sealed.
    #[serde(default)]
    pub bans: Vec<LocalBan>,
    /// What protection of its memory the operating system refused.
    pub warnings: Vec<String>,
}

/// A party that failed a consistency check of DKLs23 here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalBan {
    /// With which key.
    pub key: KeyName,
    /// Who.
    pub party: PartyId,
    /// When, Unix milliseconds.
    pub at: u64,
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ControlReply {
    /// Done, or not needed; this is how the agent is now.
    Status(AgentStatus),
    /// A backup was made.
    Backup(StoredBackup),
    /// Not done.
    Error(String),
}

/// A request and where its answer goes.
pub type Asked = (ControlRequest, oneshot::Sender<ControlReply>);

/// Where the socket is.
#[must_use]
pub fn socket(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// Why the socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error(
        "no agent runs on {}; start it with: quorate agent run --config <agent.toml>", .0.display()
    )]
    NotRunning(PathBuf),
    /// The operating system.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not; a path of more than about 100 bytes is too long for a socket.
        cause: io::Error,
    },
    /// The agent's answer.
    #[error("{0}")]
    Refused(String),
    /// Bytes that are no answer.
    #[error("the agent answered something unreadable: {0}")]
    Unreadable(String),
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ControlError {
    let path = path.to_owned();
    move |cause| ControlError::Io {
        action,
        path,
        cause,
    }
}

/// Listens; whoever calls holds the data directory's lock, so a socket that is there was left behind.
///
/// # Errors
/// The operating system's.
pub fn listen(data: &Path) -> Result<UnixListener, ControlError> {
    let path = socket(data);
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &path)(e)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed("listen on", &path))?;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, private).map_err(failed("protect", &path))?;
    Ok(listener)
}

/// Hands every request to whoever receives them, until nobody does.
pub async fn serve(listener: UnixListener, asked: mpsc::Sender<Asked>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = asked.closed() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, say: that passes.
                tracing::warn!(%error, "cannot take a control connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let asked = asked.clone();
        tokio::spawn(async move {
            if let Err(error) = answer(stream, asked).await {
                tracing::debug!(%error, "a control connection ended early");
            }
        });
    }
}

async fn answer(mut stream: UnixStream, asked: mpsc::Sender<Asked>) -> io::Result<()> {
    let line = tokio::time::timeout(PATIENCE, read_line(&mut stream)).await??;
    let reply = match serde_json::from_slice(&line) {
        Ok(request) => {
            let (sender, receiver) = oneshot::channel();
            let stopped = |_| ControlReply::Error("the agent is stopping".to_owned());
            match asked.send((request, sender)).await {
                Ok(()) => receiver.await.unwrap_or_else(|e| stopped(e.to_string())),
                Err(e) => stopped(e.to_string()),
            }
        }
        Err(error) => ControlReply::Error(format!("the request cannot be read: {error}")),
    };
    let mut bytes = serde_json::to_vec(&reply)?;
    bytes.push(b'\n');
    stream.write_all(&bytes).await
}

async fn read_line(stream: &mut UnixStream) -> io::Result<Zeroizing<Vec<u8>>> {
    // All at once, so that a secret is not left behind where the buffer grew.
    let mut line = Zeroizing::new(vec![0; MAX_LINE]);
    let mut length = 0;
    while let Some(free) = line.get_mut(length..).filter(|free| !free.is_empty()) {
        match stream.read(free).await? {
            0 => break,
            read => length += read,
        }
        if line.get(..length).is_some_and(|read| read.ends_with(b"\n")) {
            break;
        }
    }
    line.truncate(length);
    Ok(line)
}

/// Asks the agent of a data directory.
///
/// # Errors
/// No agent, or its refusal.
pub async fn ask(data: &Path, request: &ControlRequest) -> Result<AgentStatus, ControlError> {
    match exchange(data, request).await? {
        ControlReply::Status(status) => Ok(status),
        ControlReply::Error(reason) => Err(ControlError::Refused(reason)),
        ControlReply::Backup(_) => Err(other_answer()),
    }
}

/// Whether an agent answers on a data directory.
pub async fn is_running(data: &Path) -> bool {
    UnixStream::connect(socket(data)).await.is_ok()
}

/// Has the agent of a data directory make a backup.
///
/// # Errors
/// No agent, or its refusal.
pub async fn ask_backup(data: &Path) -> Result<StoredBackup, ControlError> {
    match exchange(data, &ControlRequest::Backup).await? {
        ControlReply::Backup(made) => Ok(made),
        ControlReply::Error(reason) => Err(ControlError::Refused(reason)),
        ControlReply::Status(_) => Err(other_answer()),
    }
}

fn other_answer() -> ControlError {
    ControlError::Unreadable("it is for another request".to_owned())
}

async fn exchange(data: &Path, request: &ControlRequest) -> Result<ControlReply, ControlError> {
    let path = socket(data);
    let mut stream = UnixStream::connect(&path)
        .await
        .map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ControlError::NotRunning(data.to_owned())
            }
            _ => failed("connect to", &path)(e),
        })?;
    let unreadable = |e: serde_json::Error| ControlError::Unreadable(e.to_string());
    // As large as it can become, for the same reason.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LINE));
    serde_json::to_writer(&mut *bytes, request).map_err(unreadable)?;
    bytes.push(b'\n');
    let sent = stream.write_all(&bytes).await;
    sent.map_err(failed("write to", &path))?;
    let line = read_line(&mut stream).await;
    let line = line.map_err(failed("read from", &path))?;
    serde_json::from_slice(&line).map_err(unreadable)
}
