//! T28: paused in the middle, repaired by hand, a note, resumed: the world is read again, note and manual change are in the report.

use quorate_e2e::{Bed, ask::finished, finish, until};
use quorate_model::RunEvent;
use std::{
    process::{Command, Stdio},
    time::Duration,
};

#[test]
fn t28_a_member_restarted_by_hand_and_a_note_are_in_the_report() {
    let bed = Bed::up("3.4.23", &[]);
    bed.limit(&["soak_secs: 2", "baseline_secs: 1"]);
    let run = bed.spawn(&["upgrade", bed.name(), "--to", "3.5.16", "--yes"]);
    let first = bed.wait_for_start(Duration::from_secs(90), ".soak");
    bed.quorate(&["run", "pause", "--reason", "a disk looks odd"]).expect(0);
    finish(run).expect(3).says(&["paused"]);
    let name = bed.runs()[0].run.to_string();

    // By hand: another member is ended and started with its own words.
    let other = (1..=3).map(|number| bed.node(number)).find(|node| *node != first).unwrap();
    let seen = bed.detect();
    let node = seen["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == other.as_str())
        .unwrap()
        .clone();
    let argv: Vec<String> = node["process"]["argv"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap().to_owned())
        .collect();
    let old = bed.pid(&other);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(old), nix::sys::signal::Signal::SIGTERM)
        .unwrap();
    until(Duration::from_secs(10), "the member ends", || {
        !std::fs::read_to_string(format!("/proc/{old}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
    });
    let mut command = Command::new("setsid");
    command.args(["--fork"]).args(&argv).current_dir(bed.dir().join("members").join(&other));
    assert!(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    );
    until(Duration::from_secs(20), "it serves again", || {
        bed.detect()["nodes"].as_array().unwrap().iter().all(|one| one["healthy"] == true)
    });
    assert_ne!(bed.pid(&other), old);

    bed.quorate(&["run", "note", &name, "the cable was loose"]).expect(0);
    bed.quorate(&["run", "resume", &name, "--yes"]).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.5.16".to_owned()); 3]);

    let journal = bed.journal();
    let resumed =
        journal.iter().position(|one| matches!(one.event, RunEvent::Resumed { .. })).unwrap();
    let world = journal.iter().skip(resumed).position(
        |one| matches!(&one.event, RunEvent::WorldSeen { differs } if differs.is_empty()),
    );
    assert!(world.is_some(), "the world is looked at before anything else");
    let acted = journal
        .iter()
        .skip(resumed)
        .position(|one| matches!(one.event, RunEvent::Started { .. } | RunEvent::Finished { .. }));
    assert!(world < acted);
    let report = bed.report();
    let notes = report["report"]["notes"].to_string();
    assert!(notes.contains("the cable was loose"), "{notes}");
    assert!(
        notes.contains(&other) && notes.contains("was started at"),
        "the manual change is in the report: {notes}"
    );
    for form in ["text", "markdown", "html"] {
        let text = bed.quorate(&["run", "report", &name, "--format", form]).expect(0).out;
        assert!(text.contains("the cable was loose"), "{form} has the note");
    }
    assert!(
        report["report"]["log"].to_string().contains("a disk looks odd"),
        "and so is the reason of the pause"
    );
    let over = finished(&journal);
    let again = over.iter().filter(|(step, _)| *step == format!("h1.{first}.stop")).count();
    assert_eq!(again, 1, "no finished step is repeated");
}
