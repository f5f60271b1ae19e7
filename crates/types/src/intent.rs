//! What an operator asks for, signed. Every agent checks the signature against its own roster (I3).

use borsh::{BorshDeserialize, BorshSerialize};

use crate::canonical::{Canonical, CanonicalError};
use crate::roster::verify_ed25519;
use crate::{
    Curve, DerivationPath, Hash32, IntentHash, KeyId, KeyName, Network, OperatorId, Payload,
    Protocol, RefusalCode, Scheme, ValidRoster,
};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Action {
    /// Generate the auxiliary information that threshold ECDSA needs, once per committee.
    SetUpCommittee,
    /// Run a DKG.
    CreateKey {
        /// Name, unique in the cluster.
        name: KeyName,
        /// Curve.
        curve: Curve,
        /// Scheme; must exist on the curve.
        scheme: Scheme,
        /// Whether payloads outside any chain's format may ever be signed with it.
        raw_signing: bool,
    },
    /// Sign a payload.
    Sign {
        /// Which key.
        key: KeyId,
        /// Which child of it.
        path: DerivationPath,
        /// The chain the payload is for; `None` only for [`Payload::Raw`].
        network: Option<Network>,
        /// The bytes.
        payload: Payload,
        /// Free text for people and the audit log, at most [`Intent::MAX_PURPOSE`] bytes.
        purpose: String,
    },
    /// Have another protocol sign for a key from now on.
    SetProtocol {
        /// Which key.
        key: KeyId,
        /// What is to sign.
        protocol: Protocol,
        /// Make a new setup although the protocol is in force already.
        renew: bool,
    },
}

impl Action {
    /// A short name for people and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SetUpCommittee => "committee setup",
            Self::CreateKey { .. } => "key creation",
            Self::Sign { .. } => "signing",
            Self::SetProtocol { .. } => "change of protocol",
        }
    }
}

/// A proposal by an operator.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Intent {
    /// The roster this was written for.
    pub roster: Hash32,
    /// Who proposes.
    pub operator: OperatorId,
    /// Fresh for every intent; makes two otherwise equal intents different.
    pub nonce: [u8; 16],
    /// Unix milliseconds.
    pub issued_at: u64,
    /// Unix milliseconds; agents refuse it from then on.
    pub expires_at: u64,
    /// What is to be done.
    pub action: Action,
}

impl Canonical for Intent {
    const DOMAIN: &'static str = "quorate/intent/v1";
}

impl Intent {
    /// The longest purpose, in bytes.
    pub const MAX_PURPOSE: usize = 512;
    /// The longest canonical form of a signed intent, in bytes.
    pub const MAX_LEN: usize = Payload::MAX_LEN + 4096;
    /// The longest an intent may live, in milliseconds: a week, for approvals and time locks take time.
    pub const MAX_LIFETIME_MS: u64 = 7 * 24 * 60 * 60 * 1000;
    /// How far an intent may seem to come from the future, in milliseconds.
    pub const MAX_SKEW_MS: u64 = 60 * 1000;

    /// The intent's name everywhere else.
    #[must_use]
    pub fn hash(&self) -> IntentHash {
        IntentHash::from_bytes(*self.canonical_hash().as_bytes())
    }
}

/// An intent with its operator's Ed25519 signature over [`Canonical::signing_bytes`].
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedIntent {
    /// The intent.
    pub intent: Intent,
    /// 64 bytes.
    pub signature: [u8; 64],
}

impl Canonical for SignedIntent {
    const DOMAIN: &'static str = "quorate/signed-intent/v1";
}

/// Why an intent is not acted on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntentError {
    /// Not the canonical encoding of a signed intent.
    #[error(transparent)]
    Encoding(#[from] CanonicalError),
    /// The operator is not in the roster.
    #[error("operator {0} is not in the roster")]
    UnknownOperator(OperatorId),
    /// The signature is not the operator's.
    #[error("the signature on the intent is not operator {0}'s")]
    BadSignature(OperatorId),
    /// Written for another roster.
    #[error("the intent was written for roster {theirs}, this agent has {ours}")]
    OtherRoster {
        /// In the intent.
        theirs: Hash32,
        /// Of the verifier.
        ours: Hash32,
    },
    /// Past its end.
    #[error("the intent expired at {expires_at} ms, now is {now} ms")]
    Expired {
        /// End, Unix milliseconds.
        expires_at: u64,
        /// The verifier's clock, Unix milliseconds.
        now: u64,
    },
    /// Issued in the future, or ends before it begins, or lives too long.
    #[error(
        "the intent's times are not plausible: issued {issued_at} ms, expires {expires_at} ms, now {now} ms"
    )]
    Times {
        /// Unix milliseconds.
        issued_at: u64,
        /// Unix milliseconds.
        expires_at: u64,
        /// The verifier's clock, Unix milliseconds.
        now: u64,
    },
    /// A field longer than allowed.
    #[error("the intent's {what} has {len} bytes, more than the {max} allowed")]
    TooLong {
        /// Which field.
        what: &'static str,
        /// Its length.
        len: usize,
        /// The bound.
        max: usize,
    },
    /// The scheme does not exist on the curve.
    #[error("{curve} has no scheme {scheme}")]
    SchemeOnCurve {
        /// Curve.
        curve: Curve,
        /// Scheme.
        scheme: Scheme,
    },
}

