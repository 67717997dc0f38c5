//! How a product is seen: probes that turn answers into facts, and facts into the fields of an observation.

use super::NamedCondition;
use quorate_model::{Place, Range};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a product is seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// The endpoint (of `endpoints` in the fleet file) that probes go to.
    pub endpoint: String,
    /// How its process and settings are found on a host.
    pub process: ProcessForm,
    /// Asked of each node, in order; later ones may use facts of earlier ones.
    pub node: Vec<Probe>,
    /// Asked once of the cluster, through the first node that answers.
    #[serde(default)]
    pub cluster: Vec<Probe>,
    /// Fields of the observation, by name, as CEL over `facts` (of the node) and `cluster`:
    /// `release role voter healthy member_id applied_index store tls data_hash hash_revision alarms`.
    pub fields: BTreeMap<String, String>,
    /// How a user logs in, when the cluster asks for one.
    #[serde(default)]
    pub auth: Vec<Login>,
    /// Environment variable in which the product's own tools read `user:password`; never given as words, which show in `ps`.
    #[serde(default)]
    pub tool_user_env: Option<String>,
    /// CEL over `cluster` that gives the members, for adoption: a list of `{name, id, client_urls, peer_urls, learner}`.
    #[serde(default)]
    pub members: Option<String>,
    /// What a node itself tells of its place, for adoption.
    #[serde(default)]
    pub declared: Declared,
    /// Things worth telling: conditions that, when true, become findings.
    #[serde(default)]
    pub findings: Vec<FindingRule>,
}

/// What a node itself tells of its place, which is written down when it is adopted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// CEL over `facts` (of the node) and `cluster` that gives the folder of its data; counts for more than its settings.
    #[serde(default)]
    pub data_dir: Option<String>,
    /// The same for further endpoints, by name.
    #[serde(default)]
    pub endpoints: BTreeMap<String, String>,
}

/// How the process is found and its settings are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessForm {
    /// Names of the binary.
    pub names: Vec<String>,
    /// Prefix of its environment variables, `ETCD_`.
    #[serde(default)]
    pub env_prefix: Option<String>,
    /// The setting that names a YAML configuration file; with it, flags and variables are ignored by the product.
    #[serde(default)]
    pub file_setting: Option<String>,
    /// The setting that names the data folder.
    #[serde(default)]
    pub data_setting: Option<String>,
    /// Settings that name further folders of its data, such as a log on a disk of its own.
    #[serde(default)]
    pub more_data_settings: Vec<String>,
    /// The setting that gives the addresses at which other members reach it, parted by commas.
    #[serde(default)]
    pub peer_setting: Option<String>,
    /// The setting that names the member.
    #[serde(default)]
    pub name_setting: Option<String>,
    /// Further settings that differ between members by their nature, such as addresses without a scheme: members that
    /// differ in these alone are configured alike.
    #[serde(default)]
    pub own_settings: Vec<String>,
    /// Settings whose values must not be shown or stored.
    #[serde(default)]
    pub secret_settings: Vec<String>,
}

impl ProcessForm {
    /// The folder of a member's main data.
    pub fn data_folder<'a>(&self, place: &'a Place) -> Option<&'a std::path::PathBuf> {
        place.folders.get(self.data_setting.as_ref()?)
    }
}

/// One question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Unique in the pack.
    pub id: String,
    /// Asked only on these releases (as far as known by then).
    #[serde(default)]
    pub releases: Option<Range>,
    /// CEL over `facts` and `cluster`: asked only when true.
    #[serde(default)]
    pub when: Option<String>,
    /// What is asked.
    pub ask: CallTemplate,
    /// Facts from the answer: name to CEL over `status` (number), `body` (parsed JSON), `text`, `facts`.
    /// An expression that cannot be evaluated gives no fact.
    pub facts: BTreeMap<String, String>,
    /// Without an answer the node still counts as reachable.
    #[serde(default)]
    pub optional: bool,
    /// Only asked in a full look (detect, plan), not at every gate.
    #[serde(default)]
    pub costly: bool,
}

