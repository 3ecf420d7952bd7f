//! What a source can do.

use std::path::{Path, PathBuf};

use vouchsafe_format::fragment::Position;
use vouchsafe_host::clock::Clock;
use vouchsafe_host::process::Spawn;
use vouchsafe_host::signals::Interrupt;
use vouchsafe_model::{Damage, DigestManifest, Engine, Issue, Rung, Time};

use crate::beside::{Beside, BesidePlan, BesideRequest};
use crate::erasing::{Erased, Erasing};
use crate::error::CaptureError;
use crate::log_reader::{Log, LogChart, LogRun};
use crate::path::TreePath;
use crate::progress::Progress;
use crate::reader::PointReader;
use crate::replay::{FetchedLog, ReplayError, ReplayPlan, Until};
use crate::sink::Sink;

/// The name under which a source's manifest lies in the root of a point.
pub const MANIFEST_NAME: &str = "vouchsafe-manifest.json";

/// What a source may use while it works.
///
/// A source starts programs only through `spawn`: in a drill that is the sandbox, so that nothing escapes it.
pub struct CaptureContext<'a> {
    /// Starts programs.
    pub spawn: &'a dyn Spawn,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// A private directory that outlives the call (mirrors, spools); nobody else writes there.
    pub work_dir: &'a Path,
    /// Set when the user wants to stop; looked at often.
    pub interrupt: &'a Interrupt,
    /// Told how far the work has come.
    pub progress: &'a dyn Progress,
    /// Absolute directories that are never captured: our own state and vaults.
    pub own_places: &'a [PathBuf],
}

/// What there is to capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// Absolute paths or names of what would be captured, for the snapshot's record.
    pub paths: Vec<String>,
    /// The engine that holds the data, if there is one.
    pub engine: Option<Engine>,
}

/// What a capture read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// The moment whose state was captured: nothing that changed later is promised to be in it.
    pub content_time: Time,
    /// Digests taken at that same moment, where the tree itself is not the manifest.
    /// The caller stores it under [`MANIFEST_NAME`].
    pub manifest: Option<DigestManifest>,
    /// The engine that held the data.
    pub engine: Option<Engine>,
    /// What the user may want to know of it, each as half a sentence.
    pub notes: Vec<String>,
    /// Places that were left out on purpose (own vaults, excludes of whole directories), for the user to see.
    pub left_out: Vec<String>,
}

/// What is to be restored, and where.
#[derive(Clone, Debug)]
pub struct RestoreRequest {
    /// An existing directory or one that can be created, or what the source understands as a target
    /// (a git URL, a database file). Relative paths start at the current directory.
    pub to: PathBuf,
    /// Only this place and what lies below it; nothing means all.
    pub include: Option<TreePath>,
    /// Whether existing data may be overwritten.
    pub force: bool,
    /// How existing files are told from those that need not be written.
    pub compare: Compare,
    /// What a database becomes.
    pub form: Form,
}

/// What a captured database becomes where it is restored; files, repositories and single-file databases are always
/// what they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// The captured files as they are, such as a dump.
    #[default]
    Files,
    /// A server of its own in the target, which is a new directory: its data, ready to be started.
    Server,
}

/// How a file that is there already is compared with the one of the point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// By its size and the time of its last change: quick, and misses what was changed with that time set back.
    #[default]
    SizeAndTime,
    /// Byte by byte, by the digests of its parts: nothing is fetched for it.
    Content,
}

/// What was restored. A partial restore is a value, not an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Files or other items that are now as the point has them.
    pub items: u64,
    /// Items of `items` whose content was there already and was left as it is.
    pub unchanged: u64,
    /// Bytes of content written.
    pub bytes: u64,
    /// What could not be restored.
    pub issues: Vec<Issue>,
    /// Where the usable data is: the directory, the database file, the repository.
    pub place: PathBuf,
    /// The log that was replayed over it, if one was.
    pub replayed: Option<FetchedLog>,
}

/// A restored copy that was damaged on purpose, for a negative control.
#[derive(Clone, Debug)]
pub struct Spoiled {
    /// What was done, and the rung that must go red.
    pub damage: Damage,
}

