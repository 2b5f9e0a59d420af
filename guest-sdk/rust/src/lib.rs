//! Write Statehouse stream operators in Rust.
