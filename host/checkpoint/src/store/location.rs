//! Where a store is, as users write it: a path or a URL.
//!
//! | location | store |
//! |---|---|
//! | `checkpoints`, `/var/lib/checkpoints`, `file:///var/lib/checkpoints` | a local directory, which must exist |
//! | `memory:///` | memory; each opening is a store of its own |
//! | `s3://bucket/prefix` | Amazon S3 and what speaks its protocol |
//! | `gs://bucket/prefix` | Google Cloud Storage |
//! | `az://container/prefix`, `abfss://…` | Azure Blob Storage |
//!
//! Options have the names that the `object_store` crate gives them (`endpoint`, `region`, `access-key-id`, …), with
//! dashes or underscores. Retries of remote stores are set here, for all of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3CopyIfNotExists};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::memory::InMemory;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

use super::{CheckpointStore, Durability, open_folder};
use crate::error::Error;

/// How long a request to a remote store may take, with everything that is tried again.
const REMOTE_REQUEST_MAX: Duration = Duration::from_secs(60);

/// How often a request to a remote store is tried again.
const RETRIES_MAX: usize = 6;

/// The longest pause before a request is tried again.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(8);

impl CheckpointStore {
    /// The store at a path or URL, with options for the client of a remote store. Requests to a remote store are tried
    /// again where that can help, and end after a minute; it needs a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// [`Error::Directory`] for a local directory that does not exist, [`Error::Location`] for anything else that is
    /// wrong with location or options. A remote store is not contacted.
    pub fn open(
        location: &str,
        options: &BTreeMap<String, String>,
        durability: Durability,
    ) -> Result<Self, Error> {
        if let Some(directory) = local_directory(location) {
            refuse_options(location, options)?;
            return Ok(Self::new(open_folder(&directory, durability)?));
        }
        let url = parse(location)?;
        let (scheme, prefix) =
            ObjectStoreScheme::parse(&url).map_err(|error| wrong(location, &error))?;
        let objects: Arc<dyn ObjectStore> = match scheme {
            ObjectStoreScheme::Memory => {
                refuse_options(location, options)?;
                return Ok(Self::new(Arc::new(PrefixStore::new(InMemory::new(), prefix))));
            }
            ObjectStoreScheme::AmazonS3 => {
                let builder = AmazonS3Builder::new()
                    .with_url(url.as_str())
                    .with_copy_if_not_exists(S3CopyIfNotExists::Multipart)
                    .with_retry(retries());
                let builder = configure(location, builder, options, AmazonS3Builder::with_config)?;
                Arc::new(PrefixStore::new(
                    builder.build().map_err(|error| wrong(location, &error))?,
                    prefix,
                ))
            }
            ObjectStoreScheme::GoogleCloudStorage => {
                let builder =
                    GoogleCloudStorageBuilder::new().with_url(url.as_str()).with_retry(retries());
                let set = GoogleCloudStorageBuilder::with_config;
                let builder = configure(location, builder, options, set)?;
                Arc::new(PrefixStore::new(
                    builder.build().map_err(|error| wrong(location, &error))?,
                    prefix,
                ))
            }
            ObjectStoreScheme::MicrosoftAzure => {
                let builder =
                    MicrosoftAzureBuilder::new().with_url(url.as_str()).with_retry(retries());
                let builder =
                    configure(location, builder, options, MicrosoftAzureBuilder::with_config)?;
                Arc::new(PrefixStore::new(
                    builder.build().map_err(|error| wrong(location, &error))?,
                    prefix,
                ))
            }
            _ => {
                let reason = "write a path, or a URL that begins with file, memory, s3, gs or az";
                let (location, reason) = (location.to_owned(), reason.to_owned());
                return Err(Error::Location { location, reason });
            }
        };
        Ok(Self::new(objects).with_timeout(REMOTE_REQUEST_MAX))
    }
}

/// The local directory that a location means; `None` for any other URL.
pub fn local_directory(location: &str) -> Option<PathBuf> {
    match location.split_once("://") {
        None => Some(PathBuf::from(location)),
        Some(("file", _)) => Url::parse(location).ok()?.to_file_path().ok(),
        Some(_) => None,
    }
}

