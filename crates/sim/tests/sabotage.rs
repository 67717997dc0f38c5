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

#[test]
fn leader_first() {
    caught(Sabotage::LeaderFirst, "leader-last");
}

#[test]
fn gate_skipped() {
    caught(Sabotage::GateSkipped, "gate-held");
}

#[test]
fn quorum_off_by_one() {
    caught(Sabotage::QuorumOffByOne, "quorum");
}

#[test]
fn intent_after_act() {
    caught(Sabotage::IntentAfterAct, "intent-first");
}

#[test]
fn lease_not_checked() {
    caught(Sabotage::LeaseNotChecked, "newest-lease");
}

#[test]
fn step_repeated() {
    caught(Sabotage::StepRepeated, "once");
}

#[test]
fn digest_not_checked() {
    caught(Sabotage::DigestNotChecked, "planned-artifact");
}

#[test]
fn two_at_once() {
    caught(Sabotage::TwoAtOnce, "one-down");
}

#[test]
fn no_backup() {
    caught(Sabotage::NoBackup, "backed-up");
}

#[test]
fn every_variant_has_a_test() {
    assert_eq!(Sabotage::ALL.len(), 9, "a new variant needs a test above");
}
