//! T24: back from the middle member by member, with nothing lost; back from the end with the verified backup, and what is lost is said.

use quorate_e2e::{
    Bed,
    ask::{finished, started},
    finish,
};
use quorate_model::Outcome;
use std::time::Duration;

#[test]
fn t24_from_the_middle_the_binaries_go_back_one_by_one() {
    let bed = Bed::up("3.4.23", &[]);
    bed.limit(&["soak_secs: 2", "baseline_secs: 1"]);
    bed.put("before", "kept");
    let run = bed.spawn(&["upgrade", bed.name(), "--to", "3.5.16", "--yes"]);
    let first = bed.wait_for_start(Duration::from_secs(90), ".soak");
    bed.quorate(&["run", "pause"]).expect(0);
    finish(run).expect(3);
    bed.put("in-the-middle", "kept too");
    let moved = bed.runs()[0].run.to_string();

    bed.quorate(&["rollback", &moved, "--yes"]).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 3]);
    let journal = bed.journal();
    let stops: Vec<String> =
        started(&journal).into_iter().filter(|step| step.ends_with(".stop")).collect();
    assert_eq!(stops.len(), 1, "only the member that had moved goes back: {stops:?}");
    assert!(stops[0].contains(&first));
    for node in 1..=3 {
        assert_eq!(bed.get(&bed.node(node), "before"), "kept");
        assert_eq!(bed.get(&bed.node(node), "in-the-middle"), "kept too");
    }
    let report = bed.report();
    assert_eq!(report["client"]["writes_lost"], 0);
    assert_eq!(report["client"]["requests_failed"], 0);
    bed.quorate(&["rollback", &moved, "--yes"]).expect(0).says(&["nothing to go back from"]);
}

#[test]
fn t24_from_the_end_the_backup_is_put_back_and_the_losses_are_said() {
    let bed = Bed::up("3.4.23", &[]);
    bed.limit(&["soak_secs: 0", "baseline_secs: 1"]);
    bed.put("before", "kept");
    bed.quorate(&["upgrade", bed.name(), "--to", "3.5.16", "--yes", "--no-probe"]).expect(0);
    let up = bed.runs()[0].run.to_string();
    bed.put("before", "changed");
    bed.put("after", "lost");

    let file = bed.scratch().join("back.json");
    bed.quorate(&["rollback", &up, "--plan-only", &file.display().to_string()]).expect(0);
    let plan: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let losses = plan["losses"].as_array().cloned().unwrap_or_default();
    assert!(
        losses.iter().any(|loss| loss.as_str().unwrap_or_default().contains("write")),
        "writes since then are named as lost: {losses:?}"
    );
    bed.quorate(&["rollback", &up]).expect(3).says(&["--yes"]);
    assert_eq!(bed.releases(), vec![Some("3.5.16".to_owned()); 3], "nothing happens without a yes");

    let said = bed.quorate(&["rollback", &up, "--yes", "--no-probe"]).expect(0);
    assert!(said.err.contains("would be lost"), "{}", said.err);
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 3]);
    for node in 1..=3 {
        assert_eq!(bed.get(&bed.node(node), "before"), "kept", "the backup's data are back");
        assert_eq!(bed.get(&bed.node(node), "after"), "", "a write after the backup is gone");
    }
    let over = finished(&bed.journal());
    let restored = over
        .iter()
        .filter(|(step, outcome)| {
            step.ends_with(".restore") && matches!(outcome, Outcome::Succeeded { .. })
        })
        .count();
    assert_eq!(restored, 3, "each member got the copy: {over:?}");
    let report = bed.report();
    assert!(
        !report["report"]["losses"].as_array().unwrap().is_empty(),
        "the report says what was lost"
    );
    assert_eq!(bed.detect()["nodes"][0]["healthy"], true);
}
