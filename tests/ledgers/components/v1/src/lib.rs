//! Version 1 of the ledger.

statehouse::export!(ledgers::v1::Ledger);
