//! The decisions that every store shares: who may append what, who gets the lease. Pure, so that stores cannot differ.
//!
//! Invariant: the fence is looked at before the sequence; an old controller learns that it is old, not that it is late.

use crate::StoreError;
use jiff::{SignedDuration, Timestamp};
use quorate_model::{ClusterName, Generation, Holder, Lease, RunEvent, RunId, Seq};
use std::time::Duration;

/// What is known of a cluster's lease: the counter survives, the lease comes and goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LeaseSlot {
    pub(crate) generation: Generation,
    pub(crate) held: Option<Lease>,
}

/// Whether a person writes this event, from any terminal and without the lease. A controller learns of it from the journal.
pub fn is_operator_event(event: &RunEvent) -> bool {
    matches!(
        event,
        RunEvent::PauseRequested { .. }
            | RunEvent::AbortRequested { .. }
            | RunEvent::Approved { .. }
            | RunEvent::Note { .. }
    )
}

/// The name under which an event stands in the journal.
pub fn event_name(event: &RunEvent) -> &'static str {
    match event {
        RunEvent::Began { .. } => "began",
        RunEvent::Resumed { .. } => "resumed",
        RunEvent::WorldSeen { .. } => "world-seen",
        RunEvent::Started { .. } => "started",
        RunEvent::Acted { .. } => "acted",
        RunEvent::DoneProbed { .. } => "done-probed",
        RunEvent::Waiting { .. } => "waiting",
        RunEvent::Finished { .. } => "finished",
        RunEvent::Overridden { .. } => "overridden",
        RunEvent::TempSet { .. } => "temp-set",
        RunEvent::PutBack { .. } => "put-back",
        RunEvent::BackedUp { .. } => "backed-up",
        RunEvent::AskedApproval { .. } => "asked-approval",
        RunEvent::Approved { .. } => "approved",
        RunEvent::PauseRequested { .. } => "pause-requested",
        RunEvent::Paused { .. } => "paused",
        RunEvent::AbortRequested { .. } => "abort-requested",
        RunEvent::Note { .. } => "note",
        RunEvent::MemberSeen { .. } => "member-seen",
        RunEvent::Client { .. } => "client",
        RunEvent::ClientGap { .. } => "client-gap",
        RunEvent::Baseline { .. } => "baseline",
        RunEvent::ClientFigures { .. } => "client-figures",
        RunEvent::Floor { .. } => "floor",
        RunEvent::LeftBehind { .. } => "left-behind",
        RunEvent::Retried { .. } => "retried",
        RunEvent::Halted { .. } => "halted",
        RunEvent::Aborted { .. } => "aborted",
        RunEvent::Succeeded => "succeeded",
    }
}

/// An append, as the store sees it inside its transaction.
pub(crate) struct Append<'a> {
    pub(crate) run: &'a RunId,
    pub(crate) cluster: &'a ClusterName,
    pub(crate) lease: Option<&'a Lease>,
    pub(crate) expected: Seq,
    pub(crate) actual: Seq,
    pub(crate) events: &'a [RunEvent],
}

/// Whether the append may happen.
pub(crate) fn may_append(append: &Append<'_>, slot: &LeaseSlot) -> Result<(), StoreError> {
    let Append { run, cluster, lease, expected, actual, events } = append;
    match lease {
        Some(lease) if lease.cluster != **cluster || lease.run != **run => {
            return Err(StoreError::NotHeld { cluster: (*cluster).clone(), run: (*run).clone() });
        }
        Some(lease) => may_act(lease, slot)?,
        None => {
            if let Some(event) = events.iter().find(|event| !is_operator_event(event)) {
                return Err(StoreError::NeedsLease {
                    cluster: (*cluster).clone(),
                    run: (*run).clone(),
                    event: event_name(event),
                });
            }
        }
    }
    if expected == actual {
        Ok(())
    } else {
        Err(StoreError::Conflict { run: (*run).clone(), expected: *expected, actual: *actual })
    }
}

