//! What a benchmark asks of the machine: time, memory, and to stay on some of its processors.

use std::time::Instant;

/// Measures wall time.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts.
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Seconds since the start.
    pub fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// Keeps this process, and the threads that it starts from now on, on the first `cores` processors that it may use.
/// Returns how many it got.
///
/// # Errors
/// If the system refuses.
pub fn pin(cores: usize) -> std::io::Result<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None)?;
    let mut chosen = CpuSet::new();
    for cpu in (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).take(cores) {
        chosen.set(cpu);
    }
    sched_setaffinity(None, &chosen)?;
    Ok(chosen.count() as usize)
}

/// Starts the measurement of peak memory anew, where the system lets it.
pub fn reset_peak_memory() {
    // The figure then includes what came before, and says so by being larger.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most memory that the process has had resident, in bytes.
pub fn peak_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}
