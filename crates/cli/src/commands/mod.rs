//! One file a command, or a few that belong together: each parses its words, calls the runner and renders.

pub(crate) mod apply;
pub(crate) mod artifact;
pub(crate) mod backup;
pub(crate) mod carry;
pub(crate) mod demo;
pub(crate) mod detect;
pub(crate) mod exec;
mod findings;
pub(crate) mod generate;
pub(crate) mod init;
pub(crate) mod inventory;
pub(crate) mod lab;
pub(crate) mod membership;
pub(crate) mod pack;
pub(crate) mod path;
pub(crate) mod plan;
pub(crate) mod recover;
pub(crate) mod runs;
pub(crate) mod see;
