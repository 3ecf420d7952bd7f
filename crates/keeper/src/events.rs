//! What the keeper tells while it works.

use vouchsafe_capture::{NoProgress, Progress};
use vouchsafe_model::{Issue, ProtectionId, VaultName};

/// Something worth telling at once.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A deed begins.
    Started {
        /// `capture`, `copy`, `read back`, `drill`, `verify`, `restore` …
        deed: &'static str,
        /// What it concerns.
        subject: String,
    },
    /// A deed ended.
    Finished {
        /// As in [`Event::Started`].
        deed: &'static str,
        /// What it concerns.
        subject: String,
        /// The result in one line, with figures.
        summary: String,
        /// Whether it went as it should.
        good: bool,
    },
    /// Something could not be read, or did not match.
    Issue {
        /// What it concerns.
        protection: Option<ProtectionId>,
        /// What went wrong.
        issue: Issue,
    },
    /// Left out of a capture on purpose.
    LeftOut {
        /// Of which protection.
        protection: ProtectionId,
        /// What.
        place: String,
    },
    /// The record was published to a vault.
    Published {
        /// Which.
        vault: VaultName,
        /// How many entries its head covers.
        entries: u64,
    },
    /// A remark.
    Note {
        /// As a sentence.
        text: String,
    },
}

/// Told what happens; called from the thread that does the deed.
pub trait Reporter: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event);
    /// Where the progress of long work goes.
    fn progress(&self) -> &dyn Progress;
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent(NoProgress);

impl Reporter for Silent {
    fn event(&self, _event: &Event) {}
    fn progress(&self) -> &dyn Progress {
        &self.0
    }
}
