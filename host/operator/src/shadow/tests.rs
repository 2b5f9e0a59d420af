//! Tests of shadow runs.
