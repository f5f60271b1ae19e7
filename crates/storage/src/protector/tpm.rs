//! A store key wrapped by a TPM 2.0: a random key is sealed to the chip (TPM 2.0 Library, Part 3, `TPM2_Create`), and the store key
//! is sealed under that one.
//!
//! The sealed object's parent is a storage key derived anew from the owner hierarchy's seed, so nothing stays in the chip. Its
//! policy is `PolicyPCR` over the chosen PCRs, if any, then `PolicyAuthValue`: the PIN, or nothing. What passes between this
//! program and the chip is encrypted under a session salted to the parent, whose name the entry holds.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use rand_core::{OsRng, RngCore as _};
use tss_esapi::attributes::{ObjectAttributesBuilder, SessionAttributesBuilder};
use tss_esapi::constants::SessionType;
use tss_esapi::constants::response_code::Tss2ResponseCodeKind as Code;
use tss_esapi::handles::{KeyHandle, ObjectHandle};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{
    Auth, Digest, EccPoint, KeyedHashScheme, PcrSelectionList, PcrSlot, Private, Public,
    PublicBuilder, PublicEccParametersBuilder, PublicKeyedHashParameters, SensitiveData,
    SymmetricDefinition, SymmetricDefinitionObject,
};
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::traits::{Marshall as _, UnMarshall as _};
use tss_esapi::{Context, Error};
use zeroize::Zeroizing;

use crate::protector::entry::TpmEntry;
use crate::protector::{Entry, StoreKey, Wrap};
use crate::{Passphrase, StoreError, seal};

/// What went wrong with the TPM, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// Not a way to reach a TPM.
    #[error(
        "{0:?} is no way to reach a TPM; use for example device:/dev/tpmrm0 or swtpm:host=127.0.0.1,port=2321"
    )]
    Address(String),
    /// Nothing answers there.
    #[error(
        "no TPM answers at {tcti}: {cause}; is it enabled in the firmware, and may this user open the device (group tss)?"
    )]
    Absent {
        /// Where it was looked for.
        tcti: String,
        /// Why not.
        cause: Error,
    },
    /// No such register.
    #[error("there is no PCR {0}; they are numbered 0 to 23")]
    NoSuchPcr(u8),
    /// Longer than the chip takes.
    #[error("a TPM's PIN has 1 to 32 bytes")]
    PinLength,
    /// The entry takes a PIN and none was given.
    #[error("the store key was sealed with a PIN; set pin = true in [tpm]")]
    PinNeeded,
    /// The PIN is wrong.
    #[error("wrong PIN for the TPM; too many wrong ones lock it for a while")]
    WrongPin,
    /// The chip's dictionary-attack protection is on.
    #[error(
        "the TPM is locked after too many wrong PINs; wait for it to recover, or reset it with tpm2_dictionarylockout --clear-lockout"
    )]
    Locked,
    /// The machine is not in the state the key was sealed to.
    #[error(
        "the TPM refuses: the machine's PCRs {0:?} (SHA-256) are not those the store key was sealed to, as after a change of firmware, boot loader or kernel; if that change is yours, open the store with another protector and rotate this one"
    )]
    PcrsChanged(Vec<u8>),
    /// Another chip, or one that was cleared.
    #[error(
        "this is not the TPM that the store key was sealed to, or it was cleared since; open the store with another protector and rotate this one"
    )]
    AnotherTpm,
    /// The entry does not open.
    #[error("the TPM does not open the store key: the header was altered")]
    DoesNotOpen,
    /// The owner hierarchy has a password.
    #[error(
        "the TPM's owner hierarchy takes a password, which is not supported; clear it or use another protector"
    )]
    OwnerPassword,
    /// Anything else it says.
    #[error("the TPM cannot {action}: {cause}")]
    Tpm {
        /// What it was asked.
        action: &'static str,
        /// What it said.
        cause: Error,
    },
}

