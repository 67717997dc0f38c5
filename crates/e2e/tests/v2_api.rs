//! Clusters whose clients still use the v2 API: it goes on answering on 3.4 and 3.5 because the plan says so to every
//! member, wherever that one takes its settings from; and a v2 backup goes back onto all members.

use quorate_e2e::{Bed, ask::started, until};
use std::{fs, time::Duration};

/// Members of 3.3 with v2 keys, nobody of whom says anything about v2: it is on by itself.
fn bed(shape: impl Fn(&Bed)) -> Bed {
    let bed = Bed::up("3.3.25", &[]);
    shape(&bed);
    bed.quick();
    bed.ctl_v2(&bed.node(1), &["set", "/app/k", "before"]);
    bed
}

#[track_caller]
fn reads(bed: &Bed, value: &str) {
    for node in bed.nodes() {
        assert_eq!(bed.ctl_v2(&node, &["get", "/app/k"]), value, "through {node}");
    }
}

#[track_caller]
fn goes_to(bed: &Bed, to: &str) {
    bed.quorate(&["upgrade", bed.name(), "--to", to, "--rewrite-config", "--yes", "--no-probe"])
        .expect(0);
    assert_eq!(bed.releases(), vec![Some(to.to_owned()); 3]);
}

#[test]
fn v2_is_refused_unless_the_plan_may_keep_it_on_and_then_it_answers_two_hops_later() {
    let bed = bed(|_| ());
    let pids = bed.live_pids();
    bed.quorate(&["upgrade", bed.name(), "--to", "3.4.23", "--yes", "--no-probe"])
        .expect(3)
        .says(&["E12", "--rewrite-config"]);
    assert_eq!(bed.live_pids(), pids, "a member was stopped");
    goes_to(&bed, "3.4.23");
    reads(&bed, "before");
    assert!(bed.live_argv(&bed.node(1)).contains(&"--enable-v2=true".to_owned()));
    // 3.5 still has the flag, and the members are started with it again.
    goes_to(&bed, "3.5.16");
    reads(&bed, "before");
    bed.ctl_v2(&bed.node(2), &["set", "/app/k", "after"]);
    reads(&bed, "after");
}

#[test]
fn v2_stays_on_where_members_are_told_by_their_environment() {
    let bed = bed(Bed::by_env);
    goes_to(&bed, "3.4.23");
    reads(&bed, "before");
    assert_eq!(bed.live_argv(&bed.node(1)).len(), 1, "no flag was added");
}

#[test]
fn v2_stays_on_where_members_read_a_file() {
    let bed = bed(|bed| bed.by_file("log-output: stdout\n"));
    goes_to(&bed, "3.5.16");
    reads(&bed, "before");
    for node in bed.nodes() {
        let text = fs::read_to_string(bed.config_file(&node)).unwrap();
        for line in
            ["enable-v2: true\n", "enable-grpc-gateway: true\n", "log-outputs: [\"stdout\"]\n"]
        {
            assert!(text.contains(line), "{node} lacks {line}: {text}");
        }
    }
}

#[test]
fn a_v2_backup_goes_back_onto_one_member_and_the_others_join_it() {
    goes_back(&bed(|_| ()), restored);
}

fn restored(bed: &Bed, file: &str) {
    bed.quorate(&["restore", bed.name(), file, "--yes", "--no-probe"]).expect(0);
}

/// Killed while the second member joins: the copy's member has taken it in already, and must not lose it again.
#[test]
fn a_restore_whose_controller_is_killed_while_a_member_joins_goes_on() {
    goes_back(&bed(|_| ()), |bed, file| {
        let mut run = bed.spawn(&["restore", bed.name(), file, "--yes", "--no-probe"]);
        let mut seen = None;
        until(Duration::from_secs(120), "a member joins", || {
            let begun = started(&bed.journal());
            let restores: Vec<_> = begun.iter().filter(|step| step.ends_with(".restore")).collect();
            seen = restores.get(1).and_then(|step| step.split('.').nth(1)).map(str::to_owned);
            seen.as_ref().is_some_and(|node| {
                let own = bed.dir().join("members").join(node);
                own.join("etcd.pid.restoring.pid").is_file() && own.join("data/member/wal").is_dir()
            })
        });
        run.kill().unwrap();
        run.wait().unwrap();
        let id = bed.runs()[0].run.to_string();
        bed.quorate(&[
            "run",
            "resume",
            &id,
            "--yes",
            "--no-probe",
            "--break-lease",
            "it was killed",
        ])
        .expect(0);
    });
}

#[test]
fn a_v2_backup_goes_back_where_members_read_a_file() {
    let bed = bed(|bed| bed.by_file("# ours\n"));
    let text = |node: &String| fs::read_to_string(bed.config_file(node)).unwrap();
    let before: Vec<String> = bed.nodes().iter().map(text).collect();
    goes_back(&bed, restored);
    assert_eq!(bed.nodes().iter().map(text).collect::<Vec<_>>(), before);
    let left = bed.files();
    assert!(
        left.iter().all(|path| path.extension().is_none_or(|end| end != "restoring")),
        "{left:?}"
    );
}

#[test]
fn a_v2_backup_goes_back_where_the_log_has_a_folder_of_its_own() {
    let bed = bed(Bed::by_log_folder);
    goes_back(&bed, restored);
    for node in bed.nodes() {
        let own = bed.dir().join("members").join(&node);
        let names: Vec<String> = fs::read_dir(&own)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        for kept in ["data.before-restore-", "wal.before-restore-"] {
            let times = names.iter().filter(|name| name.starts_with(kept)).count();
            assert_eq!(times, 1, "{kept} of {node}: {names:?}");
        }
        assert!(!own.join("data/member/wal").exists(), "the log of {node} is in one place");
    }
}

#[track_caller]
fn goes_back(bed: &Bed, restore: impl Fn(&Bed, &str)) {
    let taken = bed.json(&["backup", bed.name()]);
    let copies = taken["backups"].as_array().unwrap();
    let copy =
        copies.iter().find(|copy| copy["kind"] == "v2-copy").unwrap_or_else(|| panic!("{taken}"));
    let file = copy["file"].as_str().unwrap();
    bed.ctl_v2(&bed.node(1), &["set", "/app/k", "after"]);
    let members = bed.ctl_v2(&bed.node(1), &["member", "list"]);
    restore(bed, file);
    reads(bed, "before");
    let now = bed.ctl_v2(&bed.node(1), &["member", "list"]);
    let peers = |list: &str| {
        let mut urls: Vec<String> = list
            .split_whitespace()
            .filter(|word| word.starts_with("name=") || word.starts_with("peerURLs="))
            .map(str::to_owned)
            .collect();
        urls.sort();
        urls
    };
    assert_eq!(peers(&now), peers(&members), "the same members under the same addresses");
    bed.ctl_v2(&bed.node(3), &["set", "/app/k", "again"]);
    reads(bed, "again");
    assert!(bed.detect()["nodes"].as_array().unwrap().iter().all(|node| node["healthy"] == true));
}
