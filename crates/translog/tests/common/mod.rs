//! A writer of logs in PostgreSQL's format, apart from the code under test, and what tests share.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub(crate) mod binlog;
pub(crate) mod waldump;

use std::sync::LazyLock;

use vouchsafe_translog::wal::{
    History, Lsn, SegmentSize, Timeline, WalError, WalEvent, WalReader, WalRecord, WalStart,
};

/// The smallest segments there are.
pub(crate) const SEGMENT: u64 = 1 << 20;
pub(crate) const PAGE: u64 = 8192;
pub(crate) const SYSTEM: u64 = 0x6a6b_6c6d_6e6f_7071;

/// A log that begins at a segment.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) bytes: Vec<u8>,
    pub(crate) start: u64,
    pub(crate) magic: u16,
    pub(crate) system: u64,
    pub(crate) prev: u64,
    pub(crate) timeline: u32,
    /// Where each record begins.
    pub(crate) records: Vec<u64>,
}

impl Log {
    pub(crate) fn at_segment(segment: u64) -> Log {
        Log {
            bytes: Vec::new(),
            start: segment * SEGMENT,
            magic: 0xD110,
            system: SYSTEM,
            prev: 0,
            timeline: 1,
            records: Vec::new(),
        }
    }

    pub(crate) fn next(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    pub(crate) fn page(&mut self, flags: u16, remaining: u32) {
        let at = self.next();
        let long = at.is_multiple_of(SEGMENT);
        let flags = if long { flags | 2 } else { flags };
        self.bytes.extend(self.magic.to_le_bytes());
        self.bytes.extend(flags.to_le_bytes());
        self.bytes.extend(self.timeline.to_le_bytes());
        self.bytes.extend(at.to_le_bytes());
        self.bytes.extend(remaining.to_le_bytes());
        self.bytes.extend([0; 4]);
        if long {
            self.bytes.extend(self.system.to_le_bytes());
            self.bytes.extend((SEGMENT as u32).to_le_bytes());
            self.bytes.extend((PAGE as u32).to_le_bytes());
        }
    }

    /// A record; where it begins.
    pub(crate) fn record(&mut self, manager: u8, info: u8, xid: u32, body: &[u8]) -> u64 {
        let bytes = encode(manager, info, xid, self.prev, body);
        if self.next().is_multiple_of(PAGE) {
            self.page(0, 0);
        }
        let at = self.next();
        self.records.push(at);
        self.prev = at;
        self.raw(&bytes);
        while !self.next().is_multiple_of(8) {
            self.bytes.push(0);
        }
        at
    }

    /// The bytes of a record, with page headers where they are due.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.next().is_multiple_of(PAGE) {
                self.page(1, rest.len() as u32);
            }
            let room = (PAGE - self.next() % PAGE) as usize;
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.bytes.extend(now);
            rest = later;
        }
    }

    /// A record of some resource manager that does not concern us.
    pub(crate) fn filler(&mut self, length: usize) -> u64 {
        let body: Vec<u8> = (0..length).map(|at| (at * 7 + length) as u8).collect();
        self.record(10, 0, 5, &body)
    }

    pub(crate) fn commit(&mut self, xid: u32, micros: i64) -> u64 {
        self.record(1, 0, xid, &plain(&micros.to_le_bytes()))
    }

    pub(crate) fn message(&mut self, prefix: &str, content: &[u8]) -> u64 {
        let mut data = 5_u32.to_le_bytes().to_vec();
        data.extend([0; 4]);
        data.extend((prefix.len() as u64 + 1).to_le_bytes());
        data.extend((content.len() as u64).to_le_bytes());
        data.extend(prefix.as_bytes());
        data.push(0);
        data.extend(content);
        self.record(21, 0, 0, &plain(&data))
    }

    /// The rest of the segment is empty.
    pub(crate) fn switch(&mut self) -> u64 {
        let at = self.record(0, 0x40, 0, &[]);
        self.fill();
        at
    }

    /// Zeros up to the end of the segment.
    pub(crate) fn fill(&mut self) {
        while !self.next().is_multiple_of(SEGMENT) {
            let room = SEGMENT - self.next() % SEGMENT;
            self.bytes.extend(vec![0; room as usize]);
        }
    }

    /// Some of everything, over three segments.
    pub(crate) fn sample() -> &'static Log {
        static SAMPLE: LazyLock<Log> = LazyLock::new(Log::make_sample);
        &SAMPLE
    }

    fn make_sample() -> Log {
        let mut log = Log::at_segment(3);
        log.filler(100);
        log.commit(7, 1_000_000);
        log.message("token", b"content");
        log.filler(9000);
        log.commit(8, 3_000_000);
        log.filler((SEGMENT - 30_000) as usize);
        log.filler(40_000);
        log.commit(9, 2_000_000);
        log.switch();
        log.message("long", &[3; 20_000]);
        log.commit(10, 4_000_000);
        log
    }
}

/// A record's bytes.
pub(crate) fn encode(manager: u8, info: u8, xid: u32, prev: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32 + 24).to_le_bytes().to_vec();
    bytes.extend(xid.to_le_bytes());
    bytes.extend(prev.to_le_bytes());
    bytes.extend([info, manager, 0, 0]);
    let sum = crc32c(&[body, &bytes]);
    bytes.extend(sum.to_le_bytes());
    bytes.extend(body);
    bytes
}

/// The data of a record that refers to no blocks.
pub(crate) fn plain(data: &[u8]) -> Vec<u8> {
    let head = match u8::try_from(data.len()) {
        Ok(length) => vec![255, length],
        Err(_) => [&[254][..], &(data.len() as u32).to_le_bytes()].concat(),
    };
    [head.as_slice(), data].concat()
}

/// Bit by bit, as RFC 3720 has it.
pub(crate) fn crc32c(parts: &[&[u8]]) -> u32 {
    reflected(0x82F6_3B78, parts)
}

/// Bit by bit, as zlib has it.
pub(crate) fn crc32(parts: &[&[u8]]) -> u32 {
    reflected(0xEDB8_8320, parts)
}

fn reflected(polynomial: u32, parts: &[&[u8]]) -> u32 {
    let mut sum = !0_u32;
    for byte in parts.iter().flat_map(|part| part.iter()) {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ if sum & 1 == 1 { polynomial } else { 0 };
        }
    }
    !sum
}

pub(crate) fn timeline(number: u32) -> Timeline {
    Timeline::new(number).unwrap()
}

pub(crate) fn size() -> SegmentSize {
    SegmentSize::new(SEGMENT as u32).unwrap()
}

/// A reader of the first timeline.
pub(crate) fn reader(start: u64) -> WalReader {
    reader_on(start, History::of(Timeline::FIRST))
}

pub(crate) fn reader_on(start: u64, history: History) -> WalReader {
    let segment = size().segment_of(Lsn(start));
    let start = WalStart {
        lsn: Lsn(start),
        ..WalStart::at_segment(size(), segment, history).unwrap()
    };
    WalReader::new(start).unwrap()
}

/// Feeds everything at once.
pub(crate) fn read(reader: &mut WalReader, bytes: &[u8]) -> (Vec<WalEvent>, Result<(), WalError>) {
    let mut events = Vec::new();
    let result = reader.feed(bytes, |event| events.push(event));
    (events, result)
}

/// The records among the events.
pub(crate) fn records(events: &[WalEvent]) -> Vec<&WalRecord> {
    let mut found = Vec::new();
    for event in events {
        if let WalEvent::Record(record) = event {
            found.push(record);
        }
    }
    found
}
