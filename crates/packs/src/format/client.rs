//! The client's view: how to write, read and watch through every endpoint, so that a run is judged by what clients saw.

use super::CallTemplate;
use quorate_model::Range;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How clients use the product. Templates know `endpoint`, `vars`, `key`, `value`, `revision`; filters `b64` and `urlencode`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientView {
    /// The endpoint that clients use.
    pub endpoint: String,
    /// Keys of the probe begin with this; it removes them at the end.
    pub key_prefix: String,
    /// Ways by release, the first that fits is used.
    pub ways: Vec<ClientWay>,
}

/// One way, for some releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientWay {
    /// Serves these releases (the lowest in the cluster counts).
    pub releases: Range,
    /// Writes `value` at `key`.
    pub write: CallTemplate,
    /// CEL over `status`, `body`: the write was acknowledged.
    pub write_ok: String,
    /// Reads `key`, linearizably.
    pub read: CallTemplate,
    /// CEL over `status`, `body` that gives the value as text, or null when there is none.
    pub read_value: String,
    /// Reads every key under `prefix`; for the account at the end.
    pub list: CallTemplate,
    /// CEL over `body` that gives a list of `[key, value]` texts.
    pub list_pairs: String,
    /// Watches `prefix` from `revision` on: an answer that streams JSON documents.
    #[serde(default)]
    pub watch: Option<CallTemplate>,
    /// CEL over `body` (one document) that gives a list of `[key, value, revision]`.
    #[serde(default)]
    pub watch_events: Option<String>,
    /// Removes every key under `prefix`.
    pub clean: CallTemplate,
}
