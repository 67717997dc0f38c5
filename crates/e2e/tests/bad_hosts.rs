//! Hosts that are not as they should be: each is told clearly, before anything is touched.

use quorate_e2e::{
    Said,
    hosts::{HostBed, NAMES},
    until,
};
use quorate_hosts::lab::Fault;
use std::{fs, path::Path, time::Duration};

/// A unit that ends again and again is seen doing it within some seconds.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn what_is_wrong_with_a_host_is_said_and_nothing_is_touched() {
    let bed = HostBed::etcd("3.3.25");
    bed.limit(&["soak_secs: 0.2", "baseline_secs: 1"]);
    for name in NAMES {
        let python = "command -v python3 python python2 || echo none";
        assert_eq!(bed.machines.says(name, python), "none", "{name} is to have no Python");
    }
    let pids = bed.unit_pids();
    let files = || {
        NAMES.map(|name| {
            bed.machines.says(
                name,
                "sudo sh -c 'ls -ld --full-time /usr/bin/etcd* /var/lib/quorate 2>/dev/null || true'",
            )
        })
    };
    let before = files();

    keys(&bed);
    hangs(&bed);
    unit(&bed);
    assert_eq!(files(), before, "something was left on a host");
    users(&bed);
    assert_eq!(bed.unit_pids(), pids, "a member was touched");
    room(&bed);
    read_only(&bed);
    assert_eq!(bed.unit_pids(), pids, "a member was touched");
    flaps(&bed);
}

/// An upgrade that must not begin.
#[track_caller]
fn refused(bed: &HostBed, fleet: &Path, words: &[&str]) -> Said {
    let said = bed.quorate_with(fleet, &["upgrade", bed.name(), "--to", "3.4.23", "--yes"]);
    assert!([1, 3, 4].contains(&said.code), "{said:?}");
    // As a step of its own: a gap of clients may be told with the step that it fell in.
    assert!(!said.err.contains("Z  stop m"), "somebody was stopped: {}", said.err);
    said.says(words)
}

/// m2 shows another key than the noted one, and m3 one that nobody has noted.
fn keys(bed: &HostBed) {
    let lab = &bed.machines.lab;
    let known = fs::read_to_string(lab.dir.join("known_hosts")).unwrap();
    let own = |name: &str| known.lines().find(|line| line.starts_with(name)).unwrap();
    let key = |line: &str| line.split_once(' ').unwrap().1.to_owned();
    let wrong = known.replace(&key(own("m2,")), &key(own("m1,")));
    let config = fs::read_to_string(&lab.ssh_config).unwrap();
    for (name, noted, words) in [
        ("changed-key", wrong, ["m2", "its host key has changed"]),
        ("unknown-key", known.replace(own("m3,"), ""), ["m3", "is not known"]),
    ] {
        let file = bed.scratch().join(format!("{name}.known"));
        fs::write(&file, noted).unwrap();
        let changed = bed.scratch().join(format!("{name}.ssh"));
        let noted_in = format!("UserKnownHostsFile \"{}\"", lab.dir.join("known_hosts").display());
        assert!(config.contains(&noted_in));
        fs::write(
            &changed,
            config.replace(&noted_in, &format!("UserKnownHostsFile {}", file.display())),
        )
        .unwrap();
        let [from, to] = [&lab.ssh_config, &changed].map(|path| path.display().to_string());
        let fleet = bed.variant(name, |text| text.replace(&from, &to));
        refused(bed, &fleet, &words);
    }
}

