//! Real sshd on loopback: commands, files, keys, agents, certificates, known hosts, tunnels, jumps, lost lines.
//!
//! They log in as the user who runs them, so nobody is made. sudo needs users: those tests run on whole machines.

mod commands;
mod files;
mod identity;
mod lines;
mod sshd;
