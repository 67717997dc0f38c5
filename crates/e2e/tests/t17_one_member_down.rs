//! T17: with one of three members down nothing disruptive begins; a second one that dies during a step halts the run at once.

use quorate_e2e::{
    Bed,
    ask::{hold, started},
    finish,
};
use quorate_model::RunEvent;
use std::time::Duration;

/// A halt must be written within this of the second member's death.
const HALT_LIMIT: Duration = Duration::from_secs(5);
/// Until a step of the first member begins: baseline and backups come before it, on a slow machine.
const STEP_LIMIT: Duration = Duration::from_secs(90);

#[test]
fn t17_one_of_three_down_refuses_every_disruptive_step() {
    let bed = Bed::up("3.4.23", &[]);
    let plan = bed.plan("3.5.16", &["--soak", "0"]).display().to_string();
    let pids: Vec<i32> = (1..=3).map(|number| bed.pid(&bed.node(number))).collect();
    let down = bed.node(2);
    let address = bed.endpoint(&down).trim_start_matches("http://").to_owned();
    bed.fault(&down, "kill", &[]);

    // A plan that was made while all were well: not one step of it begins.
    bed.quorate(&["apply", &plan, "--yes"]).expect(3).says(&[&down]);
    assert_eq!(started(&bed.journal()), Vec::<String>::new());

    // A plan that is made now mends that member first. It cannot come back (its address is taken): nobody else is touched.
    let held = std::net::TcpListener::bind(&address).unwrap();
    bed.limit(&["rejoin_limit_secs: 3"]);
    let halted = bed.quorate(&[
        "upgrade",
        bed.name(),
        "--to",
        "3.5.16",
        "--soak",
        "0",
        "--yes",
        "--no-probe",
    ]);
    assert!([3, 4].contains(&halted.code), "{halted:?}");
    let stops = started(&bed.journal())
        .into_iter()
        .filter(|step| step.ends_with(".stop") && !step.contains(&down))
        .count();
    assert_eq!(stops, 0, "no other member is stopped");
    assert_eq!(
        (bed.pid(&bed.node(1)), bed.pid(&bed.node(3))),
        (pids[0], pids[2]),
        "the others were left alone"
    );

    drop(held);
    bed.quorate(&["run", "resume", "--yes", "--no-probe"]).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.5.16".to_owned()); 3]);
}

#[test]
fn t17_a_second_member_that_dies_while_one_soaks_halts_the_run() {
    second_dies("soak");
}

#[test]
fn t17_a_second_member_that_dies_while_one_is_down_halts_the_run() {
    second_dies("stop");
}

/// Kills another member once this step of the first one begins: the run halts, and nobody else is ever stopped.
#[track_caller]
fn second_dies(during: &str) {
    let bed = Bed::up("3.4.23", &[]);
    bed.limit(&["soak_secs: 60", "baseline_secs: 1"]);
    let pids: Vec<(String, i32)> =
        (1..=3).map(|number| bed.node(number)).map(|node| (node.clone(), bed.pid(&node))).collect();
    let run = bed.spawn(&["upgrade", bed.name(), "--to", "3.5.16", "--yes"]);
    let first = bed.wait_for_start(STEP_LIMIT, &format!(".{during}"));
    let (second, pid) = pids.into_iter().find(|(node, _)| *node != first).unwrap();
    let died = jiff::Timestamp::now();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    let halted = bed.wait_for(Duration::from_secs(60), "the run halts", |event| {
        matches!(event, RunEvent::Halted { .. })
    });
    let said = finish(run).expect(4).says(&[&second]);
    let journal = bed.journal();
    let hold = hold(&journal).unwrap();
    // The member that is down by the run's own doing is brought back first, whatever dies meanwhile.
    let back = journal.iter().find(|one| matches!(&one.event, RunEvent::Acted { step, .. } if step.as_str().ends_with(".start")));
    let from = back.map_or(died, |back| back.at.max(died));
    let took = Duration::try_from(halted.at.duration_since(from)).unwrap();
    assert!(took < HALT_LIMIT, "halted after {took:?}: {hold:?}\n{}", said.err);
    assert_eq!(hold.code, "unsafe", "{hold:?}");
    let stops: Vec<String> =
        started(&journal).into_iter().filter(|step| step.ends_with(".stop")).collect();
    assert_eq!(stops, [format!("h1.{first}.stop")], "nothing more is stopped");
}

#[test]
fn a_member_that_dies_while_it_soaks_is_not_waited_for_and_taken_up_again_once_it_runs() {
    let bed = Bed::up("3.4.23", &[]);
    bed.limit(&["soak_secs: 4", "baseline_secs: 1"]);
    let run = bed.spawn(&["upgrade", bed.name(), "--to", "3.5.16", "--yes"]);
    let first = bed.wait_for_start(STEP_LIMIT, ".soak");
    let died = jiff::Timestamp::now();
    bed.fault(&first, "kill", &[]);
    let log = bed.dir().join("members").join(&first).join("etcd.log");
    finish(run).expect(4).says(&[&first, "has ended", &log.display().to_string()]);
    let journal = bed.journal();
    let hold = hold(&journal).unwrap();
    assert_eq!(hold.code, "member-ended", "{hold:?}");
    let halted = journal.iter().find(|one| matches!(one.event, RunEvent::Halted { .. })).unwrap();
    let took = Duration::try_from(halted.at.duration_since(died)).unwrap();
    assert!(took < HALT_LIMIT, "halted after {took:?}");
    bed.fault(&first, "start", &[]);
    finish(bed.spawn(&["run", "resume", "--yes"])).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.5.16".to_owned()); 3]);
    assert_eq!(bed.report()["client"]["writes_lost"], 0);
}
