//! Applications that live by a cluster stand still while its data are exchanged.

use crate::hop::{HopPlan, seen_on_host};
use quorate_model::{
    Action, Condition, DEPENDANTS_STOPPED, Dependant, HostAct, Runs, StepRole, Undo, Wave,
};

/// Stops every application whose handling is declared, on each of its hosts.
pub(crate) fn stop(plan: &HopPlan<'_, '_>) -> Option<Wave> {
    wave(plan, StepRole::DependantStop)
}

/// Starts them again.
pub(crate) fn start(plan: &HopPlan<'_, '_>) -> Option<Wave> {
    wave(plan, StepRole::DependantStart)
}

/// Lets every application that needs it speak to the cluster in the way that is left.
pub(crate) fn switch(plan: &HopPlan<'_, '_>) -> Option<Wave> {
    switched(plan, "applications-switch", |runs| runs.switch.as_ref())
}

/// Lets them speak to it as before.
pub(crate) fn switch_back(plan: &HopPlan<'_, '_>) -> Option<Wave> {
    switched(plan, "applications-switch-back", |runs| runs.switch_back.as_ref())
}

fn switched(
    plan: &HopPlan<'_, '_>,
    name: &str,
    of: impl Fn(&Runs) -> Option<&HostAct>,
) -> Option<Wave> {
    let mut steps = Vec::new();
    for (one, runs) in handled(plan) {
        let Some(act) = of(runs) else { continue };
        for (nth, host) in runs.hosts.iter().enumerate() {
            let id = plan.id(name, &format!("{}-{}", one.name, nth + 1));
            let title = format!("switch {} on {host}", one.name);
            let mut step = plan.look(id, title, StepRole::DependantSwitch);
            step.limit = act.limit + LAST_LOOK;
            let (dependant, host, act) = (one.name.clone(), host.clone(), act.clone());
            step.action = Action::Switch { dependant, host, act };
            step.undo = Undo::ByPlan { text: "`quorate rollback` switches it back".into() };
            steps.push(step);
        }
    }
    let title = "applications are told where their data are".to_owned();
    (!steps.is_empty()).then(|| plan.wave(name, title, None, steps))
}

/// Asked before anybody stops; none where no application is handled.
pub(crate) fn stand_still(plan: &HopPlan<'_, '_>) -> Option<Condition> {
    handled(plan).next()?;
    Some(seen_on_host(DEPENDANTS_STOPPED, "no application has come back by itself".into()))
}

fn handled<'p>(plan: &HopPlan<'p, '_>) -> impl Iterator<Item = (&'p Dependant, &'p Runs)> {
    plan.words.cluster.dependants.iter().filter_map(|one| Some((one, one.runs.as_ref()?)))
}

fn wave(plan: &HopPlan<'_, '_>, role: StepRole) -> Option<Wave> {
    let starts = role == StepRole::DependantStart;
    let name = if starts { "applications-start" } else { "applications-stop" };
    let mut steps = Vec::new();
    for (one, runs) in handled(plan) {
        for (nth, host) in runs.hosts.iter().enumerate() {
            let key = format!("{} on {host} stands still", one.name);
            let (verb, act) = if starts { ("start", &runs.start) } else { ("stop", &runs.stop) };
            let title = format!("{verb} {} on {host}", one.name);
            let id = plan.id(name, &format!("{}-{}", one.name, nth + 1));
            let mut step = plan.look(id, title, role);
            // Its line, and the last look after it.
            step.limit = act.limit + LAST_LOOK;
            if starts {
                step.action = Action::TempPutBack { key };
            } else {
                step.action = Action::StandStill {
                    key,
                    dependant: one.name.clone(),
                    host: host.clone(),
                    stop: runs.stop.clone(),
                    start: runs.start.clone(),
                };
                // No probe: one that happens to be down may be about to come back, and only its own line keeps it from that.
                step.undo = Undo::Ledger;
            }
            steps.push(step);
        }
    }
    if !starts {
        // Whoever was started last is stopped first.
        steps.reverse();
    }
    let title = match starts {
        true => "applications start again",
        false => "applications stand still",
    };
    (!steps.is_empty()).then(|| plan.wave(name, title.to_owned(), None, steps))
}

/// A look at an application may take ten seconds.
const LAST_LOOK: std::time::Duration = std::time::Duration::from_secs(15);
