//! Builds the components of a guest crate, or of all guest crates of a workspace.
//!
//! Cargo does the work and shows its own output; its messages say which modules came out of it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use statehouse_wasm::Inspection;

use super::component::{EncodeError, encode, inspect};
use super::route::{Route, RouteError, TARGET};
use crate::environment::Environment;

/// What to build.
#[derive(Debug, Clone, Default)]
pub struct Build {
    /// The folder of the crate or workspace.
    pub directory: PathBuf,
    /// Only this package of a workspace.
    pub package: Option<String>,
    /// Where the component goes. Default: `NAME.wasm` beside the package's `Cargo.toml`.
    pub output: Option<PathBuf>,
    /// Leave out Cargo's progress.
    pub quiet: bool,
}

/// A component that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The package.
    pub package: String,
    /// The component's file.
    pub path: PathBuf,
    /// What the component declares.
    pub inspection: Inspection,
}

/// Why nothing was built.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BuildError {
    #[error(transparent)]
    Route(#[from] RouteError),
    #[error(
        "there is no `Cargo.toml` in `{}`: name the folder of a guest crate, or make one by `statehouse new`",
        .0.display()
    )]
    NoManifest(PathBuf),
    #[error("cannot run cargo")]
    Run(#[source] std::io::Error),
    #[error("cargo cannot read the crate in `{}`:\n{message}", directory.display())]
    Metadata { directory: PathBuf, message: String },
    #[error("there is no package `{package}` in `{}`; there are: {known}", directory.display())]
    UnknownPackage { package: String, directory: PathBuf, known: String },
    #[error(
        "package `{package}` makes no module: add `[lib]` with `crate-type = [\"cdylib\"]` to its `Cargo.toml`"
    )]
    NoModule { package: String },
    #[error(
        "`--output` names one file, and {count} components are to be built: choose one by `-p`"
    )]
    SeveralOutputs { count: usize },
    #[error("cargo could not build the crate; see above")]
    Cargo,
    #[error("package `{package}`: {source}")]
    Encode { package: String, source: EncodeError },
    #[error("package `{package}`: the component {source}; `{}` stays as it was", path.display())]
    Unusable { package: String, path: PathBuf, source: statehouse_wasm::Error },
    #[error("cannot {action} `{}`", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// A package with a module.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Package {
    id: String,
    name: String,
    manifest: PathBuf,
    module: bool,
}

impl Build {
    /// Builds. A component that no job could load replaces nothing.
    ///
    /// # Errors
    /// If there is no way to build guests, nothing to build, it does not compile, or no job could load it.
    pub fn run(&self, environment: &Environment) -> Result<Vec<Built>, BuildError> {
        let manifest = self.directory.join("Cargo.toml");
        if !manifest.is_file() {
            return Err(BuildError::NoManifest(self.directory.clone()));
        }
        let route = Route::find(&self.directory, environment)?;
        let packages = self.choose(self.metadata(&route)?)?;
        if self.output.is_some() && packages.len() > 1 {
            return Err(BuildError::SeveralOutputs { count: packages.len() });
        }
        let modules = self.compile(&route, &packages)?;
        let finish =
            |(package, module): (&Package, PathBuf)| self.finish(package, &module, environment);
        modules.into_iter().map(finish).collect()
    }

    /// Cargo as if it were called in the folder: it looks for its configuration there.
    fn cargo(&self, route: &Route) -> Command {
        let mut cargo = route.cargo();
        cargo.current_dir(&self.directory);
        cargo
    }

