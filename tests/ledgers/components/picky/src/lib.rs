//! The ledger that does not convert every value.

statehouse::export!(ledgers::odd::Picky);
