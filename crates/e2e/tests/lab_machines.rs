//! Whole machines on this machine: reached as hosts are, broken from outside, and taken away without a trace.

use quorate_e2e::{
    Said, binary,
    machines::{MachineBed, ssh, throughout},
    until,
};
use quorate_hosts::lab::{
    Fault,
    machines::{Debian, Seed, SeedFile},
};
use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    net::{SocketAddr, TcpStream, UdpSocket},
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

/// A machine boots within two seconds; a busy one gets ten times that.
const SOON: Duration = Duration::from_secs(20);
/// Long enough for a loop of a tenth of a second to show that it stands still.
const STILL: Duration = Duration::from_millis(700);

fn quorate(words: &[&str]) -> Said {
    let output = Command::new(binary()).args(words).stdin(Stdio::null()).output();
    Said::from(&output.expect("quorate runs"))
}

/// Everything outside the lab's folder that carries the lab's number, and what is mounted below the folder.
fn traces(id: &str, dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut note = |kind: &str, name: &str| found.insert(format!("{kind} {name}"));
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    for line in mounts.lines().filter(|line| line.contains(&*dir.to_string_lossy())) {
        note("mount", line);
    }
    for folder in ["/sys/class/net", "/run/netns", "/run/systemd/nspawn/propagate"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains(id) {
                note(folder, &name);
            }
        }
    }
    let tables = Command::new("nft").args(["list", "tables"]).output().expect("nft runs");
    for line in String::from_utf8_lossy(&tables.stdout).lines().filter(|line| line.contains(id)) {
        note("table", line);
    }
    let groups = Command::new("find")
        .args(["/sys/fs/cgroup", "-maxdepth", "3", "-name", &format!("quorate-lab-{id}")])
        .output()
        .expect("find runs");
    for line in String::from_utf8_lossy(&groups.stdout).lines() {
        note("group", line);
    }
    let loops = Command::new("losetup").arg("--all").output().expect("losetup runs");
    let folder = dir.to_string_lossy().into_owned();
    for line in String::from_utf8_lossy(&loops.stdout).lines().filter(|l| l.contains(&folder)) {
        note("loop", line);
    }
    for entry in fs::read_dir("/proc").expect("processes").flatten() {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&words).contains(&format!("quorate-{id}-")) {
            note("process", &entry.file_name().to_string_lossy());
        }
    }
    found
}

/// The number that the lab's things outside its folder carry.
fn id_of(dir: &Path) -> String {
    let text = fs::read_to_string(dir.join("machines-lab.json")).expect("the lab's state");
    let state: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    state["id"].as_str().expect("a number").to_owned()
}

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("quorate-e2e-").tempdir().expect("a folder")
}

/// Takes a lab of the command line away, whatever becomes of the test.
struct Away<'a>(&'a Path);

impl Drop for Away<'_> {
    fn drop(&mut self) {
        // Fails where the test itself took it down, as it should.
        let _ = quorate(&["lab", "down", &self.0.display().to_string(), "--yes"]);
    }
}

