//! Looks at a bed past the product: process ids, arguments and files, so that no test takes Quorate's word for them.

use crate::Bed;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

impl Bed {
    /// The names of the nodes that have a folder, in order.
    pub fn nodes(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir().join("members")).expect("the lab's members");
        let names: BTreeSet<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.into_iter().collect()
    }
    /// The process id that a node's own file names; none when no such process lives.
    pub fn live_pid(&self, node: &str) -> Option<i32> {
        let own = self.dir().join("members").join(node);
        let files = ["etcd.pid", "consul.pid"].map(|name| fs::read_to_string(own.join(name)));
        let text = files.into_iter().find_map(Result::ok)?;
        let pid: i32 = text.split_whitespace().next()?.parse().ok()?;
        let argv = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        (!argv.is_empty()).then_some(pid)
    }
    /// Process ids of every node: two equal answers mean that nothing was stopped or started between.
    pub fn live_pids(&self) -> BTreeMap<String, Option<i32>> {
        self.nodes().into_iter().map(|node| (node.clone(), self.live_pid(&node))).collect()
    }
    /// The arguments that a node's process really runs with.
    pub fn live_argv(&self, node: &str) -> Vec<String> {
        let pid = self.live_pid(node).unwrap_or_else(|| panic!("{node} does not run"));
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).expect("arguments of a live process");
        bytes
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty())
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect()
    }
    /// Every file of a member's `bin` folder: what was staged beside the live binary shows there.
    pub fn bin_files(&self, node: &str) -> BTreeSet<PathBuf> {
        files(&self.dir().join("members").join(node).join("bin"))
    }
    /// Every file of the lab except the members' own data, logs and process ids, and except the state folder.
    pub fn files(&self) -> BTreeSet<PathBuf> {
        let own = |path: &PathBuf| {
            !path
                .components()
                .any(|part| matches!(part.as_os_str().to_str(), Some("data" | ".quorate")))
        };
        files(&self.dir())
            .into_iter()
            .filter(own)
            .filter(|path| path.extension().is_none_or(|ending| ending != "log" && ending != "pid"))
            .collect()
    }
    /// The address at which a node's process serves clients.
    pub fn client_url(&self, node: &str) -> String {
        let argv = self.live_argv(node);
        let url = argv.iter().find_map(|word| word.strip_prefix("--listen-client-urls="));
        url.unwrap_or_else(|| panic!("{node} names no client address: {argv:?}")).to_owned()
    }
    /// Limits that make a run quick where time is not what a test is about.
    pub fn quick(&self) {
        self.limit(QUICK);
    }
}

/// The lines of [`Bed::quick`], for tests that add their own.
pub const QUICK: &[&str] =
    &["soak_secs: 0.2", "good_looks: 2", "look_every_secs: 0.2", "baseline_secs: 1"];

/// Every file below a folder, relative to it.
pub fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(path);
            } else if let Ok(relative) = path.strip_prefix(folder) {
                found.insert(relative.to_owned());
            }
        }
    }
    found
}
