//! What a report holds: the plan's shape with everything that the journal says of it.
//!
//! Invariant: plain values. A renderer reads them; only `fold/` writes them.

use jiff::Timestamp;
use quorate_model::{
    ClientFigures, ClientSample, ClusterName, ConfigFinding, Digest, Door, Generation, GroupName,
    Hold, Holder, HopKind, LEFT_BEHIND, Lanes, NodeName, ObservationRef, Override, PackName,
    PlanKind, Refused, Release, Risk, Role, RuleApplied, RunEnd, RunId, RunState, Seq, StepId,
    StepRole, WaitingOn, hop_title, secs,
};
use serde::Serialize;
use std::time::Duration;

/// Everything that is known of one run at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The run, once it has a name.
    pub run: Option<RunId>,
    /// Its cluster.
    pub cluster: ClusterName,
    /// The product.
    pub pack: PackName,
    /// Upward or back.
    pub kind: PlanKind,
    /// The lowest release found running.
    pub from: Release,
    /// The release that every member runs at the end.
    pub to: Release,
    /// What it was made from.
    pub origin: Origin,
    /// Where the run stands.
    pub state: RunState,
    /// When it began; none before its first event.
    pub began_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The moment that this report speaks of.
    pub as_of: Timestamp,
    /// What the plan expected the whole to take.
    #[serde(with = "secs", rename = "estimate_secs")]
    pub estimate: Duration,
    /// The outage that the plan itself causes.
    #[serde(with = "secs", rename = "planned_outage_secs")]
    pub outage: Duration,
    /// The hops in order.
    pub hops: Vec<HopReport>,
    /// Every declared node.
    pub members: Vec<MemberReport>,
    /// Who led, after whom.
    pub leader_changes: Vec<LeaderChange>,
    /// What clients saw.
    pub client: ClientReport,
    /// Asked for and given.
    pub approvals: Vec<Approval>,
    /// Written down by people.
    pub notes: Vec<Note>,
    /// Gates that were set aside.
    pub overrides: Vec<OverrideReport>,
    /// Temporary changes, owed or put back.
    pub ledger: Vec<LedgerEntry>,
    /// Copies of the data.
    pub backups: Vec<BackupReport>,
    /// Nodes without a vote that failed and were left as they are.
    pub left_behind: Vec<LeftBehind>,
    /// Why it halted; a run that was taken up again can have several.
    pub halts: Vec<HaltReport>,
    /// Times when it stood still because a person said so.
    pub standstills: Vec<Standstill>,
    /// A pause or an end that was asked for and has not come yet.
    pub request: Option<Request>,
    /// Who acted, in order.
    pub controllers: Vec<Controller>,
    /// Looks at the world on resuming.
    pub world: Vec<WorldSeen>,
    /// Tempting hops that were not taken.
    pub refused: Vec<Refused>,
    /// Settings that the coming releases change.
    pub config_findings: Vec<ConfigFinding>,
    /// What a rollback loses.
    pub losses: Vec<String>,
    /// The journal as a person reads it; client samples left out.
    pub log: Vec<LogLine>,
}

/// Digests that a report can be traced back by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The plan.
    pub plan: Digest,
    /// The plan that it continues or reverses.
    pub parent: Option<Digest>,
    /// The pack whose rules were applied.
    pub pack: Digest,
    /// The observation that the plan was made from.
    pub observation: ObservationRef,
}

