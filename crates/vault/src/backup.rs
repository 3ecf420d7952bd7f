//! Backing up: the sink that a source fills, in front of a machine and a driver.

use std::sync::Arc;

use vouchsafe_capture::{CaptureError, Content, Progress, Sink, StreamContent};
use vouchsafe_format::{Id, Node, NodeKind, Snapshot};
use vouchsafe_host::{Interrupt, machine};
use vouchsafe_model::{Issue, Outcome, Time};

use crate::drive::pieces::Pieces;
use crate::drive::simulated::Simulated;
use crate::drive::threaded::Engine;
use crate::drive::{Drive, Driver, Origin, ReadTask, Workshop};
use crate::env::to_timestamp;
use crate::error::{BackupError, RepoError, WorkError};
use crate::index::BlobIndex;
use crate::machine::backup::Reading;
use crate::machine::{BackupMachine, Buffers, Claims, Saver};
use crate::parent::{Before, Parent};
use crate::repository::Repository;
use crate::trees::Trees;

/// What a backup is told, for its snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupOptions {
    /// The snapshot whose unchanged files are not read again.
    pub parent: Option<Id>,
    /// What is backed up.
    pub paths: Vec<String>,
    /// Marks.
    pub tags: Vec<String>,
    /// Patterns that were left out.
    pub excludes: Vec<String>,
    /// When the backup began.
    pub time: Time,
    /// The machine that the data comes from.
    pub hostname: String,
}

impl BackupOptions {
    /// A backup of `paths` on `hostname` that began at `time`, with nothing else said.
    pub fn new(paths: Vec<String>, hostname: String, time: Time) -> BackupOptions {
        BackupOptions {
            parent: None,
            paths,
            tags: Vec::new(),
            excludes: Vec::new(),
            time,
            hostname,
        }
    }
}

/// What a backup did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// The new snapshot.
    pub snapshot: Id,
    /// The tree of its root.
    pub tree: Id,
    /// Files whose content was read, streams among them.
    pub files_new: u64,
    /// Files taken over from the parent unread.
    pub files_unchanged: u64,
    /// Directories, the root not counted.
    pub dirs: u64,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Bytes of all files.
    pub bytes_total: u64,
    /// Bytes of the new packs.
    pub added_bytes: u64,
    /// The new packs.
    pub added_packs: Vec<Id>,
    /// What could not be read: the first thousand.
    pub issues: Vec<Issue>,
    /// How many there are in all.
    pub issue_count: u64,
    /// What is wrong with the repository and did not hinder: damaged index files, a parent that cannot be read.
    pub repository_issues: Vec<Issue>,
    /// Whether everything could be read.
    pub outcome: Outcome,
}

impl Repository {
    /// Makes a snapshot of what `fill` puts into the sink.
    ///
    /// The snapshot is written last: after all contents were read, every stream has proved its clean end, and all
    /// packs and their index are durable.
    ///
    /// # Errors
    /// [`BackupError`]: then there is no new snapshot. Files that cannot be read are no error but make the outcome
    /// [`Outcome::Incomplete`].
    pub fn backup<T>(
        &self,
        options: &BackupOptions,
        progress: &dyn Progress,
        fill: impl FnOnce(&mut dyn Sink) -> Result<T, CaptureError>,
    ) -> Result<(T, BackupReport), BackupError> {
        self.refuse_old_version()?;
        let (index, mut issues) = self.index()?;
        let parent = self.parent(options, &index, &mut issues)?;
        let saver = self.saver();
        let workshop = self.workshop(Arc::clone(&index), None, &saver);
        let machine = BackupMachine::new(saver, self.new_snapshot(options));
        let stored = Arc::clone(&index);
        let (value, machine, parent) = match &self.driver {
            Driver::Simulated(simulation) => {
                let drive = Simulated::new(machine, workshop, self.chunker(), simulation)
                    .map_err(BackupError::Work)?;
                self.run(
                    Front::new(drive, parent, index, self.env().interrupt.clone()),
                    fill,
                )?
            }
            Driver::Threaded(_) | Driver::Automatic => {
                let threads = self.threads();
                let engine = Engine::start(machine, workshop, self.chunker(), threads);
                engine.start_readers(threads.readers);
                let shared = Arc::clone(engine.shared());
                let interrupt = self.env().interrupt.clone();
                Engine::watched(&shared, progress, &interrupt, || {
                    self.run(Front::new(engine, parent, index, interrupt.clone()), fill)
                })?
            }
        };
        issues.extend(parent.into_issues());
        // What could not be looked up was stored once more.
        let trouble = stored.trouble();
        issues
            .extend(trouble.map(|trouble| crate::repository::issue("index".to_owned(), &trouble)));
        self.note_written(&machine.saver().added().indexes);
        let report = report(&machine, issues).ok_or(BackupError::Work(WorkError::Stuck))?;
        Ok((value, report))
    }

