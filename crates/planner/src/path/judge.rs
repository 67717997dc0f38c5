//! What the rules say of one move: permitted with a risk, or refused by whom and why.
//!
//! Invariant: on a cluster that was looked at, unknown refuses; on paper it becomes a condition that is still to prove.

use super::{
    PathHop, PathRequest, clause, dependants,
    graph::{Bits, ones},
};
use quorate_model::{Door, Facts, HopKind, Release, Risk, RuleApplied, RuleVerdict, Spoken};
use quorate_packs::{
    Pack, Rule, Verdict,
    eval::{Scope, Truth},
};
use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
};

/// Evaluates rules, each expression once for all the moves that it cannot tell apart.
pub(super) struct Judge {
    scope: Scope,
    observed: bool,
    rewrite: bool,
    nodes: Vec<Release>,
    never_land: Vec<Option<usize>>,
    /// Which applications refuse a release, and why.
    unwanted: Vec<Option<Refusing>>,
    speaks: Vec<Vec<Option<(u32, u32)>>>,
    rules: Vec<RuleReading>,
}

/// The start and the target of a move, as far as a rule tells them apart.
type Apart = (Option<usize>, Option<usize>);

/// What is known of a rule so far.
#[derive(Default)]
struct RuleReading {
    /// Its expressions speak of the hop's start, its target.
    speaks_of: (bool, bool),
    /// What it means, for each start and target that it can tell apart.
    stands: RefCell<HashMap<Apart, Stand>>,
    /// The same for a rule that tells no hops apart.
    everywhere: OnceCell<Stand>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Aside,
    Permits,
    Refuses,
    Holds,
    ToProve,
    ToCure,
    ToRewrite,
}

impl Judge {
    pub(super) fn new(
        pack: &Pack,
        request: &PathRequest<'_>,
        facts: &Facts,
        scope: Option<&Scope>,
        nodes: &[Release],
    ) -> Self {
        let scope = match (request.observation, scope) {
            (Some(_), Some(scope)) => scope.clone(),
            (Some(seen), None) => Scope::cluster(pack, seen, None, None),
            (None, _) => Scope::paper(facts, None, None),
        };
        let never = |release: &Release| {
            pack.known_issues
                .iter()
                .position(|issue| issue.never_land && issue.affects.contains(release))
        };
        let speaks = pack.protocols.iter().map(|protocol| {
            let of = |release: &Release| {
                protocol
                    .speaks
                    .iter()
                    .find(|s| s.releases.contains(release))
                    .map(|s| (s.min, s.max))
            };
            nodes.iter().map(of).collect()
        });
        Self {
            scope,
            observed: request.observation.is_some(),
            rewrite: request.rewrite,
            never_land: nodes.iter().map(never).collect(),
            unwanted: nodes.iter().map(|to| dependants::refuse(request.dependants, to)).collect(),
            speaks: speaks.collect(),
            nodes: nodes.to_vec(),
            rules: pack.rules.iter().map(RuleReading::new).collect(),
        }
    }

    /// Whether two releases can run side by side at all, and the second may be landed on.
    pub(super) fn may_meet(&self, a: usize, b: usize) -> bool {
        self.never_land[b].is_none()
            && self.unwanted[b].is_none()
            && self.silent_protocol(a, b).is_none()
    }

    /// Whether some of these rules mean different things for different moves.
    pub(super) fn tells_apart(&self, rules: &Bits) -> bool {
        ones(rules).any(|index| self.rules[index].speaks_of != (false, false))
    }

    /// The risk that the rules see in a move, or nothing when they refuse it.
    pub(super) fn risk(&self, pack: &Pack, (a, b): (usize, usize), rules: &Bits) -> Option<Risk> {
        let mut permitted = false;
        let mut worst = Risk::Low;
        for index in ones(rules) {
            match self.stand(pack, index, (a, b)) {
                Stand::Aside => continue,
                Stand::Refuses => return None,
                Stand::Permits => permitted = true,
                Stand::Holds | Stand::ToProve | Stand::ToCure | Stand::ToRewrite => {}
            }
            worst = worst.max(pack.rules[index].risk);
        }
        permitted.then_some(worst)
    }

