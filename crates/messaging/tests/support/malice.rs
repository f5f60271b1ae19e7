//! A party with real keys and real channels that signs and sends whatever a test wants.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use quorate_messaging::envelope::{Header, SealedPayload, Wrap};
use quorate_messaging::link::{Action, Link, LinkOptions};
use quorate_messaging::{Now, PartyKeys, Subject, Subscription, Transport};
use quorate_types::{CeremonyKind, PartyId, Recipient, SessionId};
use rand_core::OsRng;

use super::{People, party};

pub fn unix_now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn now() -> Now {
    Now {
        monotonic: unix_now(),
        unix: unix_now(),
    }
}

pub fn header(sender: usize, session: SessionId, sequence: u32) -> Header {
    Header {
        session,
        kind: CeremonyKind::Sign,
        round: 1,
        sender: party(sender),
        recipient: Recipient::Everyone,
        sequence,
        timestamp: unix_now(),
    }
}

pub struct Malice {
    number: usize,
    pub keys: Arc<PartyKeys>,
    transport: Arc<dyn Transport>,
    links: BTreeMap<PartyId, Link>,
    inbound: Subscription,
}

impl Malice {
    pub async fn new(people: &People, number: usize, transport: Arc<dyn Transport>) -> Self {
        let links = people.roster.party_ids().into_iter().filter_map(|peer| {
            let (keys, roster) = (people.keys(number), Arc::clone(&people.roster));
            let options = LinkOptions::default();
            let link = Link::new(party(number), peer.clone(), keys, roster, options)?;
            Some((peer, link))
        });
        let pattern = format!("mpc.link.{}.*", party(number));
        Self {
            number,
            keys: people.keys(number),
            links: links.collect(),
            inbound: transport.subscribe(pattern).await.unwrap(),
            transport,
        }
    }

    /// Brings up the channels to these parties.
    pub async fn connect(&mut self, peers: &[usize]) {
        for peer in peers {
            let peer = party(*peer);
            self.links.get_mut(&peer).unwrap().want(now());
            while !self.links[&peer].is_ready() {
                let actions = self.links.get_mut(&peer).unwrap().poll(now());
                self.act(&peer, actions).await;
                let heard = self.inbound.next();
                let pause = std::time::Duration::from_millis(50);
                let Ok(Some(delivery)) = tokio::time::timeout(pause, heard).await else {
                    continue;
                };
                let Ok(Subject::Link { sender, .. }) = delivery.subject.parse() else {
                    continue;
                };
                let link = self.links.get_mut(&sender).unwrap();
                let actions = link.on_message(delivery.payload, now()).unwrap_or_default();
                self.act(&sender, actions).await;
            }
        }
    }

    async fn act(&self, peer: &PartyId, actions: Vec<Action>) {
        for action in actions {
            if let Action::Send(payload) = action {
                let subject = Subject::Link {
                    recipient: peer.clone(),
                    sender: party(self.number),
                };
                self.publish(&subject, payload).await;
            }
        }
    }

    pub async fn publish(&self, subject: &Subject, payload: Bytes) {
        self.transport
            .publish(subject.to_string(), payload)
            .await
            .unwrap();
    }

    pub fn seal(&self, session: SessionId, sequence: u32, payload: &[u8]) -> SealedPayload {
        SealedPayload::seal(header(self.number, session, sequence), payload, &mut OsRng).unwrap()
    }

    pub fn wrap(&mut self, peer: usize, key: &[u8]) -> Wrap {
        let link = self.links.get_mut(&party(peer)).unwrap();
        link.seal(key, now()).unwrap()
    }

    /// Sends on the broadcast subject.
    pub async fn broadcast(&self, session: SessionId, envelope: Bytes) {
        let subject = Subject::Broadcast {
            kind: CeremonyKind::Sign,
            session,
            sender: party(self.number),
        };
        self.publish(&subject, envelope).await;
    }

    /// Sends to one party only.
    pub async fn direct(&self, peer: usize, session: SessionId, envelope: Bytes) {
        let subject = Subject::Direct {
            kind: CeremonyKind::Sign,
            session,
            recipient: party(peer),
            sender: party(self.number),
        };
        self.publish(&subject, envelope).await;
    }
}
