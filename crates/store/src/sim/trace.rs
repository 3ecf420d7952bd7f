//! What happened in a simulated world, one line a call.

use std::fmt;

/// One call to a simulated store and what the world made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceEvent {
    /// The store's name.
    pub store: String,
    /// The call.
    pub operation: &'static str,
    /// The key, or the prefix of a listing.
    pub key: String,
    /// What was decided.
    pub decision: &'static str,
    /// Simulated wall clock after the call, in microseconds since the Unix epoch.
    pub at: i64,
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            store,
            operation,
            key,
            decision,
            at,
        } = self;
        write!(f, "{at} {store} {operation} {key}: {decision}")
    }
}
