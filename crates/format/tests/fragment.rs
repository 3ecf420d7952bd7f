//! Log fragments and segments: what is sealed opens, and nothing else does.

use crate::common::log::{bytes, draft, fragments, keys, opened, sealed, some_log, stream};
use crate::common::{self, key};
use proptest::prelude::*;
use vouchsafe_format::fragment::{
    Commits, ContentError, Draft, Header, HeaderError, JoinError, Kind, Link, LogKeys,
    MAX_FRAGMENT, OpenError, PREFIX, Position, Span, StreamName, Stretch, open, open_header, seal,
    sealed_length,
};
use vouchsafe_format::{Compressor, Id, MasterKey};

fn position() -> impl Strategy<Value = (Span, usize)> {
    let length = 0..3000_usize;
    prop_oneof![
        (0..1_u64 << 62, length.clone()).prop_map(|(at, n)| (bytes(at, at + n as u64), n)),
        (any::<u32>(), any::<u32>(), length.clone(), any::<bool>()).prop_map(
            |(file, offset, n, to_its_end)| {
                let (file, offset) = (u64::from(file), u64::from(offset));
                let end = if to_its_end {
                    Position::File {
                        file: file + 1,
                        offset: 0,
                    }
                } else {
                    Position::File {
                        file,
                        offset: offset + n as u64,
                    }
                };
                (Span::new(Position::File { file, offset }, end).unwrap(), n)
            }
        ),
        (any::<u32>(), 1..1_u64 << 40, length).prop_map(|(at, more, n)| {
            let from = u64::from(at) << 16;
            (
                Span::new(Position::Mark(from), Position::Mark(from + more)).unwrap(),
                n,
            )
        }),
    ]
}

/// A fragment such as any writer could make.
fn fragment() -> impl Strategy<Value = Stretch> {
    let names = ("[a-zé/ ]{1,60}", "[ -~]{1,255}");
    let times = prop::option::of((any::<i64>(), any::<i64>()));
    let place = (1..u64::MAX, any::<[u8; 32]>(), any::<u64>(), any::<u64>());
    (names, times, place, position(), any::<u64>()).prop_map(
        |((system, name), times, (sequence, previous, epoch, timeline), (span, length), seed)| {
            let draft = Draft {
                stream: StreamName::new(system, name).unwrap(),
                link: Link {
                    sequence,
                    previous: Id::from_bytes(previous),
                },
                epoch,
                timeline,
                span,
                commits: times.map(|(first, last)| Commits { first, last }),
            };
            Stretch::fragment(draft, some_log(seed, length)).unwrap()
        },
    )
}

