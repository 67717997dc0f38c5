//! Whole machines for one test: booted when asked for, taken down when dropped, also when the test panics.
//!
//! They need root and the programs that `cargo xtask test` installs.

use crate::Said;
use quorate_hosts::{
    artifacts::silent,
    lab::{
        self, Fault, Registry,
        machines::{self, Debian, Machine, Machines, MachinesSpec, Seed},
    },
};
use quorate_model::NodeName;
use quorate_transport::LocalTransport;
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// Machines of one test.
pub struct MachineBed {
    /// What is needed to reach them.
    pub lab: Machines,
    folder: tempfile::TempDir,
}

/// A machine that does not answer is told as such after this; one that lives answers within tenths of a second.
const CONNECT_SECS: u32 = 5;

impl MachineBed {
    /// Boots this many machines of Debian 12.
    pub fn up(count: u32) -> Self {
        Self::with(Debian::Bookworm, count, |_| ())
    }

    /// Boots machines of a release, after a change to what is asked for.
    pub fn with(release: Debian, count: u32, change: impl FnOnce(&mut MachinesSpec)) -> Self {
        let folder = tempfile::Builder::new().prefix("quorate-e2e-").tempdir().expect("a folder");
        let ending = folder.path().file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let mut spec = MachinesSpec {
            name: ending.replace("quorate-e2e-", "t"),
            dir: folder.path().join("lab"),
            release,
            count,
            data_mb: 64,
            packages: Vec::new(),
            seed: Seed::default(),
        };
        change(&mut spec);
        let bases = quorate_runner::ops::lab::shared_cache().join("bases");
        let lab = wait(async {
            machines::up(&bases, &Registry::of_user(), &spec, &silent)
                .await
                .unwrap_or_else(|error| panic!("{error}: {:?}", error.hint()))
        });
        Self { lab, folder }
    }

    /// A folder for the test's own files.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// One machine, counted from 1.
    pub fn machine(&self, number: usize) -> &Machine {
        &self.lab.machines[number - 1]
    }

    /// A machine's data volume, as this machine sees it.
    pub fn volume(&self, machine: &str) -> PathBuf {
        self.lab.dir.join("hosts").join(machine).join("data")
    }

    /// Runs a line of shell on a machine, as its ordinary user, with strict checking of the machine's key.
    pub fn ssh(&self, machine: &str, line: &str) -> Said {
        self.ssh_with(machine, &[], line)
    }

    /// The same with more options for `ssh`.
    pub fn ssh_with(&self, machine: &str, options: &[&str], line: &str) -> Said {
        ssh(&self.lab.ssh_config, machine, options, line)
    }

    /// What a line of shell prints on a machine, when it succeeds.
    #[track_caller]
    pub fn says(&self, machine: &str, line: &str) -> String {
        self.ssh(machine, line).expect(0).out.trim().to_owned()
    }

    /// Breaks a machine or the network, and says what was done.
    #[track_caller]
    pub fn fault(&self, hosts: &str, fault: &Fault) -> String {
        wait(async {
            lab::fault(&LocalTransport, &self.lab.dir, &NodeName::new(hosts), fault)
                .await
                .unwrap_or_else(|error| panic!("{hosts}: {error}"))
        })
    }
}

/// Each agent of the datacenter: the first three machines are its servers.
const CONSUL_BEGIN: &str = r#"own=$(sed -n "s/ $(hostname)\$//p" /etc/hosts)
case $(hostname) in m1 | m2 | m3) server=', "server": true, "bootstrap_expect": 3' ;; *) server= ;; esac
mkdir -p /etc/consul.d
cat >/etc/consul.d/lab.json <<EOF
{"bind_addr": "$own", "retry_join": ["m1", "m2", "m3"], "retry_interval": "1s", "disable_update_check": true,
 "performance": {"raft_multiplier": 1}$server}
EOF
systemctl enable --quiet consul
systemctl start --no-block consul"#;

/// Machines with Debian's Consul as a unit of systemd, which find each other: one datacenter with three servers.
pub fn with_consul(spec: &mut MachinesSpec) {
    spec.packages = vec!["consul".to_owned()];
    spec.seed.first_boot = CONSUL_BEGIN.lines().map(str::to_owned).collect();
}

impl Drop for MachineBed {
    fn drop(&mut self) {
        let down = wait(async {
            lab::down(&LocalTransport, &Registry::of_user(), &self.lab.dir)
                .await
                .map_err(|error| format!("{error}: {:?}", std::error::Error::source(&error)))
        });
        if let Err(because) = down
            && !std::thread::panicking()
        {
            panic!("the machines could not be taken down: {because}");
        }
    }
}

/// Runs a line of shell on a machine of a lab, through the system's own client.
pub fn ssh(config: &Path, machine: &str, options: &[&str], line: &str) -> Said {
    let output = Command::new("ssh")
        .arg("-F")
        .arg(config)
        .args(["-o", "BatchMode=yes", "-o", &format!("ConnectTimeout={CONNECT_SECS}")])
        .args(["-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=2"])
        .args(options)
        .args([machine, line])
        .stdin(Stdio::null())
        .output()
        .expect("ssh runs");
    Said::of(&output)
}

/// Waits for something of the library, also inside a runtime: on a thread of its own.
fn wait<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(future)
        });
        match thread.join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Looks during this time, and insists that it holds at every look.
#[track_caller]
pub fn throughout(time: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while began.elapsed() < time {
        assert!(holds(), "not for {time:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}
