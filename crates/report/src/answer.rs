//! The four answers that a person wants of a run: what is it doing, what does it wait for, who must act, how long still.

use crate::{
    report::{HopReport, Report, RequestKind, StepReport, StepState, since},
    words,
};
use quorate_model::{RunEnd, RunState, StepRole};
use serde::Serialize;
use std::{fmt, time::Duration};

/// The answers, each one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What it is doing.
    pub doing: String,
    /// What it waits for.
    pub waits_for: String,
    /// Who must act.
    pub must_act: String,
    /// How long still.
    pub how_long: String,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { doing, waits_for, must_act, how_long } = self;
        writeln!(f, "doing      {doing}")?;
        writeln!(f, "waits for  {waits_for}")?;
        writeln!(f, "must act   {must_act}")?;
        write!(f, "still      {how_long}")
    }
}

impl Report {
    /// Answers the four questions, as of the moment that the report speaks of.
    pub fn answer(&self) -> Answer {
        Answer {
            doing: self.doing(),
            waits_for: self.waits_for(),
            must_act: self.must_act(),
            how_long: self.how_long(),
        }
    }

    /// Whether a person must act before anything goes on.
    pub fn needs_person(&self) -> bool {
        match &self.state {
            RunState::Running => self.began_at.is_none(),
            RunState::Paused { .. } | RunState::AwaitingApproval { .. } => true,
            RunState::Ended { end: RunEnd::Succeeded } => false,
            RunState::Ended { end: RunEnd::Halted { .. } | RunEnd::Aborted { .. } } => true,
        }
    }

    /// What is left, by what like steps took in this run, else by the plan's estimates. None when nothing more will come.
    pub fn remaining(&self) -> Option<Duration> {
        if matches!(self.state, RunState::Ended { .. }) {
            return None;
        }
        Some(self.steps().filter(|step| !step.state.is_over()).map(|step| self.left_of(step)).sum())
    }

    fn left_of(&self, step: &StepReport) -> Duration {
        let expected = self.expected(step);
        let busy = step.state.is_active() && step.state != StepState::AwaitingApproval;
        match step.started_at {
            Some(started) if busy => expected.saturating_sub(since(started, self.as_of)),
            _ => expected,
        }
    }

    /// The median of what steps of the same role took in this run; a run's own pace beats any estimate.
    fn expected(&self, step: &StepReport) -> Duration {
        if step.role == StepRole::Go {
            return step.estimate;
        }
        let alike = |other: &&StepReport| {
            other.role == step.role && matches!(other.state, StepState::Done { .. })
        };
        let mut took: Vec<Duration> = self.steps().filter(alike).filter_map(|s| s.took).collect();
        took.sort_unstable();
        took.get(took.len() / 2).copied().unwrap_or(step.estimate)
    }

    fn run_name(&self) -> &str {
        self.run.as_ref().map_or("RUN", |run| run.as_str())
    }

    fn doing(&self) -> String {
        let (over, all) = self.steps_over();
        let took = words::duration(self.elapsed());
        match &self.state {
            _ if self.began_at.is_none() => format!("nothing yet: {all} steps are planned"),
            RunState::Running => self.doing_now(),
            RunState::Paused { by } => {
                format!("standing still after {over} of {all} steps, paused by {by}")
            }
            RunState::AwaitingApproval { step } => {
                let title = self.step(step).map_or(step.as_str(), |s| s.title.as_str());
                format!("standing before: {title} (step {} of {all})", (over + 1).min(all))
            }
            RunState::Ended { end: RunEnd::Succeeded } => {
                format!("nothing more: succeeded, {all} steps in {took}")
            }
            RunState::Ended { end: RunEnd::Halted { hold } } => {
                let at = hold.step.as_ref().and_then(|id| self.step(id));
                let at = at.map_or(String::new(), |step| format!(" at: {}", step.title));
                format!("nothing more: halted{at}, {over} of {all} steps done")
            }
            RunState::Ended { end: RunEnd::Aborted { by, .. } } => {
                format!("nothing more: aborted by {by}, {over} of {all} steps done")
            }
        }
    }

