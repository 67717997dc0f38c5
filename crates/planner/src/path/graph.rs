//! The release graph: which releases are at hand, and which rules concern a move between two of them.
//!
//! A rule's ranges are matched against each release once, as bits; a pair of releases then costs a few word operations.
//! That keeps a graph of a thousand releases well under ten milliseconds.

use super::{PathHop, PathRequest, judge::Judge};
use quorate_model::{Facts, Release, Risk};
use quorate_packs::{Pack, Reach, Verdict};
use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
};

/// Bits, one a rule.
pub(super) type Bits = Vec<u64>;

/// Releases at hand between start and target, in order, and what the rules say of moves between them.
pub(super) struct Graph<'a> {
    pub(super) pack: &'a Pack,
    pub(super) judge: Judge<'a>,
    nodes: Vec<Release>,
    lines: Vec<LineId>,
    newest: Vec<bool>,
    from_bits: Vec<Bits>,
    to_bits: Vec<Bits>,
    kinds: Kinds,
    start: usize,
    target: usize,
    reached: Vec<bool>,
    risks: RefCell<HashMap<(usize, usize), Option<Risk>>>,
}

/// A release line by its place in the pack's order, or by its text alone when the pack does not list it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum LineId {
    Listed(usize),
    Unlisted(String),
}

/// Rules by what they do, as bits.
struct Kinds {
    allow: Bits,
    same_line: Bits,
    next_line: Bits,
}

impl<'a> Graph<'a> {
    /// Builds the graph of a request. Nodes outside start and target are of no use and left out.
    pub(super) fn new(pack: &'a Pack, request: &PathRequest<'a>, facts: &Facts) -> Self {
        let nodes = releases_between(pack, request);
        let lines: Vec<_> = nodes.iter().map(|release| line_id(pack, release)).collect();
        let newest = (0..nodes.len()).map(|i| lines.get(i + 1) != Some(&lines[i])).collect();
        let (from_bits, to_bits) = match_rules(pack, &nodes);
        let bits = |wanted: &dyn Fn(&quorate_packs::Rule) -> bool| {
            let mut bits = vec![0; words(pack)];
            for (i, _) in pack.rules.iter().enumerate().filter(|(_, rule)| wanted(rule)) {
                set(&mut bits, i);
            }
            bits
        };
        let kinds = Kinds {
            allow: bits(&|rule| rule.verdict == Verdict::Allow),
            same_line: bits(&|rule| rule.reach == Reach::SameLine),
            next_line: bits(&|rule| rule.reach == Reach::NextLine),
        };
        let judge = Judge::new(pack, request, facts, &nodes);
        let start = nodes.iter().position(|r| r == request.from).unwrap_or(0);
        let target = nodes.iter().position(|r| r == request.to).unwrap_or(start);
        let mut graph = Self {
            pack,
            judge,
            reached: vec![false; nodes.len()],
            nodes,
            lines,
            newest,
            from_bits,
            to_bits,
            kinds,
            start,
            target,
            risks: RefCell::new(HashMap::new()),
        };
        graph.mark_reachable();
        graph
    }

    /// The start's node.
    pub(super) fn start(&self) -> usize {
        self.start
    }
    /// The target's node.
    pub(super) fn target(&self) -> usize {
        self.target
    }
    /// The release of a node.
    pub(super) fn release(&self, node: usize) -> &Release {
        &self.nodes[node]
    }
    /// Whether a chain of permitted hops leads to the node.
    pub(super) fn reachable(&self, node: usize) -> bool {
        self.reached[node]
    }
    /// Whether no newer release of its line is at hand.
    pub(super) fn newest_of_line(&self, node: usize) -> bool {
        self.newest[node]
    }
    /// Whether two nodes are of one line.
    pub(super) fn same_line(&self, a: usize, b: usize) -> bool {
        self.lines[a] == self.lines[b]
    }
    /// Nodes after this one, up to the target.
    pub(super) fn onward(&self, node: usize) -> std::ops::RangeInclusive<usize> {
        node + 1..=self.target
    }

