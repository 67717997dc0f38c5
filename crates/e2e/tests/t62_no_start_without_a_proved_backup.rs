//! T62: a backup that does not prove lets nothing start; one that proves brings the data back.

use quorate_e2e::{
    Bed,
    ask::{hold, started},
};
use std::{fs, path::PathBuf};

#[test]
fn t62_a_damaged_copy_lets_no_member_stop() {
    damaged(
        |copy| {
            let mut bytes = fs::read(copy).unwrap();
            let middle = bytes.len() / 2;
            bytes.iter_mut().skip(middle).take(4096).for_each(|byte| *byte ^= 0x5a);
            fs::write(copy, bytes).unwrap();
        },
        "is not what was backed up: its digest differs",
    );
}

#[test]
fn t62_a_copy_that_vanished_lets_no_member_stop() {
    damaged(|copy| fs::remove_file(copy).unwrap(), "is not there any more");
}

/// Ends the controller between the copy and its proof, spoils the copy, and resumes.
#[track_caller]
fn damaged(spoil: impl Fn(&PathBuf), said: &str) {
    let bed = Bed::up("3.4.23", &[]);
    let plan = bed.plan("3.5.16", &["--soak", "0"]);
    let run = quorate_e2e::ask::crash(
        env!("CARGO_BIN_EXE_crashing"),
        &bed,
        "begin",
        &plan.display().to_string(),
        "event:backed-up",
    );
    assert_eq!(run, None, "it was killed");
    let folder = bed.state().join("backups").join(bed.name());
    let copy = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "db"));
    spoil(&copy.expect("a copy was taken"));

    let id = bed.runs()[0].run.to_string();
    let ended = bed
        .quorate(&["run", "resume", &id, "--yes", "--no-probe", "--break-lease", "it was killed"])
        .expect(4);
    assert!(ended.err.contains(said), "{}", ended.err);
    let journal = bed.journal();
    let hold = hold(&journal).unwrap();
    assert!(
        hold.step.is_some_and(|step| step.as_str().contains(".verify-")),
        "it halts at the proof"
    );
    let touched: Vec<String> = started(&journal)
        .into_iter()
        .filter(|step| step.ends_with(".stop") || step.ends_with(".swap"))
        .collect();
    assert_eq!(touched, Vec::<String>::new(), "no member was touched");
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 3]);
}

#[test]
fn t62_backup_proves_and_restore_brings_the_data_back() {
    let bed = Bed::up("3.4.23", &[]);
    bed.put("key", "as backed up");
    bed.put("other", "one");
    let taken = bed.json(&["backup", bed.name()]);
    let copy = taken["backups"][0].clone();
    assert!(copy["verified"].as_str().unwrap().contains("content hash"), "{copy}");
    bed.put("key", "changed since");
    bed.put("new", "since");
    let file = copy["file"].as_str().unwrap();
    bed.quorate(&["restore", bed.name(), file]).expect(3).says(&["--yes"]);
    assert_eq!(bed.get(&bed.node(1), "key"), "changed since", "nothing happens without a yes");
    bed.quorate(&["restore", bed.name(), file, "--yes", "--no-probe"])
        .expect(0)
        .says(&["would be lost"]);
    for node in 1..=3 {
        assert_eq!(bed.get(&bed.node(node), "key"), "as backed up");
        assert_eq!(bed.get(&bed.node(node), "other"), "one");
        assert_eq!(bed.get(&bed.node(node), "new"), "");
    }
    // A copy that was changed is refused before anything stops.
    let pid = bed.pid(&bed.node(1));
    let mut bytes = fs::read(file).unwrap();
    bytes[4000] ^= 1;
    fs::write(file, bytes).unwrap();
    bed.quorate(&["restore", bed.name(), file, "--yes", "--no-probe"]).expect(4).says(&["digest"]);
    assert_eq!(bed.pid(&bed.node(1)), pid);
}

#[test]
fn t62_keys_of_the_v2_store_are_backed_up_and_proved() {
    let bed = Bed::up("3.3.25", &["--v2-keys", "20"]);
    let taken = bed.json(&["backup", bed.name()]);
    let kinds: Vec<&str> = taken["backups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["v3-snapshot", "v2-copy"]);
    let proof = taken["backups"][1]["verified"].as_str().unwrap();
    assert!(proof.contains("v2 keys"), "{proof}");
}