/// One hop and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HopReport {
    /// Where it starts.
    pub from: Release,
    /// Where it ends.
    pub to: Release,
    /// How members move.
    pub kind: HopKind,
    /// The change of the form of the data that it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion: Option<String>,
    /// The gravest risk of its rules.
    pub risk: Risk,
    /// Where the way back closes.
    pub one_way: Door,
    /// Rules that were looked at, with sources.
    pub rules: Vec<RuleApplied>,
    /// When its first step began.
    pub started_at: Option<Timestamp>,
    /// When its last step was over.
    pub ended_at: Option<Timestamp>,
    /// From its first step's begin to its last step's end, or to now while it lasts.
    #[serde(with = "secs", rename = "wall_secs")]
    pub wall: Duration,
    /// From the first handover or stop to the last member's soak: the rolling part of the wall time.
    #[serde(with = "secs", rename = "rolling_secs")]
    pub rolling: Duration,
    /// Where everything stops at once: from the first application's or member's stop to the last one back, or to now before that.
    #[serde(
        with = "secs::option",
        rename = "outage_secs",
        skip_serializing_if = "Option::is_none"
    )]
    pub outage: Option<Duration>,
    /// Healthy time that the plan made it wait inside the rolling part.
    #[serde(with = "secs", rename = "soak_secs")]
    pub soak: Duration,
    /// What the product itself took from each stop to healthy and caught up, summed over its nodes.
    #[serde(with = "secs", rename = "floor_secs")]
    pub floor: Duration,
    /// What the plan expected.
    #[serde(with = "secs", rename = "estimate_secs")]
    pub estimate: Duration,
    /// Part done, 0 to 1, steps weighed by their estimate.
    pub progress: f64,
    /// In order.
    pub waves: Vec<WaveReport>,
}

impl HopReport {
    /// For people: the two releases with an arrow between, or what changes form.
    pub fn title(&self, arrow: &str) -> String {
        hop_title(self.conversion.as_deref(), &self.from, &self.to, arrow)
    }
}

/// One wave and its steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WaveReport {
    /// As in the plan.
    pub id: String,
    /// For people.
    pub title: String,
    /// The member it moves.
    pub node: Option<NodeName>,
    /// Set where nodes without a vote move beside each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lanes: Option<Lanes>,
    /// In order; with lanes, in order within each node's lane.
    pub steps: Vec<StepReport>,
}

/// One step and how it went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// As in the plan.
    pub id: StepId,
    /// For people.
    pub title: String,
    /// What it is for.
    pub role: StepRole,
    /// The node it acts on.
    pub node: Option<NodeName>,
    /// True when the way back closes with it.
    pub one_way: bool,
    /// True when a person must say yes first.
    pub needs_approval: bool,
    /// What its gate asks, a clause a condition.
    pub gate: Vec<String>,
    /// What the plan expected it to take.
    #[serde(with = "secs", rename = "estimate_secs")]
    pub estimate: Duration,
    /// Where it stands.
    #[serde(flatten)]
    pub state: StepState,
    /// Tries so far.
    pub attempts: u64,
    /// When its first try began.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// How long it took, as the journal says.
    #[serde(with = "secs::option", rename = "took_secs")]
    pub took: Option<Duration>,
    /// What the product itself took, when this step measured it.
    #[serde(with = "secs::option", rename = "floor_secs")]
    pub floor: Option<Duration>,
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum StepState {
    /// Not begun.
    Pending,
    /// A person must say yes.
    AwaitingApproval,
    /// Its act is under way.
    Running,
    /// Its act is over and its gate is looked at.
    Gating,
    /// Something clears by itself first.
    Waiting { on: WaitingOn },
    /// Its gate held.
    Done { note: Option<String> },
    /// It was not needed.
    Skipped { because: String },
    /// It did not happen, or its gate did not hold in time.
    Failed { because: String },
    /// Nobody knows whether it happened; its own probe decides.
    Unknown { because: String },
}

impl StepState {
    /// Whether nothing more will come of it.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Skipped { .. })
    }
    /// Whether it is what the run is busy with.
    pub fn is_active(&self) -> bool {
        match self {
            Self::AwaitingApproval | Self::Running | Self::Gating | Self::Waiting { .. } => true,
            Self::Pending | Self::Done { .. } | Self::Skipped { .. } => false,
            Self::Failed { .. } | Self::Unknown { .. } => false,
        }
    }
}

/// One node, now and before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemberReport {
    /// Its name.
    pub node: NodeName,
    /// Its duty.
    pub group: GroupName,
    /// Whether it has a vote, as the plan's observation saw it.
    pub voter: Option<bool>,
    /// What was seen of it, oldest first; never empty. The last entry is now.
    pub history: Vec<MemberSeen>,
}

impl MemberReport {
    /// What is known of it now.
    pub fn now(&self) -> Option<&MemberSeen> {
        self.history.last()
    }
}

