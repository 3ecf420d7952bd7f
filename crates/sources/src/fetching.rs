//! What fetching a log for one replay has in common, whichever database it is of.

use std::path::{Path, PathBuf};

use vouchsafe_capture::{CaptureError, LogChart};
use vouchsafe_host::files;

use crate::failure;

/// A new private directory for a log, with those above it that were missing.
pub(crate) struct Room {
    place: PathBuf,
    /// The topmost directory that was made.
    topmost: PathBuf,
}

impl Room {
    /// Makes it; what is there already goes.
    pub(crate) fn make(place: PathBuf) -> Result<Room, CaptureError> {
        let is_missing =
            |path: &&Path| !path.as_os_str().is_empty() && matches!(files::exists(path), Ok(false));
        let topmost = place.ancestors().take_while(is_missing).last();
        let topmost = topmost.unwrap_or(&place).to_path_buf();
        files::remove_tree(&place).map_err(failure::file)?;
        files::create_dir_all(&place, files::PRIVATE_DIR).map_err(failure::file)?;
        Ok(Room { place, topmost })
    }

    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Removes all that was made: nothing was fetched. What cannot be removed is left.
    pub(crate) fn give_up(&self) {
        let _ = files::remove_tree(&self.topmost);
    }
}

/// Why the end of what was read is not known to be that of the log, as half a sentence: it goes on at `next`, or
/// something of it cannot be read.
pub(crate) fn no_end(chart: &LogChart, next: Option<String>) -> Option<String> {
    if let Some(next) = next {
        return Some(format!(
            "it breaks off there and goes on at {next}, so that is not its end; name a moment before"
        ));
    }
    let problem = chart.problems.first()?;
    Some(format!(
        "its end is not known, because {} cannot be read ({}); name a moment",
        problem.place, problem.message
    ))
}

#[cfg(test)]
mod tests {
    use vouchsafe_model::Issue;

    use super::*;

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let dir = files::temp_dir("fetching-").expect("a directory");
        let place = dir.path().join("a/b/log");
        let room = Room::make(place.clone()).expect("room");
        assert!(room.place().is_dir());
        room.give_up();
        assert!(!dir.path().join("a").exists());
        // What was there stays, but for the log itself.
        files::create_dir_all(place.join("old"), 0o700).expect("directories");
        let room = Room::make(place.clone()).expect("room");
        assert!(!place.join("old").exists());
        room.give_up();
        assert!(dir.path().join("a/b").is_dir() && !place.exists());
    }

    #[test]
    fn an_end_is_one_only_if_nothing_comes_after_it() {
        let mut chart = LogChart::default();
        assert_eq!(no_end(&chart, None), None);
        let said = no_end(&chart, Some("7:3".to_owned())).expect("a reason");
        assert!(said.contains("goes on at 7:3"), "{said}");
        chart.problems.push(Issue {
            place: "an object".to_owned(),
            message: "is damaged".to_owned(),
        });
        let said = no_end(&chart, None).expect("a reason");
        assert!(said.contains("an object cannot be read"), "{said}");
    }
}