    fn metadata(&self, route: &Route) -> Result<Vec<Package>, BuildError> {
        let mut cargo = self.cargo(route);
        cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
        let output = cargo.output().map_err(BuildError::Run)?;
        let failed =
            |message: String| BuildError::Metadata { directory: self.directory.clone(), message };
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let metadata: Value =
            serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))?;
        Ok(packages(&metadata))
    }

    /// The packages to build: the one asked for, else the one of the folder, else all that make modules.
    fn choose(&self, all: Vec<Package>) -> Result<Vec<Package>, BuildError> {
        let here = self.directory.join("Cargo.toml").canonicalize().ok();
        let chosen = match &self.package {
            Some(name) => all.iter().find(|package| &package.name == name),
            None => all
                .iter()
                .find(|package| here.is_some() && package.manifest.canonicalize().ok() == here),
        };
        match (chosen, &self.package) {
            (Some(package), _) if package.module => Ok(vec![package.clone()]),
            (Some(package), _) => Err(BuildError::NoModule { package: package.name.clone() }),
            (None, Some(package)) => {
                let names: Vec<String> =
                    all.iter().map(|package| format!("`{}`", package.name)).collect();
                Err(BuildError::UnknownPackage {
                    package: package.clone(),
                    directory: self.directory.clone(),
                    known: names.join(", "),
                })
            }
            (None, None) => {
                let first = all.first().map(|package| package.name.clone()).unwrap_or_default();
                let with: Vec<Package> = all.into_iter().filter(|package| package.module).collect();
                if with.is_empty() {
                    return Err(BuildError::NoModule { package: first });
                }
                Ok(with)
            }
        }
    }

    /// The modules that Cargo makes of the packages.
    fn compile<'a>(
        &self,
        route: &Route,
        packages: &'a [Package],
    ) -> Result<Vec<(&'a Package, PathBuf)>, BuildError> {
        let mut cargo = self.cargo(route);
        cargo.args(["build", "--release", "--target", TARGET, "--lib"]);
        cargo.args(["--message-format", "json-render-diagnostics"]);
        for package in packages {
            cargo.args(["-p", &package.name]);
        }
        if self.quiet {
            cargo.arg("--quiet");
        }
        let mut child = cargo.stdout(Stdio::piped()).spawn().map_err(BuildError::Run)?;
        let output = child.stdout.take().expect("the output is piped");
        let mut modules = Vec::new();
        for line in BufReader::new(output).lines() {
            let line = line.map_err(BuildError::Run)?;
            // Lines that are no messages come from build scripts; they are not ours to show.
            let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
            let Some((id, file)) = module_of(&message) else { continue };
            if let Some(package) = packages.iter().find(|package| package.id == id) {
                modules.push((package, file));
            }
        }
        if !child.wait().map_err(BuildError::Run)?.success() {
            return Err(BuildError::Cargo);
        }
        Ok(modules)
    }

    fn finish(
        &self,
        package: &Package,
        module: &Path,
        environment: &Environment,
    ) -> Result<Built, BuildError> {
        let bytes = std::fs::read(module).map_err(|source| BuildError::File {
            action: "read",
            path: module.to_owned(),
            source,
        })?;
        let name = package.name.clone();
        let bytes = encode(&bytes)
            .map_err(|source| BuildError::Encode { package: name.clone(), source })?;
        let path = match (&self.output, module.file_name()) {
            (Some(output), _) => output.clone(),
            (None, name) => package.manifest.with_file_name(name.unwrap_or_default()),
        };
        let inspection = check(&name, &path, &bytes, environment)?;
        replace(&path, &bytes).map_err(|source| BuildError::File {
            action: "write",
            path: path.clone(),
            source,
        })?;
        Ok(Built { package: name, path, inspection })
    }
}

/// What a component declares that is to become the file.
fn check(
    package: &str,
    path: &Path,
    bytes: &[u8],
    environment: &Environment,
) -> Result<Inspection, BuildError> {
    inspect(bytes, environment).map_err(|source| {
        let (package, path) = (package.to_owned(), path.to_owned());
        match source {
            // Bindings without an operator: the crate depends on the SDK and exports nothing by it.
            statehouse_wasm::Error::MissingExport { .. } => {
                BuildError::Encode { package, source: EncodeError::NothingExported }
            }
            source => BuildError::Unusable { package, path, source },
        }
    })
}

