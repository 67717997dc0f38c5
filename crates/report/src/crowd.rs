//! Nodes that move beside each other, as people read of them: a line a node, and more of those alone that did not come through.
//!
//! Invariant: a step that failed, or of which nobody knows, always has a line of its own.
//! Read next: `text.rs`, `markdown.rs` and `html/view.rs`, which draw rows; JSON and JUnit keep every step.

use crate::report::{Health, MemberReport, StepReport, StepState, WaveReport};
use quorate_model::{NodeName, StepId};
use std::{borrow::Cow, time::Duration};

/// So many nodes are named one by one, however alike they are.
const ONE_BY_ONE: usize = 5;

/// A line of a wave: one step, or all steps of a node.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// The step, or what the steps of a node come to.
    pub step: Cow<'a, StepReport>,
    /// The steps that it stands for.
    pub covers: Vec<&'a StepId>,
}

impl<'a> Row<'a> {
    fn own(step: &'a StepReport) -> Self {
        Self { step: Cow::Borrowed(step), covers: vec![&step.id] }
    }
}

impl WaveReport {
    /// What there is to read of it.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let Some(lanes) = &self.lanes else { return self.steps.iter().map(Row::own).collect() };
        let nodes = self.by_node();
        let one_each = nodes.iter().all(|(_, steps)| steps.len() == 1);
        if one_each && nodes.len() > 1 && self.steps.iter().all(|step| step.state.is_over()) {
            let title = format!("{} of {}", nodes.len(), lanes.group);
            let steps: Vec<&StepReport> = self.steps.iter().collect();
            return together(&self.id, title, &steps).into_iter().collect();
        }
        let rows = nodes.iter().flat_map(|(node, steps)| {
            let id = format!("{}.{node}", self.id);
            let troubled = steps.iter().filter(|step| is_trouble(&step.state));
            let own = together(&id, node.to_string(), steps);
            own.into_iter().chain(troubled.map(|step| Row::own(step))).collect::<Vec<_>>()
        });
        rows.collect()
    }

    /// How many nodes came through, did not, and have a way to go; none where nobody moves beside others.
    pub fn tally(&self) -> Option<String> {
        self.lanes.as_ref()?;
        let nodes = self.by_node();
        let count = |is: &dyn Fn(&[&StepReport]) -> bool| {
            nodes.iter().filter(|(_, steps)| is(steps)).count()
        };
        let done = count(&|steps| steps.iter().all(|step| step.state.is_over()));
        let failed = count(&|steps| steps.iter().any(|step| is_trouble(&step.state)));
        let mut text = format!("{done} of {} done", nodes.len());
        if failed > 0 {
            text.push_str(&format!(", {failed} not"));
        }
        Some(text)
    }

    fn by_node(&self) -> Vec<(&NodeName, Vec<&StepReport>)> {
        let mut nodes: Vec<(&NodeName, Vec<&StepReport>)> = Vec::new();
        for step in &self.steps {
            let Some(node) = &step.node else { continue };
            match nodes.iter_mut().rev().find(|(known, _)| *known == node) {
                Some((_, steps)) => steps.push(step),
                None => nodes.push((node, vec![step])),
            }
        }
        nodes
    }
}

fn is_trouble(state: &StepState) -> bool {
    matches!(state, StepState::Failed { .. } | StepState::Unknown { .. })
}

/// What steps come to that belong to one node, or that are alike on many.
fn together<'a>(id: &str, title: String, steps: &[&'a StepReport]) -> Option<Row<'a>> {
    let first = steps.first()?;
    let over = steps.iter().rev().find(|step| step.state.is_over());
    let active = steps.iter().find(|step| step.state.is_active());
    let troubled = steps.iter().find(|step| is_trouble(&step.state));
    let all_over = steps.iter().all(|step| step.state.is_over());
    let skipped = steps.iter().all(|step| matches!(step.state, StepState::Skipped { .. }));
    let (state, at) = match (troubled, active) {
        (Some(step), _) => (said_below(&step.state), Some(step)),
        (None, Some(step)) => (step.state.clone(), Some(step)),
        _ if skipped => (first.state.clone(), None),
        _ if all_over => (StepState::Done { note: None }, None),
        _ => (StepState::Pending, over),
    };
    let title = match at {
        Some(step) if state == StepState::Pending => format!("{title}, as far as: {}", step.title),
        Some(step) => format!("{title}: {}", step.title),
        None => title,
    };
    let began = steps.iter().filter_map(|step| step.started_at).min();
    let ended = steps.iter().filter_map(|step| step.ended_at).max().filter(|_| all_over);
    let took = began.zip(ended).map(|(from, until)| crate::report::since(from, until));
    let estimate: Duration = match steps.iter().all(|step| step.node == first.node) {
        true => steps.iter().map(|step| step.estimate).sum(),
        false => steps.iter().map(|step| step.estimate).max().unwrap_or_default(),
    };
    let step = StepReport {
        id: StepId::from(id),
        title,
        one_way: steps.iter().any(|step| step.one_way),
        needs_approval: steps.iter().any(|step| step.needs_approval),
        gate: Vec::new(),
        estimate,
        state,
        attempts: steps.iter().map(|step| step.attempts).max().unwrap_or_default(),
        started_at: began,
        ended_at: ended,
        took,
        floor: steps.iter().filter_map(|step| step.floor).max(),
        ..(*first).clone()
    };
    Some(Row { step: Cow::Owned(step), covers: steps.iter().map(|step| &step.id).collect() })
}

/// The same state; why is told by the step's own line.
fn said_below(state: &StepState) -> StepState {
    match state {
        StepState::Unknown { .. } => StepState::Unknown { because: String::new() },
        _ => StepState::Failed { because: String::new() },
    }
}

