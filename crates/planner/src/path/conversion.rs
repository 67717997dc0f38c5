//! Leads a path through a change of the form of the data: the hops before it are judged by what is there now, those after it by
//! what it leaves.
//!
//! It is done as late as it may: on the last release before those that want it done, on that which runs when they have begun.

use super::{PathAnswer, PathHop, PathOutcome, PathRequest, clause, path_in, refused::refuse_all};
use quorate_model::{
    Dependant, Door, Facts, HopKind, NEEDS, Observation, Release, Risk, RuleApplied, RuleVerdict,
};
use quorate_packs::{Conversion, Pack, eval::Scope};
use serde_json::Value;

/// Finds the hops before it, itself, and the hops after it.
pub(super) fn lead(
    pack: &Pack,
    request: &PathRequest<'_>,
    scope: Option<&Scope>,
    (name, mut answer): (&str, PathAnswer),
) -> PathAnswer {
    let Some(conversion) = pack.recipes.conversions.get(name) else {
        let known: Vec<&str> = pack.recipes.conversions.keys().map(String::as_str).collect();
        let because = match known.is_empty() {
            true => format!("pack {} converts nothing", pack.pack),
            false => format!(
                "pack {} knows no conversion `{name}`, it knows {}",
                pack.pack,
                known.join(", ")
            ),
        };
        return refuse_all(answer, name, because, "plan without `--convert`".into());
    };
    if let Some((because, way_out)) = pointless(pack, request, scope, (name, conversion)) {
        return refuse_all(answer, name, because, way_out);
    }
    let after = request.observation.map(|seen| as_if_converted(seen, conversion));
    let facts = given(&request.facts, conversion);
    let plain = PathRequest { convert: None, ..request.clone() };
    let later = PathRequest { observation: after.as_ref(), facts, ..plain.clone() };
    let whole = path_in(pack, &later, None);
    if whole.outcome == PathOutcome::Blocked {
        return whole;
    }
    let Some(at) = place(&whole, request.from, conversion) else {
        let because = format!(
            "{name} is done on {}, and no release of the way from {} to {} is one of these",
            conversion.releases, request.from, request.to
        );
        let way_out = "choose a target that the way to leads over one of them".to_owned();
        return refuse_all(answer, name, because, way_out);
    };
    let before = path_in(pack, &PathRequest { to: &at, ..plain }, scope);
    if before.outcome == PathOutcome::Blocked {
        return before;
    }
    let after = path_in(pack, &PathRequest { from: &at, ..later }, None);
    if after.outcome == PathOutcome::Blocked {
        return after;
    }
    answer.outcome = PathOutcome::Path;
    for part in [&before, &after] {
        answer.refused.extend(part.refused.iter().cloned());
        let new = part.notes.iter().filter(|note| !answer.notes.contains(note));
        let new: Vec<String> = new.cloned().collect();
        answer.notes.extend(new);
    }
    answer.hops.extend(before.hops);
    answer.hops.push(hop(name, conversion, &at));
    answer.hops.extend(after.hops);
    answer
}

/// Why it cannot be asked for here, and what to do instead.
fn pointless(
    pack: &Pack,
    request: &PathRequest<'_>,
    scope: Option<&Scope>,
    (name, conversion): (&str, &Conversion),
) -> Option<(String, String)> {
    if let Some(seen) = request.observation {
        let own = scope.is_none().then(|| Scope::cluster(pack, seen, None, None));
        let there = own.as_ref().or(scope).map(|scope| pack.holds(&conversion.when, scope));
        if there.is_some_and(|truth| truth.is_false()) {
            let because =
                format!("there is nothing left of which {} could be made", conversion.title);
            return Some((because, "plan without `--convert`".into()));
        }
    }
    let unswitched = |one: &&Dependant| {
        let ends = one.needs.iter().any(|need| conversion.ends.contains(need));
        let switch = one.runs.as_ref().and_then(|runs| runs.switch.as_ref());
        ends && switch.is_none()
    };
    let one = request.dependants.iter().find(unswitched)?;
    Some((
        format!(
            "{} needs {}, which ends with {name}, and nobody said how it is switched",
            one.name,
            conversion.ends.join(" and ")
        ),
        format!(
            "say `runs.switch` and `runs.switch_back` of {} in the fleet file; or switch it before, and take that out of its `needs`",
            one.name
        ),
    ))
}

/// The release on which it is done.
fn place(whole: &PathAnswer, from: &Release, conversion: &Conversion) -> Option<Release> {
    let way = || std::iter::once(from).chain(whole.hops.iter().map(|hop| &hop.to));
    let can = |release: &&Release| conversion.releases.contains(release);
    let early = way().rev().filter(can).find(|release| !conversion.before.contains(release));
    early.or_else(|| way().find(can)).cloned()
}

/// The observation as it would be right after it.
fn as_if_converted(seen: &Observation, conversion: &Conversion) -> Observation {
    let mut after = seen.clone();
    after.facts = given(&after.facts, conversion);
    for node in &mut after.nodes {
        for (fact, value) in &conversion.gives {
            node.facts.insert(fact.clone(), value.clone());
        }
    }
    after
}

fn given(facts: &Facts, conversion: &Conversion) -> Facts {
    let mut facts = facts.clone();
    for (fact, value) in &conversion.gives {
        facts.insert(fact.clone(), value.clone());
    }
    if let Some(Value::Array(needs)) = facts.get_mut(NEEDS) {
        needs.retain(|need| !conversion.ends.iter().any(|end| need.as_str() == Some(end)));
    }
    facts
}

fn hop(name: &str, conversion: &Conversion, at: &Release) -> PathHop {
    PathHop {
        from: at.clone(),
        to: at.clone(),
        kind: HopKind::Offline,
        conversion: Some(name.to_owned()),
        risk: Risk::High,
        one_way: Door::Finalize,
        rules: vec![RuleApplied {
            id: name.to_owned(),
            verdict: RuleVerdict::Allow,
            text: conversion.title.clone(),
            because: clause(&conversion.because).to_owned(),
            risk: Risk::High,
            sources: conversion.sources.clone(),
            cures: Vec::new(),
            rewrites: Vec::new(),
        }],
        cures: Vec::new(),
        protocols: Vec::new(),
    }
}
