//! The reader: bytes go in, verified records come out.

use super::content::meaning;
use super::error::{StartError, Truncated, WalError};
use super::event::{CommitTime, EndKind, EndOfLog, Meaning, WalEvent, WalRecord};
use super::identity::Identity;
use super::lsn::Lsn;
use super::page::{LONG, PageHeader};
use super::partial::{Partial, Progress};
use super::position::{WalPosition, WalStart, WalStatus};
use super::record::{HEADER, RecordHeader};
use super::timeline::History;
use super::watch::Watch;

/// Reads a log from one place on and verifies it.
///
/// After an error it takes nothing more and gives the same error again; what it has verified before stays true. After
/// the end it looks only whether what follows is empty: to read what is written there later, begin anew at the
/// [position](WalReader::position).
#[derive(Debug, Clone)]
pub struct WalReader {
    log: Identity,
    /// The next byte to be fed.
    next: Lsn,
    /// The header of the page, as far as it has come.
    head: [u8; LONG],
    have: usize,
    state: State,
    /// The record that is open, if one is.
    partial: Partial,
    from: Option<Lsn>,
    verified: Lsn,
    last: Option<Lsn>,
    newest: Option<CommitTime>,
    failed: Option<WalError>,
}

#[derive(Debug, Clone)]
enum State {
    /// Before the first page.
    Start,
    /// A record can begin, after what fills up to a multiple of eight.
    Between,
    /// Within a record.
    Record,
    /// Within a record that began before the first byte: so much of it is left.
    Rest(u32),
    /// In the empty rest of a segment after a switch, up to here.
    Skip(Lsn),
    /// After the end.
    Ended(Watch),
}

impl WalReader {
    /// Begins at a page.
    pub fn new(start: WalStart) -> Result<WalReader, StartError> {
        start.check()?;
        let log = Identity {
            size: start.segment_size,
            block: start.block_size,
            history: start.history,
            system: start.system,
            format: None,
        };
        Ok(WalReader::at(log, start.lsn, State::Start))
    }

    /// Goes on after what another reader has verified, on the same timeline or on one that comes from it.
    pub fn resume(position: &WalPosition, history: History) -> Result<WalReader, StartError> {
        let (size, major) = position.check(&history)?;
        let log = Identity {
            size,
            block: position.block_size,
            history,
            system: position.system,
            format: Some((position.magic, major)),
        };
        Ok(WalReader {
            from: Some(position.from),
            last: position.last_record,
            newest: position.newest_commit,
            ..WalReader::at(log, position.verified, State::Between)
        })
    }

