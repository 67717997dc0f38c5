//! Putting a backup back: what is refused while everybody still runs, and that the data which come back are those of the copy.

use quorate_e2e::{Bed, ask, ask::started, until};
use quorate_model::RunEvent;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// Takes a backup and gives its file.
fn backup(bed: &Bed) -> PathBuf {
    let taken = bed.json(&["backup", bed.name()]);
    PathBuf::from(taken["backups"][0]["file"].as_str().expect("a file"))
}

/// What stands beside a backup.
fn record_of(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.json", file.display()))
}

fn damage(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn stop(bed: &Bed, node: &str) {
    let pid = bed.live_pid(node).expect("it runs");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM)
        .expect("a signal");
    until(Duration::from_secs(20), "it stops", || bed.live_pid(node).is_none());
}

#[test]
fn everybody_is_down_and_the_backup_goes_back_all_the_same() {
    let bed = Bed::up("3.4.23", &[]);
    bed.quick();
    bed.put("key", "as backed up");
    let file = text(&backup(&bed));
    bed.put("key", "since");
    (1..=3).for_each(|node| stop(&bed, &bed.node(node)));
    bed.quorate(&["restore", bed.name(), &file]).expect(3).says(&["--yes"]);
    bed.quorate(&["restore", bed.name(), &file, "--yes"]).expect(0).says(&["would be lost"]);
    for node in 1..=3 {
        assert_eq!(bed.get(&bed.node(node), "key"), "as backed up");
    }
    let journal = bed.journal();
    assert!(
        started(&journal).iter().any(|step| step.ends_with("proof.compare")),
        "the data were compared: {:?}",
        started(&journal)
    );
    // Once more: the cluster has another id since, and the backup is its own all the same. Nothing of before is deleted.
    bed.quorate(&["restore", bed.name(), &file, "--yes"]).expect(0);
    let member = bed.dir().join("members").join(bed.node(1));
    let kept = fs::read_dir(&member)
        .unwrap()
        .filter(|entry| {
            entry.as_ref().unwrap().file_name().to_string_lossy().contains(".before-restore-")
        })
        .count();
    assert_eq!(kept, 2, "the data of before both restores are kept");
}

/// Gives a lab's members a folder each whose names differ only behind a dot, and a log folder of its own: by flag, by
/// variable, by configuration file.
fn with_log_folders(bed: &Bed) -> PathBuf {
    let folder = bed.scratch().join("d");
    fs::create_dir(&folder).unwrap();
    let mut fleet = fs::read_to_string(bed.fleet()).unwrap();
    for number in 1..=3 {
        let node = bed.node(number);
        let argv = bed.live_argv(&node);
        stop(bed, &node);
        let member = bed.dir().join("members").join(&node);
        let (data, log) =
            (folder.join(format!("etcd.{number}")), folder.join(format!("wal.{number}")));
        fs::rename(member.join("data"), &data).unwrap();
        fs::rename(data.join("member/wal"), &log).unwrap();
        fleet = fleet.replace(&text(&member.join("data")), &text(&data));
        let flag = format!("            - \"--data-dir={}\"\n", data.display());
        assert!(fleet.contains(&flag), "{fleet}");
        let at = fleet.find(&format!("- name: {node}\n")).unwrap();
        match number {
            1 => {
                let more = format!("{flag}            - \"--wal-dir={}\"\n", log.display());
                fleet = fleet.replace(&flag, &more);
            }
            2 => {
                let place = at + fleet[at..].find("          pid_file").unwrap();
                let env = format!("          env:\n            ETCD_WAL_DIR: {}\n", log.display());
                fleet.insert_str(place, &env);
            }
            _ => {
                let file = folder.join("three.yaml");
                // With a configuration file 3.4 switches its JSON gateway off unless it is asked for.
                let mut yaml = format!("enable-grpc-gateway: true\nwal-dir: {}\n", log.display());
                for word in argv.iter().skip(1) {
                    let (key, value) = word.trim_start_matches('-').split_once('=').unwrap();
                    let value = value.replace(&text(&member.join("data")), &text(&data));
                    yaml.push_str(&format!("{key}: '{value}'\n"));
                }
                fs::write(&file, yaml).unwrap();
                let begin = at + fleet[at..].find("argv:\n").unwrap() + "argv:\n".len();
                let end = begin + fleet[begin..].find("          pid_file").unwrap();
                let words = format!(
                    "            - {}\n            - \"--config-file={}\"\n",
                    argv[0],
                    file.display()
                );
                fleet.replace_range(begin..end, &words);
            }
        }
    }
    fs::write(bed.fleet(), fleet).unwrap();
    folder
}

