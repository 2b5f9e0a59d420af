//! Content-addressed files, manifests and generations on an object store.
