//! Real sshd on loopback: commands, files, keys, agents, certificates, known hosts, tunnels, jumps, lost lines.
//!
//! They log in as the user who runs them, so nobody is made. sudo needs users: those tests run on whole machines.

#![expect(clippy::unwrap_used, reason = "a check that cannot go on has failed")]

mod commands;
mod files;
mod identity;
mod lines;
mod ready;
mod sshd;
