//! The command line, as clap reads it. Help texts are imperatives without a full stop.

mod detect;
mod exec;

pub(crate) use detect::Detect;
pub(crate) use exec::Exec;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Upgrade stateful clusters without an outage
#[derive(Debug, Parser)]
#[command(name = "quorate", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Fleet file; looked for upwards from here when left out
    #[arg(long, global = true, value_name = "FILE", env = "QUORATE_FLEET")]
    pub(crate) fleet: Option<PathBuf>,
    /// State folder; `.quorate` beside the fleet file when left out
    #[arg(long, global = true, value_name = "DIR", env = "QUORATE_STATE")]
    pub(crate) state: Option<PathBuf>,
    /// Form of what is printed
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
    /// Say more on stderr; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to colour
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// Use the hosts that a source of the inventory listed last when it does not answer
    #[arg(long, global = true)]
    pub(crate) stale_hosts: bool,
}

/// Form of what is printed
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// One JSON document; one event a line from long-running commands
    Json,
    /// A table for other programs; from `detect`
    Csv,
}

/// When to colour
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Upgrade a live three-member etcd cluster on this machine under load, and report
    Demo(Demo),
    /// Write a fleet file: a commented starter, running clusters that are adopted, or the hosts of Ansible
    Init(Init),
    /// Show hosts and nodes: what the fleet file declares, and what the sources of its inventory list
    Inventory(Inventory),
    /// Show what runs: release, role, leader, health, lag, store, TLS and findings of every node
    Detect(Detect),
    /// Run a command on the hosts of many nodes, and show those together that said the same
    Exec(Exec),
    /// Show the hops between two releases, and why each is permitted
    Path(PathArgs),
    /// Plan a cluster's way to a release
    Plan(PlanArgs),
    /// Prove a plan again, independently
    Check(Check),
    /// Stage and verify a plan's artifacts on every node; services are not touched
    Prepare(PlanFile),
    /// Carry out a plan
    Apply(Apply),
    /// Plan, show, ask, prepare and apply
    Upgrade(Upgrade),
    /// See and steer runs
    #[command(subcommand)]
    Run(RunCommand),
    /// Plan and carry out the way back of a run
    Rollback(Rollback),
    /// Take a member out of its cluster and of the list that clients get
    Eject(Eject),
    /// Bring a member back that was taken out, empty, and let it catch up
    Rejoin(Rejoin),
    /// Copy a cluster's data and prove the copy by restoring it
    Backup(Backup),
    /// Put a backup back on every member
    Restore(Restore),
    /// Compare what members hold, and give everybody the data of one of them
    Recover(Recover),
    /// Use a cluster as clients do, and show what they see
    Probe(Probe),
    /// Make clusters on this machine to try things on
    #[command(subcommand)]
    Lab(LabCommand),
    /// Fetch releases, and see which are at hand
    #[command(subcommand)]
    Artifact(ArtifactCommand),
    /// See and check product knowledge
    #[command(subcommand)]
    Pack(PackCommand),
    /// Print the JSON Schema of the fleet file
    Schema,
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Where artifacts come from
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Artifacts {
    /// Folder of artifacts, laid out `DIR/<pack>/<release>/<binary>`; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) artifacts: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    #[command(flatten)]
    pub(crate) artifacts: Artifacts,
    /// Write the report to this folder
    #[arg(long, value_name = "DIR", default_value = "quorate-demo")]
    pub(crate) out: PathBuf,
    /// Do not open the report in a browser
    #[arg(long)]
    pub(crate) no_open: bool,
    /// Seconds of healthy time between members
    #[arg(long, value_name = "SECS", default_value_t = 2.0)]
    pub(crate) soak: f64,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Adopt the running cluster behind this endpoint, `http://10.0.0.1:2379`
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Log in to these hosts, and adopt the products that run there
    #[arg(long, value_name = "HOST", num_args = 1.., value_delimiter = ',', conflicts_with = "endpoint")]
    pub(crate) ssh: Vec<String>,
    /// Configuration of the SSH client; `~/.ssh/config` when left out
    #[arg(long, value_name = "FILE", requires = "ssh")]
    pub(crate) ssh_config: Option<PathBuf>,
    /// Take the hosts of these inventories of Ansible
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with_all = ["endpoint", "ssh"])]
    pub(crate) ansible: Vec<PathBuf>,
    /// Product of the cluster behind `--endpoint`
    #[arg(long, default_value = "etcd")]
    pub(crate) pack: String,
    /// Name of the cluster
    #[arg(long, default_value = "main")]
    pub(crate) name: String,
    /// Certificates (PEM) that sign the servers' certificates
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Client certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// Key of the client certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// User inside the product
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// File that holds the user's password
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(crate) password_file: Option<PathBuf>,
    /// Overwrite an existing file
    #[arg(long)]
    pub(crate) force: bool,
    /// File to write
    #[arg(default_value = "fleet.yaml")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Inventory {
    /// Which hosts, `environment=prod,role=consul`, `network=10.0.0.0/8`, `web-*`; several mean all of theirs
    pub(crate) selectors: Vec<String>,
    /// Print only the hosts, one a line, by the names that SSH takes
    #[arg(long, conflicts_with = "output")]
    pub(crate) hosts: bool,
    /// Ask every source, however fresh its last answer is
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Believe a source that lists no host, or far fewer than before
    #[arg(long)]
    pub(crate) accept_fewer: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Names {
    /// Names of clusters, `*` for any text; all when left out
    pub(crate) clusters: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PathArgs {
    /// Product
    pub(crate) pack: String,
    /// Release that runs
    pub(crate) from: String,
    /// Release that is wanted
    pub(crate) to: String,
    /// Releases at hand; all known ones when left out
    #[arg(long, value_name = "RELEASE", value_delimiter = ',')]
    pub(crate) available: Vec<String>,
    /// A fact of the cluster, `auth=true`; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) fact: Vec<String>,
    /// Lead the path through a change of the form of the data, `v2-to-v3`
    #[arg(long, value_name = "CONVERSION")]
    pub(crate) convert: Option<String>,
    /// Draw it instead
    #[arg(long, value_enum)]
    pub(crate) format: Option<Drawing>,
}

/// Ways to draw a path
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Drawing {
    /// Graphviz
    Dot,
    /// A picture
    Svg,
    /// Mermaid
    Mermaid,
}

/// Limits that may be said on the command line instead of in the policy
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Limits {
    /// Seconds of healthy time between members
    #[arg(long, value_name = "SECS")]
    pub(crate) soak: Option<f64>,
    /// Who says yes, and how often
    #[arg(long, value_enum)]
    pub(crate) approve: Option<Approve>,
    /// Make configuration rewrites that the pack knows part of the plan
    #[arg(long)]
    pub(crate) rewrite_config: bool,
    /// Allow an outage where the cluster cannot be rolled
    #[arg(long)]
    pub(crate) allow_outage: bool,
}

/// How often a person is asked
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Approve {
    /// Before each member
    Each,
    /// Before each wave
    Wave,
    /// Only before one-way doors
    None,
}

/// What every member shall run, or run with
#[derive(Debug, Clone, Args)]
pub(crate) struct Aim {
    /// Release that every member shall run
    #[arg(long, value_name = "RELEASE", required_unless_present_any = ["restart", "set", "unset"])]
    pub(crate) to: Option<String>,
    /// Lead the plan through a change of the form of the data, `v2-to-v3`, in an outage
    #[arg(long, value_name = "CONVERSION", requires = "to")]
    pub(crate) convert: Option<String>,
    /// Install the running release anew on every member, and start it again
    #[arg(long, conflicts_with_all = ["to", "set", "unset"])]
    pub(crate) restart: bool,
    /// A setting that members shall run with, on the release that runs, `raft-protocol=3`; may be repeated
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "to")]
    pub(crate) set: Vec<String>,
    /// A setting that members shall not be given any more; may be repeated
    #[arg(long, value_name = "KEY", conflicts_with = "to")]
    pub(crate) unset: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Cluster
    pub(crate) cluster: String,
    #[command(flatten)]
    pub(crate) aim: Aim,
    /// Write the plan to a file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Write the run book, in Markdown, to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) runbook: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    #[command(flatten)]
    pub(crate) artifacts: Artifacts,
}

