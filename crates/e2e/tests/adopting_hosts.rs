//! `init --ssh` on whole machines: etcd and Consul as Debian installs them, a unit for each member, are found, declared and seen.

use quorate_e2e::{
    Said,
    ask::etcd_is_well,
    binary,
    machines::{MachineBed, ssh, with_consul},
    until,
};
use quorate_hosts::lab::machines::Debian;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// A member is there within a second; a busy machine gets twenty times that.
const SOON: Duration = Duration::from_secs(20);

fn quorate(folder: &Path, words: &[&str]) -> Said {
    let mut command = Command::new(binary());
    command.args(words).current_dir(folder).env_remove("QUORATE_FLEET").stdin(Stdio::null());
    Said::from(&command.output().expect("quorate runs"))
}

/// Debian's own package, through this machine's apt.
fn package(folder: &Path) -> PathBuf {
    let fetched = Command::new("apt-get")
        .args(["-qq", "-o", "APT::Sandbox::User=root", "download", "etcd-server"])
        .current_dir(folder)
        .status();
    assert!(fetched.expect("apt-get runs").success(), "etcd-server cannot be fetched");
    let mut files =
        fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    files.find(|file| file.extension().is_some_and(|ending| ending == "deb")).expect("a package")
}

/// Installs the package on every machine, with the settings of one cluster.
fn install(bed: &MachineBed, package: &Path) {
    let machines = &bed.lab.machines;
    let peers: Vec<String> = machines
        .iter()
        .map(|machine| format!("{}=http://{}:2380", machine.name, machine.address))
        .collect();
    std::thread::scope(|scope| {
        for machine in machines {
            let (name, ip) = (machine.name.to_string(), machine.address.to_string());
            let peers = peers.join(",");
            scope.spawn(move || {
                let settings = format!(
                    "ETCD_LISTEN_PEER_URLS=http://{ip}:2380\nETCD_LISTEN_CLIENT_URLS=http://{ip}:2379,http://127.0.0.1:2379\nETCD_INITIAL_ADVERTISE_PEER_URLS=http://{ip}:2380\nETCD_ADVERTISE_CLIENT_URLS=http://{ip}:2379\nETCD_INITIAL_CLUSTER={peers}\n"
                );
                let copied = Command::new("scp")
                    .args(["-q", "-F"])
                    .arg(&bed.lab.ssh_config)
                    .arg(package)
                    .arg(format!("{name}:/tmp/etcd.deb"))
                    .status();
                assert!(copied.expect("scp runs").success());
                // The first member's start waits for the others, so the unit is started without waiting.
                let line = format!(
                    "printf '{settings}' | sudo tee /etc/default/etcd >/dev/null; sudo env DEBIAN_FRONTEND=noninteractive dpkg -i --force-confold /tmp/etcd.deb >/dev/null 2>&1; sudo systemctl --no-block start etcd"
                );
                ssh(&bed.lab.ssh_config, &name, &[], &line).expect(0);
            });
        }
    });
    until(SOON, "all members answer as one cluster", || {
        machines.iter().all(|machine| etcd_is_well(&format!("{}:2379", machine.address)))
    });
}