/// A kind of source, bound to one place by its constructor.
pub trait Source: Send + Sync {
    /// Looks at what is there without capturing it.
    fn discover(&self, ctx: &CaptureContext<'_>) -> Result<Discovery, CaptureError>;

    /// Captures everything at one moment, as far as the kind allows, into `sink`.
    fn capture(
        &self,
        ctx: &CaptureContext<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Captured, CaptureError>;

    /// Writes a point out.
    fn restore(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &RestoreRequest,
    ) -> Result<Restored, CaptureError>;

    /// What a point becomes where it is drilled: what would be needed, a database that answers, unless this machine
    /// lacks what that takes. [`Source::compare`] then has a rung that is skipped and says what is lacking.
    fn drills_as(&self, ctx: &CaptureContext<'_>, point: &dyn PointReader) -> Form {
        let _ = (ctx, point);
        Form::Server
    }

    /// Whether a point can be brought to any later moment by the log of the same protection. If not, the three calls
    /// below refuse.
    fn replays(&self) -> bool {
        false
    }

    /// The same, where the point becomes this.
    fn replays_as(&self, form: Form) -> bool {
        form == Form::Server && self.replays()
    }

    /// From where on a log is needed for a point with this manifest, if it is known; `runs` are what there is of it.
    fn log_needed_from(&self, manifest: &DigestManifest, runs: &[LogRun]) -> Option<Position> {
        let _ = (manifest, runs);
        None
    }

    /// What it takes to bring `point` to `until`, as far as the chart of the log tells. Of the log nothing is read.
    fn plan_replay(
        &self,
        point: &dyn PointReader,
        chart: &LogChart,
        until: Until,
    ) -> Result<ReplayPlan, ReplayError> {
        let _ = (point, until);
        Err(no_log(chart))
    }

    /// Fetches and verifies the log that `point` needs in order to be brought to `until`, into a new directory below
    /// `to`, where the restore will go. If it fails, nothing is left there.
    fn fetch_log(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        log: &Log<'_>,
        until: Until,
        to: &Path,
    ) -> Result<FetchedLog, ReplayError> {
        let _ = (ctx, point, until, to);
        Err(no_log(&log.chart))
    }

    /// Writes a point out, as [`Form::Server`] where there are servers, and replays what was fetched for it, exactly up to its target; that it
    /// stopped there is looked at. The log is removed afterwards, unless `keep_log`.
    fn replay(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &RestoreRequest,
        fetched: FetchedLog,
        keep_log: bool,
    ) -> Result<Restored, ReplayError> {
        let _ = (ctx, point, request, keep_log);
        Err(ReplayError::NoLog {
            place: fetched.place.display().to_string(),
        })
    }

    /// Whether subjects can be erased in what this restore makes.
    fn erases(&self, request: &RestoreRequest) -> bool {
        let _ = request;
        false
    }

    /// Erases subjects in what `request` has just restored, all of them in one step where the data allows it, and looks
    /// for each of them afterwards. Where it is an error, everybody may still be there. Errors name lines of the
    /// register and never a subject.
    fn erase(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
        request: &RestoreRequest,
        erasing: &Erasing<'_>,
    ) -> Result<Erased, CaptureError> {
        let _ = (ctx, request, erasing);
        Err(CaptureError::Unreadable {
            place: restored.place.display().to_string(),
            message: "erasing subjects is not connected for this kind of source".to_owned(),
            remedy: "erase them by hand before the data is used".to_owned(),
        })
    }

    /// Whether single tables can be brought back from a moment between points too.
    fn replays_beside(&self) -> bool {
        self.replays()
    }

    /// What bringing single tables of `point` back beside live data would do; `expected` is its manifest, if it has one
    /// that can be trusted. The target is looked at, and nothing is written.
    fn plan_beside(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &BesideRequest,
        expected: Option<&DigestManifest>,
    ) -> Result<BesidePlan, CaptureError> {
        let _ = (ctx, point, expected);
        Err(no_tables(request))
    }

    /// Does it: what is needed of the point is restored in `scratch`, an empty private directory but for the log that was
    /// fetched below it, and the tables are taken from there. Nothing of the target is touched but what is made for them.
    /// Where it fails nothing of them is left in the target.
    fn restore_beside(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &BesideRequest,
        expected: Option<&DigestManifest>,
        fetched: Option<FetchedLog>,
        scratch: &Path,
    ) -> Result<Beside, ReplayError> {
        let _ = (ctx, point, expected, fetched, scratch);
        Err(no_tables(request).into())
    }

    /// Digests of restored data at `place`, by the same method as at capture; nothing if the tree is the manifest.
    fn digest(
        &self,
        ctx: &CaptureContext<'_>,
        place: &Path,
    ) -> Result<Option<DigestManifest>, CaptureError>;

    /// Compares restored data with what was captured: the rungs from `opens` upwards, in order.
    /// `expected` is the manifest of the point. A rung that cannot be climbed because one below is red is `skipped`.
    fn compare(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
        expected: Option<&DigestManifest>,
        point: &dyn PointReader,
    ) -> Result<Vec<Rung>, CaptureError>;

    /// Digests of everything that restored data holds (declarations, rows, who may do what), by a method that gives the
    /// same for two restores of one moment, whichever points they began with; nothing where there is none. A server is
    /// started for it, and stopped.
    fn contents(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
    ) -> Result<Option<DigestManifest>, CaptureError> {
        let _ = (ctx, restored);
        Ok(None)
    }

    /// Changes one row of restored data, which [`Source::contents`] must see.
    fn alter(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
    ) -> Result<Spoiled, CaptureError> {
        let _ = ctx;
        Err(CaptureError::Unreadable {
            place: restored.place.display().to_string(),
            message: "its contents cannot be digested".to_owned(),
            remedy: "take equality out of the drill of this system".to_owned(),
        })
    }

    /// Damages restored data at `restored` so that only [`Source::compare`] can see it: one changed row, one changed
    /// byte of one file, one moved ref. The caller captures the damaged copy with the undamaged manifest or tree.
    fn spoil(&self, ctx: &CaptureContext<'_>, restored: &Restored)
    -> Result<Spoiled, CaptureError>;

    /// Whether `place` is this source's own data, which a restore or drill must never touch.
    fn owns(&self, place: &Path) -> bool;
}

fn no_tables(request: &BesideRequest) -> CaptureError {
    CaptureError::Target {
        place: request.to.display().to_string(),
        message: "single tables are brought back beside live data by --only from PostgreSQL, MariaDB, MySQL, MongoDB and SQLite; \
                  restore this system to a new place, and take what is needed from there"
            .to_owned(),
    }
}

fn no_log(chart: &LogChart) -> ReplayError {
    ReplayError::NoLog {
        place: chart.place.clone(),
    }
}