/// Starts the members as the fleet file declares them now.
fn start_all(bed: &Bed) {
    let declared = bed.json(&["inventory"]);
    let nodes = declared["clusters"][0]["nodes"].as_array().cloned().unwrap_or_default();
    assert_eq!(nodes.len(), 3, "{declared}");
    for node in nodes {
        let service = &node["service"];
        let words: Vec<&str> =
            service["argv"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        let log =
            fs::File::options().append(true).open(service["log_file"].as_str().unwrap()).unwrap();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(service["work_dir"].as_str().unwrap());
        for (name, value) in service["env"].as_object().into_iter().flatten() {
            command.env(name, value.as_str().unwrap());
        }
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("etcd");
        fs::write(service["pid_file"].as_str().unwrap(), format!("{}\n", child.id())).unwrap();
        // Whoever stops it looks whether it is gone: it must not stay a dead child of the test.
        std::thread::spawn(move || {
            let mut child = child;
            child.wait()
        });
    }
    until(Duration::from_secs(30), "every member serves", || {
        let seen = bed.detect();
        seen["nodes"]
            .as_array()
            .is_some_and(|nodes| nodes.iter().all(|node| node["healthy"] == true))
    });
}

#[test]
fn every_folder_of_a_member_is_put_back_and_none_takes_the_name_of_another() {
    let bed = Bed::up("3.4.23", &[]);
    bed.quick();
    let folder = with_log_folders(&bed);
    start_all(&bed);
    bed.put("key", "as backed up");
    let file = text(&backup(&bed));
    bed.put("key", "since");
    bed.quorate(&["restore", bed.name(), &file, "--yes"]).expect(0);
    for node in 1..=3 {
        assert_eq!(bed.get(&bed.node(node), "key"), "as backed up");
    }
    let names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    for number in 1..=3 {
        for kind in ["etcd", "wal"] {
            let kept = format!("{kind}.{number}.before-restore-");
            assert!(names.iter().any(|name| name.starts_with(&kept)), "{kept}: {names:?}");
            assert!(names.contains(&format!("{kind}.{number}")), "{names:?}");
        }
    }
}

#[test]
fn a_member_that_runs_otherwise_than_declared_keeps_its_data() {
    let bed = Bed::up("3.4.23", &[]);
    bed.quick();
    bed.put("key", "kept");
    let file = text(&backup(&bed));
    let before = bed.live_pids();
    // The declared service works in another folder from now on, and the process that serves is not it.
    let declared = fs::read_to_string(bed.fleet()).unwrap();
    let mut other = declared.clone();
    for node in bed.nodes() {
        let data = text(&bed.dir().join("members").join(&node).join("data"));
        let flag = format!("\"--data-dir={data}\"");
        assert!(other.contains(&flag), "{other}");
        other = other.replace(&flag, &format!("\"--data-dir={data}-other\""));
    }
    fs::write(bed.fleet(), other).unwrap();
    for node in 1..=3 {
        let identity = bed.dir().join("members").join(bed.node(node)).join("etcd.pid.identity");
        fs::remove_file(identity).unwrap();
    }
    bed.quorate(&["restore", bed.name(), &file, "--yes"])
        .expect(4)
        .says(&["may be the service", "neither stopped nor proved to run"]);
    assert_eq!(bed.live_pids(), before, "nobody was stopped");
    assert!(
        !started(&bed.journal()).iter().any(|step| step.ends_with(".restore")),
        "no data were moved"
    );
    fs::write(bed.fleet(), declared).unwrap();
    assert_eq!(bed.get(&bed.node(1), "key"), "kept");
}

#[test]
fn a_damaged_backup_stops_nobody_whenever_it_is_found() {
    let bed = Bed::up("3.4.23", &[]);
    bed.limit(&["soak_secs: 0", "baseline_secs: 1"]);
    bed.put("key", "kept");
    bed.quorate(&["upgrade", bed.name(), "--to", "3.5.16", "--yes", "--no-probe"]).expect(0);
    let up = bed.runs()[0].run.to_string();
    let folder = bed.state().join("backups").join(bed.name());
    let file = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "db"))
        .unwrap();
    let whole = fs::read(&file).unwrap();
    let before = bed.live_pids();
    let plan = text(&bed.scratch().join("back.json"));
    bed.quorate(&["rollback", &up, "--plan-only", &plan]).expect(0);

    damage(&file);
    // When the plan is made.
    bed.quorate(&["rollback", &up, "--yes"]).expect(3).says(&[
        "cannot go back now",
        "is not what was backed up",
        "digest",
    ]);
    // When the run begins.
    bed.quorate(&["apply", &plan, "--yes"]).expect(4).says(&["nothing was touched", "digest"]);
    assert_eq!(bed.live_pids(), before);
    // Before the first stop.
    fs::write(&file, &whole).unwrap();
    let ended = ask::crash(env!("CARGO_BIN_EXE_crashing"), &bed, "begin", &plan, "event:began");
    assert_eq!(ended, None, "it was killed");
    damage(&file);
    let run = bed.runs()[0].run.to_string();
    bed.quorate(&["run", "resume", &run, "--yes", "--break-lease", "it was killed"])
        .expect(4)
        .says(&["may not stop", "is not what was backed up"]);
    assert_eq!(bed.live_pids(), before, "nobody was stopped");
    assert_eq!(bed.get(&bed.node(1), "key"), "kept");
    // What that run leaves is no downgrade.
    let said =
        bed.quorate(&["rollback", &run]).expect(3).says(&["cannot go back now", "run resume"]);
    assert!(!said.err.contains("is older than"), "{}", said.err);
}

