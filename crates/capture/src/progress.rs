//! How far long work has come.

/// Told about the progress of long work; called from any thread, often, and must be quick.
pub trait Progress: Send + Sync {
    /// A new phase begins; `total_bytes` and `total_items` where they are known.
    fn phase(&self, name: &str, total_items: Option<u64>, total_bytes: Option<u64>);
    /// This many more items and bytes are done.
    fn advance(&self, items: u64, bytes: u64);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn phase(&self, _name: &str, _total_items: Option<u64>, _total_bytes: Option<u64>) {}
    fn advance(&self, _items: u64, _bytes: u64) {}
}