fn compressor() -> Compressor {
    Compressor::new(3).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_sealed_opens_whole_and_equal(fragment in fragment(), random: [u8; 32], compress: bool) {
        let mut compressor = compressor();
        let sealed = seal(&keys(), &fragment, random, compress.then_some(&mut compressor)).unwrap();
        prop_assert_eq!(&opened(&sealed.name, &sealed.bytes), &fragment);
        let beginning = &sealed.bytes[..sealed.bytes.len().min(PREFIX)];
        let header = open_header(&keys(), &sealed.name, beginning).unwrap();
        prop_assert_eq!(Header { compressed: false, ..header }, fragment.header().clone());
        prop_assert_eq!(sealed.name.to_string().parse(), Ok(sealed.name));
        // No plaintext stands in the object or in its name.
        let clear = String::from_utf8_lossy(&sealed.bytes).into_owned();
        let name = fragment.header().stream.system();
        prop_assert!(name.len() < 8 || !(clear + &sealed.name.to_string()).contains(name));
    }

    #[test]
    fn headers_are_read_as_they_are_written(fragment in fragment(), cut: prop::sample::Index, extra: u8) {
        let plain = fragment.header().encode();
        prop_assert_eq!(&Header::decode(Kind::Fragment, &plain).unwrap(), fragment.header());
        let short = Header::decode(Kind::Fragment, &plain[..cut.index(plain.len())]);
        prop_assert_eq!(short, Err(HeaderError::Malformed));
        let long = Header::decode(Kind::Fragment, &[&plain[..], &[extra]].concat());
        prop_assert_eq!(long, Err(HeaderError::Trailing));
    }

    #[test]
    fn no_bytes_make_it_panic(kind in any::<bool>(), noise in prop::collection::vec(any::<u8>(), 0..400), at: prop::sample::Index, byte: u8) {
        let kind = if kind { Kind::Fragment } else { Kind::Segment };
        let _ = Header::decode(kind, &noise);
        // Damage behind the seal, as only who has the key could do it.
        let joined = Stretch::join(&fragments(&[5, 0, 7])).unwrap();
        let mut plain = joined.header().encode();
        let place = at.index(plain.len());
        plain[place] = byte;
        if let Ok(header) = Header::decode(kind, &plain) {
            let _ = Stretch::from_payload(&header, noise);
        }
    }

    #[test]
    fn a_segment_holds_what_its_fragments_held(lengths in prop::collection::vec(0..400_usize, 1..12), cut: prop::sample::Index) {
        let parts = fragments(&lengths);
        let whole = Stretch::join(&parts).unwrap();
        let log: Vec<u8> = parts.iter().flat_map(|part| part.log().to_vec()).collect();
        prop_assert_eq!(whole.log(), &log[..]);
        prop_assert_eq!(whole.header().previous, Link::FIRST.previous);
        prop_assert_eq!(whole.header().next(), parts[parts.len() - 1].header().next());
        prop_assert_eq!(whole.header().count as usize, parts.len());
        // Segments of segments are no different.
        let (one, two) = parts.split_at(cut.index(parts.len()));
        let halves: Vec<Stretch> = [one, two].into_iter().filter(|half| !half.is_empty())
            .map(|half| Stretch::join(half).unwrap()).collect();
        prop_assert_eq!(&Stretch::join(&halves).unwrap(), &whole);
        let mut compressor = compressor();
        let object = seal(&keys(), &whole, [1; 32], Some(&mut compressor)).unwrap();
        prop_assert_eq!(&opened(&object.name, &object.bytes), &whole);
        prop_assert_eq!(whole.split().unwrap(), parts);
        let said = sealed_length(&object.bytes[..object.bytes.len().min(PREFIX)]);
        prop_assert_eq!(said.unwrap(), object.bytes.len() as u64);
    }

    #[test]
    fn only_what_follows_is_joined(lengths in prop::collection::vec(1..50_usize, 3..8), at: prop::sample::Index) {
        let parts = fragments(&lengths);
        let at = at.index(parts.len() - 2) + 1;
        let mut missing = parts.clone();
        missing.remove(at);
        prop_assert_eq!(Stretch::join(&missing), Err(JoinError::Chain { part: at }));
        let mut swapped = parts.clone();
        swapped.swap(at, at + 1);
        prop_assert_eq!(Stretch::join(&swapped), Err(JoinError::Chain { part: at }));
        let mut repeated = parts.clone();
        repeated.insert(at, parts[at].clone());
        prop_assert_eq!(Stretch::join(&repeated), Err(JoinError::Chain { part: at + 1 }));
        let header = parts[at].header();
        let link = Link { sequence: header.sequence, previous: header.previous };
        let other = |change: &dyn Fn(&mut Draft)| {
            let mut draft = draft(link, 0, 0);
            (draft.span, draft.commits) = (header.span, header.commits);
            change(&mut draft);
            let log = match draft.span == header.span {
                true => parts[at].log().to_vec(),
                false => Vec::new(),
            };
            let mut parts = parts[..at].to_vec();
            parts.push(Stretch::fragment(draft, log).unwrap());
            Stretch::join(&parts)
        };
        prop_assert!(other(&|_| ()).is_ok());
        prop_assert_eq!(other(&|d| d.timeline = 2), Err(JoinError::Timeline { part: at }));
        prop_assert_eq!(other(&|d| d.span = bytes(9, 9)), Err(JoinError::Position { part: at }));
        prop_assert_eq!(other(&|d| d.stream = StreamName::new("a", "b").unwrap()), Err(JoinError::Stream { part: at }));
        let sequence = header.sequence;
        prop_assert_eq!(other(&|d| d.epoch = 0), Err(JoinError::Content(ContentError::Order { sequence })));
    }
}

/// A fragment and a segment, compressed.
fn samples() -> Vec<Stretch> {
    let parts = fragments(&[300, 0, 40]);
    vec![parts[0].clone(), Stretch::join(&parts).unwrap()]
}

