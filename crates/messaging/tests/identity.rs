//! An identity that is in a device, and the device goes away.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: a failed assumption should stop the test where it happens"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quorate_messaging::{
    IdentitySigner, IdentityUnavailable, InProcessHub, MessagingError, PartyKeys,
};
use quorate_types::Recipient;
use zeroize::Zeroizing;

use support::{Net, People, message, party, session_id, spec};

#[derive(Debug)]
struct Device {
    keys: Arc<PartyKeys>,
    gone: AtomicBool,
}

impl IdentitySigner for Device {
    fn public(&self) -> [u8; 32] {
        self.keys.identity()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], IdentityUnavailable> {
        if self.gone.load(Ordering::SeqCst) {
            return Err(IdentityUnavailable("gone".to_owned()));
        }
        self.keys.sign(message)
    }
}

#[tokio::test]
async fn a_party_that_cannot_sign_is_told_so_and_goes_on_when_it_can() {
    let mut people = People::new(2);
    let device = Arc::new(Device {
        keys: people.keys(1),
        gone: AtomicBool::new(false),
    });
    let bytes = people.keys(1).to_secret_bytes();
    let channel = Zeroizing::new(<[u8; 32]>::try_from(&bytes[32..]).unwrap());
    people.keys[0] = Arc::new(PartyKeys::with_signer(device.clone(), &channel));

    let net = Net::InProcess(InProcessHub::new());
    let (one, two) = (
        net.messenger(&people, 1).await,
        net.messenger(&people, 2).await,
    );
    let id = session_id();
    let (from, to) = (
        one.open_session(spec(id, &[1, 2])).unwrap(),
        two.open_session(spec(id, &[1, 2])).unwrap(),
    );
    let send = |text: &str| from.send(Recipient::Party(party(2)), 1, text.as_bytes().to_vec());
    send("before").await.unwrap();
    assert_eq!(**message(&to).await.payload, *b"before");

    device.gone.store(true, Ordering::SeqCst);
    let refused = send("lost").await;
    assert!(
        matches!(refused, Err(MessagingError::Identity(_))),
        "{refused:?}"
    );
    // Nor is there anything to send, which is no reason to panic.
    from.abort("cannot sign", Vec::new()).await;

    device.gone.store(false, Ordering::SeqCst);
    send("after").await.unwrap();
    assert_eq!(
        **message(&to).await.payload,
        *b"after",
        "what was refused is not sent later"
    );
}