/// Whether this lease is the newest and still held. Its end does not matter here: until somebody else takes it, nobody else acts.
pub(crate) fn may_act(lease: &Lease, slot: &LeaseSlot) -> Result<(), StoreError> {
    if lease.generation != slot.generation {
        return Err(StoreError::Fenced {
            cluster: lease.cluster.clone(),
            own: lease.generation,
            newest: slot.generation,
        });
    }
    match &slot.held {
        Some(held) if held.run == lease.run && held.holder == lease.holder => Ok(()),
        Some(_) | None => {
            Err(StoreError::NotHeld { cluster: lease.cluster.clone(), run: lease.run.clone() })
        }
    }
}

/// Who asks for a lease, and how.
pub(crate) struct Take<'a> {
    pub(crate) cluster: &'a ClusterName,
    pub(crate) run: &'a RunId,
    pub(crate) holder: &'a Holder,
    pub(crate) now: Timestamp,
    pub(crate) ttl: Duration,
    pub(crate) break_held: bool,
}

/// The lease that is given, or who holds it.
pub(crate) fn taken(take: &Take<'_>, slot: &LeaseSlot) -> Result<Lease, StoreError> {
    let Take { cluster, run, holder, now, ttl, break_held } = take;
    if let Some(held) = &slot.held
        && held.expires_at > *now
        && !break_held
    {
        return Err(StoreError::Held(Box::new(held.clone())));
    }
    Ok(Lease {
        cluster: (*cluster).clone(),
        run: (*run).clone(),
        holder: (*holder).clone(),
        generation: slot.generation.next(),
        taken_at: *now,
        expires_at: end(*now, *ttl),
    })
}

/// The lease with a later end.
pub(crate) fn renewed(
    lease: &Lease,
    slot: &LeaseSlot,
    now: Timestamp,
    ttl: Duration,
) -> Result<Lease, StoreError> {
    may_act(lease, slot)?;
    Ok(Lease { expires_at: end(now, ttl), ..lease.clone() })
}

/// Whether there is something to give back; a lease already given back needs nothing.
pub(crate) fn must_release(lease: &Lease, slot: &LeaseSlot) -> Result<bool, StoreError> {
    match may_act(lease, slot) {
        Ok(()) => Ok(true),
        Err(StoreError::NotHeld { .. }) if slot.held.is_none() => Ok(false),
        Err(error) => Err(error),
    }
}

fn end(now: Timestamp, ttl: Duration) -> Timestamp {
    let ttl = SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX);
    now.checked_add(ttl).unwrap_or(Timestamp::MAX)
}

/// Whether a number of seconds can be a duration.
pub(crate) fn is_duration(secs: f64) -> bool {
    secs.is_finite() && secs >= 0.0
}

/// Those of `digests` that a person can mean by `asked`: itself, or everything that begins with it.
pub(crate) fn plan_meant(asked: &str, mut matches: Vec<String>) -> Result<String, StoreError> {
    if matches.iter().any(|digest| digest == asked) {
        return Ok(asked.to_owned());
    }
    let name = asked.to_owned();
    match matches.len() {
        // An empty text begins everything and means nothing.
        1 if !asked.is_empty() => Ok(matches.remove(0)),
        0 | 1 => Err(StoreError::Missing { what: "plan", name }),
        _ if asked.is_empty() => Err(StoreError::Missing { what: "plan", name }),
        _ => Err(StoreError::Ambiguous { what: "plan", name, matches }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_on_the_wire() {
        let events = [
            RunEvent::Succeeded,
            RunEvent::PutBack { key: "k".into() },
            RunEvent::WorldSeen { differs: Vec::new() },
            RunEvent::PauseRequested { by: "a".into(), reason: "r".into() },
            RunEvent::AskedApproval { step: "s".into(), text: "t".into() },
            RunEvent::Note { by: "a".into(), text: "t".into() },
        ];
        for event in events {
            let wire = serde_json::to_value(&event).unwrap();
            assert_eq!(wire["event"], event_name(&event));
        }
    }

    #[test]
    fn an_endless_lease_ends_with_time_itself() {
        assert_eq!(end(Timestamp::UNIX_EPOCH, Duration::MAX), Timestamp::MAX);
    }
}
