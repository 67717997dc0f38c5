//! `quorate exec`: a command on the hosts of many nodes; who said the same is shown together.

use crate::{
    args::{Exec, Global, Output},
    print,
    progress::Progress,
    site,
};
use quorate_report::{names::folded, words};
use quorate_runner::{
    fanout::{Alike, Came, HostResult, Pace, Printed, RETRY_PAUSE, Work, alike, run},
    ops::exec::{command, line_for_shell, targets},
    problem::{BAD_SETTING, Problem},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Some host did not end well.
const FAILED: u8 = 4;

pub(crate) async fn exec(global: &Global, args: Exec) -> Result<u8, Problem> {
    let setup = site::setup_for_many(global, &Default::default())?;
    let sudo = match (args.sudo, args.no_sudo) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        (false, false) => None,
    };
    let targets = targets(&setup, &args.selectors, sudo)?;
    let limit = Duration::try_from_secs_f64(args.limit).map_err(|_| {
        Problem::new(BAD_SETTING, format!("{} is no number of seconds", args.limit))
    })?;
    let work = Work {
        command: command(&args.command),
        on_failure: args.on_failure.as_deref().map(line_for_shell),
        limit,
        retries: args.retries,
        pause: RETRY_PAUSE,
    };
    let pace = Pace {
        at_once: if args.serial { 1 } else { args.at_once.into() },
        share: args.share,
        keep_going: args.keep_going,
    };
    let began = Instant::now();
    let mut progress = Progress::of(targets.len(), "hosts");
    let told = |result: &HostResult| {
        progress.one();
        if args.serial || !result.came.is_well() {
            progress.tell(&format!("{}: {}", result.name, outcome(&result.came)));
        }
    };
    // Who interrupts wants to know what was done.
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    let results = run(&targets, &work, &pace, told, stop).await;
    progress.done();
    if global.output == Output::Json {
        print::json(&as_json(&args.command, &results));
    } else {
        print::data(&as_text(&alike(&results)));
    }
    print::say(&summary(&results, began.elapsed()));
    Ok(if results.iter().all(|result| result.came.is_well()) { 0 } else { FAILED })
}

/// What came of it, in a few words.
fn outcome(came: &Came) -> String {
    match came {
        Came::Ended(printed) => match printed.status {
            Some(0) => "ended well".to_owned(),
            Some(status) => format!("ended with status {status}"),
            None => "was ended by a signal".to_owned(),
        },
        Came::NotReached(because) => format!("not reached: {because}"),
        Came::NotRun(because) => format!("could not run: {because}"),
        Came::Unknown(because) => format!("unknown: {because}"),
        Came::NotBegun => "not begun".to_owned(),
    }
}

