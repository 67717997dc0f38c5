//! The keys of etcd's v2 store become v3 keys on the way from 3.3 to 3.5, with an application that lives by them: T74 to T81, T88.

use quorate_e2e::{
    Bed, QUICK,
    application::Application,
    ask::{finished, hold, started},
    finish, refuses_moves,
};
use quorate_model::{Outcome, RunEvent};
use std::{
    fs,
    time::{Duration, Instant},
};

const WRITER: &str = env!("CARGO_BIN_EXE_writer");
/// Keys that stay.
const KEPT: usize = 300;
/// Keys with an hour to live.
const PASSING: usize = 20;

/// Members of 3.3 with v2 keys of every kind, and an application that goes on writing them.
fn bed() -> (Bed, Application) {
    let bed = Bed::up("3.3.25", &[]);
    bed.limit(&[QUICK, &["allow_outage: true"]].concat());
    let one = bed.node(1);
    let set = |key: String, value: &str, more: &[&str]| {
        let words: Vec<&str> = ["set"].iter().chain(more).copied().collect();
        bed.ctl_v2(&one, &[words.as_slice(), &[key.as_str(), value]].concat());
    };
    // Through the application, which is faster than a tool a key.
    let application = Application::declared(&bed, WRITER);
    application.start();
    application.writes(KEPT);
    for nth in 0..PASSING {
        set(format!("/session/{nth}"), "passing", &["--ttl", "3600"]);
    }
    set("/app/name".into(), "käse und brot", &[]);
    set("/_hidden/key".into(), "hidden", &[]);
    bed.ctl_v2(&one, &["mkdir", "/empty"]);
    (bed, application)
}

fn words<'a>(bed: &'a Bed, to: &'a str) -> Vec<&'a str> {
    vec!["upgrade", bed.name(), "--to", to, "--convert", "v2-to-v3", "--yes", "--no-probe"]
}

/// Every write that was acknowledged is there, through every member.
#[track_caller]
fn nothing_is_lost(bed: &Bed, application: &Application) {
    let acked = application.acked();
    for node in bed.nodes() {
        let said = bed.ctl(&node, &["get", "/load/", "--prefix", "--keys-only", "--consistency=s"]);
        let there: std::collections::BTreeSet<&str> =
            said.lines().filter(|line| !line.is_empty()).collect();
        let lost: Vec<_> = acked
            .iter()
            .filter(|(_, number)| !there.contains(format!("/load/{number}").as_str()))
            .collect();
        assert!(lost.is_empty(), "{node} lacks {lost:?} of {}", acked.len());
    }
}