impl IntentError {
    /// Code of the refusal that it leads to.
    #[must_use]
    pub const fn code(&self) -> RefusalCode {
        match self {
            Self::Expired { .. } => RefusalCode::IntentExpired,
            Self::BadSignature(_) => RefusalCode::OperatorSignature,
            Self::UnknownOperator(_) => RefusalCode::OperatorUnknown,
            Self::OtherRoster { .. } => RefusalCode::OtherRoster,
            _ => RefusalCode::IntentInvalid,
        }
    }
}

/// An intent whose signature, roster, times and bounds have been checked. Only [`SignedIntent::verify`] makes one.
#[derive(Debug, Clone)]
pub struct VerifiedIntent {
    signed: SignedIntent,
    hash: IntentHash,
}

impl VerifiedIntent {
    /// The intent.
    #[must_use]
    pub const fn intent(&self) -> &Intent {
        &self.signed.intent
    }

    /// The intent with its signature.
    #[must_use]
    pub const fn signed(&self) -> &SignedIntent {
        &self.signed
    }

    /// Its hash.
    #[must_use]
    pub const fn hash(&self) -> IntentHash {
        self.hash
    }
}

impl SignedIntent {
    /// Checks everything that can be checked without the key store: roster, operator, signature, times, bounds.
    ///
    /// `now` is the verifier's own clock, Unix milliseconds.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify(self, roster: &ValidRoster, now: u64) -> Result<VerifiedIntent, IntentError> {
        let intent = &self.intent;
        if intent.roster != roster.hash() {
            return Err(IntentError::OtherRoster {
                theirs: intent.roster,
                ours: roster.hash(),
            });
        }
        let operator = roster
            .operator(&intent.operator)
            .ok_or_else(|| IntentError::UnknownOperator(intent.operator.clone()))?;
        if !verify_ed25519(&operator.key, &intent.signing_bytes(), &self.signature) {
            return Err(IntentError::BadSignature(intent.operator.clone()));
        }
        intent.check_times(now)?;
        intent.check_action()?;
        let hash = intent.hash();
        Ok(VerifiedIntent { signed: self, hash })
    }
}

impl Intent {
    fn check_times(&self, now: u64) -> Result<(), IntentError> {
        let (issued_at, expires_at) = (self.issued_at, self.expires_at);
        if now >= expires_at {
            return Err(IntentError::Expired { expires_at, now });
        }
        let lifetime = expires_at.checked_sub(issued_at);
        let from_the_future = issued_at > now.saturating_add(Self::MAX_SKEW_MS);
        if from_the_future || lifetime.is_none_or(|l| l > Self::MAX_LIFETIME_MS) {
            return Err(IntentError::Times {
                issued_at,
                expires_at,
                now,
            });
        }
        Ok(())
    }

    fn check_action(&self) -> Result<(), IntentError> {
        let bound = |what, len, max| {
            if len > max {
                Err(IntentError::TooLong { what, len, max })
            } else {
                Ok(())
            }
        };
        match &self.action {
            Action::SetUpCommittee | Action::SetProtocol { .. } => Ok(()),
            Action::CreateKey { curve, scheme, .. } if !curve.supports(*scheme) => {
                Err(IntentError::SchemeOnCurve {
                    curve: *curve,
                    scheme: *scheme,
                })
            }
            Action::CreateKey { .. } => Ok(()),
            Action::Sign {
                payload, purpose, ..
            } => {
                bound("payload", payload.size(), Payload::MAX_LEN)?;
                bound("purpose", purpose.len(), Self::MAX_PURPOSE)
            }
        }
    }
}
