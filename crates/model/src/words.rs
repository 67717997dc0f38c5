//! Reasons in plain sentences, the same in the journal, on screens and in documents.
//!
//! Invariant: each variant is taken apart field by field, so that a new field cannot be forgotten.

use crate::{Blocked, NodeName, NotNow, Unsafe, WaitingOn};
use std::fmt::{self, Display, Formatter};

/// `of demo-1`, or nothing for the cluster as a whole.
fn of(node: Option<&NodeName>) -> String {
    node.map(|node| format!(" of {node}")).unwrap_or_default()
}

fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Display for WaitingOn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::CatchUp { node, lag } => write!(f, "{node} is {lag} entries behind"),
            Self::Healthy { node } => write!(f, "{node} does not serve yet"),
            Self::Leader => f.write_str("the cluster has no leader yet"),
            Self::HopComplete { seen: Some(seen), want } => {
                write!(
                    f,
                    "the cluster still counts as {seen}, it has not taken {want} as its own yet"
                )
            }
            Self::HopComplete { seen: None, want } => {
                write!(f, "the cluster has not taken {want} as its own yet")
            }
            Self::Condition { node, gate, text } => {
                write!(f, "{gate}{}: {text}", of(node.as_ref()))
            }
            Self::Soak { node, left_secs } => {
                write!(f, "healthy time{}: {left_secs} s to go", of(node.as_ref()))
            }
            Self::Unseen { node, what } => write!(f, "cannot see{}: {what}", of(node.as_ref())),
        }
    }
}

impl Display for Unsafe {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::QuorumLost { node, healthy_after, need } => write!(
                f,
                "without {node} only {healthy_after} healthy voters would remain, a quorum needs {need}"
            ),
            Self::TooManyDown { node, down, max } => {
                write!(
                    f,
                    "{node} may not stop while {} is down: at most {max} at a time",
                    list(down)
                )
            }
            Self::OtherUnhealthy { node, other, because } => {
                write!(f, "{node} may not be changed while {other} is not healthy: {because}")
            }
            Self::OtherBehind { node, other, lag, max } => {
                write!(
                    f,
                    "{node} may not stop while {other} is {lag} entries behind (at most {max})"
                )
            }
            Self::NoLeader { node } => {
                write!(f, "{node} may not stop while the cluster has no leader")
            }
            Self::CannotSee { node, what } => {
                write!(f, "whether {node} may stop cannot be seen: {what}")
            }
            Self::Alarm { node, on, alarm } => {
                write!(f, "{node} may not stop while {on} raises alarm {alarm}")
            }
            Self::DataDiffer { node, others } => {
                write!(
                    f,
                    "{node} may not stop: {} hold different data at the same revision",
                    list(others)
                )
            }
            Self::Pack { node, rule, text } => write!(f, "{node} may not stop: {text} ({rule})"),
        }
    }
}

impl Display for Blocked {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPath { from, to, refused, way_out: _ } => {
                write!(f, "no chain of permitted hops leads from {from} to {to}")?;
                match refused.first() {
                    Some(hop) => write!(
                        f,
                        "; {} -> {} is refused by {}: {}",
                        hop.from, hop.to, hop.rule, hop.because
                    ),
                    None => Ok(()),
                }
            }
            Self::Downgrade { from, to, because, way_out: _ } => {
                write!(f, "{to} is older than {from}, which runs: {because}")
            }
            Self::Condition { rule, text, because, way_out: _ } => {
                write!(f, "{rule}: {text}; {because}")
            }
            Self::ConditionUnseen { rule, text, what } => {
                write!(f, "{rule}: {text}; it cannot be seen whether that holds: {what}")
            }
            Self::NoArtifact { release, tried } if tried.is_empty() => {
                write!(f, "{release} is not at hand")
            }
            Self::NoArtifact { release, tried } => {
                write!(f, "{release} is not at hand; tried {}", list(tried))
            }
            Self::Config { node, release, settings, rewrite: _ } => {
                write!(
                    f,
                    "{node} runs with {}, which {release} does not start with",
                    list(settings)
                )
            }
            Self::NeedsOutage { voters, outage_secs } => write!(
                f,
                "a cluster of {voters} voters cannot lose one and serve: an outage of about {outage_secs} s is needed"
            ),
            Self::NeverPasses { gate, because, way_out: _ } => {
                write!(f, "gate `{gate}` could never pass: {because}")
            }
            Self::MixedReleases { releases } => {
                write!(f, "members run {}, which no single hop joins", list(releases))
            }
            Self::CannotAct { node, because } => {
                write!(f, "{node} can be seen but not restarted: {because}")
            }
            Self::Unreachable { node, because } => write!(f, "{node} cannot be reached: {because}"),
            Self::OtherCluster { node, because } => {
                write!(f, "{node} belongs to another cluster: {because}")
            }
            Self::KnownIssue { release, issue, text } => {
                write!(f, "{release} has known issue {issue}: {text}")
            }
            Self::Frozen { window, until } => {
                write!(f, "the freeze window `{window}` is open until {until}")
            }
        }
    }
}

impl Display for NotNow {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::WaitingOn(on) => write!(f, "waiting: {on}"),
            Self::Unsafe(reason) => write!(f, "unsafe: {reason}"),
            Self::Blocked(reason) => write!(f, "blocked: {reason}"),
        }
    }
}
