//! What a person says in a shell where a run asks and acts: words of the product, and each condition as a command.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a person follows a plan by hand, in `sh`.
///
/// The run book defines `tools` (the folder of the hop's release), `state` (Quorate's state folder) and `all` (the address of
/// every node) before any of this is used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ByHand {
    /// Shell functions and variables that the other texts use, a template; printed once, at the head of a run book.
    pub shell: String,
    /// Conditions of one member, by name: a template of a command that ends with status 0 when it holds for `{{ node }}`.
    pub of_member: BTreeMap<String, String>,
    /// Conditions of the whole cluster, by name; the same.
    pub of_cluster: BTreeMap<String, String>,
}