#[test]
fn every_truncation_and_every_flipped_byte_is_refused() {
    for stretch in samples() {
        for compressor in [None, Some(&mut compressor())] {
            let object = seal(&keys(), &stretch, [7; 32], compressor).unwrap();
            for length in 0..object.bytes.len() {
                let cut = &object.bytes[..length];
                assert!(open(&keys(), &object.name, cut).is_err(), "{length}");
            }
            let longer = [&object.bytes[..], &[0]].concat();
            assert!(open(&keys(), &object.name, &longer).is_err());
            for at in 0..object.bytes.len() {
                for bit in [0x01, 0x80] {
                    let mut damaged = object.bytes.clone();
                    damaged[at] ^= bit;
                    assert!(open(&keys(), &object.name, &damaged).is_err(), "{at}");
                }
            }
            assert_eq!(opened(&object.name, &object.bytes), stretch);
        }
    }
}

#[test]
fn a_repeated_place_with_another_content_shares_no_key_and_both_open() {
    let one = Stretch::fragment(draft(Link::FIRST, 0, 64), vec![0; 64]).unwrap();
    let two = Stretch::fragment(draft(Link::FIRST, 0, 64), vec![1; 64]).unwrap();
    // Not even where the random bytes are repeated too, as on a machine that was set back.
    let (first, second) = (sealed(&one, 5), sealed(&two, 5));
    assert_eq!(first.name, second.name, "two writers collide");
    assert_eq!(opened(&first.name, &first.bytes), one);
    assert_eq!(opened(&second.name, &second.bytes), two);
    assert_ne!(first.bytes[48..80], second.bytes[48..80], "the salts");
    let end = first.bytes.len() - 16;
    let difference: Vec<u8> = first.bytes[end - 64..end]
        .iter()
        .zip(&second.bytes[end - 64..end])
        .map(|(a, b)| a ^ b)
        .collect();
    assert_ne!(difference, [1; 64], "the same keystream");
    // And the same content under other random bytes looks different.
    assert_ne!(sealed(&one, 6).bytes[80..], first.bytes[80..]);
}

#[test]
fn vaults_share_the_chain_and_no_name_or_byte() {
    let other = LogKeys::of(&MasterKey::from_random([9; 64]).unwrap());
    let [fragment, segment] = samples().try_into().unwrap();
    for stretch in [fragment, segment] {
        let here = sealed(&stretch, 1);
        let there = seal(&other, &opened(&here.name, &here.bytes), [1; 32], None).unwrap();
        let copy = open(&other, &there.name, &there.bytes).unwrap();
        assert_eq!(copy.header().digest, stretch.header().digest);
        assert_ne!(here.name.stream, there.name.stream);
        let wrong = open(&keys(), &there.name, &there.bytes);
        assert!(matches!(wrong, Err(OpenError::OtherKey { found, expected })
            if found == other.id() && expected == keys().id()));
    }
}

#[test]
fn an_object_under_another_name_is_refused() {
    let objects: Vec<_> = fragments(&[30, 30]).iter().map(|f| sealed(f, 1)).collect();
    let segment = sealed(&Stretch::join(&fragments(&[30])).unwrap(), 1);
    for wrong in [objects[1].name, segment.name] {
        let found = open(&keys(), &wrong, &objects[0].bytes);
        assert!(matches!(found, Err(OpenError::Misplaced { name }) if name == wrong));
        let found = open_header(&keys(), &wrong, &objects[0].bytes);
        assert!(matches!(found, Err(OpenError::Misplaced { .. })));
    }
}

#[test]
fn an_unknown_version_is_refused_with_what_would_read_it() {
    let object = sealed(&samples()[0], 1);
    let mut later = object.bytes.clone();
    later[8] = 2;
    let error = open(&keys(), &object.name, &later).unwrap_err();
    assert!(matches!(error, OpenError::Version { found: 2 }));
    let text = error.to_string();
    assert!(
        text.contains("version 2") && text.contains("docs/format.md"),
        "{text}"
    );
    let mut foreign = object.bytes;
    foreign[0] = b'v';
    let error = open(&keys(), &object.name, &foreign).unwrap_err();
    assert!(matches!(error, OpenError::Magic));
}

#[test]
fn the_largest_record_has_room_and_no_byte_more() {
    let of = |length: usize| {
        let draft = draft(Link::FIRST, 0, length as u64);
        Stretch::fragment(draft, vec![b'x'; length])
    };
    let largest = of(MAX_FRAGMENT).unwrap();
    let object = seal(&keys(), &largest, [1; 32], Some(&mut compressor())).unwrap();
    assert!(object.bytes.len() < 1 << 20);
    assert_eq!(opened(&object.name, &object.bytes), largest);
    let refused = of(MAX_FRAGMENT + 1);
    assert!(matches!(refused, Err(ContentError::TooLong { .. })));
}

