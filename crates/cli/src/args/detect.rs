//! `quorate detect`: what can be said of a look.

use super::{Artifacts, Names};
use clap::Args;
use std::path::PathBuf;

/// Options of `detect`
#[derive(Debug, Args)]
pub(crate) struct Detect {
    #[command(flatten)]
    pub(crate) names: Names,
    /// Show what was seen within this time, `15m` or `2h`, and ask only clusters that were not seen in it
    #[arg(long, value_name = "DURATION", conflicts_with = "changed")]
    pub(crate) since: Option<String>,
    /// Show only what differs from the look before: what changed from which value to which
    #[arg(long)]
    pub(crate) changed: bool,
    /// How often a node that could not be reached is asked again
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(..=10))]
    pub(crate) retries: u32,
    /// Also write releases, health and findings to a file, as the textfile collector of Prometheus' node exporter reads it
    #[arg(long, value_name = "FILE")]
    pub(crate) textfile: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) artifacts: Artifacts,
}