    /// The move in full, or everything that refuses it, nearest to a way out first.
    pub(super) fn hop(
        &self,
        pack: &Pack,
        (a, b): (usize, usize),
        (from, to): (&Release, &Release),
        rules: &Bits,
    ) -> Result<PathHop, Vec<Refusing>> {
        let mut hop = PathHop {
            from: from.clone(),
            to: to.clone(),
            kind: HopKind::Rolling,
            conversion: None,
            risk: Risk::Low,
            one_way: Door::None,
            rules: Vec::new(),
            cures: Vec::new(),
            protocols: self.spoken(pack, a, b),
        };
        let mut refusing = Vec::new();
        let mut permitted = false;
        for index in ones(rules) {
            let rule = &pack.rules[index];
            let stand = self.stand(pack, index, (a, b));
            match stand {
                Stand::Aside => hop.rules.push(aside(rule)),
                Stand::Refuses => refusing.push(self.refusing(pack, rule, (a, b))),
                Stand::Permits
                | Stand::Holds
                | Stand::ToProve
                | Stand::ToCure
                | Stand::ToRewrite => {
                    permitted |= stand == Stand::Permits;
                    add_to_hop(&mut hop, rule, stand, self.unseen(pack, rule, (a, b)));
                }
            }
        }
        refusing.extend(self.never_lands(pack, b));
        refusing.extend(self.unwanted[b].clone());
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

    /// What a rule means for a move, worked out once for all moves that it cannot tell apart.
    fn stand(&self, pack: &Pack, index: usize, (a, b): (usize, usize)) -> Stand {
        let (rule, reading) = (&pack.rules[index], &self.rules[index]);
        let key = match reading.speaks_of {
            (false, false) => {
                return *reading.everywhere.get_or_init(|| self.stand_afresh(pack, rule, (a, b)));
            }
            (from, to) => (from.then_some(a), to.then_some(b)),
        };
        if let Some(known) = reading.stands.borrow().get(&key) {
            return *known;
        }
        let stand = self.stand_afresh(pack, rule, (a, b));
        reading.stands.borrow_mut().insert(key, stand);
        stand
    }

    fn stand_afresh(&self, pack: &Pack, rule: &Rule, hop: (usize, usize)) -> Stand {
        let applies =
            rule.applies_when.as_ref().map_or(Truth::True, |cel| self.truth(pack, cel, hop));
        if applies.is_false() {
            return Stand::Aside;
        }
        match (rule.verdict, applies) {
            (Verdict::Allow, Truth::Unknown { .. }) if self.observed => Stand::Aside,
            (Verdict::Allow, _) => Stand::Permits,
            (Verdict::Block, Truth::Unknown { .. }) if !self.observed => Stand::ToProve,
            (Verdict::Block, _) => Stand::Refuses,
            (Verdict::Condition, _) => self.stand_of_condition(pack, rule, hop),
        }
    }

    fn stand_of_condition(&self, pack: &Pack, rule: &Rule, hop: (usize, usize)) -> Stand {
        let Some(cel) = &rule.condition else { return Stand::Holds };
        match self.truth(pack, cel, hop) {
            Truth::True => Stand::Holds,
            Truth::False | Truth::Unknown { .. } if !rule.cures.is_empty() => Stand::ToCure,
            Truth::Unknown { .. } if !self.observed => Stand::ToProve,
            Truth::False if self.rewrite && !rule.rewrites.is_empty() => Stand::ToRewrite,
            Truth::False | Truth::Unknown { .. } => Stand::Refuses,
        }
    }

    fn truth(&self, pack: &Pack, cel: &str, (a, b): (usize, usize)) -> Truth {
        if speaks_of(cel, "from") || speaks_of(cel, "to") {
            return pack
                .holds(cel, &self.scope.with_releases(Some(&self.nodes[a]), Some(&self.nodes[b])));
        }
        pack.holds(cel, &self.scope)
    }

    /// What could not be looked at of the expression that decides a rule.
    fn unseen(&self, pack: &Pack, rule: &Rule, hop: (usize, usize)) -> Option<String> {
        let cel = match rule.verdict {
            Verdict::Condition => rule.condition.as_ref(),
            Verdict::Allow | Verdict::Block => rule.applies_when.as_ref(),
        };
        match self.truth(pack, cel?, hop) {
            Truth::Unknown { what } => Some(what),
            Truth::True | Truth::False => None,
        }
    }

    fn refusing(&self, pack: &Pack, rule: &Rule, hop: (usize, usize)) -> Refusing {
        let unseen = self.unseen(pack, rule, hop);
        let unseen =
            unseen.map(|what| format!(" (could not be looked at: {what})")).unwrap_or_default();
        let conditional = rule.condition.is_some() || rule.applies_when.is_some();
        let distance = match (&rule.way_out, conditional) {
            (Some(_), true) => 0,
            (Some(_), false) => 1,
            (None, true) => 2,
            (None, false) => 3,
        };
        let by_plan = !self.rewrite && self.observed && !rule.rewrites.is_empty();
        let way_out = match &rule.way_out {
            Some(way_out) if by_plan && unseen.is_empty() => Some(format!(
                "let the plan rewrite the settings: `rewrite_config: true` in the cluster's policy, or `--rewrite-config`; or {way_out}"
            )),
            other => other.clone(),
        };
        Refusing {
            rule: rule.id.clone(),
            because: format!("{}: {}{unseen}", clause(&rule.text), clause(&rule.because)),
            way_out,
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

    /// What both speak of every protocol.
    fn spoken(&self, pack: &Pack, a: usize, b: usize) -> Vec<Spoken> {
        let both = pack.protocols.iter().zip(&self.speaks).filter_map(|(protocol, of)| {
            Some(Spoken { protocol: protocol.name.clone(), from: of[a]?, to: of[b]? })
        });
        both.collect()
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

impl RuleReading {
    fn new(rule: &Rule) -> Self {
        let speaks = |variable: &str| {
            let cels = rule.applies_when.iter().chain(&rule.condition);
            cels.into_iter().any(|cel| speaks_of(cel, variable))
        };
        Self { speaks_of: (speaks("from"), speaks("to")), ..Self::default() }
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
        rewrites: Vec::new(),
    }
}

fn add_to_hop(hop: &mut PathHop, rule: &Rule, stand: Stand, unseen: Option<String>) {
    let mut entry = applied(rule);
    match stand {
        Stand::ToProve => {
            let what = unseen.unwrap_or_default();
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
        Stand::ToRewrite => {
            entry.rewrites.clone_from(&rule.rewrites);
            entry.because =
                format!("met by the rewrite {}: {}", rule.rewrites.join(", "), rule.because);
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
