//! Says how long a step will take: measured before, else the pack's word, else a default with its reason.

use quorate_model::StepRole;
use quorate_packs::Pack;
use std::{collections::BTreeMap, time::Duration};

/// Seconds that steps took before, by the name of their role (`stop`, `rejoin`, `backup`).
pub type Measured = BTreeMap<String, f64>;

/// Longer than any step is let run: an estimate beyond a day is a mistake in the pack or the store.
const ESTIMATE_MAX_SECS: f64 = 86_400.0;

/// The name under which a role's seconds are measured, stored and written in packs.
pub fn role_name(role: StepRole) -> &'static str {
    match role {
        StepRole::Precheck => "precheck",
        StepRole::Stage => "stage",
        StepRole::Backup => "backup",
        StepRole::Verify => "verify",
        StepRole::Go => "go",
        StepRole::Cure => "cure",
        StepRole::TempSet => "temp-set",
        StepRole::TempPutBack => "temp-put-back",
        StepRole::Handover => "handover",
        StepRole::Stop => "stop",
        StepRole::Swap => "swap",
        StepRole::Start => "start",
        StepRole::Rejoin => "rejoin",
        StepRole::Soak => "soak",
        StepRole::HopComplete => "complete",
        StepRole::Finalize => "finalize",
        StepRole::Restore => "restore",
        StepRole::Membership => "membership",
        StepRole::SetAside => "set-aside",
        StepRole::List => "list",
        StepRole::DependantStop => "dependant-stop",
        StepRole::DependantSwitch => "dependant-switch",
        StepRole::DependantStart => "dependant-start",
    }
}

/// Expected time of a step with this role, gate included, soak excluded.
pub fn expected(role: StepRole, pack: &Pack, measured: &Measured) -> Duration {
    let name = role_name(role);
    let secs = measured
        .get(name)
        .or_else(|| pack.recipes.estimates_secs.get(name))
        .copied()
        .filter(|secs| secs.is_finite() && *secs >= 0.0)
        .unwrap_or_else(|| default_secs(role));
    Duration::from_secs_f64(secs.min(ESTIMATE_MAX_SECS))
}

/// Defaults until something was measured; small members on a local disk.
fn default_secs(role: StepRole) -> f64 {
    match role {
        // A person's answer is not the machine's time.
        StepRole::Go | StepRole::Soak => 0.0,
        // Three looks half a second apart.
        StepRole::Precheck => 1.5,
        // A copy of some fifty megabytes and its digest.
        StepRole::Stage => 2.0,
        // A rename on the same disk.
        StepRole::Swap => 0.5,
        // A polite stop flushes and leaves; leadership moves in one round trip.
        StepRole::Stop | StepRole::Handover => 1.0,
        // A process and its first answer.
        StepRole::Start => 1.0,
        // Replay of a log, an election's silence, three good looks.
        StepRole::Rejoin => 5.0,
        // Small data; a large store has been measured before it matters.
        StepRole::Backup | StepRole::Verify | StepRole::Restore => 5.0,
        // etcd lets nobody in until everybody has been connected for five seconds.
        StepRole::Membership => 5.0,
        // A rename; a line in the state.
        StepRole::SetAside | StepRole::List => 0.5,
        // An application that finishes what it has begun; one that starts and answers.
        StepRole::DependantStop | StepRole::DependantStart => 5.0,
        // A line of a file.
        StepRole::DependantSwitch => 1.0,
        // Products look at each other's releases every few seconds.
        StepRole::HopComplete => 6.0,
        // One request.
        StepRole::Cure | StepRole::TempSet | StepRole::TempPutBack | StepRole::Finalize => 1.0,
    }
}
