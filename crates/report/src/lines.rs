//! One clear line an event: for logs without a terminal, and for the list of last events on a screen.

use crate::{report::Tone, words};
use quorate_model::{Outcome, Plan, Recorded, RunEvent, StepId};

/// Says in one line what happened, its time first; none for the client's seconds, which only a picture can show.
pub fn describe(recorded: &Recorded, plan: &Plan) -> Option<String> {
    let title = |id: &StepId| {
        let steps = plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
        steps.into_iter().find(|step| step.id == *id).map(|step| step.title.clone())
    };
    let text = text(&recorded.event, &title)?;
    Some(format!("{}  {text}", recorded.at.strftime("%Y-%m-%dT%H:%M:%SZ")))
}

/// Says what happened, without its time. `title` knows the steps' titles.
pub(crate) fn text(event: &RunEvent, title: &dyn Fn(&StepId) -> Option<String>) -> Option<String> {
    let name = |id: &StepId| title(id).unwrap_or_else(|| id.to_string());
    let line = match event {
        RunEvent::Client { .. } => return None,
        RunEvent::Started { .. }
        | RunEvent::Acted { .. }
        | RunEvent::DoneProbed { .. }
        | RunEvent::Waiting { .. }
        | RunEvent::Finished { .. }
        | RunEvent::Floor { .. } => step_text(event, &name),
        RunEvent::ClientGap { .. }
        | RunEvent::Baseline { .. }
        | RunEvent::ClientFigures { .. }
        | RunEvent::MemberSeen { .. } => seen_text(event, &name),
        RunEvent::Overridden { .. }
        | RunEvent::AskedApproval { .. }
        | RunEvent::Approved { .. }
        | RunEvent::PauseRequested { .. }
        | RunEvent::Paused { .. }
        | RunEvent::AbortRequested { .. }
        | RunEvent::Note { .. }
        | RunEvent::Aborted { .. } => person_text(event, &name),
        RunEvent::Began { .. }
        | RunEvent::Resumed { .. }
        | RunEvent::WorldSeen { .. }
        | RunEvent::TempSet { .. }
        | RunEvent::PutBack { .. }
        | RunEvent::BackedUp { .. }
        | RunEvent::LeftBehind { .. }
        | RunEvent::Retried { .. }
        | RunEvent::Halted { .. }
        | RunEvent::Succeeded => run_text(event),
    };
    Some(one_line(&line))
}

/// A journal's text may hold line breaks (a log's tail in a failure); a line must stay one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn step_text(event: &RunEvent, name: &dyn Fn(&StepId) -> String) -> String {
    match event {
        RunEvent::Started { step, attempt } if attempt.0 > 1 => {
            format!("{}: begins, try {attempt}", name(step))
        }
        RunEvent::Started { step, .. } => format!("{}: begins", name(step)),
        RunEvent::Acted { step, outcome, .. } => match outcome {
            Outcome::Succeeded { note: Some(note) } => format!("{}: acted, {note}", name(step)),
            Outcome::Succeeded { note: None } => format!("{}: acted", name(step)),
            Outcome::Skipped { because } => format!("{}: not needed, {because}", name(step)),
            Outcome::Failed { because } => format!("{}: failed, {because}", name(step)),
            Outcome::Unknown { because } => format!("{}: outcome unknown, {because}", name(step)),
        },
        RunEvent::DoneProbed { step, done: true } => {
            format!("{}: its probe says that it has already happened", name(step))
        }
        RunEvent::DoneProbed { step, .. } => {
            format!("{}: its probe says that it has not happened", name(step))
        }
        RunEvent::Waiting { step, on } => {
            format!("{}: waits for {}", name(step), words::waiting(on))
        }
        RunEvent::Finished { step, outcome, took } => {
            let took = words::duration(*took);
            match outcome {
                Outcome::Succeeded { .. } => format!("{}: done in {took}", name(step)),
                Outcome::Skipped { because } => format!("{}: skipped, {because}", name(step)),
                Outcome::Failed { because } => {
                    format!("{}: failed after {took}, {because}", name(step))
                }
                Outcome::Unknown { because } => {
                    format!("{}: unknown after {took}, {because}", name(step))
                }
            }
        }
        RunEvent::Floor { node, floor, .. } => {
            format!("{node}: {} from stop to caught up", words::duration(*floor))
        }
        _ => String::new(),
    }
}

fn seen_text(event: &RunEvent, name: &dyn Fn(&StepId) -> String) -> String {
    match event {
        RunEvent::MemberSeen { node, reachable: false, .. } => format!("{node}: does not answer"),
        RunEvent::MemberSeen { node, release, role, healthy, lag, .. } => {
            let release =
                release.as_ref().map_or("release unknown".to_owned(), ToString::to_string);
            let health = match healthy {
                Some(true) => "healthy",
                Some(false) => "not healthy",
                None => "health unknown",
            };
            let lag = match lag {
                Some(0) => String::new(),
                Some(lag) => format!(", {} entries behind", words::count(*lag)),
                None => ", lag unknown".to_owned(),
            };
            format!("{node}: {} on {release}, {health}{lag}", words::role(*role))
        }
        RunEvent::ClientGap { gap } => {
            let during =
                gap.step.as_ref().map_or(String::new(), |id| format!(" during: {}", name(id)));
            format!("client: {} ms without an acknowledged write{during}", gap.gap_ms)
        }
        RunEvent::Baseline { gap_max_ms, p50_us, measured, .. } => format!(
            "client: baseline over {}: median {}, longest gap {gap_max_ms} ms",
            words::duration(*measured),
            words::micros(*p50_us)
        ),
        RunEvent::ClientFigures { figures } => {
            let writes = format!(
                "client: {} writes acknowledged, {} lost, {} requests failed, longest gap {} ms",
                words::count(figures.writes_acked),
                words::count(figures.writes_lost),
                words::count(figures.requests_failed),
                figures.write_gap_max_ms
            );
            let beside = words::beside_writes(figures);
            std::iter::once(writes).chain(beside).collect::<Vec<_>>().join("; ")
        }
        _ => String::new(),
    }
}

