//! T07: settings that 3.5 does not start with are named before any stop; rewritten, the members run on 3.5.16; and
//! whatever starts them later starts them with the rewritten settings, though the fleet file still holds the old ones.

use quorate_e2e::Bed;

const OLD: [&str; 2] = ["--debug", "--logger=capnslog"];
const NEW: [&str; 2] = ["--log-level=debug", "--logger=zap"];

fn bed() -> Bed {
    let bed = Bed::up("3.4.23", &["--flag=--debug", "--flag=--logger=capnslog"]);
    bed.quick();
    bed
}

#[track_caller]
fn runs_with(bed: &Bed, with: &[&str], without: &[&str]) {
    for node in bed.nodes() {
        let argv = bed.live_argv(&node);
        for word in with {
            assert!(argv.iter().any(|own| own == word), "{node} runs without {word}: {argv:?}");
        }
        for word in without {
            assert!(!argv.iter().any(|own| own == word), "{node} runs with {word}: {argv:?}");
        }
    }
}

#[test]
fn t07_unchanged_settings_are_refused_before_any_stop() {
    let bed = bed();
    let (pids, files) = (bed.live_pids(), bed.files());
    bed.quorate(&["upgrade", bed.name(), "--to", "3.5.16", "--yes"]).expect(3).says(&[
        "Q0009",
        "--debug",
        "--logger=capnslog",
        "rewrite_config",
    ]);
    assert_eq!(bed.live_pids(), pids, "a member was stopped");
    assert_eq!(bed.files(), files, "something was staged");
}

#[test]
fn t07_rewritten_settings_last() {
    let bed = bed();
    bed.ctl(&bed.node(1), &["put", "k", "before"]);
    bed.quorate(&[
        "upgrade",
        bed.name(),
        "--to",
        "3.5.16",
        "--rewrite-config",
        "--yes",
        "--no-probe",
    ])
    .expect(0);
    assert_eq!(bed.releases(), vec![Some("3.5.16".to_owned()); 3]);
    runs_with(&bed, &NEW, &OLD);
    let fleet = std::fs::read_to_string(bed.fleet()).unwrap();
    assert!(fleet.contains("--debug"), "the fleet file belongs to people");

    // Every command says what to write into the fleet file.
    let seen =
        bed.quorate(&["detect"]).expect(0).says(&["rewritten settings", "fleet.yaml", "- --debug"]);
    assert!(seen.out.contains("3.5.16"), "{}", seen.out);
    // A plan onward builds on what is really there: nothing to rewrite again.
    let same = bed.quorate(&["plan", bed.name(), "--to", "3.5.16"]).expect(0);
    assert!(same.err.contains("runs 3.5.16") || same.err.contains("nothing to do"), "{}", same.err);

    // A restore stops and starts every member.
    let taken = bed.quorate(&["--output", "json", "backup", bed.name()]).expect(0);
    let file = taken.json()["backups"][0]["file"].as_str().unwrap().to_owned();
    let pids = bed.live_pids();
    bed.quorate(&["restore", bed.name(), &file, "--yes", "--no-probe"]).expect(0);
    for (node, pid) in bed.live_pids() {
        assert!(pid.is_some() && pid != pids[&node], "{node} was not started again");
    }
    runs_with(&bed, &NEW, &OLD);
    assert_eq!(bed.get(&bed.node(2), "k"), "before");

    // Once a person has written them down, the file has the last word and the note is gone.
    std::fs::write(
        bed.fleet(),
        fleet.replace("--debug", "--log-level=debug").replace("--logger=capnslog", "--logger=zap"),
    )
    .unwrap();
    let seen = bed.quorate(&["detect"]).expect(0);
    assert!(!seen.err.contains("rewritten settings"), "{}", seen.err);
}
