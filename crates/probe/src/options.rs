//! How often the probe asks, and how long it waits. Each default has its reason beside it.

use crate::ledger;
use quorate_model::{NodeName, Release};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// How a probe behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeOptions {
    /// The lowest release that members run: it chooses how to speak to them. Tell the probe when it changes.
    pub release: Release,
    /// Time from the beginning of one write to that of the next.
    pub write_every: Duration,
    /// The same for linearizable reads.
    pub read_every: Duration,
    /// One try may take this long before the request goes to another endpoint.
    pub try_limit: Duration,
    /// A request that was not answered by then, whatever was tried, has failed.
    pub request_limit: Duration,
    /// Writes under way at the same time; reads are a quarter of that.
    pub in_flight_max: usize,
    /// At the end one endpoint may take this long to show everything, retries included.
    pub read_back_limit: Duration,
    /// Keys that the writes rotate over.
    pub registers: usize,
    /// Where it is kept, once a second, what must be there if this process dies.
    pub remains: Option<PathBuf>,
    /// Sockets of tunnels that lead to members which this machine does not reach by itself.
    pub tunnels: Tunnels,
}

/// Sockets of tunnels, by the node that each leads to.
pub type Tunnels = BTreeMap<NodeName, PathBuf>;

impl ProbeOptions {
    /// The defaults, for members of which `release` is the lowest.
    pub fn new(release: Release) -> Self {
        Self {
            release,
            // A hundred a second: fine enough to see a gap of 20 ms, light enough for any cluster.
            write_every: Duration::from_millis(10),
            // As often as writes, so that every value is read once before its key is written again.
            read_every: Duration::from_millis(10),
            // Forty times the usual latency of a loaded store, and well under the second that an election takes: a
            // member that is silent for so long is stuck, and another may answer.
            try_limit: Duration::from_millis(400),
            // Longer than any election (1 to 2 s), and what etcd's own command line gives a request before it fails.
            request_limit: Duration::from_secs(5),
            // One silent member of three holds 13 writes at a time (33 a second, 400 ms each); twice that and some more
            // keep the others going, and bound the number of retries during an outage.
            in_flight_max: 32,
            // An election, and then a read.
            read_back_limit: Duration::from_secs(5),
            registers: ledger::REGISTERS,
            remains: None,
            tunnels: Tunnels::new(),
        }
    }

    /// Reads under way at the same time: fewer than writes, for a read that waits measures nothing, and during an outage
    /// every one of them keeps trying.
    pub(crate) fn reads_in_flight_max(&self) -> usize {
        (self.in_flight_max / 4).max(1)
    }
}
