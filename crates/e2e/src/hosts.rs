//! A cluster of etcd on whole machines: units of systemd, a data volume each, clients on loopback alone, an ordinary user.

use crate::{Bed, Said, artifacts, machines::MachineBed};
use quorate_hosts::lab::machines::Debian;
use std::{
    ops::Deref,
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
        let machines = MachineBed::with(Debian::Bookworm, 3, |spec| {
            // A log takes 64 MB at once, and while data are put back there are two members' worth.
            spec.data_mb = 512;
            spec.seed = std::mem::take(&mut spec.seed).with_asks();
        });
        let own = Self { bed: Bed::without_members(), machines };
        std::fs::create_dir_all(own.dir()).expect("a folder");
        let names = ["m1", "m2", "m3"];
        std::thread::scope(|scope| {
            for name in names {
                let own = &own;
                scope.spawn(move || own.install(name, release));
            }
        });
        std::fs::write(own.fleet(), own.declared(&names)).expect("the fleet file");
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

    fn install(&self, name: &str, release: &str) {
        let peer = |name: &str| format!("http://{}:2380", self.address(name));
        let all: Vec<_> = ["m1", "m2", "m3"].map(|name| format!("{name}={}", peer(name))).into();
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
        std::fs::create_dir_all(&folder).expect("a folder");
        for (file, text) in [("settings", settings.as_str()), ("unit", UNIT)] {
            std::fs::write(folder.join(file), text).expect("a file");
        }
        for file in ["etcd", "etcdctl"] {
            let from = artifacts().join("etcd").join(release).join(file);
            std::fs::copy(from, folder.join(file)).expect("the release's files");
        }
        let copied = Command::new("scp")
            .args(["-q", "-r", "-F"])
            .arg(&self.machines.lab.ssh_config)
            .arg(&folder)
            .arg(format!("{name}:/tmp/"))
            .stdin(Stdio::null())
            .output();
        Said::from(&copied.expect("scp runs")).expect(0);
        self.machines.ssh(name, &format!("sudo sh -c '{INSTALL}'")).expect(0);
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
}
