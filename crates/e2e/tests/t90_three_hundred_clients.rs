//! T90: three servers and three hundred clients in one run: every one moves once, servers alone, clients within their share, no write
//! is lost, and the controller needs no more memory than any machine has to spare.

use quorate_e2e::{Bed, CONSUL, ask::started, until, waves::most_on_their_way};
use std::{
    collections::BTreeSet,
    fs,
    process::{Child, Stdio},
    time::Duration,
};

const CLIENTS: usize = 300;
/// A tenth of them at a time.
const WAVE: usize = 30;
/// Six agents start on every core for each second of theirs: a busy machine needs a quarter of an hour.
const RUN_LIMIT: Duration = Duration::from_secs(900);
/// What a small machine can spare; the program is built without optimization here.
const MEMORY_MB: u64 = 250;

/// The most memory that a process has had so far, as the kernel counts it.
fn peak_mb(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? / 1024)
}

#[test]
fn t90_three_servers_and_three_hundred_clients_in_one_run() {
    let bed = Bed::of("consul", CONSUL, &["--clients", &CLIENTS.to_string()]);
    // Looks as often as by default: each is an answer about three hundred members.
    bed.limit(&["soak_secs: 0", "baseline_secs: 1", "client_wave: 10%"]);
    let before = bed.live_pids();
    assert_eq!(before.len(), CLIENTS + 3);

    // Into a file: what it tells of so many is more than a pipe holds that nobody reads.
    let told = bed.scratch().join("told");
    let mut run = bed
        .command(&["upgrade", bed.name(), "--restart", "--yes"])
        .stdout(Stdio::null())
        .stderr(fs::File::create(&told).expect("a file"))
        .spawn()
        .expect("quorate starts");
    let mut memory = 0;
    until(RUN_LIMIT, "the run ends", || {
        memory = peak_mb(&run).unwrap_or_default().max(memory);
        run.try_wait().expect("a child").is_some()
    });
    let ended = run.wait().expect("a child");
    assert!(ended.success(), "{ended}: {}", fs::read_to_string(&told).expect("what it told"));

    assert!((1..MEMORY_MB).contains(&memory), "the controller has had {memory} MB");
    let journal = bed.journal();
    let stops: Vec<String> =
        started(&journal).into_iter().filter(|step| step.ends_with(".stop")).collect();
    assert_eq!(stops.len(), CLIENTS + 3, "everybody once");
    assert_eq!(stops.iter().collect::<BTreeSet<_>>().len(), CLIENTS + 3, "nobody twice");
    assert_eq!(
        most_on_their_way(&journal, |node| node.contains("-client-")),
        WAVE,
        "the share, and no more"
    );
    let after = bed.live_pids();
    for (node, pid) in &before {
        assert!(after[node].is_some() && after[node] != *pid, "{node} runs, and anew");
    }
    let report = bed.report();
    assert_eq!(report["outcome"], "succeeded");
    assert_eq!(report["client"]["writes_lost"], 0, "{}", report["client"]);
    assert!(report["client"]["writes_acked"].as_u64() > Some(1000), "{}", report["client"]);
}
