//! Test beds of real processes: a lab cluster in a folder of its own, the real `quorate` binary, and what is asked of both.
//!
//! Invariant: whatever a test does, dropping its bed stops every process that the bed started, by its own id.
//! Releases come through the machine's own apt, once, into a folder of the build; `QUORATE_ARTIFACTS` names another.

pub mod application;
pub mod ask;
pub mod by_hand;
pub mod hosts;
pub mod lives;
pub mod machines;

mod hold;
mod look;
mod restart;
mod squat;
pub mod waves;

pub use hold::{Held, refuses_moves};
pub use look::{QUICK, files};
pub use restart::holds;
pub use squat::Squatter;

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// The three releases of the road, as Debian has them.
pub const ROAD: [&str; 3] = ["3.3.25", "3.4.23", "3.5.16"];

/// The release of Consul, as Debian has it.
pub const CONSUL: &str = "1.8.7";

/// A cluster on this machine, made for one test.
pub struct Bed {
    folder: tempfile::TempDir,
    name: String,
    /// Whether its members are processes of this machine, which `lab down` ends.
    lab: bool,
}

/// What a command gave.
#[derive(Debug)]
pub struct Said {
    /// Exit status.
    pub code: i32,
    /// Data.
    pub out: String,
    /// Everything else.
    pub err: String,
}

impl From<&Output> for Said {
    fn from(output: &Output) -> Self {
        Self::of(output)
    }
}

impl Said {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
    /// The JSON document on stdout.
    pub fn json(&self) -> Value {
        serde_json::from_str(self.out.trim())
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }
    /// Insists on an exit status.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit status; stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }
    /// Insists that stderr (where people are told things) says all of this.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "stderr lacks `{word}`:\n{}", self.err);
        }
        self
    }
}

/// The binary under test: of the release build when there is one.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("QUORATE_BIN") {
        return PathBuf::from(path);
    }
    let target = std::env::current_exe()
        .ok()
        .and_then(|exe| {
            exe.ancestors()
                .find(|folder| folder.join("release").is_dir() || folder.join("debug").is_dir())
                .map(Path::to_owned)
        })
        .expect("tests run from the build's folder");
    let newest = ["release/quorate", "debug/quorate"]
        .iter()
        .map(|name| target.join(name))
        .filter(|path| path.is_file());
    newest
        .max_by_key(|path| fs::metadata(path).and_then(|meta| meta.modified()).ok())
        .expect("build it first: cargo build --release -p quorate-cli")
}

/// The folder of releases, laid out `DIR/<product>/<release>/<binary>`; fetched when it is not there yet.
pub fn artifacts() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| match std::env::var_os("QUORATE_ARTIFACTS") {
        Some(folder) => PathBuf::from(folder),
        None => fetch(),
    })
}

fn fetch() -> PathBuf {
    let folder = std::env::temp_dir().join("quorate-e2e-artifacts");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let cache =
            quorate_hosts::artifacts::Cache::open(folder.join("cache")).expect("a cache folder");
        let packs = quorate_packs::Packs::builtin();
        let etcd = ROAD.map(|release| ("etcd", release));
        for (product, text) in etcd.into_iter().chain([("consul", CONSUL)]) {
            let pack = packs.get(&product.into()).expect("the pack is built in");
            let release = text.parse().expect("a release");
            let whole = folder.join(product).join(text);
            if whole.join(".whole").is_file() {
                continue;
            }
            let artifact = quorate_runner::ops::artifacts::from_debian(
                &cache,
                pack,
                &release,
                &quorate_hosts::artifacts::silent,
            )
            .await
            .unwrap_or_else(|problem| panic!("{problem}"));
            let files = cache.bring(&artifact).await.expect("files of the cache");
            fs::create_dir_all(&whole).expect("a folder");
            for (file, from) in artifact.files.iter().zip(files) {
                let to = whole.join(&file.name);
                // By a name of its own and a rename: two tests may fetch at once.
                let part = whole.join(format!(".{}-{}", file.name, std::process::id()));
                fs::copy(&from, &part).expect("a copy");
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                fs::set_permissions(&part, mode).expect("permissions");
                fs::rename(&part, &to).expect("a rename");
            }
            fs::write(whole.join(".whole"), "").expect("a mark");
        }
    });
    folder
}

