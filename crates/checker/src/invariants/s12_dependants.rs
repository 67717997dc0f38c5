//! S12: where data are exchanged, every application whose handling is declared stands still meanwhile.
//!
//! It is stopped on each of its hosts before the copy is taken and before anybody stops, nobody stops without a look whether it
//! has come back, and it is started once the data that run were proved.

use super::{Invariant, Violation};
use crate::{
    walk::{Visit, Watch, steps_of},
    world::World,
};
use quorate_model::{
    Action, Backup, DEPENDANTS_STOPPED, DependantName, Hop, Host, Plan, Step, StepRole,
};

/// Knows where applications stand still.
#[derive(Default)]
pub(crate) struct Dependants<'p> {
    /// By the key of the temporary change that their start is owed for; that it is put back is S9's.
    stopped: Vec<(&'p String, &'p DependantName, &'p Host)>,
    /// Data were put back, and nobody has compared them yet.
    unproved: bool,
    /// The data have changed their form; whoever is switched in this hop was, on these hosts.
    converts: bool,
    switched: Vec<(&'p DependantName, &'p Host)>,
}

/// Every place of an application that is handled.
fn places(plan: &Plan) -> impl Iterator<Item = (&DependantName, &Host)> {
    plan.dependants.iter().flat_map(|one| {
        let hosts = one.runs.iter().flat_map(|runs| &runs.hosts);
        hosts.map(|host| (&one.name, host))
    })
}

impl<'p> Watch<'p> for Dependants<'p> {
    fn hop_begins(
        &mut self,
        plan: &'p Plan,
        index: usize,
        _world: &World<'p>,
        _found: &mut Vec<Violation>,
    ) {
        let hop = &plan.hops[index];
        let brings_back = |step: &Step| matches!(step.action, Action::BringBack { .. });
        self.converts = hop.conversion.is_some() || steps_of(hop).any(brings_back);
        self.switched.clear();
    }

    fn step(&mut self, at: &Visit<'p>, _world: &World<'p>, found: &mut Vec<Violation>) {
        if !at.exchanges_data() {
            return;
        }
        let mut broken = |text| found.push(Violation::error(Invariant::S12, at.id(), text));
        let stands =
            |(name, host)| self.stopped.iter().any(|(_, own, at)| *own == name && *at == host);
        let runs = || places(at.plan).find(|place| !stands(*place));
        match &at.step.action {
            Action::Stop { node } => {
                if let Some((name, host)) = runs() {
                    broken(format!("{node} stops while {name} still runs on {host}"));
                } else if places(at.plan).next().is_some() && !looks_again(at.step) {
                    broken(format!(
                        "{node} stops, and nobody looks whether an application came back"
                    ));
                }
            }
            // A copy that is only there for the way back may be taken while they write.
            Action::Backup { backup } if put_on_members(at.hop, backup) => {
                if let Some((name, host)) = runs() {
                    broken(format!("the copy is taken while {name} still writes from {host}"));
                }
            }
            Action::Switch { dependant, host, .. } => {
                if runs().is_some_and(|(name, at)| name == dependant && at == host) {
                    broken(format!("{dependant} is switched on {host} while it runs there"));
                }
                self.switched.push((dependant, host));
            }
            Action::Restore { .. } | Action::BringBack { .. } => self.unproved = true,
            Action::StandStill { key, dependant, host, .. } => {
                self.stopped.push((key, dependant, host));
            }
            Action::TempPutBack { key } => {
                let own = self.stopped.iter().find(|(own, ..)| *own == key);
                if let (Some((_, name, _)), true) = (own, self.unproved) {
                    broken(format!("{name} starts on data that nobody has compared"));
                }
                if let (Some((_, name, host)), true) = (own, self.converts)
                    && is_switched(at.plan, name)
                    && !self.switched.contains(&(*name, *host))
                {
                    broken(format!("{name} starts on {host} and was not told where its data are"));
                }
                self.stopped.retain(|(own, ..)| *own != key);
            }
            _ if at.step.role == StepRole::Verify => self.unproved = false,
            _ => {}
        }
    }
}

/// Whether an application says how it is switched.
fn is_switched(plan: &Plan, name: &DependantName) -> bool {
    let own = plan.dependants.iter().find(|one| one.name == *name);
    own.and_then(|one| one.runs.as_ref()).is_some_and(|runs| runs.switch.is_some())
}

/// Whether members get the data of this copy, or of what is made of it.
fn put_on_members(hop: &Hop, copy: &Backup) -> bool {
    // What is written again after a way back is read before it: nobody may write meanwhile.
    steps_of(hop).any(|step| match &step.action {
        Action::BringBack { .. } => true,
        Action::Restore { backup, .. } => {
            backup.file == copy.file || backup.made_of.as_ref() == Some(&copy.file)
        }
        _ => false,
    })
}

fn looks_again(step: &Step) -> bool {
    step.precheck.iter().any(|one| one.name == DEPENDANTS_STOPPED)
}
