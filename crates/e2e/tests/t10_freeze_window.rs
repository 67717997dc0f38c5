//! T10: in a freeze window nothing begins, and with maintenance windows nothing that does not fit into one, unless a person says
//! why; the reason lands in the journal and the report.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use quorate_e2e::{Bed, QUICK};
use quorate_model::RunEvent;
use std::fs;

/// Two windows that make the whole week, whatever day the test runs on.
const ALWAYS: &str = r#"freeze: ["Mon 00:00 - Thu 00:00", "Thu 00:00 - Mon 00:00"]"#;

#[test]
fn t10_a_freeze_window_refuses_until_a_person_says_why() {
    let bed = Bed::up("3.3.25", &[]);
    bed.limit(&[QUICK, &[ALWAYS]].concat());
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

/// A window of the week in UTC, from and until so many minutes after now.
fn around(from: i64, until: i64) -> String {
    let at = |minutes: i64| {
        let at = Timestamp::now() + minutes.minutes();
        at.to_zoned(TimeZone::UTC).strftime("%a %H:%M").to_string()
    };
    format!("{} - {}", at(from), at(until))
}

#[test]
fn t10_a_run_begins_only_in_a_maintenance_window_that_holds_it() {
    let bed = Bed::up("3.3.25", &[]);
    let (pids, files) = (bed.live_pids(), bed.files());
    let upgrade = ["upgrade", bed.name(), "--to", "3.4.23", "--yes", "--no-probe"];
    let plain = fs::read_to_string(bed.fleet()).unwrap();
    let refused = |limits: &[&str], words: &[&str]| {
        fs::write(bed.fleet(), &plain).unwrap();
        bed.limit(limits);
        bed.quorate(&upgrade)
            .expect(3)
            .says(&[&["Q0018", "--override-freeze REASON"], words].concat());
        assert_eq!(bed.live_pids(), pids, "{limits:?}: a member was stopped");
        assert_eq!(bed.files(), files, "{limits:?}: something was staged");
        assert!(bed.runs().is_empty(), "{limits:?}: a refused run is no run");
    };
    // Not open; open, but shorter than a run with an hour's soak; a freeze that begins before such a run is over.
    let later = format!(r#"windows: ["{}"]"#, around(120, 240));
    refused(&[&later], &["no maintenance window is open", "begins at"]);
    let short = format!(r#"windows: ["{}"]"#, around(-5, 30));
    let hour = "soak_secs: 3600";
    refused(
        &[&short, hour],
        &[
            "the run takes about",
            "until the maintenance window closes",
            "no time of the week holds",
        ],
    );
    let soon = format!(r#"freeze: ["{}"]"#, around(30, 60));
    refused(&[&soon, hour], &["the run takes about", "are left until freeze window", "begins at"]);

    let wide = format!(r#"windows: ["{}"]"#, around(-5, 60));
    fs::write(bed.fleet(), &plain).unwrap();
    bed.limit(&[QUICK, &[&wide]].concat());
    bed.quorate(&upgrade).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 3]);
}
