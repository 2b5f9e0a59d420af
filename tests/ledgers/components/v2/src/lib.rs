//! Version 2 of the ledger.

statehouse::export!(ledgers::v2::Ledger);
