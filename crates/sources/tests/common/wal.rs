//! A log in memory, cut as one that ships it would cut it, and a server whose log it is.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use vouchsafe_capture::{
    CaptureError, Content, Log, LogChart, LogPart, LogPiece, LogReader, LogRun, LogWindow, Sink,
};
use vouchsafe_format::fragment::{Commits, Position, Span};
use vouchsafe_format::{Id, Node, NodeKind};
use vouchsafe_model::Time;
use vouchsafe_testkit::postgres::Postgres;
use vouchsafe_translog::wal::{
    History, Lsn, Meaning, SegmentSize, Timeline, WalEvent, WalFileName, WalReader, WalStart,
};

use super::{Memory, Point, World};

/// What the servers of these tests are made with.
pub const SEGMENT: u32 = 1 << 20;
/// So many bytes of log become a piece.
const PIECE: usize = 40_000;

/// A stream in memory.
#[derive(Clone, Default)]
pub struct MemoryLog {
    pub parts: Vec<Part>,
}

/// A fragment.
#[derive(Clone)]
pub struct Part {
    pub piece: LogPiece,
    pub log: Vec<u8>,
}

/// Streams of a server, and what they hold.
#[derive(Clone, Default)]
pub struct Shipped {
    pub wal: MemoryLog,
    pub histories: BTreeMap<u64, Vec<u8>>,
    /// Where each commit of the log ends, with its time, in its order.
    pub commits: Vec<(Lsn, Time)>,
}

impl Shipped {
    pub fn log(&self) -> Log<'_> {
        let mut chart = LogChart::draw(&self.wal, None).expect("draws");
        chart.timelines.clone_from(&self.histories);
        Log {
            chart,
            reader: &self.wal,
        }
    }
}

pub fn size() -> SegmentSize {
    SegmentSize::new(SEGMENT).expect("a size")
}

pub fn timeline(number: u32) -> Timeline {
    Timeline::new(number).expect("a timeline")
}

/// A server whose log stays, with page checksums and times of commits.
pub fn server() -> Postgres {
    Postgres::start_with(
        &["--wal-segsize=1", "--data-checksums"],
        &[
            "wal_level=replica",
            "wal_keep_size=1GB",
            "track_commit_timestamp=on",
            "full_page_writes=on",
            "hot_standby=off",
        ],
    )
}

/// All that the server has written on these timelines, the oldest first, from the first segment that it still has.
pub fn ship(server: &Postgres, timelines: &[u32]) -> Shipped {
    server.sql("SELECT pg_logical_emit_message(false, 'flush', ''); CHECKPOINT");
    let directory = server.data().join("pg_wal");
    let mut shipped = Shipped::default();
    let mut next = None;
    for number in timelines {
        let history = if *number == 1 {
            History::of(timeline(1))
        } else {
            let name = WalFileName::History {
                timeline: timeline(*number),
            };
            let file = fs::read(directory.join(name.name(size()))).expect("a history");
            shipped.histories.insert(u64::from(*number), file.clone());
            History::parse(timeline(*number), &file).expect("a history")
        };
        let from = history.range_of(timeline(*number)).expect("its own").from;
        ship_one(&directory, &history, next.map(|_: ()| from), &mut shipped);
        next = Some(());
    }
    shipped
}

/// The log of the newest timeline of a history, from where it begins.
fn ship_one(directory: &Path, history: &History, from: Option<Lsn>, shipped: &mut Shipped) {
    let own = history.timeline();
    let mut segments = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("lists") {
        let entry = entry.expect("lists");
        let name = entry.file_name().into_string().expect("a name");
        if let Some(WalFileName::Segment { timeline, segment }) = WalFileName::parse(&name, size())
            && timeline == own
        {
            segments.insert(segment, entry.path());
        }
    }
    let first = *segments.keys().next().expect("a segment");
    let start = size().start_of(first).expect("a place");
    let mut bytes = Vec::new();
    for path in segments.values() {
        bytes.extend(fs::read(path).expect("reads"));
    }
    let mut reader = WalReader::new(WalStart {
        lsn: start,
        ..WalStart::at_segment(size(), first, history.clone()).expect("a start")
    })
    .expect("a reader");
    let mut pending: Option<Commits> = None;
    let mut begun = from.unwrap_or(start);
    for chunk in bytes.chunks(PIECE) {
        reader
            .feed(chunk, |event| {
                let WalEvent::Record(record) = event else {
                    return;
                };
                if let Meaning::Commit { time, .. } = record.meaning
                    && record.lsn >= begun
                {
                    shipped.commits.push((record.end, time));
                    pending = Some(Commits {
                        first: pending.map_or(time.micros(), |before| before.first),
                        last: time.micros(),
                    });
                }
            })
            .expect("a sound log");
        let status = reader.status();
        let verified = status.verified.unwrap_or(begun);
        if begun < verified {
            let log = bytes[(begun.0 - start.0) as usize..(verified.0 - start.0) as usize].to_vec();
            let span = Span::new(Position::Byte(begun.0), Position::Byte(verified.0));
            shipped.wal.parts.push(Part {
                piece: LogPiece {
                    timeline: own.number().into(),
                    span: span.expect("a range"),
                    commits: pending.take(),
                },
                log,
            });
            begun = verified;
        }
        if status.end.is_some() {
            break;
        }
    }
}

