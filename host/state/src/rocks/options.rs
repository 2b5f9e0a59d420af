//! Settings of the RocksDB backend, and what all its instances in a process share.

use std::fmt;
use std::sync::Arc;

use rocksdb::{
    BlockBasedOptions, Cache, DBCompactionStyle, DBCompressionType, DataBlockIndexType, Options,
    WriteBufferManager,
};
use serde::{Deserialize, Deserializer, Serialize};

/// Settings, under the names that RocksDB gives them. Sizes are bytes, or text like `"64MiB"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct RocksOptions {
    /// Decoded values that each task keeps in front of RocksDB: those read last, and those written and not yet handed
    /// to RocksDB, which are at most half. 64 MiB.
    #[serde(deserialize_with = "size")]
    pub write_behind_cache: u64,
    /// Uncompressed blocks of tables, for the whole process. 256 MiB.
    #[serde(deserialize_with = "size")]
    pub block_cache_size: u64,
    /// Memtables, for the whole process; a task whose memtable is large flushes it when they are over. 256 MiB.
    #[serde(deserialize_with = "size")]
    pub write_buffer_manager_size: u64,
    /// A task's memtable is flushed at this size. 64 MiB.
    #[serde(deserialize_with = "size")]
    pub write_buffer_size: u64,
    /// Memtables of a task, those included that are being flushed; writes wait if there are more. 3.
    pub max_write_buffer_number: i32,
    /// Flushes and compactions of a task that run at the same time. 2.
    pub max_background_jobs: i32,
    /// Uncompressed size of a table's blocks. 4 KiB.
    #[serde(deserialize_with = "size")]
    pub block_size: u64,
    /// Bits of Bloom filter a key in tables, and whether memtables have a filter at all; 0 for none. 10.
    pub bloom_bits_per_key: f64,
    /// How tables are compressed. LZ4.
    pub compression: Compression,
    /// The size of tables. 64 MiB.
    #[serde(deserialize_with = "size")]
    pub target_file_size_base: u64,
    /// How tables are put together. Level.
    pub compaction_style: CompactionStyle,
    /// The size of the first level. 256 MiB.
    #[serde(deserialize_with = "size")]
    pub max_bytes_for_level_base: u64,
    /// How much larger each level is than the one before. 10.
    pub max_bytes_for_level_multiplier: f64,
    /// Whether levels are sized from the last one up. True.
    pub level_compaction_dynamic_level_bytes: bool,
    /// Tables flushed before they are compacted. 4.
    pub level0_file_num_compaction_trigger: i32,
    /// Tables held open by a task; -1 for all. -1.
    pub max_open_files: i32,
    /// Threads that one compaction may use. 1.
    pub max_subcompactions: u32,
    /// Whether indexes and filters are held within the block cache, so that it bounds them. True.
    pub cache_index_and_filter_blocks: bool,
    /// Whether RocksDB counts what it does. False.
    pub statistics: bool,
}

/// How tables are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Compression {
    None,
    Lz4,
}

/// How tables are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum CompactionStyle {
    Level,
    Universal,
}

const MIB: u64 = 1 << 20;

/// The share of a memtable that its Bloom filter takes.
const MEMTABLE_BLOOM_RATIO: f64 = 0.1;

impl Default for RocksOptions {
    fn default() -> Self {
        Self {
            write_behind_cache: 64 * MIB,
            block_cache_size: 256 * MIB,
            write_buffer_manager_size: 256 * MIB,
            write_buffer_size: 64 * MIB,
            max_write_buffer_number: 3,
            max_background_jobs: 2,
            block_size: 4096,
            bloom_bits_per_key: 10.0,
            compression: Compression::Lz4,
            target_file_size_base: 64 * MIB,
            compaction_style: CompactionStyle::Level,
            max_bytes_for_level_base: 256 * MIB,
            max_bytes_for_level_multiplier: 10.0,
            level_compaction_dynamic_level_bytes: true,
            level0_file_num_compaction_trigger: 4,
            max_open_files: -1,
            max_subcompactions: 1,
            cache_index_and_filter_blocks: true,
            statistics: false,
        }
    }
}

/// What the tasks of a process share: one block cache and one budget for memtables.
///
/// Made once; `clone` shares it.
#[derive(Clone)]
pub struct RocksResources {
    options: Arc<RocksOptions>,
    block_cache: Cache,
    write_buffers: WriteBufferManager,
}

impl fmt::Debug for RocksResources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksResources").field("options", &self.options).finish_non_exhaustive()
    }
}

impl RocksResources {
    /// The resources that these settings ask for.
    pub fn new(options: RocksOptions) -> Self {
        // The cache without locks; 0 has it find out itself how large blocks are.
        let block_cache = Cache::new_hyper_clock_cache(bytes(options.block_cache_size), 0);
        // Without stalling: a task over the budget flushes, and the block cache is not part of it.
        let size = bytes(options.write_buffer_manager_size);
        let write_buffers = WriteBufferManager::new_write_buffer_manager(size, false);
        Self { options: Arc::new(options), block_cache, write_buffers }
    }

