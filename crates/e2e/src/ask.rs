//! What a test asks of its bed while a run is under way: the journal as it stands, keys of the product, limits.

use crate::{Bed, until};
use quorate_model::{Outcome, Recorded, RunEvent, RunHeader, Seq};
use quorate_store::{SqliteStore, Store};
use serde_json::Value;
use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
    time::Duration,
};

/// One question to a member: it answers in milliseconds, or is asked again.
const STEP: Duration = Duration::from_secs(2);

/// Whether the member of etcd at this address (`127.0.0.1:2379`) says that it is well.
pub fn etcd_is_well(address: &str) -> bool {
    let said = || -> io::Result<String> {
        let address: SocketAddr = address.parse().map_err(io::Error::other)?;
        let mut socket = TcpStream::connect_timeout(&address, STEP)?;
        socket.set_read_timeout(Some(STEP))?;
        socket.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
        let mut said = String::new();
        socket.read_to_string(&mut said)?;
        Ok(said)
    };
    said().is_ok_and(|said| said.contains("\"true\""))
}

impl Bed {
    /// Writes limits (`soak_secs: 1`) into the cluster's policy.
    pub fn limit(&self, lines: &[&str]) {
        let text = fs::read_to_string(self.fleet()).expect("the fleet file");
        let head = "    environment: lab\n";
        let policy: String = lines.iter().map(|line| format!("      {line}\n")).collect();
        assert!(
            text.contains(head) && !text.contains("\n    policy:"),
            "the fleet file has another form: {text}"
        );
        fs::write(self.fleet(), text.replacen(head, &format!("{head}    policy:\n{policy}"), 1))
            .expect("the fleet file");
    }
    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.dir().join(".quorate")
    }
    /// The state's store; none before the first command made it.
    pub fn store(&self) -> Option<SqliteStore> {
        let file = self.state().join("state.db");
        file.is_file().then(|| SqliteStore::open(&file).expect("the state can be read"))
    }
    /// Runs, newest first.
    pub fn runs(&self) -> Vec<RunHeader> {
        self.store().map(|store| store.runs().expect("runs")).unwrap_or_default()
    }
    /// The journal of the newest run; empty before there is one.
    pub fn journal(&self) -> Vec<Recorded> {
        let Some(run) = self.runs().into_iter().next() else { return Vec::new() };
        self.store()
            .map(|store| store.journal(&run.run, Seq(0)).expect("a journal"))
            .unwrap_or_default()
    }
    /// Waits until the newest run's journal holds such an event, and gives the event.
    #[track_caller]
    pub fn wait_for(
        &self,
        limit: Duration,
        what: &str,
        mut holds: impl FnMut(&RunEvent) -> bool,
    ) -> Recorded {
        let mut found = None;
        until(limit, what, || {
            found = self.journal().into_iter().find(|recorded| holds(&recorded.event));
            found.is_some()
        });
        found.expect("it was found")
    }
    /// Waits until a step with this ending of its id is begun, and gives the node that it is about.
    #[track_caller]
    pub fn wait_for_start(&self, limit: Duration, role: &str) -> String {
        let seen = self.wait_for(limit, role, |event| matches!(event, RunEvent::Started { step, .. } if step.as_str().ends_with(role)));
        let RunEvent::Started { step, .. } = seen.event else {
            unreachable!("only such an event was waited for")
        };
        step.as_str().split('.').nth(1).unwrap_or_default().to_owned()
    }
    /// The newest run's report.
    pub fn report(&self) -> Value {
        self.json(&["run", "report"])
    }
    /// What the fleet file declares of a node: an endpoint's address.
    pub fn endpoint(&self, node: &str) -> String {
        let fleet = self.json(&["inventory"]);
        let nodes = fleet["clusters"][0]["nodes"].as_array().cloned().unwrap_or_default();
        let found = nodes
            .iter()
            .find(|one| one["name"] == node)
            .and_then(|one| one["endpoints"]["client"].as_str());
        found.unwrap_or_else(|| panic!("{node} has no endpoint: {fleet}")).to_owned()
    }
    /// Runs the product's own client against one member.
    #[track_caller]
    pub fn ctl(&self, node: &str, words: &[&str]) -> String {
        self.try_ctl(node, words).unwrap_or_else(|said| panic!("etcdctl {words:?}: {said}"))
    }
    /// The same, giving what the client complains of when it fails.
    pub fn try_ctl(&self, node: &str, words: &[&str]) -> Result<String, String> {
        let tool = crate::artifacts().join("etcd/3.4.23/etcdctl");
        let mut command = Command::new(tool);
        command.env("ETCDCTL_API", "3").arg("--endpoints").arg(self.endpoint(node)).args(words);
        let output = command.output().expect("etcdctl runs");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
    /// Runs the product's own client of the v2 API against one member.
    #[track_caller]
    pub fn ctl_v2(&self, node: &str, words: &[&str]) -> String {
        let tool = crate::artifacts().join("etcd/3.3.25/etcdctl");
        let mut command = Command::new(tool);
        command
            .env("ETCDCTL_API", "2")
            .arg("--no-sync")
            .arg("--endpoints")
            .arg(self.endpoint(node))
            .args(words);
        let output = command.output().expect("etcdctl runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "etcdctl {words:?} through {node}: {said}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }
    /// Writes a key.
    #[track_caller]
    pub fn put(&self, key: &str, value: &str) {
        assert_eq!(self.ctl(&self.node(1), &["put", key, value]), "OK");
    }
    /// Reads a key, linearizably, through one member; empty when it is not there.
    #[track_caller]
    pub fn get(&self, node: &str, key: &str) -> String {
        self.ctl(node, &["get", key, "--print-value-only"])
    }
}

/// Steps that were begun, in order, with every try.
pub fn started(journal: &[Recorded]) -> Vec<String> {
    let begun = |recorded: &Recorded| match &recorded.event {
        RunEvent::Started { step, .. } => Some(step.as_str().to_owned()),
        _ => None,
    };
    journal.iter().filter_map(begun).collect()
}

/// Steps that are over, in order, with how they ended.
pub fn finished(journal: &[Recorded]) -> Vec<(String, Outcome)> {
    let over = |recorded: &Recorded| match &recorded.event {
        RunEvent::Finished { step, outcome, .. } => {
            Some((step.as_str().to_owned(), outcome.clone()))
        }
        _ => None,
    };
    journal.iter().filter_map(over).collect()
}

/// The code of what halted the run last.
pub fn hold(journal: &[Recorded]) -> Option<quorate_model::Hold> {
    journal.iter().rev().find_map(|recorded| match &recorded.event {
        RunEvent::Halted { hold } => Some(hold.clone()),
        _ => None,
    })
}

/// Runs the controller that ends itself (`crashing`, whose path only a test knows): gives its exit status, none when it was killed.
#[track_caller]
pub fn crash(program: &str, bed: &Bed, what: &str, name: &str, when: &str) -> Option<i32> {
    let output = Command::new(program)
        .arg(bed.fleet())
        .args([what, name, when])
        .env("USER", "anna")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        None => None,
        Some(0) => Some(0),
        Some(code) => panic!("a controller that was not killed ended with {code}: {said}"),
    }
}