fn as_text(kinds: &[Alike<'_>]) -> String {
    let mut text = String::new();
    for Alike { hosts, came, on_failure } in kinds {
        let several = match hosts.len() {
            1 => String::new(),
            count => format!(" ({count} hosts)"),
        };
        text.push_str(&format!("--- {}{several}: {}\n", folded(hosts), outcome(came)));
        text.push_str(&printed(came.printed()));
        if let Some(came) = on_failure {
            text.push_str(&format!("- what was to follow a failure {}\n", outcome(came)));
            text.push_str(&printed(came.printed()));
        }
    }
    text
}

fn printed(printed: Option<&Printed>) -> String {
    let Some(Printed { status: _, stdout, stderr, cut }) = printed else { return String::new() };
    let mut text = stdout.clone();
    let mut own_line = |line: &str| {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(line);
        text.push('\n');
    };
    stderr.lines().for_each(|line| own_line(&format!("stderr: {line}")));
    if *cut {
        own_line("… and more: let the command write it to a file");
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn summary(results: &[HostResult], took: Duration) -> String {
    let count = |wanted: &dyn Fn(&Came) -> bool| {
        results.iter().filter(|result| wanted(&result.came)).count()
    };
    let kinds = [
        (count(&Came::is_well), "ended well"),
        (count(&|came| came.word() == "ended" && !came.is_well()), "failed"),
        (count(&|came| matches!(came, Came::NotRun(_))), "could not run it"),
        (count(&|came| matches!(came, Came::NotReached(_))), "not reached"),
        (count(&|came| matches!(came, Came::Unknown(_))), "unknown"),
        (count(&|came| matches!(came, Came::NotBegun)), "not begun"),
    ];
    let told: Vec<String> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let hosts =
        if results.len() == 1 { "1 host".into() } else { format!("{} hosts", results.len()) };
    format!("{hosts} in {}: {}", words::duration(took), told.join(", "))
}

fn as_json(command: &[String], results: &[HostResult]) -> Value {
    let groups: Vec<Vec<&str>> = alike(results).into_iter().map(|kind| kind.hosts).collect();
    let hosts: Vec<Value> = results.iter().map(host_json).collect();
    json!({ "schema": 1, "command": command, "hosts": hosts, "groups": groups })
}

fn host_json(result: &HostResult) -> Value {
    let HostResult { name, nodes, came, on_failure, attempts, took } = result;
    let mut value = came_json(came);
    let more = json!({
        "host": name,
        "nodes": nodes,
        "attempts": attempts,
        "took_secs": took.as_secs_f64(),
        "on_failure": on_failure.as_ref().map(came_json),
    });
    if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    value
}

fn came_json(came: &Came) -> Value {
    let printed = came.printed();
    json!({
        "outcome": came.word(),
        "because": came.because(),
        "status": printed.and_then(|printed| printed.status),
        "stdout": printed.map(|printed| &printed.stdout),
        "stderr": printed.map(|printed| &printed.stderr),
        "cut": printed.is_some_and(|printed| printed.cut),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn ended(status: Option<i32>, stdout: &str, stderr: &str) -> Came {
        let (stdout, stderr) = (stdout.into(), stderr.into());
        Came::Ended(Arc::new(Printed { status, stdout, stderr, cut: false }))
    }

    fn result(name: &str, came: Came) -> HostResult {
        HostResult {
            name: name.into(),
            nodes: vec![format!("shop/{name}")],
            came,
            on_failure: None,
            attempts: 1,
            took: Duration::from_millis(1500),
        }
    }

    fn results() -> Vec<HostResult> {
        let mut results = vec![
            result("db-1", ended(Some(0), "3.4.23 leader\n", "")),
            result("db-2", ended(Some(3), "3.4", "warning: old\n")),
            result("db-4", Came::NotReached("nobody listens there".into())),
            result("db-5", Came::NotReached("nobody listens there".into())),
            result("db-6", Came::Unknown("`ask` did not end within 1s and was ended".into())),
            result("db-3", ended(Some(0), "3.4.23 leader\n", "")),
            result("db-7", Came::NotBegun),
        ];
        results[1].on_failure = Some(ended(Some(0), "mended", ""));
        results
    }

    #[test]
    fn hosts_that_said_the_same_are_shown_together() {
        let text = as_text(&alike(&results()));
        insta::assert_snapshot!(text, @r#"
        --- db-[1,3] (2 hosts): ended well
        3.4.23 leader
        --- db-2: ended with status 3
        3.4
        stderr: warning: old
        - what was to follow a failure ended well
        mended
        --- db-[4-5] (2 hosts): not reached: nobody listens there
        --- db-6: unknown: `ask` did not end within 1s and was ended
        --- db-7: not begun
        "#);
    }

    #[test]
    fn nobody_is_dropped_from_the_sum() {
        let said = summary(&results(), Duration::from_secs(2));
        insta::assert_snapshot!(said, @"7 hosts in 2.0 s: 2 ended well, 1 failed, 2 not reached, 1 unknown, 1 not begun");
    }

    #[test]
    fn programs_read_each_host_and_the_groups() {
        let value = as_json(&["ask".into()], &results());
        assert_eq!(value["groups"][0], json!(["db-1", "db-3"]));
        assert_eq!(value["hosts"][1]["status"], 3);
        assert_eq!(value["hosts"][1]["on_failure"]["stdout"], "mended");
        assert_eq!(value["hosts"][6]["outcome"], "not-begun");
        assert_eq!(value["hosts"][6]["stdout"], Value::Null);
    }
}
