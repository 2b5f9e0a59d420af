//! Plain RocksDB: what a careful program would do with the library itself, batch by batch: one sorted `multi_get` for
//! what is read, one sorted write batch without a log.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, IteratorMode, MergeOperands, Options,
    ReadOptions, WriteBatch, WriteOptions,
};
use statehouse_state::rocks::RocksOptions;

use super::keys::Batch;
use super::work::{ACCUMULATOR_BYTES, Kind, LIST_BATCHES, entry_of};

/// A database and what an access does with it.
pub(super) struct Plain {
    kind: Kind,
    db: DB,
    unlogged: WriteOptions,
    batches: u64,
}

impl Plain {
    /// A new database with the same caches as the backend that it is compared with, and the bytes of that one's
    /// write-behind cache on top of its block cache.
    pub(super) fn open(kind: Kind, path: &Path, of: &RocksOptions) -> Result<Self, String> {
        let mut tables = BlockBasedOptions::default();
        let cache = (of.block_cache_size + of.write_behind_cache) as usize;
        tables.set_block_cache(&Cache::new_lru_cache(cache));
        tables.set_bloom_filter(of.bloom_bits_per_key, false);
        tables.set_cache_index_and_filter_blocks(of.cache_index_and_filter_blocks);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&tables);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_write_buffer_size(of.write_buffer_size as usize);
        options.set_max_background_jobs(of.max_background_jobs);
        if kind == Kind::Reducing {
            options.set_merge_operator_associative("sum", sum);
        }
        let db = DB::open_cf_with_opts(&options, path, [("default", options.clone())])
            .map_err(|error| error.to_string())?;
        let mut unlogged = WriteOptions::default();
        unlogged.disable_wal(true);
        Ok(Self { kind, db, unlogged, batches: 0 })
    }

    /// One batch. Timers are not RocksDB's business.
    pub(super) fn run(&mut self, batch: &Batch) -> Result<(), String> {
        self.batches += 1;
        let mut writes = WriteBatch::default();
        let mut keys = batch.words().to_vec();
        keys.sort_unstable();
        match self.kind {
            Kind::Value => self.read_and_write(
                keys.iter().map(|key| key.to_be_bytes()).collect(),
                &mut writes,
                |before| one_more(before).to_vec(),
            )?,
            Kind::Aggregating => self.read_and_write(
                keys.iter().map(|key| key.to_be_bytes()).collect(),
                &mut writes,
                |before| {
                    let mut value =
                        before.map_or_else(|| vec![0; ACCUMULATOR_BYTES], <[u8]>::to_vec);
                    value[0] = value[0].wrapping_add(1);
                    value
                },
            )?,
            Kind::Map => {
                let entry = |key: &u64| pair(*key, entry_of(*key, self.batches));
                let keys = keys.iter().map(entry).collect();
                self.read_and_write(keys, &mut writes, |before| one_more(before).to_vec())?;
            }
            Kind::Reducing => {
                for key in &keys {
                    writes.merge(key.to_be_bytes(), 1_u64.to_le_bytes());
                }
            }
            Kind::List if self.batches.is_multiple_of(LIST_BATCHES) => {
                for &key in &keys {
                    self.read_list(key, &mut writes)?;
                }
            }
            Kind::List => {
                for &key in &keys {
                    writes.put(pair(key, self.batches), key.to_le_bytes());
                }
            }
            Kind::Timers => return Ok(()),
        }
        self.db.write_opt(writes, &self.unlogged).map_err(|error| error.to_string())
    }

    fn read_and_write<const N: usize>(
        &self,
        keys: Vec<[u8; N]>,
        writes: &mut WriteBatch,
        change: impl Fn(Option<&[u8]>) -> Vec<u8>,
    ) -> Result<(), String> {
        let family = self.db.cf_handle("default").ok_or("there is no default column family")?;
        let values = self.db.batched_multi_get_cf(&family, keys.iter(), true);
        for (key, value) in keys.iter().zip(values) {
            let value = value.map_err(|error| error.to_string())?;
            writes.put(key, change(value.as_deref()));
        }
        Ok(())
    }

    fn read_list(&self, key: u64, writes: &mut WriteBatch) -> Result<(), String> {
        let mut options = ReadOptions::default();
        options.set_iterate_range(pair(key, 0)..pair(key + 1, 0));
        for element in self.db.iterator_opt(IteratorMode::Start, options) {
            let (key, value) = element.map_err(|error| error.to_string())?;
            std::hint::black_box(value);
            writes.delete(key);
        }
        Ok(())
    }
}

fn pair(key: u64, entry: u64) -> [u8; 16] {
    let mut pair = [0; 16];
    pair[..8].copy_from_slice(&key.to_be_bytes());
    pair[8..].copy_from_slice(&entry.to_be_bytes());
    pair
}

fn one_more(before: Option<&[u8]>) -> [u8; 8] {
    let before = before.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
    before.wrapping_add(1).to_le_bytes()
}

fn sum(_key: &[u8], before: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
    let before = before.map_or(0, number);
    let all = operands.iter().map(number).fold(before, u64::wrapping_add);
    Some(all.to_le_bytes().to_vec())
}
