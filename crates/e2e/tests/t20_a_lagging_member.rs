//! T20: a member that lags behind (frozen right after its start) holds its gate; past the gate's limit the run halts; thawed, it resumes.

use quorate_e2e::{
    Bed, artifacts,
    ask::{hold, started},
    finish,
};
use quorate_model::{Outcome, RunEvent};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

/// Artifacts whose server freezes itself when it is started as a member, once, as long as the file that is given is there. Asked
/// whether it takes the member's arguments (they end in `--version` then) it answers.
fn freezing(bed: &Bed) -> (PathBuf, PathBuf) {
    let (folder, frost) = (bed.scratch().join("freezing"), bed.scratch().join("frost"));
    let release = folder.join("etcd/3.5.16");
    fs::create_dir_all(&release).unwrap();
    let real = artifacts().join("etcd/3.5.16");
    fs::copy(real.join("etcdctl"), release.join("etcdctl")).unwrap();
    let script = format!(
        "#!/bin/sh\ncase $* in *--version) ;; *--name=*) rm '{}' 2>/dev/null && kill -STOP $$ ;; esac\nexec '{}' \"$@\"\n",
        frost.display(),
        real.join("etcd").display()
    );
    fs::write(release.join("etcd"), script).unwrap();
    fs::set_permissions(release.join("etcd"), fs::Permissions::from_mode(0o755)).unwrap();
    (folder, frost)
}

#[test]
fn t20_a_lagging_member_holds_the_gate() {
    let bed = Bed::up("3.4.23", &[]);
    bed.limit(&["soak_secs: 1", "baseline_secs: 1", "rejoin_limit_secs: 5", "good_looks: 3"]);
    let (folder, frost) = freezing(&bed);
    let folder = folder.display().to_string();
    let plan = bed.plan("3.5.16", &["--artifacts", &folder]).display().to_string();
    bed.quorate(&["prepare", &plan, "--artifacts", &folder]).expect(0);
    fs::write(&frost, "").unwrap();
    let run = bed.spawn(&["apply", &plan, "--yes", "--artifacts", &folder]);
    let started_one = bed.wait_for(Duration::from_secs(90), "the first member is started", |event| {
        matches!(event, RunEvent::Acted { step, outcome: Outcome::Succeeded { .. }, .. } if step.as_str().ends_with(".start"))
    });
    let RunEvent::Acted { step, .. } = started_one.event else {
        unreachable!("only such an event was waited for")
    };
    let first = step.as_str().split('.').nth(1).unwrap().to_owned();

    finish(run).expect(4).says(&[&first]);
    let journal = bed.journal();
    let hold = hold(&journal).unwrap();
    assert_eq!(hold.code, "gate-timeout", "{hold:?}");
    assert_eq!(hold.step.map(|step| step.as_str().to_owned()), Some(format!("h1.{first}.rejoin")));
    let stops = |all: Vec<String>| {
        all.into_iter().filter(|step| step.ends_with(".stop")).collect::<Vec<_>>()
    };
    assert_eq!(
        stops(started(&journal)),
        [format!("h1.{first}.stop")],
        "the others were left alone"
    );
    let began = journal.iter().find(|one| matches!(&one.event, RunEvent::Started { step, .. } if step.as_str().ends_with(".rejoin"))).unwrap();
    let halted = journal.iter().find(|one| matches!(one.event, RunEvent::Halted { .. })).unwrap();
    let waited = halted.at.duration_since(began.at).as_secs_f64();
    assert!((4.9..15.0).contains(&waited), "the gate had its limit of 5 s: {waited}");

    bed.fault(&first, "thaw", &[]);
    bed.quorate(&["run", "resume", "--yes"]).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.5.16".to_owned()); 3]);
    let journal = bed.journal();
    assert_eq!(stops(started(&journal)).len(), 3, "each member was stopped once");
    assert_eq!(bed.report()["client"]["writes_lost"], 0);
}