    /// The risk of the hop, or nothing when it is refused.
    pub(super) fn risk(&self, a: usize, b: usize) -> Option<Risk> {
        if let Some(known) = self.risks.borrow().get(&(a, b)) {
            return *known;
        }
        let rules = self.rules(a, b);
        let allowed = rules.iter().zip(&self.kinds.allow).any(|(rules, allow)| rules & allow != 0);
        let risk = if allowed { self.judge.risk(self.pack, (a, b), &rules) } else { None };
        self.risks.borrow_mut().insert((a, b), risk);
        risk
    }

    /// The hop with its rules, or why it is refused.
    pub(super) fn hop(&self, a: usize, b: usize) -> Result<PathHop, Vec<super::judge::Refusing>> {
        self.judge.hop(self.pack, (a, b), (self.release(a), self.release(b)), &self.rules(a, b))
    }

    /// The rules that concern a move.
    fn rules(&self, a: usize, b: usize) -> Bits {
        let same = self.same_line(a, b);
        let next = match (&self.lines[a], &self.lines[b]) {
            (LineId::Listed(a), LineId::Listed(b)) => a + 1 == *b,
            _ => false,
        };
        let words = self.from_bits[a].iter().zip(&self.to_bits[b]).enumerate();
        words
            .map(|(i, (from, to))| {
                let mut word = from & to;
                if !same {
                    word &= !self.kinds.same_line[i];
                }
                if !next {
                    word &= !self.kinds.next_line[i];
                }
                word
            })
            .collect()
    }

    fn mark_reachable(&mut self) {
        self.reached[self.start] = true;
        for a in self.start..self.target {
            if !self.reached[a] {
                continue;
            }
            for b in self.onward(a) {
                if !self.reached[b] && self.risk(a, b).is_some() {
                    self.reached[b] = true;
                }
            }
        }
    }
}

fn releases_between(pack: &Pack, request: &PathRequest<'_>) -> Vec<Release> {
    let inside = |release: &&Release| *release >= request.from && *release <= request.to;
    let mut nodes: BTreeSet<Release> = match request.available {
        Some(available) => available.iter().filter(inside).cloned().collect(),
        None => pack.releases.iter().map(|known| &known.release).filter(inside).cloned().collect(),
    };
    nodes.insert(request.from.clone());
    nodes.insert(request.to.clone());
    nodes.into_iter().collect()
}

fn line_id(pack: &Pack, release: &Release) -> LineId {
    let line = pack.line(release);
    match pack.lines.iter().position(|known| known.line == line) {
        Some(index) => LineId::Listed(index),
        None => LineId::Unlisted(line),
    }
}

fn words(pack: &Pack) -> usize {
    pack.rules.len().div_ceil(64)
}

fn set(bits: &mut Bits, index: usize) {
    bits[index / 64] |= 1 << (index % 64);
}

/// Indices of the bits that are set.
pub(super) fn ones(bits: &Bits) -> impl Iterator<Item = usize> + '_ {
    bits.iter().enumerate().flat_map(|(i, word)| {
        (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| i * 64 + bit)
    })
}

/// Matches each distinct range once against each release; packs repeat few ranges in many rules.
fn match_rules(pack: &Pack, nodes: &[Release]) -> (Vec<Bits>, Vec<Bits>) {
    let mut from_bits = vec![vec![0; words(pack)]; nodes.len()];
    let mut to_bits = from_bits.clone();
    let mut seen: HashMap<&str, Vec<bool>> = HashMap::new();
    for (i, rule) in pack.rules.iter().enumerate() {
        for (range, bits) in [(&rule.from, &mut from_bits), (&rule.to, &mut to_bits)] {
            let holds = seen
                .entry(range.as_str())
                .or_insert_with(|| nodes.iter().map(|node| range.contains(node)).collect());
            for (node, _) in holds.iter().enumerate().filter(|(_, holds)| **holds) {
                set(&mut bits[node], i);
            }
        }
    }
    (from_bits, to_bits)
}
