//! Finds the hops from one release to another: fewest risks first, then fewest hops, then the newest patches.
//!
//! Invariant: every hop of an answer is an edge of the pack's release graph; what is unknown on a real cluster refuses.
//! Invariant: same input, same path. Ties end at the order of releases.
//! Read next: `graph.rs` (edges), `judge.rs` (what a rule says of one), `search.rs` (the choice), `refused.rs`.

mod conversion;
mod dependants;
mod edge;
mod graph;
mod judge;
mod refused;
mod search;

pub use edge::edge;

use graph::Graph;
use quorate_model::{
    Dependant, Door, Facts, HopKind, Observation, PackName, Refused, Release, Risk, RuleApplied,
    Severity, Spoken, hop_title,
};
use quorate_packs::{Pack, eval::Scope};
use serde::{Deserialize, Serialize};

/// Version of the answer's JSON.
pub const PATH_SCHEMA: u32 = 1;

/// What is asked.
#[derive(Debug, Clone)]
pub struct PathRequest<'a> {
    /// The release to start from.
    pub from: &'a Release,
    /// The release to reach.
    pub to: &'a Release,
    /// Releases that can be had; every release that the pack knows when left out.
    pub available: Option<&'a [Release]>,
    /// The cluster that shall go there; without one the path is worked out on paper.
    pub observation: Option<&'a Observation>,
    /// Cluster facts given by hand, on paper.
    pub facts: Facts,
    /// Applications that live by the cluster; none on paper.
    pub dependants: &'a [Dependant],
    /// Whether the plan may rewrite settings, so that a rule may be met by a rewrite that the pack knows.
    pub rewrite: bool,
    /// The change of the form of the data that the path shall lead through, as the pack names it.
    pub convert: Option<&'a str>,
}

impl<'a> PathRequest<'a> {
    /// Asks on paper, with every release that the pack knows.
    pub fn on_paper(from: &'a Release, to: &'a Release) -> Self {
        Self {
            from,
            to,
            available: None,
            observation: None,
            facts: Facts::new(),
            dependants: &[],
            rewrite: false,
            convert: None,
        }
    }
}

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathOutcome {
    /// There is a chain of permitted hops.
    Path,
    /// There is none; `refused` says why.
    Blocked,
    /// The start is the target.
    NothingToDo,
}

/// The hops, or why there are none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PathAnswer {
    /// [`PATH_SCHEMA`].
    pub schema: u32,
    /// The product.
    pub pack: PackName,
    /// The start.
    pub from: Release,
    /// The target.
    pub to: Release,
    /// What came out.
    pub outcome: PathOutcome,
    /// In order.
    pub hops: Vec<PathHop>,
    /// Tempting hops that were not taken, each with the rule nearest to a way out.
    pub refused: Vec<Refused>,
    /// What a person can do about a refusal, smallest change first.
    pub ways_out: Vec<String>,
    /// What was taken for granted, and what is good to know.
    pub notes: Vec<String>,
}

/// One permitted hop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PathHop {
    /// Where it starts.
    pub from: Release,
    /// Where it lands.
    pub to: Release,
    /// How members move.
    pub kind: HopKind,
    /// The change of the form of the data that it is for, as the pack names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion: Option<String>,
    /// The gravest risk of its rules.
    pub risk: Risk,
    /// Where the way back closes.
    pub one_way: Door,
    /// Rules that were looked at for it.
    pub rules: Vec<RuleApplied>,
    /// Names of the pack's cures that run before the first stop.
    pub cures: Vec<String>,
    /// What both releases speak of each protocol that must overlap.
    pub protocols: Vec<Spoken>,
}

impl PathHop {
    /// For people: `3.3.25 -> 3.4.23`, or `v2-to-v3 on 3.3.25`.
    pub fn title(&self) -> String {
        hop_title(self.conversion.as_deref(), &self.from, &self.to, "->")
    }
    /// What it leads to, for people.
    pub(crate) fn leads_to(&self) -> String {
        self.conversion.clone().unwrap_or_else(|| self.to.to_string())
    }
}

/// Finds the hops. Never fails: a request that leads nowhere gets a `blocked` answer with reasons.
pub fn path(pack: &Pack, request: &PathRequest<'_>) -> PathAnswer {
    path_in(pack, request, None)
}

/// The same with a scope over the request's observation that was already built, without releases.
pub(crate) fn path_in(pack: &Pack, request: &PathRequest<'_>, scope: Option<&Scope>) -> PathAnswer {
    let mut answer = PathAnswer {
        schema: PATH_SCHEMA,
        pack: pack.pack.clone(),
        from: request.from.clone(),
        to: request.to.clone(),
        outcome: PathOutcome::Blocked,
        hops: Vec::new(),
        refused: Vec::new(),
        ways_out: Vec::new(),
        notes: Vec::new(),
    };
    if request.to < request.from {
        refused::refuse_downgrade(pack, &mut answer);
        return answer;
    }
    if let Some(name) = request.convert {
        return conversion::lead(pack, request, scope, (name, answer));
    }
    if request.from == request.to {
        answer.outcome = PathOutcome::NothingToDo;
        return answer;
    }
    let facts = assumed_facts(pack, request, &mut answer.notes);
    let graph = Graph::new(pack, request, &facts, scope);
    match search::search(&graph) {
        Some(chosen) => {
            answer.outcome = PathOutcome::Path;
            for (a, b) in chosen.iter().zip(chosen.iter().skip(1)) {
                if let Ok(hop) = graph.hop(*a, *b) {
                    answer.hops.push(hop);
                }
            }
            refused::tempting_hops(&graph, &chosen, &mut answer);
            note_landings(pack, &mut answer);
        }
        None => {
            refused::nearest_refusals(&graph, &mut answer);
            refused::ways_out_by_other_releases(pack, request, &mut answer);
        }
    }
    answer
}

/// Facts for a path on paper: what was given by hand goes before what the pack takes for granted.
fn assumed_facts(pack: &Pack, request: &PathRequest<'_>, notes: &mut Vec<String>) -> Facts {
    let mut facts = request.facts.clone();
    if request.observation.is_some() {
        return facts;
    }
    for assumption in pack.assumptions.iter().filter(|a| a.from.contains(request.from)) {
        if facts.contains_key(&assumption.fact) {
            continue;
        }
        facts.insert(assumption.fact.clone(), assumption.value.clone());
        notes.push(format!(
            "taken for granted: {} = {}, because {}",
            assumption.fact,
            assumption.value,
            clause(&assumption.because)
        ));
    }
    facts
}

/// Known faults, beyond mere notes, of the releases that the path lands on.
fn note_landings(pack: &Pack, answer: &mut PathAnswer) {
    let worth_telling = || pack.known_issues.iter().filter(|issue| issue.severity > Severity::Note);
    for hop in &answer.hops {
        for issue in worth_telling().filter(|issue| issue.affects.contains(&hop.to)) {
            answer.notes.push(format!("{} has {}: {}", hop.to, issue.id, issue.text));
        }
    }
}

/// A sentence as part of another one: without its full stop.
pub(crate) fn clause(sentence: &str) -> &str {
    sentence.trim().trim_end_matches('.')
}
