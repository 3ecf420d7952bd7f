//! One vault that a log goes to: its writers, how far it is, and what went there.

use std::collections::VecDeque;

use vouchsafe_capture::{LogPiece, LogReached};
use vouchsafe_format::fragment::{Commits, Position, Span};
use vouchsafe_model::{LogCopy, Time, VaultName};
use vouchsafe_sources::{LogKind, LogStep, ReadLog};
use vouchsafe_vault::logs::{Fence, LogError, LogStream, LogWriter};

use crate::error::chain;

/// One vault of a protection whose log is shipped.
pub(super) struct Destination {
    pub(super) vault: VaultName,
    pub(super) streams: Option<Streams>,
    pub(super) writers: Option<Writers>,
    /// The step of the queue that it gets next, counted since shipping began.
    pub(super) next: u64,
    /// Why it is behind.
    pub(super) problem: Option<String>,
    /// Its log stands at another place of its chain than that of the other vaults, and stays so.
    pub(super) is_apart: bool,
    pub(super) held: Held,
    pub(super) since: Since,
    /// How often the step that it gets next could not be read.
    unreadable: u32,
    /// Pieces that neither the spool nor another vault had for it.
    pub(super) lost: Vec<LogPiece>,
}

/// So often a vault is brought level with the others before what the spool has lost is given up.
const UNREADABLE: u32 = 3;

/// Both streams in an open vault.
#[derive(Clone)]
pub(super) struct Streams {
    pub(super) log: LogStream,
    pub(super) timelines: LogStream,
}

/// Their writers.
pub(super) struct Writers {
    pub(super) log: LogWriter,
    pub(super) timelines: LogWriter,
}

/// What a vault holds without a gap up to its end. All of it was read back.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    pub(super) begins: Option<Position>,
    pub(super) reached: Option<LogReached>,
    pub(super) first_commit: Option<Time>,
    pub(super) newest_commit: Option<Time>,
    pub(super) sequence: u64,
    pub(super) digest: String,
    /// The last heartbeat token in it.
    pub(super) token: Option<vouchsafe_translog::token::Token>,
}

/// What came since the last record.
#[derive(Debug, Clone, Default)]
pub(super) struct Since {
    pub(super) fragments: u64,
    pub(super) bytes: u64,
    pub(super) unverified: u64,
    pub(super) worst: Option<vouchsafe_model::Span>,
}

impl Destination {
    pub(super) fn new(vault: VaultName) -> Destination {
        Destination {
            vault,
            streams: None,
            writers: None,
            next: 0,
            problem: None,
            is_apart: false,
            held: Held::default(),
            since: Since::default(),
            unreadable: 0,
            lost: Vec::new(),
        }
    }

    /// Takes both streams over.
    pub(super) fn take_over(&mut self) -> Result<(), LogError> {
        let Some(streams) = &self.streams else {
            return Ok(());
        };
        self.writers = Some(Writers {
            log: streams.log.writer(Fence::Store)?,
            timelines: streams.timelines.writer(Fence::Store)?,
        });
        Ok(())
    }

    /// Looks at what the vault holds without a gap.
    pub(super) fn look(&mut self) -> Result<(), LogError> {
        let Some(streams) = &self.streams else {
            return Ok(());
        };
        let window = streams.log.window()?;
        let newest = window.runs.iter().max_by_key(|run| run.last);
        let time = |micros: Option<i64>| micros.map(Time::from_micros);
        let commits = newest.and_then(|run| run.commits);
        self.held = Held {
            begins: newest.map(|run| run.from),
            reached: newest.map(|run| LogReached {
                timeline: run.timeline,
                to: run.to,
            }),
            first_commit: time(commits.map(|commits| commits.first)),
            newest_commit: time(commits.map(|commits| commits.last)),
            sequence: newest.map_or(0, |run| run.last.saturating_add(1)),
            digest: newest.map_or_else(String::new, |run| run.digest.to_hex()),
            token: self.held.token.take(),
        };
        Ok(())
    }

    /// Passes over the steps that the vault has already. `first` is the number of the first of `steps`.
    pub(super) fn skip_held(&mut self, first: u64, steps: &VecDeque<LogStep>) {
        let Some(reached) = self.held.reached else {
            return;
        };
        while self.writers.is_some() {
            let at = usize::try_from(self.next.saturating_sub(first)).unwrap_or(usize::MAX);
            let Some(LogStep::Log(cut)) = steps.get(at) else {
                return;
            };
            let (timeline, to) = (cut.piece.timeline, cut.piece.span.to());
            let has =
                timeline < reached.timeline || (timeline == reached.timeline && to <= reached.to);
            if !has {
                return;
            }
            self.next += 1;
        }
    }