/// A TPM, with what a store key is bound to when it is sealed and the PIN it is opened with.
pub struct Tpm<'p> {
    tcti: TctiNameConf,
    address: String,
    pcrs: Vec<u8>,
    pin: Option<&'p Passphrase>,
}

impl std::fmt::Debug for Tpm<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tpm({}, PCRs {:?})", self.address, self.pcrs)
    }
}

impl<'p> Tpm<'p> {
    /// Reaches a TPM. `tcti` is a TSS2 name such as `device:/dev/tpmrm0`. What is sealed from now on is bound to the present values of
    /// `pcrs` in the SHA-256 bank; what is opened is bound to whatever it was sealed to.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn open(tcti: &str, pcrs: &[u8], pin: Option<&'p Passphrase>) -> Result<Self, TpmError> {
        if let Some(pcr) = pcrs.iter().find(|pcr| **pcr > 23) {
            return Err(TpmError::NoSuchPcr(*pcr));
        }
        if pin.is_some_and(|pin| !(1..=32).contains(&pin.expose().len())) {
            return Err(TpmError::PinLength);
        }
        let tpm = Self {
            tcti: TctiNameConf::from_str(tcti).map_err(|_| TpmError::Address(tcti.to_owned()))?,
            address: tcti.to_owned(),
            pcrs: pcrs
                .iter()
                .copied()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            pin,
        };
        tpm.connect()?;
        Ok(tpm)
    }

    /// One connection for one piece of work: closing it flushes what was loaded.
    fn connect(&self) -> Result<Chip, TpmError> {
        let context = Context::new(self.tcti.clone()).map_err(|cause| TpmError::Absent {
            tcti: self.address.clone(),
            cause,
        })?;
        Chip::new(context)
    }

    fn seal(&self, key: &StoreKey, context: &str) -> Result<TpmEntry, StoreError> {
        let mut inner = Zeroizing::new([0u8; 32]);
        OsRng.fill_bytes(&mut *inner);
        let mut chip = self.connect()?;
        let (public, private) = chip.seal(&inner, &self.pcrs, self.pin)?;
        Ok(TpmEntry {
            pcrs: self.pcrs.clone(),
            pin: self.pin.is_some(),
            parent: chip.parent_name.clone(),
            public,
            private,
            wrapped: seal::seal(&inner, context.as_bytes(), &**key)?,
        })
    }

    fn unseal(&self, entry: &TpmEntry, context: &str) -> Result<Zeroizing<Vec<u8>>, TpmError> {
        let pin = match (entry.pin, self.pin) {
            (true, None) => return Err(TpmError::PinNeeded),
            (true, pin) => pin,
            (false, _) => None,
        };
        let mut chip = self.connect()?;
        if chip.parent_name != entry.parent {
            return Err(TpmError::AnotherTpm);
        }
        let inner = chip.unseal(entry, pin)?;
        let inner = <&[u8; 32]>::try_from(inner.as_slice()).map_err(|_| TpmError::DoesNotOpen)?;
        seal::open(inner, context.as_bytes(), &entry.wrapped).ok_or(TpmError::DoesNotOpen)
    }
}

impl Wrap for Tpm<'_> {
    fn kind(&self) -> &'static str {
        "tpm"
    }

    fn wrap(&self, key: &StoreKey, context: &str) -> Result<Entry, StoreError> {
        self.seal(key, context).map(Entry::Tpm)
    }

    fn unwrap(
        &self,
        entry: &Entry,
        context: &str,
    ) -> Option<Result<Zeroizing<Vec<u8>>, StoreError>> {
        match entry {
            Entry::Tpm(entry) => Some(self.unseal(entry, context).map_err(Into::into)),
            _ => None,
        }
    }
}

/// A TPM with the parent of everything that is sealed to it loaded.
struct Chip {
    context: Context,
    parent: KeyHandle,
    /// Names the parent's public area; another chip has another.
    parent_name: Vec<u8>,
}