#[derive(Debug, Args)]
pub(crate) struct PlanFile {
    /// Plan file, or the beginning of a kept plan's digest
    pub(crate) plan: String,
    #[command(flatten)]
    pub(crate) artifacts: Artifacts,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Plan file, or the beginning of a kept plan's digest
    pub(crate) plan: String,
}

/// How a run is carried out
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Carry {
    /// Say yes to every approval and to every question
    #[arg(long)]
    pub(crate) yes: bool,
    /// Run without a client's view
    #[arg(long)]
    pub(crate) no_probe: bool,
    /// Take the cluster from a controller that still holds it; say why
    #[arg(long, value_name = "REASON")]
    pub(crate) break_lease: Option<String>,
    /// Begin although a freeze window is open, or no maintenance window holds the run; say why
    #[arg(long, value_name = "REASON")]
    pub(crate) override_freeze: Option<String>,
    /// Print lines although this is a terminal
    #[arg(long)]
    pub(crate) plain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// Plan file, or the beginning of a kept plan's digest
    #[arg(required_unless_present = "resume")]
    pub(crate) plan: Option<String>,
    /// Carry on a run that was paused, halted or lost its controller
    #[arg(long, value_name = "RUN")]
    pub(crate) resume: Option<String>,
    #[command(flatten)]
    pub(crate) carry: Carry,
    #[command(flatten)]
    pub(crate) artifacts: Artifacts,
}

