//! The command line: one file per verb. Data goes to stdout, messages to stderr.
//!
//! Nothing is done before the arguments are parsed, so that help is quick.

mod bench;
mod build;
mod checkpoint;
mod completions;
mod inspect;
mod log;
mod new;
mod print;
mod progress;
mod run;
mod summary;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Runs stream operators as WebAssembly components, with their state kept by the host.
#[derive(Debug, Parser)]
#[command(name = "statehouse", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Examples:
  statehouse new hello              make a first operator, a job and some data
  statehouse build hello            compile it to hello/hello.wasm
  statehouse run hello/job.toml     run the job; run it again to resume
  statehouse checkpoint list hello/job.toml

Environment:
  STATEHOUSE_LOG    what is logged: error, warn, info, debug, or by part: statehouse_engine=debug
  STATEHOUSE_CACHE  where compiled components are kept; default $XDG_CACHE_HOME/statehouse, else
                    ~/.cache/statehouse")]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::RunArgs),
    Build(build::BuildArgs),
    New(new::NewArgs),
    #[command(subcommand)]
    Checkpoint(checkpoint::CheckpointVerb),
    Inspect(inspect::InspectArgs),
    #[command(subcommand)]
    Bench(bench::BenchVerb),
    Completions(completions::CompletionsArgs),
}

/// The whole command, for help, completions and reference pages.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the arguments of the process and does what they say.
pub fn main() -> ExitCode {
    let Cli { verb } = Cli::parse();
    let done = match verb {
        Verb::Run(args) => run::run(args),
        Verb::Build(args) => build::run(args),
        Verb::New(args) => new::run(args),
        Verb::Checkpoint(verb) => checkpoint::run(verb),
        Verb::Inspect(args) => inspect::run(args),
        Verb::Bench(verb) => bench::run(verb),
        Verb::Completions(args) => completions::run(args),
    };
    match done {
        Ok(code) => code,
        Err(error) if print::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&error);
            ExitCode::FAILURE
        }
    }
}
