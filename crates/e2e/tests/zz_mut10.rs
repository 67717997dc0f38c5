//! T10: in a freeze window nothing begins, unless a person says why; the reason lands in the journal and the report.

use quorate_e2e::{Bed, QUICK};
use quorate_model::RunEvent;

/// Two windows that make the whole week, whatever day the test runs on.
const ALWAYS: &str = r#"freeze: ["Mon 00:00 - Thu 00:00", "Thu 00:00 - Mon 00:00"]"#;

#[test]
fn t10_a_freeze_window_refuses_until_a_person_says_why() {
    let bed = Bed::up("3.3.25", &[]);
    bed.limit(&[QUICK].concat());
    let plan = bed.plan("3.4.23", &[]).display().to_string();
    let (pids, files) = (bed.live_pids(), bed.files());
    for words in
        [&["apply", &plan, "--yes"][..], &["upgrade", bed.name(), "--to", "3.4.23", "--yes"]]
    {
        bed.quorate(words).expect(3).says(&[
            "Q0018",
            "freeze window",
            "until",
            "--override-freeze REASON",
        ]);
        assert_eq!(bed.live_pids(), pids, "{words:?} stopped a member");
        assert_eq!(bed.files(), files, "{words:?} staged something");
    }
    assert!(bed.runs().is_empty(), "a refused run is no run");

    bed.quorate(&[
        "apply",
        &plan,
        "--yes",
        "--no-probe",
        "--override-freeze",
        "the certificate ends tonight",
    ])
    .expect(0);
    let noted = |event: &RunEvent| matches!(event, RunEvent::Note { by, text } if by.starts_with("anna@") && text.contains("the certificate ends tonight"));
    assert!(
        bed.journal().iter().any(|recorded| noted(&recorded.event)),
        "the journal lacks the reason"
    );
    let report = bed.quorate(&["run", "report", "--format", "markdown"]).expect(0).out;
    assert!(
        report.contains("the certificate ends tonight"),
        "the report lacks the reason:\n{report}"
    );
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 3]);
}
