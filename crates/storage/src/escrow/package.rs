//! What a party hands to its recovery custodians.

use std::collections::BTreeSet;

use age::x25519;
use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::SigningKey;
use quorate_types::canonical::{Canonical, tagged_hash};
use quorate_types::roster::verify_ed25519;
use quorate_types::{Hash32, PartyId, Threshold, ValidRoster};
use rand_core::OsRng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::split::{self, Commitment, Commitments, PartValue};
use super::{EscrowError, FORMAT};
use crate::backup::{self, Lock, Opener, parse_recipient};

/// A part is small; so is what seals it.
const MAX_PART: usize = 4096;
/// The largest package file, in bytes.
const MAX_PACKAGE: usize = 1 << 20;

/// Someone who is to hold a part.
#[derive(Debug, Clone)]
pub struct Custodian {
    /// Name, for people.
    pub name: String,
    /// age X25519 recipient, `age1...`.
    pub recipient: String,
}

impl std::str::FromStr for Custodian {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, recipient) = text
            .split_once('=')
            .ok_or("a custodian is written NAME=age1...")?;
        // Shown on other people's terminals, so nothing but plain names.
        let name = PartyId::new(name).map_err(|_| {
            "a custodian's name is 1 to 40 characters of a-z, 0-9 and '-'".to_owned()
        })?;
        let recipient = parse_recipient(recipient).map_err(|e| e.to_string())?;
        Ok(Self {
            name: name.to_string(),
            recipient: recipient.to_string(),
        })
    }
}

/// One part, sealed, and its owner's public side.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartOwner {
    /// The custodian's name.
    pub custodian: PartyId,
    /// Its age recipient.
    pub recipient: String,
    /// Ed25519 public key whose seed is in the sealed part: what its owner contributes is signed with it.
    #[serde(with = "hex::serde")]
    pub signer: [u8; 32],
    /// age file to the custodian.
    #[serde(with = "hex::serde")]
    pub sealed: Vec<u8>,
}

/// What is signed of a package.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    /// 1
    pub version: u32,
    pub party: PartyId,
    /// The party's Ed25519 identity key, 32 bytes; the roster has the same.
    #[serde(with = "hex::serde")]
    pub identity: [u8; 32],
    /// Unix milliseconds.
    pub made_at: u64,
    pub threshold: Threshold,
    /// age recipient that backups are encrypted to.
    pub recipient: String,
    /// Feldman's commitments, `t` compressed points of secp256k1.
    pub commitments: Vec<Point>,
    /// Sealed parts; the first has evaluation point 1.
    pub parts: Vec<PartOwner>,
}

impl Canonical for Body {
    const DOMAIN: &'static str = "quorate/escrow-package/v1";
}

impl Body {
    /// What a part is bound to: all of the package but the parts. So nobody can lift one into a package of their own and have it asked for
    /// under another name.
    fn terms(&self) -> Hash32 {
        let bare = Self {
            parts: Vec::new(),
            ..self.clone()
        };
        tagged_hash("quorate/escrow-terms/v1", &[&bare.canonical_bytes()])
    }
}

/// 33 bytes, hexadecimal in JSON.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Point(#[serde(with = "hex::serde")] pub Commitment);

/// An escrow package whose party's signature has been checked. Not secret; whoever holds it and `t` custodians' identities opens the backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EscrowPackage {
    body: Body,
    #[serde(with = "hex::serde")]
    signature: Vec<u8>,
}

/// What is sealed to a custodian.
#[derive(BorshSerialize, BorshDeserialize)]
struct Sealed {
    /// Of the package that the part is for: [`Body::terms`].
    terms: Hash32,
    index: u16,
    value: [u8; 32],
    /// Ed25519 seed of the part's signer.
    seed: [u8; 32],
}

impl Drop for Sealed {
    fn drop(&mut self) {
        self.value.zeroize();
        self.seed.zeroize();
    }
}

