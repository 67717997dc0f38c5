//! What is done on a host: artifacts are brought and staged, binaries swapped, services stopped and started, labs set up.
//!
//! Everything goes through a [`quorate_transport::Transport`], so a host may be this machine or another one.
//! Invariant: nothing here decides whether it is safe to act; the plan has decided, this room acts and answers
//! Done, Failed or Unknown.
//! Read next: `service/mod.rs`, `swap/mod.rs`, `artifacts/mod.rs`, `carry/mod.rs`, `lab/mod.rs`.

pub mod artifacts;
pub mod carry;
pub mod lab;
pub mod lease;
pub mod service;
mod shell;
pub mod swap;
