//! The ledger that traps.

statehouse::export!(ledgers::odd::Trapping);
