//! Which files a path in a job file stands for: one, those of a directory, or those that a pattern matches.

use std::fs;
use std::path::{Path, PathBuf};

use statehouse_engine::ConnectorError;

/// The files, in the order of their names. A directory stands for the files right inside it; `*` and `?` in the last
/// part of the path match as in a shell. Hidden files are passed over unless named.
pub(crate) fn find(path: &Path) -> Result<Vec<PathBuf>, ConnectorError> {
    if path.is_dir() {
        let files = list(path, |_| true)?;
        if files.is_empty() {
            return Err(ConnectorError::new(format!(
                "the input directory `{}` holds no files: put the input there, or correct `path`",
                path.display()
            )));
        }
        return Ok(files);
    }
    if path.exists() {
        return Ok(vec![path.to_owned()]);
    }
    let pattern = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = path.parent().unwrap_or(Path::new(""));
    if folder.to_string_lossy().contains(['*', '?']) {
        return Err(ConnectorError::new(format!(
            "the input `{}` does not exist: `*` and `?` work in the last part of `path` only",
            path.display()
        )));
    }
    if !pattern.contains(['*', '?']) {
        return Err(ConnectorError::new(format!(
            "the input `{}` does not exist: a relative `path` starts at the job file's directory",
            path.display()
        )));
    }
    if !folder.is_dir() {
        return Err(ConnectorError::new(format!(
            "the input `{}` does not exist: there is no directory `{}`",
            path.display(),
            folder.display()
        )));
    }
    let files = list(folder, |name| matches(pattern.as_bytes(), name.as_bytes()))?;
    if files.is_empty() {
        return Err(ConnectorError::new(format!(
            "no file matches the input `{}`: put the input there, or correct `path`",
            path.display()
        )));
    }
    Ok(files)
}

fn list(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, ConnectorError> {
    let unreadable = |error: std::io::Error| {
        ConnectorError::new(format!(
            "cannot list the input directory `{}`: {error}",
            folder.display()
        ))
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(ConnectorError::new(format!(
                "the name of the input file `{}` is not UTF-8: rename it",
                path.display()
            )));
        };
        if !name.starts_with('.') && wanted(name) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a name matches a pattern of `*` (any run of bytes), `?` (any one character) and itself.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                n += 1;
                while name.get(n).is_some_and(|byte| byte & 0xc0 == 0x80) {
                    n += 1;
                }
            }
            Some(&byte) if byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                // The latest star takes one byte more.
                let Some((after_star, taken)) = retry else { return false };
                retry = Some((after_star, taken + 1));
                (p, n) = (after_star, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        let check = |pattern: &str, name: &str, expected| {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        };
        check("*.csv", "a.csv", true);
        check("*.csv", "a.csv.gz", false);
        check("*", "", true);
        check("a*b*c", "aXbXbXc", true);
        check("a*b*c", "aXcXb", false);
        check("2013-??.csv*", "2013-01.csv.gz", true);
        check("2013-??.csv", "2013-1.csv", false);
        check("?.txt", "é.txt", true);
    }

    #[test]
    fn files_come_in_order_without_hidden_ones_and_directories() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a.csv", ".hidden.csv", "c.txt"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join("d.csv")).unwrap();
        let names = |path: PathBuf| -> Vec<String> {
            let files = find(&path).unwrap();
            files.iter().map(|path| path.file_name().unwrap().display().to_string()).collect()
        };
        assert_eq!(names(dir.path().to_owned()), ["a.csv", "b.csv", "c.txt"]);
        assert_eq!(names(dir.path().join("*.csv")), ["a.csv", "b.csv"]);
        assert_eq!(names(dir.path().join("c.txt")), ["c.txt"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for (path, says) in [
            ("none.csv", "does not exist"),
            ("none/a*.csv", "there is no directory"),
            ("*.csv", "no file matches"),
            ("", "holds no files"),
        ] {
            let path = dir.path().join(path);
            let error = find(&path).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(error.contains(&dir.path().display().to_string()), "{error}");
        }
    }
}
