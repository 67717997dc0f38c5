//! The report as JUnit: a suite for each hop with a case for each step, and one suite for what clients saw.

use crate::{
    RenderError,
    report::{Report, StepReport, StepState},
    words,
};
use quick_junit::{NonSuccessKind, Report as JunitReport, TestCase, TestCaseStatus, TestSuite};

/// Draws the report as JUnit XML.
pub fn junit(report: &Report) -> Result<String, RenderError> {
    let name = format!("quorate {} {} -> {}", report.cluster, report.from, report.to);
    let mut out = JunitReport::new(name);
    out.set_time(report.elapsed());
    for hop in &report.hops {
        let mut suite = TestSuite::new(hop.title("->"));
        suite.set_time(hop.wall);
        let steps =
            hop.waves.iter().flat_map(|wave| wave.steps.iter().map(move |step| (wave, step)));
        for (wave, step) in steps {
            let mut case = TestCase::new(step.title.clone(), status(step));
            case.set_classname(wave.id.clone());
            case.set_time(step.took.unwrap_or_default());
            suite.add_test_case(case);
        }
        out.add_test_suite(suite);
    }
    if report.client.is_measured() {
        out.add_test_suite(client(report));
    }
    out.to_string().map_err(RenderError::Junit)
}

fn status(step: &StepReport) -> TestCaseStatus {
    let remark = words::step_remark(&step.state).unwrap_or_default();
    let (mut status, kind) = match &step.state {
        StepState::Done { .. } => return TestCaseStatus::success(),
        StepState::Failed { .. } => {
            (TestCaseStatus::non_success(NonSuccessKind::Failure), Some("failed"))
        }
        StepState::Unknown { .. } => {
            (TestCaseStatus::non_success(NonSuccessKind::Error), Some("unknown"))
        }
        StepState::Skipped { .. } => (TestCaseStatus::skipped(), None),
        StepState::Pending | StepState::AwaitingApproval => (TestCaseStatus::skipped(), None),
        StepState::Running | StepState::Gating | StepState::Waiting { .. } => {
            (TestCaseStatus::skipped(), None)
        }
    };
    if let Some(kind) = kind {
        status.set_type(kind);
    }
    let said = words::step_state(&step.state);
    status.set_message(if remark.is_empty() {
        said.to_owned()
    } else {
        format!("{said}: {remark}")
    });
    status
}

fn client(report: &Report) -> TestSuite {
    let mut suite = TestSuite::new("client");
    let check = |good: bool, said: String| {
        if good {
            return TestCaseStatus::success();
        }
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_message(said);
        status
    };
    let Some(figures) = &report.client.figures else {
        let mut status = TestCaseStatus::skipped();
        status.set_message("the account at the end was not made");
        suite.add_test_case(TestCase::new("no acknowledged write is lost", status));
        return suite;
    };
    let cases = [
        ("no acknowledged write is lost", figures.writes_lost, "acknowledged writes were lost"),
        ("no request fails after retries", figures.requests_failed, "requests failed"),
        ("no read is stale", figures.reads_stale, "reads were stale"),
        ("no watch event is missed", figures.watch_missed, "watch events never came"),
    ];
    let lock = figures.lock.as_ref();
    let lock = lock.map(|lock| ("no lock has two holders", lock.broken, "times it had two"));
    let wrong = figures.lookups.iter().map(|lookup| lookup.wrong).sum();
    let lookups = (!figures.lookups.is_empty()).then_some((
        "no lookup names a stranger",
        wrong,
        "lookups named nobody or a stranger",
    ));
    for (name, number, said) in cases.into_iter().chain(lock).chain(lookups) {
        let status = check(number == 0, format!("{} {said}", words::count(number)));
        suite.add_test_case(TestCase::new(name, status));
    }
    suite
}