    /// The settings.
    pub fn options(&self) -> &RocksOptions {
        &self.options
    }

    /// The same caches, for tasks with other settings of their own.
    pub fn with_options(&self, options: RocksOptions) -> Self {
        Self { options: Arc::new(options), ..self.clone() }
    }

    /// Bytes in the block cache and in memtables, of all tasks.
    pub fn usage_bytes(&self) -> (usize, usize) {
        (self.block_cache.get_usage(), self.write_buffers.get_usage())
    }

    /// RocksDB's own options, without merge operator and filter.
    pub(super) fn database_options(&self) -> Options {
        let from = &*self.options;
        // What is not flushed at shutdown was not snapshotted either; RocksDB has no setter for it in its C interface.
        let mut to = Options::default()
            .get_options_from_string("avoid_flush_during_shutdown=true")
            .unwrap_or_default();
        to.set_write_buffer_manager(&self.write_buffers);
        to.set_write_buffer_size(bytes(from.write_buffer_size));
        to.set_max_write_buffer_number(from.max_write_buffer_number);
        if from.bloom_bits_per_key > 0.0 {
            // Most keys that are looked up are in tables; the search through a memtable's list is dear.
            to.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM_RATIO);
            to.set_memtable_whole_key_filtering(true);
        }
        to.set_max_background_jobs(from.max_background_jobs);
        to.set_compression_type(match from.compression {
            Compression::None => DBCompressionType::None,
            Compression::Lz4 => DBCompressionType::Lz4,
        });
        to.set_target_file_size_base(from.target_file_size_base);
        to.set_compaction_style(match from.compaction_style {
            CompactionStyle::Level => DBCompactionStyle::Level,
            CompactionStyle::Universal => DBCompactionStyle::Universal,
        });
        to.set_max_bytes_for_level_base(from.max_bytes_for_level_base);
        to.set_max_bytes_for_level_multiplier(from.max_bytes_for_level_multiplier);
        to.set_level_compaction_dynamic_level_bytes(from.level_compaction_dynamic_level_bytes);
        to.set_level_zero_file_num_compaction_trigger(from.level0_file_num_compaction_trigger);
        to.set_max_open_files(from.max_open_files);
        to.set_max_subcompactions(from.max_subcompactions);
        to.set_block_based_table_factory(&self.table_options());
        // An adopted copy must not take the original for itself; see `files`.
        to.set_write_dbid_to_manifest(false);
        to.set_stats_dump_period_sec(0);
        to.set_stats_persist_period_sec(0);
        if from.statistics {
            to.enable_statistics();
        }
        to
    }

    fn table_options(&self) -> BlockBasedOptions {
        let from = &*self.options;
        let mut to = BlockBasedOptions::default();
        to.set_block_cache(&self.block_cache);
        to.set_block_size(bytes(from.block_size));
        if from.bloom_bits_per_key > 0.0 {
            to.set_bloom_filter(from.bloom_bits_per_key, false);
            to.set_optimize_filters_for_memory(true);
        }
        to.set_cache_index_and_filter_blocks(from.cache_index_and_filter_blocks);
        to.set_pin_l0_filter_and_index_blocks_in_cache(from.cache_index_and_filter_blocks);
        to.set_format_version(6);
        // Look-ups of points are what most reads are.
        to.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        to
    }
}

fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// A number of bytes, or a number with a unit.
fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Size {
        Bytes(u64),
        Text(String),
    }
    match Size::deserialize(from)? {
        Size::Bytes(bytes) => Ok(bytes),
        Size::Text(text) => parse_size(&text).ok_or_else(|| {
            let reason = format!("`{text}` is no size; write bytes, or a size like \"64MiB\"");
            serde::de::Error::custom(reason)
        }),
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_the_names_that_users_know() {
        let text =
            r#"{"block-cache-size": "1GiB", "write-behind-cache": 4096, "compression": "none"}"#;
        let options: RocksOptions = serde_json::from_str(text).unwrap();
        assert_eq!(options.block_cache_size, 1 << 30);
        assert_eq!(options.write_behind_cache, 4096);
        assert_eq!(options.compression, Compression::None);
        assert_eq!(options.block_size, RocksOptions::default().block_size);
    }

    #[test]
    fn a_setting_that_does_not_exist_or_is_no_size_is_refused_by_name() {
        let error = serde_json::from_str::<RocksOptions>(r#"{"block-cache": 1}"#).unwrap_err();
        assert!(error.to_string().contains("block-cache"), "{error}");
        let error =
            serde_json::from_str::<RocksOptions>(r#"{"block-size": "4 apples"}"#).unwrap_err();
        assert!(error.to_string().contains("4 apples"), "{error}");
    }

    #[test]
    fn tasks_share_the_caches() {
        let resources = RocksResources::new(RocksOptions::default());
        let other = RocksOptions { block_size: 1, ..RocksOptions::default() };
        assert_eq!(resources.with_options(other).options().block_size, 1);
        assert_eq!(resources.usage_bytes().1, 0);
    }
}
