//! Plays a script over a simulated cluster and gives the transcript, which echoes every command, so that it reads alone.
//!
//! `load fleet 3 at 1.1.2 [learners 1] [clients 4]`, `observe`, `plan 1.2.4`, `begin 1.2.4`, `step [N]` (acts), `run`, `resume`, `show`,
//! `fault m2 dies|cut|joined|isolated|together|disk-full|disk-free|rots|behind|leads`, `fault next request-lost|reply-lost|refused`,
//! `wait SECONDS`, `heal`. A line that begins with `#` is a comment.

use crate::{
    operator::Session,
    product::Product,
    scenario::Scenario,
    sim::Sim,
    world::{Fault, Hurt, Process},
};
use quorate_model::{Action, Outcome, Plan, RunEvent};
use quorate_planner::{PlanRequest, Planned};
use std::{fmt::Write as _, ops::ControlFlow};

/// `run` gives up after so many events: an hour of looks.
const EVENTS_MAX: u32 = 20_000;
/// Chance decides elections; every script has the same.
const SEED: u64 = 1;

/// Plays the script.
pub fn play(script: &str) -> String {
    let mut said = String::new();
    let mut stage = Stage { sim: None };
    for line in
        script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let answer = stage.obey(line).unwrap_or_else(|because| format!("error: {because}\n"));
        let _ = write!(said, "> {line}\n{answer}");
    }
    said
}

struct Stage {
    sim: Option<Sim>,
}

type Answer = Result<String, String>;

impl Stage {
    fn obey(&mut self, line: &str) -> Answer {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["load", "fleet", size, "at", release, rest @ ..] = words.as_slice() {
            return self.load(size, release, rest);
        }
        let sim = self.sim.as_mut().ok_or("load a fleet first")?;
        match words.as_slice() {
            ["observe" | "show"] => Ok(observe(sim)),
            ["plan", to] => plan(sim, to),
            ["begin", to] => {
                sim.target = release(to)?;
                let session = sim.begin("anna", false);
                told(sim, session)
            }
            ["resume"] => {
                let session = sim.resume("anna", false);
                told(sim, session)
            }
            ["step"] => Ok(step(sim, 1)),
            ["step", count] => Ok(step(sim, number(count)?)),
            ["run"] => Ok(step(sim, u32::MAX)),
            ["fault", "next", hurt] => {
                sim.next_hurt = Some(hurt_named(hurt)?);
                Ok(String::new())
            }
            ["fault", member, what] => fault(sim, member, what),
            ["wait", seconds] => {
                let until = sim.world.now + u64::from(number(seconds)?) * 1000;
                sim.world.advance(until);
                Ok(String::new())
            }
            ["heal"] => {
                sim.world.heal();
                Ok(String::new())
            }
            _ => Err(format!("`{line}` is no command")),
        }
    }