/// A user that is not there, one whose sudo refuses, one whose password is wrong, one whose password nobody told.
fn users(bed: &HostBed) {
    let m1 = |user: &str| {
        let user = user.to_owned();
        move |text: &str| text.replace("{ssh: asks@m1}", &format!("{{ssh: {user}@m1}}"))
    };
    let nobody = bed.variant("no-user", m1("nobody-here"));
    refused(bed, &nobody, &["m1", "refuses the user `nobody-here`"]);
    let make = "sudo sh -c 'useradd --create-home plain && usermod -p \"*\" plain && cp -r ~asks/.ssh ~plain/ && chown -R plain:plain ~plain/.ssh'";
    bed.machines.says("m1", make);
    let plain = bed.variant("no-sudo", m1("plain"));
    refused(bed, &plain, &["sudo on plain@m1", "does not take the password for `plain`"]);
    let secret = bed.scratch().join("wrong.password");
    fs::write(&secret, "not-the-password\n").unwrap();
    let right = bed.machines.lab.dir.join("secrets/asks.password").display().to_string();
    let wrong =
        bed.variant("wrong-password", |text| text.replace(&right, &secret.display().to_string()));
    refused(bed, &wrong, &["sudo on asks@m1", "does not take the password for `asks`"]);
    let line = format!("  sudo_password: {{file: {right}}}\n");
    let untold = bed.variant("no-password", |text| text.replace(&line, ""));
    refused(bed, &untold, &["asks `asks` for a password", "sudo_password"]);
}

/// It takes the connection and never says a word.
fn hangs(bed: &HostBed) {
    let lab = &bed.machines.lab;
    let config = fs::read_to_string(&lab.ssh_config).unwrap();
    let quick = bed.scratch().join("quick.ssh");
    fs::write(&quick, format!("{config}\nHost *\n    ConnectTimeout 2\n")).unwrap();
    let [from, to] = [&lab.ssh_config, &quick].map(|path| path.display().to_string());
    let fleet = bed.variant("hangs", |text| text.replace(&from, &to));
    bed.machines.fault("m2", &Fault::HangSsh);
    let seen = bed.quorate_with(&fleet, &["--output", "json", "detect"]).expect(0).json();
    let nodes = seen["clusters"][0]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3, "who does not answer is listed: {seen}");
    refused(bed, &fleet, &["m2", "within 2s"]);
    bed.machines.fault("m2", &Fault::MendSsh);
}

fn unit(bed: &HostBed) {
    let fleet = bed
        .variant("no-unit", |text| text.replace("unit: etcd.service", "unit: etcd-server.service"));
    refused(bed, &fleet, &["m1: there is no unit etcd-server.service", "list-units"]);
}

/// The disk where the release is staged is too small for it.
fn room(bed: &HostBed) {
    let folder = "/usr/bin/etcd-3.4.23";
    bed.machines.says(
        "m2",
        &format!("sudo sh -c 'rm -rf {folder} && mkdir {folder} && mount -t tmpfs -o size=20m none {folder}'"),
    );
    refused(bed, &bed.fleet(), &["beside the live files of m2", "no space is left"]);
    bed.machines.says("m2", &format!("sudo sh -c 'umount {folder} && rmdir {folder}'"));
}

fn read_only(bed: &HostBed) {
    let on = "sudo sh -c 'rm -rf /usr/bin/etcd-3.4.23 /usr/bin/etcd_3.4.23 && mount --bind /usr /usr && mount -o remount,ro,bind /usr'";
    bed.machines.says("m3", on);
    refused(bed, &bed.fleet(), &["m3", "ead-only"]);
    bed.machines.says("m3", "sudo umount -l /usr");
}

/// The unit of m3 ends again and again, and systemd starts it again.
fn flaps(bed: &HostBed) {
    let flap = "sudo sh -c 'mkdir -p /etc/systemd/system/etcd.service.d; printf \"[Unit]\\nStartLimitIntervalSec=0\\n[Service]\\nRestart=always\\nRestartSec=3\\nExecStartPre=/bin/false\\n\" >/etc/systemd/system/etcd.service.d/flaps.conf; systemctl daemon-reload; systemctl kill -s KILL etcd'";
    bed.machines.says("m3", flap);
    until(SOON, "the unit flaps", || {
        bed.machines.says("m3", "systemctl show -p NRestarts --value etcd").parse::<u32>().unwrap()
            > 0
    });
    let pids = ["m1", "m2"].map(|name| bed.unit_pid(name));
    refused(
        bed,
        &bed.fleet(),
        &["etcd.service on asks@m3", "ends and is started again by systemd"],
    );
    assert_eq!(["m1", "m2"].map(|name| bed.unit_pid(name)), pids);
    bed.machines.says("m3", "sudo sh -c 'rm -r /etc/systemd/system/etcd.service.d; systemctl daemon-reload; systemctl restart etcd'");
}
