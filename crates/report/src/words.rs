//! How quantities, moments and waits read: one wording for every renderer.

use jiff::Timestamp;
use quorate_model::{
    ClientFigures, Door, HopKind, LockFigures, LookupFigures, NodeName, PlanKind, Risk, Role,
    Severity, StepRole, WaitingOn,
};
use std::time::Duration;

use crate::report::{Health, StepState};

/// What clients saw beside writes and reads, a line each: the watch, the lock, what was looked up. `figures` are those of a whole
/// account, or of a client that still works.
pub fn beside_writes(figures: &ClientFigures) -> Vec<String> {
    let ClientFigures { lock, lookups, .. } = figures;
    let lock = lock.as_ref().map(|lock| {
        let LockFigures { taken, broken, sessions_lost, wait_max_ms } = lock;
        let held = match broken {
            0 => "never by two at once".to_owned(),
            broken => format!("{} times by two at once", count(*broken)),
        };
        format!(
            "a lock: taken {} times, {held}; longest time until somebody had it {wait_max_ms} ms, {} sessions ended early",
            count(*taken),
            count(*sessions_lost)
        )
    });
    let lookups = lookups.iter().map(|lookup| {
        let LookupFigures { name, right, wrong, failed, gap_max_ms } = lookup;
        format!(
            "looked up over {name}: {} right, {} wrong, {} not answered; longest time without a right answer {gap_max_ms} ms",
            count(*right),
            count(*wrong),
            count(*failed)
        )
    });
    lock.into_iter().chain(lookups).collect()
}

/// Whether clients did not get what they were promised: an acknowledged write is gone, or a lock had two holders.
pub fn is_broken(figures: &ClientFigures) -> bool {
    figures.writes_lost > 0 || figures.lock.as_ref().is_some_and(|lock| lock.broken > 0)
}

/// A duration as a person says it: `320 ms`, `4.2 s`, `1 min 05 s`, `2 h 05 min`.
pub fn duration(value: Duration) -> String {
    let millis = value.as_millis();
    let secs = (millis + 500) / 1000;
    match millis {
        0 => "0 s".to_owned(),
        1..=999 => format!("{millis} ms"),
        1000..=9949 => format!("{:.1} s", value.as_secs_f64()),
        _ if secs < 60 => format!("{secs} s"),
        _ if secs < 3600 => format!("{} min {:02} s", secs / 60, secs % 60),
        _ => format!("{} h {:02} min", secs / 3600, secs % 3600 / 60),
    }
}

/// A position in a run: `0:42`, `12:05`, `1:02:05`.
pub fn offset(value: Duration) -> String {
    let secs = value.as_secs();
    if secs < 3600 {
        format!("{}:{:02}", secs / 60, secs % 60)
    } else {
        format!("{}:{:02}:{:02}", secs / 3600, secs % 3600 / 60, secs % 60)
    }
}

/// Microseconds as a latency: `850 µs`, `1.2 ms`, `1.4 s`.
pub fn micros(value: u64) -> String {
    match value {
        0..=999 => format!("{value} µs"),
        1000..=9_949 => format!("{:.1} ms", f64_of(value) / 1000.0),
        9_950..=999_499 => format!("{:.0} ms", f64_of(value) / 1000.0),
        _ => format!("{:.1} s", f64_of(value) / 1_000_000.0),
    }
}

/// A count with its thousands apart: `12,480`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A size: `512 B`, `20.5 KiB`, `1.2 GiB`.
pub fn bytes(value: u64) -> String {
    let mut scaled = f64_of(value);
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if scaled < 1024.0 {
            break;
        }
        scaled /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{value} B") } else { format!("{scaled:.1} {unit}") }
}

/// A number for drawing; past 2^53 the last digits no longer matter to a picture.
#[expect(clippy::as_conversions, reason = "no lossless conversion exists and a picture needs none")]
pub(crate) fn f64_of(value: u64) -> f64 {
    value as f64
}

/// A moment of a day: `10:04:12`, in UTC.
pub fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

