//! T17: with one of three members down nothing disruptive begins; a second one that dies during a step halts the run at once.

use quorate_e2e::{
    Bed,
    ask::{hold, started},
    finish, until,
};
use quorate_model::RunEvent;
use std::time::{Duration, Instant};

/// A halt must be written within this of the second member's death.
const HALT_LIMIT: Duration = Duration::from_secs(5);
/// Until a step of the first member begins: baseline and backups come before it, on a slow machine.
const STEP_LIMIT: Duration = Duration::from_secs(90);

#[test]
fn t17_one_of_three_down_refuses_plan_and_apply() {
    let bed = Bed::up("3.4.23", &[]);
    let plan = bed.plan("3.5.16", &["--soak", "0"]).display().to_string();
    let pids: Vec<i32> = (1..=3).map(|number| bed.pid(&bed.node(number))).collect();
    bed.fault(&bed.node(2), "kill", &[]);
    let down = bed.node(2);

    let refused = bed.quorate(&["plan", bed.name(), "--to", "3.5.16"]).expect(3).says(&[&down]);
    assert!(refused.out.is_empty(), "no plan is printed: {}", refused.out);
    bed.quorate(&["upgrade", bed.name(), "--to", "3.5.16", "--yes"]).expect(3).says(&[&down]);
    bed.quorate(&["apply", &plan, "--yes"]).expect(3).says(&[&down]);

    assert_eq!(started(&bed.journal()), Vec::<String>::new());
    assert_eq!((bed.pid(&bed.node(1)), bed.pid(&bed.node(3))), (pids[0], pids[2]), "the others were left alone");

    bed.fault(&down, "start", &[]);
    until(Duration::from_secs(20), "the member serves again", || bed.detect()["nodes"][1]["healthy"] == true);
    bed.quorate(&["plan", bed.name(), "--to", "3.5.16"]).expect(0);
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
    let run = bed.spawn(&["upgrade", bed.name(), "--to", "3.5.16", "--yes"]);
    let first = bed.wait_for_start(STEP_LIMIT, &format!(".{during}"));
    let second = (1..=3).map(|number| bed.node(number)).find(|node| *node != first).unwrap();
    let died = Instant::now();
    bed.fault(&second, "kill", &[]);
    bed.wait_for(Duration::from_secs(60), "the run halts", |event| matches!(event, RunEvent::Halted { .. }));
    let took = died.elapsed();
    let said = finish(run).expect(4).says(&[&second]);
    let journal = bed.journal();
    let hold = hold(&journal).unwrap();
    assert!(took < HALT_LIMIT, "halted after {took:?}: {hold:?}\n{}", said.err);
    assert_eq!(hold.code, "unsafe", "{hold:?}");
    let stops: Vec<String> = started(&journal).into_iter().filter(|step| step.ends_with(".stop")).collect();
    assert_eq!(stops, [format!("h1.{first}.stop")], "nothing more is stopped");
}
