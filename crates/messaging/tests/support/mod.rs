//! Clusters for tests: the same parties over the in-process hub or over a real NATS server with TLS both ways.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod lossy;
pub mod malice;
pub mod nats;

use std::sync::Arc;
use std::time::Duration;

use quorate_messaging::{
    Event, InProcessHub, Messenger, MessengerOptions, PartyKeys, Permissions, Received, Session,
    SessionSpec, Transport,
};
use quorate_types::{
    CeremonyKind, OperatorEntry, OperatorId, PartyEntry, PartyId, Roster, SessionId, Threshold,
    ValidRoster,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};

pub const WAIT: Duration = Duration::from_secs(30);

pub fn party(number: usize) -> PartyId {
    PartyId::new(&format!("party-{number}")).unwrap()
}

/// Names, keys and roster of `n` parties, numbered from 1.
pub struct People {
    pub keys: Vec<Arc<PartyKeys>>,
    pub roster: Arc<ValidRoster>,
}

impl People {
    pub fn new(n: u16) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(u64::from(n));
        let keys: Vec<_> = (0..n)
            .map(|_| Arc::new(PartyKeys::generate(&mut rng)))
            .collect();
        let entry = |(i, k): (usize, &Arc<PartyKeys>)| PartyEntry {
            id: party(i + 1),
            identity: k.identity(),
            channel: k.channel(),
        };
        let roster = Roster {
            cluster: "test".into(),
            threshold: Threshold::new(2, n).unwrap(),
            parties: keys.iter().enumerate().map(entry).collect(),
            operators: vec![OperatorEntry {
                id: OperatorId::new("alice").unwrap(),
                key: PartyKeys::generate(&mut rng).identity(),
            }],
            admins: quorate_types::Admins::single(
                quorate_types::PersonId::new("admin").unwrap(),
                PartyKeys::generate(&mut rng).identity(),
            ),
        };
        Self {
            keys,
            roster: Arc::new(roster.try_into().unwrap()),
        }
    }

    pub fn keys(&self, number: usize) -> Arc<PartyKeys> {
        Arc::clone(&self.keys[number - 1])
    }

    pub async fn messenger(&self, number: usize, transport: Arc<dyn Transport>) -> Arc<Messenger> {
        self.messenger_with(number, transport, MessengerOptions::default())
            .await
    }

    pub async fn messenger_with(
        &self,
        number: usize,
        transport: Arc<dyn Transport>,
        options: MessengerOptions,
    ) -> Arc<Messenger> {
        let roster = Arc::clone(&self.roster);
        Messenger::start(self.keys(number), party(number), roster, transport, options)
            .await
            .unwrap()
    }
}

/// Where the parties of a test meet.
pub enum Net {
    InProcess(InProcessHub),
    Nats(Box<nats::Server>),
}

impl Net {
    pub async fn transport(&self, number: usize) -> Arc<dyn Transport> {
        match self {
            Self::InProcess(hub) => {
                hub.connect(party(number).as_str(), Permissions::party(&party(number)))
            }
            Self::Nats(server) => server.connect(party(number).as_str()).await.unwrap(),
        }
    }

    pub async fn messenger(&self, people: &People, number: usize) -> Arc<Messenger> {
        let transport = self.transport(number).await;
        people.messenger(number, transport).await
    }

    /// An outsider's position: it sees and says everything, as someone who runs the network.
    pub async fn wiretap(&self) -> Arc<dyn Transport> {
        match self {
            Self::InProcess(hub) => hub.connect("wiretap", all()),
            Self::Nats(server) => server.connect(nats::WIRETAP).await.unwrap(),
        }
    }
}

pub fn all() -> Permissions {
    Permissions {
        publish: vec![">".into()],
        subscribe: vec![">".into()],
        responses: None,
    }
}

pub fn session_id() -> SessionId {
    let mut bytes = [0; 32];
    rand_core::OsRng.fill_bytes(&mut bytes);
    SessionId::from_bytes(bytes)
}

pub fn spec(id: SessionId, numbers: &[usize]) -> SessionSpec {
    SessionSpec {
        id,
        kind: CeremonyKind::Sign,
        participants: numbers.iter().map(|n| party(*n)).collect(),
    }
}

pub async fn event(session: &Session) -> Event {
    tokio::time::timeout(WAIT, session.recv())
        .await
        .expect("no event in time")
}

pub async fn message(session: &Session) -> Received {
    match event(session).await {
        Event::Message(received) => received,
        other => panic!("expected a message, got {other:?}"),
    }
}

/// `n` messages, as (sender, broadcast, payload), sorted.
pub async fn messages(session: &Session, n: usize) -> Vec<(PartyId, bool, Vec<u8>)> {
    let mut all = Vec::new();
    for _ in 0..n {
        let m = message(session).await;
        all.push((m.from, m.broadcast, m.payload.to_vec()));
    }
    all.sort();
    all
}

/// Waits, without real pauses longer than the scheduler's, until something holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + WAIT;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
