//! Version 4 of the ledger.

statehouse::export!(ledgers::v4::Ledger);