#[test]
fn the_command_boots_machines_and_leaves_nothing() {
    let folder = folder();
    let dir = folder.path().join("lab");
    let (dir_word, name) = (dir.display().to_string(), "t-three-machines");
    let _away = Away(&dir);
    let words = [
        "--output",
        "json",
        "lab",
        "up",
        "machines",
        "--release",
        "bookworm",
        "--count",
        "3",
        "--name",
        name,
        "--dir",
        &dir_word,
        "--asks",
        "--data-mb",
        "48",
    ];
    let given = quorate(&words).expect(0).json();
    assert_eq!(given["machines"].as_array().map(Vec::len), Some(3), "{given}");
    assert_eq!(given["machines"][2]["name"], "m3");
    let list = fs::read_to_string(given["list"].as_str().expect("a path")).expect("machines.json");
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!(list["schema"], 1);
    assert_eq!(list["machines"], given["machines"]);

    let config = dir.join("ssh_config");
    for number in 1..=3 {
        let machine = format!("m{number}");
        let line = "hostname; whoami; sudo -n whoami; stat -c %d / /data; getent hosts m1 m2 m3 | wc -l; systemctl is-system-running";
        let said = ssh(&config, &machine, &[], line).expect(0).out;
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(&lines[..3], [&machine, "quorate", "root"]);
        assert_ne!(lines[3], lines[4], "the data volume is a file system of its own");
        assert_eq!(lines[5], "3", "each machine knows all by name");
        assert_eq!(lines[6], "running", "no unit has failed");
    }
    let secret = fs::read_to_string(dir.join("secrets/asks.password")).expect("a password");
    let asks = "sudo -n true 2>/dev/null && echo free; sudo -S whoami 2>/dev/null";
    let mut child = Command::new("ssh")
        .arg("-F")
        .arg(&config)
        .args(["-o", "BatchMode=yes", "asks@m1", asks])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ssh runs");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), secret.as_bytes())
        .expect("the password is read");
    let said = child.wait_with_output().expect("ssh ends");
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "root", "only with its password");

    // Another key than the noted one, and strict checking refuses.
    let known = dir.join("known_hosts");
    let noted = fs::read_to_string(&known).expect("known hosts");
    let keys: Vec<&str> = noted.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(keys.len(), 3);
    fs::write(&known, noted.replace(keys[0], keys[1])).expect("known hosts");
    let refused = ssh(&config, "m1", &[], "true").expect(255);
    assert!(refused.err.contains("Host key verification failed"), "{refused:?}");

    let listed = quorate(&["--output", "json", "lab", "list"]).expect(0).json();
    let own = listed["labs"].as_array().expect("labs").iter().find(|lab| lab["name"] == name);
    assert_eq!(own.expect("the lab is listed")["pack"], "machines");
    let id = id_of(&dir);
    let before = traces(&id, &dir);
    for kind in ["mount", "/sys/class/net", "/run/netns", "group", "loop", "process"] {
        assert!(before.iter().any(|trace| trace.starts_with(kind)), "no {kind}: {before:?}");
    }
    quorate(&["lab", "fault", name, "cut", "m1"]).expect(0);
    assert!(traces(&id, &dir).iter().any(|trace| trace.starts_with("table")));
    quorate(&["lab", "down", name]).expect(3).says(&["--yes"]);
    quorate(&["lab", "down", name, "--yes"]).expect(0).says(&["3 members stopped"]);
    assert_eq!(traces(&id, &dir), BTreeSet::new());
    assert!(!dir.exists());
    quorate(&["lab", "down", name, "--yes"]).expect(1).says(&["there is no lab"]);
}

