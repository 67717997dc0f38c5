//! A cluster that nobody's lab made: started by hand, adopted through one endpoint, planned and upgraded, and left running.

use quorate_e2e::{artifacts, ask::etcd_is_well, binary, until};
use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// How somebody has laid out and called the members.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    /// A folder a member with all tools, called by absolute paths.
    Whole,
    /// `b0/etcd`, called so from the folder above, and no other tool beside it.
    Relative,
    /// One `bin/etcd` for all.
    Shared,
}

/// Members started by hand; dropped, they are ended by their own ids.
struct ByHand {
    folder: tempfile::TempDir,
    clients: Vec<String>,
}

impl ByHand {
    fn start(release: &str, layout: Layout) -> Self {
        let folder = tempfile::Builder::new().prefix("quorate-by-hand-").tempdir().unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let held: Vec<TcpListener> = (0..6).map(|_| free()).collect();
        let urls: Vec<String> =
            held.iter().map(|port| format!("http://{}", port.local_addr().unwrap())).collect();
        drop(held);
        let (clients, peers) = urls.split_at(3);
        let all: Vec<String> =
            peers.iter().enumerate().map(|(at, peer)| format!("hand{at}={peer}")).collect();
        let released = artifacts().join("etcd").join(release);
        for at in 0..3 {
            let home = folder.path().join(format!("host-{at}"));
            // A binary of its own for each member, as three hosts would have, unless they share one.
            let (bin, names, called, from): (_, &[&str], _, _) = match layout {
                Layout::Whole => {
                    (home.join("bin"), &["etcd", "etcdctl"], home.join("bin/etcd"), home.clone())
                }
                Layout::Relative => {
                    let bin = folder.path().join(format!("b{at}"));
                    (bin, &["etcd"], format!("b{at}/etcd").into(), folder.path().to_owned())
                }
                Layout::Shared => {
                    let bin = folder.path().join("bin");
                    let called = bin.join("etcd");
                    (bin, &["etcd"], called, home.clone())
                }
            };
            fs::create_dir_all(&home).unwrap();
            fs::create_dir_all(&bin).unwrap();
            for name in names.iter().filter(|name| !bin.join(name).exists()) {
                fs::copy(released.join(name), bin.join(name)).unwrap();
            }
            let log = fs::File::create(home.join("log")).unwrap();
            let data = home.join("data").display().to_string();
            let status = Command::new("setsid")
                .arg("--fork")
                .arg(called)
                .args(["--name", &format!("hand{at}"), "--data-dir", &data])
                .args(["--listen-client-urls", &clients[at]])
                .args(["--advertise-client-urls", &clients[at]])
                .args(["--listen-peer-urls", &peers[at]])
                .args(["--initial-advertise-peer-urls", &peers[at]])
                .args(["--initial-cluster", &all.join(","), "--initial-cluster-token", "by-hand"])
                .current_dir(from)
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .status()
                .unwrap();
            assert!(status.success());
        }
        let bed = Self { folder, clients: clients.to_vec() };
        // All of them: two make a cluster that can be adopted, and the third would be one that is not there yet.
        until(Duration::from_secs(20), "every member is well", || {
            bed.clients.iter().all(|url| etcd_is_well(url.trim_start_matches("http://")))
        });
        until(Duration::from_secs(20), "the cluster serves", || {
            bed.quorate(&["init", "--force", "--endpoint", &bed.clients[0]]).0 == 0
        });
        bed
    }
    fn path(&self) -> &Path {
        self.folder.path()
    }
    /// Processes whose program lies in this folder, whatever they call it.
    fn pids(&self) -> Vec<i32> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let own = |pid: &i32| {
            fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.starts_with(self.path()))
        };
        entries
            .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
            .filter(own)
            .collect()
    }
    /// What every node says of one thing.
    #[track_caller]
    fn seen(&self, pointer: &str) -> Vec<serde_json::Value> {
        let (code, seen, said) = self.quorate(&["--output", "json", "detect"]);
        let seen: serde_json::Value =
            serde_json::from_str(&seen).unwrap_or_else(|error| panic!("{code} {error}: {said}"));
        let nodes = seen["clusters"][0]["nodes"].as_array().cloned().unwrap_or_default();
        nodes.iter().map(|node| node.pointer(pointer).cloned().unwrap_or_default()).collect()
    }
    /// Upgrades, and insists that nothing was lost and every member runs on as the new release.
    #[track_caller]
    fn upgrade(&self, to: &str) {
        let artifacts = artifacts().display().to_string();
        let words = ["upgrade", "main", "--to", to, "--soak", "1", "--yes", "--artifacts"];
        let (code, _, said) = self.quorate(&[words.as_slice(), &[&artifacts]].concat());
        assert_eq!(code, 0, "{said}");
        let (_, report, said) = self.quorate(&["--output", "json", "run", "report"]);
        let report: serde_json::Value =
            serde_json::from_str(&report).unwrap_or_else(|error| panic!("{error}: {said}"));
        assert_eq!(
            (&report["client"]["writes_lost"], &report["client"]["requests_failed"]),
            (&0.into(), &0.into())
        );
        assert_eq!(self.seen("/release"), vec![serde_json::Value::from(to); 3]);
        assert_eq!(self.seen("/healthy"), vec![serde_json::Value::from(true); 3]);
        assert_eq!(self.pids().len(), 3, "three members run on");
    }
    fn quorate(&self, words: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(binary());
        command
            .args(words)
            .current_dir(self.path())
            .stdin(Stdio::null())
            .env_remove("QUORATE_FLEET");
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        for pid in self.pids() {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGKILL,
            );
        }
    }
}