#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    #[command(flatten)]
    pub(crate) carry: Carry,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunCommand {
    /// List runs
    List,
    /// Say in four lines what a run does, waits for, who must act, and how long still
    Show(RunName),
    /// Watch a run that another terminal carries out
    Watch(RunWatch),
    /// Pause at the next safe point
    Pause(RunReason),
    /// Carry on
    Resume(Resume),
    /// End at the next safe point
    Abort(RunReason),
    /// Say yes to the step that waits
    Approve(RunName),
    /// Write something down
    Note(RunNote),
    /// Write the report
    Report(Report),
}

#[derive(Debug, Args)]
pub(crate) struct RunName {
    /// Run; the newest when left out
    pub(crate) run: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RunWatch {
    /// Run; the newest when left out
    pub(crate) run: Option<String>,
    /// Print lines although this is a terminal
    #[arg(long)]
    pub(crate) plain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunReason {
    /// Run; the newest when left out
    pub(crate) run: Option<String>,
    /// Why
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct RunNote {
    /// Run
    pub(crate) run: String,
    /// What to write down
    pub(crate) text: String,
}

#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// Run; the newest when left out
    pub(crate) run: Option<String>,
    #[command(flatten)]
    pub(crate) carry: Carry,
    #[command(flatten)]
    pub(crate) artifacts: Artifacts,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Run; the newest when left out
    pub(crate) run: Option<String>,
    /// Form
    #[arg(long, value_enum)]
    pub(crate) format: Option<ReportForm>,
    /// File to write; stdout when left out
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Forms of a report
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportForm {
    /// For a terminal
    Text,
    /// One self-contained file
    Html,
    /// Markdown
    Markdown,
    /// JSON
    Json,
    /// JUnit XML
    Junit,
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Run; the newest when left out
    pub(crate) run: Option<String>,
    /// Only plan; write the plan to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) plan_only: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) carry: Carry,
    #[command(flatten)]
    pub(crate) artifacts: Artifacts,
}

/// How a change of the membership is planned and carried out
#[derive(Debug, Args)]
pub(crate) struct Change {
    /// Only plan; write the plan to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) plan_only: Option<PathBuf>,
    /// Write the run book to this file, as Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) runbook: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) carry: Carry,
}

#[derive(Debug, Args)]
pub(crate) struct Eject {
    /// Cluster
    pub(crate) cluster: String,
    /// Node that goes
    pub(crate) node: String,
    /// Why; it stands in the journal, the report and `detect` until the node is back
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) change: Change,
}

#[derive(Debug, Args)]
pub(crate) struct Rejoin {
    /// Cluster
    pub(crate) cluster: String,
    /// Node that comes back
    pub(crate) node: String,
    #[command(flatten)]
    pub(crate) change: Change,
    #[command(flatten)]
    pub(crate) artifacts: Artifacts,
}

#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Cluster
    pub(crate) cluster: String,
    #[command(flatten)]
    pub(crate) artifacts: Artifacts,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// Cluster
    pub(crate) cluster: String,
    /// Backup file
    pub(crate) file: PathBuf,
    /// Put it back although it is a backup of another cluster; say why
    #[arg(long, value_name = "REASON")]
    pub(crate) other_cluster: Option<String>,
    #[command(flatten)]
    pub(crate) carry: Carry,
    #[command(flatten)]
    pub(crate) artifacts: Artifacts,
}

#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// Cluster
    pub(crate) cluster: String,
    /// The member whose data everybody gets; the one with the newest data when left out
    #[arg(long, value_name = "NODE")]
    pub(crate) source: Option<String>,
    /// Only compare: show the differences, and change nothing
    #[arg(long)]
    pub(crate) compare: bool,
    #[command(flatten)]
    pub(crate) carry: Carry,
    #[command(flatten)]
    pub(crate) artifacts: Artifacts,
}

#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// Cluster
    pub(crate) cluster: String,
    /// Seconds to look
    #[arg(long, value_name = "SECS", default_value_t = 10.0)]
    pub(crate) secs: f64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LabCommand {
    /// Make a cluster of plain processes, or whole Debian machines; prints the file that says how to reach it
    Up(LabUp),
    /// Remove what `lab up` made
    Down {
        /// Name
        name: String,
        /// Say yes to the deletion
        #[arg(long)]
        yes: bool,
    },
    /// List what `lab up` made
    List,
    /// Break something on purpose
    Fault(LabFault),
}

