//! Members that came with Debian packages are upgraded as packages on whole machines: pinned, held back from restarting by
//! themselves, and put back the same way when one does not install.

use quorate_e2e::{
    QUICK,
    ask::{hold, started},
    finish,
    hosts::{HostBed, NAMES, PACKAGES},
};
use quorate_model::{Attempt, RunEvent};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// A run is taken up within a second or two; a busy machine gets more.
const SOON: Duration = Duration::from_secs(30);

/// Upstream's release in the version of the package to come; what follows it is Debian's.
const NEW: &str = "3.5.16-";

/// The policy of the operator, which is asked for everything else and comes back.
const POLICY: &str = "#!/bin/sh\nexit 0\n";

#[test]
fn debian_packages_roll_without_a_restart_of_their_own_and_go_back() {
    let bed = HostBed::etcd_of_packages();
    bed.limit(QUICK);
    bed.ctl("m1", "put planted stays");
    bed.machines.says("m1", "sudo apt-mark hold etcd-server");
    let write = format!(
        "printf '{}' | sudo tee /usr/sbin/policy-rc.d && sudo chmod 755 /usr/sbin/policy-rc.d",
        POLICY.replace('\n', "\\n")
    );
    bed.machines.says("m2", &write);
    let before = NAMES.map(|name| bed.starts(name));
    let old = versions(&bed, "m1");
    assert!(old.iter().all(|version| version.starts_with("3.4.23")), "{old:?}");

    // Who exchanges the bare file goes past dpkg: said, with the line to write.
    let bare =
        bed.variant("bare", |text| text.replace(", packages: [etcd-server, etcd-client]", ""));
    let looked = bed.quorate_with(&bare, &["detect"]).expect(0).out;
    let past = bed.scratch().join("past.json").display().to_string();
    let words = ["plan", bed.name(), "--to", "3.5.16", "-o", &past];
    let planned = bed.quorate_with(&bare, &words).expect(0).out;
    let checked = bed.json(&["check", &past]);
    assert!(planned.contains(checked["notes"][0].as_str().expect("a note")), "{checked}");
    let who = ["warning[packages-undeclared]: m1, m2, m3:", "note: the binary of m1, m2, m3 came"];
    for (said, who) in [looked, planned].into_iter().zip(who) {
        assert!(said.contains(who), "{said}");
        assert!(said.contains("`packages: [etcd-server, etcd-client]`"), "{said}");
    }
    assert!(!bed.quorate(&["detect"]).expect(0).out.contains("packages-undeclared"));

    // A package that does not set itself up: the run halts with its words, and the way back installs the old ones.
    let damaged = damaged(&bed);
    let plan = bed.scratch().join("damaged.json").display().to_string();
    let artifacts = damaged.display().to_string();
    bed.quorate(&["plan", bed.name(), "--to", "3.5.16", "-o", &plan, "--artifacts", &artifacts])
        .expect(0);
    let first = bed.order(&plan)[0].clone();
    bed.quorate(&["apply", &plan, "--no-probe", "--yes", "--artifacts", &artifacts])
        .expect(4)
        .says(&["Q0012", "no room for a user", "half-configured"]);
    let halted = hold(&bed.journal()).and_then(|hold| hold.step).expect("a step");
    assert_eq!(halted.as_str(), format!("h1.{first}.swap"));
    let policy = bed.machines.says(&first, "cat /usr/sbin/policy-rc.d 2>/dev/null || true");
    assert!(!policy.contains("Quorate"), "let go at the halt: {policy}");
    assert!(bed.machines.says(&first, "dpkg -l etcd-server | tail -n 1").contains(NEW));
    // What was let go at the halt is held back again before dpkg is.
    bed.quorate(&["run", "resume", "--no-probe"]).expect(4).says(&["no room for a user"]);
    killed_while_dpkg_unpacks(&bed, &first);
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 3]);
    for name in NAMES {
        assert_eq!(versions(&bed, name), old, "{name}");
    }

    // The real ones, with a client that counts.
    let starts = NAMES.map(|name| bed.starts(name));
    let plan = bed.plan("3.5.16", &[]).display().to_string();
    let prepared = bed.quorate(&["prepare", &plan]).expect(0);
    assert!(format!("{prepared:?}").contains("bytes copied"), "{prepared:?}");
    let said = bed.quorate(&["apply", &plan, "--yes"]).expect(0);
    assert!(said.err.contains("etcd-server 3.5.16-"), "{}", said.err);
    let report = bed.report();
    assert_eq!(
        (&report["outcome"], &report["client"]["writes_lost"]),
        (&"succeeded".into(), &0.into())
    );
    assert!(report["client"]["writes_acked"].as_u64().unwrap() > 100, "{}", report["client"]);
    assert_eq!(bed.releases(), vec![Some("3.5.16".to_owned()); 3]);
    for (at, name) in NAMES.into_iter().enumerate() {
        let new = versions(&bed, name);
        assert!(new.iter().all(|version| version.starts_with(NEW)), "{name}: {new:?}");
        assert_eq!(bed.starts(name), starts[at] + 1, "{name} was started once, by us");
        let restarts = bed.machines.says(name, "systemctl show -p NRestarts --value etcd");
        assert_eq!(restarts, "0", "{name}");
        let left = bed.machines.says(name, "ls /usr/sbin | grep policy-rc || true");
        assert_eq!(left, if name == "m2" { "policy-rc.d" } else { "" }, "{name}");
    }
    assert_eq!(bed.machines.says("m2", "cat /usr/sbin/policy-rc.d"), POLICY.trim());
    assert_eq!(bed.machines.says("m1", "apt-mark showhold"), "etcd-server");
    let stops = started(&bed.journal()).iter().filter(|step| step.ends_with(".stop")).count();
    assert_eq!(stops, 3);
    // The first member was started twice in the run that halted and its way back: once each at most.
    for (at, name) in NAMES.into_iter().enumerate() {
        assert!(starts[at] <= before[at] + 1, "{name}: {before:?} {starts:?}");
    }
    assert_eq!(bed.ctl("m3", "get planted --print-value-only"), "stays");
}

