//! What `statehouse bench state` measures, under `cargo bench`.

use statehouse_server::bench::machine;
use statehouse_server::bench::state::{self, Kind, StateSettings};

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() -> Result<(), String> {
    // `cargo test --benches` starts benchmarks too, without this word.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    machine::pin(1).map_err(|error| error.to_string())?;
    let directory = std::env::temp_dir().join(format!("statehouse-bench-{}", std::process::id()));
    let (kinds, records, repetitions, keys_large) = (Kind::ALL.to_vec(), 2_000_000, 3, 2_000_000);
    let settings = StateSettings { kinds, records, repetitions, keys_large };
    let lines = state::run(&settings, &directory);
    let _ = std::fs::remove_dir_all(&directory);
    println!("{}", state::text(&lines?));
    Ok(())
}
