//! One holder a cluster, and a counter that never goes back.

use super::{fixture::*, over_every_store};
use quorate_model::{ClusterName, Generation};
use quorate_store::{Store, StoreError};

fn a_held_lease_names_its_holder(store: &dyn Store) {
    let lease =
        store.take_lease(&cluster(), &run(), &holder("anna@control-1"), at(0), TTL, false).unwrap();
    assert_eq!(
        (lease.generation, lease.taken_at, lease.expires_at),
        (Generation(1), at(0), at(30))
    );
    assert_eq!(store.lease(&cluster()).unwrap(), Some(lease.clone()));
    let error =
        store.take_lease(&cluster(), &"r2".into(), &holder("ben"), at(29), TTL, false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cluster demo is held by anna@control-1 (process 7) for run r1 since 1970-01-01T00:00:00Z, until 1970-01-01T00:00:30Z"
    );
    assert!(error.hint().unwrap().contains("run watch r1"));
    assert_eq!(store.lease(&cluster()).unwrap(), Some(lease), "a refused taker changes nothing");
}

fn clusters_do_not_share_leases(store: &dyn Store) {
    begun(store);
    let other = ClusterName::new("other");
    assert_eq!(store.lease(&other).unwrap(), None);
    let lease = store.take_lease(&other, &"r2".into(), &holder("ben"), at(0), TTL, false).unwrap();
    assert_eq!(lease.generation, Generation(1));
}

fn an_expired_lease_is_taken_over_with_the_next_generation(store: &dyn Store) {
    let old = begun(store);
    let new = store
        .take_lease(&cluster(), &"r2".into(), &holder("ben"), old.expires_at, TTL, false)
        .unwrap();
    assert_eq!(new.generation, Generation(2));
    assert_eq!(store.lease(&cluster()).unwrap().unwrap().holder, holder("ben"));
    for error in
        [store.renew_lease(&old, at(31), TTL).unwrap_err(), store.release_lease(&old).unwrap_err()]
    {
        assert!(
            matches!(error, StoreError::Fenced { own: Generation(1), newest: Generation(2), .. }),
            "{error}"
        );
    }
    assert_eq!(store.lease(&cluster()).unwrap(), Some(new), "the fenced one changes nothing");
}

fn a_held_lease_is_broken_only_when_asked(store: &dyn Store) {
    begun(store);
    let new = store.take_lease(&cluster(), &run(), &holder("ben"), at(1), TTL, true).unwrap();
    assert_eq!((new.generation, new.holder), (Generation(2), holder("ben")));
}

fn renewing_prolongs_and_keeps_the_generation(store: &dyn Store) {
    let lease = begun(store);
    let longer = store.renew_lease(&lease, at(20), TTL).unwrap();
    assert_eq!(
        (longer.generation, longer.taken_at, longer.expires_at),
        (Generation(1), at(0), at(50))
    );
    assert_eq!(store.lease(&cluster()).unwrap(), Some(longer.clone()));
    assert!(store.take_lease(&cluster(), &run(), &holder("ben"), at(49), TTL, false).is_err());
    let late = store.renew_lease(&longer, at(100), TTL).unwrap();
    assert_eq!(late.expires_at, at(130), "nobody took it meanwhile, so it is prolonged");
}

fn the_generation_survives_a_release(store: &dyn Store) {
    let lease = begun(store);
    store.release_lease(&lease).unwrap();
    assert_eq!(store.lease(&cluster()).unwrap(), None);
    store.release_lease(&lease).unwrap();
    assert!(matches!(store.renew_lease(&lease, at(1), TTL), Err(StoreError::NotHeld { .. })));
    let next = store.take_lease(&cluster(), &run(), &holder("anna"), at(1), TTL, false).unwrap();
    assert_eq!(next.generation, Generation(2));
    assert!(matches!(store.release_lease(&lease), Err(StoreError::Fenced { .. })));
}

over_every_store!(
    a_held_lease_names_its_holder,
    clusters_do_not_share_leases,
    an_expired_lease_is_taken_over_with_the_next_generation,
    a_held_lease_is_broken_only_when_asked,
    renewing_prolongs_and_keeps_the_generation,
    the_generation_survives_a_release,
);