    fn load(&mut self, size: &str, at: &str, rest: &[&str]) -> Answer {
        let (learners, clients) = match rest {
            [] => (0, 0),
            ["learners", count] => (number(count)?, 0),
            ["clients", count] => (0, number(count)?),
            ["learners", learners, "clients", count] => (number(learners)?, number(count)?),
            _ => return Err("`load fleet N at RELEASE [learners N] [clients N]`".into()),
        };
        let (size, learners) = (usize_of(number(size)?), usize_of(learners));
        if size == 0 || learners >= size {
            return Err("a fleet has at least one voter".into());
        }
        let from = release(at)?;
        let calm = Scenario::calm(size, learners, from, from);
        let mut sim = Sim::new(Scenario { clients: usize_of(clients), ..calm }, SEED, None);
        sim.scripted = true;
        let names: Vec<_> =
            sim.world.members.iter().map(|member| member.name.to_string()).collect();
        self.sim = Some(sim);
        Ok(format!("{}\n", names.join(" ")))
    }
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn usize_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn release(text: &str) -> Result<usize, String> {
    let product = Product::get();
    let parsed = text.parse().map_err(|error| format!("{error}"))?;
    product.rel(&parsed).ok_or_else(|| {
        let known: Vec<_> = product.releases.iter().map(ToString::to_string).collect();
        format!("{text} is not known, known are {}", known.join(" "))
    })
}

fn hurt_named(name: &str) -> Result<Hurt, String> {
    match name {
        "request-lost" => Ok(Hurt::RequestLost),
        "reply-lost" => Ok(Hurt::ReplyLost),
        "refused" => Ok(Hurt::Refused),
        _ => Err(format!("`{name}` cannot happen to an act")),
    }
}

fn fault(sim: &mut Sim, member: &str, what: &str) -> Answer {
    let member = sim.world.place(&member.into()).ok_or_else(|| format!("there is no {member}"))?;
    let fault = match what {
        "dies" => Fault::Dies { member, back_after: None },
        "cut" => Fault::Cut { member },
        "joined" => Fault::Joined { member },
        "isolated" => Fault::Isolated { member },
        "together" => Fault::Together { member },
        "disk-full" => Fault::DiskFull { member },
        "disk-free" => Fault::DiskFree { member },
        "rots" => Fault::Rots { member },
        "behind" => Fault::Behind { member, entries: 50_000 },
        "leads" => Fault::LeaderMoves { to: member },
        _ => return Err(format!("`{what}` is no fault")),
    };
    sim.world.fault(fault);
    Ok(String::new())
}

fn observe(sim: &mut Sim) -> String {
    let running: Vec<_> =
        sim.world.members.iter().map(|member| member.process != Process::Down).collect();
    let (seen, _) = sim.world.look();
    let mut said = String::new();
    for (node, running) in seen.nodes.iter().zip(running) {
        let release = node.release.as_ref().or(node.disk_release.as_ref());
        let release = release.map_or("unseen".to_owned(), ToString::to_string);
        let health = match (node.is_healthy(), &node.reach) {
            (true, _) => "healthy".to_owned(),
            (false, quorate_model::Reach::Unreachable(because)) if !running => {
                format!("down ({because})")
            }
            (false, quorate_model::Reach::Unreachable(because)) => format!("unseen ({because})"),
            (false, quorate_model::Reach::Reachable) => "not healthy".to_owned(),
        };
        let role = format!("{:?}", node.role).to_lowercase();
        let _ = writeln!(
            said,
            "  {} {release} {role} {health} lag {}",
            node.name,
            node.lag.map_or("?".into(), |lag| lag.to_string())
        );
    }
    said
}

fn plan(sim: &mut Sim, to: &str) -> Answer {
    let product = Product::get();
    let target = release(to)?;
    let now = crate::clock::timestamp(sim.world.now);
    let (observation, _) = sim.world.look();
    let planned = quorate_planner::plan(&PlanRequest {
        cluster: &sim.cluster,
        pack: product.pack(),
        observation,
        to: &product.releases[target],
        artifacts: &product.artifacts,
        measured: &sim.measured,
        now,
        parent: None,
        state_files: &[],
        convert: None,
    });
    Ok(match planned {
        Planned::Ready(plan) => {
            let proof = quorate_checker::check(&plan);
            let mut said = summary(&plan);
            for violation in &proof {
                let _ = writeln!(said, "  BROKEN {violation}");
            }
            if proof.is_empty() {
                let _ = writeln!(said, "  proved: S1-S9 hold");
            }
            said
        }
        Planned::NothingToDo { text, .. } => format!("nothing to do: {text}\n"),
        Planned::NotNow(refusal) => {
            let mut said = String::new();
            for reason in &refusal.reasons {
                let _ = writeln!(
                    said,
                    "not now: {}",
                    serde_json::to_string(reason).unwrap_or_default()
                );
            }
            for way_out in &refusal.ways_out {
                let _ = writeln!(said, "  way out: {way_out}");
            }
            said
        }
    })
}

fn summary(plan: &Plan) -> String {
    let mut said = format!("plan {} -> {}\n", plan.from, plan.to);
    for hop in &plan.hops {
        let _ = writeln!(
            said,
            "  hop {} -> {} ({:?}, door {:?})",
            hop.from, hop.to, hop.kind, hop.one_way
        );
        for wave in &hop.waves {
            if let Some(lanes) = &wave.lanes {
                let names = wave.lane_places().into_iter().filter_map(|lane| {
                    let first = wave.steps.get(*lane.first()?)?;
                    first.node.as_ref().map(ToString::to_string)
                });
                let names = names.collect::<Vec<_>>().join(" ");
                let (most, failures) = (lanes.at_most, lanes.failures);
                let limits = format!("{most} at a time, {failures} may fail");
                let _ = writeln!(said, "    {} ({limits}): {names}", wave.id);
                continue;
            }
            let steps: Vec<_> =
                wave.steps.iter().map(|step| format!("{:?}", step.role).to_lowercase()).collect();
            let _ = writeln!(said, "    {}: {}", wave.id, steps.join(" "));
        }
    }
    said
}

fn told(sim: &mut Sim, session: Session) -> Answer {
    let mut said = match session {
        Session::Working => String::new(),
        Session::NothingToDo => "nothing to do\n".into(),
        Session::NotNow { text } => format!("not now: {text}\n"),
        Session::Held => "somebody else holds the cluster\n".into(),
        Session::Broken(text) => return Err(text),
    };
    said.push_str(&written(sim));
    Ok(said)
}

/// Lets things happen until that many more acts were begun, or the run is over.
fn step(sim: &mut Sim, acts: u32) -> String {
    let until = sim.acts.saturating_add(acts);
    for _ in 0..EVENTS_MAX {
        let working = sim.controllers.iter().any(crate::controller::Controller::is_working);
        if sim.acts >= until || !working || !sim.next() {
            break;
        }
    }
    let mut said = written(sim);
    for breach in sim.checks.breaches.drain(..) {
        let _ = writeln!(said, "  BROKEN {breach}");
    }
    said
}

fn written(sim: &mut Sim) -> String {
    let mut said = String::new();
    for event in std::mem::take(&mut sim.written) {
        let plan = sim.plans.last().map(|(_, plan)| plan.clone());
        if let ControlFlow::Continue(line) = line(&event, plan.as_deref()) {
            let _ = writeln!(said, "  {line}");
        }
    }
    said
}

/// An event as a line; those that only repeat what the line before says are left out.
fn line(event: &RunEvent, plan: Option<&Plan>) -> ControlFlow<(), String> {
    let acts = |id: &quorate_model::StepId| {
        let steps = plan
            .into_iter()
            .flat_map(|plan| &plan.hops)
            .flat_map(|h| &h.waves)
            .flat_map(|w| &w.steps);
        steps.into_iter().any(|step| {
            step.id == *id && !matches!(step.action, Action::Look | Action::Confirm { .. })
        })
    };
    ControlFlow::Continue(match event {
        RunEvent::Started { step, attempt } if acts(step) => format!("{step}: try {attempt}"),
        RunEvent::Acted { step, outcome: Outcome::Failed { because }, .. } => {
            format!("{step}: failed, {because}")
        }
        RunEvent::Acted { step, outcome: Outcome::Unknown { because }, .. } => {
            format!("{step}: unknown, {because}")
        }
        RunEvent::DoneProbed { step, done: false } => {
            format!("{step}: its probe says that it has not happened")
        }
        RunEvent::Finished { step, outcome: Outcome::Skipped { because }, .. } => {
            format!("{step}: skipped, {because}")
        }
        RunEvent::Finished { step, .. } => format!("{step}: done"),
        RunEvent::AskedApproval { text, .. } => format!("asks: {text}"),
        RunEvent::WorldSeen { differs } if differs.is_empty() => {
            "the world is as the journal implies".into()
        }
        RunEvent::WorldSeen { differs } => format!("the world differs: {}", differs.join("; ")),
        RunEvent::LeftBehind { node, hold } => {
            format!("{node} is left behind ({}): {}", hold.code, hold.text)
        }
        RunEvent::Retried { nodes } => {
            let names = nodes.iter().map(ToString::to_string).collect::<Vec<_>>();
            format!("once more: {}", names.join(" "))
        }
        RunEvent::Halted { hold } => format!("HALTED ({}): {}", hold.code, hold.text),
        RunEvent::Succeeded => "SUCCEEDED".into(),
        RunEvent::Aborted { by, reason } => format!("ABORTED by {by}: {reason}"),
        _ => return ControlFlow::Break(()),
    })
}
