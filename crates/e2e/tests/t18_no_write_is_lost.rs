//! T18: 3.3 to 3.5 under load, with planned stops and leadership handed over first: no write lost, no request failed, no long gap.

use quorate_e2e::{Bed, ROAD};

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
