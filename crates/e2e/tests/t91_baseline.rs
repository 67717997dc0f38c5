//! T91: what clients see with nothing going on is measured before a run and reported; a run on a restless machine is refused.

use quorate_e2e::{Bed, ask::started};
use quorate_model::RunEvent;

#[test]
fn t91_the_baseline_is_measured_before_the_first_change_and_reported() {
    let bed = Bed::up("3.4.23", &[]);
    bed.limit(&["soak_secs: 0", "baseline_secs: 3"]);
    bed.quorate(&["upgrade", bed.name(), "--to", "3.5.16", "--yes"]).expect(0);
    let journal = bed.journal();
    let baseline =
        journal.iter().position(|one| matches!(one.event, RunEvent::Baseline { .. })).unwrap();
    let first =
        journal.iter().position(|one| matches!(one.event, RunEvent::Started { .. })).unwrap();
    assert!(baseline < first);
    let RunEvent::Baseline { p50_us, max_us, measured, gap_max_ms } = journal[baseline].event
    else {
        unreachable!("it was just found")
    };
    assert!((2.5..6.0).contains(&measured.as_secs_f64()), "{measured:?}");
    assert!(p50_us > 0 && p50_us <= max_us);
    let report = bed.report();
    assert_eq!(report["client"]["baseline_gap_max_ms"], gap_max_ms);
    let text = bed.quorate(&["run", "report", "--format", "text"]).expect(0).out;
    assert!(text.contains(&format!("baseline {gap_max_ms} ms")), "the report names it: {text}");
}

#[test]
fn t91_a_noisy_baseline_refuses_the_run() {
    let bed = Bed::up("3.4.23", &[]);
    // No machine writes without any gap at all.
    bed.limit(&["baseline_secs: 1", "baseline_noise_max_ms: 0"]);
    bed.quorate(&["upgrade", bed.name(), "--to", "3.5.16", "--yes"])
        .expect(3)
        .says(&["baseline_noise_max_ms", "nothing was touched"]);
    assert_eq!(started(&bed.journal()), Vec::<String>::new());
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 3]);
    // The lease is free again: a run without a client's view may go.
    bed.quorate(&["upgrade", bed.name(), "--to", "3.5.16", "--soak", "0", "--yes", "--no-probe"])
        .expect(0);
}
