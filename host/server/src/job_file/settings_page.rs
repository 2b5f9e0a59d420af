//! The reference of `[checkpoint]`: one table in code, and the page that is made from it.

/// A setting, for the reference.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in the job file.
    pub name: &'static str,
    /// What Apache Flink calls it, without `execution.checkpointing.`; empty if it has no such setting.
    pub flink: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// Its default as TOML; empty if there is none.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// Every setting of `[checkpoint]`.
pub const SETTINGS: [Setting; 14] = [
    Setting {
        name: "dir",
        flink: "dir",
        takes: "folder or URL",
        default: "",
        meaning: "Where checkpoints, savepoints and claims lie. A folder is made if it is not there and is relative \
                  to the job file; a URL is `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX` or \
                  `file:///FOLDER`. The place belongs to this job alone. It must be given.",
    },
    Setting {
        name: "store",
        flink: "",
        takes: "table of texts",
        default: "{}",
        meaning: "Options of the client for the URL, under the names of the crate `object_store`: `{ endpoint = \
                  \"http://…\", region = \"…\", allow-http = true }`. Environment variables that begin with \
                  `AWS_`, `GOOGLE_` and `AZURE_` count too, which is where credentials belong; what stands here wins. \
                  It holds for stores that the job was forked from, too, if their URLs are of the same kind or `dir` \
                  is a folder.",
    },
    Setting {
        name: "interval",
        flink: "interval",
        takes: "duration",
        default: "\"10s\"",
        meaning: "Time from the beginning of one checkpoint to the beginning of the next. At least `1ms`.",
    },
    Setting {
        name: "timeout",
        flink: "timeout",
        takes: "duration",
        default: "\"10m\"",
        meaning: "A checkpoint that takes longer, from its first barrier to its manifest, is given up and counts as \
                  failed; so a store that does not answer cannot hold the job. At least `1ms`.",
    },
    Setting {
        name: "min-pause",
        flink: "min-pause",
        takes: "duration",
        default: "\"0s\"",
        meaning: "The least time between the end of a checkpoint and the beginning of the next.",
    },
    Setting {
        name: "max-concurrent",
        flink: "max-concurrent-checkpoints",
        takes: "1 to 16",
        default: "1",
        meaning: "How many checkpoints may be under way. Barriers of two checkpoints never travel together: what \
                  overlaps is writing to the store. If one fails, those under way that built on it fail with it.",
    },
    Setting {
        name: "tolerable-failed",
        flink: "tolerable-failed-checkpoints",
        takes: "number",
        default: "0",
        meaning: "How many checkpoints in a row may fail before the job does.",
    },
    Setting {
        name: "num-retained",
        flink: "num-retained",
        takes: "1 to 10000",
        default: "3",
        meaning: "How many checkpoints are kept. Older ones are collected by the job itself while it runs, with every \
                  pack that nothing else names. Savepoints do not count and are kept until they are deleted.",
    },
    Setting {
        name: "retention-on-cancellation",
        flink: "externalized-checkpoint-retention",
        takes: "`retain` or `delete`",
        default: "\"retain\"",
        meaning: "What becomes of the checkpoints when the job is cancelled by `statehouse cancel`. Savepoints stay. \
                  An interrupt, `savepoint create --stop` and failures are no cancellation. All stay if a \
                  savepoint that was asked for with the end, or last, could not be made.",
    },
    Setting {
        name: "retention-on-finish",
        flink: "externalized-checkpoint-retention",
        takes: "`retain` or `delete`",
        default: "\"retain\"",
        meaning: "What becomes of the checkpoints when all input has been read, or the job was drained. Savepoints \
                  stay. With `delete` the next run starts from nothing. All stay if a savepoint that was asked for \
                  with the end, or last, could not be made.",
    },
    Setting {
        name: "mode",
        flink: "mode",
        takes: "`exactly-once` or `at-least-once`",
        default: "\"exactly-once\"",
        meaning: "Whether a task holds back the channels on which a barrier came until it has come on all. With \
                  `at-least-once` none waits, and after a failure some records count twice.",
    },
    Setting {
        name: "inline-threshold",
        flink: "data-inline-threshold",
        takes: "size",
        default: "\"20KiB\"",
        meaning: "State of a task that is together no larger than this travels in the manifest. At most `1MiB`.",
    },
    Setting {
        name: "compression",
        flink: "snapshot-compression",
        takes: "`none`, `lz4` or `zstd`",
        default: "\"lz4\"",
        meaning: "How the chunks of packs are compressed. A job may change it from one run to the next.",
    },
    Setting {
        name: "local-copy",
        flink: "local-backup.enabled, local-backup.dirs",
        takes: "folder",
        default: "",
        meaning: "A folder that keeps a copy of every pack, to recover from without the store where it is there; \
                  relative to the job file. What is in it may be deleted at any time.",
    },
];

/// The page.
pub fn checkpoint_settings_page() -> String {
    let mut page = String::from(
        "# Settings of checkpoints\n\n\
         The fields of `[checkpoint]` in a [job file](job-file.md), with Apache Flink's name for each \
         (`execution.checkpointing.…`).\n\
         This page is made from the code; a test compares them.\n\n\
         Durations are written like `500ms`, `10s`, `1h 30m`; sizes are bytes or like `20KiB`, `64MiB`.\n\
         `--set checkpoint.NAME=VALUE` replaces a value for one run.\n\n\
         | field | Flink | takes | default | meaning |\n|---|---|---|---|---|\n",
    );
    for Setting { name, flink, takes, default, meaning } in SETTINGS {
        let code = |text: &str| match text {
            "" => "-".to_owned(),
            text => format!("`{text}`"),
        };
        let flink = flink.split(", ").map(code).collect::<Vec<_>>().join(", ");
        page.push_str(&format!(
            "| `{name}` | {flink} | {takes} | {} | {meaning} |\n",
            code(default)
        ));
    }
    page
}
