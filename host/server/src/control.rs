//! The control endpoint of a running job: HTTP on a Unix socket in the job's folder of local state.
//!
//! Responsible for: where the socket is and who may reach it, requests and answers ([`messages`]), serving them
//! ([`Control`]) and asking ([`Client`]).
//!
//! Not responsible for what a request does to the job: that is the engine's.

mod answers;
mod client;
pub mod messages;
mod peer;
mod requests;
mod server;
mod socket;
#[cfg(test)]
mod tests;

pub use answers::{RunningJob, check_name};
pub use client::{Client, ControlError};
pub use peer::own_user;
pub use requests::SavepointRequests;
pub use server::Control;
