//! What is measured: a table of schemes, a list of committees, and how many samples each row gets.

use std::time::Duration;

use quorate_types::{
    Action, Curve, KeyName, KeyRecord, Protocol, Scheme as SignatureScheme, Threshold,
};

use crate::Depth;
use crate::payloads::{self, Unsigned};

/// A way to sign. A further one is a further entry of [`SCHEMES`].
#[derive(Debug)]
pub struct Scheme {
    /// On the command line and in the report.
    pub name: &'static str,
    /// What is run and what is signed, for the report.
    pub what: &'static str,
    /// Creates a key for it.
    pub create: fn(KeyName) -> Action,
    /// A payload to sign, a different one for each number.
    pub payload: fn(&KeyRecord, u64) -> anyhow::Result<Unsigned>,
    /// Chosen for the key once it is made; none where its scheme's default signs.
    pub protocol: Option<Protocol>,
    /// Whether the committee must be set up first.
    pub needs_setup: bool,
    /// Whether agents have presignatures for it, as many as a row has samples.
    pub presigned: bool,
    /// How much one signature costs, roughly: decides how many are made.
    pub weight: Weight,
}

/// FROST on Ed25519: also the scheme of the sections that are not about schemes.
pub static FROST_ED25519: Scheme = Scheme {
    name: "frost-ed25519",
    what: "FROST in one round, nonces made ahead, Ed25519: a Solana transfer",
    create: |name| create(name, Curve::Ed25519, SignatureScheme::Eddsa),
    payload: payloads::solana_transfer,
    protocol: None,
    needs_setup: false,
    presigned: false,
    weight: Weight::Light,
};

static FROST_BIP340: Scheme = Scheme {
    name: "frost-bip340",
    what: "FROST in one round, nonces made ahead, BIP-340 with the BIP-86 tweak: a taproot spend, one input",
    create: |name| create(name, Curve::Secp256k1, SignatureScheme::Bip340),
    payload: payloads::taproot_spend,
    protocol: None,
    needs_setup: false,
    presigned: false,
    weight: Weight::Light,
};

static CGGMP24: Scheme = Scheme {
    name: "cggmp24",
    what: "CGGMP24 interactive, ECDSA on secp256k1: an EIP-1559 transfer",
    create: |name| create(name, Curve::Secp256k1, SignatureScheme::Ecdsa),
    payload: payloads::evm_transfer,
    protocol: None,
    needs_setup: true,
    presigned: false,
    weight: Weight::Heavy,
};

static CGGMP24_WARM: Scheme = Scheme {
    name: WARM,
    what: "CGGMP24 with presignatures, one round, ECDSA on secp256k1: an EIP-1559 transfer",
    create: |name| create(name, Curve::Secp256k1, SignatureScheme::Ecdsa),
    payload: payloads::evm_transfer,
    protocol: None,
    needs_setup: true,
    presigned: true,
    weight: Weight::Stocked,
};

static DKLS23: Scheme = Scheme {
    name: "dkls23",
    what: "DKLs23 (unaudited library), ECDSA on secp256k1: an EIP-1559 transfer",
    create: |name| create(name, Curve::Secp256k1, SignatureScheme::Ecdsa),
    payload: payloads::evm_transfer,
    protocol: Some(Protocol::Dkls23),
    needs_setup: false,
    presigned: false,
    weight: Weight::Light,
};

/// The name of the scheme with presignatures, and of its key.
pub const WARM: &str = "cggmp24-warm";
/// Presignatures that a pool is filled up to: what all rows of the committee use.
#[must_use]
pub fn stock(depth: Depth, threshold: Threshold) -> u16 {
    let plans = CONCURRENCIES
        .iter()
        .filter_map(|width| Weight::Stocked.plan(depth, threshold, *width));
    let all: usize = plans.map(|plan| plan.most).sum();
    u16::try_from(all).unwrap_or(u16::MAX).max(1)
}

/// Every scheme.
pub static SCHEMES: &[&Scheme] = &[
    &FROST_ED25519,
    &FROST_BIP340,
    &CGGMP24,
    &CGGMP24_WARM,
    &DKLS23,
];

fn create(name: KeyName, curve: Curve, scheme: SignatureScheme) -> Action {
    Action::CreateKey {
        name,
        curve,
        scheme,
        raw_signing: false,
    }
}

/// `t` of `n`.
pub const COMMITTEES: &[(u16, u16)] = &[(2, 3), (3, 5), (5, 9)];

/// [`COMMITTEES`], checked.
#[must_use]
pub fn committees() -> Vec<Threshold> {
    let valid = |(t, n): &(u16, u16)| Threshold::new(*t, *n).ok();
    COMMITTEES.iter().filter_map(valid).collect()
}

/// How many requests are in flight.
pub const CONCURRENCIES: &[usize] = &[1, 8, 64];

/// What a signature costs, roughly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Milliseconds.
    Light,
    /// A second of each signer's computing, or more.
    Heavy,
    /// Milliseconds, after a second or more of each signer's computing beforehand.
    Stocked,
}

