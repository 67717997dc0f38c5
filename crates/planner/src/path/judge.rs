//! What the rules say of one move: permitted with a risk, or refused by whom and why.
//!
//! Invariant: on a cluster that was looked at, unknown refuses; on paper it becomes a condition that is still to prove.

use super::{
    PathHop, PathRequest, clause,
    graph::{Bits, ones},
};
use quorate_model::{Door, Facts, HopKind, Release, Risk, RuleApplied, RuleVerdict};
use quorate_packs::{
    Pack, Rule, Verdict,
    eval::{Scope, Truth},
};
use std::{cell::RefCell, collections::HashMap};

/// Evaluates rules, each expression once for all the moves that it cannot tell apart.
pub(super) struct Judge<'a> {
    scope: Scope,
    observed: bool,
    nodes: Vec<Release>,
    never_land: Vec<Option<usize>>,
    speaks: Vec<Vec<Option<(u32, u32)>>>,
    truths: RefCell<HashMap<(&'a str, Option<usize>, Option<usize>), Truth>>,
}

/// Something that refuses a move.
#[derive(Debug, Clone)]
pub(super) struct Refusing {
    /// The rule's id.
    pub(super) rule: String,
    /// In a sentence.
    pub(super) because: String,
    /// What a person can do.
    pub(super) way_out: Option<String>,
    /// How near a way out is: lower is nearer.
    pub(super) distance: u8,
}

/// What one rule means for one move.
enum Stand {
    Aside,
    Permits,
    Refuses,
    Holds,
    ToProve(String),
    ToCure,
}

impl<'a> Judge<'a> {
    pub(super) fn new(pack: &'a Pack, request: &PathRequest<'a>, facts: &Facts, nodes: &[Release]) -> Self {
        let scope = match request.observation {
            Some(seen) => Scope::cluster(pack, seen, None, None),
            None => Scope::paper(facts, None, None),
        };
        let never = |release: &Release| {
            pack.known_issues.iter().position(|issue| issue.never_land && issue.affects.contains(release))
        };
        let speaks = pack.protocols.iter().map(|protocol| {
            let of = |release: &Release| {
                protocol.speaks.iter().find(|s| s.releases.contains(release)).map(|s| (s.min, s.max))
            };
            nodes.iter().map(of).collect()
        });
        Self {
            scope,
            observed: request.observation.is_some(),
            never_land: nodes.iter().map(never).collect(),
            speaks: speaks.collect(),
            nodes: nodes.to_vec(),
            truths: RefCell::new(HashMap::new()),
        }
    }

    /// The risk of a move, or nothing when it is refused.
    pub(super) fn risk(&self, pack: &'a Pack, (a, b): (usize, usize), rules: &Bits) -> Option<Risk> {
        if self.never_land[b].is_some() || self.silent_protocol(a, b).is_some() {
            return None;
        }
        let mut permitted = false;
        let mut worst = Risk::Low;
        for rule in ones(rules).map(|i| &pack.rules[i]) {
            match self.stand(pack, rule, (a, b)) {
                Stand::Aside => continue,
                Stand::Refuses => return None,
                Stand::Permits => permitted = true,
                Stand::Holds | Stand::ToProve(_) | Stand::ToCure => {}
            }
            worst = worst.max(rule.risk);
        }
        permitted.then_some(worst)
    }

    /// The move in full, or everything that refuses it, nearest to a way out first.
    pub(super) fn hop(
        &self,
        pack: &'a Pack,
        (a, b): (usize, usize),
        (from, to): (&Release, &Release),
        rules: &Bits,
    ) -> Result<PathHop, Vec<Refusing>> {
        let mut hop = PathHop {
            from: from.clone(),
            to: to.clone(),
            kind: HopKind::Rolling,
            risk: Risk::Low,
            one_way: Door::None,
            rules: Vec::new(),
            cures: Vec::new(),
        };
        let mut refusing = Vec::new();
        let mut permitted = false;
        for rule in ones(rules).map(|i| &pack.rules[i]) {
            let stand = self.stand(pack, rule, (a, b));
            match &stand {
                Stand::Aside => hop.rules.push(aside(rule)),
                Stand::Refuses => refusing.push(self.refusing(pack, rule, (a, b))),
                Stand::Permits | Stand::Holds | Stand::ToProve(_) | Stand::ToCure => {
                    permitted |= matches!(stand, Stand::Permits);
                    add_to_hop(&mut hop, rule, &stand);
                }
            }
        }
        refusing.extend(self.never_lands(pack, b));
        refusing.extend(self.silent_protocol(a, b).map(|i| self.protocol_refusal(pack, i, (a, b))));
        if !permitted {
            refusing.push(not_permitted(pack, from, to));
        }
        if refusing.is_empty() {
            return Ok(hop);
        }
        refusing.sort_by_key(|refusing| refusing.distance);
        Err(refusing)
    }