impl Chip {
    fn new(mut context: Context) -> Result<Self, TpmError> {
        let template = parent_template().map_err(failed("describe its storage key"))?;
        let made = context
            .execute_with_session(Some(AuthSession::Password), |context| {
                context.create_primary(Hierarchy::Owner, template, None, None, None, None)
            })
            .map_err(|cause| match code(cause) {
                Some(Code::BadAuth | Code::AuthFail) => TpmError::OwnerPassword,
                _ => failed("derive its storage key")(cause),
            })?;
        let parent_name = context
            .tr_get_name(made.key_handle.into())
            .map_err(failed("name its storage key"))?;
        Ok(Self {
            context,
            parent: made.key_handle,
            parent_name: parent_name.value().to_vec(),
        })
    }

    /// Seals 32 bytes. Returns the object's public and private parts.
    fn seal(
        &mut self,
        secret: &[u8; 32],
        pcrs: &[u8],
        pin: Option<&Passphrase>,
    ) -> Result<(Vec<u8>, Vec<u8>), TpmError> {
        let failed = failed("seal");
        let policy = self.policy_digest(pcrs).map_err(failed)?;
        let template = sealed_template(policy, pin.is_some()).map_err(failed)?;
        let secret = SensitiveData::try_from(secret.as_slice()).map_err(failed)?;
        let auth = auth(pin).map_err(failed)?;
        let session = self.session(SessionType::Hmac).map_err(failed)?;
        let parent = self.parent;
        let made = self
            .context
            .execute_with_session(Some(session), |context| {
                context.create(parent, template, Some(auth), Some(secret), None, None)
            })
            .map_err(failed)?;
        let public = made.out_public.marshall().map_err(failed)?;
        Ok((public, made.out_private.value().to_vec()))
    }

    fn unseal(
        &mut self,
        entry: &TpmEntry,
        pin: Option<&Passphrase>,
    ) -> Result<Zeroizing<Vec<u8>>, TpmError> {
        let object = self.load(entry)?;
        let session = self
            .satisfy(&entry.pcrs, object, pin)
            .map_err(failed("check its policy"))?;
        self.context
            .execute_with_session(Some(session), |context| context.unseal(object))
            .map(|secret| Zeroizing::new(secret.value().to_vec()))
            .map_err(|cause| refusal(cause, &entry.pcrs))
    }

    /// Loads a sealed object. Whatever the chip or its library dislikes about the parts means they were altered.
    fn load(&mut self, entry: &TpmEntry) -> Result<ObjectHandle, TpmError> {
        let altered = |_| TpmError::DoesNotOpen;
        let public = Public::unmarshall(&entry.public).map_err(altered)?;
        let private = Private::try_from(entry.private.as_slice()).map_err(altered)?;
        let session = self.session(SessionType::Hmac).map_err(failed("load"))?;
        let parent = self.parent;
        let loaded = self
            .context
            .execute_with_session(Some(session), |context| {
                context.load(parent, private, public)
            })
            .map_err(|cause| match code(cause) {
                Some(Code::Lockout) => TpmError::Locked,
                _ => TpmError::DoesNotOpen,
            })?;
        Ok(loaded.into())
    }

    /// A policy session that did all the object's policy asks for.
    fn satisfy(
        &mut self,
        pcrs: &[u8],
        object: ObjectHandle,
        pin: Option<&Passphrase>,
    ) -> Result<AuthSession, Error> {
        self.context.tr_set_auth(object, auth(pin)?)?;
        let session = self.session(SessionType::Policy)?;
        self.run_policy(session, pcrs)?;
        Ok(session)
    }

    fn policy_digest(&mut self, pcrs: &[u8]) -> Result<Digest, Error> {
        let session = self.session(SessionType::Trial)?;
        let policy = self.run_policy(session, pcrs)?;
        self.context.policy_get_digest(policy)
    }

