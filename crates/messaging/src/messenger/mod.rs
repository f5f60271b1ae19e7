//! The messenger of one party: its sessions with the others, over any transport.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_types::{
    CeremonyKind, PartyId, Recipient, SessionDescriptor, SessionId, SignedStatement, ValidRoster,
};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::envelope::SealError;
use crate::link::LinkOptions;
use crate::pending::PendingLimits;
use crate::replay::Window;
use crate::session::Event;
use crate::subjects::session_patterns;
use crate::transport::{Transport, TransportError};
use crate::{Counters, IdentityUnavailable, PartyKeys};

mod inbound;
mod shared;

use shared::{Shared, Slot};

/// Unix time in milliseconds, from the system or from a test.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
        })
    }

    /// Any clock.
    pub fn new(read: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    pub(crate) fn unix(&self) -> u64 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// How a messenger waits, re-sends and forgets.
#[derive(Debug, Clone)]
pub struct MessengerOptions {
    /// A session that waits says what it has after so long without a message; doubles while nothing comes.
    pub resend_after: Duration,
    /// The longest pause between two such requests.
    pub resend_max: Duration,
    /// How long a closed session still answers peers that miss something.
    pub grace: Duration,
    /// Accepted timestamps of envelopes; must cover the longest session, see [`Window::ENVELOPES`].
    pub window: Window,
    /// Accepted timestamps of control messages.
    pub control_window: Window,
    /// Envelopes that come before their session is opened here.
    pub pending: PendingLimits,
    /// The Noise channels.
    pub link: LinkOptions,
    /// Unix time.
    pub clock: Clock,
}

impl Default for MessengerOptions {
    fn default() -> Self {
        Self {
            resend_after: Duration::from_millis(250),
            resend_max: Duration::from_secs(2),
            grace: Duration::from_secs(30),
            window: Window::ENVELOPES,
            control_window: Window::FRESH,
            pending: PendingLimits::default(),
            link: LinkOptions::default(),
            clock: Clock::system(),
        }
    }
}

/// Why the messenger did not do what its owner asked.
#[derive(Debug, thiserror::Error)]
pub enum MessagingError {
    /// A party that the roster does not list.
    #[error("{0} is not in the roster")]
    NotInRoster(PartyId),
    /// The keys are not those the roster lists for this party.
    #[error("the roster lists other keys for {0}")]
    OtherKeys(PartyId),
    /// A session id is used once in the life of a process.
    #[error("session {} was opened before", .0.short())]
    SessionReused(SessionId),
    /// The participants are not two or more different parties, this one among them.
    #[error("session {}: the participants must be two or more different parties with {me} among them", .session.short())]
    BadParticipants {
        /// Which session.
        session: SessionId,
        /// This party.
        me: PartyId,
    },
    /// The recipient does not take part, or is this party itself.
    #[error("session {}: {party} is not another participant", .session.short())]
    NotParticipant {
        /// Which session.
        session: SessionId,
        /// The recipient.
        party: PartyId,
    },
    /// More messages than any ceremony sends.
    #[error("session {}: too many messages", .0.short())]
    TooManyMessages(SessionId),
    /// This party cannot sign now.
    #[error(transparent)]
    Identity(#[from] IdentityUnavailable),
    /// The payload cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The transport refuses for good; what it only cannot do now is not an error, it will be re-sent.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// Which session, and who takes part in it.
#[derive(Debug, Clone)]
pub struct SessionSpec {
    /// Never used before.
    pub id: SessionId,
    /// The ceremony.
    pub kind: CeremonyKind,
    /// All participants, this party among them.
    pub participants: Vec<PartyId>,
}

impl From<&SessionDescriptor> for SessionSpec {
    fn from(descriptor: &SessionDescriptor) -> Self {
        Self {
            id: descriptor.session_id(),
            kind: descriptor.kind,
            participants: descriptor.participants.clone(),
        }
    }
}

/// One party's end of all its sessions. Dropping it stops listening: sessions that are still open hear nothing more.
pub struct Messenger {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Messenger {
    /// Subscribes and begins to listen.
    ///
    /// # Errors
    /// This party or these keys are not in the roster, or the transport refuses the subscriptions.
    pub async fn start(
        keys: impl Into<Arc<PartyKeys>>,
        me: PartyId,
        roster: Arc<ValidRoster>,
        transport: Arc<dyn Transport>,
        options: MessengerOptions,
    ) -> Result<Arc<Self>, MessagingError> {
        let keys = keys.into();
        let entry = roster
            .party(&me)
            .ok_or_else(|| MessagingError::NotInRoster(me.clone()))?;
        if entry.identity != keys.identity() || entry.channel != keys.channel() {
            return Err(MessagingError::OtherKeys(me));
        }
        let [direct, broadcast, control, link] = session_patterns(&me);
        let direct = transport.subscribe(direct).await?;
        let broadcast = transport.subscribe(broadcast).await?;
        let control = transport.subscribe(control).await?;
        let link = transport.subscribe(link).await?;
        let shared = Arc::new(Shared::new(keys, me, roster, transport, options));
        let tasks = vec![
            tokio::spawn(inbound::envelopes(Arc::clone(&shared), direct)),
            tokio::spawn(inbound::envelopes(Arc::clone(&shared), broadcast)),
            tokio::spawn(inbound::controls(Arc::clone(&shared), control)),
            tokio::spawn(inbound::links(Arc::clone(&shared), link)),
            tokio::spawn(shared::timers(Arc::clone(&shared))),
        ];
        Ok(Arc::new(Self { shared, tasks }))
    }

    /// Opens a session: envelopes that came early are taken in, channels to the participants are asked for.
    ///
    /// # Errors
    /// [`MessagingError::SessionReused`], [`MessagingError::BadParticipants`], [`MessagingError::NotInRoster`].
    pub fn open_session(&self, spec: SessionSpec) -> Result<Session, MessagingError> {
        let slot = self.shared.open(spec)?;
        Ok(Session {
            shared: Arc::clone(&self.shared),
            slot,
        })
    }

    /// This party.
    #[must_use]
    pub fn me(&self) -> &PartyId {
        &self.shared.me
    }

    /// What was sent, received and refused.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }
}

impl Drop for Messenger {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl fmt::Debug for Messenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Messenger({})", self.shared.me)
    }
}

/// An open session. When it is closed or dropped, peers that still miss something are served for the grace time
/// ([`MessengerOptions::grace`]); then everything sent in it is forgotten and its keys are zeroized.
pub struct Session {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
}

impl Session {
    /// Sends a payload of at most [`crate::MAX_PAYLOAD`] bytes. It is delivered also if the transport or the peer is away
    /// for a while: as long as this session is open, and for the grace time after.
    ///
    /// # Errors
    /// [`MessagingError::NotParticipant`], [`MessagingError::Seal`], [`MessagingError::TooManyMessages`], [`MessagingError::Identity`], or a lasting
    /// [`MessagingError::Transport`].
    pub async fn send(
        &self,
        recipient: Recipient,
        round: u16,
        payload: Vec<u8>,
    ) -> Result<(), MessagingError> {
        let payload = Zeroizing::new(payload);
        let out = self
            .shared
            .seal_and_keep(&self.slot, recipient, round, &payload)?;
        drop(payload);
        Ok(self.shared.publish_strict(out).await?)
    }

    /// The next event. While it waits it asks the peers for what may have been lost. Cancel-safe; one reader at a time.
    pub async fn recv(&self) -> Event {
        loop {
            let due = {
                let mut core = lock(&self.slot.core);
                if let Some(event) = core.next_event() {
                    return event;
                }
                self.shared.instant(core.have_due)
            };
            tokio::select! {
                biased;
                () = self.slot.arrived.notified() => {}
                () = tokio::time::sleep_until(due) => self.shared.say_have(&self.slot).await,
            }
        }
    }

    /// Tells the participants that this party gives up. Who misses it is told when it asks for messages. The reason is
    /// cut to [`crate::control::MAX_REASON`] bytes and must hold no secret; of the evidence the first
    /// [`crate::control::MAX_EVIDENCE`] statements are sent.
    pub async fn abort(&self, reason: &str, evidence: Vec<SignedStatement>) {
        self.shared.abort(&self.slot, reason, evidence).await;
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.slot.id
    }

    /// Ends the session; the same as dropping it.
    pub fn close(self) {}
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.close(&self.slot);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.slot.id.short())
    }
}

/// A thread that panicked while it held the lock left no half-done change that matters more than going on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
