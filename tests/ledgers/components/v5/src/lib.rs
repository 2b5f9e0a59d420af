//! Version 5 of the ledger.

statehouse::export!(ledgers::v5::Ledger);
