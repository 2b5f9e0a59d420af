//! `statehouse build`: a guest crate to a component.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use statehouse_operator::Description;

use super::inspect::operator_text;
use super::{log, print};
use crate::environment::Environment;
use crate::format;
use crate::guest::{Build, Built};

/// Compile a guest crate to a component, NAME.wasm beside its Cargo.toml
///
/// Uses the wasm32-unknown-unknown target of the active Rust toolchain, else the one that scripts/guest-toolchain sets
/// up from Debian's packages. STATEHOUSE_GUEST_ROUTE=rustup or =debian allows only one of the two. A crate whose
/// component no job could load is an error, and an earlier component stays.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse build                          every guest crate of this folder
  statehouse build hello -o /tmp/hello.wasm
  statehouse build . -p hello               one package of a workspace")]
pub(super) struct BuildArgs {
    /// The folder of the crate or workspace
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Only this package of the workspace
    #[arg(short, long, value_name = "NAME")]
    package: Option<String>,
    /// Write the component to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print what was built as JSON
    #[arg(long)]
    json: bool,
    /// Leave out cargo's progress; errors and warnings are shown
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Serialize)]
struct BuiltComponent {
    package: String,
    path: PathBuf,
    size_bytes: usize,
    digest: String,
    operators: Vec<Description>,
}

pub(super) fn run(args: BuildArgs) -> anyhow::Result<ExitCode> {
    log::start_plain()?;
    let BuildArgs { directory, package, output, json, quiet } = args;
    let build = Build { directory, package, output, quiet };
    let built = build.run(&Environment::read())?;
    let components: Vec<BuiltComponent> = built
        .into_iter()
        .map(|Built { package, path, inspection }| BuiltComponent {
            package,
            path,
            size_bytes: inspection.size_bytes,
            digest: inspection.digest,
            operators: inspection.operators,
        })
        .collect();
    if json {
        print::json(&components)?;
        return Ok(ExitCode::SUCCESS);
    }
    for component in &components {
        let size = format::bytes(component.size_bytes as u64);
        print::data(format_args!("{}  {size}\n", component.path.display()))?;
        for operator in &component.operators {
            let text = operator_text(operator);
            print::data(format_args!("{}", text.replace("\n  ", "\n    ").replacen("", "  ", 1)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
