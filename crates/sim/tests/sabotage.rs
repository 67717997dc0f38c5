//! Every deliberately broken variant is caught, by the checker that watches what it breaks.

use quorate_sim::{Sabotage, catch, run_seed};

/// Seeds that are tried for one variant.
const SEEDS: u64 = 300;

#[track_caller]
fn caught(sabotage: Sabotage, by: &str) {
    let outcome = catch(sabotage, 0, SEEDS);
    let outcome =
        outcome.unwrap_or_else(|| panic!("{sabotage:?}: no checker saw it in {SEEDS} seeds"));
    let by_whom: Vec<_> = outcome.breaches.iter().map(|breach| breach.check).collect();
    assert!(by_whom.contains(&by), "{sabotage:?} was seen by {by_whom:?}, not by {by}\n{outcome}");
    // The same seed without the sabotage is not seen by that checker: it was the sabotage that it saw.
    let sound = run_seed(outcome.seed);
    assert!(sound.breaches.iter().all(|breach| breach.check != by), "{sound}");
}

/// One test a variant, and the proof that there is one: the match has no arm for what is not listed, so a variant whose line
/// is deleted does not compile.
macro_rules! each_is_caught {
    ($($name:ident: $variant:ident by $check:literal,)+) => {
        $(
            #[test]
            fn $name() {
                caught(Sabotage::$variant, $check);
            }
        )+

        #[test]
        fn every_variant_has_a_test() {
            let listed = |sabotage: &Sabotage| match sabotage {
                $(Sabotage::$variant => stringify!($variant),)+
            };
            let all: std::collections::BTreeSet<_> = Sabotage::ALL.iter().map(listed).collect();
            let tested = std::collections::BTreeSet::from([$(stringify!($variant)),+]);
            assert_eq!(all, tested, "what the simulator can break, and what is tested");
        }
    };
}

each_is_caught! {
    leader_first: LeaderFirst by "leader-last",
    gate_skipped: GateSkipped by "gate-held",
    quorum_off_by_one: QuorumOffByOne by "quorum",
    intent_after_act: IntentAfterAct by "intent-first",
    lease_not_checked: LeaseNotChecked by "newest-lease",
    step_repeated: StepRepeated by "once",
    digest_not_checked: DigestNotChecked by "planned-artifact",
    two_at_once: TwoAtOnce by "one-down",
    no_backup: NoBackup by "backed-up",
    share_ignored: ShareIgnored by "client-share",
    budget_ignored: BudgetIgnored by "failure-budget",
    server_among_clients: ServerAmongClients by "apart",
}
