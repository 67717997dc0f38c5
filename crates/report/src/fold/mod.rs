//! Turns a plan and its journal into a report, event by event, so that a live screen and a file show the same.
//!
//! Invariant: folding a journal at once and applying it event by event give equal reports.
//! Read next: `steps.rs` (what a step's events do), `members.rs`, `people.rs`, `client.rs`.

mod client;
mod members;
mod people;
mod shape;
mod steps;
#[cfg(test)]
mod tests;

use crate::{
    lines,
    report::{
        BackupReport, Controller, HaltReport, LedgerEntry, LeftBehind, LogLine, Report, StepState,
        WorldSeen,
    },
};
use jiff::Timestamp;
use quorate_model::{Plan, Recorded, RunEnd, RunEvent, RunId, RunState, StepId, StepRole};
use std::collections::HashMap;

/// A report in the making.
#[derive(Debug, Clone)]
pub struct Fold {
    report: Report,
    /// Where each step sits: hop, wave, step.
    places: HashMap<StepId, (usize, usize, usize)>,
    /// The last step of each role that began, to tell a planned change of leader from a surprise.
    begun: HashMap<StepRole, StepId>,
}

impl Report {
    /// Folds a whole journal. The report speaks of the moment of the last event.
    pub fn fold(plan: &Plan, journal: &[Recorded]) -> Self {
        let mut fold = Fold::new(plan);
        for recorded in journal {
            fold.apply(recorded);
        }
        fold.report
    }

    /// Moves the moment that the report speaks of forward, for what is still under way.
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        self.move_to(now);
        self
    }

    fn move_to(&mut self, now: Timestamp) {
        self.as_of = self.as_of.max(now);
        steps::measure_hops(self);
    }
}

impl Fold {
    /// Starts from a plan of which nothing has been done.
    pub fn new(plan: &Plan) -> Self {
        let report = shape::of_plan(plan);
        let mut places = HashMap::new();
        for (h, hop) in report.hops.iter().enumerate() {
            for (w, wave) in hop.waves.iter().enumerate() {
                for (s, step) in wave.steps.iter().enumerate() {
                    places.insert(step.id.clone(), (h, w, s));
                }
            }
        }
        Self { report, places, begun: HashMap::new() }
    }

    /// Gives the run's name.
    #[must_use]
    pub fn of_run(mut self, run: RunId) -> Self {
        self.report.run = Some(run);
        self
    }

    /// Takes one event in, in the journal's order.
    pub fn apply(&mut self, recorded: &Recorded) {
        let Recorded { seq, at, event } = recorded;
        self.report.as_of = self.report.as_of.max(*at);
        let news = self.take_in(*at, event);
        let title = |id: &StepId| self.step(id).map(|step| step.title.clone());
        if news && let Some(text) = lines::text(event, &title) {
            let tone = lines::tone(event);
            self.report.log.push(LogLine { seq: *seq, at: *at, text, tone });
        }
        if !matches!(event, RunEvent::Client { .. }) {
            steps::measure_hops(&mut self.report);
        }
    }

    /// The report as of this moment.
    pub fn report(&mut self, now: Timestamp) -> &Report {
        self.report.move_to(now);
        &self.report
    }

    /// The report as of the last event.
    pub fn as_of_last_event(&self) -> &Report {
        &self.report
    }

    /// Takes the report out.
    pub fn into_report(self) -> Report {
        self.report
    }

    fn step(&self, id: &StepId) -> Option<&crate::report::StepReport> {
        let (h, w, s) = *self.places.get(id)?;
        self.report.hops.get(h)?.waves.get(w)?.steps.get(s)
    }

    fn step_mut(&mut self, id: &StepId) -> Option<&mut crate::report::StepReport> {
        let (h, w, s) = *self.places.get(id)?;
        self.report.hops.get_mut(h)?.waves.get_mut(w)?.steps.get_mut(s)
    }

    /// Returns whether the event is worth a line of its own.
    fn take_in(&mut self, at: Timestamp, event: &RunEvent) -> bool {
        match event {
            RunEvent::Started { .. }
            | RunEvent::Acted { .. }
            | RunEvent::DoneProbed { .. }
            | RunEvent::Waiting { .. }
            | RunEvent::Finished { .. }
            | RunEvent::Floor { .. } => self.take_step(at, event),
            RunEvent::MemberSeen { .. } => return self.take_member(at, event),
            RunEvent::Client { .. }
            | RunEvent::ClientGap { .. }
            | RunEvent::Baseline { .. }
            | RunEvent::ClientFigures { .. } => self.take_client(event),
            RunEvent::Overridden { .. }
            | RunEvent::AskedApproval { .. }
            | RunEvent::Approved { .. }
            | RunEvent::PauseRequested { .. }
            | RunEvent::Paused { .. }
            | RunEvent::AbortRequested { .. }
            | RunEvent::Note { .. } => self.take_person(at, event),
            RunEvent::Began { .. }
            | RunEvent::Resumed { .. }
            | RunEvent::WorldSeen { .. }
            | RunEvent::TempSet { .. }
            | RunEvent::PutBack { .. }
            | RunEvent::BackedUp { .. }
            | RunEvent::LeftBehind { .. }
            | RunEvent::Retried { .. }
            | RunEvent::Halted { .. }
            | RunEvent::Aborted { .. }
            | RunEvent::Succeeded => self.take_run(at, event),
        }
        true
    }

