//! T20, T17 and a cut network on whole machines, one after the other in one run. A server that starts behind a network that
//! loses packets holds its gate until its index matches, and past the limit the run halts. A host that loses its power while
//! another server is down halts the run within five seconds. A network that is cut in the middle of a swap leaves an
//! answer that nobody knows, and a look says what happened once the network is back.

use quorate_e2e::{
    Said,
    ask::{hold, started},
    finish,
    hosts::{HostBed, NAMES},
    machines::throughout,
    until,
};
use quorate_hosts::lab::Fault;
use quorate_model::{Outcome, Recorded, RunEvent, RunState};
use std::{
    collections::BTreeSet,
    fs,
    process::Child,
    time::{Duration, Instant},
};

/// Longer than a server's turn takes on a busy machine.
const TURN_LIMIT: Duration = Duration::from_secs(60);
/// T17's own limit.
const HALT_LIMIT: Duration = Duration::from_secs(5);
/// The gate's limit, and a part of it in which the gate is watched while packets are lost.
const REJOIN_SECS: f64 = 8.0;
const WATCHED: Duration = Duration::from_secs(4);
/// Within this a connection that is cut is found dead: by the configuration of the client that the test writes, one second
/// of silence three times, and a look.
const CUT_LIMIT: Duration = Duration::from_secs(30);

#[test]
fn t20_t17_what_happens_to_hosts_and_networks_in_the_middle_of_a_run() {
    let bed = HostBed::etcd("3.4.23");
    let config = &bed.machines.lab.ssh_config;
    let own = fs::read_to_string(config).unwrap();
    let impatient =
        "Host *\n    ServerAliveInterval 1\n    ServerAliveCountMax 3\n    ConnectTimeout 3\n";
    fs::write(config, format!("{own}\n{impatient}")).unwrap();
    bed.limit(&[
        "soak_secs: 0.2",
        "good_looks: 2",
        "look_every_secs: 0.2",
        &format!("rejoin_limit_secs: {REJOIN_SECS}"),
        "approve: each",
    ]);
    bed.ctl("m1", "put k before");
    let plan = bed.plan("3.5.16", &[]).display().to_string();
    let order = bed.order(&plan);
    let [first, second, third] = [0, 1, 2].map(|at| order[at].as_str());
    for name in [first, second] {
        bed.stops_at(name, "systemctl", "'start '*");
    }
    bed.stops_at(third, "mv", "*' /usr/bin/etcd'");

    let run = bed.spawn(&["apply", &plan, "--no-probe"]);
    lossy(&bed, run, first);
    let run = bed.spawn(&["run", "resume", "--no-probe"]);
    power_off(&bed, run, first, second);
    let run = bed.spawn(&["run", "resume", "--no-probe"]);
    cut(&bed, run, third);
    let run = bed.spawn(&["run", "resume", "--yes", "--no-probe"]);
    finish(run).expect(0);

    let journal = bed.journal();
    let swap = format!("h1.{third}.swap");
    let seen = journal.iter().any(|one| matches!(&one.event, RunEvent::DoneProbed { step, done: true } if step.as_str() == swap));
    assert!(seen, "a look has told that the swap happened:\n{journal:#?}");
    assert_eq!(started(&journal).iter().filter(|step| **step == swap).count(), 1);
    assert_eq!(
        stops(&journal),
        order.iter().map(|name| format!("h1.{name}.stop")).collect::<Vec<_>>()
    );
    assert_eq!(bed.releases(), vec![Some("3.5.16".to_owned()); 3]);
    assert_eq!(bed.hashes().into_iter().collect::<BTreeSet<_>>().len(), 1);
    assert_eq!(bed.ctl(third, "get k --print-value-only"), "meanwhile");
    assert_eq!([second, third].map(|name| bed.starts(name)), [2, 2], "each was started once more");
}

