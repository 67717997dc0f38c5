//! A cluster that nobody's lab made: started by hand, adopted through one endpoint, planned and upgraded, and left running.

use quorate_e2e::{artifacts, binary, until};
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// Members started by hand; dropped, they are ended by their own ids.
struct ByHand {
    folder: tempfile::TempDir,
    clients: Vec<String>,
}

impl ByHand {
    fn start(release: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("quorate-by-hand-").tempdir().unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let held: Vec<TcpListener> = (0..6).map(|_| free()).collect();
        let urls: Vec<String> =
            held.iter().map(|port| format!("http://{}", port.local_addr().unwrap())).collect();
        drop(held);
        let (clients, peers) = urls.split_at(3);
        let all: Vec<String> =
            peers.iter().enumerate().map(|(at, peer)| format!("hand{at}={peer}")).collect();
        for at in 0..3 {
            // A binary of its own for each member, as three hosts would have.
            let home = folder.path().join(format!("host-{at}"));
            fs::create_dir_all(home.join("bin")).unwrap();
            for name in ["etcd", "etcdctl"] {
                fs::copy(
                    artifacts().join("etcd").join(release).join(name),
                    home.join("bin").join(name),
                )
                .unwrap();
            }
            let log = fs::File::create(home.join("log")).unwrap();
            let status = Command::new("setsid")
                .arg("--fork")
                .arg(home.join("bin/etcd"))
                .args([
                    "--name",
                    &format!("hand{at}"),
                    "--data-dir",
                    &home.join("data").display().to_string(),
                ])
                .args([
                    "--listen-client-urls",
                    &clients[at],
                    "--advertise-client-urls",
                    &clients[at],
                ])
                .args([
                    "--listen-peer-urls",
                    &peers[at],
                    "--initial-advertise-peer-urls",
                    &peers[at],
                ])
                .args(["--initial-cluster", &all.join(","), "--initial-cluster-token", "by-hand"])
                .current_dir(&home)
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .status()
                .unwrap();
            assert!(status.success());
        }
        Self { folder, clients: clients.to_vec() }
    }
    fn path(&self) -> &Path {
        self.folder.path()
    }
    /// Processes whose program lies in this folder.
    fn pids(&self) -> Vec<i32> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let own = |pid: &i32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let program = words.split(|byte| *byte == 0).next().unwrap_or_default();
            PathBuf::from(String::from_utf8_lossy(program).into_owned()).starts_with(self.path())
        };
        entries
            .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
            .filter(own)
            .collect()
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
    let bed = ByHand::start("3.4.23");
    until(Duration::from_secs(20), "the cluster serves", || {
        bed.quorate(&["init", "--force", "--endpoint", &bed.clients[0]]).0 == 0
    });
    let pids = bed.pids();
    let fleet = fs::read_to_string(bed.path().join("fleet.yaml")).unwrap();
    for at in 0..3 {
        assert!(
            fleet.contains(&format!("hand{at}")) && fleet.contains(&bed.clients[at]),
            "{fleet}"
        );
    }
    let (code, seen, said) = bed.quorate(&["--output", "json", "detect"]);
    assert_eq!(code, 0, "{said}");
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert!(
        seen["clusters"][0]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|node| node["release"] == "3.4.23")
    );
    assert_eq!(bed.pids(), pids, "adopting and looking touch nothing");

    let artifacts = artifacts().display().to_string();
    let (code, _, said) = bed.quorate(&[
        "upgrade",
        "main",
        "--to",
        "3.5.16",
        "--soak",
        "1",
        "--yes",
        "--artifacts",
        &artifacts,
    ]);
    assert_eq!(code, 0, "{said}");
    let (_, report, said) = bed.quorate(&["--output", "json", "run", "report"]);
    let report: serde_json::Value =
        serde_json::from_str(&report).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(
        (&report["client"]["writes_lost"], &report["client"]["requests_failed"]),
        (&0.into(), &0.into())
    );
    let (_, seen, _) = bed.quorate(&["--output", "json", "detect"]);
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert!(
        seen["clusters"][0]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|node| node["release"] == "3.5.16" && node["healthy"] == true)
    );
    assert_eq!(bed.pids().len(), 3, "three members run on");
}
