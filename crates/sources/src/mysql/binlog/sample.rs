//! Files of a binary log for tests, as MariaDB writes them.

/// A file that grows. Only its first event has a checksum.
#[derive(Clone)]
pub(in crate::mysql) struct BinlogWriter {
    pub(in crate::mysql) bytes: Vec<u8>,
}

impl BinlogWriter {
    pub(in crate::mysql) fn new() -> BinlogWriter {
        let mut out = BinlogWriter {
            bytes: b"\xfebin".to_vec(),
        };
        let mut body = 4_u16.to_le_bytes().to_vec();
        let mut version = b"10.11.6-MariaDB-log".to_vec();
        version.resize(50, 0);
        body.extend(version);
        body.extend([0; 4]);
        body.push(19);
        body.extend([0; 42]);
        body.push(0);
        out.event(15, &body, true);
        out
    }

    /// A transaction of domain 0, of a size of its own.
    pub(in crate::mysql) fn transaction(&mut self, sequence: u64) {
        let mut begin = sequence.to_le_bytes().to_vec();
        begin.extend(0_u32.to_le_bytes());
        // One statement follows and no commit.
        begin.push(1);
        begin.extend([0; 6]);
        self.event(162, &begin, false);
        // No thread, no time, no database, no error, no status.
        let mut query = vec![0; 14];
        query.extend(b"CREATE TABLE t (x int) -- ");
        query.extend(sequence.to_string().into_bytes());
        self.event(2, &query, false);
    }

    /// What MariaDB says of the transactions before a file.
    pub(in crate::mysql) fn list(&mut self, sequence: u64) {
        let mut body = 1_u32.to_le_bytes().to_vec();
        body.extend(0_u32.to_le_bytes());
        body.extend(1_u32.to_le_bytes());
        body.extend(sequence.to_le_bytes());
        self.event(163, &body, false);
    }

    pub(in crate::mysql) fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn event(&mut self, kind: u8, body: &[u8], sum: bool) {
        let size = 19 + body.len() + if sum { 4 } else { 0 };
        let end = self.bytes.len() + size;
        let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
        let mut event = 1_u32.to_le_bytes().to_vec();
        event.push(kind);
        event.extend(1_u32.to_le_bytes());
        event.extend(number(size));
        event.extend(number(end));
        event.extend([0; 2]);
        event.extend(body);
        if sum {
            let sum = crc32(&event);
            event.extend(sum.to_le_bytes());
        }
        self.bytes.extend(event);
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 {
                sum >> 1 ^ 0xedb8_8320
            } else {
                sum >> 1
            };
        }
    }
    !sum
}
