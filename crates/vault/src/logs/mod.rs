//! Log streams in a vault: appended by one writer, looked at, read, compacted, expired, and copied to other vaults.
//!
//! The objects are those of `vouchsafe_format::fragment`, below `logs/` in the vault's root, beside the repository and
//! sealed with keys that are derived from its master key. There are no locks: a place in a stream belongs to whoever
//! stored a fragment there first, because a store refuses a second object of one name.
//!
//! So that this holds for places whose fragments were compacted or expired, too, the newest two objects of a stream
//! always stay, fragments are removed in their order, and a writer looks after each put whether the object before it is
//! still there. If it is not, the stream has gone on without it. The reasons are in decision 77.

mod compact;
mod copy;
mod cut;
mod error;
mod expire;
mod objects;
mod probe;
mod read;
mod reader;
mod stream;
mod window;
mod writer;

pub use compact::{CompactOptions, CompactReport};
pub use copy::{LogCopyReport, copy_log};
pub use error::{LogDamage, LogError};
pub use expire::ExpireReport;
pub use probe::LogProbe;
pub use stream::{LogStream, LogVault};
pub use vouchsafe_capture::{LogPart, LogRun};
pub use window::Window;
pub use writer::{Fence, Kept, LogWriter};
