//! The state of checkpoints and savepoints as data: looking inside, comparing, editing, exporting.