    fn stand(&self, pack: &'a Pack, rule: &'a Rule, hop: (usize, usize)) -> Stand {
        let applies = rule.applies_when.as_ref().map_or(Truth::True, |cel| self.truth(pack, cel, hop));
        if applies.is_false() {
            return Stand::Aside;
        }
        match (rule.verdict, applies) {
            (Verdict::Allow, Truth::Unknown { .. }) if self.observed => Stand::Aside,
            (Verdict::Allow, _) => Stand::Permits,
            (Verdict::Block, Truth::Unknown { what }) if !self.observed => Stand::ToProve(what),
            (Verdict::Block, _) => Stand::Refuses,
            (Verdict::Condition, _) => self.stand_of_condition(pack, rule, hop),
        }
    }

    fn stand_of_condition(&self, pack: &'a Pack, rule: &'a Rule, hop: (usize, usize)) -> Stand {
        let Some(cel) = &rule.condition else { return Stand::Holds };
        match self.truth(pack, cel, hop) {
            Truth::True => Stand::Holds,
            Truth::False | Truth::Unknown { .. } if !rule.cures.is_empty() => Stand::ToCure,
            Truth::Unknown { what } if !self.observed => Stand::ToProve(what),
            Truth::False | Truth::Unknown { .. } => Stand::Refuses,
        }
    }

    /// Evaluates once for each start or target that the expression speaks of.
    fn truth(&self, pack: &Pack, cel: &'a str, (a, b): (usize, usize)) -> Truth {
        let of_from = speaks_of(cel, "from").then_some(a);
        let of_to = speaks_of(cel, "to").then_some(b);
        let key = (cel, of_from, of_to);
        if let Some(known) = self.truths.borrow().get(&key) {
            return known.clone();
        }
        let truth = if of_from.is_none() && of_to.is_none() {
            pack.holds(cel, &self.scope)
        } else {
            pack.holds(cel, &self.scope.with_releases(Some(&self.nodes[a]), Some(&self.nodes[b])))
        };
        self.truths.borrow_mut().insert(key, truth.clone());
        truth
    }

    fn refusing(&self, pack: &'a Pack, rule: &'a Rule, hop: (usize, usize)) -> Refusing {
        let cel = match rule.verdict {
            Verdict::Condition => rule.condition.as_ref(),
            Verdict::Allow | Verdict::Block => rule.applies_when.as_ref(),
        };
        let unseen = match cel.map(|cel| self.truth(pack, cel, hop)) {
            Some(Truth::Unknown { what }) => format!(" (could not be looked at: {what})"),
            Some(Truth::True | Truth::False) | None => String::new(),
        };
        let conditional = rule.condition.is_some() || rule.applies_when.is_some();
        let distance = match (&rule.way_out, conditional) {
            (Some(_), true) => 0,
            (Some(_), false) => 1,
            (None, true) => 2,
            (None, false) => 3,
        };
        Refusing {
            rule: rule.id.clone(),
            because: format!("{}: {}{unseen}", clause(&rule.text), clause(&rule.because)),
            way_out: rule.way_out.clone(),
            distance,
        }
    }

    /// Whether no hop may land there.
    pub(super) fn is_grave(&self, b: usize) -> bool {
        self.never_land[b].is_some()
    }

    fn never_lands(&self, pack: &Pack, b: usize) -> Option<Refusing> {
        let issue = &pack.known_issues[self.never_land[b]?];
        Some(Refusing {
            rule: issue.id.clone(),
            because: format!("never land here: {}", clause(&issue.text)),
            way_out: Some(issue.advice.clone()),
            distance: 1,
        })
    }

