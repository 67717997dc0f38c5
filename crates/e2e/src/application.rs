//! An application of this machine that lives by a cluster: the writer of this crate, declared in the fleet file with everything that
//! is said of how it is stopped, switched and started.

use crate::{Bed, until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

/// The writer, and its folder.
pub struct Application {
    folder: PathBuf,
    program: String,
}

impl Application {
    /// One that nobody declares, writing below `/NAME`; it does not run yet. `program` is the path of the `writer`, which only a
    /// test knows.
    pub fn hidden(bed: &Bed, program: &str, name: &str) -> Self {
        let folder = bed.scratch().join(name);
        fs::create_dir_all(&folder).expect("its folder");
        let members: Vec<String> = bed
            .nodes()
            .iter()
            .map(|node| bed.endpoint(node).trim_start_matches("http://").to_owned())
            .collect();
        fs::write(folder.join("members"), members.join("\n")).expect("its members");
        fs::write(folder.join("mode"), "v2").expect("its mode");
        Self { folder, program: program.to_owned() }
    }

    /// One that is declared, needs the v2 API, and writes below `/load`; it does not run yet.
    pub fn declared(bed: &Bed, program: &str) -> Self {
        let own = Self::hidden(bed, program, "load");
        let at = own.folder.display().to_string();
        let act = |told: &str, run: &str, seen: &str| {
            format!("{{run: 'echo {told} >>{at}/told; {run}', seen: '{seen}', limit_secs: 20}}")
        };
        let runs = format!("kill -0 $(cat {at}/pid) 2>/dev/null");
        let stop =
            act("stop", &format!("kill $(cat {at}/pid) 2>/dev/null || true"), &format!("! {runs}"));
        let start = act(
            "start",
            &format!("{runs} || setsid {program} {at} </dev/null >{at}/log 2>&1 & sleep 0.1"),
            &format!("{runs} && test $(wc -l <{at}/acked) -gt 0"),
        );
        let to = |mode: &str| {
            act(mode, &format!("echo {mode} >{at}/mode"), &format!("grep -q {mode} {at}/mode"))
        };
        let text = fs::read_to_string(bed.fleet()).expect("the fleet file");
        let with = format!(
            "    pack: etcd\n    dependants:\n      - name: shop\n        needs: [v2-api]\n        runs:\n          hosts: [local]\n          stop: {stop}\n          start: {start}\n          switch: {}\n          switch_back: {}\n",
            to("v3"),
            to("v2"),
        );
        assert!(text.contains("    pack: etcd\n"), "{text}");
        fs::write(bed.fleet(), text.replacen("    pack: etcd\n", &with, 1))
            .expect("the fleet file");
        own
    }

    /// Starts it as a person would.
    #[track_caller]
    pub fn start(&self) {
        let log = fs::File::create(self.folder.join("log")).expect("a log");
        let mut command = Command::new("setsid");
        command.arg(&self.program).arg(&self.folder).stdin(Stdio::null()).stdout(Stdio::null());
        // It becomes the child of whoever takes orphans: nobody here waits for it.
        let mut child = command.stderr(log).spawn().expect("it starts");
        std::thread::spawn(move || child.wait());
        self.writes(1);
    }

    /// Waits until some more of its writes were acknowledged.
    #[track_caller]
    pub fn writes(&self, more: usize) {
        let before = self.acked().len();
        until(Duration::from_secs(30), "the application writes", || {
            self.acked().len() >= before + more
        });
    }

    /// What the cluster has acknowledged: in which way, and which number.
    pub fn acked(&self) -> Vec<(String, usize)> {
        let text = fs::read_to_string(self.folder.join("acked")).unwrap_or_default();
        let line = |line: &str| {
            let (mode, number) = line.split_once(' ')?;
            Some((mode.to_owned(), number.parse().ok()?))
        };
        text.lines().filter_map(line).collect()
    }

    /// What it was told, in order.
    pub fn told(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("told")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.pid().is_some_and(|pid| kill(pid, None).is_ok())
    }

    fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.folder.join("pid")).ok()?;
        Some(Pid::from_raw(text.trim().parse().ok()?))
    }

    /// Ends it.
    pub fn end(&self) {
        if let Some(pid) = self.pid() {
            let _ = kill(pid, Signal::SIGTERM);
            until(Duration::from_secs(10), "the application ends", || !self.runs());
        }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}
