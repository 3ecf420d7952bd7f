//! The one async runtime that all remote stores share; nobody outside of `remote` sees it.

use std::future::Future;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

/// Threads that drive connections; the work itself is done on the callers' threads.
const DRIVERS: usize = 2;

/// Runs a future on the calling thread to its end.
///
/// # Errors
/// What the operating system says if the runtime's threads cannot be started.
pub(super) fn wait<T>(future: impl Future<Output = T>) -> Result<T, String> {
    static SHARED: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(DRIVERS)
            .thread_name("store")
            .enable_all()
            .build()
            .map_err(|e| e.to_string())
    });
    match shared {
        Ok(runtime) => Ok(runtime.block_on(future)),
        Err(reason) => Err(reason.clone()),
    }
}
