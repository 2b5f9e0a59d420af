//! The `statehouse` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    statehouse_server::cli::main()
}