/// An opened part.
pub(super) struct Part {
    pub index: u16,
    pub value: PartValue,
    pub signer: SigningKey,
}

/// Splits a new backup key among custodians. `sign` is the party's Ed25519 identity, whose public half is `identity`. Nobody keeps the key.
///
/// # Errors
/// A threshold out of range, custodians who are not distinct or have no valid recipient.
pub fn create<E: std::fmt::Display>(
    party: &PartyId,
    identity: [u8; 32],
    t: u16,
    custodians: &[Custodian],
    made_at: u64,
    sign: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
) -> Result<EscrowPackage, EscrowError> {
    let n = u16::try_from(custodians.len()).unwrap_or(u16::MAX);
    let threshold = Threshold::new(t, n)?;
    let mut seen = BTreeSet::new();
    for custodian in custodians {
        for text in [&custodian.name, &custodian.recipient] {
            if !seen.insert(text.as_str()) {
                return Err(EscrowError::Repeated(text.clone()));
            }
        }
    }
    let split = split::split(threshold)?;
    let mut body = Body {
        version: FORMAT,
        party: party.clone(),
        identity,
        made_at,
        threshold,
        recipient: split.identity.to_public().to_string(),
        commitments: split.commitments.into_iter().map(Point).collect(),
        parts: Vec::new(),
    };
    let terms = body.terms();
    body.parts = custodians
        .iter()
        .zip(&split.parts)
        .zip(1..)
        .map(|((custodian, value), index)| seal_part(custodian, terms, value, index))
        .collect::<Result<_, _>>()?;
    let signature = sign(&body.signing_bytes());
    let signature = signature
        .map_err(|e| EscrowError::Signer(e.to_string()))?
        .to_vec();
    EscrowPackage { body, signature }.checked()
}

fn seal_part(
    custodian: &Custodian,
    terms: Hash32,
    value: &PartValue,
    index: u16,
) -> Result<PartOwner, EscrowError> {
    let signer = SigningKey::generate(&mut OsRng);
    let sealed = Sealed {
        terms,
        index,
        value: **value,
        seed: signer.to_bytes(),
    };
    let bytes = borsh::to_vec(&sealed).map_err(|e| EscrowError::Sharing(e.to_string()))?;
    let lock = Lock::to_recipients([&custodian.recipient])?;
    Ok(PartOwner {
        custodian: PartyId::new(&custodian.name).map_err(|e| format_error(e.to_string()))?,
        recipient: custodian.recipient.clone(),
        signer: signer.verifying_key().to_bytes(),
        sealed: backup::encrypt(&Zeroizing::new(bytes), &lock)?,
    })
}

fn format_error(reason: impl Into<String>) -> EscrowError {
    EscrowError::Format {
        what: "an escrow package",
        reason: reason.into(),
    }
}

