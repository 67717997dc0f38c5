//! Every renderer over the same made-up runs.

use crate::{
    Report, json, junit, lines, markdown,
    sample::{self, Story},
    text,
};

fn told(story: Story) -> Report {
    let plan = sample::plan();
    Report::fold(&plan, &sample::journal(&plan, story)).of_run("r7k2".into())
}

#[test]
fn text_of_a_halt() {
    insta::assert_snapshot!(text(&told(Story::Halted)));
}

#[test]
fn markdown_of_a_success() {
    insta::assert_snapshot!(markdown(&told(Story::Succeeded)));
}

#[test]
fn junit_of_a_halt() {
    insta::assert_snapshot!(junit(&told(Story::Halted)).unwrap());
}

#[test]
fn the_promised_keys_of_json() {
    let mut document = json(&told(Story::Succeeded), Some("report.html"));
    let report = document.as_object_mut().unwrap().remove("report").unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
    for key in ["hops", "members", "approvals", "backups", "ledger", "origin", "client", "log"] {
        assert!(!report[key].is_null(), "{key}");
    }
}

#[test]
fn one_line_an_event() {
    let plan = sample::plan();
    let lines = |story| -> Vec<String> {
        let journal = sample::journal(&plan, story);
        journal.iter().filter_map(|recorded| lines::describe(recorded, &plan)).collect()
    };
    for story in [Story::Succeeded, Story::Halted, Story::Resumed, Story::Paused] {
        for line in lines(story) {
            assert!(!line.contains('\n') && line.trim_end().len() > 22, "{line:?}");
        }
    }
    insta::assert_snapshot!(lines(Story::Halted).join("\n"));
}

#[test]
fn a_failures_log_tail_stays_on_its_line() {
    let plan = sample::plan();
    let mut recorded = sample::journal(&plan, Story::Paused)[0].clone();
    recorded.event = quorate_model::RunEvent::Acted {
        step: "h1.demo-1.start".into(),
        attempt: quorate_model::Attempt(1),
        outcome: quorate_model::Outcome::Failed { because: "exit 2\npanic:\n\tbad flag".into() },
    };
    let line = lines::describe(&recorded, &plan).unwrap();
    assert_eq!(
        line,
        "2026-03-02T10:00:02Z  start demo-1 on 3.4.23: failed, exit 2 panic: bad flag"
    );
}
