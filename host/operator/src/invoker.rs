//! Invocations as transactions: run a batch, keep all of it or none, and find the record that spoils it.
