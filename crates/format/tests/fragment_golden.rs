//! A fragment and a segment of format version 1, which are read for ever.

use crate::common::log::{bytes, draft, keys, opened};
use vouchsafe_format::Compressor;
use vouchsafe_format::fragment::{
    Commits, Draft, Kind, Link, LogName, SealedLog, Stretch, open_header, seal,
};

const FRAGMENT: &[u8] = include_bytes!("golden/fragment-1");
const SEGMENT: &[u8] = include_bytes!("golden/segment-1");
/// The names of both, a line each.
const NAMES: &str = include_str!("golden/log-names-1");
/// Set this to write the golden files anew, which is right only for a new version under new names.
const WRITE: &str = "VOUCHSAFE_WRITE_GOLDEN";

/// Three fragments with texts for logs.
fn stretches() -> Vec<Stretch> {
    let (mut link, mut at) = (Link::FIRST, 0x0100_0000);
    let mut out = Vec::new();
    let texts = [
        "the first fragment. ".repeat(9),
        String::new(),
        "the third".into(),
    ];
    for (epoch, text) in (7..).zip(texts) {
        let to = at + text.len() as u64;
        let draft = Draft {
            epoch,
            span: bytes(at, to),
            commits: (!text.is_empty()).then_some(Commits {
                first: 1_790_000_000_000_000 + i64::try_from(at).unwrap(),
                last: 1_790_000_000_000_000 + i64::try_from(to).unwrap(),
            }),
            ..draft(link, 0, 0)
        };
        let fragment = Stretch::fragment(draft, text.into_bytes()).unwrap();
        (link, at) = (fragment.header().next(), to);
        out.push(fragment);
    }
    out
}

fn names() -> Vec<LogName> {
    NAMES.lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn log_objects_of_version_1_are_read() {
    let all = stretches();
    let names = names();
    assert_eq!(opened(&names[0], FRAGMENT), all[0]);
    let segment = opened(&names[1], SEGMENT);
    assert_eq!(segment, Stretch::join(&all).unwrap());
    let header = open_header(&keys(), &names[1], SEGMENT).unwrap();
    assert!(header.compressed && header.kind == Kind::Segment);
    assert_eq!(
        (
            header.sequence,
            header.count,
            header.epoch,
            header.last_epoch
        ),
        (0, 3, 7, 9)
    );
    assert_eq!(segment.pieces()[1].commits, None);
    let digest = "a5dd63f8c32b972ee52522ccae7f5188e9310b05c155241af54991e2da94ae04";
    assert_eq!(
        header.digest.to_hex(),
        digest,
        "the chain is the same for ever"
    );
}

#[test]
fn log_objects_of_version_1_are_still_written() {
    let all = stretches();
    let fragment = seal(&keys(), &all[0], [1; 32], None).unwrap();
    let mut compressor = Compressor::new(3).unwrap();
    let segment = Stretch::join(&all).unwrap();
    let segment = seal(&keys(), &segment, [2; 32], Some(&mut compressor)).unwrap();
    if std::env::var_os(WRITE).is_some() {
        return write_golden(&fragment, &segment);
    }
    assert_eq!(fragment.bytes, FRAGMENT);
    // Another version of zstd may well compress otherwise, and then the salt is another one, too.
    assert_eq!([fragment.name, segment.name], names()[..]);
}

fn write_golden(fragment: &SealedLog, segment: &SealedLog) {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::fs::write(golden.join("fragment-1"), &fragment.bytes).unwrap();
    std::fs::write(golden.join("segment-1"), &segment.bytes).unwrap();
    let names = format!("{}\n{}\n", fragment.name, segment.name);
    std::fs::write(golden.join("log-names-1"), names).unwrap();
}
