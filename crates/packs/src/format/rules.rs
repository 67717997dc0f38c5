//! Rules of the release graph and known issues.

use quorate_model::{Door, HopKind, Range, Risk, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Makes the hop an edge of the graph.
    Allow,
    /// Forbids it, unless `applies_when` is proved false.
    Block,
    /// Permits nothing by itself: its condition must be proved on an edge that another rule allows.
    Condition,
}

/// How far apart two releases of a rule may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// Whatever the ranges say.
    #[default]
    Any,
    /// Only within one line (a patch).
    SameLine,
    /// Only to another line.
    OtherLine,
    /// Only to the line that follows in `lines`.
    NextLine,
    /// Only to one of the two lines that follow in `lines`.
    TwoLines,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Unique in the pack: `E12`.
    pub id: String,
    /// The hop starts here.
    pub from: Range,
    /// The hop lands here.
    pub to: Range,
    /// Narrows the two ranges further.
    #[serde(default)]
    pub reach: Reach,
    /// What it says.
    pub verdict: Verdict,
    /// How members move; the gravest of all matching rules counts.
    #[serde(default)]
    pub kind: Option<HopKind>,
    /// CEL over `cluster`, `nodes`, `from`, `to`: the rule concerns only clusters where this is true. Unknown counts as true.
    #[serde(default)]
    pub applies_when: Option<String>,
    /// CEL that must be proved (for `condition`).
    #[serde(default)]
    pub condition: Option<String>,
    /// Names of `recipes.cures` that make the condition true, run as steps before the hop's first stop.
    #[serde(default)]
    pub cures: Vec<String>,
    /// Ids of `config` entries whose rewrite makes the condition true, where the policy lets a plan rewrite settings.
    #[serde(default)]
    pub rewrites: Vec<String>,
    /// How bad.
    pub risk: Risk,
    /// Where the way back closes.
    #[serde(default)]
    pub one_way: Option<Door>,
    /// What it asks, one sentence.
    pub text: String,
    /// Why.
    pub because: String,
    /// What a person can do when it refuses, smallest change first.
    #[serde(default)]
    pub way_out: Option<String>,
    /// Where that is said; a rule without a source does not lint.
    pub sources: Vec<String>,
}

/// Refuses what no rule permits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultRefusal {
    /// `E00`.
    pub id: String,
    /// One sentence.
    pub text: String,
    /// Why.
    pub because: String,
    /// Where that is said.
    pub sources: Vec<String>,
}

/// A known fault of some releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownIssue {
    /// Unique in the pack: `E14-lost-transactions`.
    pub id: String,
    /// These releases have it.
    pub affects: Range,
    /// True when no hop may land on an affected release.
    #[serde(default)]
    pub never_land: bool,
    /// CEL over one node: whether this member shows it; without it, running the release is enough for a finding.
    #[serde(default)]
    pub detect: Option<String>,
    /// How bad.
    pub severity: Severity,
    /// What happens.
    pub text: String,
    /// What to do.
    pub advice: String,
    /// Where that is said.
    pub sources: Vec<String>,
}
