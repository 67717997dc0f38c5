//! Scripts: each file shapes a cluster, looks, plans, and shows the plan or the reasons why there is none.
//!
//! Lines with `> ` are commands, what follows is what they must print. `QUORATE_BLESS=1` writes today's answers.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use quorate_model::{Approve, Finding, NotNow, Plan, Reach, Role, Severity};
use quorate_planner::{Planned, explain};
use std::{fmt::Write, fs, path::Path, time::Duration};
use support::{World, artifact, release, world};

fn script(path: &Path) -> datatest_stable::Result<()> {
    let text = fs::read_to_string(path)?;
    let actual = transcript(&text);
    if std::env::var_os("QUORATE_BLESS").is_some() {
        fs::write(path, actual)?;
        return Ok(());
    }
    if actual == text { Ok(()) } else { Err(format!("the transcript is now:\n{actual}").into()) }
}

/// The script again, each command followed by what it prints.
fn transcript(text: &str) -> String {
    let mut world = world(3, "1.0.5");
    let mut out = String::new();
    for line in text.lines().filter(|line| line.starts_with(['#', '>'])) {
        if line.starts_with('#') && !out.is_empty() {
            out.push('\n');
        }
        out.push_str(line);
        out.push('\n');
        if let Some(command) = line.strip_prefix("> ") {
            out.push_str(&run(&mut world, command));
        }
    }
    out
}

fn run(world: &mut World, command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["load", size, "at", at] => {
            let (size, clients) = size.split_once('+').unwrap_or((size, "0"));
            let servers = support::world(size.parse().unwrap(), at);
            *world = support::with_clients(servers, clients.parse().unwrap());
        }
        ["observe", node, what @ ..] => what.iter().for_each(|what| observe(world, node, what)),
        ["fact", pair] => {
            let (name, value) = pair.split_once('=').unwrap();
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            world.seen.facts.insert(name.into(), value);
        }
        ["finding", severity, code] => world.seen.findings.push(finding(severity, code)),
        ["policy", pairs @ ..] => pairs.iter().for_each(|pair| policy(world, pair)),
        ["args", node, args @ ..] => world.add_args(node, args),
        ["no-service", node] => {
            let node = world.cluster.nodes.iter_mut().find(|n| n.name.as_str() == *node).unwrap();
            node.service = None;
        }
        ["at-hand", list] => world.artifacts = list.split(',').map(artifact).collect(),
        ["plan", to] => return shown(&world.plan(to)),
        _ => panic!("`{command}` is no command"),
    }
    String::new()
}

fn observe(world: &mut World, name: &str, what: &str) {
    if what == "down" {
        world.down(name);
        return;
    }
    let node = world.node(name);
    match what.split_once('=').unwrap_or((what, "")) {
        ("unreachable", _) => {
            *node = quorate_model::NodeObservation::unseen(
                name.into(),
                "server".into(),
                "no route to host",
            );
        }
        ("up", _) => *node = support::client(name, &node.disk_release.clone().unwrap().to_string()),
        ("voter", _) => (node.voter, node.lag) = (Some(true), Some(0)),
        ("unhealthy", _) => node.healthy = Some(false),
        ("follower", _) => node.role = Role::Follower,
        ("leader", _) => node.role = Role::Leader,
        ("learner", _) => (node.role, node.voter) = (Role::Learner, Some(false)),
        ("client", _) => (node.role, node.voter) = (Role::Client, Some(false)),
        ("release", at) => {
            (node.release, node.disk_release) = (Some(release(at)), Some(release(at)))
        }
        ("disk", "none") => node.disk_release = None,
        ("disk", at) => node.disk_release = Some(release(at)),
        ("lag", "none") => node.lag = None,
        ("lag", lag) => node.lag = Some(lag.parse().unwrap()),
        ("hash", hash) => node.data_hash = Some(hash.into()),
        ("member", "none") => node.member_id = None,
        ("alarm", alarm) => node.alarms.push(alarm.into()),
        ("refused", _) => node.reach = Reach::Unreachable("connection refused".into()),
        (fact, value) => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            node.facts.insert(fact.into(), value);
        }
    }
}

