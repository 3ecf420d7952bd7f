//! The algebra of GTIDs against sets of plain numbers.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use vouchsafe_translog::gtid::{
    Continuity, Gtid, GtidError, GtidSet, Intervals, LAST_NUMBER, MariaGtid, MariaGtidError,
    MariaPosition, Source,
};

type Model = BTreeSet<(u8, &'static str, u64)>;

const TAGS: [&str; 3] = ["", "a", "b_1"];

fn source(server: u8, tag: &str) -> Source {
    Source::tagged([server; 16], tag).unwrap()
}

fn set_of(model: &Model) -> GtidSet {
    let mut set = GtidSet::default();
    for (server, tag, number) in model {
        assert!(set.insert(&source(*server, tag), *number, *number));
    }
    set
}

/// Intervals of a few small numbers, so that they touch and overlap.
fn model() -> impl Strategy<Value = Model> {
    let interval = (0_u8..3, 0_usize..3, 1_u64..40, 0_u64..8);
    prop::collection::vec(interval, 0..12).prop_map(|all| {
        let each = all.into_iter().flat_map(|(server, tag, first, more)| {
            (first..=first + more).map(move |number| (server, TAGS[tag], number))
        });
        each.collect()
    })
}

proptest! {
    #[test]
    fn sets_do_what_sets_of_numbers_do(a in model(), b in model()) {
        let (x, y) = (set_of(&a), set_of(&b));
        let of = |model: Model| set_of(&model);
        prop_assert_eq!(x.union(&y), of(a.union(&b).copied().collect()));
        prop_assert_eq!(x.subtract(&y), of(a.difference(&b).copied().collect()));
        prop_assert_eq!(x.intersect(&y), of(a.intersection(&b).copied().collect()));
        prop_assert_eq!(x.is_subset(&y), a.is_subset(&b));
        prop_assert_eq!(x.is_empty(), a.is_empty());
        prop_assert!(x.is_subset(&x.union(&y)) && x.intersect(&y).is_subset(&x));
    }

    #[test]
    fn what_is_missing_between_first_and_last_is_a_hole(a in model()) {
        let mut holes = Model::new();
        let mut by_source: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for (server, tag, number) in &a {
            by_source.entry((*server, *tag)).or_default().push(*number);
        }
        for ((server, tag), numbers) in by_source {
            let all = numbers[0]..numbers[numbers.len() - 1];
            holes.extend(all.filter(|n| !numbers.contains(n)).map(|n| (server, tag, n)));
        }
        prop_assert_eq!(set_of(&a).holes(), set_of(&holes));
    }

    #[test]
    fn intervals_are_the_same_in_whatever_order_they_come(
        all in prop::collection::vec((1_u64..60, 0_u64..9), 0..20), probe in 0_u64..80,
    ) {
        let mut intervals = Intervals::default();
        let mut numbers = BTreeSet::new();
        for (first, more) in all {
            prop_assert!(intervals.insert(first, first + more));
            numbers.extend(first..=first + more);
        }
        prop_assert_eq!(intervals.iter().flatten().collect::<Vec<u64>>(), numbers.iter().copied().collect::<Vec<u64>>());
        prop_assert_eq!(intervals.count(), numbers.len() as u64);
        prop_assert_eq!(intervals.contains(probe), numbers.contains(&probe));
        // A gap lies between any two.
        let ends: Vec<_> = intervals.iter().collect();
        prop_assert!(ends.windows(2).all(|pair| pair[0].end() + 1 < *pair[1].start()));
    }

    #[test]
    fn texts_round_trip(a in model()) {
        let set = set_of(&a);
        prop_assert_eq!(set.to_string().parse(), Ok(set.clone()));
        // As the server shows it, with a line for each server.
        let shown = set.to_string().replace(',', ",\n").to_uppercase();
        prop_assert_eq!(shown.parse(), Ok(set));
    }

    #[test]
    fn arbitrary_texts_are_survived(text in "[0-9a-f:,{} \n-]{0,80}|.{0,40}") {
        if let Ok(set) = text.parse::<GtidSet>() {
            prop_assert_eq!(set.to_string().parse::<GtidSet>().unwrap(), set);
        }
        let _ = text.parse::<Gtid>();
        if let Ok(position) = text.parse::<MariaPosition>() {
            prop_assert_eq!(position.to_string().parse::<MariaPosition>().unwrap(), position);
        }
    }

    #[test]
    fn domains_are_followed_like_counters(steps in prop::collection::vec((0_u32..3, 1_u64..12), 0..30)) {
        let mut position = MariaPosition::default();
        let mut last: BTreeMap<u32, u64> = BTreeMap::new();
        for (domain, sequence) in steps {
            let before = position.clone();
            let found = position.follow(MariaGtid { domain, server: 1, sequence });
            let (kind, moves) = match last.get(&domain) {
                None => ("first", true),
                Some(last) if sequence == last + 1 => ("next", true),
                Some(last) if sequence > *last => ("gap", true),
                Some(_) => ("back", false),
            };
            let name = match &found {
                Continuity::First => "first",
                Continuity::Next => "next",
                Continuity::Gap(missing) => {
                    prop_assert_eq!((missing.start() - 1, missing.end() + 1), (last[&domain], sequence));
                    "gap"
                }
                Continuity::Back { last: at } => {
                    prop_assert_eq!(at.sequence, last[&domain]);
                    "back"
                }
            };
            prop_assert_eq!(name, kind);
            if moves {
                last.insert(domain, sequence);
            }
            prop_assert!(position.reaches(&before));
            prop_assert_eq!(before.reaches(&position), !moves);
        }
    }
}

const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

#[test]
fn every_way_to_write_a_set_is_the_same_set() {
    let canonical = format!("{UUID}:1-5:7:tag_1:1-2:zz:9");
    for text in [
        canonical.clone(),
        format!(" {UUID} : 7 : 1 - 3 : 2-5 : TAG_1 : 1-2 : zz : 9 "),
        format!("{UUID}:zz:9,{UUID}:tag_1:2:1,\n{UUID}:1-5:7,"),
        format!("{{{}}}:1-5:7:tag_1:1-2:zz:9", UUID.to_uppercase()),
        format!("{}:1:2:3:4:5:7:tag_1:1-2:zz:9", UUID.replace('-', "")),
    ] {
        assert_eq!(
            text.parse::<GtidSet>().unwrap().to_string(),
            canonical,
            "{text}"
        );
    }
    assert_eq!(" ".parse(), Ok(GtidSet::default()));
}

#[test]
fn what_is_no_set_is_refused() {
    let refused = |text: &str| text.parse::<GtidSet>().unwrap_err();
    for text in [
        "x",
        "1",
        "3e11fa47",
        "3e11fa4771ca-11e1-9e33-c80aa9429562:1",
        "{3e11:1",
        ":1",
    ] {
        assert!(matches!(refused(text), GtidError::Uuid { .. }), "{text}");
    }
    for part in [
        "0",
        "5-3",
        "+1",
        "1-",
        "-1",
        "1-2-3",
        "9223372036854775807",
        "9x",
        "ä",
    ] {
        let text = format!("{UUID}:{part}");
        assert!(matches!(refused(&text), GtidError::Part { .. }), "{text}");
    }
    for part in ["", ":a", ":1:a", ":1:a:b:2"] {
        let text = format!("{UUID}{part}");
        assert!(matches!(refused(&text), GtidError::Empty { .. }), "{text}");
    }
    let long = format!("{UUID}:{}:1", "a".repeat(33));
    assert!(matches!(refused(&long), GtidError::Part { .. }));
    let last = format!("{UUID}:{LAST_NUMBER}");
    assert_eq!(last.parse::<GtidSet>().unwrap().to_string(), last);
    for text in [
        format!("{UUID}:1-2"),
        format!("{UUID}:1:a:1"),
        String::new(),
    ] {
        assert_eq!(text.parse::<Gtid>(), Err(GtidError::NotOne));
    }
    let one = format!("{UUID}:a:5");
    assert_eq!(one.parse::<Gtid>().unwrap().to_string(), one);
}

#[test]
fn a_transaction_is_added_once() {
    let gtid: Gtid = format!("{UUID}:5").parse().unwrap();
    let mut set = GtidSet::default();
    assert!(set.add(&gtid) && !set.add(&gtid) && set.contains(&gtid));
    let beyond = Gtid {
        number: LAST_NUMBER + 1,
        ..gtid
    };
    assert!(!set.add(&beyond));
}

#[test]
fn what_is_no_position_is_refused() {
    for text in [
        "0-1",
        "0-1-2-3",
        "a-1-2",
        "0-1-+2",
        "4294967296-1-1",
        "0-1-1,",
        "0--1",
    ] {
        let error = text.parse::<MariaPosition>().unwrap_err();
        assert!(matches!(error, MariaGtidError::Gtid { .. }), "{text}");
    }
    let twice = "0-1-2,0-2-3".parse::<MariaPosition>();
    assert_eq!(twice, Err(MariaGtidError::Twice { domain: 0 }));
    let position: MariaPosition = " 1-2-3 , 0-1-42 ".parse().unwrap();
    assert_eq!(position.to_string(), "0-1-42,1-2-3");
    assert_eq!("".parse(), Ok(MariaPosition::default()));
}
