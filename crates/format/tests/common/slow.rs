//! A slow model of what a list of headers amounts to, which looks at everything with everything.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_format::Id;
use vouchsafe_format::fragment::{Header, Position};

pub fn at(position: Position) -> u64 {
    match position {
        Position::Mark(at) | Position::Byte(at) => at,
        Position::File { .. } => panic!("no files here"),
    }
}

pub fn links(header: &Header) -> ((u64, Id), (u64, Id)) {
    (
        (header.sequence, header.previous),
        (header.end(), header.digest),
    )
}

/// Each header once.
pub fn unique(list: &[Header]) -> Vec<Header> {
    let mut seen = BTreeMap::new();
    for header in list {
        seen.entry(links(header)).or_insert_with(|| header.clone());
    }
    seen.into_values().collect()
}

/// Whether, and up to where, `next` goes on after a chain that has come to `reached`.
pub fn goes_on(before: &Header, reached: u64, next: &Header) -> (bool, u64) {
    let (from, to) = (at(next.span.from()), at(next.span.to()));
    if before.timeline == next.timeline {
        let whole = from <= reached;
        (whole, if whole { to.max(reached) } else { to })
    } else {
        (from <= reached && before.timeline < next.timeline, to)
    }
}

/// The runs of a list of fragments, as places and last digest and position, by looking for the one before each.
pub fn slow_runs(list: &[Header]) -> BTreeSet<(u64, u64, Id, u64)> {
    let mut sorted = list.to_vec();
    sorted.sort_by_key(links);
    // Of each header: the first place of its run, and how far the run has come.
    let mut runs: BTreeMap<(u64, Id), (u64, u64)> = BTreeMap::new();
    let mut ends = BTreeSet::new();
    for header in &sorted {
        let (from, to) = links(header);
        let before = sorted.iter().find(|other| links(other).1 == from);
        let siblings = sorted.iter().filter(|other| links(other).0 == from).count();
        let mut run = (header.sequence, at(header.span.to()));
        if let Some(before) = before {
            let (first, reached) = runs[&from];
            let (whole, reached) = goes_on(before, reached, header);
            if whole && siblings == 1 {
                ends.remove(&from);
                run = (first, reached);
            }
        }
        ends.insert(to);
        runs.insert(to, run);
    }
    let run = |(end, digest): &(u64, Id)| {
        let (first, reached) = runs[&(*end, *digest)];
        (first, end - 1, *digest, reached)
    };
    ends.iter().map(run).collect()
}

/// The places after which two headers know different digests.
pub fn slow_forks(list: &[Header]) -> BTreeSet<u64> {
    let nodes: Vec<(u64, Id)> = list
        .iter()
        .flat_map(|header| [links(header).0, links(header).1])
        .collect();
    nodes
        .iter()
        .flat_map(|(place, digest)| {
            let other = nodes.iter().any(|(p, d)| p == place && d != digest);
            other.then(|| place - 1)
        })
        .collect()
}

/// The places between the first and the last that no header has.
pub fn slow_missing(list: &[Header]) -> BTreeSet<u64> {
    let first = list.iter().map(|header| header.sequence).min().unwrap_or(0);
    let end = list.iter().map(Header::end).max().unwrap_or(0);
    (first..end)
        .filter(|place| {
            !list
                .iter()
                .any(|header| header.sequence <= *place && *place < header.end())
        })
        .collect()
}
