//! T84: three members are well, lead and follow, and hold different data, as the usual migration from v2 to v3 leaves them
//! when keys expire between the stops. One command names every difference, takes the newest data, and gives them to everybody.

use quorate_e2e::{Bed, artifacts, ask::started, until};
use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

/// Keys that stay.
const KEPT: usize = 30;
/// Keys that expire once one member is stopped.
const PASSING: usize = 8;

/// Migrates what a stopped member holds, as the product's own tool does it.
fn migrate(bed: &Bed, node: &str) {
    let data = bed.dir().join("members").join(node).join("data");
    let mut tool = Command::new(artifacts().join("etcd/3.3.25/etcdctl"));
    let said = tool.env("ETCDCTL_API", "3").arg("migrate").arg("--data-dir").arg(data).output();
    let said = said.expect("etcdctl runs");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

/// A cluster whose third member kept keys that expired on the others, and whose first one was forgotten when the others were
/// migrated.
fn diverged() -> Bed {
    let bed = Bed::up("3.3.25", &[]);
    bed.quick();
    let [one, two, three] = [1, 2, 3].map(|number| bed.node(number));
    for nth in 0..KEPT {
        bed.ctl_v2(&one, &["set", &format!("/app/{nth}"), "kept"]);
    }
    for nth in 0..PASSING {
        // Long enough for all of them to be written, and for the third member to be stopped, on a busy machine.
        bed.ctl_v2(&one, &["set", "--ttl", "10", &format!("/short/{nth}"), "passing"]);
    }
    bed.fault(&three, "stop", &[]);
    until(Duration::from_secs(40), "the keys expire", || {
        bed.ctl_v2(&one, &["ls", "/short"]).is_empty()
    });
    bed.fault(&two, "stop", &[]);
    bed.fault(&one, "stop", &[]);
    migrate(&bed, &two);
    migrate(&bed, &three);
    for node in [&one, &two, &three] {
        bed.fault(node, "start", &[]);
    }
    until(Duration::from_secs(30), "all serve", || {
        bed.detect()["nodes"].as_array().unwrap().iter().all(|node| node["healthy"] == true)
    });
    // Taken by everybody alike, after the members had come to differ.
    bed.put("/app/later", "on v3");
    bed
}

/// Declares an application of this machine.
fn declare(bed: &Bed, stop: &str, stands: &str, start: &str, is_well: &str) {
    let text = fs::read_to_string(bed.fleet()).unwrap();
    let act = |run: &str, seen: &str| format!("{{run: '{run}', seen: '{seen}', limit_secs: 5}}");
    let (stop, start) = (act(stop, stands), act(start, is_well));
    let with = format!(
        "    pack: etcd\n    dependants:\n      - name: shop\n        runs: {{hosts: [local], stop: {stop}, start: {start}}}\n"
    );
    fs::write(bed.fleet(), text.replacen("    pack: etcd\n", &with, 1)).unwrap();
}

fn count(bed: &Bed, node: &str) -> usize {
    let words = ["get", "", "--prefix", "--keys-only", "--consistency=s"];
    bed.ctl(node, &words).lines().filter(|line| !line.is_empty()).count()
}

fn counts(bed: &Bed) -> Vec<usize> {
    bed.nodes().iter().map(|node| count(bed, node)).collect()
}

#[test]
fn t84_members_that_differ_get_the_newest_data_by_one_command() {
    let bed = diverged();
    let name = bed.name().to_owned();
    // An application with a file for its process: what it is told is written down in order.
    let app = bed.scratch().join("shop").display().to_string();
    fs::write(&app, "").unwrap();
    declare(
        &bed,
        &format!("echo stop >>{app}.told; rm -f {app}"),
        &format!("test ! -e {app}"),
        &format!("echo start >>{app}.told; touch {app}"),
        &format!("test -e {app}"),
    );
    let all = KEPT + PASSING + 1;
    assert_eq!(counts(&bed), [1, KEPT + 1, all]);
    // Their hashes are of different revisions and cannot be compared; that they count them differently is seen.
    let findings = bed.detect()["findings"].to_string();
    assert!(findings.contains("data-differ-revisions"), "{findings}");
    // Nothing is touched by a look.
    let pids = bed.live_pids();
    let said = bed.quorate(&["--output", "json", "recover", &name, "--compare"]).expect(5);
    let found = said.json();
    assert_eq!(found["source"], bed.node(3).as_str(), "{found}");
    // The key of later is the same everywhere, and the first member counts its revisions from the beginning.
    assert_eq!(found["keys"], all, "{found}");
    let member = |number: usize| &found["members"][number - 1];
    let told = |number: usize| {
        ["keys", "lacks", "holds_alone", "other_values"]
            .map(|what| member(number)[what].as_u64().unwrap())
    };
    let [kept, whole] = [KEPT, all].map(|count| count as u64);
    assert_eq!(told(1), [1, whole - 1, 0, 0]);
    assert_eq!(told(2), [kept + 1, whole - kept - 1, 0, 0]);
    assert_eq!(told(3), [whole, 0, 0, 0]);
    let file = fs::read_to_string(found["file"].as_str().unwrap()).unwrap();
    assert_eq!(file.lines().count(), all);
    assert!(
        file.contains(&"/short/0".bytes().map(|byte| format!("{byte:02x}")).collect::<String>())
    );
    assert_eq!(bed.live_pids(), pids);
    // Without a yes nothing happens, and what another choice would cost is named.
    bed.quorate(&["recover", &name, "--source", &bed.node(2)]).expect(3).says(&[
        "would be lost: 8 keys that",
        "holds alone",
        "/short/0",
        "yes",
    ]);
    bed.quorate(&["recover", &name, "--source", "nobody", "--compare"]).expect(1).says(&["nobody"]);
    assert_eq!((bed.live_pids(), counts(&bed)), (pids, vec![1, KEPT + 1, all]));

    assert!(!fs::exists(format!("{app}.told")).unwrap(), "the application was left alone");

    let began = Instant::now();
    bed.quorate(&["recover", &name, "--yes"]).expect(0);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "it took {took:?}");
    assert_eq!(counts(&bed), [all; 3]);
    for node in bed.nodes() {
        assert_eq!(bed.get(&node, "/app/later"), "on v3");
        assert_eq!(bed.get(&node, "/short/0"), "passing");
    }
    assert_eq!(fs::read_to_string(format!("{app}.told")).unwrap(), "stop\nstart\n");
    let steps = started(&bed.journal());
    let place = |part: &str| steps.iter().position(|step| step.contains(part)).unwrap();
    let order =
        ["applications-stop", ".backup.", ".stop", ".restore", ".proof.", "applications-start"];
    let places = order.map(place);
    assert!(places.is_sorted(), "{order:?}: {steps:?}");
    let said = bed.quorate(&["recover", &name, "--compare"]).expect(0).out;
    assert!(said.contains("the same 39 keys"), "{said}");
    // The data of before are still there, on every member.
    for node in bed.nodes() {
        let own = fs::read_dir(bed.dir().join("members").join(&node)).unwrap();
        let names = own.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        assert!(names.into_iter().any(|name| name.starts_with("data.before-restore-")), "{node}");
    }
}

