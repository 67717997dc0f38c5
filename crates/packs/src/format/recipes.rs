//! How things are done to a product: handover, cures, backup and its proof, restore, finalize, rollback, eject, rejoin.

use super::{CallTemplate, Conversion, NamedCondition};
use quorate_model::Range;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How things are done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Recipes {
    /// Moves leadership to `{{ target }}`; the first whose `releases` holds the leader's release is used.
    pub handover: Vec<Recipe>,
    /// Why there is no handover on other releases, for the plan.
    pub no_handover_because: Option<String>,
    /// Steps that rules name to make a condition true.
    pub cures: BTreeMap<String, Recipe>,
    /// Copies of the data; every one whose `releases` and `when` hold is taken.
    pub backups: Vec<BackupRecipe>,
    /// Tells what a member holds, so that members can be compared key by key; the first whose `releases` and `when` hold is used.
    pub contents: Vec<ContentsRecipe>,
    /// Changes of the form of the data, by name: `v2-to-v3`.
    // Left out when there are none, so that packs that do not know it keep their digest.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub conversions: BTreeMap<String, Conversion>,
    /// Explicit commands after the last member, when a product needs them.
    pub finalize: Vec<Recipe>,
    /// Ways back.
    pub rollback: Vec<RollbackRule>,
    /// Takes a stopped member, `{{ target }}`, out of the cluster, said to another member; the first that fits is used.
    pub eject: Vec<Recipe>,
    /// Brings it back, empty; the first whose `releases` holds the lowest release that runs is used.
    pub rejoin: Vec<RejoinRecipe>,
    /// Checks that the staged binary accepts a node's configuration, without starting to serve; `{artifact}` in words.
    pub accepts_config: Option<CallTemplate>,
    /// The same for the configuration file of a node that reads one.
    pub accepts_file: Option<AcceptsFile>,
    /// Expected seconds, until something was measured: `stop`, `start`, `rejoin`, `handover`, `backup`, `verify`, `complete`.
    pub estimates_secs: BTreeMap<String, f64>,
}

/// Asks a binary about a configuration file without letting it serve: it gets a copy that is wrong in one thing more, and when
/// that is what it complains of, it has taken everything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptsFile {
    /// The words; `{artifact}` is the staged folder, `{file}` the copy.
    pub argv: Vec<String>,
    /// Settings of the copy that no release starts with.
    pub spoiled_by: BTreeMap<String, String>,
    /// A part of what the binary says of them.
    pub says: String,
    /// Sources.
    pub sources: Vec<String>,
}

/// One thing that is done, as a step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// For people, a template: an imperative.
    pub title: String,
    /// On these releases.
    #[serde(default = "any")]
    pub releases: Range,
    /// What is said to the product.
    pub call: CallTemplate,
    /// The same for a person's hands, a template.
    pub by_hand: String,
    /// Done on every voter, not once.
    #[serde(default)]
    pub each_node: bool,
    /// CEL: it has already happened.
    #[serde(default)]
    pub done: Option<String>,
    /// Must hold afterwards.
    #[serde(default)]
    pub gate: Vec<NamedCondition>,
    /// Texts of refusals that clear by themselves: it is said again until the limit.
    #[serde(default)]
    pub retry_on: Vec<String>,
    /// Given up after this many seconds.
    pub limit_secs: f64,
    /// How it is reversed, in a sentence; nothing when it leaves no trace.
    #[serde(default)]
    pub undo: Option<String>,
    /// Why, and where that is said.
    pub because: String,
    /// Sources.
    #[serde(default)]
    pub sources: Vec<String>,
}

fn any() -> Range {
    "any".parse().expect("`any` is a range")
}

/// A way to bring a member back that was taken out. `{{ ejected }}` is the member as the cluster listed it then, `{{ target }}`
/// the node. As under `eject`, the expressions under `done` and `gate` are templates, too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RejoinRecipe {
    /// On these releases.
    pub releases: Range,
    /// Tells the cluster of it, said to another member.
    pub add: Recipe,
    /// Gives it its vote once it has caught up. With it, `add` adds a learner; `{member}` is the id that it got.
    #[serde(default)]
    pub promote: Option<Recipe>,
    /// Settings that it must start with, each value a template.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// Why this way.
    pub because: String,
    /// Sources.
    pub sources: Vec<String>,
}