/// Members as they are read: one by one, but for those of a group without a vote that are all the same and well, when many are.
#[derive(Debug, Clone, Copy)]
pub struct Alike<'a> {
    /// The first of them.
    pub first: &'a MemberReport,
    /// How many there are.
    pub count: usize,
}

impl Alike<'_> {
    /// Its name, or what many are called.
    pub fn name(&self) -> String {
        match self.count {
            1 => self.first.node.to_string(),
            many => format!("{many} of {}", self.first.group),
        }
    }
}

/// Groups members that are read as one.
pub fn alike(members: &[MemberReport]) -> Vec<Alike<'_>> {
    let look = |member: &MemberReport| {
        let now = member.now()?;
        let crowd = member.voter == Some(false) && now.health == Health::Serving;
        crowd.then(|| (member.group.clone(), now.release.clone(), now.role, now.lag))
    };
    let mut told: Vec<(Option<_>, Vec<&MemberReport>)> = Vec::new();
    for member in members {
        let own = look(member);
        match told.iter_mut().find(|(known, _)| own.is_some() && *known == own) {
            Some((_, same)) => same.push(member),
            None => told.push((own, vec![member])),
        }
    }
    let folded = told.into_iter().flat_map(|(_, same)| match same.as_slice() {
        [first, ..] if same.len() > ONE_BY_ONE => vec![Alike { first, count: same.len() }],
        few => few.iter().map(|first| Alike { first, count: 1 }).collect(),
    });
    folded.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{markdown, report::MemberSeen, sample, text};
    use quorate_model::{Lanes, Role, StepRole};

    fn step(node: &str, role: StepRole, state: StepState) -> StepReport {
        let plan = sample::plan();
        let report = crate::Report::fold(&plan, &[]);
        let like = report.steps().next().unwrap().clone();
        let word = crate::words::step_role(role);
        StepReport {
            id: format!("h1.{node}.{word}").as_str().into(),
            title: format!("{word} {node}"),
            role,
            node: Some(node.into()),
            estimate: Duration::from_secs(1),
            state,
            ..like
        }
    }

    fn done() -> StepState {
        StepState::Done { note: None }
    }

    fn wave(id: &str, steps: Vec<StepReport>) -> WaveReport {
        let lanes = Some(Lanes { group: "client".into(), at_most: 9, failures: 1 });
        WaveReport { id: id.into(), title: format!("wave {id}"), node: None, lanes, steps }
    }

    /// A report of clients: staged, and of a wave one came through, one failed, one is stopped, one has not begun.
    fn clients() -> crate::Report {
        let failed = StepState::Failed { because: "exit 1".into() };
        let lane = |node: &str, stop: StepState, start: StepState| {
            vec![step(node, StepRole::Stop, stop), step(node, StepRole::Start, start)]
        };
        let moved = [
            lane("c1", done(), done()),
            lane("c2", done(), failed),
            lane("c3", done(), StepState::Pending),
            lane("c4", StepState::Pending, StepState::Pending),
            lane("c5", done(), StepState::Gating),
        ];
        let staged = (1..=7).map(|n| step(&format!("c{n}"), StepRole::Stage, done())).collect();
        let plan = sample::plan();
        let mut report = crate::Report::fold(&plan, &[]);
        report.hops.truncate(1);
        report.hops[0].waves = vec![wave("h1.stage", staged), wave("h1.client-1", moved.concat())];
        let like = report.members[0].clone();
        let client = |n: usize| MemberReport {
            node: format!("c{n}").as_str().into(),
            group: "client".into(),
            voter: Some(false),
            history: vec![MemberSeen {
                role: Role::Client,
                health: if n == 2 { Health::Stopped } else { Health::Serving },
                ..like.history[0].clone()
            }],
        };
        report.members.extend((1..=9).map(client));
        report
    }

    #[test]
    fn a_wave_has_a_line_a_client_and_more_of_what_failed() {
        let report = clients();
        let rows = |at: usize| -> Vec<(String, &'static str)> {
            let rows = report.hops[0].waves[at].rows();
            let told =
                |row: &Row<'_>| (row.step.title.clone(), crate::words::step_state(&row.step.state));
            rows.iter().map(told).collect()
        };
        assert_eq!(rows(0), [("7 of client".to_owned(), "done")]);
        let expected = [
            ("c1", "done"),
            ("c2: start c2", "failed"),
            ("start c2", "failed"),
            ("c3, as far as: stop c3", "pending"),
            ("c4", "pending"),
            ("c5: start c5", "at its gate"),
        ];
        assert_eq!(rows(1), expected.map(|(title, state)| (title.to_owned(), state)));
        let waves = &report.hops[0].waves;
        assert_eq!(waves[1].tally().as_deref(), Some("1 of 5 done, 1 not"));
        for wave in waves {
            let covered: usize = wave.rows().iter().map(|row| row.covers.len()).sum();
            assert!(covered >= wave.steps.len(), "no step is lost");
        }
    }

    #[test]
    fn members_that_are_all_the_same_are_one_line() {
        let report = clients();
        let names: Vec<String> = alike(&report.members).iter().map(Alike::name).collect();
        let servers = report.members.len() - 9;
        assert_eq!(names[servers..], ["8 of client".to_owned(), "c2".to_owned()]);
        for drawn in [text(&report), markdown(&report), crate::html(&report).unwrap()] {
            assert!(drawn.contains("8 of client") && !drawn.contains("stop c4"), "{drawn}");
            assert!(drawn.contains("exit 1") && drawn.contains("1 of 5 done, 1 not"), "{drawn}");
        }
    }
}
