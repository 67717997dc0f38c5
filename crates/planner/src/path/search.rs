//! Chooses among all permitted chains: the mildest worst hop, then the smallest sum of risks, then the fewest hops,
//! then the newest patches, then the higher release.

use super::graph::Graph;
use quorate_model::Risk;
use std::cmp::Ordering;

/// What the rest of a way costs. Each part adds up along the way, so the best rest is part of the best whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    risks: u32,
    hops: u32,
    stale: u32,
}

/// The weight of a risk in the sum: one high hop outweighs two medium ones.
pub(super) fn weight(risk: Risk) -> u32 {
    match risk {
        Risk::Low => 0,
        Risk::Med => 1,
        Risk::High => 3,
    }
}

/// Gives the chosen nodes from start to target, or nothing when no chain of permitted hops leads there.
pub(super) fn search(graph: &Graph<'_>) -> Option<Vec<usize>> {
    [Risk::Low, Risk::Med, Risk::High].into_iter().find_map(|worst| search_up_to(graph, worst))
}

/// Releases only ever rise, so the graph has no circle and one pass from the far end settles every node.
fn search_up_to(graph: &Graph<'_>, worst: Risk) -> Option<Vec<usize>> {
    let target = graph.target();
    let mut rest: Vec<Option<(Cost, usize)>> = vec![None; target + 1];
    rest[target] = Some((Cost { risks: 0, hops: 0, stale: 0 }, target));
    for a in (graph.start()..target).rev() {
        if !graph.reachable(a) {
            continue;
        }
        let mut best: Option<(Cost, usize)> = None;
        for (b, risk) in graph.moves(a).iter().copied().filter(|(_, risk)| *risk <= worst) {
            let Some((after, _)) = rest[b] else { continue };
            let stale = u32::from(b != target && !graph.newest_of_line(b));
            let cost = Cost {
                risks: after.risks + weight(risk),
                hops: after.hops + 1,
                stale: after.stale + stale,
            };
            let better = best.is_none_or(|(known, next)| compare(cost, b, known, next).is_lt());
            if better {
                best = Some((cost, b));
            }
        }
        rest[a] = best;
    }
    rest[graph.start()]?;
    let mut way = vec![graph.start()];
    let mut at = graph.start();
    while at != target {
        let (_, next) = rest[at]?;
        way.push(next);
        at = next;
    }
    Some(way)
}

fn compare(cost: Cost, next: usize, known: Cost, known_next: usize) -> Ordering {
    (cost.risks, cost.hops, cost.stale)
        .cmp(&(known.risks, known.hops, known.stale))
        .then(known_next.cmp(&next))
}