/// One member from one moment on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberSeen {
    /// From when.
    pub at: Timestamp,
    /// The release that runs, or ran last.
    pub release: Option<Release>,
    /// Its part in the cluster.
    pub role: Role,
    /// Whether it serves.
    pub health: Health,
    /// Entries behind the furthest member.
    pub lag: Option<u64>,
}

/// Whether a member serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It says so itself.
    Serving,
    /// Stopped by this run.
    Stopped,
    /// It answers, and does not serve or does not say.
    NotServing,
    /// It does not answer, and not by our doing.
    Unseen,
}

/// Leadership went from one member to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeaderChange {
    /// When it was seen.
    pub at: Timestamp,
    /// Who led before.
    pub from: Option<NodeName>,
    /// Who leads.
    pub to: NodeName,
    /// True when a handover of this wave asked for it.
    pub planned: bool,
}

/// What clients saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ClientReport {
    /// The machine's own noise, before anything was changed.
    pub baseline: Option<Baseline>,
    /// The account at the end; none until it is made.
    pub figures: Option<ClientFigures>,
    /// The sum of the samples so far, for as long as there is no account.
    pub so_far: ClientFigures,
    /// Gaps worth naming, in order.
    pub gaps: Vec<GapReport>,
    /// Second by second.
    pub samples: Vec<ClientSample>,
}

impl ClientReport {
    /// Whether a client ran at all.
    pub fn is_measured(&self) -> bool {
        self.figures.is_some() || self.baseline.is_some() || !self.samples.is_empty()
    }
    /// The account at the end, or what is known so far.
    pub fn best(&self) -> &ClientFigures {
        self.figures.as_ref().unwrap_or(&self.so_far)
    }
}

/// The client before anything was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Baseline {
    /// Longest time without an acknowledged write.
    pub gap_max_ms: u64,
    /// Median latency.
    pub p50_us: u64,
    /// Worst latency.
    pub max_us: u64,
    /// How long it was measured.
    #[serde(with = "secs", rename = "measured_secs")]
    pub measured: Duration,
}

/// A gap with its cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GapReport {
    /// When the last write before it was acknowledged.
    pub at: Timestamp,
    /// Its length.
    pub gap_ms: u64,
    /// What it is longer than the baseline's worst by.
    pub over_baseline_ms: u64,
    /// The step that was under way.
    pub step: Option<StepId>,
    /// That step's title.
    pub step_title: Option<String>,
}

/// A person's yes, asked for or given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Approval {
    /// The step it is for.
    pub step: StepId,
    /// The step's title.
    pub title: String,
    /// What was asked.
    pub text: Option<String>,
    /// When.
    pub asked_at: Option<Timestamp>,
    /// Who said yes.
    pub by: Option<String>,
    /// When.
    pub approved_at: Option<Timestamp>,
}

/// Something a person wrote down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What.
    pub text: String,
}

/// A gate that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OverrideReport {
    /// When it was used.
    pub at: Timestamp,
    /// At which step.
    pub step: StepId,
    /// The override itself.
    pub over: Override,
    /// Who set it.
    pub by: String,
}

/// A temporary change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerEntry {
    /// Its name.
    pub key: String,
    /// When it was made.
    pub set_at: Timestamp,
    /// When it was put back; none means that it is owed.
    pub put_back_at: Option<Timestamp>,
}

/// A copy of the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupReport {
    /// When it was there.
    pub at: Timestamp,
    /// The step that took it.
    pub step: StepId,
    /// Relative to the state folder.
    pub file: String,
    /// Of its bytes.
    pub sha256: Digest,
    /// Its size.
    pub size_bytes: u64,
    /// What the restore into a scratch cluster showed; none means not verified.
    pub verified: Option<String>,
}

/// A node that failed and was left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftBehind {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub node: NodeName,
    /// At which step, and why.
    pub hold: Hold,
}

/// Why a run halted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HaltReport {
    /// When.
    pub at: Timestamp,
    /// What halted it.
    pub hold: Hold,
}