impl EscrowPackage {
    /// Reads a package file and checks the signature it carries. Whose key that is, [`Self::check_owner`] says.
    ///
    /// # Errors
    /// [`EscrowError::Format`], [`EscrowError::PackageSignature`].
    pub fn from_json(json: &[u8]) -> Result<Self, EscrowError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            body: Body,
            #[serde(with = "hex::serde")]
            signature: Vec<u8>,
        }
        if json.len() > MAX_PACKAGE {
            return Err(format_error("it is too large"));
        }
        let Raw { body, signature } =
            serde_json::from_slice(json).map_err(|e| format_error(e.to_string()))?;
        Self { body, signature }.checked()
    }

    fn checked(self) -> Result<Self, EscrowError> {
        let body = &self.body;
        if body.version != FORMAT {
            return Err(format_error(format!(
                "version {}; this program reads version {FORMAT}",
                body.version
            )));
        }
        if body.parts.len() != usize::from(body.threshold.n()) {
            return Err(format_error("it has not as many parts as custodians"));
        }
        let signature = <[u8; 64]>::try_from(self.signature.as_slice());
        let signed =
            signature.is_ok_and(|s| verify_ed25519(&body.identity, &body.signing_bytes(), &s));
        if !signed {
            return Err(EscrowError::PackageSignature(body.party.clone()));
        }
        self.commitments()?;
        Ok(self)
    }

    /// The package as a file's content.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_json(&self) -> Result<Vec<u8>, EscrowError> {
        serde_json::to_vec_pretty(self).map_err(|e| format_error(e.to_string()))
    }

    /// Whether the roster's party made it.
    ///
    /// # Errors
    /// [`EscrowError::OtherIdentity`]
    pub fn check_owner(&self, roster: &ValidRoster) -> Result<(), EscrowError> {
        let entry = roster.party(&self.body.party);
        if entry.is_some_and(|e| e.identity == self.body.identity) {
            return Ok(());
        }
        Err(EscrowError::OtherIdentity(self.body.party.clone()))
    }

    /// Whose backups.
    #[must_use]
    pub const fn party(&self) -> &PartyId {
        &self.body.party
    }

    /// How many custodians it takes, of how many.
    #[must_use]
    pub const fn threshold(&self) -> Threshold {
        self.body.threshold
    }

    /// Unix milliseconds.
    #[must_use]
    pub const fn made_at(&self) -> u64 {
        self.body.made_at
    }

    /// The age recipient that backups are encrypted to.
    #[must_use]
    pub fn recipient(&self) -> &str {
        &self.body.recipient
    }

    /// The party's Ed25519 identity key.
    #[must_use]
    pub const fn identity(&self) -> [u8; 32] {
        self.body.identity
    }

    /// The parts' owners; the first has index 1.
    #[must_use]
    pub fn owners(&self) -> &[PartOwner] {
        &self.body.parts
    }

    /// Names the package: the hash of all that is signed.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        self.body.canonical_hash()
    }

    pub(super) fn owner(&self, index: u16) -> Option<&PartOwner> {
        self.body.parts.get(usize::from(index).checked_sub(1)?)
    }

    pub(super) fn commitments(&self) -> Result<Commitments, EscrowError> {
        let encoded: Vec<Commitment> = self.body.commitments.iter().map(|p| p.0).collect();
        Commitments::decode(&encoded, self.body.threshold).map_err(format_error)
    }

    /// Opens the part that one of these identities is for, and checks it against the commitments.
    pub(super) fn open_part(&self, identities: Vec<x25519::Identity>) -> Result<Part, EscrowError> {
        let recipients: BTreeSet<_> = identities
            .iter()
            .map(|i| i.to_public().to_string())
            .collect();
        let own = |owner: &&PartOwner| recipients.contains(&owner.recipient);
        let mut owners = (1..).zip(&self.body.parts);
        let Some((index, owner)) = owners.find(|(_, owner)| own(owner)) else {
            let names: Vec<_> = self
                .body
                .parts
                .iter()
                .map(|p| p.custodian.as_str())
                .collect();
            return Err(EscrowError::NoPart(names.join(", ")));
        };
        let wrong = |reason| EscrowError::WrongPart {
            custodian: owner.custodian.to_string(),
            reason,
            party: self.body.party.clone(),
        };
        let opener = Opener::Identities(identities);
        let bytes = backup::decrypt(&owner.sealed, &opener, MAX_PART)
            .map_err(|_| wrong("it does not open with its custodian's identity"))?;
        let sealed: Sealed = borsh::from_slice(&bytes).map_err(|_| wrong("it is no part"))?;
        if sealed.terms != self.body.terms() {
            return Err(wrong(
                "it was made for another package, and copied into this one",
            ));
        }
        let signer = SigningKey::from_bytes(&sealed.seed);
        if sealed.index != index || signer.verifying_key().to_bytes() != owner.signer {
            return Err(wrong("it is another custodian's, or its signing key is"));
        }
        if !self.commitments()?.admit(index, &sealed.value) {
            return Err(wrong("it does not fit the commitments"));
        }
        Ok(Part {
            index,
            value: Zeroizing::new(sealed.value),
            signer,
        })
    }
}
