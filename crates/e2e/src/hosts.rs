//! A cluster of etcd on whole machines: units of systemd, a data volume each, clients on loopback alone, an ordinary user.

use crate::{Bed, Said, artifacts, binary, machines::MachineBed};
use quorate_hosts::lab::machines::Debian;
use std::{
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The unit as Debian's package has it: settings in a file of variables, another user than root, a word when it serves.
const UNIT: &str = "[Unit]
Description=etcd - highly-available key value store
After=network.target
[Service]
EnvironmentFile=/etc/default/etcd
Type=notify
User=etcd
ExecStart=/usr/bin/etcd $DAEMON_ARGS
Restart=on-abnormal
LimitNOFILE=65536
[Install]
WantedBy=multi-user.target
";

/// The members, which are named as their hosts are.
pub const NAMES: [&str; 3] = ["m1", "m2", "m3"];

/// Puts what was copied to its places and starts the member. Waiting for the others is for the test.
const INSTALL: &str = "set -e; cd /tmp/etcd-setup
useradd --system --shell /usr/sbin/nologin etcd
install -m 755 etcd etcdctl /usr/bin/
install -m 644 settings /etc/default/etcd
install -m 644 unit /etc/systemd/system/etcd.service
install -d -o etcd -m 700 /data/etcd
rm -r /tmp/etcd-setup
systemctl daemon-reload
systemctl enable --quiet etcd
systemctl start --no-block etcd";

/// The same where Debian's own packages are: their unit and their user, with settings of ours.
const SET_UP: &str = "set -e; cd /tmp/etcd-setup
systemctl stop etcd
install -m 644 settings /etc/default/etcd
install -d -o etcd -m 700 /data/etcd
rm -r /tmp/etcd-setup
systemctl start --no-block etcd";

/// The packages that etcd comes with on Debian.
pub const PACKAGES: [&str; 2] = ["etcd-server", "etcd-client"];

/// Stands before a program of the host and stops where a test wants it to: in the middle of what Quorate does there. It tells
/// that it has come by a file on the data volume, which the test sees from outside, and goes on when the test takes the other
/// file away. Root's own path on Debian asks `/usr/local/bin` first.
const STOPS_AT: &str = "#!/bin/sh
case \"$*\" in PATTERN)
    left=900
    while [ -e /data/stop-here ] && [ $left -gt 0 ]; do : >/data/has-come; sleep 0.05; left=$((left - 1)); done ;;
esac
exec REAL \"$@\"
";

/// How many are at a stop at most: a kill, a look, and a second controller that comes by, on a busy machine.
const COME_LIMIT: Duration = Duration::from_secs(60);

/// Three members elect within a second; a busy machine gets more.
const SERVE_LIMIT: Duration = Duration::from_secs(30);

/// A cluster on machines of its own.
pub struct HostBed {
    bed: Bed,
    /// The machines.
    pub machines: MachineBed,
}

impl Deref for HostBed {
    type Target = Bed;
    fn deref(&self) -> &Bed {
        &self.bed
    }
}

impl HostBed {
    /// Three members on this release. Quorate logs in as a user whose sudo asks for a password, and whose login shell prints
    /// words of its own.
    pub fn etcd(release: &str) -> Self {
        Self::etcd_with(release, &[])
    }

    /// The same on machines that have more packages of Debian.
    pub fn etcd_with(release: &str, packages: &[&str]) -> Self {
        Self::made(Some(release), packages)
    }

    /// The same, installed from the packages of Debian 12, and declared so.
    pub fn etcd_of_packages() -> Self {
        Self::made(None, &PACKAGES)
    }

    /// Without a release the members are those of the packages.
    fn made(release: Option<&str>, packages: &[&str]) -> Self {
        let machines = MachineBed::with(Debian::Bookworm, 3, |spec| {
            // A log takes 64 MB at once, and while data are put back there are two members' worth.
            spec.data_mb = 512;
            spec.packages = packages.iter().map(|package| (*package).to_owned()).collect();
            spec.seed = std::mem::take(&mut spec.seed).with_asks();
        });
        let own = Self { bed: Bed::empty(), machines };
        fs::create_dir_all(own.dir()).expect("a folder");
        let names = NAMES;
        std::thread::scope(|scope| {
            for name in names {
                let own = &own;
                scope.spawn(move || own.install(name, release));
            }
        });
        let mut declared = own.declared(&names);
        if release.is_none() {
            let unit = "binary: /usr/bin/etcd";
            let packages = format!("{unit}, packages: [{}]", PACKAGES.join(", "));
            declared = declared.replace(unit, &packages);
        }
        fs::write(own.fleet(), declared).expect("the fleet file");
        for name in names {
            let began = Instant::now();
            while own.machines.ssh(name, "ETCDCTL_API=3 etcdctl endpoint health").code != 0 {
                let said = || own.machines.ssh(name, "sudo journalctl -n 20 -u etcd --no-pager");
                assert!(began.elapsed() < SERVE_LIMIT, "{name} does not serve: {:?}", said());
            }
        }
        own
    }

    fn address(&self, name: &str) -> String {
        let machine = self.machines.lab.machines.iter().find(|machine| machine.name == name);
        machine.expect("a machine").address.to_string()
    }

    fn install(&self, name: &str, release: Option<&str>) {
        let peer = |name: &str| format!("http://{}:2380", self.address(name));
        let all: Vec<_> = NAMES.map(|name| format!("{name}={}", peer(name))).into();
        let settings = [
            ("DAEMON_ARGS", String::new()),
            ("ETCD_NAME", name.to_owned()),
            ("ETCD_DATA_DIR", "/data/etcd".to_owned()),
            ("ETCD_LISTEN_CLIENT_URLS", "http://127.0.0.1:2379".to_owned()),
            ("ETCD_ADVERTISE_CLIENT_URLS", "http://127.0.0.1:2379".to_owned()),
            ("ETCD_LISTEN_PEER_URLS", peer(name)),
            ("ETCD_INITIAL_ADVERTISE_PEER_URLS", peer(name)),
            ("ETCD_INITIAL_CLUSTER", all.join(",")),
            ("ETCD_INITIAL_CLUSTER_TOKEN", self.name().to_owned()),
        ];
        let settings: String =
            settings.iter().map(|(key, value)| format!("{key}=\"{value}\"\n")).collect();
        let folder = self.scratch().join(name).join("etcd-setup");
        fs::create_dir_all(&folder).expect("a folder");
        for (file, text) in [("settings", settings.as_str()), ("unit", UNIT)] {
            fs::write(folder.join(file), text).expect("a file");
        }
        for (file, release) in ["etcd", "etcdctl"].into_iter().zip(release.into_iter().cycle()) {
            let from = artifacts().join("etcd").join(release).join(file);
            fs::copy(from, folder.join(file)).expect("the release's files");
        }
        let install = if release.is_some() { INSTALL } else { SET_UP };
        let copied = Command::new("scp")
            .args(["-q", "-r", "-F"])
            .arg(&self.machines.lab.ssh_config)
            .arg(&folder)
            .arg(format!("{name}:/tmp/"))
            .stdin(Stdio::null())
            .output();
        Said::from(&copied.expect("scp runs")).expect(0);
        self.machines.ssh(name, &format!("sudo sh -c '{install}'")).expect(0);
        let noise = "echo Welcome to this host; echo do not panic >&2";
        let words = format!("sudo sh -c 'echo \"{noise}\" >>~asks/.bashrc'");
        self.machines.ssh(name, &words).expect(0);
    }

    fn declared(&self, names: &[&str]) -> String {
        let lab = &self.machines.lab.dir;
        let nodes: String = names
            .iter()
            .map(|name| {
                format!(
                    "      - {{name: {name}, host: {{ssh: asks@{name}}}, data_dir: /data/etcd, endpoints: {{client: \"http://127.0.0.1:2379\"}}}}\n"
                )
            })
            .collect();
        format!(
            "schema: 1
fleet: hosts
ssh:
  config: {}
  sudo_password: {{file: {}}}
clusters:
  - name: {}
    pack: etcd
    environment: lab
    defaults:
      service: {{unit: etcd.service, binary: /usr/bin/etcd}}
    nodes:
{nodes}",
            self.machines.lab.ssh_config.display(),
            lab.join("secrets/asks.password").display(),
            self.name(),
        )
    }

    /// What one member's own client says there.
    #[track_caller]
    pub fn ctl(&self, name: &str, words: &str) -> String {
        self.machines.says(name, &format!("ETCDCTL_API=3 etcdctl {words}"))
    }

    /// The process id of a member's unit; empty or 0 when it has none.
    #[track_caller]
    pub fn unit_pid(&self, name: &str) -> String {
        self.machines.says(name, "systemctl show -p MainPID --value etcd")
    }
    /// Of all members: two equal answers mean that nobody was stopped or started between.
    #[track_caller]
    pub fn unit_pids(&self) -> [String; 3] {
        NAMES.map(|name| self.unit_pid(name))
    }
    /// How often a member's unit was started since its host booted, as the host's own journal has it.
    #[track_caller]
    pub fn starts(&self, name: &str) -> usize {
        let words = "sudo journalctl -b -u etcd -o cat --no-pager | grep -c '^Starting ' || true";
        self.machines.says(name, words).parse().expect("a count")
    }
    /// The hashes of the data as the members themselves give them, at one revision.
    #[track_caller]
    pub fn hashes(&self) -> Vec<String> {
        let asks = |name| {
            let said = self.ctl(name, "endpoint hashkv -w json");
            let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
            said[0]["HashKV"]["hash"].to_string()
        };
        NAMES.map(asks).into()
    }
    /// The order in which a plan's first hop takes the members.
    pub fn order(&self, plan: &str) -> Vec<String> {
        let plan: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(plan).expect("a plan")).expect("JSON");
        let waves = plan["hops"][0]["waves"].as_array().expect("waves");
        waves.iter().filter_map(|wave| wave["node"].as_str().map(str::to_owned)).collect()
    }
    /// Another fleet file beside the first one, after a change to its text.
    pub fn variant(&self, name: &str, change: impl FnOnce(&str) -> String) -> PathBuf {
        let text = fs::read_to_string(self.fleet()).expect("the fleet file");
        let changed = change(&text);
        assert_ne!(text, changed, "{name}: the fleet file has another form");
        let file = self.dir().join(format!("{name}.yaml"));
        fs::write(&file, changed).expect("a fleet file");
        file
    }
    /// Runs `quorate` with another fleet file and its own state.
    pub fn quorate_with(&self, fleet: &Path, words: &[&str]) -> Said {
        Said::from(&self.command_with(fleet, words).output().expect("quorate runs"))
    }
    /// The same, to be run; by another person.
    pub fn command_with(&self, fleet: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.arg("--fleet").arg(fleet).arg("--state").arg(fleet.with_file_name(format!(
            "state-{}",
            fleet.file_stem().unwrap_or_default().to_string_lossy()
        )));
        command.args(words).stdin(Stdio::null()).env("USER", "bert");
        if words.first() != Some(&"run") {
            command.arg("--artifacts").arg(artifacts());
        }
        command
    }
    /// Puts a stop before a program of a host, where its words look so (a pattern of `case`). [`Self::stop_here`] arms it.
    #[track_caller]
    pub fn stops_at(&self, name: &str, program: &str, pattern: &str) {
        let text =
            STOPS_AT.replace("PATTERN", pattern).replace("REAL", &format!("/usr/bin/{program}"));
        let file = self.machines.volume(name).join("stops-at");
        fs::write(&file, text).expect("a file on the volume");
        let words = format!("sudo install -m 755 /data/stops-at /usr/local/bin/{program}");
        self.machines.says(name, &words);
    }
    /// From now on whoever comes there stops.
    pub fn stop_here(&self, name: &str) {
        let volume = self.machines.volume(name);
        // It is not there where nobody ever came.
        let _ = fs::remove_file(volume.join("has-come"));
        fs::write(volume.join("stop-here"), "").expect("a file on the volume");
    }
    /// Waits until somebody has come and stopped.
    #[track_caller]
    pub fn has_come(&self, name: &str) {
        let file = self.machines.volume(name).join("has-come");
        crate::until(COME_LIMIT, &format!("somebody stops on {name}"), || file.exists());
    }
    /// Lets whoever stopped there go on, and takes the stop away.
    pub fn go_on(&self, name: &str) {
        fs::remove_file(self.machines.volume(name).join("stop-here")).expect("a stop");
    }
}
