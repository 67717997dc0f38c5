//! `quorate path`: the hops between two releases.

use crate::{
    args::{Drawing, Global, Output, PathArgs},
    print, site,
};
use quorate_model::{Door, Facts, Release, Risk, RuleVerdict};
use quorate_planner::{PathAnswer, PathOutcome, PathRequest, draw, path};
use quorate_runner::problem::{BAD_RELEASE, Problem};

pub(crate) fn run(global: &Global, args: &PathArgs) -> Result<u8, Problem> {
    let packs = site::packs(global)?;
    let pack = site::pack(&packs, &args.pack)?;
    let (from, to) = (release(&args.from)?, release(&args.to)?);
    let available = args.available.iter().map(|text| release(text)).collect::<Result<Vec<_>, _>>()?;
    let request = PathRequest {
        available: (!available.is_empty()).then_some(available.as_slice()),
        facts: facts(&args.fact)?,
        ..PathRequest::on_paper(&from, &to)
    };
    let answer = path(pack, &request);
    match args.format {
        Some(Drawing::Dot) => print::data(&draw::dot(pack, &answer)),
        Some(Drawing::Svg) => print::data(&draw::svg(pack, &answer)),
        Some(Drawing::Mermaid) => print::data(&draw::mermaid(pack, &answer)),
        None if global.output == Output::Json => print::json(&answer),
        None => print::data(&text(&answer, print::colored(global.color, &std::io::stdout()))),
    }
    Ok(match answer.outcome {
        PathOutcome::Path | PathOutcome::NothingToDo => 0,
        PathOutcome::Blocked => 3,
    })
}

/// Reads a release from the command line.
pub(crate) fn release(text: &str) -> Result<Release, Problem> {
    text.parse().map_err(|error| Problem::new(BAD_RELEASE, format!("{error}")))
}

fn facts(words: &[String]) -> Result<Facts, Problem> {
    words
        .iter()
        .map(|word| {
            let (name, value) = word.split_once('=').ok_or_else(|| {
                Problem::new(BAD_RELEASE, format!("`{word}` is no fact")).hint("write NAME=VALUE, like `auth=true`")
            })?;
            let value = serde_json::from_str(value).unwrap_or_else(|_| serde_json::Value::String(value.to_owned()));
            Ok((name.to_owned(), value))
        })
        .collect()
}

fn text(answer: &PathAnswer, color: bool) -> String {
    let PathAnswer { schema: _, pack, from, to, outcome, hops, refused, ways_out, notes } = answer;
    let mut out = match outcome {
        PathOutcome::Path => {
            let stops: Vec<String> =
                std::iter::once(from.to_string()).chain(hops.iter().map(|hop| hop.to.to_string())).collect();
            format!("{pack}: {}\n", stops.join(" -> "))
        }
        PathOutcome::Blocked => format!("{pack}: no path from {from} to {to}\n"),
        PathOutcome::NothingToDo => format!("{pack}: {from} is {to}: nothing to do\n"),
    };
    for (number, hop) in hops.iter().enumerate() {
        let door = match hop.one_way {
            Door::None => "the way back stays open",
            Door::LastMember => "one-way after the last member",
            Door::Now => "one-way from the first change",
            Door::Finalize => "one-way when finalized",
        };
        out.push_str(&format!("\n{}. {} -> {}  {} risk, {door}\n", number + 1, hop.from, hop.to, risk(hop.risk, color)));
        for rule in hop.rules.iter().filter(|rule| rule.verdict != RuleVerdict::NotApplicable) {
            let verdict = match rule.verdict {
                RuleVerdict::Allow => "allows",
                RuleVerdict::Block => "forbids",
                RuleVerdict::Condition => "asks",
                RuleVerdict::NotApplicable => "-",
            };
            out.push_str(&format!("   {} {verdict}: {}\n", rule.id, rule.text));
            out.push_str(&format!("      because {} ({})\n", rule.because, rule.sources.join("; ")));
        }
        for cure in &hop.cures {
            out.push_str(&format!("   cure before the first stop: {cure}\n"));
        }
    }
    if !refused.is_empty() {
        out.push_str("\nnot taken:\n");
    }
    for hop in refused {
        out.push_str(&format!("   {} -> {}  {}: {}\n", hop.from, hop.to, hop.rule, hop.because));
    }
    for way in ways_out {
        out.push_str(&format!("\nway out: {way}\n"));
    }
    for note in notes {
        out.push_str(&format!("\nnote: {note}\n"));
    }
    out
}

fn risk(risk: Risk, color: bool) -> String {
    let (word, code) = match risk {
        Risk::Low => ("low", "32"),
        Risk::Med => ("med", "33"),
        Risk::High => ("high", "31"),
    };
    if color { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() }
}
