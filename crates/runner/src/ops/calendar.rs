//! Whether the calendar of the policy lets a run begin now, and what a person is told when it does not.
//!
//! Freeze windows, maintenance windows and the time that a run needs are one question with one override. Its reason lands in the
//! journal.

use super::run::CarryOptions;
use crate::problem::{FROZEN, Problem};
use jiff::Timestamp;
use quorate_inventory::calendar::{Calendar, Closed};
use quorate_model::Plan;
use quorate_report::words::duration;
use std::time::Duration;

/// Whether the policy lets a run of this plan begin now; notes for its journal when a person has set the calendar aside.
pub fn may_begin(
    plan: &Plan,
    options: &CarryOptions,
    now: Timestamp,
) -> Result<Vec<String>, Problem> {
    let calendar = Calendar::of(&plan.policy);
    let needs = needs(plan);
    let Err(closed) = calendar.may_begin(needs, now) else { return Ok(Vec::new()) };
    let why_not = text(&closed);
    if let Some(reason) = &options.override_freeze {
        return Ok(vec![format!("begun although {why_not}: {reason}")]);
    }
    let mut problem = Problem::new(FROZEN, why_not);
    if !plan.outage.is_zero() {
        let outage = duration(plan.outage);
        problem = problem.because(format!("the plan stops the cluster for about {outage}"));
    }
    let next = match calendar.next_stretch(needs, now) {
        None => {
            format!("no time of the week holds a run of about {}: widen a window", duration(needs))
        }
        Some(next) => {
            let until = next.until.map_or(String::new(), |until| format!(" and ends at {until}"));
            format!(
                "the next time that holds a run of about {} begins at {}{until}",
                duration(needs),
                next.from
            )
        }
    };
    Err(problem
        .hint(next)
        .hint("wait until then, or say why it must be now with `--override-freeze REASON`"))
}

/// What a plan needs of a window: its whole estimate. An outage is part of it, and never counts for less than it is: in a plan
/// file that came from elsewhere the two need not agree.
fn needs(plan: &Plan) -> Duration {
    plan.estimate.max(plan.outage)
}

fn text(closed: &Closed) -> String {
    match closed {
        Closed::Frozen { window, until: Some(until) } => {
            format!("freeze window `{window}` is open until {until}")
        }
        Closed::Frozen { window, until: None } => {
            format!("freeze window `{window}` cannot be read, so it counts as open")
        }
        Closed::Outside { windows } => {
            let windows: Vec<String> = windows.iter().map(|window| format!("`{window}`")).collect();
            format!("no maintenance window is open: {}", windows.join(", "))
        }
        Closed::TooShort { needs, left, until, freeze } => {
            let ends = match freeze {
                Some(freeze) => format!("freeze window `{freeze}` opens"),
                None => "the maintenance window closes".to_owned(),
            };
            format!(
                "the run takes about {}, and {} are left until {ends} at {until}",
                duration(*needs),
                duration(*left)
            )
        }
    }
}
