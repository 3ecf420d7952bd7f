//! A bounded number of open files, for content that comes in any order from several threads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vouchsafe_host::DestError;

/// Open files by number. The one not used for longest is closed when there are too many.
pub(crate) struct OpenFiles<F, T> {
    open: F,
    state: Mutex<State<T>>,
}

struct State<T> {
    files: HashMap<usize, (Arc<T>, u64)>,
    /// Numbers that were opened before.
    known: Vec<bool>,
    tick: u64,
}

/// Well below the usual limit of 1024 open files of a process.
const MOST_OPEN: usize = 200;

impl<F, T> OpenFiles<F, T>
where
    F: Fn(usize, bool) -> Result<T, DestError>,
{
    /// For `count` files, opened by `open(number, whether it was opened before)`.
    pub(crate) fn new(count: usize, open: F) -> OpenFiles<F, T> {
        let state = State {
            files: HashMap::new(),
            known: vec![false; count],
            tick: 0,
        };
        OpenFiles {
            open,
            state: Mutex::new(state),
        }
    }

    /// The file, opened if it is not.
    pub(crate) fn get(&self, number: usize) -> Result<Arc<T>, DestError> {
        let mut state = self.lock();
        state.tick += 1;
        let tick = state.tick;
        if let Some((file, used)) = state.files.get_mut(&number) {
            *used = tick;
            return Ok(Arc::clone(file));
        }
        let known = state.known.get(number).copied().unwrap_or(false);
        let file = Arc::new((self.open)(number, known)?);
        if let Some(known) = state.known.get_mut(number) {
            *known = true;
        }
        if state.files.len() >= MOST_OPEN
            && let Some(oldest) = state
                .files
                .iter()
                .min_by_key(|(_, (_, used))| *used)
                .map(|(n, _)| *n)
        {
            state.files.remove(&oldest);
        }
        state.files.insert(number, (Arc::clone(&file), tick));
        Ok(file)
    }

    /// The file was opened, or made, by somebody else, who also closes it.
    pub(crate) fn note_opened(&self, number: usize) {
        if let Some(known) = self.lock().known.get_mut(number) {
            *known = true;
        }
    }

    /// Closes the file as far as this list is concerned; true if it was ever opened.
    pub(crate) fn close(&self, number: usize) -> bool {
        let mut state = self.lock();
        state.files.remove(&number);
        state.known.get(number).copied().unwrap_or(false)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
