//! The objects of one stream in a vault's store: listed, fetched, stored and removed.

use std::ops::ControlFlow;
use std::sync::Arc;

use vouchsafe_format::fragment::{
    Header, LogKeys, LogName, MAX_SEGMENT, OpenError, PREFIX, Part, Position, SealedLog, StreamId,
    StreamName, Stretch, open, open_header, sealed_length,
};
use vouchsafe_store::{Erased, Key, PutMode, Store, StoreError};

use super::error::{LogDamage, LogError};
use crate::attempts::{self, LATE_LISTINGS, LISTING_PAUSE};
use crate::env::Env;

/// One stream's objects.
#[derive(Clone)]
pub(super) struct LogObjects {
    pub(super) store: Arc<dyn Store>,
    pub(super) keys: LogKeys,
    pub(super) stream: StreamName,
    pub(super) id: StreamId,
    pub(super) env: Env,
    pub(super) hands: usize,
}

/// An object as a listing shows it; nothing of it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) part: Part,
    pub(super) size: u64,
}

/// What became of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// The store says that it is there now.
    New,
    /// There was an object of that name.
    Taken,
}

/// Bytes of a log object at most: a full payload, a header, and the codes.
const LONGEST: u64 = (MAX_SEGMENT + PREFIX + 16) as u64;

impl Listed {
    pub(super) fn first(&self) -> u64 {
        match self.part {
            Part::Fragment { sequence } => sequence,
            Part::Segment { first, .. } => first,
        }
    }

    pub(super) fn last(&self) -> u64 {
        match self.part {
            Part::Fragment { sequence } => sequence,
            Part::Segment { last, .. } => last,
        }
    }

    pub(super) fn is_fragment(&self) -> bool {
        matches!(self.part, Part::Fragment { .. })
    }
}

impl LogObjects {
    pub(super) fn place(&self) -> String {
        self.store.describe()
    }

    pub(super) fn name(&self, part: Part) -> LogName {
        LogName {
            stream: self.id,
            part,
        }
    }

    /// All objects, in the order of their first places; of one place the longest first.
    ///
    /// A store whose listings may be late is asked several times; what any answer shows counts.
    pub(super) fn list(&self) -> Result<Vec<Listed>, LogError> {
        let times = if self.store.capabilities().list_consistent {
            1
        } else {
            LATE_LISTINGS
        };
        let mut out = Vec::new();
        for time in 0..times {
            if time > 0 {
                attempts::pause(&self.env, LISTING_PAUSE);
            }
            self.list_once(&mut out)?;
        }
        out.sort_unstable_by_key(|one: &Listed| {
            (one.first(), std::cmp::Reverse(one.last()), one.part)
        });
        out.dedup_by_key(|one| one.part);
        Ok(out)
    }

    fn list_once(&self, out: &mut Vec<Listed>) -> Result<(), LogError> {
        let before = out.len();
        attempts::persistently(&self.env, || {
            out.truncate(before);
            self.store
                .list(&LogName::folder(self.id), &mut |key, size| {
                    if let Ok(name) = key.as_str().parse::<LogName>()
                        && name.stream == self.id
                    {
                        let part = name.part;
                        out.push(Listed { part, size });
                    }
                    ControlFlow::Continue(())
                })
        })?;
        Ok(())
    }

    /// An object's header, authenticated, if as many bytes are listed as it says it has.
    pub(super) fn listed_header(&self, listed: &Listed) -> Result<Header, LogError> {
        let (header, length) = self.header(listed.part)?;
        if length == listed.size {
            return Ok(header);
        }
        let damage = OpenError::Length {
            expected: length,
            found: listed.size,
        };
        Err(self.damaged(listed.part, Some(header.span.from()), damage.into()))
    }

    /// An object's header, authenticated, and how many bytes the object has if it is whole.
    pub(super) fn header(&self, part: Part) -> Result<(Header, u64), LogError> {
        self.twice(|| {
            let beginning = self.beginning(part)?;
            let opened = open_header(&self.keys, &self.name(part), &beginning)
                .and_then(|header| Ok((header, sealed_length(&beginning)?)));
            opened.map_err(|error| self.damaged(part, None, error.into()))
        })
    }

    /// Of an object shorter than the largest header there are fewer bytes.
    fn beginning(&self, part: Part) -> Result<Vec<u8>, LogError> {
        let key = self.key(part)?;
        let range =
            |length| attempts::persistently(&self.env, || self.store.get_range(&key, 0, length));
        match range(PREFIX as u64) {
            Err(StoreError::ShortRead { got, .. }) if got < PREFIX as u64 => Ok(range(got)?),
            other => Ok(other?),
        }
    }

