//! `statehouse completions`: completions for a shell.

use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;

use super::print;

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  statehouse completions bash > ~/.local/share/bash-completion/completions/statehouse
  statehouse completions fish > ~/.config/fish/completions/statehouse.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "statehouse", &mut script);
    print::data(String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
