//! Seeds hold, replay exactly, and a good day ends at the target.

use quorate_sim::{End, Scenario, Sim, run_seed, trace_seed};

#[test]
fn seeds_hold() {
    for seed in 0..300 {
        let outcome = run_seed(seed);
        assert!(outcome.holds(), "{outcome}\nreplay: {}", outcome.command());
    }
}

#[test]
fn a_seed_replays_exactly() {
    for seed in [1, 7, 23, 42] {
        let (first, second) = (trace_seed(seed, None), trace_seed(seed, None));
        assert_eq!(first, second, "seed {seed}");
        assert_eq!(first.0, run_seed(seed), "tracing changes nothing");
    }
}

#[test]
fn a_good_day_converges_in_one_run() {
    for (size, learners) in [(3, 0), (4, 1), (5, 0), (7, 1)] {
        for (from, to) in [(0, 1), (1, 2), (0, 3), (2, 4)] {
            let scenario = Scenario::calm(size, learners, from, to);
            let (outcome, trace) = Sim::new(scenario, 5, None).tracing().run(5);
            assert_eq!(
                (&outcome.end, outcome.runs),
                (&End::Converged, 1),
                "{outcome}\n{}",
                trace.join("\n")
            );
            assert!(outcome.breaches.is_empty(), "{outcome}");
        }
    }
}

#[test]
fn bad_luck_really_happens() {
    let outcomes: Vec<_> = (0..60).map(run_seed).collect();
    assert!(outcomes.iter().any(|outcome| outcome.runs > 1), "no run ever had to be planned again");
    assert!(outcomes.iter().any(|outcome| outcome.acts > 40), "no run ever did much");
    let first = &outcomes[0].acts;
    assert!(outcomes.iter().any(|outcome| outcome.acts != *first), "all seeds are alike");
}

/// T90 without its processes; real agents move in `t16_t90_clients_in_waves` of the end-to-end tests.
#[test]
fn three_hundred_clients_move_in_one_run() {
    let scenario = Scenario { clients: 300, ..Scenario::calm(3, 0, 0, 1) };
    let (outcome, trace) = Sim::new(scenario, 5, None).tracing().run(5);
    assert_eq!((&outcome.end, outcome.runs), (&End::Converged, 1), "{outcome}");
    assert!(outcome.breaches.is_empty(), "{outcome}");
    let stopped = |client: usize| {
        let stop = format!(".c{client}.stop");
        trace.iter().filter(|line| line.contains(&stop)).count()
    };
    assert!((1..=300).all(|client| stopped(client) > 0), "every client was stopped");
}