/// Writes a file in one step, so that a job that starts meanwhile never reads half of it.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let partial = path.with_extension("wasm.partial");
    let written = std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, path));
    if written.is_err() {
        // Whatever there is of it is of no use; the error that counts is the first.
        let _ = std::fs::remove_file(&partial);
    }
    written
}

fn packages(metadata: &Value) -> Vec<Package> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .map(|package| Package {
            id: package["id"].as_str().unwrap_or_default().to_owned(),
            name: package["name"].as_str().unwrap_or_default().to_owned(),
            manifest: package["manifest_path"].as_str().unwrap_or_default().into(),
            module: package["targets"].as_array().into_iter().flatten().any(is_module),
        })
        .collect()
}

fn is_module(target: &Value) -> bool {
    target["crate_types"].as_array().into_iter().flatten().any(|kind| kind == "cdylib")
}

/// The package and file of a message that says that a module was made.
fn module_of(message: &Value) -> Option<(&str, PathBuf)> {
    if message["reason"] != "compiler-artifact" || !is_module(&message["target"]) {
        return None;
    }
    let mut files = message["filenames"].as_array()?.iter().filter_map(Value::as_str);
    Some((message["package_id"].as_str()?, files.find(|file| file.ends_with(".wasm"))?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, module: bool) -> Package {
        let manifest = format!("/w/{name}/Cargo.toml").into();
        Package { id: format!("path+file:///w/{name}#0.1.0"), name: name.into(), manifest, module }
    }

    #[test]
    fn packages_with_modules_are_told_from_those_without() {
        let metadata = json!({ "packages": [
            { "id": "a", "name": "ops", "manifest_path": "/w/ops/Cargo.toml", "targets": [
                { "crate_types": ["cdylib", "rlib"] } ] },
            { "id": "b", "name": "shared", "manifest_path": "/w/shared/Cargo.toml", "targets": [
                { "crate_types": ["lib"] } ] },
        ]});
        let found: Vec<(String, bool)> =
            packages(&metadata).into_iter().map(|package| (package.name, package.module)).collect();
        assert_eq!(found, [("ops".to_owned(), true), ("shared".to_owned(), false)]);
    }

    #[test]
    fn a_workspace_builds_all_modules_and_an_unknown_package_is_named() {
        let build = Build { directory: "/w".into(), ..Build::default() };
        let all = vec![package("ops", true), package("shared", false), package("more", true)];
        let names: Vec<String> =
            build.choose(all.clone()).unwrap().into_iter().map(|package| package.name).collect();
        assert_eq!(names, ["ops", "more"]);
        let choose = |name: &str| {
            let build = Build { package: Some(name.into()), ..build.clone() };
            build.choose(all.clone()).map_err(|error| error.to_string())
        };
        assert_eq!(choose("more").unwrap(), [package("more", true)]);
        assert!(choose("shared").unwrap_err().contains("crate-type = [\"cdylib\"]"));
        let error = choose("mroe").unwrap_err();
        assert!(error.contains("no package `mroe`") && error.contains("`more`"), "{error}");
    }

    #[test]
    fn a_component_without_operators_is_refused_with_the_line_to_write() {
        let error =
            check("ops", Path::new("o.wasm"), b"\0asm\x0d\0\x01\0", &Environment::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("`ops`") && error.contains("statehouse::export!"), "{error}");
    }

    #[test]
    fn a_file_that_cannot_be_replaced_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        let taken = folder.path().join("b.wasm");
        std::fs::create_dir_all(taken.join("c")).unwrap();
        replace(&taken, b"one").unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn only_finished_modules_are_taken_from_the_messages() {
        let target = json!({ "crate_types": ["cdylib"] });
        let made = json!({ "reason": "compiler-artifact", "package_id": "a", "target": target,
            "filenames": ["/t/release/ops.d", "/t/release/ops.wasm"] });
        assert_eq!(module_of(&made), Some(("a", "/t/release/ops.wasm".into())));
        assert_eq!(module_of(&json!({ "reason": "compiler-message" })), None);
    }
}
