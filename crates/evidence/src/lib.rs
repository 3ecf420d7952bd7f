//! Facts and verdicts rendered for people and machines: pure, no IO, no clock, no decisions.

pub mod agenda;
mod agreed;
pub mod artefacts;
pub mod bundle;
pub mod change;
pub mod document;
mod drawing;
pub mod duties;
mod erasures;
pub mod holds;
pub mod layout;
mod log_window;
mod names;
pub mod oscal;
pub mod pdf;
mod people_sayings;
pub mod points;
pub mod populations;
pub mod recovery_sheet;
pub mod report;
pub mod sample;
pub mod statements;
pub mod status;
mod words;

pub use agenda::agenda_text;
pub use agreed::{Agreement, Agreements, agreements};
pub use change::{PendingChange, alterations_text, pending_text};
pub use duties::{duties_text, incidents_text};
pub use erasures::{ERASURE_RUNG, register_digest, replay_text};
pub use holds::holds_by_protection;
pub use layout::TextOptions;
pub use points::{CopyCount, copy_counts, points_text};
pub use recovery_sheet::{Passphrase, SheetInput, SheetVault, recovery_sheet};
pub use report::{
    Approval, BreakFact, LedgerFacts, REPORT_FORMAT, ReportInput, Witness, report_content,
    report_html, report_json,
};

pub use status::{status_text, status_text_counting};
pub use words::{called, count, len};