#[test]
fn a_bomb_is_stopped() {
    let [fragment, segment] = samples().try_into().unwrap();
    for stretch in [fragment, segment] {
        let kind = stretch.header().kind;
        let mut header = stretch.header().clone();
        header.compressed = true;
        header.length = u32::try_from(kind.limit()).unwrap() + 1;
        let refused = Header::decode(kind, &header.encode());
        assert!(matches!(refused, Err(HeaderError::TooLong { .. })));
        header.length -= 1;
        assert!(Header::decode(kind, &header.encode()).is_ok());
    }
}

#[test]
fn what_does_not_become_smaller_is_stored_as_it_is() {
    let noise = common::noise(3, 1000);
    let fragment = Stretch::fragment(draft(Link::FIRST, 0, 1000), noise).unwrap();
    let plain = sealed(&fragment, 1);
    let tried = seal(&keys(), &fragment, [1; 32], Some(&mut compressor())).unwrap();
    assert_eq!(plain, tried);
    let header = open_header(&keys(), &plain.name, &plain.bytes).unwrap();
    assert!(!header.compressed);
}

#[test]
fn positions_that_do_not_fit_their_bytes_are_refused() {
    let of = |span: Span, length: usize| {
        let draft = Draft {
            span,
            ..draft(Link::FIRST, 0, 0)
        };
        Stretch::fragment(draft, vec![0; length])
    };
    assert!(of(bytes(5, 9), 4).is_ok());
    for (span, length) in [(bytes(5, 9), 3), (bytes(5, 5), 1)] {
        assert!(matches!(of(span, length), Err(ContentError::Length { .. })));
    }
    let mark = |from, to| Span::new(Position::Mark(from), Position::Mark(to)).unwrap();
    assert!(of(mark(5, 6), 900).is_ok());
    assert!(of(mark(5, 5), 1).is_err());
}

#[test]
fn only_the_first_fragment_has_no_predecessor() {
    for (sequence, previous) in [(0, Id::of(b"x")), (1, Link::FIRST.previous)] {
        let refused = Stretch::fragment(draft(Link { sequence, previous }, 0, 0), Vec::new());
        let expected = ContentError::Place(HeaderError::Predecessor);
        assert_eq!(refused, Err(expected));
    }
    let last = Link {
        sequence: u64::MAX,
        previous: Id::of(b"x"),
    };
    assert!(Stretch::fragment(draft(last, 0, 0), Vec::new()).is_err());
}

#[test]
fn a_header_that_lies_about_its_payload_is_refused() {
    for stretch in samples() {
        let payload = match stretch.header().kind {
            Kind::Fragment => stretch.log().to_vec(),
            Kind::Segment => common::log::payload_of(&stretch),
        };
        let take = |header: &Header| Stretch::from_payload(header, payload.clone());
        assert_eq!(take(stretch.header()), Ok(stretch.clone()));
        let lies: [fn(&mut Header); 9] = [
            |h| h.digest = Id::of(b"x"),
            |h| h.previous = Id::of(b"x"),
            |h| h.sequence += 1,
            |h| h.timeline += 1,
            |h| h.epoch += 1,
            |h| h.last_epoch += 1,
            |h| h.span = bytes(0, 1),
            |h| h.commits = None,
            |h| h.stream = StreamName::new("a", "b").unwrap(),
        ];
        for lie in lies {
            let mut header = stretch.header().clone();
            lie(&mut header);
            assert!(take(&header).is_err(), "{header:?}");
        }
        for cut in 0..payload.len() {
            assert!(Stretch::from_payload(stretch.header(), payload[..cut].to_vec()).is_err());
        }
    }
}

#[test]
fn debug_shows_no_secret() {
    let fragment = Stretch::fragment(draft(Link::FIRST, 0, 6), b"secret".to_vec()).unwrap();
    let shown = format!("{fragment:?} {:?} {:?}", keys(), sealed(&fragment, 1));
    let numbers = format!("{:?}", b"secret");
    assert!(
        !shown.contains("secret") && !shown.contains(&numbers),
        "{shown}"
    );
    assert!(!shown.contains(&format!("{:?}", key())), "{shown}");
    assert_eq!(fragment.header().stream, stream());
}