/// T20: what the others send the first server is lost.
fn lossy(bed: &HostBed, run: Child, first: &str) {
    asked(bed, first);
    bed.stop_here(first);
    bed.quorate(&["run", "approve"]).expect(0);
    bed.has_come(first);
    let others: Vec<&str> = NAMES.into_iter().filter(|name| *name != first).collect();
    bed.machines.fault(first, &Fault::Drop { from: Some(others.join(",")), percent: 95.0 });
    bed.go_on(first);
    let rejoin = format!("h1.{first}.rejoin");
    bed.wait_for(
        TURN_LIMIT,
        "its gate is looked at",
        |event| matches!(event, RunEvent::Started { step, .. } if step.as_str() == rejoin),
    );
    bed.ctl(others[0], "put k meanwhile");
    throughout(WATCHED, "the gate is held while the server lags", || {
        !bed.journal().iter().any(
            |one| matches!(&one.event, RunEvent::Finished { step, .. } if step.as_str() == rejoin),
        )
    });
    halted(bed, run, "gate-timeout", &rejoin).says(&[first]);
    let journal = bed.journal();
    assert_eq!(stops(&journal), [format!("h1.{first}.stop")], "the others were left alone");
    let at = |holds: &dyn Fn(&RunEvent) -> bool| {
        journal.iter().find(|one| holds(&one.event)).unwrap().at
    };
    let began =
        at(&|event| matches!(event, RunEvent::Started { step, .. } if step.as_str() == rejoin));
    let over = at(&|event| matches!(event, RunEvent::Halted { .. }));
    let waited = over.duration_since(began).as_secs_f64();
    assert!(
        (REJOIN_SECS - 0.1..REJOIN_SECS * 2.0).contains(&waited),
        "the gate had its limit: {waited}"
    );
    bed.machines.fault(first, &Fault::Heal);
}

/// T17: while the second server is down by the run's own doing, the first one's host loses its power.
fn power_off(bed: &HostBed, run: Child, first: &str, second: &str) {
    asked(bed, second);
    bed.stop_here(second);
    bed.quorate(&["run", "approve"]).expect(0);
    bed.has_come(second);
    bed.machines.fault(first, &Fault::Kill);
    let died = jiff::Timestamp::now();
    bed.go_on(second);
    let rejoin = format!("h1.{second}.rejoin");
    halted(bed, run, "unsafe", &rejoin).says(&[first, second]);
    let journal = bed.journal();
    // The server that is down is brought back first, whatever dies meanwhile.
    let back = journal.iter().rev().find(|one| matches!(&one.event, RunEvent::Acted { step, outcome: Outcome::Succeeded { .. }, .. } if step.as_str() == format!("h1.{second}.start"))).unwrap();
    let over =
        journal.iter().rev().find(|one| matches!(one.event, RunEvent::Halted { .. })).unwrap();
    let took = Duration::try_from(over.at.duration_since(back.at.max(died))).unwrap();
    assert!(took < HALT_LIMIT, "halted after {took:?}");
    assert_eq!(
        stops(&journal),
        [first, second].map(|name| format!("h1.{name}.stop")),
        "nothing more is stopped"
    );
    bed.machines.fault(first, &Fault::Start);
    until(TURN_LIMIT, "the cluster is whole again", || {
        NAMES
            .iter()
            .all(|name| bed.machines.ssh(name, "ETCDCTL_API=3 etcdctl endpoint health").code == 0)
    });
}

/// The way to the third server is cut in the middle of its swap, which goes on there alone.
fn cut(bed: &HostBed, run: Child, third: &str) {
    asked(bed, third);
    bed.stop_here(third);
    bed.quorate(&["run", "approve"]).expect(0);
    bed.has_come(third);
    bed.machines.fault(third, &Fault::Cut { from: Some("controller".to_owned()) });
    let began = Instant::now();
    bed.go_on(third);
    let swap = format!("h1.{third}.swap");
    halted(bed, run, "unknown-outcome", &swap).says(&[third, "mend the way to the host"]);
    assert!(began.elapsed() < CUT_LIMIT, "{:?}", began.elapsed());
    let unknown = bed.journal().iter().any(|one| matches!(&one.event, RunEvent::Acted { step, outcome: Outcome::Unknown { .. }, .. } if step.as_str() == swap));
    assert!(unknown, "the answer that was lost is written down as such");
    bed.machines.fault(third, &Fault::Heal);
}

/// Members that were stopped, in order.
fn stops(journal: &[Recorded]) -> Vec<String> {
    started(journal).into_iter().filter(|step| step.ends_with(".stop")).collect()
}

/// Waits for the question before a server's turn, and says yes to what is asked before that.
#[track_caller]
fn asked(bed: &HostBed, node: &str) {
    until(TURN_LIMIT, &format!("the question before {node}"), || {
        let state = bed.runs().first().map(|run| run.state.clone());
        let Some(RunState::AwaitingApproval { step }) = state else { return false };
        let own = step.as_str().contains(&format!(".{node}."));
        if !own {
            bed.quorate(&["run", "approve"]);
        }
        own
    });
}

#[track_caller]
fn halted(bed: &HostBed, run: Child, code: &str, step: &str) -> Said {
    let said = finish(run).expect(4).says(&["Q0012", "nothing further was touched"]);
    let hold = hold(&bed.journal()).expect("a hold");
    let at = hold.step.as_ref().map(|step| step.as_str());
    assert_eq!((hold.code.as_str(), at), (code, Some(step)), "{hold:?}");
    said
}
