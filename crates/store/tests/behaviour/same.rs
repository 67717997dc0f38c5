//! Any sequence of calls gets the same answers from every store.

use super::fixture::*;
use proptest::prelude::*;
use quorate_model::{Digest, Lease, Seq};
use quorate_store::{MemoryStore, SqliteStore, Store};

/// One call; numbers choose among few runs, holders, leases and sequences so that calls meet.
#[derive(Debug, Clone)]
enum Call {
    Create { run: u8 },
    Append { run: u8, lease: Option<u8>, expected: u8, person: bool },
    Take { cluster: u8, run: u8, holder: u8, later: u8, break_held: bool },
    Renew { lease: u8, later: u8 },
    Release { lease: u8 },
    Look { run: u8, after: u8 },
}

fn call() -> impl Strategy<Value = Call> {
    let run = 0..3u8;
    let lease = 0..6u8;
    prop_oneof![
        1 => run.clone().prop_map(|run| Call::Create { run }),
        6 => (run.clone(), prop::option::weighted(0.8, lease.clone()), 0..6u8, any::<bool>())
            .prop_map(|(run, lease, expected, person)| Call::Append { run, lease, expected, person }),
        3 => (0..2u8, run.clone(), 0..2u8, 0..60u8, prop::bool::weighted(0.2)).prop_map(
            |(cluster, run, holder, later, break_held)| Call::Take { cluster, run, holder, later, break_held }
        ),
        2 => (lease.clone(), 0..60u8).prop_map(|(lease, later)| Call::Renew { lease, later }),
        1 => lease.prop_map(|lease| Call::Release { lease }),
        1 => (run, 0..4u8).prop_map(|(run, after)| Call::Look { run, after }),
    ]
}

/// Runs the calls and writes down every answer.
fn told(store: &dyn Store, calls: &[Call]) -> Vec<String> {
    let mut leases: Vec<Lease> = Vec::new();
    let mut now = 0;
    let nth = |leases: &[Lease], number: u8| leases.get(usize::from(number)).cloned();
    calls
        .iter()
        .map(|call| match call {
            Call::Create { run } => {
                let cluster = format!("c{}", run % 2).into();
                format!(
                    "{:?}",
                    store.create_run(
                        &format!("r{run}").into(),
                        &cluster,
                        &Digest::new("d"),
                        at(now)
                    )
                )
            }
            Call::Append { run, lease, expected, person } => {
                let lease = lease.and_then(|number| nth(&leases, number));
                let event = if *person { note("n") } else { started("s") };
                let run = format!("r{run}").into();
                format!(
                    "{:?}",
                    store.append(
                        &run,
                        lease.as_ref(),
                        Seq(u64::from(*expected)),
                        at(now),
                        &[event]
                    )
                )
            }
            Call::Take { cluster, run, holder: who, later, break_held } => {
                now += i64::from(*later);
                let (cluster, run) = (format!("c{cluster}").into(), format!("r{run}").into());
                let who = holder(&format!("h{who}"));
                let taken = store.take_lease(&cluster, &run, &who, at(now), TTL, *break_held);
                let said = format!("{taken:?}");
                leases.extend(taken.ok());
                said
            }
            Call::Renew { lease, later } => {
                now += i64::from(*later);
                nth(&leases, *lease).map_or_else(String::new, |lease| {
                    format!("{:?}", store.renew_lease(&lease, at(now), TTL))
                })
            }
            Call::Release { lease } => nth(&leases, *lease)
                .map_or_else(String::new, |lease| format!("{:?}", store.release_lease(&lease))),
            Call::Look { run, after } => {
                let journal = store.journal(&format!("r{run}").into(), Seq(u64::from(*after)));
                format!("{journal:?} {:?} {:?}", store.runs(), store.lease(&"c0".into()))
            }
        })
        .collect()
}

proptest! {
    // Every call of the file store waits for the disk; these cases take seconds, and each has up to forty calls.
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_store_gives_the_same_answers(calls in prop::collection::vec(call(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let file = SqliteStore::open(&folder.path().join("state.db")).unwrap();
        prop_assert_eq!(told(&MemoryStore::new(), &calls), told(&file, &calls));
    }
}
