//! Rosters with known secret keys.

use ed25519_dalek::SigningKey;
use quorate_types::{
    OperatorEntry, OperatorId, PartyEntry, PartyId, Roster, Threshold, ValidRoster,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};

/// A roster and everyone's identity keys.
pub struct Identities {
    /// The roster: `party-1` .. `party-n`, operator `operator`.
    pub roster: ValidRoster,
    /// Identity keys in roster order.
    pub parties: Vec<SigningKey>,
    /// The operator's key.
    pub operator: SigningKey,
}

impl Identities {
    /// A cluster of `threshold`, from a seed.
    #[must_use]
    pub fn new(threshold: Threshold, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let parties: Vec<_> = (0..threshold.n())
            .map(|_| SigningKey::generate(&mut rng))
            .collect();
        let operator = SigningKey::generate(&mut rng);
        let entries = parties
            .iter()
            .zip(1..)
            .map(|(key, number)| {
                let mut channel = [0u8; 32];
                rng.fill_bytes(&mut channel);
                PartyEntry {
                    id: party_id(number),
                    identity: key.verifying_key().to_bytes(),
                    channel,
                }
            })
            .collect();
        let roster = Roster {
            cluster: "test".to_owned(),
            threshold,
            parties: entries,
            operators: vec![OperatorEntry {
                id: OperatorId::new("operator").unwrap(),
                key: operator.verifying_key().to_bytes(),
            }],
            admins: quorate_types::Admins::single(
                quorate_types::PersonId::new("admin").unwrap(),
                operator.verifying_key().to_bytes(),
            ),
        };
        Self {
            roster: roster.try_into().expect("a valid roster"),
            parties,
            operator,
        }
    }
}

/// `party-<number>`, numbered from 1.
#[must_use]
pub fn party_id(number: u16) -> PartyId {
    PartyId::new(&format!("party-{number}")).unwrap()
}
