//! The ledger that keeps rows back.

statehouse::export!(ledgers::odd::Quiet);
