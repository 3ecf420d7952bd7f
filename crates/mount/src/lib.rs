//! A vault as a read-only file system: its snapshots as directories, by id, by point, and by system and time.
//!
//! What is read is fetched when it is wanted, verified, and kept in caches of a fixed size. What cannot be read is an
//! input/output error for whoever asked, and told with its name.

mod cache;
mod error;
mod filesystem;
mod inodes;
mod layout;
mod session;

pub use error::MountError;
pub use layout::Shown;
pub use session::{MountOptions, Mounted, mount};
