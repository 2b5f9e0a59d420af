//! Where checkpoints are: a folder of the local disk, or a URL of an object store.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place that holds checkpoints, or may come to hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A local folder.
    Directory(PathBuf),
    /// An object store, by URL.
    Url(String),
}

impl Place {
    /// What a user wrote. Relative folders start at `base`; a `file://` URL is a folder like any other.
    pub fn parse(text: &str, base: &Path) -> Self {
        if let Some(path) = text.strip_prefix("file://") {
            return Self::Directory(PathBuf::from(path.strip_prefix("localhost").unwrap_or(path)));
        }
        match is_url(text) {
            true => Self::Url(text.trim_end_matches('/').to_owned()),
            false => Self::Directory(base.join(text)),
        }
    }

    /// How others find it, wherever they stand: the URL, or the absolute path of the folder.
    ///
    /// # Errors
    /// If the folder is relative and there is no working directory.
    pub fn location(&self) -> std::io::Result<String> {
        match self {
            Self::Url(url) => Ok(url.clone()),
            Self::Directory(path) => {
                let absolute = path.canonicalize().or_else(|_| std::path::absolute(path))?;
                Ok(absolute.display().to_string())
            }
        }
    }

    /// What a URL begins with; `None` for folders.
    pub fn scheme(&self) -> Option<&str> {
        match self {
            Self::Directory(_) => None,
            Self::Url(url) => url.split_once("://").map(|(scheme, _)| scheme),
        }
    }

    /// The folder, if it is one.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(path) => Some(path),
            Self::Url(_) => None,
        }
    }

    /// Whether both are the same, whichever way they were written.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self.location(), other.location()) {
            (Ok(one), Ok(other)) => one == other,
            _ => self == other,
        }
    }
}

/// Whether a text is a URL and not a path.
pub fn is_url(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+')
    })
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_relative_to_the_base_and_urls_are_not() {
        let parse = |text| Place::parse(text, Path::new("/jobs"));
        assert_eq!(parse("c"), Place::Directory("/jobs/c".into()));
        assert_eq!(parse("/c"), Place::Directory("/c".into()));
        assert_eq!(parse("file:///c"), Place::Directory("/c".into()));
        assert_eq!(parse("s3://bucket/c/"), Place::Url("s3://bucket/c".into()));
        assert_eq!(parse("a/b://c"), Place::Directory("/jobs/a/b://c".into()));
    }

    #[test]
    fn one_folder_is_the_same_by_each_of_its_names() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("c")).unwrap();
        let [one, other] = ["c", "c/../c"].map(|name| Place::parse(name, folder.path()));
        assert_ne!(one, other);
        assert!(one.is_same(&other));
        assert!(!one.is_same(&Place::Url("s3://bucket/c".into())));
    }
}
