//! Lists of headers, few enough of each kind that they meet: runs are chains, and every header is accounted for.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::Id;
use vouchsafe_format::fragment::{Chain, Event, Header, Kind, Position, Span, StreamName};

fuzz_target!(|bytes: &[u8]| {
    let headers: Vec<Header> = bytes.chunks_exact(4).take(200).map(header).collect();
    let chain = Chain::of(&headers);
    let mut accounted = BTreeSet::new();
    for run in &chain.runs {
        accounted.extend(&run.parts);
        for pair in run.parts.windows(2) {
            let (before, after) = (&headers[pair[0]], &headers[pair[1]]);
            assert_eq!(before.next().sequence, after.sequence);
            assert_eq!(before.next().previous, after.previous);
        }
    }
    for event in &chain.events {
        if let Event::OtherStream { part }
        | Event::Repeated { part, .. }
        | Event::Partly { part, .. } = event
        {
            accounted.insert(part);
        }
    }
    assert_eq!(accounted.len(), headers.len());
});

fn header(bytes: &[u8]) -> Header {
    let [place, digests, positions, rest] = [0, 1, 2, 3].map(|at| bytes[at]);
    let digest = |place: u64, branch: u8| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&place.to_le_bytes());
        bytes[8] = branch;
        Id::from_bytes(bytes)
    };
    let (sequence, count) = (u64::from(place % 32), u32::from(place / 32) % 4 + 1);
    let position = |at: u8| match rest % 8 {
        0 => Position::File {
            file: (at / 8).into(),
            offset: (at % 8).into(),
        },
        1 => Position::Byte(at.into()),
        _ => Position::Mark(at.into()),
    };
    let (from, to) = (positions % 16, positions % 16 + positions / 16);
    Header {
        kind: Kind::Segment,
        stream: StreamName::new(if rest == 255 { "a" } else { "b" }, "c").unwrap(),
        sequence,
        count,
        epoch: (rest / 8 % 4).into(),
        last_epoch: (rest / 8 % 4).into(),
        timeline: (rest / 64).into(),
        span: Span::new(position(from), position(to)).unwrap(),
        commits: None,
        previous: digest(sequence, digests % 3),
        digest: digest(sequence + u64::from(count), digests / 16 % 3),
        length: 0,
        compressed: false,
    }
}
