//! What the journal of a run says of clients that moved beside each other.

use quorate_model::{Outcome, Recorded, RunEvent};
use std::collections::BTreeSet;

/// The node of a step.
pub fn node_of(step: &str) -> &str {
    step.split('.').nth(1).unwrap_or_default()
}

/// The most clients that were on their way at the same time; fails when a server shared its time with anybody.
#[track_caller]
pub fn most_on_their_way(journal: &[Recorded], is_client: impl Fn(&str) -> bool) -> usize {
    let (mut away, mut most) = (BTreeSet::new(), 0);
    for recorded in journal {
        match &recorded.event {
            RunEvent::Started { step, .. } if step.as_str().ends_with(".stop") => {
                away.insert(node_of(step.as_str()).to_owned());
            }
            RunEvent::Finished { step, outcome: Outcome::Succeeded { .. }, .. }
                if step.as_str().ends_with(".rejoin") =>
            {
                away.remove(node_of(step.as_str()));
            }
            _ => {}
        }
        assert!(
            away.len() <= 1 || away.iter().all(|node| is_client(node)),
            "a server in company: {away:?}"
        );
        most = most.max(away.iter().filter(|node| is_client(node)).count());
    }
    most
}
