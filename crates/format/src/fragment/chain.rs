//! What a list of headers amounts to: what is whole, what is missing, what is there twice, and what has forked.

mod paths;
mod runs;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::header::Header;
use super::piece::Commits;
use super::position::Position;
use crate::id::Id;

use paths::paths;

/// What the headers of one stream amount to.
///
/// Nothing is chosen between branches: each is a run of its own, and who knows which writer was the right one may put
/// runs together by their digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// What is whole, in the order of the stream. Each can be recovered from its beginning to its end, and nothing
    /// beyond that is known to go together.
    pub runs: Vec<Run>,
    /// What else there is to say, in the order of the stream.
    pub events: Vec<Event>,
}

/// Fragments and segments that follow one another without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The place of the first fragment.
    pub first: u64,
    /// The place of the last one.
    pub last: u64,
    /// The digest of the chain before it.
    pub previous: Id,
    /// The digest of the chain at its end.
    pub digest: Id,
    /// The position at which it begins.
    pub from: Position,
    /// The position up to which its last timeline is whole.
    pub to: Position,
    /// The timeline at its beginning.
    pub first_timeline: u64,
    /// The timeline at its end.
    pub timeline: u64,
    /// The writer at its end.
    pub epoch: u64,
    /// The first and the last commit of which the time is known.
    pub commits: Option<Commits>,
    /// Which headers of the list it is made of, one after the other.
    pub parts: Vec<usize>,
}

/// Something about a stream that is not just one fragment after the other. `part` counts in the list of headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A header of another stream than the first one, which was left out.
    OtherStream {
        /// The header.
        part: usize,
    },
    /// Fragments that nobody has.
    Missing {
        /// The place of the first one.
        first: u64,
        /// The place of the last one.
        last: u64,
        /// The position at which the log breaks off.
        from: Position,
        /// The position at which it goes on.
        to: Position,
    },
    /// The chain goes on, but positions were left out: the database no longer had them when they were to be shipped.
    Skipped {
        /// The place of the fragment that begins too late.
        sequence: u64,
        /// The position at which the log breaks off.
        from: Position,
        /// The position at which it goes on.
        to: Position,
    },
    /// The same fragments as in another object, which is proven by the chain.
    Repeated {
        /// The header that is not needed.
        part: usize,
        /// The place of its first fragment.
        first: u64,
        /// The place of its last one.
        last: u64,
    },
    /// Fragments of which others have the places too, and whether they are the same the headers alone do not tell.
    Partly {
        /// The header.
        part: usize,
        /// The place of its first fragment.
        first: u64,
        /// The place of its last one.
        last: u64,
    },
    /// A fragment begins before the end of what the chain had covered: these positions were shipped once more.
    Resent {
        /// The place of the fragment.
        sequence: u64,
        /// The position at which it begins.
        from: Position,
        /// The position up to which it repeats.
        to: Position,
    },
    /// After the fragment at this place the chain has more than one digest: two writers have gone on from one point, or
    /// a fragment goes on from a predecessor that is not the one that is there.
    Fork {
        /// The place.
        sequence: u64,
        /// The digests, in their order as numbers.
        digests: Vec<Id>,
    },
    /// The database went on from a point in its past.
    Timeline {
        /// The place of the first fragment on the new timeline.
        sequence: u64,
        /// The timeline before.
        before: u64,
        /// The timeline from here on.
        after: u64,
        /// The position at which it begins.
        at: Position,
        /// Whether that position is covered by what goes before, so that the run goes on.
        contiguous: bool,
    },
    /// A writer has begun or taken over.
    Epoch {
        /// The place of its first fragment.
        sequence: u64,
        /// The writer before.
        before: u64,
        /// The writer from here on.
        after: u64,
    },
    /// A writer has gone on after another one had taken over. The chain holds all the same.
    StaleWriter {
        /// The place of its fragment.
        sequence: u64,
        /// The writer before.
        before: u64,
        /// The older writer.
        after: u64,
    },
}

impl Chain {
    /// What these headers of one stream amount to, in whatever order they come.
    pub fn of(headers: &[Header]) -> Chain {
        let mut events = Vec::new();
        let edges = distinct(headers, &mut events);
        let forks = forks(&edges, &mut events);
        missing(headers, &edges, &mut events);
        let paths = paths(&edges, &forks, &mut events);
        let mut runs = runs::cut(headers, &paths, &mut events);
        runs.sort_by_key(|run| (run.first, run.last, *run.digest.as_bytes()));
        events.sort_by_key(Event::order);
        Chain { runs, events }
    }

