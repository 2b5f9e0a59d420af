//! `statehouse new`: a first operator with a job, some data and a test.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::print;
use crate::scaffold::Scaffold;

/// Make a guest crate with an operator, a test, a job and some data
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse new hello
  statehouse new hello --dir /tmp --sdk ~/statehouse/guest-sdk/rust")]
pub(super) struct NewArgs {
    /// The crate's name: lower-case letters, digits, `-` and `_`
    #[arg(value_name = "NAME")]
    name: String,
    /// The folder to make it in
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The folder of the Rust SDK; default: that of the source tree that this binary was built in
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

pub(super) fn run(args: NewArgs) -> anyhow::Result<ExitCode> {
    let NewArgs { name, dir, sdk } = args;
    let made = Scaffold { name, parent: dir, sdk }.create()?;
    let folder = made.strip_prefix(".").unwrap_or(&made).display();
    print::data(format_args!("{folder}\n"))?;
    print::remark(format_args!(
        "made `{folder}`; next:\n  statehouse build {folder}\n  statehouse run {folder}/job.toml\n  \
         cat {folder}/out/totals/*.jsonl"
    ));
    Ok(ExitCode::SUCCESS)
}
