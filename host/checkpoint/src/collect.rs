//! Collection: deleting what no checkpoint needs any more.

mod condemned;

pub(crate) use condemned::Condemned;
