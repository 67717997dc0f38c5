//! The run book as a person follows it: every block of it, as printed, in a plain shell, on a real cluster that no run touches.

use quorate_e2e::{
    Bed, ROAD,
    by_hand::{blocks, follow, script},
};
use std::{fs, process::Command};

#[test]
fn a_cluster_is_upgraded_by_hand_as_the_run_book_says() {
    let [old, new, _] = ROAD;
    let bed = Bed::up(old, &[]);
    bed.quick();
    for key in 0..20 {
        bed.put(&format!("key-{key}"), &format!("value {key}"));
    }
    let book = bed.scratch().join("book.md");
    let book_path = book.display().to_string();
    let plan = bed.plan(new, &["--runbook", &book_path]).display().to_string();
    // One member's files are prepared, the others' are not: both kinds must be followed.
    bed.quorate(&["prepare", &plan]).expect(0);
    for node in [2, 3].map(|number| bed.node(number)) {
        let bin = bed.dir().join("members").join(node).join("bin");
        fs::remove_dir_all(bin.join(format!("etcd-{new}"))).unwrap();
        fs::remove_file(bin.join(format!("etcd_{new}"))).unwrap();
    }
    let text = fs::read_to_string(&book).unwrap();
    let blocks = blocks(&text);
    for block in &blocks {
        let asks = block.lines().find(|line| line.trim_start().starts_with("see "));
        assert_eq!(asks, None, "a gate asks the product, not the person");
    }
    let gates = text.matches("   - gate `").count();
    assert!(gates > 0 && text.matches("gate after ").count() == gates, "each gate is waited for");

    let before = bed.live_pids();
    let followed = follow(bed.scratch(), &script(&blocks)).expect(0);
    let (said, errors) = (followed.out, followed.err);

    assert!(bed.runs().is_empty(), "no run of Quorate has touched it");
    assert_eq!(bed.releases(), vec![Some(new.to_owned()); 3], "{said}\n{errors}");
    for node in 1..=3 {
        let name = bed.node(node);
        assert_ne!(bed.live_pid(&name), before[&name], "{name} was restarted");
        for key in 0..20 {
            assert_eq!(bed.get(&name, &format!("key-{key}")), format!("value {key}"));
        }
        let kept = bed.dir().join("members").join(&name).join(format!("bin/etcd_{old}"));
        assert!(kept.is_file(), "the old file is kept");
    }
    assert!(said.contains("the copy holds 20 keys, hash "), "the backup was proved: {said}");
    // What was started by hand is known to the next command as the service: it is planned on, not taken for stopped.
    let seen = bed.detect();
    let healthy = |node: &serde_json::Value| node["healthy"] == true;
    assert!(seen["nodes"].as_array().unwrap().iter().all(healthy), "{seen}");
}

#[test]
fn a_gate_that_does_not_hold_ends_the_way() {
    let [old, new, _] = ROAD;
    let bed = Bed::up(old, &[]);
    bed.quick();
    let book = bed.scratch().join("book.md");
    bed.plan(new, &["--runbook", &book.display().to_string()]);
    bed.fault(&bed.node(2), "kill", &[]);
    let others = || [1, 3].map(|number| bed.live_pid(&bed.node(number)));
    let pids = others();
    // The same gate with fewer looks: how long a person waits is not what this is about.
    let blocks = blocks(&fs::read_to_string(&book).unwrap());
    let text = script(&blocks).replace("gate after 2 0.2 ", "gate after 2 0.2 5 #");
    let said = follow(bed.scratch(), &text);
    assert_ne!(said.code, 0, "{said:?}");
    let said = said.out;
    assert!(said.contains("the gate does not hold: every member is healthy"), "{said}");
    assert!(pids.iter().all(Option::is_some) && others() == pids, "nobody was stopped: {said}");

    // A pid file that was lost: a process that runs the file is not taken for stopped, by hand no more than by a run.
    let bin = bed.dir().join("members").join(bed.node(1)).join("bin/etcd");
    let stop = format!("{}stop_service /nowhere/etcd.pid 5 {}\n", blocks[0], bin.display());
    let output = Command::new("sh").args(["-c", &stop]).output().expect("a shell");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let own = format!("process {} runs", pids[0].expect("it lives"));
    assert!(!output.status.success() && said.contains(&own), "{said}");
    assert_eq!(others(), pids);
}