/// A way to copy the data, to prove the copy, and to put it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupRecipe {
    /// `v3-snapshot`.
    pub kind: String,
    /// Taken on these releases.
    pub releases: Range,
    /// CEL over `cluster` and `nodes`: taken only when true.
    #[serde(default)]
    pub when: Option<String>,
    /// Taken from the leader; otherwise from the first healthy follower.
    #[serde(default)]
    pub from_leader: bool,
    /// Ending of the file's name; none for a folder.
    #[serde(default)]
    pub extension: Option<String>,
    /// Saves to `{{ file }}`.
    pub save: CallTemplate,
    /// Restores `{{ file }}` into a scratch cluster and compares.
    pub verify: CallTemplate,
    /// Puts `{{ file }}` back on one stopped member. Without it no plan puts such a copy back: `restore_by_hand` says how a
    /// person does.
    #[serde(default)]
    pub restore: Option<CallTemplate>,
    /// Hops on which a copy may be put back, beside the line that it was taken on, which is always permitted.
    #[serde(default)]
    pub restores: Vec<RestoreHop>,
    /// Must hold once every member is back: that the data which run are those of the copy, and not those of before. Each
    /// `cel` is a template, filled in when the plan is made: it may name what was there before.
    #[serde(default)]
    pub restored: Vec<NamedCondition>,
    /// Compares a started member with `{{ file }}` that was put back on it; `verify` when left out.
    #[serde(default)]
    pub verify_restored: Option<CallTemplate>,
    /// For a copy that goes onto one member only: lets another one, stopped and emptied, join that one (`{{ target }}`),
    /// which runs already. Without it the copy is put back on every member.
    #[serde(default)]
    pub join: Option<CallTemplate>,
    /// The save as a person types it, a template.
    pub by_hand: String,
    /// The proof as a person types it, a template: ends with status 0 when the copy holds what the cluster holds.
    #[serde(default)]
    pub verify_by_hand: Option<String>,
    /// The restore as a person types it, a template.
    pub restore_by_hand: String,
    /// The same for `join`.
    #[serde(default)]
    pub join_by_hand: Option<String>,
    /// Given up after this many seconds.
    pub limit_secs: f64,
    /// What it does not hold.
    #[serde(default)]
    pub lacks: Option<String>,
    /// Sources.
    pub sources: Vec<String>,
}

/// A way to tell everything that one member holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContentsRecipe {
    /// The kind of backup that puts such data back: `v3-snapshot`.
    pub kind: String,
    /// On these releases.
    pub releases: Range,
    /// CEL over `cluster` and `nodes`: only then.
    #[serde(default)]
    pub when: Option<String>,
    /// Asks one member, and nobody beside it, and writes a line a key into `{{ file }}`, in the order of the keys: the key in
    /// hexadecimal digits, a tab, the revision of its last change, a tab, a digest of its value.
    pub list: CallTemplate,
    /// Given up after this many seconds.
    pub limit_secs: f64,
    /// Sources.
    pub sources: Vec<String>,
}

/// A copy taken on one release, put back on another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreHop {
    /// Taken on these releases.
    pub taken: Range,
    /// Put back on these.
    pub onto: Range,
    /// Sources.
    pub sources: Vec<String>,
}

/// A way back, per hop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRule {
    /// The release to leave.
    pub from: Range,
    /// The release to go back to.
    pub to: Range,
    /// While members are mixed: whether the old binary may be put back.
    pub mixed: bool,
    /// After completion: `none`, `restore`.
    pub complete: CompleteRollback,
    /// One sentence.
    pub text: String,
    /// Sources.
    pub sources: Vec<String>,
}

/// What goes back after completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CompleteRollback {
    /// Nothing.
    None,
    /// A backup, restored with the older tool on every member.
    Restore,
}
