//! The command line: one file per verb. Data goes to stdout, messages to stderr.
//!
//! Nothing is done before the arguments are parsed, so that help is quick.

mod bench;
mod build;
mod cancel;
mod checkpoint;
mod completions;
mod history;
mod inspect;
mod log;
mod new;
mod print;
mod progress;
mod run;
mod savepoint;
mod state;
mod summary;
mod swap;
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
  statehouse savepoint create hello/job.toml before-upgrade
  statehouse swap hello/job.toml NODE new.wasm --plan

Environment:
  STATEHOUSE_LOG    what is logged: error, warn, info, debug, or by part: statehouse_engine=debug
  AWS_*, GOOGLE_*, AZURE_*
                    how stores with a URL are reached, as their own tools have it
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
    Savepoint(savepoint::SavepointVerb),
    Swap(swap::SwapArgs),
    History(history::HistoryArgs),
    Cancel(cancel::CancelArgs),
    #[command(subcommand)]
    Checkpoint(checkpoint::CheckpointVerb),
    #[command(subcommand)]
    State(state::StateVerb),
    Inspect(inspect::InspectArgs),
    #[command(subcommand)]
    Bench(bench::BenchVerb),
    Completions(completions::CompletionsArgs),
}

/// Threads that serve the clients of remote stores.
const RUNTIME_THREADS: usize = 2;

/// The whole command, for help, completions and reference pages.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the arguments of the process and does what they say.
pub fn main() -> ExitCode {
    let Cli { verb } = Cli::parse();
    let done = runtime().map(|runtime| {
        // Clients of remote stores need one wherever they are waited for.
        let _inside = runtime.enter();
        run_verb(verb)
    });
    match done.unwrap_or_else(Err) {
        Ok(code) => code,
        Err(error) if print::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(RUNTIME_THREADS).thread_name("store").enable_all().build()?)
}

fn run_verb(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Run(args) => run::run(args),
        Verb::Build(args) => build::run(args),
        Verb::New(args) => new::run(args),
        Verb::Savepoint(verb) => savepoint::run(verb),
        Verb::Swap(args) => swap::run(args),
        Verb::History(args) => history::run(args),
        Verb::Cancel(args) => cancel::run(args),
        Verb::Checkpoint(verb) => checkpoint::run(verb),
        Verb::State(verb) => state::run(verb),
        Verb::Inspect(args) => inspect::run(args),
        Verb::Bench(verb) => bench::run(verb),
        Verb::Completions(args) => completions::run(args),
    }
}
