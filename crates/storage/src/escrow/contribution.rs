//! A recovery custodian's answer to a request.

use age::x25519;
use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::Signer as _;
use quorate_types::canonical::Canonical;
use quorate_types::roster::verify_ed25519;
use quorate_types::{Hash32, PartyId};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::split::PartValue;
use super::{EscrowError, EscrowPackage, FORMAT, RecoveryRequest};
use crate::backup::{self, Lock, Opener};

const MAX_CONTRIBUTION: usize = 64 * 1024;

/// What a part's key signs.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// 1
    version: u32,
    /// Hash of the whole request: session, package, and the key this is sealed to.
    request: Hash32,
    /// The request's session.
    session: Hash32,
    /// The package's hash.
    package: Hash32,
    /// Which part, from 1.
    index: u16,
    /// age file to the request's recipient.
    #[serde(with = "hex::serde")]
    sealed: Vec<u8>,
}

impl Canonical for Body {
    const DOMAIN: &'static str = "quorate/escrow-contribution/v1";
}

/// One part on its way to whoever recovers: sealed, signed with the part's own key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contribution {
    /// Who says to send it; proven by the signature alone.
    pub custodian: PartyId,
    body: Body,
    #[serde(with = "hex::serde")]
    signature: Vec<u8>,
}

#[derive(BorshSerialize, BorshDeserialize)]
struct Sealed {
    index: u16,
    value: [u8; 32],
}

impl Drop for Sealed {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

fn format_error(reason: String) -> EscrowError {
    EscrowError::Format {
        what: "a contribution",
        reason,
    }
}

/// Opens the custodian's own part, checks it, and seals it to whoever asks. Who that is, a person must know: see [`RecoveryRequest::fingerprint`].
///
/// # Errors
/// A request for another package, an identity without a part, a part that is wrong.
pub fn contribute(
    package: &EscrowPackage,
    request: &RecoveryRequest,
    identities: Vec<x25519::Identity>,
) -> Result<Contribution, EscrowError> {
    request.check(package)?;
    let part = package.open_part(identities)?;
    let custodian = match package.owner(part.index) {
        Some(owner) => owner.custodian.clone(),
        None => return Err(EscrowError::NoPart(String::new())),
    };
    let sealed = Sealed {
        index: part.index,
        value: *part.value,
    };
    let bytes = Zeroizing::new(borsh::to_vec(&sealed).map_err(|e| format_error(e.to_string()))?);
    let body = Body {
        version: FORMAT,
        request: request.canonical_hash(),
        session: request.session,
        package: package.hash(),
        index: part.index,
        sealed: backup::encrypt(&bytes, &Lock::to_recipients([&request.recipient])?)?,
    };
    let signature = part.signer.sign(&body.signing_bytes()).to_vec();
    Ok(Contribution {
        custodian,
        body,
        signature,
    })
}

impl Contribution {
    /// Reads a contribution file.
    ///
    /// # Errors
    /// [`EscrowError::Format`]
    pub fn from_json(json: &[u8]) -> Result<Self, EscrowError> {
        if json.len() > MAX_CONTRIBUTION {
            return Err(format_error("it is too large".to_owned()));
        }
        let read: Self = serde_json::from_slice(json).map_err(|e| format_error(e.to_string()))?;
        if read.body.version != FORMAT {
            return Err(format_error(format!("version {}", read.body.version)));
        }
        Ok(read)
    }

    /// The contribution as a file's content.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_json(&self) -> Result<Vec<u8>, EscrowError> {
        serde_json::to_vec_pretty(self).map_err(|e| format_error(e.to_string()))
    }

    /// Checks it and opens the part. The error says who is at fault: with a valid signature the custodian, without one only who is named.
    pub(super) fn open(
        &self,
        package: &EscrowPackage,
        request: &RecoveryRequest,
        opener: &Opener,
    ) -> Result<(u16, PartValue), String> {
        let body = &self.body;
        let Self { custodian, .. } = self;
        let unproven = |why: &str| format!("said to be from {custodian}: {why}");
        if body.package != package.hash() {
            return Err(unproven("it is for another escrow package"));
        }
        if body.session != request.session || body.request != request.canonical_hash() {
            return Err(unproven(
                "it is for another recovery, or was sealed to somebody else",
            ));
        }
        let owner = package
            .owner(body.index)
            .ok_or_else(|| unproven("the package has no such part"))?;
        let signed = <[u8; 64]>::try_from(self.signature.as_slice())
            .is_ok_and(|s| verify_ed25519(&owner.signer, &body.signing_bytes(), &s));
        if !signed {
            return Err(unproven(&format!(
                "{}'s part did not sign it: it was altered or forged",
                owner.custodian
            )));
        }
        let sent = |why: &str| format!("sent and signed by {}: {why}", owner.custodian);
        if *custodian != owner.custodian {
            return Err(sent(&format!("it says to be from {custodian}")));
        }
        let bytes = backup::decrypt(&body.sealed, opener, MAX_CONTRIBUTION)
            .map_err(|_| sent("it is not sealed to this recovery's key"))?;
        let sealed: Sealed = borsh::from_slice(&bytes).map_err(|_| sent("it holds no part"))?;
        let fits = package
            .commitments()
            .is_ok_and(|c| c.admit(body.index, &sealed.value));
        if sealed.index != body.index || !fits {
            return Err(sent("the part in it does not fit the commitments"));
        }
        Ok((body.index, Zeroizing::new(sealed.value)))
    }
}

#[cfg(test)]
pub(super) mod forge {
    //! Contributions as a bad custodian would make them.
    use super::*;

    /// A signed contribution whose part is wrong.
    pub fn wrong_part(
        package: &EscrowPackage,
        request: &RecoveryRequest,
        identities: Vec<x25519::Identity>,
    ) -> Contribution {
        let part = package.open_part(identities).unwrap();
        let mut value = *part.value;
        value[31] ^= 1;
        let sealed = borsh::to_vec(&Sealed {
            index: part.index,
            value,
        });
        let lock = Lock::to_recipients([&request.recipient]).unwrap();
        let body = Body {
            version: FORMAT,
            request: request.canonical_hash(),
            session: request.session,
            package: package.hash(),
            index: part.index,
            sealed: backup::encrypt(&sealed.unwrap(), &lock).unwrap(),
        };
        Contribution {
            custodian: package.owner(part.index).unwrap().custodian.clone(),
            signature: part.signer.sign(&body.signing_bytes()).to_vec(),
            body,
        }
    }

    /// One bit of what is sealed is flipped on the way.
    pub fn altered(mut contribution: Contribution) -> Contribution {
        *contribution.body.sealed.last_mut().unwrap() ^= 1;
        contribution
    }
}