#[test]
fn what_runs_on_named_hosts_is_declared_and_seen() {
    let bed = MachineBed::up(3);
    let folder = bed.scratch();
    install(&bed, &package(folder));
    let config = bed.lab.ssh_config.display().to_string();
    let init = |file: &str, hosts: &str| {
        quorate(folder, &["init", file, "--name", "shop", "--ssh", hosts, "--ssh-config", &config])
    };
    init("fleet.yaml", "m1,m2,m3").expect(0);
    let text = fs::read_to_string(folder.join("fleet.yaml")).expect("a fleet file");
    for machine in &bed.lab.machines {
        let client = format!("client: http://{}:2379", machine.address);
        assert!(text.contains(&client), "{client} is not in\n{text}");
    }
    let facts = ["unit: etcd.service", "binary: /usr/bin/etcd", "data_dir: /var/lib/etcd/default"];
    for fact in facts {
        assert_eq!(text.matches(fact).count(), 3, "{fact}\n{text}");
    }
    // What dpkg has is declared as packages; the client's programs are not installed there.
    let packages = "          packages:\n            - etcd-server\n          grace";
    assert_eq!(text.matches(packages).count(), 3, "{text}");
    // The user needs sudo there, which is the usual way and not written down.
    assert!(!text.contains("sudo:"), "{text}");
    healthy(folder, &["detect", "--output", "json"]);

    // A member on a host that nobody named is told, and a host that is not there.
    let two = init("two.yaml", "m1,m2,nowhere.invalid").expect(0);
    two.says(&["m3 at ", "no node of the fleet file", "nowhere.invalid cannot be reached"]);

    // The same hosts from a list that a program prints.
    fs::write(folder.join("hosts"), "m1\nm2\nm3\n").expect("a list");
    let from_list = format!(
        "schema: 1\nfleet: listed\nssh: {{config: '{config}'}}\ninventory:\n  - {{name: list, command: [cat, hosts]}}\nclusters:\n  - name: shop\n    pack: etcd\n    defaults: {{service: {{unit: etcd.service, binary: /usr/bin/etcd}}}}\n    nodes_from:\n      - {{select: 'source=list', endpoints: {{client: 'http://127.0.0.1:2379'}}}}\n"
    );
    fs::write(folder.join("listed.yaml"), from_list).expect("a fleet file");
    healthy(folder, &["--fleet", "listed.yaml", "--state", "listed", "detect", "--output", "json"]);

    // Nothing that runs: said, and nothing is written.
    bed.ssh("m3", "sudo systemctl stop etcd").expect(0);
    let none = init("none.yaml", "m3");
    none.expect(1).says(&["Q0015", "no product"]);
    assert!(!folder.join("none.yaml").exists());
}

#[test]
fn consul_on_named_hosts_is_declared_and_can_be_planned() {
    let bed = MachineBed::with(Debian::Bullseye, 4, with_consul);
    until(SOON, "everybody is in gossip", || {
        bed.ssh("m1", "consul members").out.matches(" alive ").count() == 4
    });
    let folder = bed.scratch();
    let config = bed.lab.ssh_config.display().to_string();
    let words = ["--name", "shop", "--ssh", "m1,m2,m3,m4", "--ssh-config", &config];
    quorate(folder, &[&["init", "fleet.yaml"], &words[..]].concat()).expect(0);
    let text = fs::read_to_string(folder.join("fleet.yaml")).expect("a fleet file");
    let facts = [
        ("pack: consul", 1),
        ("group: client", 1),
        ("unit: consul.service", 4),
        ("binary: /usr/bin/consul", 4),
        ("data_dir: /var/lib/consul", 4),
        ("client: http://127.0.0.1:8500", 4),
        ("dns: http://127.0.0.1:8600", 4),
        ("- consul\n", 4),
    ];
    for (fact, count) in facts {
        assert_eq!(text.matches(fact).count(), count, "{fact}\n{text}");
    }
    let seen = quorate(folder, &["detect", "--output", "json"]).expect(0).json();
    let nodes = seen["clusters"][0]["nodes"].as_array().expect("nodes");
    let roles = |role: &str| nodes.iter().filter(|node| node["role"] == role).count();
    assert_eq!((roles("leader"), roles("follower"), roles("client")), (1, 2, 1), "{seen}");
    assert!(nodes.iter().all(|node| node["healthy"] == true), "{seen}");
    let plan = quorate(folder, &["plan", "shop", "--restart"]).expect(0);
    for part in ["restart on the release that runs", "one by one: m", "then 1 of client in 1 wave"]
    {
        assert!(plan.out.contains(part), "{part}: {}", plan.out);
    }
}

#[track_caller]
fn healthy(folder: &Path, words: &[&str]) {
    let json = quorate(folder, words).expect(0).json();
    let nodes = json["clusters"][0]["nodes"].as_array().expect("nodes");
    let good = nodes.iter().filter(|node| node["healthy"] == true && node["voter"] == true);
    assert_eq!((nodes.len(), good.count()), (3, 3), "{json}");
    assert!(nodes.iter().any(|node| node["role"] == "leader"), "{json}");
}
