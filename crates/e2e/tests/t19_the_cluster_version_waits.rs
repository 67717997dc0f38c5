//! T19: with two of three members new the cluster version is still the old one; after the last it is the new one, and the run says so.

use quorate_e2e::{Bed, ask::finished, finish, until};
use quorate_model::{RunEvent, RunState};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn t19_the_cluster_version_waits_for_the_last_member() {
    let bed = Bed::up("3.4.23", &[]);
    bed.limit(&["soak_secs: 1", "baseline_secs: 1"]);
    let plan = bed.plan("3.5.16", &["--approve", "each"]).display().to_string();
    let run = bed.spawn(&["apply", &plan]);
    // The members' waves are approved one by one; before the last member two are new.
    let mut mixed = None;
    until(LIMIT * 2, "the run ends", || {
        if let Some(RunState::AwaitingApproval { .. }) =
            bed.runs().first().map(|run| run.state.clone())
        {
            let seen = bed.detect();
            let new = bed
                .releases()
                .iter()
                .filter(|release| release.as_deref() == Some("3.5.16"))
                .count();
            if new == 2 && mixed.is_none() {
                mixed = Some(seen["facts"]["cluster_release"].clone());
            }
            bed.quorate(&["run", "approve"]);
        }
        matches!(bed.runs().first().map(|run| run.state.clone()), Some(RunState::Ended { .. }))
    });
    finish(run).expect(0);
    assert_eq!(mixed, Some("3.4.0".into()), "with two of three new it is still the old one");
    assert_eq!(bed.detect()["facts"]["cluster_release"], "3.5.0");

    let journal = bed.journal();
    let over = finished(&journal);
    assert_eq!(
        over.last().map(|(step, _)| step.as_str()),
        Some("h1.complete.look"),
        "the hop is complete only then: {over:?}"
    );
    let last_rejoin = journal.iter().rposition(|one| matches!(&one.event, RunEvent::Finished { step, .. } if step.as_str().ends_with(".rejoin")));
    let complete = journal.iter().position(|one| matches!(&one.event, RunEvent::Finished { step, .. } if step.as_str() == "h1.complete.look"));
    assert!(last_rejoin < complete);
    let approvals = bed.report()["report"]["approvals"].as_array().map_or(0, Vec::len);
    assert!(approvals >= 3, "one before each member");
}
