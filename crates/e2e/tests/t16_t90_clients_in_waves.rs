//! T16 and T90: servers one by one, the leader last, then three hundred clients in waves within their share, never beside a server.
//! Clients that fail within the budget are left behind and named; one more ends the run before the next wave; mended, it goes to its
//! end. The controller needs no more memory than any machine has to spare.

use quorate_e2e::{
    Bed, CONSUL,
    ask::{hold, started},
    by_hand::{blocks, follow, script},
    until,
    waves::{most_on_their_way, node_of},
};
use quorate_model::{Recorded, RunEvent};
use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

/// Ten waves of a tenth each. The first loses the three clients that the budget of one in a hundred allows, the second another.
const CLIENTS: usize = 300;
const WAVE: usize = 30;
/// Ten waves take five minutes by themselves, and longer on a busy machine. Such a crowd is restarted without leaving its datacenter (the lab's own doing).
const RUN_LIMIT: Duration = Duration::from_secs(900);
/// What a small machine can spare; the program is built without optimization here.
const MEMORY_MB: u64 = 250;

fn client(bed: &Bed, number: usize) -> String {
    format!("{}-client-{number}", bed.name())
}

fn is_client(node: &str) -> bool {
    node.contains("-client-")
}

/// Who was stopped, in order.
fn stops(journal: &[Recorded]) -> Vec<String> {
    let steps = started(journal);
    let stops = steps.iter().filter(|step| step.ends_with(".stop"));
    stops.map(|step| node_of(step).to_owned()).collect()
}

/// The journal's place of the first stop of a node.
fn stop_of(journal: &[Recorded], node: &str) -> Option<usize> {
    let stop = format!(".{node}.stop");
    journal.iter().position(|recorded| {
        matches!(&recorded.event, RunEvent::Started { step, .. } if step.as_str().ends_with(&stop))
    })
}

fn left_behind(journal: &[Recorded]) -> Vec<(usize, String)> {
    let left = journal.iter().enumerate().filter_map(|(at, recorded)| match &recorded.event {
        RunEvent::LeftBehind { node, .. } => Some((at, node.to_string())),
        _ => None,
    });
    left.collect()
}

/// The most memory that a process has had so far, as the kernel counts it.
fn peak_mb(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? / 1024)
}

/// Runs a command to its end, which has this exit status, within the memory that it may have; gives what it told.
fn carried(bed: &Bed, words: &[&str], code: i32) -> String {
    // Into a file: what it tells of so many is more than a pipe holds that nobody reads.
    let told = bed.scratch().join("told");
    let mut command = bed.command(words);
    command.stdout(Stdio::null()).stderr(fs::File::create(&told).expect("a file"));
    let (mut run, mut memory) = (command.spawn().expect("quorate starts"), 0);
    let began = Instant::now();
    until(RUN_LIMIT, "the run ends", || {
        memory = peak_mb(&run).unwrap_or_default().max(memory);
        run.try_wait().expect("a child").is_some()
    });
    eprintln!("{:7.1} s  quorate {}", began.elapsed().as_secs_f64(), words.join(" "));
    let told = fs::read_to_string(&told).expect("what it told");
    let ended = run.wait().expect("a child");
    assert_eq!(ended.code(), Some(code), "{told}");
    assert!((1..MEMORY_MB).contains(&memory), "the controller has had {memory} MB");
    told
}

#[test]
fn the_last_wave_goes_by_hand_as_the_run_book_says() {
    let bed = Bed::of("consul", CONSUL, &["--clients", "4"]);
    bed.limit(&["soak_secs: 0", "client_wave: 3"]);
    let book = bed.scratch().join("book.md");
    let words = ["plan", bed.name(), "--restart", "--runbook", &book.display().to_string()];
    bed.quorate(&words).expect(0);
    let text = fs::read_to_string(&book).expect("the run book");
    let part = |id: &str| {
        let own =
            text.split("\n### ").find(|part| part.lines().next().is_some_and(|l| l.ends_with(id)));
        blocks(own.unwrap_or_else(|| panic!("{id} is not in the book")))
    };
    let head = blocks(text.split("\n### ").next().unwrap_or_default());
    // The first wave says how; what it does is left out.
    let told = part("(h1.client-1)").into_iter().map(|block| block.replace("each h1", ": h1"));
    let all = [head, part("(h1.stage-client)"), told.collect(), part("(h1.client-2)")].concat();
    let before = bed.live_pids();
    let said = follow(bed.scratch(), &script(&all)).expect(0).out;
    let after = bed.live_pids();
    let moved: Vec<&String> = before.keys().filter(|node| before[*node] != after[*node]).collect();
    assert_eq!(moved, [&client(&bed, 4)], "{said}");
    assert!(after.values().all(Option::is_some), "{after:?}");
}