fn person_text(event: &RunEvent, name: &dyn Fn(&StepId) -> String) -> String {
    match event {
        RunEvent::Overridden { step, over, by } => format!(
            "{}: gate `{}` set aside on {} by {by} until {}: {}",
            name(step),
            over.gate,
            over.node,
            words::moment(over.expires),
            over.reason
        ),
        RunEvent::AskedApproval { step, text } => format!("{}: needs a yes: {text}", name(step)),
        RunEvent::Approved { step, by } => format!("{}: approved by {by}", name(step)),
        RunEvent::PauseRequested { by, reason } => format!("{by} asks for a pause: {reason}"),
        RunEvent::Paused { by } => format!("paused by {by}; the cluster is free"),
        RunEvent::AbortRequested { by, reason } => format!("{by} asks for an end: {reason}"),
        RunEvent::Note { by, text } => format!("{by} notes: {text}"),
        RunEvent::Aborted { by, reason } => format!("aborted by {by}: {reason}"),
        _ => String::new(),
    }
}

fn run_text(event: &RunEvent) -> String {
    match event {
        RunEvent::Began { plan, cluster, holder, generation } => format!(
            "run begins on {cluster}: plan {}, by {} (lease generation {generation})",
            plan.short(),
            holder.who
        ),
        RunEvent::Resumed { holder, generation } => {
            format!("taken up again by {} (lease generation {generation})", holder.who)
        }
        RunEvent::WorldSeen { differs } if differs.is_empty() => {
            "the cluster is as the journal implies".to_owned()
        }
        RunEvent::WorldSeen { differs } => format!("the cluster differs: {}", differs.join("; ")),
        RunEvent::TempSet { key } => format!("temporary change `{key}` is made and owed"),
        RunEvent::PutBack { key } => format!("temporary change `{key}` is put back"),
        RunEvent::BackedUp { file, size_bytes, verified, .. } => {
            let proof = verified
                .as_ref()
                .map_or("not verified".to_owned(), |how| format!("verified: {how}"));
            format!("backup {file}, {}, {proof}", words::bytes(*size_bytes))
        }
        RunEvent::LeftBehind { node, hold } => {
            format!("{node} is left behind ({}): {}", hold.code, hold.text)
        }
        RunEvent::Retried { nodes } => {
            let names = nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!("tried once more: {names}")
        }
        RunEvent::Halted { hold } => {
            let hint = hold.hint.as_ref().map_or(String::new(), |hint| format!("; hint: {hint}"));
            format!("halted ({}): {}{hint}", hold.code, hold.text)
        }
        RunEvent::Succeeded => "run succeeded: every step done, every gate held".to_owned(),
        _ => String::new(),
    }
}

/// How to colour an event.
pub(crate) fn tone(event: &RunEvent) -> Tone {
    let of_outcome = |outcome: &Outcome| match outcome {
        Outcome::Succeeded { .. } | Outcome::Skipped { .. } => Tone::Good,
        Outcome::Failed { .. } => Tone::Bad,
        Outcome::Unknown { .. } => Tone::Warn,
    };
    match event {
        RunEvent::Finished { outcome, .. } => of_outcome(outcome),
        RunEvent::Acted { outcome, .. } if of_outcome(outcome) != Tone::Good => of_outcome(outcome),
        RunEvent::Succeeded | RunEvent::PutBack { .. } => Tone::Good,
        RunEvent::BackedUp { verified, .. } => {
            if verified.is_some() {
                Tone::Good
            } else {
                Tone::Plain
            }
        }
        RunEvent::WorldSeen { differs } => {
            if differs.is_empty() {
                Tone::Good
            } else {
                Tone::Bad
            }
        }
        RunEvent::ClientFigures { figures } if words::is_broken(figures) => Tone::Bad,
        RunEvent::Halted { .. } | RunEvent::LeftBehind { .. } => Tone::Bad,
        RunEvent::Waiting { .. } | RunEvent::ClientGap { .. } | RunEvent::TempSet { .. } => {
            Tone::Warn
        }
        RunEvent::MemberSeen { reachable: false, .. } => Tone::Warn,
        RunEvent::Overridden { .. }
        | RunEvent::AskedApproval { .. }
        | RunEvent::Approved { .. }
        | RunEvent::PauseRequested { .. }
        | RunEvent::Paused { .. }
        | RunEvent::AbortRequested { .. }
        | RunEvent::Note { .. }
        | RunEvent::Aborted { .. } => Tone::Person,
        RunEvent::Began { .. }
        | RunEvent::Resumed { .. }
        | RunEvent::Retried { .. }
        | RunEvent::Started { .. }
        | RunEvent::Acted { .. }
        | RunEvent::DoneProbed { .. }
        | RunEvent::MemberSeen { .. }
        | RunEvent::Client { .. }
        | RunEvent::Baseline { .. }
        | RunEvent::ClientFigures { .. }
        | RunEvent::Floor { .. } => Tone::Plain,
    }
}
