//! The engine: the one place that configures wasmtime, and the clock that deadlines are measured with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy,
};

use crate::cache::CodeCache;
use crate::error::Error;

/// How often deadlines are looked at. A call is stopped up to two of these after its deadline.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Elements of one table (functions that can be called indirectly, mostly).
pub(crate) const TABLE_ELEMENTS_MAX: usize = 100_000;

const GIB: u64 = 1 << 30;

/// What an engine is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WasmSettings {
    /// How many instances may exist at once: one for each task of each wasm operator in the process, and one while
    /// a component is being described. Costs address space (4 GiB each) and no memory. Default 1000.
    pub instances: u32,
    /// Where compiled code is kept between runs. Without it, components are compiled at every start.
    pub cache: Option<PathBuf>,
}

impl Default for WasmSettings {
    fn default() -> Self {
        Self { instances: 1000, cache: None }
    }
}

/// Compiles and runs components. One a process; `clone` shares it.
#[derive(Clone)]
pub struct WasmEngine {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    settings: WasmSettings,
    cache: Option<CodeCache>,
    // Dropped with the engine, and stops then.
    _ticker: Ticker,
}

impl fmt::Debug for WasmEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmEngine")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

impl WasmEngine {
    /// Reserves address space for the instances and starts the clock for deadlines.
    ///
    /// # Errors
    /// If the machine does not have what is asked for.
    pub fn new(settings: WasmSettings) -> Result<Self, Error> {
        let failed = |reason: String| Error::Engine { instances: settings.instances, reason };
        let engine = Engine::new(&config(settings.instances))
            .map_err(|error| failed(format!("{error:#}")))?;
        let ticker = Ticker::start(engine.clone()).map_err(|error| failed(error.to_string()))?;
        let cache = settings.cache.clone().map(|folder| CodeCache::new(folder, &engine));
        Ok(Self { shared: Arc::new(Shared { engine, settings, cache, _ticker: ticker }) })
    }

    /// What it was made with.
    pub fn settings(&self) -> &WasmSettings {
        &self.shared.settings
    }

    pub(crate) fn wasmtime(&self) -> &Engine {
        &self.shared.engine
    }

    pub(crate) fn cache(&self) -> Option<&CodeCache> {
        self.shared.cache.as_ref()
    }
}

/// The configuration. Everything that makes a call fast or a guest harmless is said here.
fn config(instances: u32) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Calls cost more than twice as much with it, and no operator is asynchronous.
        .concurrency_support(false)
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        // The whole 32-bit address space and a guard: compiled code needs no bounds checks.
        .memory_reservation(4 * GIB)
        .memory_guard_size(32 << 20)
        .memory_init_cow(true)
        // The same batch gives the same result on every machine.
        .relaxed_simd_deterministic(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(instances)));
    config
}

fn pool(instances: u32) -> PoolingAllocationConfig {
    // A component of one module has three core instances and two tables: the module's own, and those of two small
    // modules that tie it to its imports. Interpreters bring a few more.
    let parts = instances.saturating_mul(4).max(32);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(parts)
        .total_memories(instances)
        .total_tables(parts)
        .max_tables_per_module(4)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_memory_size((4 * GIB) as usize)
        // An instance that starts anew in a warm place finds its first pages there.
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(4 << 10)
        .max_unused_warm_slots(16)
        .decommit_batch_size(8);
    pool
}

/// Advances the engine's epoch, the unit of deadlines, every [`TICK`].
struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: Engine) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread =
            std::thread::Builder::new().name("wasm-deadlines".to_owned()).spawn(move || {
                while !stopped.load(Ordering::Acquire) {
                    std::thread::park_timeout(TICK);
                    engine.increment_epoch();
                }
            })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It cannot panic; if it did, there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_stops_its_clock_when_it_is_dropped() {
        let engine = WasmEngine::new(WasmSettings { instances: 2, cache: None }).unwrap();
        let stop = Arc::clone(&engine.shared._ticker.stop);
        let other = engine.clone();
        drop(engine);
        assert!(!stop.load(Ordering::Acquire), "a clone still needs it");
        drop(other);
        assert!(stop.load(Ordering::Acquire));
        assert_eq!(Arc::strong_count(&stop), 1, "the thread has ended");
    }

    #[test]
    fn an_engine_with_more_room_than_the_machine_has_says_so() {
        let error =
            WasmEngine::new(WasmSettings { instances: 1_000_000, cache: None }).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("1000000 instances") && message.contains("lower"), "{message}");
    }
}
