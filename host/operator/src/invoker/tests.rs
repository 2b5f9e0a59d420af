//! Tests of invocations as transactions.