/// Those variables of an environment that are options of the store at this location, `AWS_REGION` for `s3://` for
/// example, as options for [`CheckpointStore::open`].
pub fn environment_options(
    location: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    let known = |name: &str| match location.split("://").next() {
        Some("s3" | "s3a") => name.starts_with("aws_") && AmazonS3ConfigKey::from_str(name).is_ok(),
        Some("gs") => name.starts_with("google_") && GoogleConfigKey::from_str(name).is_ok(),
        Some("az" | "adl" | "azure" | "abfs" | "abfss") => {
            name.starts_with("azure_") && AzureConfigKey::from_str(name).is_ok()
        }
        _ => false,
    };
    let options = environment.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    options.filter(|(name, _)| known(name)).collect()
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { max_backoff: RETRY_PAUSE_MAX, ..BackoffConfig::default() },
        max_retries: RETRIES_MAX,
        retry_timeout: REMOTE_REQUEST_MAX,
    }
}

/// Gives a client's builder its options, and refuses those that it does not know.
fn configure<B, K: FromStr>(
    location: &str,
    builder: B,
    options: &BTreeMap<String, String>,
    set: impl Fn(B, K, String) -> B,
) -> Result<B, Error> {
    options.iter().try_fold(builder, |builder, (name, value)| {
        let key = name.to_ascii_lowercase().replace('-', "_").parse().map_err(|_| {
            let reason = format!("it has no option `{name}`; remove it from the store's options");
            Error::Location { location: location.to_owned(), reason }
        })?;
        Ok(set(builder, key, value.clone()))
    })
}

fn refuse_options(location: &str, options: &BTreeMap<String, String>) -> Result<(), Error> {
    let Some(name) = options.keys().next() else { return Ok(()) };
    let reason = format!("it takes no options, and `{name}` is given");
    Err(Error::Location { location: location.to_owned(), reason })
}

fn parse(location: &str) -> Result<Url, Error> {
    Url::parse(location).map_err(|error| wrong(location, &error))
}

fn wrong(location: &str, error: &dyn std::error::Error) -> Error {
    Error::Location { location: location.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(options: &[(&str, &str)]) -> BTreeMap<String, String> {
        options.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn every_kind_of_location_opens() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        let s3 = options(&[("endpoint", "http://127.0.0.1:1"), ("region", "eu-west-1")]);
        let azure = options(&[("account-name", "someone"), ("access-key", "a2V5")]);
        for (location, options) in [
            (path, options(&[])),
            (&*format!("file://{path}"), options(&[])),
            ("memory:///", options(&[])),
            ("s3://bucket/some/job", s3),
            ("gs://bucket/some/job", options(&[])),
            ("az://container/some/job", azure),
        ] {
            CheckpointStore::open(location, &options, Durability::Process).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_opened_is_named_with_the_reason() {
        for (location, given, reason) in [
            ("ftp://host/x", options(&[]), "ftp"),
            ("http://host/x", options(&[]), "begins with file, memory, s3, gs or az"),
            ("s3://bucket", options(&[("colour", "red")]), "no option `colour`"),
            ("memory:///", options(&[("region", "x")]), "takes no options"),
            ("/tmp", options(&[("region", "x")]), "takes no options"),
            ("/no/such/directory", options(&[]), "checkpoint directory"),
        ] {
            let error = CheckpointStore::open(location, &given, Durability::Process).unwrap_err();
            let text = error.chain();
            assert!(text.contains(location) && text.contains(reason), "{text}");
        }
    }

    #[test]
    fn variables_of_the_environment_are_taken_by_the_store_that_knows_them() {
        let environment = [("AWS_REGION", "x"), ("AWS_PAGER", "less"), ("GOOGLE_BUCKET", "y")];
        let environment = || environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let found = environment_options("s3://bucket", environment());
        assert_eq!(found, options(&[("aws_region", "x")]));
        assert_eq!(environment_options("/some/path", environment()), BTreeMap::new());
    }
}