    /// Takes the next bytes of the log, and gives out what became whole by them.
    pub fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(WalEvent)) -> Result<(), WalError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut bytes = bytes;
        while !bytes.is_empty() {
            match self.step(bytes, &mut take) {
                Ok(used) => {
                    self.next = self.next.plus(used as u64);
                    bytes = bytes.get(used..).unwrap_or_default();
                }
                Err(error) => {
                    self.failed = Some(error.clone());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// What is known so far.
    pub fn status(&self) -> WalStatus {
        let truncated = |record, missing| Some(Truncated { record, missing });
        let (end, truncated) = match &self.state {
            State::Ended(watch) => (Some(watch.end), None),
            State::Record => (None, truncated(self.partial.start, self.partial.missing())),
            State::Rest(left) => (None, truncated(self.verified, Some(*left))),
            State::Start | State::Between | State::Skip(_) => (None, None),
        };
        WalStatus {
            major: self.log.format.map(|(_, major)| major),
            system: self.log.system,
            next: self.next,
            from: self.from,
            verified: self.from.map(|_| self.verified),
            last_record: self.last,
            newest_commit: self.newest,
            end,
            truncated,
        }
    }

    /// From where another reader can go on; none before the first place at which a record can begin.
    pub fn position(&self) -> Option<WalPosition> {
        let from = self.from?;
        let (magic, _) = self.log.format?;
        let timeline = self.log.history.timeline_at(self.last.unwrap_or(from));
        Some(WalPosition {
            segment_size: self.log.size.bytes(),
            block_size: self.log.block,
            magic,
            system: self.log.system,
            timeline: timeline.number(),
            from,
            verified: self.verified,
            last_record: self.last,
            newest_commit: self.newest,
        })
    }

    fn at(log: Identity, next: Lsn, state: State) -> WalReader {
        WalReader {
            log,
            next,
            head: [0; LONG],
            have: 0,
            state,
            partial: Partial::new(),
            from: None,
            verified: next,
            last: None,
            newest: None,
            failed: None,
        }
    }

    /// Takes bytes of one page and of one record at most; how many.
    fn step(&mut self, bytes: &[u8], take: &mut impl FnMut(WalEvent)) -> Result<usize, WalError> {
        let offset = self.log.offset(self.next);
        let left = (self.log.block as usize).saturating_sub(offset);
        let bytes = bytes.get(..left).unwrap_or(bytes);
        match &mut self.state {
            State::Skip(until) => {
                let until = *until;
                return Ok(self.skip(until, bytes));
            }
            State::Ended(watch) => return watch.take(self.next, bytes),
            _ => {}
        }
        let length = self.log.header_length(self.next);
        if offset < length {
            return self.take_head(offset, length, bytes, take);
        }
        match &mut self.state {
            State::Between => match self.next.0 % 8 {
                0 => {
                    self.partial.begin(self.next);
                    self.state = State::Record;
                    Ok(0)
                }
                past => Ok(bytes.len().min(8 - past as usize)),
            },
            State::Rest(rest) => {
                let taken = bytes.get(..*rest as usize).unwrap_or(bytes).len();
                // At most as many as are left.
                *rest -= taken as u32;
                if *rest == 0 {
                    self.begin_at(align(self.next.plus(taken as u64)));
                }
                Ok(taken)
            }
            State::Record => self.take_record(bytes, take),
            // Left by the first page's header, and at the top.
            State::Start | State::Skip(_) | State::Ended(_) => Ok(bytes.len()),
        }
    }

    fn skip(&mut self, until: Lsn, bytes: &[u8]) -> usize {
        let left = until.0.saturating_sub(self.next.0);
        let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if count as u64 == left {
            self.state = State::Between;
        }
        count
    }

    fn take_head(
        &mut self,
        offset: usize,
        length: usize,
        bytes: &[u8],
        take: &mut impl FnMut(WalEvent),
    ) -> Result<usize, WalError> {
        let room = self.head.get_mut(self.have..length).unwrap_or_default();
        let count = room.len().min(bytes.len());
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.have += count;
        if self.have == length {
            self.have = 0;
            self.page(Lsn(self.next.0 - offset as u64), length, take)?;
        }
        Ok(count)
    }

    /// A page's header is complete.
    fn page(
        &mut self,
        at: Lsn,
        length: usize,
        take: &mut impl FnMut(WalEvent),
    ) -> Result<(), WalError> {
        let raw = self.head.get(..length).unwrap_or_default();
        if raw.iter().all(|byte| *byte == 0) {
            self.end(at, EndKind::Zeros, take);
            return Ok(());
        }
        let Some(page) = PageHeader::parse(raw) else {
            return Ok(());
        };
        self.log.check_page(at, &page)?;
        if page.address < at.0 {
            let address = Lsn(page.address);
            self.end(at, EndKind::Old { address }, take);
            return Ok(());
        }
        self.log.check_place(at, &page)?;
        // The length of a header is a multiple of eight.
        self.enter(at, &page, at.plus(length as u64), take)
    }

    /// Goes on `behind` the header of the page.
    fn enter(
        &mut self,
        at: Lsn,
        page: &PageHeader,
        behind: Lsn,
        take: &mut impl FnMut(WalEvent),
    ) -> Result<(), WalError> {
        let open = match &self.state {
            State::Record => self
                .partial
                .missing()
                .map(|left| (self.partial.start, left)),
            State::Rest(left) => Some((self.verified, *left)),
            State::Start if page.continues() && page.remaining > 0 => {
                self.verified = behind;
                self.state = State::Rest(page.remaining);
                return Ok(());
            }
            _ => None,
        };
        match open {
            None if page.continues() => Err(WalError::UnexpectedContinuation { at }),
            None => {
                self.begin_at(behind);
                Ok(())
            }
            Some((record, _)) if page.abandons() => {
                take(WalEvent::Abandoned { record, at });
                self.begin_at(behind);
                Ok(())
            }
            Some((record, _)) if !page.continues() => Err(WalError::NoContinuation { record, at }),
            Some((_, expected)) if expected != page.remaining => {
                Err(WalError::ContinuationLength {
                    at,
                    expected,
                    found: page.remaining,
                })
            }
            Some(_) => Ok(()),
        }
    }

    /// A record can begin here.
    fn begin_at(&mut self, at: Lsn) {
        self.state = State::Between;
        if self.from.is_none() {
            self.from = Some(at);
            self.verified = at;
        }
    }

    /// Nothing is written from `at` on.
    fn end(&mut self, at: Lsn, kind: EndKind, take: &mut impl FnMut(WalEvent)) {
        let within = matches!(self.state, State::Record).then_some(self.partial.start);
        let end = EndOfLog {
            verified: self.from.map(|_| self.verified),
            at,
            kind,
            within: within.filter(|start| *start < at),
        };
        let magic = self.log.format.map_or(0, |(magic, _)| magic);
        self.state = State::Ended(Watch::begin(end, u64::from(self.log.block), magic));
        take(WalEvent::End(end));
    }

    fn take_record(
        &mut self,
        bytes: &[u8],
        take: &mut impl FnMut(WalEvent),
    ) -> Result<usize, WalError> {
        let record = self.partial.start;
        let (count, progress) = self.partial.take(bytes)?;
        match progress {
            Progress::More => {}
            Progress::Empty => self.end(record, EndKind::Zeros, take),
            Progress::Header(header) => {
                self.log.check_header(record, &header, self.last)?;
                if header.length as usize == HEADER {
                    self.finish(&header, count, take)?;
                }
            }
            Progress::Whole(header) => self.finish(&header, count, take)?,
        }
        Ok(count)
    }

    /// All bytes of the open record are here, the last `count` of them just now.
    fn finish(
        &mut self,
        header: &RecordHeader,
        count: usize,
        take: &mut impl FnMut(WalEvent),
    ) -> Result<(), WalError> {
        let lsn = self.partial.start;
        self.partial.prove(header)?;
        let meaning = meaning(header, self.partial.body(), self.log.major());
        let meaning = meaning.ok_or(WalError::Malformed { record: lsn })?;
        self.log.check_meaning(lsn, &meaning)?;
        if let Meaning::Commit { time, .. } = &meaning
            && self.newest.is_none_or(|newest| newest.time <= *time)
        {
            self.newest = Some(CommitTime { lsn, time: *time });
        }
        let stop = self.next.plus(count as u64);
        let mut end = align(stop);
        self.state = State::Between;
        if header.is_switch() {
            end = self.log.size.round_up(end);
            if end > stop {
                self.state = State::Skip(end);
            }
        }
        self.verified = end;
        self.last = Some(lsn);
        take(WalEvent::Record(WalRecord {
            lsn,
            end,
            prev: header.prev,
            length: header.length,
            xid: header.xid,
            manager: header.manager,
            info: header.info,
            meaning,
        }));
        Ok(())
    }
}

/// Records begin at multiples of eight.
fn align(lsn: Lsn) -> Lsn {
    Lsn(lsn.plus(7).0 & !7)
}
