//! A writer of binary logs, apart from the code under test.
#![allow(dead_code)]

use super::crc32;

/// A file that grows.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    pub(crate) checksums: bool,
    /// Where each event begins.
    pub(crate) events: Vec<u64>,
}

impl File {
    pub(crate) fn new(version: &str, checksums: bool) -> File {
        let mut file = File {
            bytes: b"\xfebin".to_vec(),
            checksums,
            events: Vec::new(),
        };
        let mut body = 4_u16.to_le_bytes().to_vec();
        let mut name = version.as_bytes().to_vec();
        name.resize(50, 0);
        body.extend(name);
        body.extend([0; 4]);
        body.push(19);
        body.extend([0; 42]);
        body.push(u8::from(checksums));
        file.raw(15, 1, 0, &body, true);
        file
    }

    /// An event; where it begins.
    pub(crate) fn event(&mut self, kind: u8, time: u32, body: &[u8]) -> u64 {
        self.raw(kind, time, 0, body, self.checksums)
    }

    pub(crate) fn raw(&mut self, kind: u8, time: u32, flags: u16, body: &[u8], sum: bool) -> u64 {
        let at = self.bytes.len();
        let size = (19 + body.len() + if sum { 4 } else { 0 }) as u32;
        let mut event = time.to_le_bytes().to_vec();
        event.push(kind);
        event.extend(1_u32.to_le_bytes());
        event.extend(size.to_le_bytes());
        event.extend((at as u32 + size).to_le_bytes());
        event.extend(flags.to_le_bytes());
        event.extend(body);
        if sum {
            let sum = crc32(&[&event]);
            event.extend(sum.to_le_bytes());
        }
        self.bytes.extend(event);
        self.events.push(at as u64);
        at as u64
    }

    pub(crate) fn query(&mut self, time: u32, text: &str) -> u64 {
        self.event(2, time, &query(text))
    }

    /// MySQL's set of what comes before, without tags.
    pub(crate) fn previous(&mut self, uuid: u8, last: u64) {
        let mut body = 1_u64.to_le_bytes().to_vec();
        body.extend([uuid; 16]);
        body.extend(1_u64.to_le_bytes());
        body.extend(1_u64.to_le_bytes());
        body.extend((last + 1).to_le_bytes());
        if last == 0 {
            body = 0_u64.to_le_bytes().to_vec();
        }
        self.event(35, 1, &body);
    }

    /// MySQL's beginning of a transaction.
    pub(crate) fn gtid(&mut self, uuid: u8, number: u64, micros: u64) -> u64 {
        let mut body = vec![0];
        body.extend([uuid; 16]);
        body.extend(number.to_le_bytes());
        body.push(2);
        body.extend([0; 16]);
        body.extend(&micros.to_le_bytes()[..7]);
        self.event(33, 1, &body)
    }

    /// MySQL's transaction of one row.
    pub(crate) fn transaction(&mut self, uuid: u8, number: u64, micros: u64) {
        self.gtid(uuid, number, micros);
        self.query(1, "BEGIN");
        self.event(30, 1, &[9; 40]);
        self.event(16, 1, &[0; 8]);
    }
}

/// The body of a query event.
pub(crate) fn query(text: &str) -> Vec<u8> {
    let mut body = vec![0; 8];
    body.push(4);
    body.extend([0; 2]);
    body.extend(3_u16.to_le_bytes());
    body.extend([1, 2, 3]);
    body.extend(b"test\0");
    body.extend(text.as_bytes());
    body
}

/// A file of MySQL's with a few transactions.
pub(crate) fn mysql(checksums: bool) -> File {
    let mut file = File::new("8.4.3", checksums);
    file.previous(7, 4);
    file.transaction(7, 5, 2_000_000);
    file.gtid(7, 6, 5_000_000);
    file.query(1, "CREATE TABLE t (a int)");
    file.gtid(7, 7, 4_000_000);
    file.query(1, "XA START X'61',X'',1");
    file.event(30, 1, &[9; 300]);
    file.query(1, "XA END X'61',X'',1");
    file.event(38, 1, &[0; 16]);
    file.gtid(7, 8, 3_000_000);
    file.event(40, 1, &[5; 100]);
    file.gtid(7, 9, 9_000_000);
    file.query(1, "BEGIN");
    file.query(1, "ROLLBACK TO a");
    file.query(1, "ROLLBACK");
    let rotate = [&4_u64.to_le_bytes()[..], b"bin.000002"].concat();
    file.event(4, 1, &rotate);
    file
}