#[derive(Debug, Args)]
pub(crate) struct LabUp {
    /// Product, or `machines`
    pub(crate) pack: String,
    /// Release; of Debian for machines: `bookworm`, `bullseye`, `trixie`
    #[arg(long)]
    pub(crate) release: String,
    /// Members, or machines
    #[arg(long, visible_alias = "count", value_name = "N", default_value_t = 3)]
    pub(crate) members: u32,
    /// Clients that belong to the cluster, where the product has some: Consul's agents
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) clients: u32,
    /// Name of the lab
    #[arg(long, default_value = "demo")]
    pub(crate) name: String,
    /// Folder to make; `lab-NAME` here when left out
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// With TLS and client certificates
    #[arg(long)]
    pub(crate) tls: bool,
    /// With a user and a password
    #[arg(long)]
    pub(crate) auth: bool,
    /// Keys to write through the v2 API
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) v2_keys: u32,
    /// A flag added to every member, `--debug`; may be repeated
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
    pub(crate) flag: Vec<String>,
    #[command(flatten)]
    pub(crate) artifacts: Artifacts,
    #[command(flatten)]
    pub(crate) machines: LabMachines,
}

/// What only machines have.
#[derive(Debug, Args)]
#[command(next_help_heading = "Machines only")]
pub(crate) struct LabMachines {
    /// Size of each machine's data volume
    #[arg(long, value_name = "MB")]
    pub(crate) data_mb: Option<u32>,
    /// With a second user, `asks`, whose sudo asks for a password
    #[arg(long)]
    pub(crate) asks: bool,
    /// A Debian package to have beside the usual ones; may be repeated
    #[arg(long = "with", value_name = "PACKAGE")]
    pub(crate) packages: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LabFault {
    /// Name of the lab
    pub(crate) name: String,
    /// What to break
    #[arg(value_enum)]
    pub(crate) fault: Fault,
    /// Node, or machine; for the network a set of machines, `m1,m2`, also `controller` (this machine) or `all`
    pub(crate) node: String,
    /// Release whose staged binary is damaged
    #[arg(long)]
    pub(crate) release: Option<String>,
    /// The other side of a cut or a loss; everybody else when left out
    #[arg(long, value_name = "SET")]
    pub(crate) from: Option<String>,
    /// How many packets are dropped
    #[arg(long, value_name = "PERCENT")]
    pub(crate) share: Option<f64>,
    /// Program whose clock is changed
    #[arg(long, value_name = "NAME")]
    pub(crate) program: Option<String>,
    /// By how much the clock is off
    #[arg(long, value_name = "SECS", allow_hyphen_values = true)]
    pub(crate) by: Option<i64>,
}

/// What to break
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// SIGKILL; a machine loses its power
    #[value(alias = "power-off")]
    Kill,
    /// SIGSTOP; a machine stops as a whole
    Freeze,
    /// SIGCONT
    Thaw,
    /// Stop politely; a machine shuts down
    Stop,
    /// Start; a machine boots with the disks it had
    Start,
    /// Fill the disk that holds the data
    FillDisk,
    /// Give the space back
    FreeDisk,
    /// Damage the staged binary
    DamageArtifact,
    /// Cut the network between machines and others (`--from`)
    Cut,
    /// Drop a share of the packets (`--share`) between machines and others (`--from`)
    Drop,
    /// Mend the network of these machines
    Heal,
    /// Let sshd accept and never answer
    HangSsh,
    /// Let sshd go on
    MendSsh,
    /// Jump the wall clock (`--by`) of a program (`--program`)
    JumpClock,
    /// Put the wall clock of a program right
    MendClock,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactCommand {
    /// List releases at hand, with their digests
    List {
        /// Product
        #[arg(default_value = "etcd")]
        pack: String,
        #[command(flatten)]
        artifacts: Artifacts,
    },
    /// Fetch a release into the cache: from an address, or from a Debian suite through apt
    Fetch(ArtifactFetch),
}

#[derive(Debug, Args)]
pub(crate) struct ArtifactFetch {
    /// Product
    pub(crate) pack: String,
    /// Release
    pub(crate) release: String,
    /// Address of a tar.gz, a zip or a bare binary; Debian when left out
    #[arg(long, requires = "sha256")]
    pub(crate) url: Option<String>,
    /// SHA-256 of what the address gives
    #[arg(long, value_name = "HEX", requires = "url")]
    pub(crate) sha256: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PackCommand {
    /// List packs
    List,
    /// Show what a pack knows
    Show {
        /// Pack
        pack: String,
    },
    /// Check pack files
    Lint {
        /// Files or folders; the built-in packs when left out
        files: Vec<PathBuf>,
    },
    /// Run a pack's golden path tests
    Test {
        /// Folders of packs; the built-in packs when left out
        folders: Vec<PathBuf>,
    },
    /// Print the JSON Schema of packs
    Schema,
}