    fn take_run(&mut self, at: Timestamp, event: &RunEvent) {
        match event {
            RunEvent::Began { holder, generation, .. } => {
                self.report.began_at = Some(at);
                self.report.state = RunState::Running;
                let holder = holder.clone();
                self.report.controllers.push(Controller { at, holder, generation: *generation });
            }
            RunEvent::Resumed { holder, generation } => {
                self.resume(at);
                let holder = holder.clone();
                self.report.controllers.push(Controller { at, holder, generation: *generation });
            }
            RunEvent::WorldSeen { differs } => {
                self.report.world.push(WorldSeen { at, differs: differs.clone() });
            }
            RunEvent::TempSet { key } => {
                let owed = self.report.owed().any(|entry| entry.key == *key);
                if !owed {
                    let entry = LedgerEntry { key: key.clone(), set_at: at, put_back_at: None };
                    self.report.ledger.push(entry);
                }
            }
            RunEvent::PutBack { key } => {
                let open =
                    |entry: &&mut LedgerEntry| entry.key == *key && entry.put_back_at.is_none();
                if let Some(entry) = self.report.ledger.iter_mut().find(open) {
                    entry.put_back_at = Some(at);
                }
            }
            RunEvent::BackedUp { step, file, sha256, size_bytes, verified } => {
                self.back_up(BackupReport {
                    at,
                    step: step.clone(),
                    file: file.clone(),
                    sha256: sha256.clone(),
                    size_bytes: *size_bytes,
                    verified: verified.clone(),
                });
            }
            RunEvent::LeftBehind { node, hold } => {
                self.fail_step_of(at, hold);
                self.report.left_behind.retain(|one| one.node != *node);
                let (node, hold) = (node.clone(), hold.clone());
                self.report.left_behind.push(LeftBehind { at, node, hold });
            }
            RunEvent::Retried { nodes } => {
                self.report.left_behind.retain(|one| !nodes.contains(&one.node));
            }
            RunEvent::Halted { hold } => {
                self.fail_step_of(at, hold);
                self.report.halts.push(HaltReport { at, hold: hold.clone() });
                self.end(at, RunEnd::Halted { hold: hold.clone() });
            }
            RunEvent::Aborted { by, reason } => {
                self.end(at, RunEnd::Aborted { by: by.clone(), reason: reason.clone() });
            }
            RunEvent::Succeeded => self.end(at, RunEnd::Succeeded),
            _ => {}
        }
    }

    /// The same file told of twice is one backup: first taken, then verified.
    fn back_up(&mut self, backup: BackupReport) {
        let known = self.report.backups.iter_mut().find(|known| known.file == backup.file);
        match known {
            Some(known) if known.sha256 == backup.sha256 => {
                known.verified = backup.verified.or(known.verified.take());
            }
            Some(known) => *known = backup,
            None => self.report.backups.push(backup),
        }
    }

    fn end(&mut self, at: Timestamp, end: RunEnd) {
        self.report.state = RunState::Ended { end };
        self.report.ended_at = Some(at);
        self.report.request = None;
    }

    /// A controller that died left its step between intent and outcome: nobody knows until the step's probe was asked.
    fn resume(&mut self, at: Timestamp) {
        let was_paused = matches!(self.report.state, RunState::Paused { .. });
        self.report.state = RunState::Running;
        self.report.ended_at = None;
        self.report.request = None;
        if let Some(standstill) = self.report.standstills.last_mut().filter(|s| s.until.is_none()) {
            standstill.until = Some(at);
        }
        if was_paused {
            return;
        }
        let steps = self.report.hops.iter_mut().flat_map(|hop| &mut hop.waves);
        for step in steps.flat_map(|wave| &mut wave.steps) {
            match step.state {
                StepState::AwaitingApproval => step.state = StepState::Pending,
                StepState::Running => {
                    let because = "the controller went away between intent and outcome".to_owned();
                    step.state = StepState::Unknown { because };
                }
                _ => {}
            }
        }
    }
}
