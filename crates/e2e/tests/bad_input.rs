//! Wrong input against a live cluster: each is refused with its exit status, saying who, what, why and what next, and no
//! member is stopped and nothing is staged.

use quorate_e2e::{Bed, Said, ask::started, binary, files, finish};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

/// What must not change.
struct Untouched {
    pids: BTreeMap<String, Option<i32>>,
    files: BTreeSet<PathBuf>,
}

impl Untouched {
    fn of(bed: &Bed) -> Self {
        Self { pids: bed.live_pids(), files: bed.files() }
    }
    #[track_caller]
    fn still(&self, bed: &Bed) {
        assert_eq!(bed.live_pids(), self.pids, "a member was stopped");
        assert_eq!(bed.files(), self.files, "files came or went");
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The fleet file, changed, for as long as the closure runs.
fn with_fleet<T>(bed: &Bed, change: impl FnOnce(String) -> String, work: impl FnOnce() -> T) -> T {
    let good = fs::read_to_string(bed.fleet()).unwrap();
    let changed = change(good.clone());
    assert_ne!(good, changed, "nothing was changed");
    fs::write(bed.fleet(), changed).unwrap();
    let outcome = work();
    fs::write(bed.fleet(), good).unwrap();
    outcome
}

/// An artifacts folder with its own copy of a release, for tests that damage it.
fn own_artifacts(bed: &Bed, release: &str) -> PathBuf {
    let folder = bed.scratch().join("artifacts");
    let to = folder.join("etcd").join(release);
    fs::create_dir_all(&to).unwrap();
    for entry in
        fs::read_dir(quorate_e2e::artifacts().join("etcd").join(release)).unwrap().flatten()
    {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    folder
}

/// Without the artifacts that the bed would add: only these.
fn bare(bed: &Bed, artifacts: &Path, words: &[&str]) -> Said {
    with_fleet(
        bed,
        |fleet| fleet.replace(&text(quorate_e2e::artifacts()), &text(artifacts)),
        || {
            let mut command = Command::new(binary());
            Said::from(&command.arg("--fleet").arg(bed.fleet()).args(words).output().unwrap())
        },
    )
}

#[test]
fn releases_and_names_that_are_not_there() {
    let bed = Bed::up("3.3.25", &[]);
    let before = Untouched::of(&bed);
    bed.quorate(&["plan", bed.name(), "--to", "banana"]).expect(1).says(&["Q0005", "banana"]);
    bed.quorate(&["plan", "nobody", "--to", "3.4.23"]).expect(1).says(&[
        "Q0003",
        "nobody",
        bed.name(),
    ]);
    bed.quorate(&["path", "etdc", "3.3.25", "3.4.23"]).expect(1).says(&[
        "Q0004",
        "etdc",
        "known packs: consul, etcd",
    ]);
    bed.quorate(&["plan", bed.name(), "--to", "3.4.99"])
        .expect(1)
        .says(&["Q0005", "3.4.99", "etcd"]);
    // Known to the pack, and in no folder.
    bed.quorate(&["plan", bed.name(), "--to", "3.4.44"])
        .expect(1)
        .says(&["Q0011", "3.4.44", "tried", "hint:"]);
    bed.quorate(&["plan", bed.name(), "--to", "3.2.0"]).expect(3).says(&["Q0009", "3.2.0"]);
    bed.quorate(&["run", "show", "ghost"]).expect(1).says(&["Q0013", "ghost", "run list"]);
    before.still(&bed);
}

#[test]
fn endpoints_that_do_not_answer_or_belong_elsewhere() {
    let (bed, other) = (Bed::up("3.3.25", &[]), Bed::up("3.3.25", &[]));
    let (before, others) = (Untouched::of(&bed), Untouched::of(&other));
    let plan = || bed.quorate(&["plan", bed.name(), "--to", "3.4.23"]);
    let url = |bed: &Bed, number| bed.client_url(&bed.node(number));
    // Endpoints alone: the service's own arguments hold the address too, with another quote.
    let endpoint = |url: &str| format!("client: {url}\n");

    // Nobody listens there.
    let closed = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let closed = format!("http://{closed}");
    with_fleet(
        &bed,
        |fleet| fleet.replace(&endpoint(&url(&bed, 2)), &endpoint(&closed)),
        || {
            let seen = bed.quorate(&["detect"]).expect(0);
            assert!(seen.out.contains(&format!("{} is unreachable", bed.node(2))), "{}", seen.out);
            plan().expect(3).says(&[
                "Q0009",
                &bed.node(2),
                "correct the address in the fleet file",
                &url(&bed, 2),
            ]);
        },
    );
    let file = text(&bed.scratch().join("adopted.yaml"));
    Said::from(
        &Command::new(binary()).args(["init", "--endpoint", &closed, &file]).output().unwrap(),
    )
    .expect(1)
    .says(&["Q0015", &closed]);
    assert!(!Path::new(&file).exists());

    // One member's address leads to another cluster.
    with_fleet(
        &bed,
        |fleet| fleet.replace(&endpoint(&url(&bed, 3)), &endpoint(&url(&other, 3))),
        || {
            plan().expect(3).says(&["Q0009", &bed.node(3), "another cluster"]);
        },
    );
    // Two clusters mixed up: no majority belongs together.
    with_fleet(
        &bed,
        |fleet| {
            fleet
                .replace(&endpoint(&url(&bed, 2)), &endpoint(&url(&other, 2)))
                .replace(&endpoint(&url(&bed, 3)), &endpoint(&url(&other, 3)))
        },
        || plan().expect(3).says(&["Q0009", "another cluster"]),
    );
    before.still(&bed);
    others.still(&other);
}

#[test]
fn plans_that_were_edited_cut_or_are_older_than_the_cluster() {
    let bed = Bed::up("3.3.25", &[]);
    bed.quick();
    let file = bed.plan("3.4.23", &[]);
    let good = fs::read_to_string(&file).unwrap();
    let before = Untouched::of(&bed);
    let apply = || bed.quorate(&["apply", &text(&file), "--yes"]);
    fs::write(&file, good.replacen("\"soak_secs\": 0.2", "\"soak_secs\": 0.1", 1)).unwrap();
    apply().expect(1).says(&["Q0007", &text(&file), "changed after it was made", "plan again"]);
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    apply().expect(1).says(&["Q0007", &text(&file), "line ", "column ", "quorate plan"]);
    fs::write(&file, good.replacen("\"schema\": 1", "\"schema\": 99", 1)).unwrap();
    apply().expect(1).says(&["Q0007", "newer Quorate"]);
    assert!(bed.runs().is_empty(), "a refused plan is no run");
    before.still(&bed);

    // The cluster moves on under another plan.
    fs::write(&file, &good).unwrap();
    bed.quorate(&["upgrade", bed.name(), "--to", "3.4.23", "--yes", "--no-probe"]).expect(0);
    let after = Untouched::of(&bed);
    apply().expect(3).says(&["Q0008", "ran 3.3.25, it runs 3.4.23 now", "make it again"]);
    after.still(&bed);
    assert_eq!(bed.runs().len(), 1);
}

#[test]
fn artifacts_that_are_damaged_or_for_another_machine() {
    let bed = Bed::up("3.3.25", &[]);
    let own = own_artifacts(&bed, "3.4.23");
    let server = own.join("etcd/3.4.23/etcd");
    let whole = fs::read(&server).unwrap();
    let file = text(&bed.scratch().join("plan.json"));
    bare(&bed, &own, &["plan", bed.name(), "--to", "3.4.23", "-o", &file]).expect(0);
    let before = Untouched::of(&bed);

    // Other bytes than those that were planned.
    let mut other = whole.clone();
    let middle = other.len() / 2;
    other[middle] = !other[middle];
    fs::write(&server, &other).unwrap();
    bare(&bed, &own, &["prepare", &file]).expect(4).says(&[
        "Q0021",
        "no service was touched",
        "digest",
    ]);
    before.still(&bed);
    // Cut short before it was planned: a download that broke off.
    fs::write(&server, &whole[..whole.len() / 2]).unwrap();
    let cut = bare(&bed, &own, &["upgrade", bed.name(), "--to", "3.4.23", "--yes"]);
    assert!(matches!(cut.code, 3 | 4), "{cut:?}");
    before.still(&bed);
    // A whole program for another processor.
    fs::write(&server, &whole).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(&server)
        .unwrap()
        .write_all_at(&183_u16.to_le_bytes(), 18)
        .unwrap();
    let foreign = bare(&bed, &own, &["upgrade", bed.name(), "--to", "3.4.23", "--yes"]);
    assert!(matches!(foreign.code, 3 | 4), "{foreign:?}");
    foreign.says(&["aarch64"]);
    before.still(&bed);
}

#[test]
fn credentials_that_the_cluster_refuses() {
    let bed = Bed::up("3.3.25", &["--auth"]);
    let before = Untouched::of(&bed);
    let password = bed.scratch().join("wrong");
    fs::write(&password, "not it\n").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let fleet = fs::read_to_string(bed.fleet()).unwrap();
    let line = fleet
        .lines()
        .find(|line| line.contains("file:"))
        .unwrap_or_else(|| panic!("no password file: {fleet}"));
    let file = line
        .split("file:")
        .nth(1)
        .unwrap()
        .split(['}', ' ', '"'])
        .find(|word| word.starts_with('/'))
        .unwrap()
        .to_owned();
    with_fleet(
        &bed,
        |fleet| fleet.replace(&file, &text(&password)),
        || {
            let said = bed.quorate(&["plan", bed.name(), "--to", "3.4.23"]).expect(3);
            assert!(!said.err.contains("not it"), "{}", said.err);
            said.says(&["refused user", "check the password in the file", &text(&password)]);
        },
    );
    with_fleet(
        &bed,
        |fleet| fleet.replace(&file, "/nowhere/password"),
        || {
            let said = bed.quorate(&["plan", bed.name(), "--to", "3.4.23"]);
            assert!(matches!(said.code, 1 | 3), "{said:?}");
            said.says(&["/nowhere/password"]);
        },
    );
    before.still(&bed);
}

#[test]
fn a_certificate_that_has_expired() {
    let bed = Bed::up("3.3.25", &["--tls"]);
    let before = Untouched::of(&bed);
    let (cert, key) = (bed.scratch().join("old.pem"), bed.scratch().join("old-key.pem"));
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let pair = rcgen::KeyPair::generate().unwrap();
    fs::write(&cert, params.self_signed(&pair).unwrap().pem()).unwrap();
    fs::write(&key, pair.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let replaced = |fleet: String| {
        let lines = fleet.lines().map(|line| match line.trim().split_once(':') {
            Some(("cert", _)) => format!("      cert: {}", text(&cert)),
            Some(("key", _)) => format!("      key: {}", text(&key)),
            _ => line.to_owned(),
        });
        lines.collect::<Vec<_>>().join("\n") + "\n"
    };
    with_fleet(&bed, replaced, || {
        bed.quorate(&["plan", bed.name(), "--to", "3.4.23"]).expect(3).says(&[
            "expired",
            "2020-01-01",
            &text(&cert),
        ]);
        let seen = bed.quorate(&["detect"]).expect(0).out;
        assert!(seen.contains("certificate-expired"), "{seen}");
    });
    before.still(&bed);
}

#[test]
fn state_that_cannot_be_used() {
    let bed = Bed::up("3.3.25", &[]);
    let before = Untouched::of(&bed);
    let file = text(&bed.plan("3.4.23", &[]));

    // Of a newer Quorate: SQLite keeps the schema's number at byte 60.
    let newer = bed.scratch().join("newer");
    bed.quorate(&["--state", &text(&newer), "run", "list"]).expect(0);
    fs::OpenOptions::new()
        .write(true)
        .open(newer.join("state.db"))
        .unwrap()
        .write_all_at(&99_u32.to_be_bytes(), 60)
        .unwrap();
    let kept = fs::read(newer.join("state.db")).unwrap();
    bed.quorate(&["--state", &text(&newer), "detect"]).expect(1).says(&[
        "Q0006",
        "state.db",
        "schema 99",
        "newer quorate",
    ]);
    assert_eq!(fs::read(newer.join("state.db")).unwrap(), kept, "a newer file is left as it is");

    // Without permission.
    let closed = bed.scratch().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(bed.scratch(), fs::Permissions::from_mode(0o755)).unwrap();
    let own = bed.scratch().join("quorate");
    fs::copy(binary(), &own).unwrap();
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut command = Command::new("setpriv");
    command
        .args(nobody)
        .arg(&own)
        .arg("--fleet")
        .arg(bed.fleet())
        .arg("--state")
        .arg(&closed)
        .args(["apply", &file, "--yes"]);
    Said::from(&command.output().unwrap()).expect(1).says(&["Q0006", "closed", "ermission"]);
    assert!(files(&closed).is_empty());
    before.still(&bed);
}

#[test]
fn a_full_disk_for_the_state() {
    let bed = Bed::up("3.3.25", &[]);
    bed.quick();
    let file = text(&bed.plan("3.4.23", &[]));
    let before = Untouched::of(&bed);
    let small = Small::mounted(bed.scratch().join("small"), "16m");
    small.fill();
    bed.quorate(&["--state", &text(&small.0), "apply", &file, "--yes"])
        .expect(1)
        .says(&["Q0006", &text(&small.0)]);
    before.still(&bed);
}

#[test]
fn a_disk_for_the_state_that_fills_up_in_the_middle_of_a_run() {
    let bed = Bed::up("3.4.23", &[]);
    bed.limit(&["soak_secs: 3", "baseline_secs: 1"]);
    // Room for the releases, backups and the journal, and not much more.
    let small = Small::mounted(bed.state(), "200m");
    let run = bed.spawn(&["upgrade", bed.name(), "--to", "3.5.16", "--yes"]);
    let first = bed.wait_for_start(std::time::Duration::from_secs(90), ".soak");
    small.fill();
    finish(run).expect(1).says(&["Q0006", "full"]);
    let stops = || -> Vec<String> {
        started(&bed.journal()).into_iter().filter(|step| step.ends_with(".stop")).collect()
    };
    assert_eq!(stops(), [format!("h1.{first}.stop")], "nobody else was stopped unrecorded");
    let well = |node: &serde_json::Value| node["healthy"] == true;
    fs::remove_file(small.0.join("ballast")).unwrap();
    assert!(bed.detect()["nodes"].as_array().unwrap().iter().all(well));
    let words = ["run", "resume", "--yes", "--break-lease", "its controller had no space"];
    bed.quorate(&words).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.5.16".to_owned()); 3]);
    assert_eq!(stops().len(), 3, "each member was stopped once");
}

/// A small disk, unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn mounted(folder: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&folder)
            .status()
            .unwrap();
        assert!(done.success(), "a small disk needs root");
        Self(folder)
    }
    fn fill(&self) {
        let mut block = vec![0_u8; 64 * 1024];
        let mut at = 0;
        let file = fs::File::create(self.0.join("ballast")).unwrap();
        while !block.is_empty() {
            match file.write_at(&block, at) {
                Ok(written) if written > 0 => at += written as u64,
                _ => block.truncate(block.len() / 2),
            }
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(&self.0).status();
        assert!(
            std::thread::panicking() || done.is_ok_and(|done| done.success()),
            "{} stays mounted",
            self.0.display()
        );
    }
}
