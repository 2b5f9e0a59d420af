//! What `statehouse bench swap` measures, under `cargo bench`.

use statehouse_server::bench::swap::{self, Schema, SwapSettings};
use statehouse_server::job_file::BackendKind;

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() -> Result<(), String> {
    // `cargo test --benches` starts benchmarks too, without this word.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let directory = std::env::temp_dir().join(format!("statehouse-bench-{}", std::process::id()));
    for (state_bytes, swaps) in [(10_000_000, 100), (1_000_000_000, 20)] {
        for schema in [Schema::Same, Schema::Changed] {
            let settings = SwapSettings {
                state_bytes,
                schema,
                backend: BackendKind::Heap,
                value_bytes: 200,
                parallelism: 1,
                swaps,
                repetitions: 3,
            };
            println!("{}", swap::text(&swap::run(&settings, &directory)?));
        }
    }
    std::fs::remove_dir_all(&directory).map_err(|error| error.to_string())
}
