//! T13 and T15 on whole machines: the second server's new binary is damaged, or its unit does not start. The run stops there,
//! the third server is never touched, the cluster serves. The failed server is taken out, comes back with the same data,
//! and the upgrade goes on to its end.

use quorate_e2e::{
    QUICK, Said,
    ask::{hold, started},
    finish,
    hosts::HostBed,
    until,
};
use quorate_model::RunState;
use std::{collections::BTreeSet, process::Child, time::Duration};

/// Longer than a server's turn takes on a busy machine.
const TURN_LIMIT: Duration = Duration::from_secs(60);

/// Makes a unit end at once when it is started, as a program with a setting that it does not take does.
const BREAK: &str = "sudo sh -c 'mkdir -p /etc/systemd/system/etcd.service.d; printf \"[Service]\\nExecStartPre=/bin/sh -c \\\"echo no such setting; exit 1\\\"\\n\" >/etc/systemd/system/etcd.service.d/broken.conf; systemctl daemon-reload'";
const MEND: &str = "sudo sh -c 'rm -r /etc/systemd/system/etcd.service.d; systemctl daemon-reload'";

#[test]
fn t13_t15_a_server_that_fails_stops_the_run_is_taken_out_and_comes_back() {
    let bed = HostBed::etcd("3.3.25");
    bed.limit(&[QUICK, &["approve: each"]].concat());
    bed.ctl("m1", "put k before");
    let plan = bed.plan("3.4.23", &[]).display().to_string();
    let order = bed.order(&plan);
    let [first, second, third] = [0, 1, 2].map(|at| order[at].as_str());
    let third_before = (bed.unit_pid(third), live(&bed, third));

    // Damaged after it was staged and checked: found while its server still serves.
    let run = bed.spawn(&["apply", &plan, "--no-probe"]);
    approve(&bed, first);
    asked(&bed, second);
    let pids = bed.unit_pids();
    let damage = "sudo sh -c 'printf damaged | dd of=/usr/bin/etcd_3.4.23 bs=1 seek=4096 conv=notrunc status=none'";
    bed.machines.says(second, damage);
    bed.quorate(&["run", "approve"]).expect(0);
    stopped_at(&bed, run, second).says(&["digest", "changed after it was staged", second]);
    let stop = format!("h1.{second}.stop");
    assert!(!started(&bed.journal()).contains(&stop), "its stop was begun");
    assert_eq!(bed.unit_pids(), pids, "all three run as they ran before");

    // Staged again; now it is its unit that does not start.
    bed.quorate(&["prepare", &plan]).expect(0);
    bed.machines.says(second, BREAK);
    let run = bed.spawn(&["run", "resume", "--no-probe"]);
    let said = stopped_at(&bed, run, second);
    said.says(&["etcd.service ended at once", "no such setting", second]);
    assert_eq!(bed.unit_pid(second), "0", "the second server is down");
    assert_eq!((bed.unit_pid(third), live(&bed, third)), third_before, "the third is untouched");
    let touched: Vec<String> = started(&bed.journal())
        .into_iter()
        .filter(|step| step.contains(&format!(".{third}.")) && !step.ends_with(".stage"))
        .collect();
    assert!(touched.is_empty(), "{touched:?}");
    // A quorum is left: clients write and read.
    bed.ctl(first, "put k after");
    assert_eq!(bed.ctl(third, "get k --print-value-only"), "after");
    let report = bed.quorate(&["run", "report"]).expect(0).out;
    for word in ["halted", second, "no such setting"] {
        assert!(report.contains(word), "the report lacks `{word}`:\n{report}");
    }

    // T15: out of the cluster; with two voters left nothing more may be lost.
    let eject = |node: &str| {
        bed.quorate(&["eject", bed.name(), node, "--reason", "it fails", "--yes", "--no-probe"])
    };
    eject(second).expect(0).says(&["2 voters remain", "none of them may be lost"]);
    let listed = bed.ctl(first, "member list");
    assert!(!listed.contains(&format!(", {second}, ")), "the cluster lists it still: {listed}");
    let pids = bed.unit_pids();
    let upgrade =
        ["upgrade", bed.name(), "--to", "3.4.23", "--approve", "none", "--yes", "--no-probe"];
    bed.quorate(&upgrade).expect(3).says(&["Q0009", "nothing was touched", "2 voters"]);
    eject(third).expect(3).says(&["Q0009", "nothing was touched"]);
    assert_eq!(bed.unit_pids(), pids, "a server was stopped with nothing to spare");
    bed.ctl(first, "put k without-it");

    // Mended it comes back with the same data.
    bed.machines.says(second, MEND);
    // Its settings stand in a file of its host; a unit that is down says there what it would start.
    bed.quorate(&["rejoin", bed.name(), second, "--yes", "--no-probe"]).expect(0);
    let file = bed.machines.says(second, "cat /etc/default/etcd");
    assert!(file.contains("ETCD_INITIAL_CLUSTER_STATE=existing"), "{file}");
    assert_eq!(bed.hashes().into_iter().collect::<BTreeSet<_>>().len(), 1);
    assert_eq!(bed.ctl(second, "get k --print-value-only"), "without-it");
    // A new plan, from members of two releases.
    let releases: BTreeSet<_> = bed.releases().into_iter().flatten().collect();
    assert_eq!(releases, BTreeSet::from(["3.3.25".to_owned(), "3.4.23".to_owned()]));
    bed.quorate(&upgrade).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 3]);
    assert_eq!(bed.hashes().into_iter().collect::<BTreeSet<_>>().len(), 1);
}

/// The binary that is live on a host: which file, and when it was last changed.
fn live(bed: &HostBed, name: &str) -> String {
    bed.machines.says(name, "stat -c '%i %z' /usr/bin/etcd")
}

/// Waits for the question before a server's turn.
#[track_caller]
fn asked(bed: &HostBed, node: &str) {
    until(TURN_LIMIT, &format!("the question before {node}"), || {
        let state = bed.runs().first().map(|run| run.state.clone());
        matches!(state, Some(RunState::AwaitingApproval { step }) if step.as_str().contains(node))
    });
}

#[track_caller]
fn approve(bed: &HostBed, node: &str) {
    asked(bed, node);
    bed.quorate(&["run", "approve"]).expect(0);
}

/// The run has halted at a server, and says what to do.
#[track_caller]
fn stopped_at(bed: &HostBed, run: Child, node: &str) -> Said {
    let said = finish(run).expect(4).says(&[
        "Q0012",
        "nothing further was touched",
        "quorate run resume",
        "quorate rollback",
    ]);
    let step = hold(&bed.journal()).and_then(|hold| hold.step).expect("a step");
    assert!(step.as_str().contains(node), "halted at {step}");
    said
}
