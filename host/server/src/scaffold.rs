//! A first guest crate: an operator with a test, a job file, some data, and a page that says what to do next.

use std::io;
use std::path::{Path, PathBuf};

/// The files, as they are but for names.
const FILES: [(&str, &str); 6] = [
    ("Cargo.toml", include_str!("scaffold/Cargo.toml.txt")),
    ("src/lib.rs", include_str!("scaffold/lib.rs.txt")),
    ("job.toml", include_str!("scaffold/job.toml.txt")),
    ("data/orders.csv", include_str!("scaffold/orders.csv")),
    ("README.md", include_str!("scaffold/README.md.txt")),
    (".gitignore", "/target\n/*.wasm\n/out\n/checkpoints\n/state\n"),
];

/// The SDK of the source tree that this binary was built in.
const SDK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest-sdk/rust");

/// What to make.
#[derive(Debug, Clone)]
pub struct Scaffold {
    /// The crate's name, and its folder's.
    pub name: String,
    /// The folder to make it in.
    pub parent: PathBuf,
    /// The folder of the Rust SDK. Default: that of the source tree that this binary was built in.
    pub sdk: Option<PathBuf>,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ScaffoldError {
    #[error(
        "`{name}` cannot be a crate's name: use lower-case letters, digits, `-` and `_`, beginning with a letter"
    )]
    Name { name: String },
    #[error("`{}` exists already: choose another name, or remove it first", path.display())]
    Exists { path: PathBuf },
    #[error("`{}` is not the Rust SDK: there is no `Cargo.toml` with the package `statehouse`", path.display())]
    NoSdk { path: PathBuf },
    #[error(
        "the Rust SDK is not where this binary was built (`{}`): name its folder by `--sdk`, `guest-sdk/rust` of the \
         source tree",
        path.display()
    )]
    SdkGone { path: PathBuf },
    #[error("cannot write `{}`", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Scaffold {
    /// Makes the folder and returns it. A folder that exists is left as it is.
    ///
    /// # Errors
    /// If the name cannot be used, the folder exists, or there is no SDK.
    pub fn create(&self) -> Result<PathBuf, ScaffoldError> {
        self.check_name()?;
        let sdk = self.find_sdk()?;
        let folder = self.parent.join(&self.name);
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| ScaffoldError::Write { path, source }
        };
        std::fs::create_dir_all(&self.parent).map_err(failed(&self.parent))?;
        std::fs::create_dir(&folder).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => ScaffoldError::Exists { path: folder.clone() },
            _ => ScaffoldError::Write { path: folder.clone(), source },
        })?;
        for (name, text) in FILES {
            let path = folder.join(name);
            let parent = path.parent().expect("every file is in the folder");
            std::fs::create_dir_all(parent).map_err(failed(parent))?;
            std::fs::write(&path, self.fill(text, &sdk)).map_err(failed(&path))?;
        }
        Ok(folder)
    }

    fn check_name(&self) -> Result<(), ScaffoldError> {
        let usable = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let starts = self.name.starts_with(|c: char| c.is_ascii_lowercase());
        // The SDK's own name would make two packages of one name.
        if starts && self.name.chars().all(usable) && self.name != "statehouse" {
            return Ok(());
        }
        Err(ScaffoldError::Name { name: self.name.clone() })
    }

    fn find_sdk(&self) -> Result<PathBuf, ScaffoldError> {
        let given = self.sdk.clone();
        let path = given.unwrap_or_else(|| PathBuf::from(SDK));
        let manifest = std::fs::read_to_string(path.join("Cargo.toml")).unwrap_or_default();
        match path.canonicalize() {
            Ok(path) if manifest.contains("name = \"statehouse\"") => Ok(path),
            _ if self.sdk.is_some() => Err(ScaffoldError::NoSdk { path }),
            _ => Err(ScaffoldError::SdkGone { path }),
        }
    }

    fn fill(&self, text: &str, sdk: &Path) -> String {
        let sdk = toml::Value::String(sdk.display().to_string()).to_string();
        text.replace("{{name}}", &self.name)
            .replace("{{file}}", &self.name.replace('-', "_"))
            .replace("{{sdk}}", &sdk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job_file::JobFile;

    #[test]
    fn a_new_crate_has_a_job_that_reads_and_names_its_component() {
        let parent = tempfile::tempdir().unwrap();
        let new = Scaffold { name: "my-job".into(), parent: parent.path().into(), sdk: None };
        let folder = new.create().unwrap();
        let job = JobFile::read(&folder.join("job.toml"), &[]).unwrap();
        assert_eq!(job.job.name, "my-job");
        assert_eq!(job.operators[0].component, Path::new("my_job.wasm"));
        for (name, _) in FILES {
            let text = std::fs::read_to_string(folder.join(name)).unwrap();
            assert!(!text.contains("{{"), "{name}: {text}");
        }
        let cargo: toml::Table =
            std::fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap();
        let sdk = cargo["dependencies"]["statehouse"]["path"].as_str().unwrap();
        assert!(Path::new(sdk).join("Cargo.toml").exists());
    }

    #[test]
    fn an_existing_folder_is_left_as_it_is() {
        let parent = tempfile::tempdir().unwrap();
        let new = Scaffold { name: "hello".into(), parent: parent.path().into(), sdk: None };
        std::fs::create_dir(parent.path().join("hello")).unwrap();
        let error = new.create().unwrap_err();
        assert!(matches!(&error, ScaffoldError::Exists { .. }), "{error}");
        assert_eq!(std::fs::read_dir(parent.path().join("hello")).unwrap().count(), 0);
    }

    #[test]
    fn names_and_sdks_that_cannot_be_are_named() {
        let parent = tempfile::tempdir().unwrap();
        let create = |name: &str, sdk: Option<&Path>| {
            let sdk = sdk.map(Path::to_owned);
            let new = Scaffold { name: name.into(), parent: parent.path().into(), sdk };
            new.create().unwrap_err().to_string()
        };
        for name in ["", "Hello", "1st", "a b", "../x", "statehouse"] {
            assert!(create(name, None).contains("cannot be a crate's name"), "{name}");
        }
        assert!(create("hello", Some(parent.path())).contains("is not the Rust SDK"));
    }
}
