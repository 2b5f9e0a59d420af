//! The ledger with keys of another type.

statehouse::export!(ledgers::odd::Rekeyed);