#[test]
fn a_backup_of_another_cluster_needs_a_word_and_leaves_it_in_the_journal() {
    let (one, other) = (Bed::up("3.4.23", &[]), Bed::up("3.4.23", &[]));
    other.quick();
    one.put("key", "of one");
    other.put("key", "of other");
    let from = backup(&one);
    let file = other.state().join("backups").join("copied.db");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::copy(&from, &file).unwrap();
    fs::copy(record_of(&from), record_of(&file)).unwrap();
    let name = text(&file);
    let before = other.live_pids();
    let refused = |bed: &Bed| {
        bed.quorate(&["restore", bed.name(), &name, "--yes"])
            .expect(4)
            .says(&["is a backup of", "--other-cluster"]);
        assert_eq!(bed.live_pids(), before);
    };
    refused(&other);
    // Two fleets may call their clusters alike: then the product's own id tells.
    let mut record: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(record_of(&file)).unwrap()).unwrap();
    record["cluster"] = other.name().into();
    fs::write(record_of(&file), record.to_string()).unwrap();
    refused(&other);
    (1..=3).for_each(|node| stop(&other, &other.node(node)));
    other.quorate(&["restore", other.name(), &name, "--yes"]).expect(4).says(&["is a backup of"]);
    start_all(&other);
    let before = other.live_pids();
    // A release that these members cannot take.
    let right = record.clone();
    record["cluster_id"] = serde_json::Value::Null;
    record["release"] = "3.5.16".into();
    fs::write(record_of(&file), record.to_string()).unwrap();
    other
        .quorate(&["restore", other.name(), &name, "--yes"])
        .expect(3)
        .says(&["cannot get that backup now", "was taken on 3.5.16"]);
    // A record of an older program: what it does not say is said to be unknown, and nothing is made up.
    let mut old = right.clone();
    for key in ["schema", "pack", "cluster", "cluster_id", "node"] {
        old.as_object_mut().unwrap().remove(key);
    }
    fs::write(record_of(&file), old.to_string()).unwrap();
    let said = other.quorate(&["restore", other.name(), &name]).expect(3);
    assert!(said.err.contains("was not written down"), "{}", said.err);
    assert!(!said.err.contains("was taken from"), "{}", said.err);
    assert_eq!(other.live_pids(), before);

    fs::write(record_of(&file), right.to_string()).unwrap();
    let why = "the clone gets the data of the original";
    other.quorate(&["restore", other.name(), &name, "--other-cluster", why, "--yes"]).expect(0);
    assert_eq!(other.get(&other.node(2), "key"), "of one");
    let noted = other.journal().iter().any(
        |recorded| matches!(&recorded.event, RunEvent::Note { text, .. } if text.contains(why)),
    );
    assert!(noted, "{:?}", other.journal());
}

#[test]
fn a_member_left_down_with_the_new_files_goes_back() {
    let bed = Bed::up("3.4.23", &[]);
    bed.quick();
    bed.put("key", "kept");
    let plan = text(&bed.plan("3.5.16", &[]));
    let ended = ask::crash(env!("CARGO_BIN_EXE_crashing"), &bed, "begin", &plan, "finished:.swap");
    assert_eq!(ended, None, "it was killed");
    let run = bed.runs()[0].run.to_string();
    assert_eq!(bed.live_pids().values().filter(|pid| pid.is_none()).count(), 1);
    bed.quorate(&["rollback", &run, "--yes", "--no-probe", "--break-lease", "it was killed"])
        .expect(0);
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 3]);
    assert_eq!(bed.get(&bed.node(1), "key"), "kept");
}
