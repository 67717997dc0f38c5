//! What must hold of every plan, one file for each invariant.

pub(crate) mod digest;
pub(crate) mod membership;
pub(crate) mod s10_cleared;
pub(crate) mod s12_dependants;
pub(crate) mod s1_quorum;
pub(crate) mod s2_lanes;
pub(crate) mod s2_one_at_a_time;
pub(crate) mod s3_leader_last;
pub(crate) mod s4_gates;
pub(crate) mod s5_hops;
pub(crate) mod s6_one_way;
pub(crate) mod s7_repeat;
pub(crate) mod s8_parent;
pub(crate) mod s9_artifact;
pub(crate) mod schema;

pub use s5_hops::unwanted;

use quorate_model::{Severity, StepId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invariant {
    /// Healthy voters that remain form a quorum.
    S1,
    /// No more members down by our doing than the policy allows, voters one at a time and apart from everybody else.
    S2,
    /// The leader goes last, after a handover.
    S3,
    /// Nothing proceeds past a gate that was not seen to hold.
    S4,
    /// Every hop is a permitted edge, and releases are never more than one hop apart.
    S5,
    /// A verified backup and an explicit go before a one-way door.
    S6,
    /// No step runs twice unless its own probe said that it had not happened.
    S7,
    /// Only the newest lease acts; in a plan: parent and observation are what it says they are.
    S8,
    /// An artifact runs only if its digest is the planned one.
    S9,
    /// Data outlive hosts: those of a member are never moved, those of one that comes back lie aside, and what lies aside goes
    /// only after a yes to just that.
    S10,
    /// Where data are exchanged applications stand still: stopped before the first member, started only once the data were
    /// proved.
    S12,
    /// The plan is what its digest names.
    Digest,
    /// The plan can be read and speaks of members that were seen.
    Schema,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S1 => "S1",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::S4 => "S4",
            Self::S5 => "S5",
            Self::S6 => "S6",
            Self::S7 => "S7",
            Self::S8 => "S8",
            Self::S9 => "S9",
            Self::S10 => "S10",
            Self::S12 => "S12",
            Self::Digest => "digest",
            Self::Schema => "schema",
        })
    }
}

/// An invariant that a plan breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// How bad; only errors keep a plan from running.
    pub severity: Severity,
    /// The step that breaks it, when one does.
    pub step: Option<StepId>,
    /// Who, what, why.
    pub text: String,
}

impl Violation {
    /// A violation that keeps the plan from running.
    pub(crate) fn error(
        invariant: Invariant,
        step: Option<StepId>,
        text: impl Into<String>,
    ) -> Self {
        Self { invariant, severity: Severity::Error, step, text: text.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, severity: _, step, text } = self;
        match step {
            Some(step) => write!(f, "{invariant} at {step}: {text}"),
            None => write!(f, "{invariant}: {text}"),
        }
    }
}
