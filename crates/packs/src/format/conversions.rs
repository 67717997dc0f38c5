//! Data that must change form while everything stands still, before a cluster goes on: `recipes.conversions`.

use super::{BackupRecipe, CallTemplate, Recipe};
use quorate_model::Range;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A change of the form of the data, in an outage: applications stand still, all members stop, one member's data are copied, the
/// copy is converted and proved away from the members, and every member starts with what came out.
///
/// Members never convert their data by themselves: what each would make of them could differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conversion {
    /// What becomes of what, in a few words: `the keys of the v2 store become v3 keys`.
    pub title: String,
    /// Releases that can do it.
    pub releases: Range,
    /// It is done before the first of these releases; on a cluster that has one of them, at once.
    pub before: Range,
    /// CEL over `cluster` and `nodes`: whether there is anything to convert.
    pub when: String,
    /// What applications may need of the product that is no more afterwards, by its name under `needs`: each of them must say how
    /// it is switched.
    #[serde(default)]
    pub ends: Vec<String>,
    /// Facts of cluster and members that are so afterwards; the hops that follow are judged by them.
    #[serde(default)]
    pub gives: BTreeMap<String, Value>,
    /// Asked while everything serves, before anything is touched.
    #[serde(default)]
    pub checks: Vec<Recipe>,
    /// Asked once applications stand still: whether somebody writes all the same.
    pub settled: Recipe,
    /// Copies the data of a stopped member.
    pub copy: ConversionCopy,
    /// What is made of the copy, `{{ source }}`, on this machine: into `{{ file }}`, and how that is proved and put on members.
    pub converted: BackupRecipe,
    /// Carries what is written afterwards back into the form of before; without it that is lost on the way back.
    #[serde(default)]
    pub back: Option<WriteBack>,
    /// What is lost with it, or becomes something else.
    pub loses: Vec<String>,
    /// Why this way.
    pub because: String,
    /// Sources.
    pub sources: Vec<String>,
}

/// A copy of the data of a member that is stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversionCopy {
    /// The name of this kind of copy: `v2-cold`.
    pub kind: String,
    /// Copies to `{{ file }}`.
    pub save: CallTemplate,
    /// The same as a person types it, a template.
    pub by_hand: String,
    /// Given up after this many seconds.
    pub limit_secs: f64,
}

/// How what was written since a conversion goes back with the data of before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteBack {
    /// The name of the list of it: `v3-since`.
    pub kind: String,
    /// Asks a member that serves what has become other than in `{{ source }}`, which the conversion made, and writes it to
    /// `{{ file }}`. Its answer is how much that is, then, each after `; `, what the form of before cannot hold.
    pub save: CallTemplate,
    /// Writes what stands in `{{ file }}` through a member that serves with the data of before, and sees that it is there. Doing it
    /// twice gives the same as doing it once.
    pub put: CallTemplate,
    /// The save as a person types it, a template.
    pub by_hand: String,
    /// The same for `put`.
    pub put_by_hand: String,
    /// Each is given up after this many seconds.
    pub limit_secs: f64,
}
