//! The HTTP client against small servers of this process: every way to lose an answer, and what each one means.

#![expect(clippy::unwrap_used, reason = "a check that cannot go on has failed")]

mod answers;
mod login;
mod server;
mod streams;
mod tls;
