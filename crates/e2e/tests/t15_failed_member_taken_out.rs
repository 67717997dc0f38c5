//! T15: the failed member is taken out, of the cluster and of the list that clients get; the way onward is open only while
//! one more member may be lost; joined again later, the member holds the same data.
//!
//! Taking out and joining are done with the product's own tool here: what is asked of Quorate is what it permits then.

use quorate_e2e::{Bed, QUICK, Squatter, finish, until};
use quorate_model::RunState;
use serde_json::Value;
use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A cluster whose second member to move has failed, with the order of the plan and that member's arguments.
fn with_a_failed_member(members: &str) -> (Bed, Vec<String>, Vec<String>) {
    let bed = Bed::up("3.3.25", &["--members", members]);
    bed.limit(&[QUICK, &["approve: each"]].concat());
    bed.ctl(&bed.node(1), &["put", "k", "before"]);
    let file = bed.plan("3.4.23", &[]);
    let plan: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let waves = plan["hops"][0]["waves"].as_array().unwrap();
    let order: Vec<String> =
        waves.iter().filter_map(|wave| wave["node"].as_str().map(str::to_owned)).collect();
    let argv = bed.live_argv(&order[1]);
    let run = bed.spawn(&["apply", &file.display().to_string(), "--no-probe"]);
    let mut squatter = None;
    for (at, node) in order.iter().take(2).enumerate() {
        quorate_e2e::until(
            Duration::from_secs(150),
            &format!("the question before {node}"),
            || matches!(bed.runs().first().map(|run| run.state.clone()), Some(RunState::AwaitingApproval { step }) if step.as_str().contains(node.as_str())),
        );
        if at == 1 {
            squatter = Some(Squatter::waits_for(client_url(&argv)));
        }
        bed.quorate(&["run", "approve"]).expect(0);
    }
    finish(run).expect(4);
    drop(squatter);
    assert_eq!(bed.live_pid(&order[1]), None, "the failed member is down");
    (bed, order, argv)
}

fn client_url(argv: &[String]) -> &str {
    let url = argv.iter().find_map(|word| word.strip_prefix("--listen-client-urls="));
    url.unwrap_or_else(|| panic!("it listens nowhere: {argv:?}"))
}

/// Removes the member from the cluster, and its node from the fleet file; gives the file as it was.
fn take_out(bed: &Bed, node: &str, by: &str) -> String {
    let list = bed.ctl(by, &["member", "list"]);
    let line = list
        .lines()
        .find(|line| line.contains(&format!(" {node},")))
        .unwrap_or_else(|| panic!("no {node}: {list}"));
    bed.ctl(by, &["member", "remove", line.split(',').next().unwrap()]);
    let whole = fs::read_to_string(bed.fleet()).unwrap();
    let mut kept = Vec::new();
    let mut own = false;
    for line in whole.lines() {
        if let Some(name) = line.strip_prefix("      - name: ") {
            own = name == node;
        }
        if !own {
            kept.push(line);
        }
    }
    fs::write(bed.fleet(), kept.join("\n") + "\n").unwrap();
    whole
}

/// A process of the test's own, ended with it.
struct Rejoined(Child);

impl Drop for Rejoined {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Adds the member again, empty, and starts it as the new release.
fn join(bed: &Bed, node: &str, by: &str, argv: &[String]) -> Rejoined {
    let flag = |name: &str| {
        argv.iter()
            .find_map(|word| word.strip_prefix(name))
            .unwrap_or_else(|| panic!("no {name}: {argv:?}"))
    };
    let peer = format!("--peer-urls={}", flag("--initial-advertise-peer-urls="));
    let mut said = String::new();
    // etcd refuses to add anybody until every member has been connected for five seconds.
    until(Duration::from_secs(30), "a member may be added", || {
        match bed.try_ctl(by, &["member", "add", node, &peer]) {
            Ok(answer) => said = answer,
            Err(refusal) => assert!(refusal.contains("unhealthy cluster"), "{refusal}"),
        }
        !said.is_empty()
    });
    let all = said
        .lines()
        .find_map(|line| line.strip_prefix("ETCD_INITIAL_CLUSTER="))
        .unwrap_or_else(|| panic!("{said}"))
        .trim_matches('"')
        .to_owned();
    let own = bed.dir().join("members").join(node);
    fs::rename(own.join("data"), own.join("data.before")).unwrap();
    let words = argv.iter().skip(1).map(|word| match word.split_once('=') {
        Some(("--initial-cluster", _)) => format!("--initial-cluster={all}"),
        Some(("--initial-cluster-state", _)) => "--initial-cluster-state=existing".to_owned(),
        _ => word.clone(),
    });
    let whole = quorate_e2e::artifacts().join("etcd/3.4.23/etcd");
    fs::remove_file(own.join("bin/etcd")).unwrap();
    fs::copy(whole, own.join("bin/etcd")).unwrap();
    let child = Command::new(own.join("bin/etcd"))
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    fs::write(own.join("etcd.pid"), child.id().to_string()).unwrap();
    Rejoined(child)
}

#[test]
fn t15_with_five_members_the_rest_goes_on_and_the_failed_one_joins_again() {
    let (bed, order, argv) = with_a_failed_member("5");
    let whole = take_out(&bed, &order[1], &order[0]);
    bed.ctl(&order[0], &["put", "k", "without it"]);

    // Four voters are left, and one of them may be lost: onward, from where the cluster really is.
    let said = bed
        .quorate(&["upgrade", bed.name(), "--to", "3.4.23", "--approve", "none", "--yes"])
        .expect(0);
    assert!(
        !said.err.contains(&format!("stop {}", order[1])),
        "the member that was taken out is out of every step"
    );
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 4]);
    let report = bed.report();
    assert_eq!(report["client"]["writes_lost"], 0, "clients had the list without it: {report}");

    let rejoined = join(&bed, &order[1], &order[0], &argv);
    fs::write(bed.fleet(), whole).unwrap();
    quorate_e2e::until(Duration::from_secs(30), "five healthy members with the same data", || {
        let seen = bed.detect();
        let nodes = seen["nodes"].as_array().cloned().unwrap_or_default();
        nodes.len() == 5
            && nodes.iter().all(|node| node["healthy"] == true && node["release"] == "3.4.23")
    });
    let hashes: std::collections::BTreeSet<u64> = bed
        .nodes()
        .iter()
        .map(|node| {
            let answer: Value =
                serde_json::from_str(bed.ctl(node, &["endpoint", "hashkv", "-w", "json"]).trim())
                    .unwrap();
            answer[0]["HashKV"]["hash"].as_u64().unwrap_or_else(|| panic!("no hash: {answer}"))
        })
        .collect();
    assert_eq!(hashes.len(), 1, "the members hold different data");
    assert_eq!(bed.get(&order[1], "k"), "without it");
    drop(rejoined);
}

#[test]
fn t15_with_three_members_nothing_more_may_be_lost() {
    let (bed, order, _) = with_a_failed_member("3");
    take_out(&bed, &order[1], &order[0]);
    let pids = bed.live_pids();
    bed.quorate(&["upgrade", bed.name(), "--to", "3.4.23", "--yes"]).expect(3).says(&[
        "Q0009",
        "nothing was touched",
        "2 voters",
    ]);
    assert_eq!(bed.live_pids(), pids, "a member was stopped with nothing to spare");
    bed.ctl(&order[2], &["put", "k", "still serving"]);
}
