//! A store key wrapped by AWS KMS: `Encrypt` and `Decrypt` under a symmetric key that never leaves the service.
//!
//! The encryption context names the store, so the ciphertext opens for no other; it is also what CloudTrail shows. Credentials
//! come from AWS's default chain: environment, profile, web identity, container or instance role.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use zeroize::Zeroizing;

use crate::StoreError;
use crate::protector::entry::KmsEntry;
use crate::protector::{Entry, StoreKey, Wrap};

/// Where the encryption context keeps what the ciphertext is for.
const CONTEXT: &str = "quorate-purpose";
/// For one attempt to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// For one attempt altogether.
const ATTEMPT: Duration = Duration::from_secs(10);
/// For everything, looking for credentials included.
const LIMIT: Duration = Duration::from_secs(40);

/// What went wrong with KMS, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// No region.
    #[error("no AWS region: set region in [kms], give the key as an ARN, or set AWS_REGION")]
    NoRegion,
    /// Switched off.
    #[error("KMS key {0} is disabled; enable it, or open the store with another protector")]
    Disabled(String),
    /// Pending deletion, or otherwise not to be used.
    #[error(
        "KMS key {key} cannot be used as it is now: {says}; if it is pending deletion, cancel that before it is too late"
    )]
    State {
        /// The key.
        key: String,
        /// KMS's words.
        says: String,
    },
    /// No such key.
    #[error("there is no KMS key {key}: {says}; check the key, the region and the account")]
    NotFound {
        /// The key.
        key: String,
        /// KMS's words.
        says: String,
    },
    /// Not allowed.
    #[error(
        "access to KMS key {key} is denied: {says}; its policy must allow kms:Encrypt and kms:Decrypt to this identity"
    )]
    Denied {
        /// The key.
        key: String,
        /// KMS's words.
        says: String,
    },
    /// Not known to AWS, expired, or none at all.
    #[error("AWS does not accept the credentials, or there are none: {0}")]
    Credentials(String),
    /// Another key's, another store's, or altered.
    #[error(
        "KMS key {0} does not open the store key: it was wrapped by another key or for another party, or the header was altered"
    )]
    DoesNotOpen(String),
    /// No answer.
    #[error(
        "KMS does not answer at {endpoint}: {cause}; check the network, the region and the endpoint"
    )]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// Why not.
        cause: String,
    },
    /// Anything else it says.
    #[error("KMS cannot {action} with key {key}: {says}")]
    Service {
        /// What it was asked.
        action: &'static str,
        /// The key.
        key: String,
        /// Its words.
        says: String,
    },
    /// The operating system gives no thread or runtime.
    #[error("cannot run the KMS client: {0}")]
    Runtime(String),
}

/// A symmetric key at AWS KMS.
#[derive(Debug, Clone)]
pub struct KmsKey {
    key: String,
    region: Option<String>,
    endpoint: Option<String>,
}

impl KmsKey {
    /// Names a key: an id, an ARN or an alias. Nothing is asked of it yet. Without a region an ARN's own is taken, else the
    /// environment's; `endpoint` is a URL to use instead of the region's.
    #[must_use]
    pub fn new(key: &str, region: Option<&str>, endpoint: Option<&str>) -> Self {
        let region = region.or_else(|| region_of(key));
        Self {
            key: key.to_owned(),
            region: region.map(str::to_owned),
            endpoint: endpoint.map(str::to_owned),
        }
    }

    fn encrypt(&self, key: &StoreKey, context: &str) -> Result<KmsEntry, KmsError> {
        self.run("encrypt", async |client: Client| {
            let answer = client
                .encrypt()
                .key_id(&self.key)
                .encryption_context(CONTEXT, context)
                .plaintext(Blob::new(key.as_slice()))
                .send()
                .await
                .map_err(|error| self.explain("encrypt", error))?;
            Ok(KmsEntry {
                key: answer.key_id.unwrap_or_else(|| self.key.clone()),
                wrapped: answer
                    .ciphertext_blob
                    .map(Blob::into_inner)
                    .unwrap_or_default(),
            })
        })
    }