/// How long a row is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// No more samples than this.
    pub most: usize,
    /// No new sample after this time, once there are [`Self::least`].
    pub limit: Duration,
    /// No fewer samples than this.
    pub least: usize,
    /// Made before and not counted.
    pub warm_up: usize,
}

impl Plan {
    /// Exactly so many samples, none of them left out.
    #[must_use]
    pub const fn exactly(samples: usize) -> Self {
        Self {
            most: samples,
            limit: Duration::MAX,
            least: samples,
            warm_up: 0,
        }
    }
}

impl Weight {
    /// How a row is measured; `None` where it would take too long.
    #[must_use]
    pub fn plan(self, depth: Depth, threshold: Threshold, concurrency: usize) -> Option<Plan> {
        match (self, depth) {
            (Self::Light, Depth::Full | Depth::Thorough) => Some(Plan {
                most: 400,
                limit: Duration::from_secs(6),
                least: 2 * concurrency,
                warm_up: concurrency.min(16),
            }),
            (Self::Light, Depth::Quick) => Some(Plan::exactly(concurrency.max(4))),
            (Self::Light, Depth::Smoke) => (concurrency < 64).then(|| Plan::exactly(concurrency)),
            (Self::Heavy, Depth::Full | Depth::Thorough) => match (threshold.t(), concurrency) {
                (2, 1) => Some(Plan::exactly(8)),
                (2, 8) => Some(Plan::exactly(16)),
                (2, 64) => Some(Plan::exactly(64)),
                (3, 1) => Some(Plan::exactly(4)),
                (3, 8) => Some(Plan::exactly(8)),
                (_, 1) if depth == Depth::Thorough => Some(Plan::exactly(2)),
                _ => None,
            },
            (Self::Heavy, Depth::Quick) => {
                (threshold.t() == 2 && concurrency == 1).then(|| Plan::exactly(2))
            }
            (Self::Heavy | Self::Stocked, Depth::Smoke) => None,
            (Self::Stocked, Depth::Full | Depth::Thorough) => match (threshold.t(), concurrency) {
                (2, 1) => Some(Plan::exactly(32)),
                (2, 8) => Some(Plan::exactly(48)),
                (2, 64) => Some(Plan::exactly(80)),
                (3, 1) if depth == Depth::Thorough => Some(Plan::exactly(16)),
                (3, 8) if depth == Depth::Thorough => Some(Plan::exactly(24)),
                (5, 1) if depth == Depth::Thorough => Some(Plan::exactly(8)),
                _ => None,
            },
            (Self::Stocked, Depth::Quick) => {
                (threshold.t() == 2 && concurrency == 8).then(|| Plan::exactly(16))
            }
        }
    }
}

/// How many signatures the published row has.
#[must_use]
pub const fn published(depth: Depth) -> usize {
    match depth {
        Depth::Full | Depth::Thorough => 1000,
        Depth::Quick => 32,
        Depth::Smoke => 8,
    }
}

/// How many keys are created one after the other.
#[must_use]
pub const fn keys(depth: Depth) -> usize {
    match depth {
        Depth::Full | Depth::Thorough => 1000,
        Depth::Quick => 10,
        Depth::Smoke => 2,
    }
}

/// Which thresholds the growth section has, each with as many custodians.
#[must_use]
pub const fn growth(depth: Depth) -> &'static [u16] {
    match depth {
        Depth::Full | Depth::Thorough => &[2, 3, 4, 5, 6, 7, 8, 9, 10],
        Depth::Quick => &[2, 4],
        Depth::Smoke => &[],
    }
}

/// Samples of each point of the growth section, one at a time.
#[must_use]
pub const fn growth_plan(depth: Depth) -> Plan {
    match depth {
        Depth::Full | Depth::Thorough => Plan {
            most: 100,
            limit: Duration::from_secs(3),
            least: 10,
            warm_up: 3,
        },
        Depth::Quick | Depth::Smoke => Plan::exactly(3),
    }
}

/// How many keys there are on disk in the last row of the section on keys; most of them only as records.
#[must_use]
pub const fn stored_keys(depth: Depth) -> Option<usize> {
    match depth {
        Depth::Thorough => Some(100_000),
        Depth::Quick => Some(1_000),
        Depth::Full | Depth::Smoke => None,
    }
}

/// How many signatures the section on endurance makes, and after how many it looks at the memory.
#[must_use]
pub const fn endurance(depth: Depth) -> Option<(usize, usize)> {
    match depth {
        Depth::Thorough => Some((100_000, 10_000)),
        Depth::Quick => Some((200, 50)),
        Depth::Full | Depth::Smoke => None,
    }
}

/// A row beside which a pool is being filled, and the same row without.
#[must_use]
pub fn beside(depth: Depth, threshold: Threshold) -> Option<Plan> {
    let is_measured = threshold.t() == 2 && matches!(depth, Depth::Full | Depth::Thorough);
    is_measured.then(|| Plan {
        most: 6_000,
        limit: Duration::from_secs(15),
        least: 200,
        warm_up: 16,
    })
}
