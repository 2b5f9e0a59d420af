//! Guests for tests: components written in WebAssembly text, with what they declare laid out in their memory.
//!
//! A guest's `process`, `on_timers` and `migrate` are given as text. They find what they are called with in parameters
//! named as in [`BATCH`], [`TIMERS`] and [`OLDER`], may use memory from 64 to 1023, and call imports by the names in
//! [`IMPORTS`]. A guest exports the interface `migration` only if it is told to.

use statehouse_operator::{Codec, Description, KeyType, Migrations, Port, ValueType};
use statehouse_state::{
    Backend, BytesColumn, Column, HeapBackend, KeyGroupRange, KeyGroups, KeyLayout,
    StateDeclaration, StateKind, TimeDomain, TimerDeclaration, ValueLayout,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

mod image;
mod imports;

use image::Image;
use imports::IMPORTS;

/// Where what is declared begins.
const DATA: usize = 1024;
/// Where the outcome of a call is written: a zero for ok.
const OUTCOME: usize = 16;

const BATCH: &str = "(param $port i32) (param $times i32) (param $times_len i32) (param $slots i32)
    (param $slots_len i32) (param $keyed i32) (param $keys_kind i32) (param $keys i32)
    (param $keys_len i32) (param $keys_arena i32) (param $keys_arena_len i32) (param $kind i32)
    (param $values i32) (param $values_len i32) (param $arena i32) (param $arena_len i32)";

const TIMERS: &str = "(param $timer i32) (param $times i32) (param $times_len i32)
    (param $namespaces i32) (param $namespaces_len i32) (param $slots i32)
    (param $slots_len i32) (param $keys_kind i32) (param $keys i32)
    (param $keys_len i32) (param $keys_arena i32) (param $keys_arena_len i32)";

const OLDER: &str = "(param $state i32) (param $from i32) (param $kind i32)
    (param $values i32) (param $values_len i32) (param $arena i32) (param $arena_len i32)";

/// Takes memory as it comes; everything is given back at the end of a call.
const ALLOCATOR: &str = r#"
  (func $allocate (export "cabi_realloc") (param i32 i32) (param $align i32) (param $size i32)
    (result i32) (local $at i32)
    (local.set $at (i32.and
      (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $free (i32.add (local.get $at) (local.get $size)))
    (if (i32.gt_u (global.get $free) (i32.mul (memory.size) (i32.const 65536)))
      (then (if (i32.eq (i32.const -1) (memory.grow (i32.add (i32.const 1)
          (i32.div_u (local.get $size) (i32.const 65536)))))
        (then unreachable))))
    (local.get $at))
"#;

/// A guest to be.
pub(crate) struct Guest {
    operators: Vec<Description>,
    open: String,
    process: String,
    on_timers: String,
    extra: String,
    migrations: Vec<(String, Migrations)>,
    migrate: Option<String>,
}

impl Guest {
    /// A guest with that operator, which does nothing.
    pub(crate) fn new(operator: Description) -> Self {
        Self {
            operators: vec![operator],
            open: String::new(),
            process: String::new(),
            on_timers: String::new(),
            extra: String::new(),
            migrations: Vec::new(),
            migrate: None,
        }
    }

    /// With another operator.
    pub(crate) fn and(mut self, operator: Description) -> Self {
        self.operators.push(operator);
        self
    }

    /// Without operators.
    pub(crate) fn empty(mut self) -> Self {
        self.operators.clear();
        self
    }

    /// What `open` does.
    pub(crate) fn open(mut self, body: &str) -> Self {
        self.open = body.to_owned();
        self
    }

    /// What `process` does.
    pub(crate) fn process(mut self, body: &str) -> Self {
        self.process = body.to_owned();
        self
    }

    /// What `on-timers` does.
    pub(crate) fn on_timers(mut self, body: &str) -> Self {
        self.on_timers = body.to_owned();
        self
    }

    /// What it takes over, and what `migrate` does. A column that comes back begins at 20.
    pub(crate) fn migrate(mut self, of: &[(&str, Migrations)], body: &str) -> Self {
        self.migrations = of.iter().map(|(name, of)| ((*name).to_owned(), of.clone())).collect();
        self.migrate = Some(body.to_owned());
        self
    }

    /// Further fields of the module.
    pub(crate) fn extra(mut self, fields: &str) -> Self {
        self.extra = fields.to_owned();
        self
    }

    /// The component.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut module = self.module();
        let mut resolve = wit_parser::Resolve::default();
        let contract = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit");
        let (package, _) = resolve.push_path(contract).unwrap();
        let world = match self.migrate {
            None => "stream-operator",
            Some(_) => "stream-operator-with-migration",
        };
        let world = resolve.select_world(&[package], Some(world)).unwrap();
        let encoding = StringEncoding::UTF8;
        embed_component_metadata(&mut module, &resolve, world, encoding, false).unwrap();
        let mut encoder = ComponentEncoder::default();
        encoder.validate(true).module(&module).unwrap().encode().unwrap()
    }

    /// The core module in it.
    pub(crate) fn module(&self) -> Vec<u8> {
        let mut image = Image::default();
        let declared = image.descriptions(&self.operators);
        let migrations = image.migrations(&self.migrations);
        let data: String = image.bytes().iter().map(|byte| format!("\\{byte:02x}")).collect();
        let free = (DATA + image.bytes().len()).next_multiple_of(16);
        let pages = free / 65536 + 2;
        let Self { open, process, on_timers, extra, .. } = self;
        let migration = self.migrate.as_ref().map(|migrate| {
            format!(
                r#"(func $migrations (export "statehouse:operator/migration@0.1.0#migrations") (result i32)
    (i32.const {migrations}))
  (func $migrate (export "statehouse:operator/migration@0.1.0#migrate") {OLDER} (result i32)
    (local $i i32) (local $n i32) (local $p i32) (local $q i32)
    (i32.store (i32.const {OUTCOME}) (i32.const 0))
    {migrate}
    (global.set $free (i32.const {free}))
    (i32.const {OUTCOME}))"#
            )
        });
        let migration = migration.unwrap_or_default();
        let text = format!(
            r#"(module $guest {IMPORTS}
  (memory (export "memory") {pages})
  (global $free (mut i32) (i32.const {free}))
  (data (i32.const {DATA}) "{data}")
  {ALLOCATOR}
  {extra}
  (func $describe (export "statehouse:operator/operator@0.1.0#describe") (result i32)
    (i32.const {declared}))
  (func $open (export "statehouse:operator/operator@0.1.0#open") (param $name i32) (param $name_len i32)
    (param $settings i32) (param $settings_len i32) (result i32)
    (i32.store (i32.const {OUTCOME}) (i32.const 0))
    {open}
    (global.set $free (i32.const {free}))
    (i32.const {OUTCOME}))
  (func $process (export "statehouse:operator/operator@0.1.0#process") {BATCH} (result i32)
    (local $i i32) (local $n i32) (local $p i32) (local $q i32)
    (i32.store (i32.const {OUTCOME}) (i32.const 0))
    {process}
    (global.set $free (i32.const {free}))
    (i32.const {OUTCOME}))
  (func $on_timers (export "statehouse:operator/operator@0.1.0#on-timers") {TIMERS} (result i32)
    (local $i i32) (local $n i32) (local $p i32) (local $q i32)
    (i32.store (i32.const {OUTCOME}) (i32.const 0))
    {on_timers}
    (global.set $free (i32.const {free}))
    (i32.const {OUTCOME}))
  {migration})"#
        );
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// An operator `name` keyed by u64, with u64 values in, out and in state `total`, and one timer family.
pub(crate) fn keyed(name: &str) -> Description {
    let number = ValueType::new(ValueLayout::U64, Codec::Raw);
    let key = Some(KeyType { layout: KeyLayout::U64, codec: Codec::Raw, schema: None });
    let port = |name: &str| Port {
        name: name.to_owned(),
        key: key.clone(),
        value: number.clone(),
        broadcast: false,
    };
    Description {
        name: name.to_owned(),
        version: "1".to_owned(),
        inputs: vec![port("in")],
        outputs: vec![port("out")],
        states: vec![state("total", ValueLayout::U64)],
        timers: vec![TimerDeclaration { name: "close".to_owned(), domain: TimeDomain::EventTime }],
        task_states: vec![],
        metrics: vec![],
    }
}

/// State for an operator whose keys are u64.
pub(crate) fn heap(operator: &Description) -> Box<dyn Backend> {
    let groups = KeyGroups::DEFAULT;
    let (states, timers) = (&operator.states, &operator.timers);
    let all = KeyGroupRange::all(groups);
    Box::new(HeapBackend::new(KeyLayout::U64, states, timers, groups, all).unwrap())
}

/// A column of bytes.
pub(crate) fn bytes(rows: &[&str]) -> Column {
    let mut column = BytesColumn::default();
    for row in rows {
        column.push(row.as_bytes());
    }
    Column::Bytes(column)
}

/// A value state.
pub(crate) fn state(name: &str, value: ValueLayout) -> StateDeclaration {
    StateDeclaration {
        name: name.to_owned(),
        kind: StateKind::Value,
        value,
        codec: Codec::Raw.name().to_owned(),
        schema: None,
        map_key: None,
        map_key_codec: None,
        map_key_schema: None,
        merge: None,
        ttl: None,
        schema_version: 1,
    }
}

/// Adds each value to its key's total, and emits the rows as they are.
pub(crate) const SUM: &str = r#"
    (call $load (i32.const 0) (i32.const 64))
    (local.set $p (i32.load (i32.const 76)))
    (local.set $n (i32.shl (local.get $times_len) (i32.const 2)))
    (if (local.get $n) (then (loop $rows
      (local.set $q (i32.add (local.get $p) (i32.shl
        (i32.load (i32.add (local.get $slots) (local.get $i))) (i32.const 3))))
      (i64.store (local.get $q) (i64.add (i64.load (local.get $q))
        (i64.load (i32.add (local.get $values) (i32.shl (local.get $i) (i32.const 1))))))
      (br_if $rows (i32.lt_u
        (local.tee $i (i32.add (local.get $i) (i32.const 4))) (local.get $n))))))
    ;; Slots 0, 1, 2, … of all keys.
    (local.set $n (i32.shl (local.get $keys_len) (i32.const 2)))
    (local.set $q (call $allocate (i32.const 0) (i32.const 0) (i32.const 4) (local.get $n)))
    (local.set $i (i32.const 0))
    (if (local.get $n) (then (loop $all
      (i32.store (i32.add (local.get $q) (local.get $i)) (i32.shr_u (local.get $i) (i32.const 2)))
      (br_if $all (i32.lt_u
        (local.tee $i (i32.add (local.get $i) (i32.const 4))) (local.get $n))))))
    (call $store (i32.const 0) (local.get $q) (local.get $keys_len)
      (i32.const 0) (local.get $p) (local.get $keys_len) (i32.const 0) (i32.const 0))
"#;

/// Emits the batch's values, with the key of slot 0 … n-1 of as many rows; the batch's keys must be distinct.
pub(crate) const EMIT: &str = r#"
    (call $emit (i32.const 0) (local.get $times) (local.get $times_len)
      (i32.const 1) (i32.const 0) (local.get $keys) (local.get $keys_len) (i32.const 0) (i32.const 0)
      (i32.const 0) (local.get $values) (local.get $values_len) (i32.const 0) (i32.const 0))
"#;