/// Something said to the product, as a template (Jinja: `node`, `endpoints`, `vars`, `facts`, `cluster`, `from`, `to`, plus what the recipe says).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CallTemplate {
    /// An HTTP request.
    Http {
        /// `GET`, `POST`, `PUT`.
        method: String,
        /// Whole address.
        url: String,
        /// Body, sent as JSON unless `form` is set.
        #[serde(default)]
        body: Option<String>,
        /// Sends the body as a form.
        #[serde(default)]
        form: bool,
        /// Status codes that count as done; 200 when left out.
        #[serde(default)]
        expect_status: Vec<u16>,
    },
    /// A question over gRPC, for what a product says in no other way: whole numbers go in, whole numbers come out.
    /// Nothing is generated from a schema; the field numbers are those of the product's own `.proto` file.
    Grpc {
        /// Address of the member, without a path.
        url: String,
        /// `package.Service/Method`.
        method: String,
        /// Values of the request's fields 1, 2, ... as whole numbers.
        #[serde(default)]
        request: Vec<String>,
        /// Numbers of the answer, by the name that they get in `body`: `hash: "2"`, `revision: "1.3"` for field 3 of
        /// the message in field 1. A field that is left out of the answer is 0, as in any proto3 message.
        answer: BTreeMap<String, FieldPath>,
    },
    /// A command on the node's host. `{artifact}` stands for the folder of the staged artifact of the release named by `tool`.
    Command {
        /// Words.
        argv: Vec<String>,
        /// Environment.
        #[serde(default)]
        env: BTreeMap<String, String>,
    },
    /// A file on the node's host.
    File {
        /// Path or glob; the newest match is read, `body` is null, `text` holds the names found, one a line.
        path: String,
    },
    /// An action written in Rust.
    Native {
        /// Its name.
        action: String,
        /// Its arguments.
        #[serde(default)]
        args: BTreeMap<String, String>,
    },
}

/// Where a number stands in a message: field numbers from the outside in, joined by points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct FieldPath(Vec<u32>);

impl FieldPath {
    /// The field numbers.
    pub fn numbers(&self) -> &[u32] {
        &self.0
    }
}

impl TryFrom<String> for FieldPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |part: &str| part.parse::<u32>().ok().filter(|number| *number > 0);
        let numbers: Option<Vec<u32>> = text.split('.').map(number).collect();
        numbers.map(Self).ok_or_else(|| {
            format!("`{text}` is no path of field numbers: write `2`, or `1.3` for a field of a message in field 1")
        })
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
    }
}

/// How a user logs in for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// On these releases.
    pub releases: Range,
    /// The request; `{{ user }}` and `{{ password }}` stand in the body and are filled in at the moment of use. Without it
    /// there is no login: the password itself is the token.
    #[serde(default)]
    pub ask: Option<CallTemplate>,
    /// JSON pointer to the token in the answer, `/token`.
    #[serde(default)]
    pub token: String,
    /// The header that carries it.
    pub header: String,
    /// Also send user and password as HTTP basic authentication to addresses that contain this.
    #[serde(default)]
    pub basic_for: Option<String>,
}

/// A condition that is worth telling when it is true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindingRule {
    /// Stable name.
    pub code: String,
    /// CEL over `node` and `cluster`.
    pub when: String,
    /// How bad.
    pub severity: quorate_model::Severity,
    /// Template: one sentence.
    pub text: String,
    /// What next.
    #[serde(default)]
    pub hint: Option<String>,
}

/// When a member may stop, and when it is back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Safety {
    /// Entries that another member may be behind while one is stopped.
    pub max_lag: u64,
    /// Why that number.
    pub max_lag_because: String,
    /// CEL over `cluster` that gives a time, `'10s'`: healthy time that must pass after a member came back, when the policy
    /// asks for less.
    #[serde(default)]
    pub soak: Option<String>,
    /// Why that long.
    #[serde(default)]
    pub soak_because: Option<String>,
    /// More conditions over `node`, `nodes`, `cluster` that must hold before a stop; the typed oracle runs in any case.
    #[serde(default)]
    pub may_stop: Vec<NamedCondition>,
    /// The member is back: over `node`, `nodes`, `cluster`, `to`. Must name `release`, `healthy`, `member`, `caught-up`.
    pub rejoined: Vec<NamedCondition>,
    /// The cluster has taken the release: over `cluster`, `nodes`, `to`.
    pub hop_complete: Vec<NamedCondition>,
}
