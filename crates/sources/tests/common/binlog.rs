//! Following the binary log of a server, and the log in memory as a vault would hold it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use vouchsafe_capture::{
    CaptureError, Log, LogChart, LogPart, LogPiece, LogReached, LogReader, LogRun, LogWindow,
};
use vouchsafe_format::Id;
use vouchsafe_format::fragment::{Position, Span};
use vouchsafe_host::OsRandom;
use vouchsafe_model::{LogGapCause, SourceUrl};
use vouchsafe_sources::{FollowLog, FoundGap, LogCut, LogStep, LogTick, open_log};
use vouchsafe_testkit::mariadb::MariaDb;
use vouchsafe_testkit::mysql::MySql;
use vouchsafe_translog::binlog::{BinlogReader, GtidState};

use super::World;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a binary log, of either product.
pub trait Logging {
    /// All of it, for its administrator.
    fn whole(&self) -> String;
    /// The file that it writes, by its number, and how long it is.
    fn end(&self) -> (u64, u64);
    /// The files of its log, the oldest first.
    fn files(&self) -> Vec<PathBuf>;
}

impl Logging for MariaDb {
    fn whole(&self) -> String {
        self.url("root", "").replace("/?", "?")
    }

    fn end(&self) -> (u64, u64) {
        end_of_log(self)
    }

    fn files(&self) -> Vec<PathBuf> {
        self.logs()
    }
}

impl Logging for MySql {
    fn whole(&self) -> String {
        self.url("root", "")
    }

    fn end(&self) -> (u64, u64) {
        self.end_of_log()
    }

    fn files(&self) -> Vec<PathBuf> {
        self.logs()
    }
}

/// What was followed so far, as a vault would hold it.
pub struct Followed {
    pub world: World,
    pub url: String,
    pub follower: Box<dyn FollowLog>,
    pub log: BinlogInMemory,
    pub gaps: Vec<FoundGap>,
    pub issues: Vec<String>,
}

impl Followed {
    pub fn begin(server: &impl Logging) -> Followed {
        Followed::begin_as(&server.whole())
    }

    pub fn begin_as(url: &str) -> Followed {
        let world = World::new();
        std::fs::create_dir(world.state()).expect("a state directory");
        let follower = follow(&world, url, None, None);
        Followed {
            world,
            url: url.to_owned(),
            follower,
            log: BinlogInMemory::default(),
            gaps: Vec::new(),
            issues: Vec::new(),
        }
    }

    /// Begins anew, as after a crash, at another server or the same one.
    pub fn begin_again(&mut self, server: &impl Logging) {
        let known = self.follower.server();
        self.follower = follow(
            &self.world,
            &server.whole(),
            known.as_deref(),
            self.log.reached(),
        );
    }

    pub fn tick(&mut self) -> LogTick {
        let tick = self.follower.tick(&self.world.ctx(), &OsRandom);
        for step in &tick.steps {
            let LogStep::Log(cut) = step else {
                panic!("a binary log has no timelines");
            };
            let reader = self.follower.reader().expect("a spool");
            let bytes = reader.read(&cut.piece).expect("it is in the spool");
            self.log.pieces.push((cut.clone(), bytes));
        }
        self.gaps.extend(tick.gap.clone());
        self.issues.extend(tick.issues.clone());
        tick
    }

