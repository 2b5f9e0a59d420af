//! The statehouse binary: command line and composition root.