    fn run_policy(&mut self, session: AuthSession, pcrs: &[u8]) -> Result<PolicySession, Error> {
        let policy = PolicySession::try_from(session)?;
        if !pcrs.is_empty() {
            let selection = selection(pcrs)?;
            // Empty digest: the present values are taken.
            self.context
                .policy_pcr(policy, Digest::default(), selection)?;
        }
        self.context.policy_auth_value(policy)?;
        Ok(policy)
    }

    /// A session salted to the parent that encrypts the first parameter both ways and lasts for one authorized command.
    fn session(&mut self, kind: SessionType) -> Result<AuthSession, Error> {
        let salt = (kind != SessionType::Trial).then_some(self.parent);
        let session = self.context.start_auth_session(
            salt,
            None,
            None,
            kind,
            SymmetricDefinition::AES_128_CFB,
            HashingAlgorithm::Sha256,
        )?;
        let session = session.ok_or(Error::WrapperError(
            tss_esapi::WrapperErrorKind::WrongValueFromTpm,
        ))?;
        let (attributes, mask) = SessionAttributesBuilder::new()
            .with_continue_session(true)
            .with_decrypt(kind == SessionType::Hmac)
            .with_encrypt(kind != SessionType::Trial)
            .build();
        self.context
            .tr_sess_set_attributes(session, attributes, mask)?;
        Ok(session)
    }
}

/// TCG's ECC storage key: P-256, AES-128-CFB, restricted to decryption.
fn parent_template() -> Result<Public, Error> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .with_restricted(true)
        .with_decrypt(true)
        .build()?;
    let parameters = PublicEccParametersBuilder::new_restricted_decryption_key(
        SymmetricDefinitionObject::AES_128_CFB,
        EccCurve::NistP256,
    )
    .build()?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(parameters)
        .with_ecc_unique_identifier(EccPoint::default())
        .build()
}

/// Wrong PINs count towards the chip's lockout; where there is no PIN there is nothing to count.
fn sealed_template(policy: Digest, pin: bool) -> Result<Public, Error> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_no_da(!pin)
        .build()?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::KeyedHash)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_auth_policy(policy)
        .with_keyed_hash_parameters(PublicKeyedHashParameters::new(KeyedHashScheme::Null))
        .with_keyed_hash_unique_identifier(Digest::default())
        .build()
}

fn auth(pin: Option<&Passphrase>) -> Result<Auth, Error> {
    Auth::try_from(pin.map_or(&[][..], |pin| pin.expose().as_bytes()))
}

fn selection(pcrs: &[u8]) -> Result<PcrSelectionList, Error> {
    let bad = || Error::WrapperError(tss_esapi::WrapperErrorKind::InvalidParam);
    let slots = pcrs
        .iter()
        .map(|pcr| {
            let bit = 1u32.checked_shl(u32::from(*pcr)).ok_or_else(bad)?;
            PcrSlot::try_from(bit)
        })
        .collect::<Result<Vec<_>, _>>()?;
    PcrSelectionList::builder()
        .with_selection(HashingAlgorithm::Sha256, &slots)
        .build()
}

fn code(error: Error) -> Option<Code> {
    match error {
        Error::Tss2Error(code) => code.kind(),
        Error::WrapperError(_) => None,
    }
}

/// What a refused unsealing means.
fn refusal(cause: Error, pcrs: &[u8]) -> TpmError {
    match code(cause) {
        Some(Code::AuthFail | Code::BadAuth) => TpmError::WrongPin,
        Some(Code::Lockout) => TpmError::Locked,
        Some(Code::PolicyFail | Code::PcrChanged) if pcrs.is_empty() => TpmError::DoesNotOpen,
        Some(Code::PolicyFail | Code::PcrChanged) => TpmError::PcrsChanged(pcrs.to_vec()),
        _ => failed("unseal")(cause),
    }
}

fn failed(action: &'static str) -> impl Fn(Error) -> TpmError + Copy {
    move |cause| match code(cause) {
        Some(Code::Lockout) => TpmError::Locked,
        _ => TpmError::Tpm { action, cause },
    }
}