fn policy(world: &mut World, pair: &str) {
    let policy = &mut world.cluster.policy;
    match pair.split_once('=').unwrap() {
        ("allow_outage", on) => policy.allow_outage = on == "true",
        ("rewrite_config", on) => policy.rewrite_config = on == "true",
        ("soak", secs) => policy.soak = Duration::from_secs(secs.parse().unwrap()),
        ("client_wave", share) => policy.client_wave = share.parse().unwrap(),
        ("client_failure_budget", share) => policy.client_failure_budget = share.parse().unwrap(),
        ("approve", "each") => policy.approve = Approve::Each,
        ("approve", "wave") => policy.approve = Approve::Wave,
        _ => panic!("`{pair}` is no policy"),
    }
}

fn finding(severity: &str, code: &str) -> Finding {
    let severity = match severity {
        "error" => Severity::Error,
        "warning" => Severity::Warning,
        _ => Severity::Note,
    };
    Finding {
        severity,
        code: code.into(),
        text: format!("{code} was found"),
        hint: Some("mend it".into()),
    }
}

fn shown(planned: &Planned) -> String {
    let mut out = String::new();
    match planned {
        Planned::NothingToDo { text, .. } => writeln!(out, "nothing to do: {text}").unwrap(),
        Planned::NotNow(refusal) => {
            for reason in &refusal.reasons {
                let (kind, json) = match reason {
                    NotNow::WaitingOn(on) => ("waits", serde_json::to_string(on)),
                    NotNow::Unsafe(why) => ("unsafe", serde_json::to_string(why)),
                    NotNow::Blocked(why) => ("blocked", serde_json::to_string(why)),
                };
                writeln!(out, "{kind}: {}", json.unwrap()).unwrap();
            }
            for way_out in &refusal.ways_out {
                writeln!(out, "  way out: {way_out}").unwrap();
            }
        }
        Planned::Ready(plan) => {
            // The digest changes with every word of a plan; what it names is shown instead.
            let summary = explain::summary(plan);
            out.push_str(&summary.replacen(&format!("plan {}", plan.digest.short()), "plan", 1));
            waves(plan, &mut out);
        }
    }
    out
}

fn waves(plan: &Plan, out: &mut String) {
    for wave in plan.hops.iter().flat_map(|hop| &hop.waves) {
        if let Some(lanes) = &wave.lanes {
            let of_lane = |lane: Vec<usize>| {
                let steps = lane.iter().map(|at| {
                    let step = &wave.steps[*at];
                    let ask = if step.needs_approval { "?" } else { "" };
                    format!("{}{ask}", step.id.as_str().rsplit('.').next().unwrap())
                });
                let node = wave.steps[lane[0]].node.as_ref().unwrap();
                format!("{node}({})", steps.collect::<Vec<_>>().join(" "))
            };
            let together: Vec<String> = wave.lane_places().into_iter().map(of_lane).collect();
            let (most, failures) = (lanes.at_most, lanes.failures);
            let limits = format!("{most} at most, {failures} may fail");
            writeln!(out, "  {} [{limits}]: {}", wave.id, together.join(" | ")).unwrap();
            continue;
        }
        let steps = wave.steps.iter().map(|step| {
            let name =
                step.id.as_str().strip_prefix(&format!("{}.", wave.id)).unwrap_or(step.id.as_str());
            let ask = if step.needs_approval { "?" } else { "" };
            let door = if step.one_way { "!" } else { "" };
            format!("{name}{ask}{door}")
        });
        writeln!(out, "  {}: {}", wave.id, steps.collect::<Vec<_>>().join(" ")).unwrap();
    }
    for violation in quorate_checker::check(plan) {
        writeln!(out, "  VIOLATION: {violation:?}").unwrap();
    }
}

datatest_stable::harness! {
    { test = script, root = "tests/scripts", pattern = r"\.txt$" },
}
