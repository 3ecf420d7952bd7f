//! A base read from the server's own files while it runs, between `pg_backup_start` and `pg_backup_stop`.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError, Sink};
use vouchsafe_format::{Node, Timestamp, go_mode_from_unix};
use vouchsafe_host::files;
use vouchsafe_host::inode::{self, Inode, Kind};
use vouchsafe_translog::wal::{Lsn, SegmentSize, Timeline, WalFileName};

use super::super::about::About;
use super::super::session::{Session, unreadable};
use super::manifest::{self, Listed, Range};
use super::pages::{Checks, Ended, PAGE, PAGES_PER_FILE, PageFile};
use super::parts::{Part, Relation, holds_relations, part, unlogged};
use super::tree::{END, Found, GLOBAL, LABEL, LOG, LOG_CUT, MANIFEST};
use crate::failure;
use crate::spooled::{FileStream, Written};

const CONTROL: &str = "pg_control";
/// The most that a control file has (src/include/catalog/pg_control.h).
const CONTROL_SIZE: u64 = 64 << 10;
/// How often one looks whether the capture is to end.
const LOOK: Duration = Duration::from_millis(200);

const NOT_GRANTED: &str = "grant the user EXECUTE on the functions pg_backup_start and pg_backup_stop (before PostgreSQL 15: pg_start_backup and pg_stop_backup), or leave `data_directory` out";
const LOG_IS_GONE: &str = "give the user the attribute REPLICATION and a free place in max_replication_slots, so that the server keeps it, or raise wal_keep_size";

/// One base.
pub(super) struct Base<'a> {
    ctx: &'a CaptureContext<'a>,
    /// The server, for errors.
    shown: &'a str,
    root: &'a Path,
    about: &'a About,
    cut: u32,
    session: Session,
    tell: Sender<Option<Ended>>,
    told: Receiver<Option<Ended>>,
    /// How many files were handed over, and of how many it is known what became of them.
    handed: u64,
    ended: Vec<Ended>,
    gave_up: bool,
}

