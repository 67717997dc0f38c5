//! T12, T14, T23 and T49 on whole Debian machines: an ordinary user whose sudo asks for a password upgrades three units of
//! systemd over SSH, server by server; goes back; goes forward again by the run book alone; and no secret is anywhere it
//! must not be.

use quorate_e2e::{
    Said,
    ask::started,
    by_hand::{blocks, follow, script},
    finish,
    hosts::HostBed,
    until,
};
use quorate_model::RunState;
use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// Longer than a run of three members takes on a busy machine.
const RUN_LIMIT: Duration = Duration::from_secs(150);

#[test]
fn t12_an_ordinary_user_upgrades_units_server_by_server() {
    let bed = HostBed::etcd("3.3.25");
    bed.limit(&[
        "soak_secs: 1",
        "good_looks: 2",
        "look_every_secs: 0.2",
        "baseline_secs: 1",
        "approve: each",
    ]);
    bed.ctl("m1", "put planted stays");
    let seen = bed.detect();
    let nodes = seen["nodes"].as_array().unwrap().clone();
    assert_eq!(nodes.len(), 3);
    for node in &nodes {
        assert_eq!(
            (&node["release"], &node["os"]),
            (&"3.3.25".into(), &"debian 12".into()),
            "{node}"
        );
        assert_eq!(node["process"]["binary"], "/usr/bin/etcd", "{node}");
    }
    let leader =
        nodes.iter().find(|node| node["role"] == "leader").expect("a leader")["name"].clone();
    let units = ["m1", "m2", "m3"].map(|name| unit_pid(&bed, name));

    let plan = bed.plan("3.4.23", &[]).display().to_string();
    let staged = bed.quorate(&["prepare", &plan]).expect(0);
    assert!(
        staged.out.contains("38687032 bytes copied") || staged.err.contains("bytes copied"),
        "{staged:?}"
    );
    assert_eq!(
        ["m1", "m2", "m3"].map(|name| unit_pid(&bed, name)),
        units,
        "preparing stops nobody"
    );
    let again = bed.quorate(&["prepare", &plan]).expect(0);
    assert!(format!("{}{}", again.out, again.err).contains("it was there already"), "{again:?}");

    let mut run = bed.spawn(&["apply", &plan]);
    let mut approvals = 0;
    until(RUN_LIMIT, "the run ends", || {
        let asks = bed.runs().first().map(|run| run.state.clone());
        if matches!(asks, Some(RunState::AwaitingApproval { .. }))
            && bed.quorate(&["run", "approve"]).code == 0
        {
            approvals += 1;
        }
        run.try_wait().unwrap().is_some()
    });
    let said = finish(run).expect(0);
    assert!(approvals >= 3, "each server asks for its own yes: {approvals}");
    let order: Vec<String> = started(&bed.journal())
        .iter()
        .filter_map(|step| step.strip_suffix(".stop")?.split('.').nth(1).map(str::to_owned))
        .collect();
    assert_eq!((order.len(), order.last().cloned()), (3, leader.as_str().map(str::to_owned)));
    for name in &order {
        for line in [format!("stop {name}: begins"), format!("start {name} as 3.4.23: done in")] {
            assert!(said.err.contains(&line), "no line `{line}`:\n{}", said.err);
        }
        let kept = bed.machines.says(name, "/usr/bin/etcd_3.3.25 --version | head -n 1");
        assert!(kept.contains("3.3.25"), "{kept}");
    }
    let report = bed.report();
    assert_eq!(report["outcome"], "succeeded");
    assert_eq!(report["client"]["writes_lost"], 0);
    assert!(report["client"]["writes_acked"].as_u64().unwrap() > 100, "{}", report["client"]);
    assert_eq!(bed.ctl("m2", "get planted --print-value-only"), "stays");

    // Nobody may find the password later: not in the state, the report or the screen, nor on a host.
    let password =
        std::fs::read_to_string(bed.machines.lab.dir.join("secrets/asks.password")).unwrap();
    let password = password.trim();
    assert!(password.len() > 8 && !said.err.contains(password) && !said.out.contains(password));
    assert_eq!(holding(&bed.dir(), password), "");
    let html = bed.scratch().join("report.html").display().to_string();
    bed.quorate(&["run", "report", "--format", "html", "-o", &html]).expect(0);
    assert_eq!(holding(bed.scratch(), password), "");
    for name in ["m1", "m2", "m3"] {
        let places = "/var /etc /usr/bin /tmp /root /home /data /run";
        // sudo writes this very command down: the brackets keep it from finding itself.
        let (first, rest) = password.split_at(1);
        let words = format!("sudo grep -rlE -e '[{first}]{rest}' {places} || true");
        let found = bed.machines.says(name, &words);
        assert_eq!(found, "", "{name}");
        let left =
            bed.machines.says(name, "sudo find /var/lib/quorate -type f 2>/dev/null || true");
        assert_eq!(left, "", "no copy of the data stays on {name}");
    }

    // T14: from the end the data go back, and belong to whom they belonged.
    let back = bed.quorate(&["rollback", "--yes", "--no-probe"]).expect(0);
    assert!(back.err.contains("restored into a scratch member"), "{}", back.err);
    assert_eq!(bed.releases(), vec![Some("3.3.25".to_owned()); 3]);
    assert_eq!(bed.ctl("m3", "get planted --print-value-only"), "stays");
    assert_eq!(bed.machines.says("m1", "sudo stat -c %U /data/etcd/member/snap/db"), "etcd");

    // T23: and forward again, from the run book alone.
    let book = bed.scratch().join("book.md");
    bed.plan("3.4.23", &["--runbook", &book.display().to_string()]);
    let text = std::fs::read_to_string(&book).unwrap();
    assert!(!text.contains(password), "the run book reads the password where it is");
    let runs = bed.runs().len();
    let said = follow(bed.scratch(), &script(&blocks(&text))).expect(0);
    assert!(said.out.contains("the copy holds "), "the backup was proved: {}", said.out);
    assert_eq!(bed.runs().len(), runs, "no run of Quorate has done it");
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 3]);
    assert_eq!(bed.ctl("m1", "get planted --print-value-only"), "stays");
}

fn unit_pid(bed: &HostBed, name: &str) -> String {
    bed.machines.says(name, "systemctl show -p MainPID --value etcd")
}

/// Files below a folder that hold a text.
fn holding(folder: &Path, text: &str) -> String {
    let mut grep = Command::new("grep");
    grep.args(["-rlF", "-e", text]).arg(folder).stdin(Stdio::null());
    let said = Said::from(&grep.output().expect("grep runs"));
    assert!(said.code == 1 || said.code == 0, "{said:?}");
    said.out.trim().to_owned()
}
