//! Tests of the whole: what both backends write, read back, compared, edited and exported.

mod bed;
mod differences;
mod edits;
mod files;
mod reading;
mod retired;