    /// Whether it is one run and nothing forks, is missing, or has been left out.
    pub fn is_whole(&self) -> bool {
        let broken = |event: &Event| {
            matches!(
                event,
                Event::OtherStream { .. }
                    | Event::Missing { .. }
                    | Event::Skipped { .. }
                    | Event::Fork { .. }
            )
        };
        self.runs.len() == 1 && !self.events.iter().any(broken)
    }
}

impl Event {
    /// By the place, then by the kind, then by what else tells two apart.
    fn order(&self) -> (u64, u8, u64, usize) {
        match self {
            Event::OtherStream { part } => (0, 0, 0, *part),
            Event::Missing { first, last, .. } => (*first, 1, *last, 0),
            Event::Fork { sequence, .. } => (*sequence, 2, 0, 0),
            Event::Timeline {
                sequence, after, ..
            } => (*sequence, 3, *after, 0),
            Event::Epoch {
                sequence, after, ..
            } => (*sequence, 4, *after, 0),
            Event::StaleWriter {
                sequence, after, ..
            } => (*sequence, 5, *after, 0),
            Event::Skipped { sequence, .. } => (*sequence, 6, 0, 0),
            Event::Resent { sequence, .. } => (*sequence, 7, 0, 0),
            Event::Repeated { part, first, last } => (*first, 8, *last, *part),
            Event::Partly { part, first, last } => (*first, 9, *last, *part),
        }
    }
}

/// The state of a chain before a place.
type Node = (u64, Id);

/// A header as a step from one state of the chain to a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    from: Node,
    to: Node,
    part: usize,
}

/// Each step once, in the order of their beginnings.
fn distinct(headers: &[Header], events: &mut Vec<Event>) -> Vec<Edge> {
    let mut edges: BTreeMap<(Node, Node), usize> = BTreeMap::new();
    let stream = headers.first().map(|header| &header.stream);
    for (part, header) in headers.iter().enumerate() {
        if Some(&header.stream) != stream {
            events.push(Event::OtherStream { part });
            continue;
        }
        if header.end() <= header.sequence {
            continue; // no header that was decoded
        }
        let (from, to) = (
            (header.sequence, header.previous),
            (header.end(), header.digest),
        );
        match edges.entry((from, to)) {
            Entry::Vacant(entry) => _ = entry.insert(part),
            Entry::Occupied(_) => events.push(repeated(part, from, to)),
        }
    }
    edges
        .into_iter()
        .map(|((from, to), part)| Edge { from, to, part })
        .collect()
}

/// The places before which the chain has more than one digest.
fn forks(edges: &[Edge], events: &mut Vec<Event>) -> BTreeSet<u64> {
    let mut digests: BTreeMap<u64, BTreeSet<Id>> = BTreeMap::new();
    for (place, digest) in edges.iter().flat_map(|edge| [edge.from, edge.to]) {
        digests.entry(place).or_default().insert(digest);
    }
    digests.retain(|_, digests| digests.len() > 1);
    events.extend(digests.iter().map(|(place, digests)| Event::Fork {
        sequence: place.saturating_sub(1),
        digests: digests.iter().copied().collect(),
    }));
    digests.into_keys().collect()
}

/// Places within the stream that no header has.
fn missing(headers: &[Header], edges: &[Edge], events: &mut Vec<Event>) {
    let mut reached: Option<Edge> = None;
    for edge in edges {
        let next = headers.get(edge.part);
        let before = reached.and_then(|edge| headers.get(edge.part));
        if let (Some(next), Some(before)) = (next, before)
            && before.end() < next.sequence
        {
            events.push(Event::Missing {
                first: before.end(),
                last: next.sequence - 1,
                from: before.span.to(),
                to: next.span.from(),
            });
        }
        if reached.is_none_or(|reached| reached.to.0 < edge.to.0) {
            reached = Some(*edge);
        }
    }
}

fn repeated(part: usize, from: Node, to: Node) -> Event {
    Event::Repeated {
        part,
        first: from.0,
        last: to.0.saturating_sub(1),
    }
}

fn partly(part: usize, from: Node, to: Node) -> Event {
    Event::Partly {
        part,
        first: from.0,
        last: to.0.saturating_sub(1),
    }
}