#[test]
fn every_fault_of_a_machine_does_what_it_says() {
    let bed = MachineBed::up(2);
    let boot = || bed.says("m1", "cat /proc/sys/kernel/random/boot_id");
    let first = boot();
    bed.says(
        "m1",
        "echo kept | sudo tee /data/kept /root/kept >/dev/null; sudo chmod 777 /data; sync",
    );

    // Off: no answer at all, not even a refusal. On again: the same disks, another boot.
    bed.fault("m1", &Fault::Kill);
    let dead = bed.ssh_with("m1", &["-o", "ConnectTimeout=2"], "true").expect(255);
    assert!(!dead.err.contains("refused"), "{dead:?}");
    bed.fault("m1", &Fault::Start);
    let second = boot();
    assert_ne!(first, second);
    assert_eq!(bed.says("m1", "sudo cat /data/kept /root/kept"), "kept\nkept");
    // A machine that reboots by itself comes back by itself.
    bed.ssh("m1", "sudo reboot");
    until(SOON, "m1 is back from its reboot", || {
        let said =
            bed.ssh_with("m1", &["-o", "ConnectTimeout=1"], "cat /proc/sys/kernel/random/boot_id");
        said.code == 0 && said.out.trim() != second
    });
    bed.fault("m1", &Fault::Stop);
    bed.fault("m1", &Fault::Start);

    // Frozen: nothing in it moves.
    let loops =
        "while :; do date +%s%N >/data/beat.new; mv /data/beat.new /data/beat; sleep 0.05; done";
    bed.says("m1", &format!("setsid sh -c '{loops}' >/dev/null 2>&1 </dev/null &"));
    let beat = || fs::read_to_string(bed.volume("m1").join("beat")).unwrap_or_default();
    until(SOON, "the loop runs", || !beat().is_empty());
    bed.fault("m1", &Fault::Freeze);
    let still = beat();
    throughout(STILL, "a frozen machine stands still", || beat() == still);
    bed.fault("m1", &Fault::Thaw);
    until(SOON, "a thawed machine goes on", || beat() != still);

    // SSH that hangs: the connection is accepted, no greeting comes, the machine goes on.
    let address = SocketAddr::from((bed.machine(1).address, 22));
    let greets = || {
        let mut stream = TcpStream::connect_timeout(&address, SOON).expect("it accepts");
        stream.set_read_timeout(Some(STILL)).expect("a limit");
        let mut start = [0; 4];
        stream.read_exact(&mut start).is_ok()
    };
    assert!(greets());
    bed.fault("m1", &Fault::HangSsh);
    assert!(!greets());
    let now = beat();
    until(SOON, "the machine goes on without sshd", || beat() != now);
    bed.fault("m1", &Fault::MendSsh);
    until(SOON, "sshd greets again", greets);

    // A full disk: the volume alone, of this machine alone.
    bed.fault("m1", &Fault::FillDisk);
    let write = "head -c 100000 /dev/zero | sudo tee /data/more >/dev/null";
    let full = bed.ssh("m1", write);
    assert!(full.err.contains("No space left on device"), "{full:?}");
    bed.says("m1", "head -c 100000 /dev/zero | sudo tee /root/more >/dev/null");
    bed.says("m2", write);
    bed.fault("m1", &Fault::FreeDisk);
    bed.says("m1", write);
}

#[test]
fn the_network_is_cut_lossy_and_healed() {
    let bed = MachineBed::up(3);
    let opens = |from: &str, to: &str| {
        bed.ssh(from, &format!("timeout 2 bash -c '</dev/tcp/{to}/22'")).code == 0
    };
    assert!(opens("m2", "m1") && opens("m1", "m3"));
    let set = |from: &str| Some(from.to_owned());
    bed.fault("m1", &Fault::Cut { from: set("m2,m3") });
    assert!(!opens("m2", "m1") && !opens("m1", "m3"), "cut in both directions");
    assert!(opens("m2", "m3"), "others are not touched");
    bed.fault("m1", &Fault::Heal);
    assert!(opens("m2", "m1"));

    bed.fault("m2", &Fault::Cut { from: set("controller") });
    let gone = bed.ssh_with("m2", &["-o", "ConnectTimeout=2"], "true");
    assert_eq!(gone.code, 255, "cut off from here");
    assert!(opens("m1", "m2"), "and from nobody else");
    bed.fault("all", &Fault::Heal);
    bed.says("m2", "true");

    // A loss is measured with datagrams, which nobody sends again. The sender is told to begin through its volume: the
    // way of orders must not be the way that loses packets.
    let octets = bed.machine(1).address.octets();
    let here = SocketAddr::from(([octets[0], octets[1], octets[2], 1], 0));
    let socket = UdpSocket::bind(here).expect("a socket on the bridge");
    let port = socket.local_addr().expect("an address").port();
    socket.set_read_timeout(Some(SOON)).expect("a limit");
    let to = format!("/dev/udp/{}/{port}", here.ip());
    let sends = format!(
        "sudo chmod 777 /data; setsid bash -c 'while :; do until rm /data/go; do sleep 0.05; done; \
         for n in $(seq 400); do echo $n >{to}; [ $((n % 20)) != 0 ] || sleep 0.02; done; touch /data/sent; done' >/dev/null 2>&1 </dev/null &"
    );
    bed.says("m3", &sends);
    let volume = bed.volume("m3");
    let arrived = || {
        // Read while they come: the socket itself holds only some hundred.
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let (mut count, mut bytes) = (0, [0; 64]);
                while let Ok(len) = socket.recv(&mut bytes) {
                    if bytes[..len].starts_with(b"end") {
                        return count;
                    }
                    count += 1;
                }
                count
            });
            fs::write(volume.join("go"), "").expect("the order");
            until(SOON, "all are sent", || fs::remove_file(volume.join("sent")).is_ok());
            let own = UdpSocket::bind((here.ip(), 0)).expect("a socket");
            own.send_to(b"end", (here.ip(), port)).expect("the end is told");
            reader.join().expect("the reader ends")
        })
    };
    assert_eq!(arrived(), 400, "nothing is lost by itself");
    bed.fault("m3", &Fault::Drop { from: set("controller"), percent: 30.0 });
    // 280 are expected; the bounds are six deviations away.
    let count = arrived();
    assert!((225..=335).contains(&count), "{count} of 400 arrived");
    bed.fault("all", &Fault::Heal);
    assert_eq!(arrived(), 400);
}

