//! The ledger with another output.

statehouse::export!(ledgers::odd::Rewired);