#[test]
fn an_application_that_comes_back_by_itself_halts_the_run_before_anybody_stops() {
    let bed = diverged();
    let name = bed.name().to_owned();
    let [once, mended] =
        ["once", "mended"].map(|name| bed.scratch().join(name).display().to_string());
    // It stands still when it is looked at first, and has come back by the second look.
    let stands = format!(
        "test -e {mended} || {{ test ! -e {once} && touch {once}; }} || {{ echo its supervisor started it; exit 1; }}"
    );
    declare(&bed, "true", &stands, "true", "true");
    let (pids, before) = (bed.live_pids(), counts(&bed));
    bed.quorate(&["recover", &name, "--yes"])
        .expect(4)
        .says(&["shop on this machine did not stand still", "its supervisor started it"]);
    assert_eq!((bed.live_pids(), counts(&bed)), (pids, before));
    // Mended, the same run goes on to its end, with what was written meanwhile.
    bed.put("/app/between", "kept, too");
    fs::write(&mended, "").unwrap();
    let id = bed.runs()[0].run.to_string();
    bed.quorate(&["run", "resume", &id, "--yes"]).expect(0);
    assert_eq!(counts(&bed), [KEPT + PASSING + 2; 3]);
    assert_eq!(bed.get(&bed.node(2), "/app/between"), "kept, too");
}

#[test]
fn members_that_hold_the_same_are_left_alone_while_clients_write() {
    let bed = Bed::up("3.4.23", &[]);
    bed.put("/app/one", "1");
    let pids = bed.live_pids();
    let mut writer = bed.spawn(&["probe", bed.name(), "--secs", "20"]);
    until(Duration::from_secs(15), "writes come", || count(&bed, &bed.node(2)) > 1);
    let said = bed.quorate(&["recover", bed.name(), "--yes"]).expect(0).out;
    assert!(said.contains("hold the same"), "{said}");
    assert_eq!(bed.live_pids(), pids);
    assert!(writer.try_wait().unwrap().is_none(), "clients wrote all the time");
    writer.kill().unwrap();
    writer.wait().unwrap();
}
