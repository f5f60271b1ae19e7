//! Blob stores, several at once: a put goes to all of them, a read is answered by the first that can.
//!
//! | URL | where |
//! |---|---|
//! | `file:///var/backups/quorate` | a directory |
//! | `s3://bucket/prefix?endpoint=https://...&region=...` | S3 and what speaks its protocol, R2 for one |
//! | `az://container/prefix`, `gs://bucket/prefix` | Azure, Google Cloud |
//! | `memory://` | this process, for tests |
//!
//! Credentials come from the environment, as the clouds' own tools read them (`AWS_ACCESS_KEY_ID` and so on), never from a URL.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};
use url::Url;

/// Why a blob store does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Not a URL of a store.
    #[error("{url:?} is not a blob store: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// Why not.
        reason: String,
    },
    /// No store is configured.
    #[error("no blob store is named")]
    None,
    /// Not a name for an object.
    #[error("{0:?} is not a name for an object")]
    Name(String),
    /// None of the stores did it.
    #[error("no store {action} {name:?}: {}", .failures.join("; "))]
    All {
        /// What was attempted.
        action: &'static str,
        /// On what.
        name: String,
        /// Each store's reason.
        failures: Vec<String>,
    },
    /// An object of that name exists; nothing is overwritten.
    #[error("{0:?} exists already, and nothing is overwritten")]
    Exists(String),
    /// No such object anywhere.
    #[error("no store has {0:?}")]
    Missing(String),
    /// Larger than the caller allows.
    #[error("{name:?} is larger than {max} bytes")]
    TooLarge {
        /// The object.
        name: String,
        /// The bound.
        max: usize,
    },
    /// A file that is read directly.
    #[error("cannot read {}: {cause}", path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// Nothing to take.
    #[error("{0} holds no backup")]
    NoBackup(String),
    /// Which one is meant cannot be told.
    #[error(
        "{0} holds several parties' backups; name one by its whole URL, as `quorate backup list` shows them"
    )]
    SeveralParties(String),
}

/// What became of a put.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutReport {
    /// Stores that took it.
    pub stored: Vec<String>,
    /// Stores that have an object of that name already.
    pub existing: Vec<String>,
    /// Stores that did not take it, with reasons.
    pub failed: Vec<String>,
}

