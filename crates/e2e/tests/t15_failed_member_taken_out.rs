//! T15: the failed member is taken out, of the cluster and of the list that clients get; the way onward is open only while
//! one more member may be lost; brought back later, the member holds the same data.

use quorate_e2e::{Bed, QUICK, Squatter, finish};
use quorate_model::{RunEvent, RunState};
use serde_json::Value;
use std::{collections::BTreeSet, fs, time::Duration};

/// A cluster whose second member to move has failed, with the order of the plan.
fn with_a_failed_member(members: &str) -> (Bed, Vec<String>) {
    let bed = Bed::up("3.3.25", &["--members", members]);
    bed.limit(&[QUICK, &["approve: each"]].concat());
    bed.ctl(&bed.node(1), &["put", "k", "before"]);
    let file = bed.plan("3.4.23", &[]);
    let plan: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let waves = plan["hops"][0]["waves"].as_array().unwrap();
    let order: Vec<String> =
        waves.iter().filter_map(|wave| wave["node"].as_str().map(str::to_owned)).collect();
    let run = bed.spawn(&["apply", &file.display().to_string(), "--no-probe"]);
    let mut squatter = None;
    for (at, node) in order.iter().take(2).enumerate() {
        quorate_e2e::until(
            Duration::from_secs(150),
            &format!("the question before {node}"),
            || matches!(bed.runs().first().map(|run| run.state.clone()), Some(RunState::AwaitingApproval { step }) if step.as_str().contains(node.as_str())),
        );
        if at == 1 {
            squatter = Some(Squatter::waits_for(client_url(&bed.live_argv(node))));
        }
        bed.quorate(&["run", "approve"]).expect(0);
    }
    finish(run).expect(4);
    drop(squatter);
    assert_eq!(bed.live_pid(&order[1]), None, "the failed member is down");
    (bed, order)
}

fn client_url(argv: &[String]) -> &str {
    let url = argv.iter().find_map(|word| word.strip_prefix("--listen-client-urls="));
    url.unwrap_or_else(|| panic!("it listens nowhere: {argv:?}"))
}

/// What `detect` says of one node.
fn seen(bed: &Bed, node: &str) -> Value {
    let nodes = bed.detect()["nodes"].as_array().cloned().unwrap_or_default();
    nodes.into_iter().find(|one| one["name"] == node).unwrap_or_else(|| panic!("{node} is dropped"))
}

/// Whether a node has the finding that it is out, with this reason.
fn is_out(bed: &Bed, node: &str, reason: &str) -> bool {
    let seen = seen(bed, node);
    let findings = seen["findings"].as_array().cloned().unwrap_or_default();
    findings.iter().any(|finding| {
        let text = finding["text"].as_str().unwrap_or_default();
        finding["code"] == "ejected" && text.contains(reason) && text.contains("anna@")
    })
}

/// The hashes that the members give when they are asked directly, past Quorate.
fn hashes(bed: &Bed) -> Vec<u64> {
    let hash = |node: &String| {
        let said = bed.ctl(node, &["endpoint", "hashkv", "-w", "json"]);
        let answer: Value = serde_json::from_str(said.trim()).unwrap();
        answer[0]["HashKV"]["hash"].as_u64().unwrap_or_else(|| panic!("no hash: {answer}"))
    };
    bed.nodes().iter().map(hash).collect()
}

/// The names that the cluster itself lists, asked through one member.
fn listed(bed: &Bed, by: &str) -> BTreeSet<String> {
    let list = bed.ctl(by, &["member", "list"]);
    list.lines().filter_map(|line| line.split(", ").nth(2)).map(str::to_owned).collect()
}

