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
    /// Each request of `watch` is one long question, answered once there is something new, and asked again from there on
    /// (Consul's blocking queries). `watch_events` then sees `revision`, too.
    #[serde(default)]
    pub watch_polls: bool,
    /// Removes every key under `prefix`.
    pub clean: CallTemplate,
    /// A lock that one client holds at a time.
    #[serde(default)]
    pub lock: Option<LockWay>,
    /// Ways to look a service of the product up whose places are known.
    #[serde(default)]
    pub lookups: Vec<LookupWay>,
}

/// How clients lock. A holder has a session, which ends when it is not renewed. Templates know `session`, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockWay {
    /// Opens a session.
    pub open: CallTemplate,
    /// CEL over `status`, `body` that gives the session's id.
    pub session: String,
    /// A session that was not renewed for so long may have ended: its client holds nothing any more.
    pub ttl_secs: u32,
    /// Renews a session; a refusal says that it has ended.
    pub renew: CallTemplate,
    /// Takes the lock at `key` for a session.
    pub take: CallTemplate,
    /// CEL over `status`, `body`: the session has the lock.
    pub taken: String,
    /// Looks who has it, linearizably.
    pub look: CallTemplate,
    /// CEL over `status`, `body` that gives `[session, number]`: who has the lock (an empty text for nobody), and a number
    /// that grows each time that it goes to another session.
    pub holder: String,
    /// Gives it back.
    pub give_back: CallTemplate,
    /// Ends a session.
    pub close: CallTemplate,
}

/// One way to look a service up that the product's own members offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LookupWay {
    /// Its name in reports.
    pub name: String,
    /// The request.
    #[serde(default)]
    pub ask: Option<CallTemplate>,
    /// CEL over `status`, `body` that gives the addresses that the answer names.
    #[serde(default)]
    pub addresses: Option<String>,
    /// A question for addresses, over DNS.
    #[serde(default)]
    pub dns: Option<DnsQuestion>,
}

/// A question for the IPv4 addresses of a name. Nodes without the endpoint are not asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsQuestion {
    /// The endpoint at which a node answers over UDP.
    pub endpoint: String,
    /// The name.
    pub name: String,
}
