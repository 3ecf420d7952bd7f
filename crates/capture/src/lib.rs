//! The contract between sources and vaults: what is captured goes through a [`Sink`], what comes back through a [`PointReader`].

mod beside;
mod erasing;
mod error;
mod log;
mod log_reader;
mod logged;
mod path;
mod progress;
mod reader;
mod replay;
mod sink;
mod source;

pub use beside::{Beside, BesidePlan, BesideRequest, BesideTable, BroughtTable, Equal};
pub use erasing::{Erased, Erasing, Spared};
pub use error::CaptureError;
pub use log::{LogPiece, LogReached, LogSink, LogTip};
pub use log_reader::{Log, LogChart, LogPart, LogReader, LogRun, LogWindow};
pub use logged::{LoggedId, LoggedTag};
pub use path::{PathError, TreePath};
pub use progress::{NoProgress, Progress};
pub use reader::{ContentSink, PointReader, Visit};
pub use replay::{Around, FetchedLog, LoggedCommit, ReplayError, ReplayPlan, ReplayTarget, Until};
pub use sink::{CleanEnd, Content, Cutting, Sink, StreamContent};
pub use source::{
    CaptureContext, Captured, Compare, Discovery, Form, MANIFEST_NAME, RestoreRequest, Restored,
    Source, Spoiled,
};
