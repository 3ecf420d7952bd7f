//! The heartbeat: a token in the log every so often, so that a quiet server's log is known to be whole up to a moment.

use std::path::{Path, PathBuf};

use vouchsafe_capture::CaptureError;
use vouchsafe_host::files;
use vouchsafe_host::random::Random;
use vouchsafe_model::Time;
use vouchsafe_translog::token::{LONGEST, Token};

use crate::failure;

/// Makes tokens and commits them. What is to be sent is written down before: after a crash the very same token is sent
/// once more, and the chain has no second branch.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    file: PathBuf,
    last: Option<Token>,
    is_sent: bool,
}

impl Heartbeat {
    /// Goes on with the chain that is noted in `directory`; one that is lost or damaged is followed by a new one.
    pub(crate) fn open(directory: &Path) -> Result<Heartbeat, CaptureError> {
        let file = directory.join("heartbeat");
        let last = match files::exists(&file).map_err(failure::file)? {
            true => files::read(&file, LONGEST as u64 + 1)
                .ok()
                .and_then(|text| Token::parse(text.trim_ascii_end())),
            false => None,
        };
        Ok(Heartbeat {
            file,
            last,
            // Whether it was is not known, and sending it again does no harm.
            is_sent: false,
        })
    }

    /// Commits a token by `commit`.
    pub(crate) fn beat(
        &mut self,
        now: Time,
        random: &dyn Random,
        commit: impl FnOnce(&Token) -> Result<(), CaptureError>,
    ) -> Result<(), CaptureError> {
        let token = match self.last.take() {
            Some(last) if self.is_sent => last.next(now),
            Some(last) => last,
            None => Token::first(random.u64().to_be_bytes(), now),
        };
        self.is_sent = false;
        let line = format!("{token}\n");
        let token = self.last.insert(token);
        files::write_atomic(&self.file, line.as_bytes(), 0o600).map_err(failure::file)?;
        commit(&*token)?;
        self.is_sent = true;
        Ok(())
    }
}