    /// Appends the steps that it lacks, as far as it takes them. `first` is the number of the first of `steps`.
    pub(super) fn deliver(&mut self, first: u64, steps: &[LogStep], reader: &dyn ReadLog) {
        let skip = usize::try_from(self.next.saturating_sub(first)).unwrap_or(usize::MAX);
        for step in steps.iter().skip(skip) {
            let Some(writers) = &mut self.writers else {
                return;
            };
            match put(writers, step, reader) {
                Ok(put) => {
                    self.problem = None;
                    self.unreadable = 0;
                    self.next += 1;
                    self.count(step, &put);
                }
                Err(Failed::Reading(message)) => {
                    // Another vault may have it: then it is brought level.
                    self.problem = Some(message);
                    self.unreadable += 1;
                    if self.unreadable < UNREADABLE {
                        self.writers = None;
                        return;
                    }
                    if let LogStep::Log(cut) = step {
                        self.lost.push(cut.piece);
                    }
                    self.next += 1;
                }
                Err(Failed::Writing(error)) => {
                    self.problem = Some(chain(&error));
                    if matches!(
                        error,
                        LogError::Fork { .. } | LogError::Overtaken { .. } | LogError::Moved { .. }
                    ) {
                        self.writers = None;
                    }
                    return;
                }
            }
        }
    }

    fn count(&mut self, step: &LogStep, put: &Put) {
        let LogStep::Log(cut) = step else { return };
        let (from, to) = (cut.piece.span.from(), cut.piece.span.to());
        let goes_on = self
            .held
            .reached
            .is_some_and(|reached| reached.timeline != cut.piece.timeline || from <= reached.to);
        if !goes_on {
            // Nothing before it can be rolled forward to it.
            self.held.begins = Some(from);
            self.held.first_commit = None;
        }
        let first = cut
            .piece
            .commits
            .map(|c: Commits| Time::from_micros(c.first));
        self.held.first_commit = self.held.first_commit.or(first);
        self.held.newest_commit = self.held.newest_commit.max(cut.newest_commit);
        self.held.reached = Some(LogReached {
            timeline: cut.piece.timeline,
            to,
        });
        self.held.sequence = put.sequence;
        self.held.digest.clone_from(&put.digest);
        if cut.token.is_some() {
            self.held.token.clone_from(&cut.token);
        }
        self.since.fragments += put.fragments;
        self.since.bytes += put.bytes;
        if !cut.verified {
            self.since.unverified += put.bytes;
        }
    }

    /// Notes what would be lost now if only this vault were left.
    pub(super) fn age(&mut self, now: Time) {
        if let Some(newest) = self.held.newest_commit {
            self.since.worst = self.since.worst.max(Some(now.since(newest)));
        }
    }

    /// What is recorded of it.
    pub(super) fn fact(&self, kind: LogKind) -> Option<LogCopy> {
        let reached = self.held.reached?;
        Some(LogCopy {
            vault: self.vault.clone(),
            timeline: reached.timeline,
            begins: kind.written(self.held.begins.unwrap_or(reached.to)),
            reaches: kind.written(reached.to),
            first_commit: self.held.first_commit,
            newest_commit: self.held.newest_commit,
            worst: self.since.worst,
            fragments_total: self.held.sequence,
            digest: self.held.digest.clone(),
            fragments: self.since.fragments,
            bytes: self.since.bytes,
            unverified: self.since.unverified,
            problem: self.problem.clone(),
        })
    }
}

struct Put {
    fragments: u64,
    bytes: u64,
    sequence: u64,
    digest: String,
}

enum Failed {
    Reading(String),
    Writing(LogError),
}

fn put(writers: &mut Writers, step: &LogStep, reader: &dyn ReadLog) -> Result<Put, Failed> {
    match step {
        LogStep::History { timeline, file } => {
            put_history(&mut writers.timelines, *timeline, file).map_err(Failed::Writing)?;
            Ok(Put {
                fragments: 0,
                bytes: 0,
                sequence: 0,
                digest: String::new(),
            })
        }
        LogStep::Log(cut) => {
            let log = reader
                .read(&cut.piece)
                .map_err(|e| Failed::Reading(chain(&e)))?;
            let kept = writers
                .log
                .append(cut.piece, &log)
                .map_err(Failed::Writing)?;
            Ok(Put {
                fragments: kept.fragments(),
                bytes: log.len() as u64,
                sequence: kept.tip().sequence,
                digest: kept.tip().digest.to_hex(),
            })
        }
    }
}

/// Each history once: timeline n is the mark from n - 1 to n.
fn put_history(writer: &mut LogWriter, timeline: u32, file: &[u8]) -> Result<(), LogError> {
    let number = u64::from(timeline);
    let (from, to) = (
        Position::Mark(number.saturating_sub(1)),
        Position::Mark(number),
    );
    let reached = writer.tip()?.reached;
    if reached.is_some_and(|reached| reached.to >= to) {
        return Ok(());
    }
    let Ok(span) = Span::new(from, to) else {
        return Ok(());
    };
    let piece = LogPiece {
        timeline: number,
        span,
        commits: None,
    };
    writer.append(piece, file).map(drop)
}
