//! T22: of two operators the second is refused with the holder's name; a lease is broken only explicitly, and then the first one stops.

use quorate_e2e::{
    Bed,
    ask::{finished, started},
    finish,
};
use quorate_model::RunEvent;
use std::{collections::BTreeSet, process::Stdio, time::Duration};

#[test]
fn t22_the_second_operator_is_refused_and_may_only_break_the_lease_openly() {
    let bed = Bed::up("3.4.23", &[]);
    bed.limit(&["soak_secs: 8", "baseline_secs: 1"]);
    let plan = bed.plan("3.5.16", &[]).display().to_string();
    let anna = bed.spawn(&["apply", &plan, "--yes"]);
    let first = bed.wait_for_start(Duration::from_secs(90), ".soak");

    // Another run and the same run, by somebody else: neither begins.
    let run = bed.runs()[0].run.to_string();
    let before = bed.journal().len();
    for words in [
        vec!["upgrade", bed.name(), "--to", "3.5.16", "--yes"],
        vec!["run", "resume", &run, "--yes"],
    ] {
        let bert = bed.command(&words).env("USER", "bert").output().unwrap();
        let said = String::from_utf8_lossy(&bert.stderr);
        assert_eq!(bert.status.code(), Some(3), "{words:?}: {said}");
        assert!(said.contains("anna@") && said.contains("--break-lease"), "{words:?}: {said}");
    }
    assert_eq!(bed.runs().len(), 1, "no second run was made");
    assert!(
        bed.journal().len() >= before
            && !bed.journal().iter().any(|one| matches!(one.event, RunEvent::Resumed { .. }))
    );

    let bert = bed
        .command(&["run", "resume", &run, "--yes", "--break-lease", "anna's terminal is gone"])
        .env("USER", "bert")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let anna = finish(anna);
    assert_ne!(anna.code, 0, "the first controller gives up: {}", anna.err);
    assert!(anna.err.contains("lease"), "{}", anna.err);
    finish(bert).expect(0);

    let journal = bed.journal();
    let taken = journal.iter().position(|one| matches!(&one.event, RunEvent::Resumed { holder, .. } if holder.who.starts_with("bert@"))).unwrap();
    let generation = |event: &RunEvent| match event {
        RunEvent::Began { generation, .. } | RunEvent::Resumed { generation, .. } => {
            Some(*generation)
        }
        _ => None,
    };
    assert!(
        generation(&journal[taken].event) > generation(&journal[0].event),
        "generations fence the first one"
    );
    let reason = journal.iter().any(|one| matches!(&one.event, RunEvent::Note { text, .. } if text.contains("anna's terminal is gone")));
    assert!(reason, "why the lease was broken is written down");
    // Nobody acted twice, and the member that was at work was not touched again.
    let stops: Vec<String> =
        started(&journal).into_iter().filter(|step| step.ends_with(".stop")).collect();
    let distinct: BTreeSet<&String> = stops.iter().collect();
    assert_eq!((stops.len(), distinct.len()), (3, 3), "{stops:?}");
    assert_eq!(stops[0], format!("h1.{first}.stop"));
    let over = finished(&journal);
    assert_eq!(
        over.iter().map(|(step, _)| step).collect::<BTreeSet<_>>().len(),
        over.len(),
        "each step is over once"
    );
    assert_eq!(bed.releases(), vec![Some("3.5.16".to_owned()); 3]);
}
