//! What the process takes from its environment: folders. Read once, passed on.

use std::ffi::OsString;
use std::path::PathBuf;

/// Folders outside of any job.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Where things are kept that can be made again: compiled components, the standard library for guests. None if
    /// there is no home folder; then nothing is kept.
    pub cache: Option<PathBuf>,
}

impl Environment {
    /// From `STATEHOUSE_CACHE`, else `XDG_CACHE_HOME`, else `HOME`.
    pub fn read() -> Self {
        Self::from_variables(|name| std::env::var_os(name))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let folder = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = folder("STATEHOUSE_CACHE")
            .or_else(|| folder("XDG_CACHE_HOME").map(|folder| folder.join("statehouse")))
            .or_else(|| folder("HOME").map(|home| home.join(".cache/statehouse")));
        Self { cache }
    }

    /// Where compiled components are kept.
    pub fn components(&self) -> Option<PathBuf> {
        self.cache.as_ref().map(|cache| cache.join("components"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_most_specific_variable_says() {
        let check = |set: &[(&str, &str)], expected: Option<&str>| {
            let find = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into());
            let cache = Environment::from_variables(find).cache;
            assert_eq!(cache, expected.map(PathBuf::from), "{set:?}");
        };
        check(&[], None);
        check(&[("HOME", "/h")], Some("/h/.cache/statehouse"));
        check(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], Some("/x/statehouse"));
        check(&[("XDG_CACHE_HOME", "/x"), ("STATEHOUSE_CACHE", "/s")], Some("/s"));
        check(&[("HOME", "/h"), ("STATEHOUSE_CACHE", "")], Some("/h/.cache/statehouse"));
    }
}
