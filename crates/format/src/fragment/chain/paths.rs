//! Which headers follow one another by the chain, and which of them are not needed for it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Edge, Event, Node, partly, repeated};

/// Headers that follow one another by the chain.
#[derive(Debug)]
pub(super) struct Path {
    /// What goes before the first of them, if that is known.
    pub(super) before: Option<usize>,
    /// Their numbers.
    pub(super) parts: Vec<usize>,
    /// How many of them stand before each fork from which other paths leave.
    pub(super) forks: BTreeSet<usize>,
}

/// The ways through all steps: the one that goes farthest first, then what leaves it or stands alone. Steps that lead
/// back to a way are repetitions, and so are no way of their own. `edges` are in the order of their beginnings.
pub(super) fn paths(edges: &[Edge], forks: &BTreeSet<u64>, events: &mut Vec<Event>) -> Vec<Path> {
    let best = Best::of(edges);
    let mut order: Vec<Edge> = edges.to_vec();
    order.sort_by(|a, b| {
        (a.from.0, std::cmp::Reverse(best.rank(a)), a.from.1).cmp(&(
            b.from.0,
            std::cmp::Reverse(best.rank(b)),
            b.from.1,
        ))
    });
    let mut ways = Ways::default();
    for edge in order {
        if !ways.used.contains(&edge.part) {
            ways.add(edge, &best, forks, events);
        }
    }
    ways.paths
}

/// How far each state of the chain leads, and by which step.
struct Best(BTreeMap<Node, (u64, Edge)>);

/// How far a step leads, how far it goes itself, and, so that there is one answer, its digest.
type Rank = (u64, Node);

impl Best {
    fn of(edges: &[Edge]) -> Best {
        let mut best = Best(BTreeMap::new());
        // A step always leads to a later place, so what comes after it was looked at before it.
        for edge in edges.iter().rev() {
            let rank = best.rank(edge);
            let better = best
                .step(edge.from)
                .is_none_or(|other| best.rank(&other) < rank);
            if better {
                best.0.insert(edge.from, (rank.0, *edge));
            }
        }
        best
    }

    fn rank(&self, edge: &Edge) -> Rank {
        let reach = self.0.get(&edge.to).map_or(edge.to.0, |(reach, _)| *reach);
        (reach, edge.to)
    }

    fn step(&self, node: Node) -> Option<Edge> {
        self.0.get(&node).map(|(_, edge)| *edge)
    }
}

#[derive(Default)]
struct Ways {
    paths: Vec<Path>,
    /// Steps that are on a way or not needed.
    used: BTreeSet<usize>,
    /// Of each state on a way: the way, how many steps of it go before, and the last of these.
    at: BTreeMap<Node, (usize, usize, Option<usize>)>,
    /// The farthest place of all ways so far.
    reached: u64,
}

impl Ways {
    /// Goes on from a step until there is no other one, or until what is already on a way.
    fn add(&mut self, first: Edge, best: &Best, forks: &BTreeSet<u64>, events: &mut Vec<Event>) {
        let mut steps = vec![first];
        let mut end = first.to;
        while !self.at.contains_key(&end) {
            let Some(next) = best.step(end) else { break };
            steps.push(next);
            end = next.to;
        }
        // What leads to no way was perhaps said before.
        let mut fresh = steps.clone();
        fresh.retain(|step| self.used.insert(step.part));
        if self.at.contains_key(&end) {
            events.extend(fresh.iter().map(|s| repeated(s.part, s.from, s.to)));
            return;
        }
        let leaves = self.at.get(&first.from).copied();
        let is_fork = |node: Node| forks.contains(&node.0);
        let forked =
            steps.iter().any(|step| is_fork(step.to)) || (leaves.is_none() && is_fork(first.from));
        if !forked {
            let overlapping = fresh.iter().filter(|step| step.from.0 < self.reached);
            events.extend(overlapping.map(|s| partly(s.part, s.from, s.to)));
            if end.0 <= self.reached {
                return;
            }
        }
        if let Some((way, steps, _)) = leaves
            && let Some(path) = self.paths.get_mut(way)
        {
            path.forks.insert(steps);
        }
        self.put(first.from, leaves.and_then(|(_, _, before)| before), &steps);
    }

    fn put(&mut self, start: Node, before: Option<usize>, steps: &[Edge]) {
        let way = self.paths.len();
        self.at.entry(start).or_insert((way, 0, None));
        for (count, step) in (1..).zip(steps) {
            self.at.insert(step.to, (way, count, Some(step.part)));
            self.reached = self.reached.max(step.to.0);
        }
        self.paths.push(Path {
            before,
            parts: steps.iter().map(|step| step.part).collect(),
            forks: BTreeSet::new(),
        });
    }
}
