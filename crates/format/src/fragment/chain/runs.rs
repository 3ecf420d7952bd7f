//! Paths cut where positions were left out or something forks: what remains is whole.

use std::collections::BTreeMap;

use super::paths::Path;
use super::{Event, Run};
use crate::fragment::header::Header;
use crate::fragment::piece::Commits;
use crate::fragment::position::Position;

/// The runs of all paths, and what happens along them. A path comes after the one that it leaves.
pub(super) fn cut(headers: &[Header], paths: &[Path], events: &mut Vec<Event>) -> Vec<Run> {
    let mut after = BTreeMap::new();
    paths
        .iter()
        .flat_map(|path| cut_one(headers, path, &mut after, events))
        .collect()
}

/// The runs of a path. How far the chain has come after each header is kept in `after`.
fn cut_one(
    headers: &[Header],
    path: &Path,
    after: &mut BTreeMap<usize, Reached>,
    events: &mut Vec<Event>,
) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut reached = path.before.and_then(|part| after.get(&part).copied());
    for (count, part) in path.parts.iter().enumerate() {
        let Some(header) = headers.get(*part) else {
            continue;
        };
        let goes_on = match &mut reached {
            Some(reached) => reached.take(header, events),
            None => {
                reached = Some(Reached::of(header));
                true
            }
        };
        match (runs.last_mut(), reached) {
            (Some(run), Some(reached)) if goes_on && !path.forks.contains(&count) => {
                extend(run, *part, header, reached.to);
            }
            _ => {
                // What goes before does not belong to it, and so covers nothing in it.
                reached = Some(Reached::of(header));
                runs.push(begin(*part, header));
            }
        }
        after.extend(reached.map(|reached| (*part, reached)));
    }
    runs
}

/// How far a chain has come.
#[derive(Clone, Copy)]
struct Reached {
    timeline: u64,
    epoch: u64,
    to: Position,
}

impl Reached {
    fn of(header: &Header) -> Reached {
        Reached {
            timeline: header.timeline,
            epoch: header.last_epoch,
            to: header.span.to(),
        }
    }

    /// Whether the header goes on without leaving positions out.
    fn take(&mut self, header: &Header, events: &mut Vec<Event>) -> bool {
        self.note_writer(header, events);
        let (sequence, from, to) = (header.sequence, header.span.from(), header.span.to());
        let is_covered = from <= self.to;
        let goes_on = if header.timeline == self.timeline {
            if !is_covered {
                events.push(Event::Skipped {
                    sequence,
                    from: self.to,
                    to: from,
                });
            } else if from < self.to {
                let to = if to < self.to { to } else { self.to };
                events.push(Event::Resent { sequence, from, to });
            }
            is_covered
        } else {
            // Another server numbers its files in its own way.
            let comparable = !matches!(from, Position::File { .. });
            let contiguous = is_covered && comparable && self.timeline < header.timeline;
            events.push(Event::Timeline {
                sequence,
                before: self.timeline,
                after: header.timeline,
                at: from,
                contiguous,
            });
            contiguous
        };
        let stays = goes_on && header.timeline == self.timeline && to < self.to;
        *self = Reached {
            to: if stays { self.to } else { to },
            ..Reached::of(header)
        };
        goes_on
    }

    fn note_writer(&self, header: &Header, events: &mut Vec<Event>) {
        let (sequence, before) = (header.sequence, self.epoch);
        let after = header.epoch;
        if before < after {
            events.push(Event::Epoch {
                sequence,
                before,
                after,
            });
        } else if after < before {
            events.push(Event::StaleWriter {
                sequence,
                before,
                after,
            });
        }
    }
}

fn begin(part: usize, header: &Header) -> Run {
    Run {
        first: header.sequence,
        last: header.last(),
        previous: header.previous,
        digest: header.digest,
        from: header.span.from(),
        to: header.span.to(),
        first_timeline: header.timeline,
        timeline: header.timeline,
        epoch: header.last_epoch,
        commits: header.commits,
        parts: vec![part],
    }
}

fn extend(run: &mut Run, part: usize, header: &Header, to: Position) {
    run.last = header.last();
    run.digest = header.digest;
    run.to = to;
    run.timeline = header.timeline;
    run.epoch = header.last_epoch;
    run.commits = Commits::then(run.commits, header.commits);
    run.parts.push(part);
}