    pub fn until(&mut self, what: &str, mut is_so: impl FnMut(&Followed) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(
                begun.elapsed() < PATIENCE,
                "{what} never came: {:?}",
                self.issues
            );
            self.tick();
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Until everything is there that the server has in its log now.
    pub fn catch_up(&mut self, server: &impl Logging) {
        let (number, offset) = server.end();
        let begun_anew = |f: &Followed| {
            let anew = |gap: &&FoundGap| gap.cause == LogGapCause::Diverged;
            f.gaps.iter().filter(anew).count() as u64
        };
        self.until("the end of the log", |f| {
            f.log.reached().is_some_and(|reached| match reached.to {
                Position::File { file, offset: to } => {
                    (file, to) >= (begun_anew(f) << 32 | number, offset)
                }
                _ => false,
            })
        });
    }

    /// Releases what was shipped.
    pub fn release(&self) {
        let reached = self.log.reached().expect("something was shipped");
        self.follower.release(reached).expect("releases");
    }
}

/// The server's own files, as far as they were shipped, but for the mark that one is in use.
pub fn assert_same_bytes(followed: &Followed, server: &impl Logging) {
    let mut compared = 0;
    for path in server.files() {
        let number: u64 = number(&path);
        let mut theirs = std::fs::read(&path).expect("reads");
        let ours = followed.log.file(number);
        if ours.is_empty() {
            continue;
        }
        theirs.truncate(ours.len());
        // Four bytes of magic, then the flags in the header of the first event.
        theirs[21] &= !1;
        let differs = ours.iter().zip(&theirs).position(|(a, b)| a != b);
        assert_eq!(differs, None, "{}", path.display());
        assert_eq!(ours.len(), theirs.len(), "{}", path.display());
        compared += 1;
    }
    assert!(compared > 0);
    // And it reads on from one file to the next.
    let mut gtids = GtidState::Unknown;
    for path in server.files() {
        let mut reader = BinlogReader::new(gtids);
        reader
            .feed(&followed.log.file(number(&path)), |_| {})
            .expect("it is sound");
        gtids = reader.status().gtids;
    }
}

fn number(path: &Path) -> u64 {
    let end = path.extension().and_then(|e| e.to_str()).expect("a number");
    end.parse().expect("a number")
}

/// The file that a server writes, by its number, and how long it is.
pub fn end_of_log(server: &MariaDb) -> (u64, u64) {
    let said = server.sql("SHOW MASTER STATUS");
    let mut words = said.split('\t');
    let file = words.next().expect("a file");
    let number = file.rsplit('.').next().expect("a number");
    let offset = words.next().expect("an offset");
    (
        number.parse().expect("a number"),
        offset.parse().expect("an offset"),
    )
}

fn follow(
    world: &World,
    url: &str,
    known: Option<&str>,
    reached: Option<LogReached>,
) -> Box<dyn FollowLog> {
    let url = SourceUrl::parse(url).expect("a URL");
    let source = open_log(&url, None, Path::new("/nowhere")).expect("a log");
    let names = ("shop-db/base", "0123abcd");
    source
        .follow(&world.ctx(), names, known, reached)
        .expect("it begins")
}

/// A stream in memory.
#[derive(Clone, Default)]
pub struct BinlogInMemory {
    pub pieces: Vec<(LogCut, Vec<u8>)>,
}

impl BinlogInMemory {
    pub fn reached(&self) -> Option<LogReached> {
        self.pieces.last().map(|(cut, _)| LogReached {
            timeline: cut.piece.timeline,
            to: cut.piece.span.to(),
        })
    }

    pub fn log(&self) -> Log<'_> {
        Log {
            chart: LogChart::draw(self, None).expect("draws"),
            reader: self,
        }
    }

    /// The bytes of one file, which must be there without a gap.
    pub fn file(&self, wanted: u64) -> Vec<u8> {
        let mut out: Vec<u8> = Vec::new();
        for (cut, bytes) in &self.pieces {
            let Position::File { file, offset } = cut.piece.span.from() else {
                panic!("no position of a file");
            };
            if file == wanted {
                assert_eq!(offset, out.len() as u64, "a gap in file {file}");
                out.extend_from_slice(bytes);
            }
        }
        out
    }

    /// Every piece begins where the one before it ends, but for so many times.
    pub fn assert_gaps(&self, count: usize) {
        let breaks = self
            .pieces
            .windows(2)
            .filter(|pair| pair[0].0.piece.span.to() != pair[1].0.piece.span.from());
        assert_eq!(breaks.count(), count);
        for (cut, bytes) in &self.pieces {
            assert!(cut.piece.span.fits(bytes.len() as u64), "{:?}", cut.piece);
            assert!(cut.verified);
        }
    }

    /// Runs of pieces that follow one another, as ranges of their numbers.
    fn runs(&self) -> Vec<std::ops::Range<usize>> {
        let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
        for (at, (cut, _)) in self.pieces.iter().enumerate() {
            let goes_on = at > 0 && self.pieces[at - 1].0.piece.span.to() == cut.piece.span.from();
            match runs.last_mut() {
                Some(run) if goes_on => run.end = at + 1,
                _ => runs.push(at..at + 1),
            }
        }
        runs
    }
}

impl LogReader for BinlogInMemory {
    fn place(&self) -> String {
        "the log in memory".to_owned()
    }

    fn window(&self) -> Result<LogWindow, CaptureError> {
        let runs = self.runs().into_iter().map(|range| {
            let (first, last) = (
                &self.pieces[range.start].0.piece,
                &self.pieces[range.end - 1].0.piece,
            );
            LogRun {
                first: range.start as u64,
                last: range.end as u64 - 1,
                previous: Id::of(b""),
                digest: Id::of(b""),
                from: first.span.from(),
                to: last.span.to(),
                first_timeline: 1,
                timeline: 1,
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
        let pieces = &self.pieces[run.first as usize..=run.last as usize];
        Ok(pieces.iter().map(|(cut, _)| cut.piece).collect())
    }

    fn read(
        &self,
        run: &LogRun,
        from: Position,
        to: Position,
        take: &mut dyn FnMut(LogPart<'_>) -> io::Result<()>,
    ) -> Result<(), CaptureError> {
        for at in run.first..=run.last {
            let (cut, bytes) = &self.pieces[at as usize];
            let (begin, end) = (cut.piece.span.from(), cut.piece.span.to());
            if end <= from || to <= begin {
                continue;
            }
            take(LogPart {
                sequence: at,
                timeline: 1,
                span: Span::new(begin, end).expect("a range"),
                commits: cut.piece.commits,
                log: bytes,
            })
            .map_err(CaptureError::vault)?;
        }
        Ok(())
    }
}
