//! What a pack can say, as serde reads it. The JSON Schema of packs is made from these types.
//!
//! Invariant: unknown keys are refused, and every rule names a source.

mod by_hand;
mod client;
mod config;
mod conversions;
mod detect;
mod recipes;
mod rules;

pub use by_hand::*;
pub use client::*;
pub use config::*;
pub use conversions::*;
pub use detect::*;
pub use recipes::*;
pub use rules::*;

use quorate_model::{GroupName, PackName, Range};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the pack format.
pub const PACK_SCHEMA: u32 = 1;

/// Everything Quorate knows of one product, as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackFile {
    /// [`PACK_SCHEMA`].
    pub schema: u32,
    /// The pack's name.
    pub pack: PackName,
    /// The product's name, as its makers write it.
    pub title: String,
    /// One sentence.
    pub about: String,
    /// Other YAML files of this pack, relative to it; their keys are merged into this one.
    #[serde(default)]
    pub include: Vec<String>,
    /// How versions are written.
    pub scheme: Scheme,
    /// Short keys of sources, each with what it stands for. A source in a rule is `KEY:path`.
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
    /// Release lines, oldest first: `next-line` rules go by this order.
    #[serde(default)]
    pub lines: Vec<Line>,
    /// Groups of nodes, in the order in which they move; without any, all nodes are servers that vote.
    // Left out when there are none, so that packs that do not speak of groups keep their digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// Known releases.
    #[serde(default)]
    pub releases: Vec<KnownRelease>,
    /// Protocols whose ranges must overlap on a hop.
    #[serde(default)]
    pub protocols: Vec<Protocol>,
    /// What applications may need of the product, by the name that they declare it under, in a few words: `v2-api: the v2 API`.
    /// Rules read what those of a cluster need as `cluster.needs`.
    // Left out when there are none, so that packs that do not know it keep their digest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub needs: BTreeMap<String, String>,
    /// Words that differ by release, for templates: `gateway: [{releases: 3.3.x, value: v3beta}]`.
    #[serde(default)]
    pub vars: BTreeMap<String, Vec<PerRelease>>,
    /// Facts that follow from where a path starts, when no cluster was looked at.
    #[serde(default)]
    pub assumptions: Vec<Assumption>,
    /// What refuses a hop that no rule permits.
    #[serde(default)]
    pub default_refusal: Option<DefaultRefusal>,
    /// Which hop may follow which, and why.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Releases with known faults.
    #[serde(default)]
    pub known_issues: Vec<KnownIssue>,
    /// Settings across releases.
    #[serde(default)]
    pub config: Vec<ConfigRule>,
    /// Settings that may be changed on the release that runs.
    #[serde(default)]
    pub setting_changes: Vec<SettingChange>,
    /// How it is seen.
    #[serde(default)]
    pub detect: Option<Detect>,
    /// When a member may stop, and when it is back.
    #[serde(default)]
    pub safety: Option<Safety>,
    /// How things are done to it.
    #[serde(default)]
    pub recipes: Recipes,
    /// How a person does and asks the same in a shell.
    #[serde(default)]
    pub by_hand: ByHand,
    /// How its clients write, read and watch.
    #[serde(default)]
    pub client: Option<ClientView>,
}

/// How versions of this product are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scheme {
    /// Numbers that name a release line: 2 for 3.4.
    pub line_parts: usize,
    /// Regular expression with a group `release` that finds the upstream version in a distribution's.
    #[serde(default)]
    pub upstream: Option<String>,
    /// Words to ask a binary for its version with: `[--version]`.
    #[serde(default)]
    pub version_args: Vec<String>,
    /// Binaries of an artifact: the first is the server.
    pub binaries: Vec<String>,
    /// Debian packages that carry them.
    #[serde(default)]
    pub debian_packages: Vec<String>,
}

/// Nodes of one duty in a cluster: servers, clients, routers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// As a node's `group` in the fleet file names it.
    pub name: GroupName,
    /// Whether its nodes are members of the quorum. Those that are move one by one, and first; the others afterwards, in waves.
    pub votes: bool,
    /// Why.
    pub because: String,
}

/// A release line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// `3.4`.
    pub line: String,
    /// Date of its first release, `2019-08-30`.
    #[serde(default)]
    pub released: Option<String>,
    /// Date after which upstream mends nothing.
    #[serde(default)]
    pub end_of_support: Option<String>,
}

/// A release that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownRelease {
    /// The release.
    pub release: quorate_model::Release,
    /// When it came out.
    #[serde(default)]
    pub date: Option<String>,
    /// Anything worth knowing.
    #[serde(default)]
    pub note: Option<String>,
}

/// A protocol whose ranges must overlap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// `raft`.
    pub name: String,
    /// What each release speaks.
    pub speaks: Vec<Speaks>,
    /// Why it matters.
    pub because: String,
    /// Where that is said.
    pub sources: Vec<String>,
}

/// Versions of a protocol that some releases speak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Speaks {
    /// These releases.
    pub releases: Range,
    /// The lowest version.
    pub min: u32,
    /// The highest.
    pub max: u32,
}

/// A word for some releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerRelease {
    /// These releases.
    pub releases: Range,
    /// The word.
    pub value: String,
}

/// A fact that is taken for true on paper when a path starts in a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assumption {
    /// Name of the cluster fact.
    pub fact: String,
    /// Its value.
    pub value: serde_json::Value,
    /// When the path starts here.
    pub from: Range,
    /// Why.
    pub because: String,
}

/// A condition by name, in CEL, with a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedCondition {
    /// Standard name (`release`, `healthy`, `member`, `caught-up`, `data-equal`, `leader`, `hop-complete`) or the pack's own.
    pub name: String,
    /// True when it holds. Missing data make it unknown, and unknown does not hold.
    pub cel: String,
    /// For people: what must hold.
    pub text: String,
    /// Only on these releases (the release that the member runs).
    #[serde(default)]
    pub releases: Option<Range>,
    /// Only for nodes of these groups; without it for all.
    // Left out when there are none, as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<GroupName>>,
}

impl NamedCondition {
    /// Whether it is asked of nodes of this group.
    pub fn is_for(&self, group: &GroupName) -> bool {
        self.groups.as_ref().is_none_or(|groups| groups.contains(group))
    }
}

impl PackFile {
    /// Whether nodes of a group may be members of the quorum. A group that the pack does not name may be: that asks for more.
    pub fn votes(&self, group: &GroupName) -> bool {
        self.groups.iter().find(|known| known.name == *group).is_none_or(|known| known.votes)
    }
}
