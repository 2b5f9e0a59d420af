//! What the process takes from its environment: folders, and how guests are built. Read once, passed on.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use statehouse_checkpoint::environment_options;

/// What holds outside of any job.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Where things are kept that can be made again: compiled components, the standard library for guests. None if
    /// there is no home folder; then nothing is kept.
    pub cache: Option<PathBuf>,
    /// The only way in which guests may be built, as it was given. None: the first that works.
    pub guest_route: Option<OsString>,
}

impl Environment {
    /// The cache from `STATEHOUSE_CACHE`, else `XDG_CACHE_HOME`, else `HOME`; the route from
    /// `STATEHOUSE_GUEST_ROUTE`. A variable that is empty counts as not set.
    pub fn read() -> Self {
        Self::from_variables(|name| std::env::var_os(name))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let folder = |name| set(name).map(PathBuf::from);
        let cache = folder("STATEHOUSE_CACHE")
            .or_else(|| folder("XDG_CACHE_HOME").map(|folder| folder.join("statehouse")))
            .or_else(|| folder("HOME").map(|home| home.join(".cache/statehouse")));
        Self { cache, guest_route: set("STATEHOUSE_GUEST_ROUTE") }
    }

    /// Where compiled components are kept.
    pub fn components(&self) -> Option<PathBuf> {
        self.cache.as_ref().map(|cache| cache.join("components"))
    }
}

/// What the environment says of how the store at this URL is reached: `AWS_REGION` for `s3://` for example.
pub(crate) fn store_options(url: &str) -> BTreeMap<String, String> {
    let variables = std::env::vars_os();
    let variables = variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    environment_options(url, variables.filter(|(_, value)| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_route_counts_as_none() {
        let route =
            |value: &'static str| Environment::from_variables(|_| Some(value.into())).guest_route;
        assert_eq!(route(""), None);
        assert_eq!(route("debian"), Some("debian".into()));
    }

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