fn hashes(bed: &Bed) -> Vec<String> {
    let detected = bed.detect();
    let nodes = detected["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node["data_hash"].to_string()).collect()
}

#[test]
fn t74_the_keys_of_v2_become_v3_keys_on_the_way_to_3_5_and_no_write_is_lost() {
    let (bed, application) = bed();
    // Seconds that pass while nobody serves: they are gone as they would be without any of this.
    bed.ctl_v2(&bed.node(2), &["set", "--ttl", "1", "/short", "gone"]);
    let plan = bed.json(&["plan", bed.name(), "--to", "3.5.16", "--convert", "v2-to-v3"]);
    let kinds: Vec<_> = plan["hops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hop| hop["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["offline", "rolling", "rolling"]);
    assert!(plan["outage_secs"].as_f64().unwrap() > 0.0, "the plan says how long nobody serves");

    bed.quorate(&words(&bed, "3.5.16")).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.5.16".to_owned()); 3]);
    application.writes(20);
    application.end();
    nothing_is_lost(&bed, &application);
    let modes: Vec<String> = application.acked().into_iter().map(|(mode, _)| mode).collect();
    assert!(modes.is_sorted() && modes.contains(&"v2".into()) && modes.contains(&"v3".into()));
    assert_eq!(application.told(), ["stop", "v3", "start"]);
    let hashes = hashes(&bed);
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
    for node in bed.nodes() {
        assert_eq!(bed.get(&node, "/app/name"), "käse und brot");
        assert_eq!(bed.get(&node, "/_hidden/key"), "hidden");
        assert_eq!(bed.get(&node, "/short"), "");
    }
    // What had a time to live has what was left of it.
    let lease = bed.ctl(&bed.node(1), &["get", "/session/0", "-w", "json"]);
    let lease: serde_json::Value = serde_json::from_str(&lease).unwrap();
    let lease = lease["kvs"][0]["lease"].as_i64().expect("a lease");
    let said = bed.ctl(&bed.node(1), &["lease", "timetolive", &format!("{lease:x}")]);
    let left = said.split("remaining(").nth(1).and_then(|rest| rest.split('s').next());
    let left: u64 = left.unwrap_or_else(|| panic!("{said}")).parse().unwrap();
    assert!((3000..=3600).contains(&left), "{said}");
    // What v3 cannot say was told before anybody stopped.
    let told = bed.journal().into_iter().find_map(|recorded| match recorded.event {
        RunEvent::BackedUp { step, verified: Some(text), .. }
            if step.as_str().contains("v2-copy") =>
        {
            Some(text)
        }
        _ => None,
    });
    let told = told.expect("a proved copy of the v2 store");
    for part in ["1 empty directory (/empty)", "1 hidden key (/_hidden/key)"] {
        assert!(told.contains(part), "{told}");
    }
    // T80: in this order, and what lay beside is gone only now.
    let steps = started(&bed.journal());
    let place = |part: &str| {
        steps
            .iter()
            .position(|step| step.contains(part))
            .unwrap_or_else(|| panic!("{part}: {steps:?}"))
    };
    let order = [
        ".asked.",
        ".backup.",
        ".applications-stop.",
        ".settled.",
        ".stop",
        ".convert.",
        ".restore",
        ".start",
        ".proof.",
        ".applications-switch.",
        ".applications-start.",
        ".clear.",
        "h2.",
    ];
    assert!(order.map(place).is_sorted(), "{steps:?}");
    for node in bed.nodes() {
        let own = fs::read_dir(bed.dir().join("members").join(&node)).unwrap();
        let names: Vec<_> =
            own.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert!(!names.iter().any(|name| name.contains("before-restore")), "{names:?}");
    }
    // T78: a member that comes empty gets everything.
    let three = bed.node(3);
    bed.quorate(&["eject", bed.name(), &three, "--reason", "a new disk", "--yes"]).expect(0);
    bed.quorate(&["rejoin", bed.name(), &three, "--yes"]).expect(0);
    nothing_is_lost(&bed, &application);
}

#[test]
fn t75_t76_a_v3_key_or_a_hidden_writer_stops_it_before_anybody_stops() {
    let (bed, application) = bed();
    let pids = bed.live_pids();
    bed.put("/somebody/else", "1");
    bed.quorate(&words(&bed, "3.3.25")).expect(4).says(&["/somebody/else"]);
    assert_eq!((bed.live_pids(), application.told()), (pids.clone(), Vec::<String>::new()));
    let run = bed.runs()[0].run.to_string();
    bed.quorate(&["run", "abort", &run, "--reason", "a v3 key"]).expect(0);
    bed.ctl(&bed.node(1), &["del", "/somebody/else"]);

    // A second writer that nobody declared.
    let hidden = Application::hidden(&bed, WRITER, "hidden");
    hidden.start();
    bed.quorate(&words(&bed, "3.3.25")).expect(4);
    assert!(hold(&bed.journal()).is_some_and(|hold| format!("{hold:?}").contains("settled")));
    assert_eq!(application.told(), ["stop", "start"], "it goes on as before");
    application.writes(10);
    assert!(application.acked().iter().all(|(mode, _)| mode == "v2"));
    assert_eq!(bed.live_pids(), pids);
}

#[test]
fn t81_what_fails_on_the_way_is_gone_back_from_with_nothing_lost() {
    let (bed, application) = bed();
    // The folder of the last member's data cannot be moved aside, so it cannot get others when the first ones have got them.
    let seen = bed.detect();
    let leads = |node: &&serde_json::Value| node["role"] == "leader";
    let two = seen["nodes"].as_array().unwrap().iter().find(leads).unwrap()["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let data = bed.dir().join("members").join(&two).join("data");
    let began = Instant::now();
    {
        let _held = refuses_moves(&data);
        bed.quorate(&words(&bed, "3.3.25")).expect(4).says(&["restore"]);
    }
    let run = bed.runs()[0].run.to_string();
    assert!(!application.runs(), "nobody has compared yet what members hold");
    bed.quorate(&["run", "abort", &run, "--reason", "a disk"]).expect(0);
    bed.quorate(&["rollback", &run, "--yes"]).expect(0).says(&["lost: nothing", ".left-"]);
    eprintln!("back after {:?}", began.elapsed());
    application.writes(10);
    application.end();
    let acked = application.acked();
    assert!(acked.iter().all(|(mode, _)| mode == "v2"));
    for (_, number) in acked.iter().rev().take(40) {
        assert_eq!(bed.ctl_v2(&two, &["get", &format!("/load/{number}")]), number.to_string());
    }
    assert!(
        finished(&bed.journal())
            .iter()
            .all(|(_, outcome)| !matches!(outcome, Outcome::Failed { .. }))
    );
}

#[test]
fn t82_the_way_back_after_the_switch_keeps_what_was_written_since() {
    let (bed, application) = bed();
    let (one, two) = (bed.node(1), bed.node(2));
    bed.ctl_v2(&one, &["set", "/app/old", "to be deleted"]);
    let plan = bed.plan("3.3.25", &["--convert", "v2-to-v3", "--approve", "none"]);
    // A person says yes to the conversion, and not to clearing what was before.
    let run = bed.spawn(&["apply", &plan.display().to_string(), "--no-probe"]);
    let asked = |end: &'static str| move |event: &RunEvent| matches!(event, RunEvent::AskedApproval { step, .. } if step.as_str().ends_with(end));
    bed.wait_for(Duration::from_secs(120), "the question", asked(".go.confirm"));
    bed.quorate(&["run", "approve"]).expect(0);
    bed.wait_for(Duration::from_secs(180), "the second question", asked(".clear.confirm"));
    application.writes(20);
    // Written in the new form: new, changed, deleted, with a time to live, and what the old form cannot hold.
    bed.put("/app/new", "since");
    bed.put("/app/name", "brot");
    bed.ctl(&one, &["del", "/app/old"]);
    bed.put("no-slash", "lost");
    let lease = bed.ctl(&one, &["lease", "grant", "600"]);
    let lease = lease.split_whitespace().nth(1).unwrap();
    bed.ctl(&one, &["put", "/app/lease", "passing", "--lease", lease]);
    bed.quorate(&["run", "abort", "--reason", "the application flaps"]).expect(0);
    finish(run).expect(4);
    assert!(application.runs(), "it goes on in the new form");

    let id = bed.runs()[0].run.to_string();
    bed.quorate(&["rollback", &id]).expect(3).says(&["does not begin with a slash", "no-slash"]);
    bed.quorate(&["rollback", &id, "--yes"]).expect(0);
    application.writes(10);
    application.end();
    let modes: Vec<String> = application.acked().into_iter().map(|(mode, _)| mode).collect();
    assert_eq!(
        modes.iter().filter(|mode| *mode == "v3").count(),
        modes.iter().skip_while(|mode| *mode == "v2").take_while(|mode| *mode == "v3").count()
    );
    assert_eq!(modes.last().map(String::as_str), Some("v2"));
    assert_eq!(application.told(), ["stop", "v3", "start", "stop", "v2", "start"]);
    let read = |key: &str| bed.ctl_v2(&two, &["get", key]);
    let listed = bed.ctl_v2(&two, &["ls", "/load"]);
    let there: std::collections::BTreeSet<&str> = listed.lines().collect();
    let acked = application.acked();
    let lost: Vec<_> =
        acked.iter().filter(|(_, n)| !there.contains(format!("/load/{n}").as_str())).collect();
    assert!(lost.is_empty(), "{lost:?} of {}", acked.len());
    let since: Vec<_> = acked.iter().filter(|(mode, _)| mode == "v3").collect();
    for (_, number) in since.iter().take(20) {
        assert_eq!(read(&format!("/load/{number}")), number.to_string());
    }
    assert_eq!((read("/app/new"), read("/app/name")), ("since".into(), "brot".into()));
    assert!(!bed.ctl_v2(&two, &["ls", "/app"]).contains("/app/old"));
    let ttl = bed.ctl_v2(&two, &["-o", "extended", "get", "/app/lease"]);
    let ttl = ttl.lines().find_map(|line| line.strip_prefix("TTL: "));
    let ttl: u64 = ttl.unwrap_or_default().trim().parse().unwrap();
    assert!((400..=600).contains(&ttl), "{ttl}");
    assert_eq!(read("/session/0"), "passing");
}