#[test]
fn the_clock_of_one_program_jumps() {
    let bed = MachineBed::up(1);
    bed.says("m1", "sudo chmod 777 /data");
    for name in ["ticker", "other"] {
        let loops = format!(
            r#"while :; do printf "%(%s)T" -1 >/data/{name}.new; mv /data/{name}.new /data/{name}; sleep 0.05; done"#
        );
        let line = format!(
            "setsid bash -c 'exec -a {name} bash -c '\\''{loops}'\\''' >/dev/null 2>&1 </dev/null &"
        );
        bed.says("m1", &line);
    }
    let off = |name: &str| -> Option<i64> {
        let told: i64 =
            fs::read_to_string(bed.volume("m1").join(name)).ok()?.trim().parse().ok()?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(told - i64::try_from(now.as_secs()).ok()?)
    };
    let near = |name: &str, wanted: i64| off(name).is_some_and(|off| (off - wanted).abs() <= 5);
    until(SOON, "both tell the time", || near("ticker", 0) && near("other", 0));
    let jump = |by_secs| Fault::JumpClock { program: "ticker".to_owned(), by_secs };
    for by_secs in [7200, -86_400] {
        bed.fault("m1", &jump(by_secs));
        until(SOON, "its clock jumps", || near("ticker", by_secs));
        assert!(near("other", 0), "another program keeps the time: {:?}", off("other"));
    }
    bed.fault("m1", &jump(0));
    until(SOON, "its clock is right again", || near("ticker", 0));
}

#[test]
fn a_machine_finds_what_was_planted_and_takes_local_packages() {
    let file = SeedFile {
        path: "/etc/quorate-test/planted".into(),
        content: b"planted\n".to_vec(),
        mode: 0o640,
    };
    let seed = Seed {
        files: vec![file],
        first_boot: vec!["id -u >/root/first".to_owned(), "echo again >>/root/times".to_owned()],
        ..Seed::default()
    };
    for release in Debian::ALL {
        let bed = MachineBed::with(release, 1, |spec| spec.seed = seed.clone());
        let planted = bed.says("m1", "sudo stat -c '%a %U' /etc/quorate-test/planted; sudo cat /etc/quorate-test/planted /root/first; . /etc/os-release; echo $VERSION_CODENAME");
        assert_eq!(planted, format!("640 root\nplanted\n0\n{release}"));
        // A file of the lab is the whole of apt's world.
        let build = "mkdir -p p/DEBIAN p/opt && echo works >p/opt/local && printf 'Package: local\\nVersion: 1\\nArchitecture: all\\nMaintainer: x\\nDescription: x\\n' >p/DEBIAN/control && dpkg-deb -b p local.deb >/dev/null";
        let install = "sudo apt-get -qq install -y ./local.deb >/dev/null 2>&1; cat /opt/local";
        assert_eq!(bed.says("m1", &format!("cd /tmp && {build} && {install}")), "works");
        bed.fault("m1", &Fault::Stop);
        bed.fault("m1", &Fault::Start);
        assert_eq!(
            bed.says("m1", "sudo cat /root/times"),
            "again",
            "{release}: once, not at each boot"
        );
    }
}