#[derive(Debug, Clone)]
struct Store {
    /// The URL, for people; it has no credentials.
    url: String,
    inner: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl Store {
    fn failure(&self, error: &object_store::Error) -> String {
        format!("{}: {error}", self.url)
    }

    fn path(&self, name: &str) -> Path {
        self.prefix
            .parts()
            .chain(Path::from(name).parts())
            .collect()
    }

    async fn create(&self, name: &str, bytes: &[u8]) -> Result<(), object_store::Error> {
        let payload = PutPayload::from(bytes.to_vec());
        self.inner
            .put_opts(&self.path(name), payload, PutMode::Create.into())
            .await
            .map(drop)
    }

    /// Names below a prefix, without the store's own.
    async fn names(&self, below: &str) -> Result<Vec<String>, object_store::Error> {
        let path = self.path(below);
        let found: Vec<_> = self.inner.list(Some(&path)).try_collect().await?;
        let own = |location: &Path| {
            let rest = location.prefix_match(&self.prefix)?;
            Some(
                rest.map(|p| p.as_ref().to_owned())
                    .collect::<Vec<_>>()
                    .join("/"),
            )
        };
        Ok(found.iter().filter_map(|m| own(&m.location)).collect())
    }
}

/// Several stores that hold the same objects as far as they could be reached. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BlobStores(Vec<Store>);

impl BlobStores {
    /// Opens stores by their URLs, in the order in which they are to be read.
    ///
    /// # Errors
    /// No URL, or one that names no store.
    pub fn open<S: AsRef<str>>(urls: impl IntoIterator<Item = S>) -> Result<Self, BlobError> {
        let stores = urls
            .into_iter()
            .map(|url| open(url.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        if stores.is_empty() {
            return Err(BlobError::None);
        }
        Ok(Self(stores))
    }

    /// The stores' URLs.
    #[must_use]
    pub fn urls(&self) -> Vec<&str> {
        self.0.iter().map(|s| s.url.as_str()).collect()
    }

    /// Creates an object in every store. One that took it is enough.
    ///
    /// # Errors
    /// [`BlobError::All`] if none took it or had it.
    pub async fn put(&self, name: &str, bytes: &[u8]) -> Result<PutReport, BlobError> {
        check(name)?;
        let mut report = PutReport::default();
        for store in &self.0 {
            match store.create(name, bytes).await {
                Ok(()) => report.stored.push(store.url.clone()),
                Err(object_store::Error::AlreadyExists { .. }) => {
                    report.existing.push(store.url.clone());
                }
                Err(error) => report.failed.push(store.failure(&error)),
            }
        }
        if report.stored.is_empty() && report.existing.is_empty() {
            return Err(BlobError::All {
                action: "took",
                name: name.to_owned(),
                failures: report.failed,
            });
        }
        Ok(report)
    }

    /// As [`Self::put`], for an object that must be new.
    ///
    /// # Errors
    /// Also [`BlobError::Exists`].
    pub async fn put_new(&self, name: &str, bytes: &[u8]) -> Result<PutReport, BlobError> {
        let report = self.put(name, bytes).await?;
        if report.stored.is_empty() {
            return Err(BlobError::Exists(name.to_owned()));
        }
        Ok(report)
    }

    /// Reads an object from the first store that has it.
    ///
    /// # Errors
    /// [`BlobError::Missing`] if all stores say so, [`BlobError::TooLarge`], [`BlobError::All`].
    pub async fn get(&self, name: &str, max: usize) -> Result<Vec<u8>, BlobError> {
        self.get_good(name, max, |_| true).await
    }

    /// Reads an object from the first store that has a good one; if none is good, from the first that has one: a bad copy hides no good one.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_good(
        &self,
        name: &str,
        max: usize,
        is_good: impl Fn(&[u8]) -> bool + Send,
    ) -> Result<Vec<u8>, BlobError> {
        check(name)?;
        let mut failures = Vec::new();
        let mut too_large = false;
        let mut bad = None;
        for store in &self.0 {
            let found = match store.inner.get(&store.path(name)).await {
                Ok(found) if found.meta.size > max as u64 => {
                    too_large = true;
                    continue;
                }
                Ok(found) => found.bytes().await,
                Err(error) => Err(error),
            };
            match found {
                Ok(bytes) if is_good(&bytes) => return Ok(bytes.to_vec()),
                Ok(bytes) => bad = bad.or(Some(bytes)),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => failures.push(store.failure(&error)),
            }
        }
        if let Some(bytes) = bad {
            return Ok(bytes.to_vec());
        }
        if too_large {
            let name = name.to_owned();
            return Err(BlobError::TooLarge { name, max });
        }
        if failures.is_empty() {
            return Err(BlobError::Missing(name.to_owned()));
        }
        Err(BlobError::All {
            action: "returned",
            name: name.to_owned(),
            failures,
        })
    }

    /// The names of every object below a prefix (whole segments; empty for all) in any store that answers, sorted.
    ///
    /// # Errors
    /// [`BlobError::All`] if no store answers.
    pub async fn list(&self, below: &str) -> Result<Vec<String>, BlobError> {
        let mut names = BTreeSet::new();
        let mut failures = Vec::new();
        for store in &self.0 {
            match store.names(below).await {
                Ok(found) => names.extend(found),
                Err(error) => failures.push(store.failure(&error)),
            }
        }
        if failures.len() == self.0.len() {
            return Err(BlobError::All {
                action: "listed",
                name: below.to_owned(),
                failures,
            });
        }
        Ok(names.into_iter().collect())
    }

    /// Deletes an object from every store; one that is not there is fine. Returns the stores that refused, with reasons.
    ///
    /// # Errors
    /// A name that is none.
    pub async fn delete(&self, name: &str) -> Result<Vec<String>, BlobError> {
        check(name)?;
        let mut failed = Vec::new();
        for store in &self.0 {
            match store.inner.delete(&store.path(name)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => failed.push(store.failure(&error)),
            }
        }
        Ok(failed)
    }

    /// In each store, deletes all but the `keep` last (by name) of the objects below `below` that `is_ours` accepts. Returns what was deleted,
    /// and the stores that refused.
    pub async fn retain(
        &self,
        below: &str,
        keep: usize,
        is_ours: impl Fn(&str) -> bool,
    ) -> (BTreeSet<String>, Vec<String>) {
        let mut deleted = BTreeSet::new();
        let mut failed = Vec::new();
        for store in &self.0 {
            let names = match store.names(below).await {
                Ok(names) => names,
                Err(error) => {
                    failed.push(store.failure(&error));
                    continue;
                }
            };
            let mut ours: Vec<_> = names.into_iter().filter(|name| is_ours(name)).collect();
            ours.sort_unstable();
            ours.truncate(ours.len().saturating_sub(keep));
            for name in ours {
                match store.inner.delete(&store.path(&name)).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {
                        deleted.insert(name);
                    }
                    Err(error) => failed.push(store.failure(&error)),
                }
            }
        }
        (deleted, failed)
    }
}

/// Names are our own, of plain segments.
fn check(name: &str) -> Result<(), BlobError> {
    let plain = |segment: &str| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    if name.len() <= 512 && name.split('/').all(plain) {
        Ok(())
    } else {
        Err(BlobError::Name(name.to_owned()))
    }
}

fn open(text: &str) -> Result<Store, BlobError> {
    let bad = |reason: String| BlobError::Url {
        url: text.to_owned(),
        reason,
    };
    let url = Url::parse(text).map_err(|e| bad(e.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        // Not repeated: it is in the URL that must not be shown.
        return Err(BlobError::Url {
            url: format!("{}://...", url.scheme()),
            reason: "credentials belong in the environment, not in the URL".to_owned(),
        });
    }
    let prefix = match url.scheme() {
        "file" | "memory" => Path::default(),
        _ => Path::from_url_path(url.path()).map_err(|e| bad(e.to_string()))?,
    };
    let inner: Arc<dyn ObjectStore> = match url.scheme() {
        "memory" => Arc::new(object_store::memory::InMemory::new()),
        "file" => directory(&url).map_err(bad)?,
        #[cfg(feature = "cloud")]
        "s3" | "az" | "gs" => cloud::open(&url).map_err(bad)?,
        #[cfg(not(feature = "cloud"))]
        "s3" | "az" | "gs" => {
            return Err(bad(
                "this program was built without the feature `cloud`".to_owned()
            ));
        }
        other => {
            return Err(bad(format!(
                "{other:?} is none of file, s3, az, gs, memory"
            )));
        }
    };
    Ok(Store {
        url: text.to_owned(),
        inner,
        prefix,
    })
}

fn directory(url: &Url) -> Result<Arc<dyn ObjectStore>, String> {
    let path = url
        .to_file_path()
        .map_err(|()| "it must be file:///absolute/path".to_owned())?;
    if !path.exists() {
        crate::create_private_dir(&path).map_err(|e| e.to_string())?;
    }
    let store = object_store::local::LocalFileSystem::new_with_prefix(&path)
        .map_err(|e| e.to_string())?
        .with_fsync(true);
    Ok(Arc::new(store))
}

#[cfg(feature = "cloud")]
mod cloud {
    use std::sync::Arc;
    use std::time::Duration;

    use object_store::aws::AmazonS3Builder;
    use object_store::azure::MicrosoftAzureBuilder;
    use object_store::gcp::GoogleCloudStorageBuilder;
    use object_store::{ClientOptions, ObjectStore, RetryConfig};
    use url::Url;

    /// A store that does not answer must not keep the others waiting for long.
    fn retry() -> RetryConfig {
        RetryConfig {
            max_retries: 3,
            retry_timeout: Duration::from_secs(30),
            ..RetryConfig::default()
        }
    }

    fn client(endpoint: Option<&str>) -> ClientOptions {
        ClientOptions::new()
            .with_connect_timeout(Duration::from_secs(5))
            .with_timeout(Duration::from_secs(120))
            .with_allow_http(endpoint.is_some_and(|e| e.starts_with("http://")))
    }

    pub(super) fn open(url: &Url) -> Result<Arc<dyn ObjectStore>, String> {
        // The TLS library wants one provider per process; this fails only if there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut endpoint = None;
        let mut region = None;
        for (name, value) in url.query_pairs() {
            match &*name {
                "endpoint" if url.scheme() != "gs" => endpoint = Some(value.into_owned()),
                "region" if url.scheme() == "s3" => region = Some(value.into_owned()),
                other => {
                    return Err(format!(
                        "unknown setting {other:?}; there are endpoint (s3, az) and region (s3)"
                    ));
                }
            }
        }
        let place = url.host_str().ok_or("the bucket or container is missing")?;
        let client = client(endpoint.as_deref());
        let failed = |e: object_store::Error| e.to_string();
        Ok(match url.scheme() {
            "s3" => {
                let mut builder = AmazonS3Builder::from_env()
                    .with_bucket_name(place)
                    .with_client_options(client)
                    .with_retry(retry());
                if let Some(region) = region {
                    builder = builder.with_region(region);
                }
                if let Some(endpoint) = endpoint {
                    builder = builder.with_endpoint(endpoint);
                }
                Arc::new(builder.build().map_err(failed)?)
            }
            "az" => {
                let mut builder = MicrosoftAzureBuilder::from_env()
                    .with_container_name(place)
                    .with_client_options(client)
                    .with_retry(retry());
                if let Some(endpoint) = endpoint {
                    builder = builder.with_endpoint(endpoint);
                }
                Arc::new(builder.build().map_err(failed)?)
            }
            _ => {
                let builder = GoogleCloudStorageBuilder::from_env()
                    .with_bucket_name(place)
                    .with_client_options(client)
                    .with_retry(retry());
                Arc::new(builder.build().map_err(failed)?)
            }
        })
    }
}