impl<'a> Base<'a> {
    /// A base of the server that `session` is connected to, whose data directory is `root`.
    pub(super) fn new(
        ctx: &'a CaptureContext<'a>,
        shown: &'a str,
        root: &'a Path,
        about: &'a About,
        cut: u32,
        session: Session,
    ) -> Base<'a> {
        let (tell, told) = mpsc::channel();
        Base {
            ctx,
            shown,
            root,
            about,
            cut,
            session,
            tell,
            told,
            handed: 0,
            ended: Vec::new(),
            gave_up: false,
        }
    }

    /// Hands everything to the sink, whose open directory is that of the data.
    pub(super) fn read(mut self, sink: &mut dyn Sink) -> Result<Found, CaptureError> {
        self.is_usual()?;
        let started = self.start()?;
        self.is_of_this_server(started)?;
        let read = self.data(started, sink);
        if self.gave_up {
            // The sink says why it took no more.
            read?;
            sink.leave()?;
            return Err(self.unreadable("the vault does not take it any more", "see what it says"));
        }
        read?;
        self.are_whole()?;
        let (label, end) = self.stop()?;
        let size = label.len() as u64;
        self.handed_in(sink, LABEL, label.clone())?;
        self.listed(LABEL, size, &label);
        let timeline = self.log(started, end, sink)?;
        let range = Range {
            timeline,
            start: started.to_string(),
            end: end.to_string(),
        };
        let mut files: Vec<Listed> = self.ended.drain(..).map(|e| e.listed).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let system = self.about.system_identifier.as_deref();
        let written = manifest::written(&files, &range, system.filter(|_| self.about.major >= 17));
        let from = written.len().saturating_sub(END);
        let manifest_end = written.get(from..).unwrap_or_default().to_vec();
        self.handed_in(sink, MANIFEST, written)?;
        Ok(Found {
            label,
            manifest_end,
        })
    }

    fn lsn(&self, text: &str) -> Result<Lsn, CaptureError> {
        let lsn = text.parse::<Lsn>();
        lsn.map_err(|e| self.unreadable(e.to_string(), "report this defect"))
    }

    fn unreadable(&self, message: impl Into<String>, remedy: &str) -> CaptureError {
        unreadable(&self.root.display().to_string(), message, remedy)
    }

    /// A server of another make keeps other files, and a standby other rules.
    fn is_usual(&mut self) -> Result<(), CaptureError> {
        let sizes = self.session.rows(
            "SELECT setting::text FROM pg_settings WHERE name IN ('block_size', 'segment_size') ORDER BY name",
        )?;
        let sizes: Vec<String> = sizes.into_iter().flatten().flatten().collect();
        if sizes != [PAGE.to_string(), PAGES_PER_FILE.to_string()] {
            let message = format!(
                "the server was built with pages and files of another size ({})",
                sizes.join(", ")
            );
            return Err(self.unreadable(message, "leave `data_directory` out"));
        }
        if self.session.text("SELECT pg_is_in_recovery()::text")? == "true" {
            let message = format!(
                "{} is a standby, which is copied through the server",
                self.shown
            );
            return Err(self.unreadable(message, "leave `data_directory` out"));
        }
        Ok(())
    }

    fn start(&mut self) -> Result<Lsn, CaptureError> {
        // For as long as this connection lasts the server then keeps its log. Who may not, or finds no place, learns at
        // the end whether a part of the log is gone.
        let _ = self.session.rows(
            "SELECT pg_create_physical_replication_slot('vouchsafe_base_' || pg_backend_pid(), true, true)::text",
        );
        let function = match self.about.major {
            15.. => "pg_backup_start('vouchsafe', true)",
            _ => "pg_start_backup('vouchsafe', true, false)",
        };
        let shown = self.session.text(&format!("SELECT {function}::text"));
        let shown = shown.map_err(|e| granted(e, NOT_GRANTED))?;
        self.lsn(&shown)
    }

    /// The control file tells which server it is of, and of which checkpoint it knows: the server has just made one.
    fn is_of_this_server(&self, started: Lsn) -> Result<(), CaptureError> {
        let control = self.control()?;
        let number = |at: usize| {
            let bytes = control.get(at..at + 8).and_then(|b| b.try_into().ok());
            bytes.map(u64::from_le_bytes)
        };
        // `system_identifier`, and `checkPointCopy.redo` since PostgreSQL 11.
        let (system, redo) = (number(0), number(40));
        let stated = self.about.system_identifier.as_deref();
        let is_other = stated.is_some_and(|s| system.map(|n| n.to_string()).as_deref() != Some(s));
        if is_other || redo != Some(started.0) {
            let message = format!(
                "this is not the data directory of {}: its control file knows nothing of the checkpoint that the server has just made",
                self.shown
            );
            let remedy = "write the directory that the server names by `SHOW data_directory`, as it is seen from here";
            return Err(self.unreadable(message, remedy));
        }
        Ok(())
    }

    /// The control file, of which half could be old and half new: read until twice the same comes.
    fn control(&self) -> Result<Vec<u8>, CaptureError> {
        let path = self.root.join(GLOBAL).join(CONTROL);
        let mut last = files::read(&path, CONTROL_SIZE).map_err(failure::file)?;
        for _ in 0..100 {
            let next = files::read(&path, CONTROL_SIZE).map_err(failure::file)?;
            if next == last {
                return Ok(next);
            }
            last = next;
        }
        Err(self.unreadable(
            "the control file changes all the time",
            "see the server's log",
        ))
    }

    /// All files but the log; `global` last, and in it the control file after all others were read.
    fn data(&mut self, started: Lsn, sink: &mut dyn Sink) -> Result<(), CaptureError> {
        self.directory(self.root.to_path_buf(), Vec::new(), started, sink)?;
        let global = self.root.join(GLOBAL);
        let seen = inode::lstat(&global).map_err(failure::file)?;
        sink.enter(described(GLOBAL, &seen))?;
        self.directory(global.clone(), vec![GLOBAL.to_owned()], started, sink)?;
        self.wait()?;
        if self.gave_up {
            return Ok(());
        }
        let control = self.control()?;
        let seen = inode::lstat(global.join(CONTROL)).map_err(failure::file)?;
        let node = described(CONTROL, &seen);
        let place = format!("{GLOBAL}/{CONTROL}");
        self.listed(&place, control.len() as u64, &control);
        let whole = Written::of_length(&place, control, seen.size)?.cut_every(self.cut);
        sink.stream(node, Box::new(whole))?;
        sink.leave()
    }

    /// What lies below a directory that is open in the sink. A list of open directories instead of recursion.
    fn directory(
        &mut self,
        path: PathBuf,
        parents: Vec<String>,
        started: Lsn,
        sink: &mut dyn Sink,
    ) -> Result<(), CaptureError> {
        let mut open = vec![self.listing(path, parents)?];
        while let Some(here) = open.last_mut() {
            failure::check_interrupt(self.ctx)?;
            let Some((name, part)) = here.names.next() else {
                open.pop();
                if !open.is_empty() {
                    sink.leave()?;
                }
                continue;
            };
            let path = here.path.join(&name);
            let parents = here.parents.clone();
            let seen = match inode::lstat(&path) {
                Ok(seen) => seen,
                // Dropped meanwhile; the log tells of it.
                Err(e) if e.is_not_found() => continue,
                Err(e) => return Err(failure::file(e)),
            };
            match seen.kind {
                Kind::Directory => {
                    sink.enter(described(&name, &seen))?;
                    let below = [parents, vec![name]].concat();
                    match part {
                        Part::Emptied => sink.leave()?,
                        Part::Taken | Part::LeftOut => open.push(self.listing(path, below)?),
                    }
                }
                Kind::File => self.file(&path, &parents, &name, started, sink)?,
                Kind::Symlink => {
                    let message = format!(
                        "{} is a link, and leads out of the data directory",
                        path.display()
                    );
                    let remedy = "servers with tablespaces cannot be captured whole yet; capture their databases one by one";
                    return Err(self.unreadable(message, remedy));
                }
                // Sockets and the like are of this run.
                _ => {}
            }
        }
        Ok(())
    }

    fn listing(&self, path: PathBuf, parents: Vec<String>) -> Result<Open, CaptureError> {
        let names = match inode::read_dir(&path) {
            Ok(names) => names,
            Err(e) if e.is_not_found() => Vec::new(),
            Err(e) => return Err(failure::file(e)),
        };
        let mut texts = Vec::with_capacity(names.len());
        for name in names {
            let text = String::from_utf8(name).map_err(|e| {
                let name = String::from_utf8_lossy(e.as_bytes()).into_owned();
                let message = format!(
                    "`{name}` in {} is no name of a server's file",
                    path.display()
                );
                self.unreadable(message, "look at the server's data directory")
            })?;
            texts.push(text);
        }
        texts.sort();
        let without_log = unlogged(texts.iter().map(String::as_str));
        let is_later = |name: &str| match parents.as_slice() {
            [] => name == GLOBAL || name == LOG,
            [only] => only == GLOBAL && name == CONTROL,
            _ => false,
        };
        let names = texts
            .into_iter()
            .filter(|name| !is_later(name))
            .map(|name| {
                let part = part(&parents, &name, &without_log);
                (name, part)
            })
            .filter(|(_, part)| *part != Part::LeftOut);
        let names = names.collect::<Vec<_>>().into_iter();
        Ok(Open {
            path,
            parents,
            names,
        })
    }

    fn file(
        &mut self,
        path: &Path,
        parents: &[String],
        name: &str,
        started: Lsn,
        sink: &mut dyn Sink,
    ) -> Result<(), CaptureError> {
        let file = match inode::open_content(path) {
            Ok(file) => file,
            Err(e) if e.is_not_found() => return Ok(()),
            Err(e) => return Err(failure::file(e)),
        };
        let seen = inode::fstat(&file)
            .map_err(|e| CaptureError::io("look at", path.display().to_string(), e))?;
        let relation = Relation::of(name).filter(|_| holds_relations(parents));
        let checks = relation.filter(|_| self.about.checksums).map(|r| Checks {
            first: r.segment.wrapping_mul(PAGES_PER_FILE),
            start: started.0,
        });
        let listed = Listed {
            path: [parents.join("/").as_str(), name]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join("/"),
            size: seen.size,
            modified: seen.mtime.seconds,
            crc: 0,
        };
        let content = PageFile::new(file, listed, checks, self.cut, self.tell.clone());
        self.handed += 1;
        sink.stream(described(name, &seen), Box::new(content))
    }

    /// Until it is known of every file that was handed over what became of it.
    fn wait(&mut self) -> Result<(), CaptureError> {
        while (self.ended.len() as u64) < self.handed {
            failure::check_interrupt(self.ctx)?;
            match self.told.recv_timeout(LOOK) {
                Ok(Some(ended)) => self.ended.push(ended),
                Ok(None) | Err(RecvTimeoutError::Disconnected) => {
                    self.gave_up = true;
                    return Ok(());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        Ok(())
    }

    /// Whether every page that should have its checksum has it.
    fn are_whole(&self) -> Result<(), CaptureError> {
        let mut damaged = self.ended.iter().filter(|e| e.damaged_count > 0);
        let Some(first) = damaged.next() else {
            return Ok(());
        };
        let numbers: Vec<String> = first.damaged.iter().map(u32::to_string).collect();
        let pages: u64 = self.ended.iter().map(|e| e.damaged_count).sum();
        let message = format!(
            "pages of the server do not have their checksums, {pages} in all; in {}: {}",
            first.listed.path,
            numbers.join(", ")
        );
        let remedy = "the server's disk or memory has damaged them: look at it by pg_amcheck, and restore an earlier point beside it";
        Err(self.unreadable(message, remedy))
    }

    /// What the label says, and the position at which the files are consistent.
    fn stop(&mut self) -> Result<(Vec<u8>, Lsn), CaptureError> {
        let function = match self.about.major {
            15.. => "pg_backup_stop(false)",
            _ => "pg_stop_backup(false, false)",
        };
        let rows = self.session.rows(&format!(
            "SELECT lsn::text, labelfile::text FROM {function}"
        ));
        let rows = rows.map_err(|e| granted(e, NOT_GRANTED))?;
        let mut row = rows.into_iter().next().unwrap_or_default().into_iter();
        match (row.next().flatten(), row.next().flatten()) {
            (Some(lsn), Some(label)) => Ok((label.into_bytes(), self.lsn(&lsn)?)),
            _ => Err(self.unreadable("the server ended the backup without a label", "see its log")),
        }
    }

    /// The part of the log that makes the files consistent; gives its timeline.
    fn log(&mut self, started: Lsn, end: Lsn, sink: &mut dyn Sink) -> Result<u32, CaptureError> {
        let asked = self.session.rows(
            "SELECT (SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'), \
             left(pg_walfile_name(pg_current_wal_lsn()), 8)",
        )?;
        let mut row = asked.into_iter().next().unwrap_or_default().into_iter();
        let size = row.next().flatten().and_then(|s| s.parse::<u32>().ok());
        let timeline = row.next().flatten();
        let number = timeline.and_then(|t| u32::from_str_radix(&t, 16).ok());
        let size = size.and_then(SegmentSize::new);
        let (Some(size), Some(timeline), true) =
            (size, number.and_then(Timeline::new), started < end)
        else {
            return Err(self.unreadable(
                "the server does not say where its log stands",
                "see its log",
            ));
        };
        let directory = self.root.join(LOG);
        // It may be a link to another disk, and is a directory in the base as with `pg_basebackup`.
        let real = files::canonicalize(&directory).map_err(failure::file)?;
        let seen = inode::lstat(&real).map_err(failure::file)?;
        sink.enter(described(LOG, &seen))?;
        let last = size.segment_of(Lsn(end.0.saturating_sub(1)));
        let mut archived = Vec::new();
        for segment in size.segment_of(started)..=last {
            failure::check_interrupt(self.ctx)?;
            let name = WalFileName::Segment { timeline, segment }.name(size);
            let path = real.join(&name);
            let seen = inode::lstat(&path).map_err(|e| {
                if e.is_not_found() {
                    let message =
                        format!("the server has removed the part {name} of its log meanwhile");
                    return self.unreadable(message, LOG_IS_GONE);
                }
                failure::file(e)
            })?;
            let stream = FileStream::open(&path, format!("{LOG}/{name}"))?.cut_every(LOG_CUT);
            sink.stream(described(&name, &seen), Box::new(stream))?;
            archived.push(format!("{name}.done"));
        }
        let status = "archive_status";
        if let Ok(seen) = inode::lstat(real.join(status)) {
            sink.enter(described(status, &seen))?;
            // A server that is made of this base does not archive them again.
            for name in archived {
                self.handed_in(sink, &name, Vec::new())?;
            }
            sink.leave()?;
        }
        sink.leave()?;
        Ok(timeline.number())
    }

    /// A file of the server's that lies in its directory only in the base.
    fn handed_in(
        &self,
        sink: &mut dyn Sink,
        name: &str,
        bytes: Vec<u8>,
    ) -> Result<(), CaptureError> {
        let at = self.ctx.clock.now();
        let node = super::super::node(name, vouchsafe_format::NodeKind::File, at);
        let whole = Written::whole(bytes)?.cut_every(self.cut);
        sink.stream(node, Box::new(whole))
    }

    /// A file of which the bytes are known.
    fn listed(&mut self, path: &str, size: u64, bytes: &[u8]) {
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
        self.handed += 1;
        self.ended.push(Ended {
            listed: Listed {
                path: path.to_owned(),
                size,
                modified: self.ctx.clock.now().micros() / 1_000_000,
                crc: u32::try_from(crc).unwrap_or_default(),
            },
            damaged: Vec::new(),
            damaged_count: 0,
        });
    }
}

/// A directory that is being read: where it is, and the names still to be visited.
struct Open {
    path: PathBuf,
    parents: Vec<String>,
    names: std::vec::IntoIter<(String, Part)>,
}

/// As `pg_basebackup` describes a file: without its number on this machine.
fn described(name: &str, seen: &Inode) -> Node {
    let bits = match seen.kind {
        Kind::Directory => 0o040_000,
        _ => 0o100_000,
    };
    let at = Timestamp::utc(seen.mtime.seconds, 0);
    Node {
        mode: go_mode_from_unix(bits | seen.mode),
        mtime: at,
        atime: at,
        ctime: at,
        inode: 0,
        device_id: 0,
        links: if seen.kind == Kind::Directory { 0 } else { 1 },
        user: String::new(),
        group: String::new(),
        ..crate::node::of_inode(name.as_bytes(), seen)
    }
}

/// The remedy of a statement that only some users may run.
fn granted(error: CaptureError, remedy: &str) -> CaptureError {
    match error {
        CaptureError::Unreadable { place, message, .. } if message.contains("permission") => {
            unreadable(&place, message, remedy)
        }
        other => other,
    }
}