    /// The first protocol in which the two do not overlap, or of which the pack cannot tell.
    fn silent_protocol(&self, a: usize, b: usize) -> Option<usize> {
        self.speaks.iter().position(|of| match (of[a], of[b]) {
            (Some((a_min, a_max)), Some((b_min, b_max))) => a_max < b_min || b_max < a_min,
            _ => true,
        })
    }

    fn protocol_refusal(&self, pack: &Pack, index: usize, (a, b): (usize, usize)) -> Refusing {
        let protocol = &pack.protocols[index];
        let text = |node: usize| match self.speaks[index][node] {
            Some((min, max)) => format!("{} speaks {min} to {max}", self.nodes[node]),
            None => format!("what {} speaks is not known", self.nodes[node]),
        };
        Refusing {
            rule: format!("protocol:{}", protocol.name),
            because: format!(
                "protocol {} must overlap: {}, {}; {}",
                protocol.name,
                text(a),
                text(b),
                clause(&protocol.because)
            ),
            way_out: None,
            distance: 4,
        }
    }
}

/// Whether an expression uses a variable, not counting fields and texts of that name too strictly: a false "yes" only
/// costs time.
fn speaks_of(cel: &str, variable: &str) -> bool {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    cel.match_indices(variable).any(|(at, found)| {
        let before = cel[..at].chars().next_back();
        let after = cel[at + found.len()..].chars().next();
        !before.is_some_and(|c| part_of_word(c) || c == '.') && !after.is_some_and(part_of_word)
    })
}

fn not_permitted(pack: &Pack, from: &Release, to: &Release) -> Refusing {
    match &pack.default_refusal {
        Some(refusal) => Refusing {
            rule: refusal.id.clone(),
            because: format!("{}: {}", clause(&refusal.text), clause(&refusal.because)),
            way_out: None,
            distance: 5,
        },
        None => Refusing {
            rule: "no-rule".into(),
            because: format!("no rule of the pack permits {from} -> {to}"),
            way_out: None,
            distance: 5,
        },
    }
}

fn aside(rule: &Rule) -> RuleApplied {
    let because = match &rule.applies_when {
        Some(_) => format!("proved not to concern this cluster: {}", clause(&rule.because)),
        None => clause(&rule.because).to_owned(),
    };
    RuleApplied { verdict: RuleVerdict::NotApplicable, because, ..applied(rule) }
}

fn applied(rule: &Rule) -> RuleApplied {
    RuleApplied {
        id: rule.id.clone(),
        verdict: match rule.verdict {
            Verdict::Allow => RuleVerdict::Allow,
            Verdict::Block => RuleVerdict::Block,
            Verdict::Condition => RuleVerdict::Condition,
        },
        text: rule.text.clone(),
        because: rule.because.clone(),
        risk: rule.risk,
        sources: rule.sources.clone(),
        cures: Vec::new(),
    }
}

fn add_to_hop(hop: &mut PathHop, rule: &Rule, stand: &Stand) {
    let mut entry = applied(rule);
    match stand {
        Stand::ToProve(what) => {
            entry.verdict = RuleVerdict::Condition;
            entry.because = format!("still to prove ({what}): {}", rule.because);
        }
        Stand::ToCure => {
            entry.cures.clone_from(&rule.cures);
            for cure in &rule.cures {
                if !hop.cures.contains(cure) {
                    hop.cures.push(cure.clone());
                }
            }
        }
        Stand::Aside | Stand::Permits | Stand::Refuses | Stand::Holds => {}
    }
    hop.rules.push(entry);
    hop.risk = hop.risk.max(rule.risk);
    if let Some(kind) = rule.kind.filter(|kind| kind_rank(*kind) > kind_rank(hop.kind)) {
        hop.kind = kind;
    }
    if let Some(door) = rule.one_way.filter(|door| door_rank(*door) > door_rank(hop.one_way)) {
        hop.one_way = door;
    }
}

fn kind_rank(kind: HopKind) -> u8 {
    match kind {
        HopKind::Rolling => 0,
        HopKind::FullStop => 1,
        HopKind::Offline => 2,
    }
}

/// The earlier a door closes, the graver it is.
fn door_rank(door: Door) -> u8 {
    match door {
        Door::None => 0,
        Door::Finalize => 1,
        Door::LastMember => 2,
        Door::Now => 3,
    }
}
