//! Sources of hosts: what each is asked, and what its answer says.
//!
//! Invariant: pure. A [`Source`] says what to ask ([`Source::question`]) and reads what came back ([`Source::hosts`]); the runner's
//! `sources/` runs the program or speaks HTTP, and keeps the answers.
//! Read next: `file.rs` (what can be said), `answer/` (the shapes of answers), `loss.rs` (too many hosts are gone).

mod answer;
mod facts;
mod file;
mod loss;
mod read;

pub use answer::AnswerError;
pub use file::{ConsulFile, Ec2File, FactsFile, HostEntry, SourceFile};
pub use loss::{Loss, lost};
pub use read::read_sources;
pub(crate) use read::{hosts_of, sources_of};

pub(crate) use facts::context;

use crate::hosts::ListedHost;
use jiff::Timestamp;
use quorate_model::{Secret, Share, TlsSpec};
use serde::Serialize;
use serde_json::json;
use std::{path::PathBuf, time::Duration};

/// A source of hosts, ready to be asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Source {
    /// Unique in the inventory.
    pub name: String,
    /// Where the hosts come from.
    pub kind: SourceKind,
    /// Variables of Ansible that are kept.
    pub labels: Vec<String>,
    /// What hosts are, as templates.
    pub facts: FactsFile,
    /// Whether commands on its hosts run as root, through sudo.
    pub sudo: bool,
    /// How long and how much: not part of what is asked.
    #[serde(skip)]
    pub limits: SourceLimits,
}

/// How long a source may take, and what is done with its answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceLimits {
    /// The longest that an answer may take.
    pub answer: Duration,
    /// An answer is used so long without asking again.
    pub fresh: Duration,
    /// An older answer may be used when the source fails, up to this age.
    pub fallback: Option<Duration>,
    /// So many hosts may be gone at once.
    pub lose_max: Share,
}

impl Default for SourceLimits {
    fn default() -> Self {
        Self {
            // A cloud's list of a thousand instances comes in pages and takes some ten seconds; a minute is a program that hangs.
            answer: Duration::from_secs(60),
            // Hosts come and go within minutes, and `run show` must not wait for a cloud each time.
            fresh: Duration::from_secs(300),
            fallback: None,
            // Half: a group that is renewed loses up to that; more is rather a filter or an account that sees a part.
            lose_max: Share::Percent(50),
        }
    }
}

/// Where hosts come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// The fleet file itself.
    Hosts(Vec<HostEntry>),
    /// A program.
    Command {
        /// Its words.
        argv: Vec<String>,
        /// The folder that it runs in.
        folder: PathBuf,
    },
    /// Inventories of Ansible.
    Ansible {
        /// As `ansible-inventory -i` takes them.
        paths: Vec<PathBuf>,
        /// The folder whose `ansible.cfg` counts.
        folder: PathBuf,
    },
    /// EC2.
    Ec2(Ec2File),
    /// A Consul catalog.
    Consul(ConsulFile),
}

impl SourceKind {
    /// The key of the fleet file that it was declared with.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Hosts(_) => "hosts",
            Self::Command { .. } => "command",
            Self::Ansible { .. } => "ansible",
            Self::Ec2(_) => "ec2",
            Self::Consul(_) => "consul",
        }
    }
}

/// What a source is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// A program is run; its standard output is the answer.
    Run {
        /// Its words.
        argv: Vec<String>,
        /// The folder that it runs in; any when absent.
        folder: Option<PathBuf>,
        /// Variables added to its environment.
        env: &'static [(&'static str, &'static str)],
        /// What to do when there is no such program.
        install: &'static str,
    },
    /// An address is read.
    Get {
        /// The address.
        url: String,
        /// The header that proves who asks, and where its value is read from.
        token: Option<(&'static str, Secret)>,
        /// Certificates.
        tls: Option<TlsSpec>,
    },
}

impl Source {
    /// What it is asked; nothing when the fleet file has the answer itself.
    pub fn question(&self) -> Option<Question> {
        match &self.kind {
            SourceKind::Hosts(_) => None,
            SourceKind::Command { argv, folder } => Some(Question::Run {
                argv: argv.clone(),
                folder: Some(folder.clone()),
                env: &[],
                install: "name an executable file, with `./` when it lies beside the fleet file",
            }),
            SourceKind::Ansible { paths, folder } => Some(Question::Run {
                argv: ansible_words(paths),
                folder: Some(folder.clone()),
                env: &STRICT_ANSIBLE,
                install: "install Ansible where quorate runs: `apt-get install ansible-core`, or `pipx install ansible-core`",
            }),
            SourceKind::Ec2(ec2) => Some(Question::Run {
                argv: ec2_words(ec2),
                folder: None,
                env: &[],
                install: "install the vendor's command line where quorate runs: `apt-get install awscli`, or `pipx install awscli`",
            }),
            SourceKind::Consul(consul) => Some(Question::Get {
                url: consul_url(consul),
                token: consul.token.clone().map(|secret| ("X-Consul-Token", secret)),
                tls: consul.tls.clone(),
            }),
        }
    }

    /// The hosts that an answer lists. A source that the fleet file answers itself needs no text.
    pub fn hosts(&self, text: &str, now: Timestamp) -> Result<Vec<ListedHost>, AnswerError> {
        let mut hosts = answer::read(self, text)?;
        for host in &mut hosts {
            if !matches!(self.kind, SourceKind::Hosts(_)) {
                host.taken_at = Some(now);
            }
            facts::apply(self, host)?;
        }
        answer::refuse_doubles(&hosts)?;
        Ok(hosts)
    }
}

/// Ansible takes an inventory that it cannot read, or that is not there, for one without hosts, unless it is told not to.
const STRICT_ANSIBLE: [(&str, &str); 1] = [("ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED", "true")];

fn ansible_words(paths: &[PathBuf]) -> Vec<String> {
    let mut argv = vec!["ansible-inventory".to_owned(), "--list".to_owned()];
    for path in paths {
        argv.extend(["-i".to_owned(), path.display().to_string()]);
    }
    argv
}

fn ec2_words(ec2: &Ec2File) -> Vec<String> {
    let Ec2File { region, profile, endpoint, tags } = ec2;
    let mut argv: Vec<String> =
        ["aws", "ec2", "describe-instances", "--output", "json"].map(str::to_owned).into();
    for (flag, value) in
        [("--region", region), ("--profile", profile), ("--endpoint-url", endpoint)]
    {
        if let Some(value) = value {
            argv.extend([flag.to_owned(), value.clone()]);
        }
    }
    if !tags.is_empty() {
        // As JSON, so that a comma or a blank in a value stays part of it.
        let filter = |(key, value): (&String, &String)| json!({ "Name": format!("tag:{key}"), "Values": [value] });
        let filters: Vec<_> = tags.iter().map(filter).collect();
        argv.extend(["--filters".to_owned(), json!(filters).to_string()]);
    }
    argv
}

fn consul_url(consul: &ConsulFile) -> String {
    let base = consul.address.trim_end_matches('/');
    let path = match &consul.service {
        Some(service) => format!("{base}/v1/catalog/service/{}", quoted(service)),
        None => format!("{base}/v1/catalog/nodes"),
    };
    match &consul.datacenter {
        Some(datacenter) => format!("{path}?dc={}", quoted(datacenter)),
        None => path,
    }
}

/// A word of an address: the packs' templates know how it is written.
fn quoted(word: &str) -> String {
    let context =
        quorate_packs::template_value(&std::collections::BTreeMap::from([("word", word)]));
    quorate_packs::render("{{ word | urlencode }}", &context).unwrap_or_else(|_| word.to_owned())
}
