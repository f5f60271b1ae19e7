//! The words every Quorate crate shares: identifiers, thresholds, the roster, intents, session
//! descriptors and the statement that an envelope's signature covers.
//!
//! Nothing in here is secret, and nothing in here reads a clock, a file or a network: time and
//! randomness are arguments. Everything that is hashed or signed has one canonical encoding
//! (Borsh, <https://borsh.io>), always under a domain tag, see [`canonical`].

pub mod affirmation;
pub mod approval;
pub mod batch;
pub mod bundle;
pub mod canonical;
pub mod chain_rules;
pub mod code;
pub mod derivation;
pub mod dialect;
pub mod discard;
pub mod ids;
pub mod intent;
pub mod key;
pub mod node;
pub mod passkey;
pub mod payload;
pub mod preimage;
pub mod presence;
pub mod presignature;
pub mod protocol;
pub mod roster;
pub mod session;
pub mod signature;
pub mod statement;

pub use affirmation::{Affirmation, SignedAffirmation};
pub use approval::{Approval, FreezeOrder, Proof, SignedApproval, SignedFreeze, Verdict};
pub use batch::{Batch, BatchError};
pub use bundle::{
    Admin, AdminSignature, Admins, Asset, BookEntry, Bundle, BundleError, Counter, Credential,
    KeyGroup, Measure, Person, Rule, SignedBundle, ValidBundle,
};
pub use chain_rules::{ChainRules, FeeBound};
pub use code::{Class, Code, CodeSet, FailureCode, PayloadCode, ProblemCode, RefusalCode};
pub use derivation::{DerivationPath, DerivationPathError};
pub use dialect::{Capabilities, Capability, Dialect, FrameError, WireVersion};
pub use discard::{KeyDiscard, SignedDiscard};
pub use ids::{
    GroupName, Hash32, IdError, IntentHash, KeyId, KeyName, OperatorId, PartyId, PersonId,
    RoleName, RuleId, SessionId,
};
pub use intent::{Action, Intent, IntentError, SignedIntent, VerifiedIntent};
pub use key::{Attestation, Curve, KeyRecord, Protocol, PublicKey, PublicKeyError, Scheme};
pub use passkey::{Assertion, Passkey, PasskeyKey, RelyingParty};
pub use payload::{BitcoinNetwork, Network, NetworkError, Payload};
pub use preimage::{HashAlgorithm, Preimage};
pub use presignature::{
    NonceCommitments, PoolLevel, Preprocessed, PresignaturePool, SignedPartials,
};
pub use protocol::{Ban, ProtocolListing, ProtocolRecord};
pub use roster::{
    OperatorEntry, PartyEntry, Roster, RosterError, Threshold, ThresholdError, ValidRoster,
};
pub use session::{CeremonyKind, SessionDescriptor};
pub use signature::{
    EcdsaPartial, EcdsaSignature, PartialSignature, SchnorrPartial, Signature, SignatureError,
};
pub use statement::{Equivocation, Recipient, SignedStatement, Statement, StatementError};

/// The largest committee this version runs (`n`).
pub const MAX_PARTIES: u16 = 15;