    /// Lets the source fill the sink, then finishes.
    fn run<T, D: Drive<BackupMachine>>(
        &self,
        mut front: Front<D>,
        fill: impl FnOnce(&mut dyn Sink) -> Result<T, CaptureError>,
    ) -> Result<(T, BackupMachine, Parent), BackupError> {
        let filled = match fill(&mut front) {
            Ok(value) => self.finish(&mut front.drive).map(|()| value),
            Err(error) => Err(error),
        };
        let Front { drive, parent, .. } = front;
        match filled {
            Ok(value) => Ok((value, drive.end().map_err(work_error)?, parent)),
            // What made the engine give up comes first: the source may only have seen that it did.
            Err(error) => Err(match (drive.abandon(), error) {
                (Some(error), _) => work_error(error),
                (None, CaptureError::Interrupted) => BackupError::Interrupted,
                (None, error) => BackupError::Capture(error),
            }),
        }
    }

    fn finish(&self, drive: &mut impl Drive<BackupMachine>) -> Result<(), CaptureError> {
        drive.apply(BackupMachine::close)?;
        drive.work_until(BackupMachine::is_ready_for_snapshot)?;
        if self.env().interrupt.requested() {
            return Err(CaptureError::Interrupted);
        }
        let ended = self.env().timestamp();
        drive.apply(|machine, jobs| machine.write_snapshot(ended, jobs))?;
        Ok(drive.work_until(|machine| machine.result().is_some())?)
    }

    fn parent(
        &self,
        options: &BackupOptions,
        index: &Arc<BlobIndex>,
        issues: &mut Vec<Issue>,
    ) -> Result<Parent, RepoError> {
        let Some(id) = options.parent else {
            return Ok(Parent::none());
        };
        match self.snapshot(&id) {
            Ok(snapshot) => {
                let trees = Trees::new(self.objects.clone(), self.key.clone(), Arc::clone(index));
                Ok(Parent::new(trees, &snapshot.tree))
            }
            Err(RepoError::Store(error)) => Err(error.into()),
            Err(error) => {
                issues.push(crate::repository::issue(format!("parent {id}"), &error));
                Ok(Parent::none())
            }
        }
    }

    fn new_snapshot(&self, options: &BackupOptions) -> Snapshot {
        let env = self.env();
        // The tree is filled in when it is known.
        Snapshot {
            parent: options.parent,
            paths: options.paths.clone(),
            hostname: options.hostname.clone(),
            username: env.username.clone(),
            uid: env.uid,
            gid: env.gid,
            excludes: options.excludes.clone(),
            tags: options.tags.clone(),
            program_version: env.program_version.clone(),
            ..Snapshot::new(to_timestamp(options.time), Id::from_bytes([0; 32]))
        }
    }

    pub(crate) fn saver(&self) -> Saver {
        let buffers = match machine::lends_addresses() {
            true => Buffers::mapped(),
            false => Buffers::default(),
        };
        Saver::new(self.settings, Arc::clone(&self.env().random))
            .in_pieces(self.objects.take_pieces())
            .with_buffers(buffers)
    }

    pub(crate) fn workshop(
        &self,
        index: Arc<BlobIndex>,
        source: Option<&Repository>,
        saver: &Saver,
    ) -> Workshop {
        Workshop {
            key: self.key.clone(),
            claims: Arc::new(Claims::new(index)),
            random: Arc::clone(&self.env().random),
            buffers: Arc::clone(saver.buffers()),
            pieces: Pieces::default(),
            target: self.objects.clone(),
            source: source.map(|repository| (repository.objects.clone(), repository.key.clone())),
        }
    }

    /// Version 1 knows no compression, and nothing here writes without.
    pub(crate) fn refuse_old_version(&self) -> Result<(), RepoError> {
        match self.config.version {
            1 => Err(RepoError::OldVersion {
                store: self.place(),
            }),
            _ => Ok(()),
        }
    }
}

