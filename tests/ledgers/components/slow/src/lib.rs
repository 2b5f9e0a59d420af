//! The ledger that takes its time.

statehouse::export!(ledgers::odd::Slow);
