//! What people asked, allowed, set aside and wrote down.

use super::Fold;
use crate::report::{Approval, Note, OverrideReport, Request, RequestKind, Standstill, StepState};
use jiff::Timestamp;
use quorate_model::{RunEvent, RunState, StepId};

impl Fold {
    pub(super) fn take_person(&mut self, at: Timestamp, event: &RunEvent) {
        match event {
            RunEvent::Overridden { step, over, by } => {
                let (step, over, by) = (step.clone(), over.clone(), by.clone());
                self.report.overrides.push(OverrideReport { at, step, over, by });
            }
            RunEvent::AskedApproval { step, text } => self.ask(at, step, text),
            RunEvent::Approved { step, by } => self.approve(at, step, by),
            RunEvent::PauseRequested { by, reason } => {
                let (by, reason) = (by.clone(), reason.clone());
                self.report.request = Some(Request { kind: RequestKind::Pause, at, by, reason });
            }
            RunEvent::AbortRequested { by, reason } => {
                let (by, reason) = (by.clone(), reason.clone());
                self.report.request = Some(Request { kind: RequestKind::Abort, at, by, reason });
            }
            RunEvent::Paused { by } => {
                self.report.state = RunState::Paused { by: by.clone() };
                self.report.request = None;
                self.report.standstills.push(Standstill { from: at, until: None, by: by.clone() });
            }
            RunEvent::Note { by, text } => {
                self.report.notes.push(Note { at, by: by.clone(), text: text.clone() });
            }
            _ => {}
        }
    }

    fn approval_mut(&mut self, id: &StepId) -> &mut Approval {
        let title = self.step(id).map_or_else(|| id.to_string(), |step| step.title.clone());
        let approvals = &mut self.report.approvals;
        let index = approvals.iter().position(|a| a.step == *id).unwrap_or_else(|| {
            approvals.push(Approval {
                step: id.clone(),
                title,
                text: None,
                asked_at: None,
                by: None,
                approved_at: None,
            });
            approvals.len() - 1
        });
        &mut approvals[index]
    }

    fn ask(&mut self, at: Timestamp, id: &StepId, text: &str) {
        let approval = self.approval_mut(id);
        approval.text = Some(text.to_owned());
        approval.asked_at.get_or_insert(at);
        if let Some(step) = self.step_mut(id).filter(|step| !step.state.is_over()) {
            step.state = StepState::AwaitingApproval;
        }
        self.report.state = RunState::AwaitingApproval { step: id.clone() };
    }

    fn approve(&mut self, at: Timestamp, id: &StepId, by: &str) {
        let approval = self.approval_mut(id);
        approval.by = Some(by.to_owned());
        approval.approved_at = Some(at);
        if let Some(step) = self.step_mut(id).filter(|s| s.state == StepState::AwaitingApproval) {
            step.state = StepState::Pending;
        }
        let awaited =
            matches!(&self.report.state, RunState::AwaitingApproval { step } if step == id);
        if awaited {
            self.report.state = RunState::Running;
        }
    }
}
