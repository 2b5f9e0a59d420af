//! The ledger with another name for its state.

statehouse::export!(ledgers::odd::Unmapped);
