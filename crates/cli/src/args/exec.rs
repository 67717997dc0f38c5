//! `quorate exec`: what can be said of a command on many hosts.

use clap::Args;
use quorate_model::Share;

/// Options of `exec`
#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// Nodes: a cluster, `shop`, or a node of it, `shop/shop-1`; `*` for any text. Or hosts: `role=consul,state=running`
    #[arg(required = true, value_name = "SELECTOR")]
    pub(crate) selectors: Vec<String>,
    /// Hosts at the same time
    #[arg(long, value_name = "HOSTS", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) at_once: u16,
    /// One host after the other, in declared order
    #[arg(long, conflicts_with_all = ["at_once", "share"])]
    pub(crate) serial: bool,
    /// In waves of at most this part of each group, `10%` or `5`; a wave begins when the one before has ended
    #[arg(long, value_name = "SHARE")]
    pub(crate) share: Option<Share>,
    /// Go on after a failure; otherwise no further host begins
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Seconds that the command may take on one host; then it is ended, and what became of it is unknown
    #[arg(long, value_name = "SECS", default_value_t = 60.0)]
    pub(crate) limit: f64,
    /// How often a host that could not be reached is tried again. A command that may have begun is never given twice
    #[arg(long, value_name = "TIMES", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=10))]
    pub(crate) retries: u32,
    /// Run as root, through sudo, whatever the hosts declare
    #[arg(long)]
    pub(crate) sudo: bool,
    /// Run as the user that logs in, whatever the hosts declare
    #[arg(long, conflicts_with = "sudo")]
    pub(crate) no_sudo: bool,
    /// Line for the shell of a host where the command failed or was lost
    #[arg(long, value_name = "LINE")]
    pub(crate) on_failure: Option<String>,
    /// The command: one word is a line for `/bin/sh`, several are taken as they are
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}