/// A time in which the run stood still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standstill {
    /// Since when.
    pub from: Timestamp,
    /// Until it was taken up again.
    pub until: Option<Timestamp>,
    /// Who paused it.
    pub by: String,
}

/// What a person asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    /// Pause or end.
    pub kind: RequestKind,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What can be asked of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestKind {
    /// Stand still at the next safe point.
    Pause,
    /// End at the next safe point.
    Abort,
}

/// One who held the lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Controller {
    /// Since when.
    pub at: Timestamp,
    /// Who.
    pub holder: Holder,
    /// The lease's counter.
    pub generation: Generation,
}

/// A look at the world on resuming.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorldSeen {
    /// When.
    pub at: Timestamp,
    /// What differs from what the journal implies.
    pub differs: Vec<String>,
}

/// One event as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// Its place in the journal.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// What.
    pub text: String,
    /// How to colour it.
    pub tone: Tone,
}

/// What an event means to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    /// As planned.
    Plain,
    /// Something is done.
    Good,
    /// Something waits, or a gap was seen.
    Warn,
    /// Something failed.
    Bad,
    /// A person did it, or must.
    Person,
}

impl Report {
    /// Gives the run's name, for a report that is made outside of its store.
    #[must_use]
    pub fn of_run(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self
    }

    /// All steps, in order.
    pub fn steps(&self) -> impl Iterator<Item = &StepReport> {
        self.hops.iter().flat_map(|hop| hop.waves.iter()).flat_map(|wave| wave.steps.iter())
    }

    /// The step of this id.
    pub fn step(&self, id: &StepId) -> Option<&StepReport> {
        self.steps().find(|step| step.id == *id)
    }

    /// Steps that are over, and all of them.
    pub fn steps_over(&self) -> (usize, usize) {
        (self.steps().filter(|step| step.state.is_over()).count(), self.steps().count())
    }

    /// What the run is busy with, or was when it stopped: the active step, the one that stopped it, or the next one.
    pub fn current(&self) -> Option<&StepReport> {
        let at_fault = |step: &&StepReport| {
            matches!(step.state, StepState::Failed { .. } | StepState::Unknown { .. })
        };
        self.steps()
            .find(|step| step.state.is_active())
            .or_else(|| self.steps().find(at_fault))
            .or_else(|| self.steps().find(|step| !step.state.is_over()))
    }

    /// The hop that the current step belongs to, counted from 0.
    pub fn current_hop(&self) -> Option<usize> {
        let current = self.current()?;
        self.hops.iter().position(|hop| {
            hop.waves.iter().any(|wave| wave.steps.iter().any(|step| step.id == current.id))
        })
    }

    /// The releases in order, the first one included.
    pub fn path(&self) -> Vec<&Release> {
        let moves = self.hops.iter().filter(|hop| hop.conversion.is_none());
        std::iter::once(&self.from).chain(moves.map(|hop| &hop.to)).collect()
    }

    /// From the begin to the end, or to now.
    pub fn elapsed(&self) -> Duration {
        self.began_at
            .map_or(Duration::ZERO, |began| since(began, self.ended_at.unwrap_or(self.as_of)))
    }

    /// In one word: `succeeded`, `left-behind`, `halted`, `aborted`, `running`, `paused`, `awaiting-approval`, `not-begun`.
    pub fn outcome(&self) -> &'static str {
        match &self.state {
            _ if self.began_at.is_none() => "not-begun",
            RunState::Running => "running",
            RunState::Paused { .. } => "paused",
            RunState::AwaitingApproval { .. } => "awaiting-approval",
            RunState::Ended { end: RunEnd::Succeeded } => "succeeded",
            RunState::Ended { end: RunEnd::Halted { hold } } if hold.code == LEFT_BEHIND => {
                LEFT_BEHIND
            }
            RunState::Ended { end: RunEnd::Halted { .. } } => "halted",
            RunState::Ended { end: RunEnd::Aborted { .. } } => "aborted",
        }
    }

    /// Temporary changes that are still owed.
    pub fn owed(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.ledger.iter().filter(|entry| entry.put_back_at.is_none())
    }
}

/// Time from one moment to a later one; zero when clocks disagree.
pub fn since(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}