    fn decrypt(&self, entry: &KmsEntry, context: &str) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        self.run("decrypt", async |client: Client| {
            let answer = client
                .decrypt()
                .key_id(&self.key)
                .encryption_context(CONTEXT, context)
                .ciphertext_blob(Blob::new(entry.wrapped.as_slice()))
                .send()
                .await
                .map_err(|error| self.explain("decrypt", error))?;
            let plaintext = answer.plaintext.map(Blob::into_inner).unwrap_or_default();
            Ok(Zeroizing::new(plaintext))
        })
    }

    /// Runs to its end on a thread and a runtime of its own: the caller may or may not be inside a runtime.
    fn run<T: Send>(
        &self,
        action: &'static str,
        work: impl AsyncFnOnce(Client) -> Result<T, KmsError> + Send,
    ) -> Result<T, KmsError> {
        let on_thread = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|e| KmsError::Runtime(e.to_string()))?;
            let work = async { work(self.client().await?).await };
            runtime
                .block_on(async { tokio::time::timeout(LIMIT, work).await })
                .unwrap_or_else(|_| {
                    Err(self.unreachable(format!("no answer to {action} within {LIMIT:?}")))
                })
        };
        std::thread::scope(|scope| scope.spawn(on_thread).join())
            .unwrap_or_else(|_| Err(KmsError::Runtime("its thread ended".to_owned())))
    }

    async fn client(&self) -> Result<Client, KmsError> {
        let config = self.config().await;
        if config.region().is_none() {
            return Err(KmsError::NoRegion);
        }
        Ok(Client::new(&config))
    }

    async fn config(&self) -> SdkConfig {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(ATTEMPT)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(2));
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        loader.load().await
    }

    fn explain<E>(&self, action: &'static str, error: SdkError<E>) -> KmsError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match &error {
            SdkError::ServiceError(context) => {
                let error = context.err();
                refusal(action, &self.key, error.code(), error.message())
            }
            SdkError::TimeoutError(_) => self.unreachable("timed out".to_owned()),
            SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => {
                self.unreachable(DisplayErrorContext(&error).to_string())
            }
            SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => {
                KmsError::Credentials(DisplayErrorContext(&error).to_string())
            }
            _ => KmsError::Service {
                action,
                key: self.key.clone(),
                says: DisplayErrorContext(&error).to_string(),
            },
        }
    }

    fn unreachable(&self, cause: String) -> KmsError {
        let region = self.region.as_deref().unwrap_or("the environment");
        KmsError::Unreachable {
            endpoint: self
                .endpoint
                .clone()
                .unwrap_or_else(|| format!("the endpoint of {region}")),
            cause,
        }
    }
}

impl Wrap for KmsKey {
    fn kind(&self) -> &'static str {
        "kms"
    }

    fn wrap(&self, key: &StoreKey, context: &str) -> Result<Entry, StoreError> {
        Ok(Entry::Kms(self.encrypt(key, context)?))
    }

    fn unwrap(
        &self,
        entry: &Entry,
        context: &str,
    ) -> Option<Result<Zeroizing<Vec<u8>>, StoreError>> {
        match entry {
            Entry::Kms(entry) => Some(self.decrypt(entry, context).map_err(Into::into)),
            _ => None,
        }
    }
}

/// The fourth part of `arn:partition:kms:region:account:key/id`.
fn region_of(key: &str) -> Option<&str> {
    let region = key.strip_prefix("arn:")?.split(':').nth(2)?;
    (!region.is_empty()).then_some(region)
}

/// What an error code of KMS means (AWS KMS API Reference, `Decrypt`, and its common errors).
fn refusal(action: &'static str, key: &str, code: Option<&str>, message: Option<&str>) -> KmsError {
    let key = key.to_owned();
    let says = match (code, message) {
        (_, Some(message)) => message.to_owned(),
        (Some(code), None) => code.to_owned(),
        (None, None) => "it gives no reason".to_owned(),
    };
    match code {
        Some("DisabledException") => KmsError::Disabled(key),
        Some("KMSInvalidStateException") => KmsError::State { key, says },
        Some("NotFoundException") => KmsError::NotFound { key, says },
        Some("AccessDeniedException") => KmsError::Denied { key, says },
        Some("InvalidCiphertextException" | "IncorrectKeyException") => KmsError::DoesNotOpen(key),
        Some(
            "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "InvalidClientTokenId"
            | "MissingAuthenticationToken",
        ) => KmsError::Credentials(says),
        _ => KmsError::Service { action, key, says },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str) -> KmsError {
        refusal("decrypt", "k", Some(code), Some("words"))
    }

    #[test]
    fn every_refusal_has_its_own_meaning() {
        assert!(matches!(of("DisabledException"), KmsError::Disabled(_)));
        assert!(matches!(
            of("KMSInvalidStateException"),
            KmsError::State { .. }
        ));
        assert!(matches!(of("NotFoundException"), KmsError::NotFound { .. }));
        assert!(matches!(
            of("AccessDeniedException"),
            KmsError::Denied { .. }
        ));
        for code in ["InvalidCiphertextException", "IncorrectKeyException"] {
            assert!(matches!(of(code), KmsError::DoesNotOpen(_)));
        }
        for code in ["UnrecognizedClientException", "ExpiredTokenException"] {
            assert!(matches!(of(code), KmsError::Credentials(_)));
        }
        assert!(matches!(
            of("KMSInternalException"),
            KmsError::Service { .. }
        ));
        assert!(matches!(
            refusal("decrypt", "k", None, None),
            KmsError::Service { .. }
        ));
    }

    #[test]
    fn an_arn_names_its_region() {
        let region = |key| KmsKey::new(key, None, None).region;
        assert_eq!(
            region("arn:aws:kms:eu-west-1:111122223333:key/1234").as_deref(),
            Some("eu-west-1")
        );
        assert_eq!(region("alias/quorate"), None);
        assert_eq!(region("arn:aws:kms"), None);
    }
}