#[test]
fn what_was_killed_from_outside_or_half_made_is_taken_away() {
    let folder = folder();
    let dir = folder.path().join("lab");
    let dir_word = dir.display().to_string();
    let _away = Away(&dir);
    let words = [
        "lab",
        "up",
        "machines",
        "--release",
        "bookworm",
        "--count",
        "6",
        "--name",
        "t-half-made",
        "--dir",
        &dir_word,
    ];
    // Broken off in the middle: some machines stand, others do not yet.
    let mut child =
        Command::new(binary()).args(words).stderr(Stdio::null()).spawn().expect("quorate runs");
    until(SOON * 6, "the first machine is being made", || {
        dir.join("hosts/m1/root/etc/hostname").exists()
    });
    child.kill().expect("it lives");
    child.wait().expect("it ends");
    let id = id_of(&dir);
    assert_ne!(traces(&id, &dir), BTreeSet::new());
    let down = || quorate(&["lab", "down", &dir_word, "--yes"]);
    // A helper of the killed command may be at work for a moment more; what it makes then is found by the next try.
    until(SOON, "everything is gone", || {
        down();
        traces(&id, &dir).is_empty() && !dir.exists()
    });

    // Whole, and then every process of it killed from outside.
    let bed = MachineBed::up(1);
    let (id, dir) = (id_of(&bed.lab.dir), bed.lab.dir.clone());
    let ours = traces(&id, &dir);
    for pid in ours.iter().filter_map(|trace| trace.strip_prefix("process ")) {
        let pid = nix::unistd::Pid::from_raw(pid.parse().expect("a process id"));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
    }
    until(SOON, "no process is left", || {
        !traces(&id, &dir).iter().any(|trace| trace.starts_with("process"))
    });
    drop(bed);
    assert_eq!(traces(&id, &dir), BTreeSet::new());
}

#[test]
fn what_is_no_lab_is_left_alone() {
    let bed = MachineBed::up(1);
    let state = bed.lab.dir.join("machines-lab.json");
    // Without the mark: somebody's folder with a file of that name.
    let folder = folder();
    let other = folder.path().join("somebodys");
    fs::create_dir_all(other.join("hosts")).expect("a folder");
    fs::copy(&state, other.join("machines-lab.json")).expect("a copy");
    quorate(&["lab", "down", &other.display().to_string(), "--yes"]).expect(1).says(&["is no lab"]);
    assert!(other.join("hosts").is_dir());
    // A number that leads elsewhere.
    let text = fs::read_to_string(&state).expect("the state");
    fs::write(&state, text.replace(&id_of(&bed.lab.dir), "../../x")).expect("the state");
    let dir = bed.lab.dir.display().to_string();
    quorate(&["lab", "down", &dir, "--yes"]).expect(1).says(&["is no number of a lab"]);
    fs::write(&state, text).expect("the state");
    bed.says("m1", "true");
    assert_eq!(fs::metadata(&state).expect("the state").uid(), 0);
}

#[test]
fn somebody_else_than_root_is_told_so() {
    let folder = folder();
    let dir = folder.path().join("lab");
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("permissions");
    let program = folder.path().join("quorate");
    fs::copy(binary(), &program).expect("a copy that everybody may run");
    let output = Command::new(&program)
        .args(["lab", "up", "machines", "--release", "bookworm", "--dir"])
        .arg(&dir)
        .uid(65_534)
        .gid(65_534)
        .env("HOME", folder.path())
        .output()
        .expect("quorate runs");
    Said::from(&output).expect(1).says(&["machines need root", "sudo"]);
    assert!(!dir.exists());
    for (words, told) in [
        (&["--release", "jessie"][..], "bullseye, bookworm, trixie"),
        (&["--release", "bookworm", "--count", "0"], "1 to 200 machines"),
        (&["--release", "bookworm", "--tls"], "no product of their own"),
        (&["--release", "bookworm", "--with", "a b"], "name of a Debian package"),
    ] {
        let dir_word = dir.display().to_string();
        let mut all = vec!["lab", "up", "machines", "--dir", &dir_word];
        all.extend(words);
        quorate(&all).expect(1).says(&[told]);
        assert!(!dir.exists());
    }
}
