//! The release graph: which releases are at hand, and which rules concern a move between two of them.
//!
//! A rule's ranges are matched against each release once, as bits; a pair of releases then costs a few word operations.
//! That keeps a graph of a thousand releases well under ten milliseconds.

use super::{PathHop, PathRequest, judge::Judge};
use quorate_model::{Facts, Release, Risk};
use quorate_packs::{Pack, Reach, Verdict, eval::Scope};
use std::collections::{BTreeSet, HashMap};

/// Bits, one a rule.
pub(super) type Bits = Vec<u64>;

/// Releases at hand between start and target, in order, and what the rules say of moves between them.
pub(super) struct Graph<'a> {
    pub(super) pack: &'a Pack,
    pub(super) judge: Judge,
    nodes: Vec<Release>,
    /// The line of each node, as a number.
    lines: Vec<usize>,
    /// The place of each node's line in the pack's order, when it is listed there.
    order: Vec<Option<usize>>,
    newest: Vec<bool>,
    from_bits: Vec<Bits>,
    to_bits: Vec<Bits>,
    kinds: Kinds,
    start: usize,
    target: usize,
    /// Permitted moves from every node that can be reached, upward.
    moves: Vec<Vec<(usize, Risk)>>,
    reached: Vec<bool>,
}

/// Rules by what they do, as bits.
struct Kinds {
    allow: Bits,
    same_line: Bits,
    other_line: Bits,
    next_line: Bits,
    two_lines: Bits,
}

/// How far the second release of a pair lies beyond the first.
#[derive(Clone, Copy)]
struct Span {
    same: bool,
    /// Lines from the first to the second in the pack's order, when it lists both.
    lines: Option<usize>,
}

impl<'a> Graph<'a> {
    /// Builds the graph of a request. Nodes outside start and target are of no use and left out.
    pub(super) fn new(
        pack: &'a Pack,
        request: &PathRequest<'a>,
        facts: &Facts,
        scope: Option<&Scope>,
    ) -> Self {
        let nodes = releases_between(pack, request);
        let (lines, order) = lines_of(pack, &nodes);
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
            other_line: bits(&|rule| rule.reach == Reach::OtherLine),
            next_line: bits(&|rule| rule.reach == Reach::NextLine),
            two_lines: bits(&|rule| rule.reach == Reach::TwoLines),
        };
        let judge = Judge::new(pack, request, facts, scope, &nodes);
        let start = nodes.iter().position(|r| r == request.from).unwrap_or(0);
        let target = nodes.iter().position(|r| r == request.to).unwrap_or(start);
        let mut graph = Self {
            pack,
            judge,
            reached: vec![false; nodes.len()],
            nodes,
            lines,
            order,
            newest,
            from_bits,
            to_bits,
            kinds,
            start,
            target,
            moves: Vec::new(),
        };
        graph.find_moves();
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

    /// Permitted moves from a node that can be reached, each with its risk.
    pub(super) fn moves(&self, node: usize) -> &[(usize, Risk)] {
        &self.moves[node]
    }

    /// The hop with its rules, or why it is refused.
    pub(super) fn hop(&self, a: usize, b: usize) -> Result<PathHop, Vec<super::judge::Refusing>> {
        self.judge.hop(self.pack, (a, b), (self.release(a), self.release(b)), &self.rules(a, b))
    }

    /// The rules that concern a move.
    fn rules(&self, a: usize, b: usize) -> Bits {
        let mut rules = vec![0; words(self.pack)];
        self.rules_into(&mut rules, a, b);
        rules
    }

    fn rules_into(&self, rules: &mut Bits, a: usize, b: usize) {
        let span = self.span(a, b);
        for (i, word) in rules.iter_mut().enumerate() {
            *word = self.from_bits[a][i] & self.to_bits[b][i] & self.kinds.within(span, i);
        }
    }

