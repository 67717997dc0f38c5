//! Plans, observations and measured durations.

use super::{fixture::*, over_every_store};
use jiff::ToSpan;
use quorate_model::{Digest, Ejected, Ejection, Facts};
use quorate_store::{MEASURED_KEPT, OBSERVATIONS_KEPT, Store, StoreError};

fn a_plan_is_found_by_a_unique_beginning(store: &dyn Store) {
    for digest in ["abc123", "abd456", "abd457"] {
        store.save_plan(&plan(digest)).unwrap();
    }
    assert_eq!(store.plan("abc123").unwrap(), plan("abc123"));
    assert_eq!(store.plan("abc").unwrap(), plan("abc123"));
    let error = store.plan("abd").unwrap_err();
    assert_eq!(error.to_string(), "plan `abd` is not unique, it may mean abd456 or abd457");
    assert!(error.hint().unwrap().contains("more"));
    for none in ["", "x", "abc1234", "%", "ab_"] {
        let error = store.plan(none).unwrap_err();
        assert!(matches!(error, StoreError::Missing { what: "plan", .. }), "`{none}`: {error}");
    }
}

fn a_whole_digest_wins_over_longer_ones(store: &dyn Store) {
    store.save_plan(&plan("ab")).unwrap();
    store.save_plan(&plan("abc")).unwrap();
    assert_eq!(store.plan("ab").unwrap(), plan("ab"));
}

fn one_digest_is_one_plan(store: &dyn Store) {
    store.save_plan(&plan("abc")).unwrap();
    store.save_plan(&plan("abc")).unwrap();
    let mut edited = plan("abc");
    edited.policy.max_unavailable = 3;
    let error = store.save_plan(&edited).unwrap_err();
    assert!(error.to_string().contains("edited by hand"), "{error}");
    assert_eq!(store.plan("abc").unwrap(), plan("abc"));
}

fn the_newest_observations_stay(store: &dyn Store) {
    assert_eq!(store.last_observation(&cluster()).unwrap(), None);
    let total = OBSERVATIONS_KEPT as i64 + 10;
    for second in 0..total {
        store.save_observation(&observation(at(second))).unwrap();
    }
    assert_eq!(store.last_observation(&cluster()).unwrap(), Some(observation(at(total - 1))));
    store.save_observation(&observation(at(5))).unwrap();
    assert_eq!(
        store.last_observation(&cluster()).unwrap(),
        Some(observation(at(total - 1))),
        "the newest look counts, not the last one kept"
    );
    assert_eq!(store.last_observation(&"other".into()).unwrap(), None);
}

fn fractions_of_a_second_are_in_order(store: &dyn Store) {
    let whole = observation(at(1));
    let later = observation(at(1).checked_add(500.milliseconds()).unwrap());
    store.save_observation(&later).unwrap();
    store.save_observation(&whole).unwrap();
    assert_eq!(store.last_observation(&cluster()).unwrap(), Some(later));
}

fn measures_come_newest_first(store: &dyn Store) {
    for (secs, second) in [(1.5, 10), (2.5, 30), (3.5, 20), (4.5, 20)] {
        store.save_measured("etcd", "stop", secs, at(second)).unwrap();
    }
    store.save_measured("etcd", "start", 9.0, at(0)).unwrap();
    for none in [f64::NAN, f64::INFINITY, -1.0] {
        store.save_measured("etcd", "stop", none, at(99)).unwrap();
    }
    assert_eq!(store.measured("etcd", "stop").unwrap(), [2.5, 4.5, 3.5, 1.5]);
    assert_eq!(store.measured("consul", "stop").unwrap(), [0.0; 0]);
    for second in 0..MEASURED_KEPT as i64 {
        store.save_measured("etcd", "stop", 7.0, at(100 + second)).unwrap();
    }
    assert_eq!(store.measured("etcd", "stop").unwrap(), [7.0; MEASURED_KEPT]);
}

fn who_is_out_is_kept_until_it_is_back(store: &dyn Store) {
    let out = |node: &str, reason: &str| Ejected {
        cluster: cluster(),
        node: node.into(),
        at: at(1),
        plan: Digest::new("d1"),
        ejection: Ejection { by: "anna".into(), reason: reason.into(), member: Facts::new() },
    };
    assert_eq!(store.ejected(&cluster()).unwrap(), []);
    store.save_ejected(&out("b", "its disk died")).unwrap();
    store.save_ejected(&out("a", "its host moves")).unwrap();
    store.save_ejected(&out("b", "its board died")).unwrap();
    let kept = store.ejected(&cluster()).unwrap();
    assert_eq!(kept, [out("a", "its host moves"), out("b", "its board died")]);
    assert_eq!(store.ejected(&"other".into()).unwrap(), []);
    for _ in 0..2 {
        store.forget_ejected(&cluster(), &"b".into()).unwrap();
    }
    assert_eq!(store.ejected(&cluster()).unwrap(), [out("a", "its host moves")]);
}

over_every_store!(
    who_is_out_is_kept_until_it_is_back,
    a_plan_is_found_by_a_unique_beginning,
    a_whole_digest_wins_over_longer_ones,
    one_digest_is_one_plan,
    the_newest_observations_stay,
    fractions_of_a_second_are_in_order,
    measures_come_newest_first,
);