pub(crate) fn work_error(error: WorkError) -> BackupError {
    match error {
        WorkError::Interrupted => BackupError::Interrupted,
        error => BackupError::Work(error),
    }
}

/// The sink: finds what is unchanged, and passes everything on.
struct Front<D> {
    drive: D,
    parent: Parent,
    index: Arc<BlobIndex>,
    interrupt: Interrupt,
}

impl<D: Drive<BackupMachine>> Front<D> {
    fn new(drive: D, parent: Parent, index: Arc<BlobIndex>, interrupt: Interrupt) -> Front<D> {
        Front {
            drive,
            parent,
            index,
            interrupt,
        }
    }

    fn look_up(&self) -> Result<(), CaptureError> {
        if self.interrupt.requested() {
            Err(CaptureError::Interrupted)
        } else {
            Ok(())
        }
    }
}

impl<D: Drive<BackupMachine>> Sink for Front<D> {
    fn enter(&mut self, directory: Node) -> Result<(), CaptureError> {
        self.look_up()?;
        self.parent.enter(&directory.name);
        Ok(self.drive.apply(|machine, _| machine.enter(directory))?)
    }

    fn leave(&mut self) -> Result<(), CaptureError> {
        self.look_up()?;
        self.parent.leave();
        Ok(self.drive.apply(BackupMachine::leave)?)
    }

    fn entry(&mut self, node: Node) -> Result<(), CaptureError> {
        self.look_up()?;
        Ok(self.drive.apply(|machine, _| machine.entry(node))?)
    }

    fn file(&mut self, node: Node, content: Box<dyn Content>) -> Result<(), CaptureError> {
        self.look_up()?;
        let changed = match self.parent.before(&node, &self.index) {
            Before::Same(ids, _) => {
                self.drive.count(1, node.size);
                return Ok(self
                    .drive
                    .apply(|machine, _| machine.unchanged(node, ids))?);
            }
            Before::Other => true,
            Before::Absent => false,
        };
        self.read(node, Reading::File, changed, Origin::File(content))
    }

    fn unchanged(&mut self, node: &Node) -> Result<bool, CaptureError> {
        self.look_up()?;
        let Before::Same(ids, extended_attributes) = self.parent.before(node, &self.index) else {
            return Ok(false);
        };
        let node = Node {
            extended_attributes,
            ..node.clone()
        };
        self.drive.count(1, node.size);
        self.drive
            .apply(|machine, _| machine.unchanged(node, ids))?;
        Ok(true)
    }

    fn stream(&mut self, node: Node, stream: Box<dyn StreamContent>) -> Result<(), CaptureError> {
        self.look_up()?;
        self.read(node, Reading::Stream, false, Origin::Stream(stream))
    }

    fn issue(&mut self, issue: Issue) {
        // Should the engine have given up, the next call says so.
        let _ = self.drive.apply(|machine, _| {
            machine.issue(issue);
            Ok(())
        });
    }
}

impl<D: Drive<BackupMachine>> Front<D> {
    fn read(
        &mut self,
        node: Node,
        way: Reading,
        changed: bool,
        origin: Origin,
    ) -> Result<(), CaptureError> {
        let (place, size) = (String::from_utf8_lossy(&node.name).into_owned(), node.size);
        let node = Node {
            kind: NodeKind::File,
            ..node
        };
        let file = self
            .drive
            .apply(|machine, _| machine.begin(node, way, changed))?;
        Ok(self.drive.read(ReadTask {
            file,
            place,
            size,
            origin,
        })?)
    }
}

fn report(machine: &BackupMachine, repository_issues: Vec<Issue>) -> Option<BackupReport> {
    let (snapshot, tree) = machine.result()?;
    let (counts, added) = (machine.counts(), machine.saver().added());
    let (issues, issue_count) = machine.issues();
    Some(BackupReport {
        snapshot,
        tree,
        files_new: counts.files_new,
        files_unchanged: counts.files_unchanged,
        dirs: counts.dirs,
        bytes_read: counts.bytes_read,
        bytes_total: counts.bytes_total,
        added_bytes: added.stored_bytes,
        added_packs: added.packs.clone(),
        issues: issues.to_vec(),
        issue_count,
        repository_issues,
        outcome: if issue_count == 0 {
            Outcome::Done
        } else {
            Outcome::Incomplete
        },
    })
}
