//! Version 3 of the ledger.

statehouse::export!(ledgers::v3::Ledger);
