//! Tempting hops that were not taken, and what a person can do about it.

use super::{PathAnswer, PathOutcome, PathRequest, clause, graph::Graph, judge::Refusing, path};
use quorate_model::{Refused, Release};
use quorate_packs::{CompleteRollback, Pack};

/// A poster has room for so many; the nearest to the start come first.
const REFUSED_MAX: usize = 12;

/// From the start of each chosen hop: straight to the target, over a line, and onto a release with a grave fault.
pub(super) fn tempting_hops(graph: &Graph<'_>, chosen: &[usize], answer: &mut PathAnswer) {
    for (start, next) in chosen.iter().zip(chosen.iter().skip(1)) {
        let mut tempting = vec![graph.target()];
        tempting.extend(newest_beyond(graph, *start));
        tempting.extend(newest_fault_near(graph, *start, *next));
        for target in tempting.into_iter().filter(|target| target != next) {
            refuse(graph, *start, target, answer);
        }
    }
}

/// Without a path: the direct hop, and from the furthest releases that can be reached, what comes next.
pub(super) fn nearest_refusals(graph: &Graph<'_>, answer: &mut PathAnswer) {
    let mut ways_out = Vec::new();
    ways_out.extend(refuse(graph, graph.start(), graph.target(), answer));
    let furthest = (graph.start()..graph.target()).rev().find(|node| graph.reachable(*node));
    if let Some(node) = furthest {
        ways_out.extend(refuse(graph, node, graph.target(), answer));
        let next =
            graph.onward(node).find(|b| !graph.same_line(node, *b) && graph.newest_of_line(*b));
        if let Some(next) = next {
            ways_out.extend(refuse(graph, node, next, answer));
        }
    }
    for way in ways_out.iter().rev() {
        if !answer.ways_out.contains(way) {
            answer.ways_out.push(way.clone());
        }
    }
}

/// Refuses the whole way for one reason.
pub(super) fn refuse_all(
    mut answer: PathAnswer,
    rule: &str,
    because: String,
    way_out: String,
) -> PathAnswer {
    let (from, to) = (answer.from.clone(), answer.to.clone());
    answer.refused.push(Refused { from, to, rule: rule.to_owned(), because });
    answer.ways_out.push(way_out);
    answer
}

/// Adds the refusal of one hop, when it is refused and not yet named. Gives its ways out.
fn refuse(graph: &Graph<'_>, from: usize, to: usize, answer: &mut PathAnswer) -> Vec<String> {
    let (from_release, to_release) = (graph.release(from), graph.release(to));
    let named =
        answer.refused.iter().any(|known| known.from == *from_release && known.to == *to_release);
    if from >= to || named || answer.refused.len() >= REFUSED_MAX {
        return Vec::new();
    }
    let Err(refusing) = graph.hop(from, to) else { return Vec::new() };
    let Some(nearest) = refusing.first() else { return Vec::new() };
    let others: Vec<_> = refusing.iter().skip(1).map(|other| other.rule.as_str()).collect();
    let also =
        if others.is_empty() { String::new() } else { format!(" (also {})", others.join(", ")) };
    answer.refused.push(Refused {
        from: from_release.clone(),
        to: to_release.clone(),
        rule: nearest.rule.clone(),
        because: format!("{}{also}", clause(&nearest.because)),
    });
    refusing
        .iter()
        .filter(|r| r.distance < FAR)
        .filter_map(|r: &Refusing| r.way_out.clone())
        .collect()
}

/// Refusals from here on need another hop, not a deed.
const FAR: u8 = 4;

/// The newest release of the line after the next.
fn newest_beyond(graph: &Graph<'_>, start: usize) -> Option<usize> {
    let lines =
        graph.onward(start).filter(|b| !graph.same_line(start, *b) && graph.newest_of_line(*b));
    lines.take(2).nth(1)
}

/// The newest release with a grave fault that lies in the line that the hop goes to.
fn newest_fault_near(graph: &Graph<'_>, start: usize, next: usize) -> Option<usize> {
    graph.onward(start).rev().find(|b| graph.same_line(next, *b) && graph.judge.is_grave(*b))
}

/// An older target: no hop leads there; the pack says what does.
pub(super) fn refuse_downgrade(pack: &Pack, answer: &mut PathAnswer) {
    let (from, to) = (&answer.from, &answer.to);
    let rule =
        pack.recipes.rollback.iter().find(|rule| rule.from.contains(from) && rule.to.contains(to));
    let (because, ways_out) = match rule {
        None => (
            format!("{to} is older than {from}, and the pack knows no way back between them"),
            vec![format!("build a new cluster at {to} and bring the data over")],
        ),
        Some(rule) => (
            format!("{to} is older than {from}: {}", clause(&rule.text)),
            ways_back(rule, from, to),
        ),
    };
    answer.refused.push(Refused {
        from: from.clone(),
        to: to.clone(),
        rule: "downgrade".into(),
        because,
    });
    answer.ways_out = ways_out;
}

fn ways_back(rule: &quorate_packs::RollbackRule, from: &Release, to: &Release) -> Vec<String> {
    let mut ways = Vec::new();
    if rule.mixed {
        ways.push(format!(
            "while members are mixed: `quorate rollback RUN` puts {to} back, member by member"
        ));
    }
    match rule.complete {
        CompleteRollback::Restore => ways.push(format!(
            "once the cluster has taken {from}: `quorate rollback RUN` restores the backup made on {to}; writes since then are lost"
        )),
        CompleteRollback::None => ways.push(format!("once the cluster has taken {from}: nothing goes back")),
    }
    ways
}

/// Whether more releases would open a path, and which.
pub(super) fn ways_out_by_other_releases(
    pack: &Pack,
    request: &PathRequest<'_>,
    answer: &mut PathAnswer,
) {
    let Some(available) = request.available else { return };
    let all = path(pack, &PathRequest { available: None, ..request.clone() });
    if all.outcome != PathOutcome::Path {
        return;
    }
    let missing: Vec<_> = all
        .hops
        .iter()
        .map(|hop| &hop.to)
        .filter(|to| !available.contains(to) && **to != answer.to)
        .collect();
    if missing.is_empty() {
        return;
    }
    let names = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    let way = std::iter::once(&answer.from).chain(all.hops.iter().map(|hop| &hop.to));
    let way = way.map(ToString::to_string).collect::<Vec<_>>().join(" -> ");
    answer.ways_out.insert(0, format!("get {names}; then the path is {way}"));
}
