//! T18: 3.3 to 3.5 under load, with planned stops and leadership handed over first: no write lost, no request failed, no long gap.

use quorate_e2e::{Bed, ROAD, until};
use std::{fs, time::Duration};

/// The longest gap that planned stops may add to what the same machine shows with nothing going on.
const GAP_LIMIT_MS: u64 = 200;

#[test]
fn t18_two_hops_under_load() {
    let bed = Bed::up(ROAD[0], &[]);
    bed.quorate(&["upgrade", bed.name(), "--to", ROAD[2], "--soak", "1", "--yes"]).expect(0);
    let report = bed.report();
    assert_eq!(report["outcome"], "succeeded");
    assert_eq!(report["path"], serde_json::json!(ROAD));
    let client = &report["client"];
    let figure = |name: &str| {
        client[name].as_u64().unwrap_or_else(|| panic!("no figure `{name}`: {client}"))
    };
    assert!(figure("writes_acked") > 1000, "there was load: {client}");
    assert_eq!(figure("writes_lost"), 0, "{client}");
    assert_eq!(figure("requests_failed"), 0, "{client}");
    assert_eq!(figure("watch_missed"), 0, "{client}");
    assert_eq!(figure("reads_stale"), 0, "{client}");
    let (worst, noise) = (figure("write_gap_max_ms"), figure("baseline_gap_max_ms"));
    assert!(
        worst <= noise + GAP_LIMIT_MS,
        "worst gap {worst} ms, baseline {noise} ms: {}",
        report["report"]["client"]["gaps"]
    );
    assert_eq!(bed.releases(), vec![Some(ROAD[2].to_owned()); 3]);

    // The leader is stopped only after another one leads, and goes last.
    let leaders = report["report"]["leader_changes"].as_array().cloned().unwrap_or_default();
    let hops = report["report"]["hops"].as_array().unwrap();
    assert_eq!(hops.len(), 2);
    assert!(leaders.len() >= 2, "leadership was handed over in each hop: {leaders:?}");
    let nothing = bed.quorate(&["plan", bed.name(), "--to", ROAD[2]]).expect(0);
    nothing.says(&["3.5.16"]);
}

/// Upgrades until the first member soaks, and kills the controller there; gives how many writes its client had acknowledged
/// when they were last noted.
fn killed_in_the_soak(bed: &Bed) -> u64 {
    bed.limit(&["soak_secs: 3", "baseline_secs: 1"]);
    let mut run = bed.spawn(&["upgrade", bed.name(), "--to", ROAD[2], "--yes"]);
    bed.wait_for_start(Duration::from_secs(90), ".soak");
    let noted = || {
        let notes = fs::read_dir(bed.state().join("clients")).into_iter().flatten().flatten();
        let files: Vec<_> = notes
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .collect();
        assert!(files.len() <= 1, "{files:?}");
        let text = fs::read_to_string(files.first()?).ok()?;
        let kept: serde_json::Value = serde_json::from_str(&text).ok()?;
        kept["figures"]["writes_acked"].as_u64()
    };
    until(Duration::from_secs(10), "what the client wrote is noted", || {
        noted().is_some_and(|acked| acked > 100)
    });
    run.kill().unwrap();
    run.wait().unwrap();
    noted().expect("it outlives the controller")
}

#[test]
fn t18_what_the_client_of_a_killed_controller_wrote_is_in_the_account() {
    let bed = Bed::up(ROAD[1], &[]);
    let acked = killed_in_the_soak(&bed);
    let words = ["run", "resume", "--yes", "--break-lease", "its controller was killed"];
    bed.quorate(&words).expect(0);
    let report = bed.report();
    let client = &report["client"];
    assert_eq!(client["writes_lost"], 0, "{client}");
    let told = format!("of {acked} acknowledged writes");
    let notes = report["report"]["notes"].to_string().replace(',', "");
    assert!(notes.contains(&told) && notes.contains("0 are missing"), "{told}: {notes}");
    assert!(client["writes_acked"].as_u64() > Some(acked + 100), "both are counted: {client}");
    let left = bed.ctl(&bed.node(1), &["get", "--prefix", "/quorate-probe/", "--keys-only"]);
    assert_eq!(left, "", "no key of either client is left");
}

#[test]
fn t18_a_write_of_a_killed_controllers_client_that_is_gone_halts_the_run() {
    let bed = Bed::up(ROAD[1], &[]);
    killed_in_the_soak(&bed);
    let keys = bed.ctl(&bed.node(1), &["get", "--prefix", "/quorate-probe/", "--keys-only"]);
    let key = keys.lines().find(|line| !line.is_empty()).expect("its keys are there").to_owned();
    bed.ctl(&bed.node(1), &["del", &key]);
    let words = ["run", "resume", "--yes", "--break-lease", "its controller was killed"];
    bed.quorate(&words).expect(4).says(&["client-lost", "1 acknowledged writes"]);
    assert_eq!(bed.report()["client"]["writes_lost"], 1);
}
