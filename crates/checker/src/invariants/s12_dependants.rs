//! S12: where data are exchanged, every application whose handling is declared stands still meanwhile.
//!
//! It is stopped on each of its hosts before the copy is taken and before anybody stops, nobody stops without a look whether it
//! has come back, and it is started once the data that run were proved.

use super::{Invariant, Violation};
use crate::{
    walk::{Visit, Watch},
    world::World,
};
use quorate_model::{Action, DEPENDANTS_STOPPED, DependantName, Host, Plan, Step, StepRole};

/// Knows where applications stand still.
#[derive(Default)]
pub(crate) struct Dependants<'p> {
    /// By the key of the temporary change that their start is owed for; that it is put back is S9's.
    stopped: Vec<(&'p String, &'p DependantName, &'p Host)>,
    /// Data were put back, and nobody has compared them yet.
    unproved: bool,
}

/// Every place of an application that is handled.
fn places(plan: &Plan) -> impl Iterator<Item = (&DependantName, &Host)> {
    plan.dependants.iter().flat_map(|one| {
        let hosts = one.runs.iter().flat_map(|runs| &runs.hosts);
        hosts.map(|host| (&one.name, host))
    })
}

impl<'p> Watch<'p> for Dependants<'p> {
    fn step(&mut self, at: &Visit<'p>, _world: &World<'p>, found: &mut Vec<Violation>) {
        if !at.plan.kind.puts_data_back() {
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
            Action::Backup { .. } => {
                if let Some((name, host)) = runs() {
                    broken(format!("the copy is taken while {name} still writes from {host}"));
                }
            }
            Action::Restore { .. } => self.unproved = true,
            Action::StandStill { key, dependant, host, .. } => {
                self.stopped.push((key, dependant, host));
            }
            Action::TempPutBack { key } => {
                let own = self.stopped.iter().find(|(own, ..)| *own == key);
                if let (Some((_, name, _)), true) = (own, self.unproved) {
                    broken(format!("{name} starts on data that nobody has compared"));
                }
                self.stopped.retain(|(own, ..)| *own != key);
            }
            _ if at.step.role == StepRole::Verify => self.unproved = false,
            _ => {}
        }
    }
}

fn looks_again(step: &Step) -> bool {
    step.precheck.iter().any(|one| one.name == DEPENDANTS_STOPPED)
}