    /// Looks at every pair once, from the start upward; all but a few fall to one comparison of words.
    fn find_moves(&mut self) {
        self.moves = vec![Vec::new(); self.nodes.len()];
        self.reached[self.start] = true;
        let mut rules = vec![0; words(self.pack)];
        // Neighbours mostly meet the same rules, and few rules tell them apart.
        let mut last: (Bits, Option<Risk>) = (rules.clone(), None);
        for a in self.start..self.target {
            if !self.reached[a] {
                continue;
            }
            let far = self.goes_far(a);
            for b in self.onward(a) {
                if !far && self.beyond_two_lines(a, b) {
                    break;
                }
                if !self.may_be_allowed(a, b) {
                    continue;
                }
                self.rules_into(&mut rules, a, b);
                if last.0 != rules || self.judge.tells_apart(&rules) {
                    last = (rules.clone(), self.judge.risk(self.pack, (a, b), &rules));
                }
                if let Some(risk) = last.1.filter(|_| self.judge.may_meet(a, b)) {
                    self.moves[a].push((b, risk));
                    self.reached[b] = true;
                }
            }
        }
    }

    /// Whether some permitting rule of a node reaches further than the two lines that follow.
    fn goes_far(&self, a: usize) -> bool {
        let Kinds { allow, same_line, other_line: _, next_line, two_lines } = &self.kinds;
        let near = |i: usize| same_line[i] | next_line[i] | two_lines[i];
        let words = self.from_bits[a].iter().enumerate();
        words.into_iter().any(|(i, from)| from & allow[i] & !near(i) != 0)
    }

    fn beyond_two_lines(&self, a: usize, b: usize) -> bool {
        matches!((self.order[a], self.order[b]), (Some(a), Some(b)) if b > a + 2)
    }

    /// Whether the ranges and the reach of some permitting rule fit; most pairs end here.
    fn may_be_allowed(&self, a: usize, b: usize) -> bool {
        let span = self.span(a, b);
        let words = self.from_bits[a].iter().zip(&self.to_bits[b]).enumerate();
        words.into_iter().any(|(i, (from, to))| {
            from & to & self.kinds.allow[i] & self.kinds.within(span, i) != 0
        })
    }

    fn span(&self, a: usize, b: usize) -> Span {
        let lines = self.order[a].zip(self.order[b]).and_then(|(a, b)| b.checked_sub(a));
        Span { same: self.same_line(a, b), lines }
    }
}

impl Kinds {
    /// The rules of a word whose reach spans two releases.
    fn within(&self, span: Span, i: usize) -> u64 {
        let mut without = 0;
        without |= if span.same { self.other_line[i] } else { self.same_line[i] };
        if span.lines != Some(1) {
            without |= self.next_line[i];
        }
        if !matches!(span.lines, Some(1 | 2)) {
            without |= self.two_lines[i];
        }
        !without
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

/// Numbers the lines of sorted releases, and finds their places in the pack's order.
fn lines_of(pack: &Pack, nodes: &[Release]) -> (Vec<usize>, Vec<Option<usize>>) {
    let place: HashMap<&str, usize> =
        pack.lines.iter().enumerate().map(|(place, line)| (line.line.as_str(), place)).collect();
    let mut lines: Vec<usize> = Vec::with_capacity(nodes.len());
    let mut order = Vec::with_capacity(nodes.len());
    let mut last = String::new();
    for node in nodes {
        let line = pack.line(node);
        let number = lines.last().copied().unwrap_or(0);
        lines.push(if line == last { number } else { number + 1 });
        order.push(place.get(line.as_str()).copied());
        last = line;
    }
    (lines, order)
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
        let rest = |word: &u64| Some(word & (word - 1)).filter(|rest| *rest != 0);
        let words = std::iter::successors(Some(*word).filter(|word| *word != 0), rest);
        words.filter_map(move |word| Some(i * 64 + usize::try_from(word.trailing_zeros()).ok()?))
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
