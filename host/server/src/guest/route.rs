//! How Rust guests are built on this machine. `scripts/guest-toolchain` sets the routes up and looks for the same two
//! in the same order; keep the two in step.
//!
//! - *rustup*: the active toolchain has the target.
//! - *Debian*: `rustc-web` and `cargo-web` stand beside rustup, and the standard library for the target was built
//!   once, into the cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::environment::Environment;

/// The target of guests.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler and Cargo.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// A way to build guests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// The active toolchain has the target.
    Rustup,
    /// Debian's compiler with a standard library from the cache.
    Debian {
        /// Holds the standard library for the target.
        sysroot: PathBuf,
        /// Links modules.
        linker: PathBuf,
    },
}

/// There is no way to build guests here.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RouteError {
    #[error(
        "Rust guests cannot be built here{}: there is no standard library for {TARGET}; run \
         `scripts/guest-toolchain`, or `rustup target add {TARGET}` where rustup reaches the network",
        only.map(|only| format!(" by `STATEHOUSE_GUEST_ROUTE={only}`")).unwrap_or_default()
    )]
    None { only: Option<&'static str> },
    #[error(
        "the environment variable `STATEHOUSE_GUEST_ROUTE` is `{given}`: it must be `rustup` or `debian`, or not set"
    )]
    Unknown { given: String },
}

/// The route that the environment asks for, by its name.
fn asked_for(environment: &Environment) -> Result<Option<&'static str>, RouteError> {
    let Some(given) = &environment.guest_route else { return Ok(None) };
    let known = ["rustup", "debian"].into_iter().find(|known| given == known);
    known.map(Some).ok_or_else(|| RouteError::Unknown { given: given.display().to_string() })
}

impl Route {
    /// The first route that works for a crate in that folder, which may choose a toolchain; only the one that the
    /// environment asks for if it asks for one. `scripts/guest-toolchain` keeps things in its cache.
    ///
    /// # Errors
    /// If there is none, or the environment asks for one that does not exist.
    pub fn find(directory: &Path, environment: &Environment) -> Result<Self, RouteError> {
        let only = asked_for(environment)?;
        let allowed = |route: &str| only.is_none_or(|only| only == route);
        let active =
            first_line(Command::new("rustc").args(["--print", "sysroot"]).current_dir(directory));
        let active = active.map(PathBuf::from);
        if allowed("rustup") && active.as_deref().is_some_and(has_target) {
            return Ok(Self::Rustup);
        }
        let debian = || {
            let version = first_line(Command::new(DEBIAN_RUSTC).arg("-V"))?;
            let version = version.split_whitespace().nth(1)?.to_owned();
            let sysroot = environment.cache.as_ref()?.join(format!("guest-sysroot-{version}"));
            let usable = Path::new(DEBIAN_CARGO).exists() && sysroot.join("complete").exists();
            let linker = usable.then(|| find_linker(active.as_deref())).flatten()?;
            Some(Self::Debian { sysroot, linker })
        };
        allowed("debian").then(debian).flatten().ok_or(RouteError::None { only })
    }

    /// Cargo by this route, with everything set that a build for the target needs.
    pub fn cargo(&self) -> Command {
        match self {
            Self::Rustup => Command::new("cargo"),
            Self::Debian { sysroot, linker } => {
                let mut cargo = Command::new(DEBIAN_CARGO);
                let flags = format!("--sysroot={}", sysroot.display());
                cargo
                    .env("RUSTC", DEBIAN_RUSTC)
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags)
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                    // They would hold for build scripts and procedural macros too, and for another compiler.
                    .env_remove("RUSTFLAGS")
                    .env_remove("CARGO_ENCODED_RUSTFLAGS")
                    .env_remove("RUSTUP_TOOLCHAIN");
                cargo
            }
        }
    }
}

fn has_target(sysroot: &Path) -> bool {
    let library = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    let Ok(files) = std::fs::read_dir(library) else { return false };
    files.flatten().any(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libcore-") && name.ends_with(".rlib")
    })
}

/// rustup's own linker, else `wasm-ld` on the path, else Debian's.
fn find_linker(active: Option<&Path>) -> Option<PathBuf> {
    let of_rustup = || {
        let host = run(Command::new("rustc").arg("-vV"))?;
        let host = host.lines().find_map(|line| line.strip_prefix("host: "))?.to_owned();
        Some(active?.join("lib/rustlib").join(host).join("bin/rust-lld"))
    };
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("wasm-ld")).find(|file| file.exists())
    };
    let of_debian = || {
        let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib")
            .ok()?
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm-"))
            .map(|entry| entry.path().join("bin/wasm-ld"))
            .collect();
        folders.sort();
        folders.into_iter().find(|file| file.exists())
    };
    of_rustup().filter(|file| file.exists()).or_else(on_path).or_else(of_debian)
}

fn run(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

fn first_line(command: &mut Command) -> Option<String> {
    run(command)?.lines().next().map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toolchain_has_the_target_when_its_core_library_is_there() {
        let sysroot = tempfile::tempdir().unwrap();
        assert!(!has_target(sysroot.path()));
        let library = sysroot.path().join("lib/rustlib").join(TARGET).join("lib");
        std::fs::create_dir_all(&library).unwrap();
        assert!(!has_target(sysroot.path()));
        std::fs::write(library.join("libcore-0123.rlib"), "").unwrap();
        assert!(has_target(sysroot.path()));
    }

    #[test]
    fn only_a_route_that_exists_can_be_asked_for() {
        let asked = |given: Option<&str>| {
            let environment = Environment { cache: None, guest_route: given.map(Into::into) };
            asked_for(&environment).map_err(|error| error.to_string())
        };
        assert_eq!(asked(None), Ok(None));
        assert_eq!(asked(Some("debian")), Ok(Some("debian")));
        let error = asked(Some("debain")).unwrap_err();
        for part in ["`STATEHOUSE_GUEST_ROUTE`", "`debain`", "`rustup`", "`debian`"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_debian_route_keeps_its_flags_from_build_scripts() {
        let (sysroot, linker) = ("/c/guest-sysroot-1.96.0".into(), "/l/rust-lld".into());
        let cargo = Route::Debian { sysroot, linker }.cargo();
        let set: Vec<(String, Option<String>)> = cargo
            .get_envs()
            .map(|(name, value)| {
                (name.to_string_lossy().into(), value.map(|v| v.to_string_lossy().into()))
            })
            .collect();
        let has = |name: &str, value: Option<&str>| {
            let entry = (name.to_owned(), value.map(str::to_owned));
            assert!(set.contains(&entry), "{entry:?} not in {set:?}");
        };
        has("RUSTC", Some("/usr/bin/rustc"));
        has("RUSTFLAGS", None);
        has(
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
            Some("--sysroot=/c/guest-sysroot-1.96.0"),
        );
    }
}