/// Goes back; the controller is killed while dpkg unpacks on that host. Whoever takes the run up waits for that dpkg, which holds
/// the lock, and installs.
fn killed_while_dpkg_unpacks(bed: &HostBed, name: &str) {
    bed.stops_at(name, "dpkg-deb", "*--fsys-tarfile*");
    bed.stop_here(name);
    let mut back = bed.spawn(&["rollback", "--yes", "--no-probe"]);
    bed.has_come(name);
    assert!(back.try_wait().expect("a child").is_none(), "it has ended by itself");
    back.kill().expect("it lives");
    back.wait().expect("it ends");
    let words = ["run", "resume", "--no-probe", "--break-lease", "its controller was killed"];
    let resumed = bed.spawn(&words);
    let again = |event: &RunEvent| {
        let RunEvent::Started { step, attempt } = event else { return false };
        step.as_str().ends_with(".swap") && *attempt > Attempt(1)
    };
    bed.wait_for(SOON, "the swap is tried once more", again);
    bed.go_on(name);
    finish(resumed).expect(0);
    bed.machines.says(name, "sudo rm /usr/local/bin/dpkg-deb");
}

/// Versions of the packages as dpkg has them, whole.
#[track_caller]
fn versions(bed: &HostBed, name: &str) -> [String; 2] {
    PACKAGES.map(|package| {
        let words = format!("dpkg-query -W -f '${{db:Status-Status}} ${{Version}}' {package}");
        let said = bed.machines.says(name, &words);
        said.strip_prefix("installed ").unwrap_or(&said).to_owned()
    })
}

/// A folder with the new release whose server package fails to set itself up; from the packages that planning has fetched.
fn damaged(bed: &HostBed) -> PathBuf {
    let plan: serde_json::Value = {
        let file = bed.plan("3.5.16", &[]);
        serde_json::from_str(&fs::read_to_string(file).expect("a plan")).expect("JSON")
    };
    let folder = bed.scratch().join("damaged/etcd/3.5.16");
    fs::create_dir_all(&folder).expect("a folder");
    let cache = bed.state().join("cache/sha256");
    for file in plan["hops"][0]["artifact"]["files"].as_array().expect("files") {
        let (name, sum) =
            (file["name"].as_str().expect("a name"), file["sha256"].as_str().expect("a sum"));
        fs::copy(cache.join(&sum[..2]).join(sum), folder.join(name)).expect("a file of the cache");
        if !name.ends_with(".deb") {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(folder.join(name), mode).expect("permissions");
        }
    }
    let server = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(&format!("etcd-server_{NEW}"))
    };
    let files = fs::read_dir(&folder).expect("a folder").flatten().map(|entry| entry.path());
    let deb = files.into_iter().find(server).expect("the server's package");
    let tree = bed.scratch().join("tree");
    dpkg_deb(&["-R".as_ref(), &deb, &tree]);
    let script = tree.join("DEBIAN/postinst");
    let text = fs::read_to_string(&script).expect("a script");
    let fails = "set -e\necho no room for a user >&2\nexit 1\n";
    fs::write(&script, text.replacen("set -e\n", fails, 1)).expect("a script");
    // Not packed: packing a program takes longer than installing it.
    dpkg_deb(&["-Znone".as_ref(), "-b".as_ref(), &tree, &deb]);
    bed.scratch().join("damaged")
}

fn dpkg_deb(words: &[&Path]) {
    let output = Command::new("dpkg-deb").args(words).output().expect("dpkg-deb runs");
    assert!(output.status.success(), "{output:?}");
}