/// A moment: `2026-03-02 10:04:12 UTC`.
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// What a step waits for, after the words "waits for".
pub fn waiting(on: &WaitingOn) -> String {
    let who = |node: &Option<NodeName>| node.as_ref().map_or(String::new(), |n| format!("{n}: "));
    match on {
        WaitingOn::CatchUp { node, lag } => {
            format!("{node} to catch up, {} entries behind", count(*lag))
        }
        WaitingOn::Healthy { node } => format!("{node} to serve"),
        WaitingOn::Leader => "a leader".to_owned(),
        WaitingOn::HopComplete { seen: Some(seen), want } => {
            format!("the cluster to take {want} as its own, it says {seen}")
        }
        WaitingOn::HopComplete { seen: None, want } => {
            format!("the cluster to take {want} as its own")
        }
        WaitingOn::Condition { node, text, .. } => format!("{}{text}", who(node)),
        WaitingOn::Soak { node, left_secs } => {
            format!(
                "{}{} more of healthy time",
                who(node),
                duration(Duration::from_secs(*left_secs))
            )
        }
        WaitingOn::Unseen { node, what } => format!("{}an answer about {what}", who(node)),
    }
}

/// A role as the product says it.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Learner => "learner",
        Role::Candidate => "candidate",
        Role::Client => "client",
        Role::Unknown => "unknown",
    }
}

/// How bad a finding is, as it is printed.
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// Health in a word or two.
pub fn health(health: Health) -> &'static str {
    match health {
        Health::Serving => "serving",
        Health::Stopped => "stopped",
        Health::NotServing => "not serving",
        Health::Unseen => "unseen",
    }
}

/// A step's state in a word or two.
pub fn step_state(state: &StepState) -> &'static str {
    match state {
        StepState::Pending => "pending",
        StepState::AwaitingApproval => "needs a yes",
        StepState::Running => "running",
        StepState::Gating => "at its gate",
        StepState::Waiting { .. } => "waiting",
        StepState::Done { .. } => "done",
        StepState::Skipped { .. } => "skipped",
        StepState::Failed { .. } => "failed",
        StepState::Unknown { .. } => "unknown",
    }
}

/// What there is to say of a step beside its state.
pub fn step_remark(state: &StepState) -> Option<String> {
    match state {
        StepState::Pending | StepState::AwaitingApproval => None,
        StepState::Running | StepState::Gating => None,
        StepState::Waiting { on } => Some(format!("for {}", waiting(on))),
        StepState::Done { note } => note.clone(),
        StepState::Skipped { because } | StepState::Failed { because } => Some(because.clone()),
        StepState::Unknown { because } => Some(because.clone()),
    }
}

/// A step's role, as the wire writes it.
pub fn step_role(role: StepRole) -> &'static str {
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
        StepRole::HopComplete => "hop-complete",
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

/// A plan's kind, as a title begins with it.
pub fn plan_kind(kind: PlanKind) -> &'static str {
    match kind {
        PlanKind::Upgrade => "Upgrade",
        PlanKind::RollbackBinaries => "Rollback of binaries",
        PlanKind::RollbackRestore => "Rollback from a backup",
        PlanKind::Eject => "A member taken out",
        PlanKind::Rejoin => "A member brought back",
        PlanKind::Restart => "Restart",
        PlanKind::Recover => "Recovery of members that differ",
    }
}

/// How a hop moves.
pub fn hop_kind(kind: HopKind) -> &'static str {
    match kind {
        HopKind::Rolling => "rolling",
        HopKind::FullStop => "full stop",
        HopKind::Offline => "offline",
    }
}

/// How likely a hop is to hurt.
pub fn risk(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Med => "medium",
        Risk::High => "high",
    }
}

/// Where the way back closes.
pub fn door(door: Door) -> &'static str {
    match door {
        Door::None => "the way back stays open",
        Door::LastMember => "the way back closes with the last member",
        Door::Now => "the way back closes with the first change",
        Door::Finalize => "the way back closes when it is finalized",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        let said = |millis| duration(Duration::from_millis(millis));
        let cases = [0, 320, 999, 1000, 4249, 9_960, 59_400, 59_700, 65_000, 7_500_000].map(said);
        insta::assert_snapshot!(cases.join(" | "), @"0 s | 320 ms | 999 ms | 1.0 s | 4.2 s | 10 s | 59 s | 1 min 00 s | 1 min 05 s | 2 h 05 min");
    }

    #[test]
    fn quantities_read_as_people_say_them() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([12, 20_480].map(bytes), ["12 B", "20.0 KiB"]);
        assert_eq!(
            [850, 1_200, 45_300, 1_400_000].map(micros),
            ["850 µs", "1.2 ms", "45 ms", "1.4 s"]
        );
    }
}