    /// What an object holds, authenticated.
    pub(super) fn open(&self, part: Part, position: Option<Position>) -> Result<Stretch, LogError> {
        self.twice(|| {
            let bytes = self.bytes(part)?;
            open(&self.keys, &self.name(part), &bytes)
                .map_err(|error| self.damaged(part, position, error.into()))
        })
    }

    /// An object's bytes, unchecked.
    pub(super) fn bytes(&self, part: Part) -> Result<Vec<u8>, LogError> {
        let key = self.key(part)?;
        let mut out = Vec::new();
        let got =
            attempts::persistently(&self.env, || self.store.get_into(&key, LONGEST, &mut out));
        match got {
            Ok(()) => Ok(out),
            Err(StoreError::TooLong { most, .. }) => {
                Err(self.damaged(part, None, LogDamage::TooLong { most }))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether an object is there; a store that may be late is asked again.
    pub(super) fn is_there(&self, part: Part) -> Result<bool, LogError> {
        let key = self.key(part)?;
        for time in 0..LATE_LISTINGS {
            if time > 0 {
                attempts::pause(&self.env, LISTING_PAUSE);
            }
            match attempts::persistently(&self.env, || self.store.head(&key)) {
                Ok(_) => return Ok(true),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    /// Stores an object, if there is none of its name. Whose it is if there is one, its bytes tell.
    pub(super) fn put(&self, sealed: &SealedLog) -> Result<Stored, LogError> {
        let key = self.key(sealed.name.part)?;
        let put = || match self.store.put(&key, &sealed.bytes, PutMode::IfAbsent) {
            Ok(()) => Ok(Stored::New),
            Err(StoreError::AlreadyExists { .. }) => Ok(Stored::Taken),
            Err(error) => Err(error),
        };
        Ok(attempts::persistently(&self.env, put)?)
    }

    /// Stores an object in the place of one that is surely no other writer's.
    pub(super) fn replace(&self, sealed: &SealedLog) -> Result<(), LogError> {
        let key = self.key(sealed.name.part)?;
        let put = || self.store.put(&key, &sealed.bytes, PutMode::Replace);
        Ok(attempts::persistently(&self.env, put)?)
    }

    /// Removes an object with all older versions of it, as far as locks allow.
    pub(super) fn erase(&self, part: Part) -> Result<Erased, LogError> {
        let key = self.key(part)?;
        Ok(attempts::persistently(&self.env, || {
            self.store.erase(&key)
        })?)
    }

    /// Stops if the user asked for it.
    pub(super) fn go_on(&self) -> Result<(), LogError> {
        if self.env.interrupt.requested() {
            return Err(LogError::Interrupted);
        }
        Ok(())
    }

    pub(super) fn random(&self) -> [u8; 32] {
        let mut out = [0; 32];
        self.env.random.fill(&mut out);
        out
    }

    pub(super) fn damaged(
        &self,
        part: Part,
        position: Option<Position>,
        damage: LogDamage,
    ) -> LogError {
        LogError::Damaged {
            object: self.name(part).to_string(),
            store: self.place(),
            stream: Box::new(self.stream.clone()),
            position,
            source: Box::new(damage),
        }
    }

    pub(super) fn missing(&self, part: Part, position: Option<Position>) -> LogError {
        LogError::Missing {
            object: self.name(part).to_string(),
            store: self.place(),
            stream: Box::new(self.stream.clone()),
            position,
        }
    }

    pub(super) fn fork(&self, sequence: u64) -> LogError {
        LogError::Fork {
            sequence,
            stream: Box::new(self.stream.clone()),
            store: self.place(),
        }
    }

    /// Bytes that are wrong on the way are not damage in the store.
    fn twice<T>(&self, attempt: impl Fn() -> Result<T, LogError>) -> Result<T, LogError> {
        match attempt() {
            Err(LogError::Damaged { .. }) => attempt(),
            Err(LogError::Store(StoreError::ShortRead { .. })) => attempt(),
            done => done,
        }
    }

    fn key(&self, part: Part) -> Result<Key, LogError> {
        let key = Key::new(self.name(part).to_string());
        Ok(key.map_err(|error| StoreError::Corrupt {
            key: error.text,
            store: self.place(),
            reason: error.reason.to_owned(),
        })?)
    }
}