#[test]
fn t16_t90_three_hundred_clients_move_in_waves_after_the_servers_within_their_budget() {
    let bed = Bed::of("consul", CONSUL, &["--clients", &CLIENTS.to_string()]);
    // Looks as often as by default: each is an answer about three hundred members.
    bed.limit(&[
        "soak_secs: 0",
        "baseline_secs: 1",
        "client_wave: 10%",
        "client_failure_budget: 1%",
    ]);
    let nodes = bed.detect()["nodes"].as_array().cloned().unwrap_or_default();
    let leader = nodes.iter().find(|node| node["role"] == "leader").expect("a leader");
    let leader = leader["name"].as_str().unwrap_or_default().to_owned();
    let before = bed.live_pids();
    // Their settings are broken: they serve until they are stopped, and do not start again.
    let ill = [2, 3, 4, WAVE + 2].map(|number| client(&bed, number));
    let settings =
        |node: &str| -> PathBuf { bed.dir().join("members").join(node).join("settings.json") };
    let sound = ill.each_ref().map(|node| fs::read_to_string(settings(node)).expect("settings"));
    ill.iter().for_each(|node| fs::write(settings(node), "{ broken").expect("settings"));

    let told = carried(&bed, &["upgrade", bed.name(), "--restart", "--yes"], 4);
    assert!(ill.iter().all(|node| told.contains(node.as_str())), "{told}");
    let journal = bed.journal();
    assert_eq!(hold(&journal).map(|hold| hold.code).as_deref(), Some("failure-budget"));
    let order = stops(&journal);
    let (servers, clients) = order.split_at(3);
    assert!(servers.iter().all(|node| !is_client(node)), "servers first: {order:?}");
    assert_eq!(servers.last(), Some(&leader), "the leader last: {order:?}");
    // Who was stopped and failed is still on its way: the second wave has three places less.
    assert!((WAVE + 2..=2 * WAVE).contains(&clients.len()), "two waves: {order:?}");
    assert_eq!(most_on_their_way(&journal, is_client), WAVE, "the share, and no more");
    let left = left_behind(&journal);
    let names: BTreeSet<&String> = left.iter().map(|(_, node)| node).collect();
    assert_eq!((left.len(), names), (4, ill.iter().collect()), "{left:?}");
    let next = stop_of(&journal, &client(&bed, WAVE + 1));
    assert!(next.is_some_and(|next| next > left[2].0), "within the budget the next wave begins");
    let report = bed.report();
    let told = report["report"]["left_behind"].as_array().cloned().unwrap_or_default();
    let told: BTreeSet<_> = told.iter().filter_map(|one| one["node"].as_str()).collect();
    assert_eq!(told, ill.iter().map(String::as_str).collect(), "the report lists them");
    assert_eq!(report["client"]["writes_lost"], 0, "{}", report["client"]);
    let halted = bed.live_pids();
    for number in 2 * WAVE + 1..=CLIENTS {
        let node = client(&bed, number);
        assert_eq!(halted[&node], before[&node], "{node} was not touched");
    }

    ill.iter()
        .zip(&sound)
        .for_each(|(node, text)| fs::write(settings(node), text).expect("settings"));
    carried(&bed, &["run", "resume"], 0);
    let journal = bed.journal();
    assert_eq!(most_on_their_way(&journal, is_client), WAVE, "the share, and no more");
    let (after, report) = (bed.live_pids(), bed.report());
    for (node, pid) in &before {
        assert!(after[node].is_some() && after[node] != *pid, "{node} runs, and anew");
        if clients.contains(node) && !ill.contains(node) {
            assert_eq!(after[node], halted[node], "{node} was stopped once");
        }
    }
    assert_eq!(report["outcome"], "succeeded");
    let clients_view = &report["client"];
    assert_eq!(clients_view["writes_lost"], 0, "{clients_view}");
    assert!(clients_view["writes_acked"].as_u64() > Some(1000), "somebody wrote: {clients_view}");
}