impl MemoryLog {
    /// Runs of parts that follow one another, as ranges of their numbers.
    fn runs(&self) -> Vec<std::ops::Range<usize>> {
        let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
        let mut reached: Option<LogPiece> = None;
        for (at, part) in self.parts.iter().enumerate() {
            let goes_on = reached.is_some_and(|before| part.piece.span.from() <= before.span.to());
            match runs.last_mut() {
                Some(run) if goes_on => run.end = at + 1,
                _ => runs.push(at..at + 1),
            }
            reached = Some(part.piece);
        }
        runs
    }
}

impl LogReader for MemoryLog {
    fn place(&self) -> String {
        "the log in memory".to_owned()
    }

    fn window(&self) -> Result<LogWindow, CaptureError> {
        let runs = self.runs().into_iter().map(|range| {
            let (first, last) = (
                &self.parts[range.start].piece,
                &self.parts[range.end - 1].piece,
            );
            LogRun {
                first: range.start as u64,
                last: range.end as u64 - 1,
                previous: Id::of(b""),
                digest: Id::of(b""),
                from: first.span.from(),
                to: last.span.to(),
                first_timeline: first.timeline,
                timeline: last.timeline,
                epoch: 1,
                commits: None,
            }
        });
        Ok(LogWindow {
            runs: runs.collect(),
            ..LogWindow::default()
        })
    }

    fn pieces(&self, run: &LogRun) -> Result<Vec<LogPiece>, CaptureError> {
        let parts = &self.parts[run.first as usize..=run.last as usize];
        Ok(parts.iter().map(|part| part.piece).collect())
    }

    fn read(
        &self,
        run: &LogRun,
        from: Position,
        to: Position,
        take: &mut dyn FnMut(LogPart<'_>) -> io::Result<()>,
    ) -> Result<(), CaptureError> {
        let (Position::Byte(from), Position::Byte(to)) = (from, to) else {
            return self.read_marks(run, (from, to), take);
        };
        for at in run.first..=run.last {
            let part = &self.parts[at as usize];
            let (Position::Byte(begin), Position::Byte(end)) =
                (part.piece.span.from(), part.piece.span.to())
            else {
                panic!("not by bytes");
            };
            let (cut_from, cut_to) = (begin.max(from), end.min(to));
            if cut_to <= cut_from {
                continue;
            }
            let span = Span::new(Position::Byte(cut_from), Position::Byte(cut_to));
            take(LogPart {
                sequence: at,
                timeline: part.piece.timeline,
                span: span.expect("a range"),
                commits: part.piece.commits,
                log: &part.log[(cut_from - begin) as usize..(cut_to - begin) as usize],
            })
            .map_err(CaptureError::vault)?;
        }
        Ok(())
    }
}

impl MemoryLog {
    /// What is counted by marks is handed out whole.
    fn read_marks(
        &self,
        run: &LogRun,
        (from, to): (Position, Position),
        take: &mut dyn FnMut(LogPart<'_>) -> io::Result<()>,
    ) -> Result<(), CaptureError> {
        for at in run.first..=run.last {
            let part = &self.parts[at as usize];
            let span = part.piece.span;
            if span.to() <= from || to <= span.from() {
                continue;
            }
            take(LogPart {
                sequence: at,
                timeline: part.piece.timeline,
                span,
                commits: part.piece.commits,
                log: &part.log,
            })
            .map_err(CaptureError::vault)?;
        }
        Ok(())
    }
}

/// A base with its manifest, as a vault holds it.
pub fn base(world: &World, url: &str) -> (vouchsafe_capture::Captured, Point) {
    base_by(world, super::open(url).as_ref())
}

/// The same, by a source that is open.
pub fn base_by(
    world: &World,
    source: &dyn vouchsafe_capture::Source,
) -> (vouchsafe_capture::Captured, Point) {
    let mut memory = Memory::default();
    let captured = source.capture(&world.ctx(), &mut memory).expect("captures");
    let json = serde_json::to_vec(&captured.manifest).expect("json");
    let node = Node {
        name: vouchsafe_capture::MANIFEST_NAME.into(),
        kind: NodeKind::File,
        mode: 0o600,
        size: json.len() as u64,
        ..Node::default()
    };
    memory.file(node, Box::new(Bytes(json))).expect("takes it");
    (captured, memory.finish())
}

struct Bytes(Vec<u8>);

impl Content for Bytes {
    fn open(&mut self) -> Result<Box<dyn io::Read + Send>, CaptureError> {
        Ok(Box::new(io::Cursor::new(std::mem::take(&mut self.0))))
    }
}
