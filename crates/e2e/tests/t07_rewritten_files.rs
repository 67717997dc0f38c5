//! T07 where members read a configuration file: named before any stop; rewritten line by line at the swap, with nothing
//! of the file in the plan but those lines; and put back, byte for byte, on the way back.

use quorate_e2e::{Bed, ask::hold, finish, holds};
use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

const OLD: &str = "# how ours are run\nenable-grpc-gateway: true\ndebug: true      # until the audit is over\nlogger: capnslog\nauth-token: 'simple'   # t0p-s3cret\n";
const NEW: &str = "# how ours are run\nenable-grpc-gateway: true\nlog-level: debug      # until the audit is over\nlogger: zap\nauth-token: 'simple'   # t0p-s3cret\n";

fn bed() -> Bed {
    let bed = Bed::up("3.4.23", &[]);
    bed.by_file(OLD);
    bed.quick();
    bed
}

fn texts(bed: &Bed) -> Vec<String> {
    let read = |node: String| fs::read_to_string(bed.config_file(&node)).unwrap();
    bed.nodes().into_iter().map(read).collect()
}

const UPGRADE: [&str; 4] = ["--to", "3.5.16", "--yes", "--no-probe"];

#[test]
fn t07_a_file_that_3_5_does_not_start_with_is_refused_before_any_stop() {
    let bed = bed();
    let (pids, files, before) = (bed.live_pids(), bed.files(), texts(&bed));
    bed.quorate(&["upgrade", bed.name(), "--to", "3.5.16", "--yes"]).expect(3).says(&[
        "Q0009",
        "logger: capnslog",
        "rewrite_config",
    ]);
    assert_eq!(bed.live_pids(), pids, "a member was stopped");
    assert_eq!((bed.files(), texts(&bed)), (files, before), "something was staged or written");
}

#[test]
fn t07_a_file_is_rewritten_by_lines_and_comes_back_whole() {
    let bed = bed();
    bed.put("k", "before");
    let before = texts(&bed);
    let first = bed.config_file(&bed.node(1));
    fs::set_permissions(&first, fs::Permissions::from_mode(0o600)).unwrap();
    let book = bed.scratch().join("book.md");
    let plan = bed.plan("3.5.16", &["--rewrite-config", "--runbook", &book.display().to_string()]);
    let book = fs::read_to_string(book).unwrap();
    for line in ["- debug: true", "+ log-level: debug", "+ logger: zap", "etcd.yaml"] {
        assert!(book.contains(line), "the run book lacks `{line}`:\n{book}");
    }

    bed.quorate(&[
        "upgrade",
        bed.name(),
        "--rewrite-config",
        UPGRADE[0],
        UPGRADE[1],
        UPGRADE[2],
        UPGRADE[3],
    ])
    .expect(0);
    assert_eq!(bed.releases(), vec![Some("3.5.16".to_owned()); 3]);
    for (now, before) in texts(&bed).iter().zip(&before) {
        assert_eq!(*now, before.replace(OLD, NEW), "the rest stays as people wrote it");
    }
    assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(bed.get(&bed.node(2), "k"), "before");
    for kept in [plan, bed.state()] {
        // What a comment says, and the cluster's token as the lab names it.
        for secret in ["t0p-s3cret".to_owned(), format!("lab-{}", bed.name())] {
            assert!(!holds(&kept, &secret), "{} holds {secret} of the file", kept.display());
        }
    }

    // After completion the backup goes back, and with it the old files: 3.4 starts from them.
    let run = bed.runs()[0].run.to_string();
    bed.quorate(&["rollback", &run, "--yes", "--no-probe"]).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 3]);
    assert_eq!(texts(&bed), before, "byte for byte");
}

#[test]
fn t07_from_the_middle_one_file_goes_back() {
    let bed = Bed::up("3.4.23", &[]);
    bed.by_file(OLD);
    bed.limit(&["soak_secs: 2", "baseline_secs: 1"]);
    let before = texts(&bed);
    let run = bed.spawn(&[
        "upgrade",
        bed.name(),
        "--rewrite-config",
        "--to",
        "3.5.16",
        "--yes",
        "--no-probe",
    ]);
    bed.wait_for_start(Duration::from_secs(90), ".soak");
    bed.quorate(&["run", "pause"]).expect(0);
    finish(run).expect(3);
    assert_eq!(texts(&bed).iter().filter(|text| text.contains("logger: zap")).count(), 1);
    let moved = bed.runs()[0].run.to_string();
    bed.quorate(&["rollback", &moved, "--yes", "--no-probe"]).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 3]);
    assert_eq!(texts(&bed), before);
}

#[test]
fn t07_a_file_that_somebody_changed_meanwhile_stops_nobody() {
    let bed = bed();
    let plan = bed.plan("3.5.16", &["--rewrite-config"]);
    let file = bed.config_file(&bed.node(2));
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}# a word\n")).unwrap();
    let pids = bed.live_pids();
    let plan = plan.display().to_string();
    let said = bed.quorate(&["apply", &plan, "--yes", "--no-probe"]);
    assert_ne!(said.code, 0, "{said:?}");
    assert!(said.err.contains("configuration file"), "{}", said.err);
    assert_eq!(bed.live_pids(), pids, "a member was stopped");
    assert_eq!(hold(&bed.journal()), None, "nothing was begun");
    let said = bed.quorate(&["prepare", &plan]);
    assert!(said.code != 0 && said.err.contains("was changed since"), "{said:?}");
}

#[test]
fn t07_a_file_that_the_staged_binary_does_not_take_is_found_before_any_stop() {
    let bed = bed();
    // Somebody has written it since the member was started, and no rule of the pack knows of it.
    let file = bed.config_file(&bed.node(3));
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}snapshot-count: many\n")).unwrap();
    let pids = bed.live_pids();
    let plan = bed.plan("3.5.16", &["--rewrite-config"]).display().to_string();
    let said = bed.quorate(&["prepare", &plan]);
    assert_ne!(said.code, 0, "{said:?}");
    let node = bed.node(3);
    for words in
        [format!("3.5.16 does not start with {}", file.display()), node, "snapshot-count".into()]
    {
        assert!(said.err.contains(&words), "stderr lacks `{words}`: {}", said.err);
    }
    assert_eq!(bed.live_pids(), pids, "a member was stopped");
    assert!(bed.files().iter().all(|path| !path.to_string_lossy().contains("asked-")));
    // Its files lie there by now. That does not make it one that would start, however often it is tried.
    let halted = bed.quorate(&["apply", "--yes", "--no-probe", &plan]).expect(4);
    halted.says(&["Q0012", "begins, try 3", "snapshot-count"]);
    assert_eq!(bed.live_pids(), pids, "a member was stopped");
}