#[test]
fn a_cluster_that_quorate_did_not_start_is_adopted_and_upgraded() {
    let bed = ByHand::start("3.4.23", Layout::Whole);
    let pids = bed.pids();
    let fleet = fs::read_to_string(bed.path().join("fleet.yaml")).unwrap();
    for at in 0..3 {
        assert!(
            fleet.contains(&format!("hand{at}")) && fleet.contains(&bed.clients[at]),
            "{fleet}"
        );
    }
    assert_eq!(bed.seen("/release"), vec![serde_json::Value::from("3.4.23"); 3]);
    assert_eq!(bed.pids(), pids, "adopting and looking touch nothing");
    bed.upgrade("3.5.16");
}

#[test]
fn a_member_called_by_a_relative_name_is_stopped_before_its_file_is_exchanged() {
    let bed = ByHand::start("3.4.23", Layout::Relative);
    let pids = bed.pids();
    // The identity is what proves a process best; without it, as after a hand-written fleet file, the rest must do.
    for at in 0..3 {
        let note = format!(".quorate/adopted/main/hand{at}.pid.identity");
        fs::remove_file(bed.path().join(note)).unwrap();
    }
    bed.upgrade("3.5.16");
    let now = bed.pids();
    assert!(pids.iter().all(|pid| !now.contains(pid)), "every old process was ended: {pids:?}");
}

#[test]
fn a_member_that_answers_is_not_stopped_though_its_process_is_not_found() {
    let bed = ByHand::start("3.4.23", Layout::Relative);
    let pids = bed.pids();
    // Nothing leads from the declaration to the process any more: not the pid file, not the program, not its places.
    fs::remove_dir_all(bed.path().join(".quorate/adopted")).unwrap();
    let file = bed.path().join("fleet.yaml");
    let mut text = fs::read_to_string(&file).unwrap();
    for at in 0..3 {
        let other = bed.path().join(format!("c{at}"));
        fs::create_dir_all(&other).unwrap();
        fs::copy(bed.path().join(format!("b{at}/etcd")), other.join("etcd")).unwrap();
        text = text.replace(&format!("b{at}/etcd"), &format!("c{at}/etcd"));
    }
    let names_data = |line: &str| {
        line.contains("--data-dir") || (line.trim().starts_with("- ") && line.ends_with("/data"))
    };
    let kept: Vec<&str> = text.lines().filter(|line| !names_data(line)).collect();
    fs::write(&file, kept.join("\n").replace("--listen-client-urls", "--listen-metrics-urls"))
        .unwrap();
    let artifacts = artifacts().display().to_string();
    let (code, _, said) = bed.quorate(&[
        "upgrade",
        "main",
        "--to",
        "3.5.16",
        "--soak",
        "1",
        "--yes",
        "--no-probe",
        "--artifacts",
        &artifacts,
    ]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("answers at its own address with its own id"), "{said}");
    assert_eq!(bed.pids(), pids, "no member was touched: {said}");
    assert_eq!(bed.seen("/release"), vec![serde_json::Value::from("3.4.23"); 3]);
}

#[test]
fn members_that_share_a_binary_are_refused_until_each_has_its_own() {
    let bed = ByHand::start("3.4.23", Layout::Shared);
    let artifacts = artifacts().display().to_string();
    let words = ["plan", "main", "--to", "3.5.16", "--artifacts", &artifacts];
    let (code, _, said) = bed.quorate(&words);
    assert_eq!(code, 3, "{said}");
    let shared = bed.path().canonicalize().unwrap().join("bin/etcd");
    let shared = shared.display().to_string();
    for told in ["hand0, hand1, hand2 are started from one file", &shared, "cp -p", "argv"] {
        assert!(said.contains(told), "`{told}` is not told: {said}");
    }
    // The way out, as it is told: copies, and their names in the fleet file. Nothing restarts.
    let pids = bed.pids();
    let file = bed.path().join("fleet.yaml");
    let mut text = fs::read_to_string(&file).unwrap();
    for at in 0..3 {
        let own = bed.path().join(format!("bin/hand{at}"));
        fs::create_dir_all(&own).unwrap();
        fs::copy(&shared, own.join("etcd")).unwrap();
        text = text.replacen("bin/etcd", &format!("bin/hand{at}/own"), 1);
    }
    fs::write(&file, text.replace("/own", "/etcd")).unwrap();
    assert_eq!(bed.pids(), pids);
    bed.upgrade("3.5.16");
}
