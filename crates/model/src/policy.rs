//! The operator's limits. A plan carries the policy it was made under, so that the proof needs nothing else.

use crate::{NodeName, Share, secs};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Limits of one cluster's runs. Each default has its reason beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Members of one group that may be down by our doing. Voters are one at a time whatever this says, nodes without a vote
    /// go by `client_wave`.
    pub max_unavailable: u32,
    /// Nodes of a group without a vote that move at the same time: `10%` of the group, or a number. At least one.
    // These two are left out when they are the defaults, so that plans of programs that did not know them keep their digest.
    #[serde(skip_serializing_if = "is_wave_default")]
    pub client_wave: Share,
    /// Nodes of a group without a vote that may fail in one run before it halts: `1%` of the group, or a number.
    #[serde(skip_serializing_if = "is_budget_default")]
    pub client_failure_budget: Share,
    /// Healthy time after a member came back, before the next is touched, in seconds.
    #[serde(with = "secs", rename = "soak_secs")]
    #[schemars(with = "f64")]
    pub soak: Duration,
    /// Good looks in a row before a gate counts as held.
    pub good_looks: u32,
    /// Time between two looks at a gate, in seconds.
    #[serde(with = "secs", rename = "look_every_secs")]
    #[schemars(with = "f64")]
    pub look_every: Duration,
    /// How long a member may take to be back and caught up, in seconds.
    #[serde(with = "secs", rename = "rejoin_limit_secs")]
    #[schemars(with = "f64")]
    pub rejoin_limit: Duration,
    /// Who must say yes, and how often.
    pub approve: Approve,
    /// What happens to the member that failed.
    pub on_failure: OnFailure,
    /// Whether an outage is allowed where the cluster cannot be rolled (one or two members).
    pub allow_outage: bool,
    /// Whether a configuration rewrite that the pack knows may be part of the plan.
    pub rewrite_config: bool,
    /// Largest gap of the client above its baseline before a run halts, in milliseconds; none means it is only reported.
    pub client_gap_max_ms: Option<u64>,
    /// How long the client's baseline is measured before the first change, in seconds.
    #[serde(with = "secs", rename = "baseline_secs")]
    #[schemars(with = "f64")]
    pub baseline: Duration,
    /// A baseline gap above this is too noisy to judge a run by, in milliseconds.
    pub baseline_noise_max_ms: u64,
    /// Times when runs may not start: `Fri 12:00 - Mon 06:00`, in the time zone named after it (UTC by default).
    pub freeze: Vec<String>,
    /// Times when runs may be under way: a run begins only inside one that holds it. None given means at any time. Written as
    /// freeze windows are.
    // Left out when there are none, so that plans of programs that did not know it keep their digest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<String>,
    /// Gates that a person has set aside, each for one member, with a reason and an end.
    pub overrides: Vec<Override>,
}

/// A tenth: ten waves for a group of any size, and what runs on the others can carry the rest.
const CLIENT_WAVE: Share = Share::Percent(10);
/// One in a hundred: of some hundred hosts one or two are ill on any day; more of them are the release's own fault.
const CLIENT_FAILURE_BUDGET: Share = Share::Percent(1);

fn is_wave_default(share: &Share) -> bool {
    *share == CLIENT_WAVE
}

fn is_budget_default(share: &Share) -> bool {
    *share == CLIENT_FAILURE_BUDGET
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_unavailable: 1,
            client_wave: CLIENT_WAVE,
            client_failure_budget: CLIENT_FAILURE_BUDGET,
            // Ten seconds: the field's own habit, and longer than etcd's and Consul's election time-outs.
            soak: Duration::from_secs(10),
            // Three looks: one can be luck, kOps learnt to ask for more than one the hard way.
            good_looks: 3,
            // Half a second: finer than a person notices, coarse enough to cost nothing.
            look_every: Duration::from_millis(500),
            // Five minutes: a member that replays a large log needs minutes; past this a person should look.
            rejoin_limit: Duration::from_secs(300),
            approve: Approve::None,
            on_failure: OnFailure::Halt,
            allow_outage: false,
            rewrite_config: false,
            client_gap_max_ms: None,
            // Five seconds hold 500 writes of the default load: enough to see the noise, short enough to wait for.
            baseline: Duration::from_secs(5),
            // A write that takes a second with nothing going on hides every gap that a planned stop makes.
            baseline_noise_max_ms: 1000,
            freeze: Vec::new(),
            windows: Vec::new(),
            overrides: Vec::new(),
        }
    }
}

/// How often a person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Approve {
    /// Before each member; where nodes without a vote move beside each other, before each wave of them.
    Each,
    /// Before each wave.
    Wave,
    /// Only where the plan has a one-way door.
    #[default]
    None,
}

/// What a failed member gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The run halts and offers the undo.
    #[default]
    Halt,
    /// The run halts, then the old release is put back on the member that failed, by a child plan.
    UndoMember,
}

/// One gate set aside on one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// The gate's name, as the plan prints it.
    pub gate: String,
    /// The member it is set aside for.
    pub node: NodeName,
    /// Why; it lands in the journal and the report.
    pub reason: String,
    /// After this it counts no more.
    #[schemars(with = "String")]
    pub expires: Timestamp,
}
