//! Log lines on stderr, above the progress bar if there is one.

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use indicatif::{MultiProgress, ProgressDrawTarget};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Warnings of the host; from operators also what they tell.
const FILTER_DEFAULT: &str = "warn,statehouse_operator=info";

/// Starts logging. `STATEHOUSE_LOG` says what is logged.
///
/// # Errors
/// If the variable cannot be understood.
pub(super) fn start(bars: &MultiProgress) -> anyhow::Result<()> {
    let filter = match std::env::var_os("STATEHOUSE_LOG").filter(|value| !value.is_empty()) {
        None => EnvFilter::new(FILTER_DEFAULT),
        Some(value) => {
            let value = value.to_string_lossy();
            EnvFilter::try_new(&value).map_err(|error| {
                anyhow::anyhow!("STATEHOUSE_LOG is `{value}`, which cannot be understood: {error}")
            })?
        }
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    let colours = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    builder.with_ansi(colours).with_writer(AboveBars(bars.clone())).init();
    Ok(())
}

/// Starts logging where there is no progress bar.
///
/// # Errors
/// As [`start`].
pub(super) fn start_plain() -> anyhow::Result<()> {
    start(&MultiProgress::with_draw_target(ProgressDrawTarget::hidden()))
}

/// Hides the bars while a line is written.
#[derive(Debug, Clone)]
struct AboveBars(MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().lock().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
