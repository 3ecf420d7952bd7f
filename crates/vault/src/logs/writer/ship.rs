//! One fragment on its way: sealed, put, read back, and settled if no answer came.

use vouchsafe_format::fragment::{Header, LogName, Part, SealedLog, Stretch, open, seal};
use vouchsafe_store::StoreError;

use super::{End, LogWriter};
use crate::attempts::{self, LATE_LISTINGS, LISTING_PAUSE};
use crate::logs::error::LogError;
use crate::logs::objects::Stored;

/// Bytes of an object with which its salt ends: no two attempts have the same.
const SALTED: usize = 80;

/// What is at a place.
enum Found {
    /// These very bytes, and they open.
    Ours,
    /// What opens to the same: an earlier attempt.
    Same,
    /// Another fragment.
    Other(Box<Header>),
    /// The first bytes of these.
    Torn,
}

impl LogWriter {
    /// Stores a fragment at the place after the tip, and reads it back. Whether it was there already.
    pub(super) fn ship(&mut self, stretch: &Stretch) -> Result<bool, LogError> {
        self.objects.go_on()?;
        let header = stretch.header();
        let random = self.objects.random();
        let sealed = seal(
            &self.objects.keys,
            stretch,
            random,
            Some(&mut self.compressor),
        )?;
        if !self.tried.contains(header) {
            self.tried.push(header.clone());
        }
        let stored = self.objects.put(&sealed)?;
        let mut found = self.look(&sealed, header)?;
        if matches!(found, Found::Torn) {
            self.objects.replace(&sealed)?;
            found = self.look(&sealed, header)?;
        }
        match found {
            Found::Ours if stored == Stored::New => self.must_not_be_overtaken(Some(&sealed))?,
            Found::Ours | Found::Same => self.must_not_be_overtaken(None)?,
            Found::Torn => return Err(self.no_read_back(&sealed.name)),
            Found::Other(other) if self.tried.contains(&*other) => {
                self.must_not_be_overtaken(None)?;
                self.advance(&other);
                return Err(self.moved());
            }
            Found::Other(other) => return Err(self.end(End::Fork(other.sequence))),
        }
        self.advance(header);
        Ok(matches!(found, Found::Same))
    }

    /// Counts what is there of a failed append.
    pub(super) fn settle(&mut self) -> Result<(), LogError> {
        if self.tried.is_empty() {
            return Ok(());
        }
        let part = Part::Fragment {
            sequence: self.tip.sequence,
        };
        // Opened as a whole: a fragment counts only if all of it reads back.
        match self.objects.open(part, None) {
            Ok(stretch) if self.tried.contains(stretch.header()) => {
                self.must_not_be_overtaken(None)?;
                self.advance(&stretch.header().clone());
                Ok(())
            }
            Ok(stretch) => Err(self.end(End::Fork(stretch.header().sequence))),
            Err(LogError::Store(error)) if error.is_not_found() => Ok(()),
            // What is torn is mended by the next append, if it is ours.
            Err(LogError::Damaged { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What there is under the name that was put.
    fn look(&self, sealed: &SealedLog, header: &Header) -> Result<Found, LogError> {
        let mut torn = false;
        let mut result = Err(self.no_read_back(&sealed.name));
        for time in 0..LATE_LISTINGS {
            if time > 0 {
                attempts::pause(&self.objects.env, LISTING_PAUSE);
            }
            let bytes = match self.objects.bytes(sealed.name.part) {
                Err(LogError::Store(StoreError::NotFound { .. })) => continue,
                other => other?,
            };
            match open(&self.objects.keys, &sealed.name, &bytes) {
                Ok(there) if there.header() == header => {
                    return Ok(if bytes == sealed.bytes {
                        Found::Ours
                    } else {
                        Found::Same
                    });
                }
                Ok(there) => return Ok(Found::Other(Box::new(there.header().clone()))),
                Err(error) => {
                    torn = bytes.len() >= SALTED && sealed.bytes.starts_with(&bytes);
                    result = Err(self.objects.damaged(
                        sealed.name.part,
                        Some(header.span.from()),
                        error.into(),
                    ));
                }
            }
        }
        if torn { Ok(Found::Torn) } else { result }
    }

    /// Looks whether the object is still there from which this writer goes on. The newest two objects of a stream are
    /// never cleared away, so if it is gone, there are newer ones, and the place just taken was free only because what
    /// was there is gone, too. Then `stored`, which is surely our own and counts for nothing, is removed.
    fn must_not_be_overtaken(&mut self, stored: Option<&SealedLog>) -> Result<(), LogError> {
        let is_next = match self.anchor {
            Some(part @ Part::Fragment { .. }) => self.objects.is_there(part)?,
            // What was compacted stays until it expires, and before the first place there is nothing.
            _ => {
                let place = self.tip.sequence;
                self.objects.list()?.iter().all(|one| one.last() <= place)
            }
        };
        if is_next {
            return Ok(());
        }
        if let Some(sealed) = stored {
            self.objects.erase(sealed.name.part)?;
        }
        Err(self.end(End::Overtaken(self.tip.sequence)))
    }

    fn end(&mut self, end: End) -> LogError {
        self.end = Some(end);
        self.ended(end)
    }

    fn no_read_back(&self, name: &LogName) -> LogError {
        LogError::NoReadBack {
            object: name.to_string(),
            store: self.objects.place(),
        }
    }
}