#[test]
fn t15_with_five_members_the_rest_goes_on_and_the_failed_one_joins_again() {
    let (bed, order) = with_a_failed_member("5");
    let failed = order[1].as_str();
    let halted = bed.runs()[0].run.to_string();
    let book = bed.scratch().join("eject.md");
    let words = ["eject", bed.name(), failed, "--reason", "its binary is damaged"];
    let plan = bed.scratch().join("eject.json").display().to_string();
    let more = ["--plan-only", &plan, "--runbook", &book.display().to_string()];
    bed.quorate(&[&words[..], &more].concat()).expect(0);
    assert_eq!(listed(&bed, &order[0]).len(), 5, "planning touches nothing");
    let book = fs::read_to_string(book).unwrap();
    assert!(book.contains("cluster/member/remove"), "the run book tells how by hand: {book}");
    bed.quorate(&["check", &plan]).expect(0);
    bed.quorate(&[&words[..], &["--yes", "--no-probe"]].concat()).expect(0);
    assert!(!listed(&bed, &order[0]).contains(failed), "the cluster still lists it");
    assert!(is_out(&bed, failed, "its binary is damaged"), "{}", seen(&bed, failed));
    bed.ctl(&order[0], &["put", "k", "without it"]);
    // The plan that halted counts on the member that is out.
    bed.quorate(&["run", "resume", &halted, "--yes"]).expect(3).says(&["Q0008", failed]);

    // Four voters are left, and one of them may be lost: onward, from where the cluster really is.
    let said = bed
        .quorate(&["upgrade", bed.name(), "--to", "3.4.23", "--approve", "none", "--yes"])
        .expect(0);
    assert!(
        !said.err.contains(&format!("stop {failed}")),
        "the member that was taken out is out of every step"
    );
    let releases: BTreeSet<_> = bed.releases().into_iter().collect();
    assert_eq!(releases, BTreeSet::from([None, Some("3.4.23".to_owned())]), "it is still listed");
    let report = bed.report();
    assert_eq!(report["client"]["writes_lost"], 0, "clients had the list without it: {report}");
    assert_eq!(report["client"]["requests_failed"], 0, "clients had it in their list: {report}");

    bed.quorate(&["rejoin", bed.name(), failed, "--yes", "--no-probe"]).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 5]);
    assert!(!is_out(&bed, failed, ""), "it is back");
    assert_eq!(listed(&bed, &order[0]).len(), 5);
    let hashes: BTreeSet<u64> = hashes(&bed).into_iter().collect();
    assert_eq!(hashes.len(), 1, "the members hold different data");
    assert_eq!(bed.get(failed, "k"), "without it");
    let kept = fs::read_dir(bed.dir().join("members").join(failed)).unwrap().flatten();
    let aside = |name: &str| name.starts_with("data.before-rejoin-");
    assert_eq!(
        kept.filter(|entry| aside(&entry.file_name().to_string_lossy())).count(),
        1,
        "what it held is kept"
    );
    bed.quorate(&["rejoin", bed.name(), failed, "--yes"]).expect(1).says(&["Q0026"]);
}

#[test]
fn t15_with_three_members_nothing_more_may_be_lost_until_the_failed_one_is_back() {
    let (bed, order) = with_a_failed_member("3");
    let failed = order[1].as_str();
    let eject = |node: &str| {
        bed.quorate(&["eject", bed.name(), node, "--reason", "a test", "--yes", "--no-probe"])
    };
    eject(failed).expect(0).says(&["2 voters remain", "none of them may be lost"]);
    let pids = bed.live_pids();
    let upgrade = ["upgrade", bed.name(), "--to", "3.4.23", "--approve", "none", "--yes"];
    bed.quorate(&upgrade).expect(3).says(&["Q0009", "nothing was touched", "2 voters"]);
    eject(&order[2]).expect(3).says(&["Q0009", "nothing was touched", "at least two other voters"]);
    assert_eq!(bed.live_pids(), pids, "a member was stopped with nothing to spare");
    bed.ctl(&order[2], &["put", "k", "still serving"]);

    // Half of the others run 3.4.23: the lowest release is what every one of them understands.
    bed.quorate(&["rejoin", bed.name(), failed, "--yes", "--no-probe"]).expect(0);
    assert_eq!(seen(&bed, failed)["release"], "3.3.25");
    bed.quorate(&upgrade).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 3]);
    assert_eq!(hashes(&bed).into_iter().collect::<BTreeSet<u64>>().len(), 1);
    assert_eq!(bed.get(failed, "k"), "still serving");
}

#[test]
fn t15_a_leader_that_serves_hands_over_before_it_goes_and_clients_lose_nothing() {
    let bed = Bed::up("3.5.16", &[]);
    bed.quick();
    // Its log lies elsewhere, and must not be what it comes back with.
    bed.by_log_folder();
    let nodes = bed.nodes();
    let leader = nodes.iter().find(|node| seen(&bed, node)["role"] == "leader").unwrap().as_str();
    let other = nodes.iter().find(|node| *node != leader).unwrap();
    bed.quorate(&["eject", bed.name(), leader, "--reason", "its host moves", "--yes"]).expect(0);
    let own = format!("h1.{leader}.");
    let begun: Vec<String> = bed
        .journal()
        .into_iter()
        .filter_map(|recorded| match recorded.event {
            RunEvent::Started { step, .. } => step.as_str().strip_prefix(&own).map(str::to_owned),
            _ => None,
        })
        .collect();
    assert_eq!(begun, ["handover", "stop", "leave", "list"]);
    assert_eq!(bed.report()["client"]["writes_lost"], 0);
    assert!(!listed(&bed, other).contains(leader));
    bed.quorate(&["rollback"]).expect(3).says(&["no release was left", "quorate rejoin"]);
    bed.quorate(&["rejoin", bed.name(), leader, "--yes"]).expect(0);
    for kept in ["data.before-rejoin-", "wal.before-rejoin-"] {
        let own = fs::read_dir(bed.dir().join("members").join(leader)).unwrap().flatten();
        let names = own.map(|entry| entry.file_name().to_string_lossy().into_owned());
        assert_eq!(names.filter(|name| name.starts_with(kept)).count(), 1, "{kept} of {leader}");
    }
    assert_eq!(bed.releases(), vec![Some("3.5.16".to_owned()); 3]);
    assert_eq!(bed.report()["client"]["writes_lost"], 0);
    assert_eq!(hashes(&bed).into_iter().collect::<BTreeSet<u64>>().len(), 1);
}
