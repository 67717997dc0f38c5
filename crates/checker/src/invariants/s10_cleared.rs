//! S10, where data of before are deleted: only what this plan has moved aside, once every member is back with its new data, these
//! were compared, and a person has said yes to just that.

use super::{Invariant, Violation};
use crate::{
    walk::{Visit, Watch},
    world::{Life, World},
};
use quorate_model::{Action, Plan, StepRole};

/// Follows what must come before.
#[derive(Default)]
pub(crate) struct Cleared {
    compared: bool,
    confirmed: bool,
}

impl<'p> Watch<'p> for Cleared {
    fn hop_begins(
        &mut self,
        _plan: &'p Plan,
        _index: usize,
        _world: &World<'p>,
        _found: &mut Vec<Violation>,
    ) {
        *self = Self::default();
    }

    fn step(&mut self, at: &Visit<'p>, world: &World<'p>, found: &mut Vec<Violation>) {
        match &at.step.action {
            Action::Restore { .. } | Action::BringBack { .. } | Action::Start { .. } => {
                *self = Self::default();
            }
            // What was said before the data were compared was no yes to this.
            Action::Confirm { .. } => self.confirmed = self.compared,
            Action::Clear { node } => {
                let member = world.member(node);
                let back = member.is_some_and(|m| m.restored && m.life == Life::Up);
                let lacks = match (back, self.compared, self.confirmed) {
                    (false, ..) => "it is back with other data",
                    (_, false, _) => "anybody has compared the new ones",
                    (.., false) => "a person has said that they may go",
                    _ => return,
                };
                let text = format!("deletes the data of before of {node} before {lacks}");
                found.push(Violation::error(Invariant::S10, at.id(), text));
            }
            _ if at.step.role == StepRole::Verify => self.compared = true,
            _ => {}
        }
    }
}