    fn doing_now(&self) -> String {
        let (over, all) = self.steps_over();
        let Some(step) = self.current() else {
            return format!("closing the run, all {all} steps are over");
        };
        let hop = self.current_hop().and_then(|index| self.hops.get(index));
        let hop = hop.map_or(String::new(), |hop: &HopReport| format!("{}, ", hop.title("->")));
        let since = match step.started_at {
            Some(started) if step.state.is_active() => format!(
                ", {} of about {}",
                words::duration(since(started, self.as_of)),
                words::duration(self.expected(step))
            ),
            _ => String::new(),
        };
        format!("{hop}step {} of {all}: {}{since}", (over + 1).min(all), step.title)
    }

    fn waits_for(&self) -> String {
        match &self.state {
            _ if self.began_at.is_none() => "its start".to_owned(),
            RunState::Running => self.waits_for_now(),
            RunState::Paused { .. } => "being taken up again".to_owned(),
            RunState::AwaitingApproval { step } => {
                let asked = self.approvals.iter().rev().find(|approval| approval.step == *step);
                let text = asked.and_then(|approval| approval.text.as_deref()).unwrap_or("");
                let text = text.trim();
                if text.is_empty() { "a yes".to_owned() } else { format!("a yes: {text}") }
            }
            RunState::Ended { end: RunEnd::Succeeded } => "nothing".to_owned(),
            RunState::Ended { end: RunEnd::Halted { hold } } => hold.text.clone(),
            RunState::Ended { end: RunEnd::Aborted { reason, .. } } => {
                format!("nothing, it was ended: {reason}")
            }
        }
    }

    fn waits_for_now(&self) -> String {
        let waiting = self.steps().find_map(|step| match &step.state {
            StepState::Waiting { on } => Some(words::waiting(on)),
            StepState::Unknown { because } => Some(format!("its own probe: {because}")),
            StepState::Gating => Some(if step.gate.is_empty() {
                "its gate".to_owned()
            } else {
                format!("its gate: {}", step.gate.join("; "))
            }),
            StepState::Pending | StepState::AwaitingApproval | StepState::Running => None,
            StepState::Done { .. } | StepState::Skipped { .. } | StepState::Failed { .. } => None,
        });
        let asked = self.request.as_ref().map(|request| match request.kind {
            RequestKind::Pause => format!("a safe point to pause, asked by {}", request.by),
            RequestKind::Abort => format!("a safe point to end, asked by {}", request.by),
        });
        match (waiting, asked) {
            (Some(waiting), Some(asked)) => format!("{waiting}; then {asked}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => "nothing".to_owned(),
        }
    }

    fn must_act(&self) -> String {
        let run = self.run_name();
        match &self.state {
            _ if self.began_at.is_none() => "whoever starts it".to_owned(),
            RunState::Running | RunState::Ended { end: RunEnd::Succeeded } => "nobody".to_owned(),
            RunState::Paused { .. } => format!("a person: `quorate run resume {run}`"),
            RunState::AwaitingApproval { .. } => {
                format!("a person: `quorate run approve {run}`, or `quorate run abort {run}`")
            }
            RunState::Ended { end: RunEnd::Halted { hold } } => {
                let hint = hold.hint.clone().unwrap_or_else(|| self.plan_again());
                format!("a person: {hint}")
            }
            RunState::Ended { end: RunEnd::Aborted { .. } } => {
                format!("a person: {}", self.plan_again())
            }
        }
    }

    fn plan_again(&self) -> String {
        format!("look at the cluster, then `quorate plan {} --to {}`", self.cluster, self.to)
    }

    fn how_long(&self) -> String {
        let about = |left: Duration| {
            // Below a second the estimate is over and the gate decides.
            if left < Duration::from_secs(1) {
                "any moment now".to_owned()
            } else {
                format!("about {}", words::duration(Duration::from_secs(left.as_secs())))
            }
        };
        match (self.remaining(), &self.state) {
            (None, _) => format!("over after {}", words::duration(self.elapsed())),
            (Some(left), RunState::Running) => about(left),
            (Some(left), _) => format!("{} once it goes on", about(left)),
        }
    }
}
