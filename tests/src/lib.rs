//! What the integration tests and the simulation share.
