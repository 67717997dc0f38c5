//! Settings across releases: what was added, renamed, removed, refused, or changed in its default.

use quorate_model::{Door, Range, Release, Risk, SettingSource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One change of one setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigRule {
    /// Unique in the pack.
    pub id: String,
    /// The setting's plain name, `log-output`: the flag is `--log-output`, the variable `ETCD_LOG_OUTPUT`, the file key `log-output`.
    pub key: String,
    /// The first release that has the change. A hop concerns it when it crosses this release upward.
    pub since: Release,
    /// What changed.
    pub change: ConfigChangeKind,
    /// Only when the member's value matches this regular expression (whole value).
    #[serde(default)]
    pub value: Option<String>,
    /// The default before and after, for `default-changed`.
    #[serde(default)]
    pub default_before: Option<String>,
    /// The default after.
    #[serde(default)]
    pub default_after: Option<String>,
    /// Places that the change concerns; everywhere when left out.
    #[serde(default)]
    pub only_in: Vec<SettingSource>,
    /// Places in which the old form keeps the member from starting; elsewhere it is only ignored or warned of.
    #[serde(default)]
    pub fatal_in: Vec<SettingSource>,
    /// CEL over `cluster` and `node`: concerns only members where this is true (for `default-changed`: who relies on the old default).
    #[serde(default)]
    pub applies_when: Option<String>,
    /// The cure, when data can say it.
    #[serde(default)]
    pub rewrite: Option<Rewrite>,
    /// One sentence for people.
    pub text: String,
    /// Where that is said.
    pub sources: Vec<String>,
}

/// What happened to a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigChangeKind {
    /// New.
    Added,
    /// Has another name now.
    Renamed,
    /// Is gone.
    Removed,
    /// A value is refused now.
    ValueRefused,
    /// Means something else when left out.
    DefaultChanged,
    /// Its form changed (a number became a text).
    FormChanged,
}

/// How a setting is brought over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// Drops the old setting.
    #[serde(default)]
    pub remove: bool,
    /// Settings to add, plain name to value; `{value}` is the old value.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
}

/// A setting that may be changed on the release that runs, by starting members anew one after another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingChange {
    /// Unique in the pack.
    pub id: String,
    /// The setting's plain name, `raft-protocol`.
    pub key: String,
    /// Values that it may get, a regular expression over the whole value; an empty text stands for "not set".
    pub value: String,
    /// On these releases.
    pub releases: Range,
    /// Groups whose members take it; all when left out.
    #[serde(default)]
    pub groups: Vec<String>,
    /// CEL over `cluster` and `nodes`: must hold before the first member is stopped.
    #[serde(default)]
    pub condition: Option<String>,
    /// CEL over `node`: the member is seen to run with it.
    pub seen: String,
    /// How bad it can go.
    pub risk: Risk,
    /// Where the way back closes.
    #[serde(default)]
    pub one_way: Option<Door>,
    /// What it asks, one sentence.
    pub text: String,
    /// Why.
    pub because: String,
    /// What a person can do when it refuses.
    #[serde(default)]
    pub way_out: Option<String>,
    /// Where that is said.
    pub sources: Vec<String>,
}