impl Bed {
    /// A lab of three members of etcd on this release; more words for `lab up` may follow (`--tls`, `--members 5`).
    pub fn up(release: &str, more: &[&str]) -> Self {
        Self::of("etcd", release, more)
    }
    /// The same of another product.
    pub fn of(product: &str, release: &str, more: &[&str]) -> Self {
        let mut bed = Self::empty();
        bed.lab = true;
        let dir = bed.dir();
        let artifacts = artifacts().display().to_string();
        let mut words = vec![
            "lab",
            "up",
            product,
            "--release",
            release,
            "--name",
            &bed.name,
            "--artifacts",
            &artifacts,
            "--dir",
        ];
        let text = dir.display().to_string();
        words.push(&text);
        words.extend(more);
        bed.run_bare(&words).expect(0);
        bed
    }
    /// A folder with a name of its own, for a cluster whose members live elsewhere.
    pub fn empty() -> Self {
        let folder = tempfile::Builder::new().prefix("quorate-e2e-").tempdir().expect("a folder");
        let ending = folder.path().file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let name = ending.replace("quorate-e2e-", "t");
        Self { folder, name, lab: false }
    }
    /// The lab's folder.
    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("lab")
    }
    /// A folder for the test's own files.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }
    /// The fleet file.
    pub fn fleet(&self) -> PathBuf {
        self.dir().join("fleet.yaml")
    }
    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// A node's name, counted from 1.
    pub fn node(&self, number: usize) -> String {
        format!("{}-{number}", self.name)
    }
    /// Runs `quorate --fleet ... WORDS` and waits for its end.
    pub fn quorate(&self, words: &[&str]) -> Said {
        timed(self.command(words), words)
    }
    /// The same with `--output json`, as the document that it printed.
    #[track_caller]
    pub fn json(&self, words: &[&str]) -> Value {
        let mut all = vec!["--output", "json"];
        all.extend(words);
        self.quorate(&all).expect(0).json()
    }
    /// Starts it and does not wait.
    pub fn spawn(&self, words: &[&str]) -> Child {
        self.command(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("quorate starts")
    }
    /// The command, for tests that set more of it.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .arg("--fleet")
            .arg(self.fleet())
            .args(words)
            .stdin(Stdio::null())
            .env("USER", "anna");
        if matches!(
            words.first(),
            Some(
                &"plan"
                    | &"upgrade"
                    | &"apply"
                    | &"prepare"
                    | &"rollback"
                    | &"detect"
                    | &"backup"
                    | &"restore"
                    | &"rejoin"
            )
        ) {
            command.arg("--artifacts").arg(artifacts());
        }
        command
    }
    fn run_bare(&self, words: &[&str]) -> Said {
        let mut command = Command::new(binary());
        command.args(words).stdin(Stdio::null());
        timed(command, words)
    }
    /// What `detect` says of the cluster.
    pub fn detect(&self) -> Value {
        self.json(&["detect"])["clusters"][0].clone()
    }
    /// The releases that the members run, in the order of the nodes; none for a member that does not answer.
    pub fn releases(&self) -> Vec<Option<String>> {
        let seen = self.detect();
        let nodes = seen["nodes"].as_array().cloned().unwrap_or_default();
        nodes.iter().map(|node| node["release"].as_str().map(str::to_owned)).collect()
    }
    /// The process id of a node.
    pub fn pid(&self, node: &str) -> i32 {
        let seen = self.detect();
        let nodes = seen["nodes"].as_array().cloned().unwrap_or_default();
        let found = nodes
            .iter()
            .find(|one| one["name"] == node)
            .and_then(|one| one["process"]["pid"].as_i64());
        i32::try_from(found.unwrap_or_else(|| panic!("{node} has no process: {seen}")))
            .expect("a process id")
    }
    /// Breaks something, with the lab's own fault command.
    pub fn fault(&self, node: &str, fault: &str, more: &[&str]) {
        let mut words = vec!["lab", "fault", &self.name, fault, node];
        words.extend(more);
        self.run_bare(&words).expect(0);
    }
    /// Makes a plan into a file, with these extra words, and gives the file.
    #[track_caller]
    pub fn plan(&self, to: &str, more: &[&str]) -> PathBuf {
        let file = self.scratch().join(format!("plan-{to}.json"));
        let text = file.display().to_string();
        let mut words = vec!["plan", self.name.as_str(), "--to", to, "-o", &text];
        words.extend(more);
        self.quorate(&words).expect(0);
        file
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if !self.lab {
            return;
        }
        let dir = self.dir().display().to_string();
        let down = self.run_bare(&["lab", "down", &dir, "--yes"]);
        if down.code != 0 && !std::thread::panicking() {
            panic!("the lab could not be taken down: {down:?}");
        }
    }
}

/// Runs it to its end, and says how long that took: what a test that failed, or became slow, spent its time on.
fn timed(mut command: Command, words: &[&str]) -> Said {
    let began = Instant::now();
    let output = command.output().expect("quorate runs");
    eprintln!("{:7.1} s  quorate {}", began.elapsed().as_secs_f64(), words.join(" "));
    Said::of(&output)
}

/// Looks until it holds; fails after the limit with what it waited for.
#[track_caller]
pub fn until(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Longer than any run of a test takes on a busy machine, shorter than a test may.
const CHILD_LIMIT: Duration = Duration::from_secs(200);

/// Reads a child to its end. One that waits for somebody who never comes is killed, and the test fails.
#[track_caller]
pub fn finish(child: Child) -> Said {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let (sender, ended) = std::sync::mpsc::channel();
    // The receiver is gone only when the test has failed already.
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match ended.recv_timeout(CHILD_LIMIT) {
        Ok(output) => Said::of(&output.expect("the child ends")),
        Err(_) => {
            let killed = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            let said = ended.recv().ok().and_then(Result::ok).map(|output| Said::of(&output));
            panic!("process {pid} did not end within {CHILD_LIMIT:?} ({killed:?}): {said:?}");
        }
    }
}
