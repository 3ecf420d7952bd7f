//! What a list of headers amounts to, held against a slow model that looks at everything with everything.

use std::collections::BTreeSet;

use crate::common::log::{draft, fragments, headers, stream};
use crate::common::slow::{at, links, slow_forks, slow_missing, slow_runs, unique};
use proptest::prelude::*;
use vouchsafe_format::Id;
use vouchsafe_format::fragment::{
    Chain, Draft, Event, Header, Kind, Link, Position, Run, Span, StreamName, Stretch,
};

/// How one fragment differs from just going on.
#[derive(Debug, Clone, Copy)]
enum Step {
    On,
    Skip(u64),
    Resend(u64),
    Epoch,
    Stale,
    Timeline(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => Just(Step::On),
        1 => (1..9_u64).prop_map(Step::Skip),
        1 => (1..30_u64).prop_map(Step::Resend),
        1 => Just(Step::Epoch),
        1 => Just(Step::Stale),
        1 => (0..30_u64).prop_map(Step::Timeline),
    ]
}

fn marks(from: u64, to: u64) -> Span {
    Span::new(Position::Mark(from), Position::Mark(to)).unwrap()
}

/// Goes on from `before` (or begins) with one fragment for each step. `salt` makes branches differ.
fn grow(before: Option<&Stretch>, steps: &[Step], salt: u8) -> Vec<Stretch> {
    let mut state = before.map_or_else(
        || draft(Link::FIRST, 0, 0),
        |stretch| {
            let header = stretch.header();
            Draft {
                link: header.next(),
                epoch: header.epoch,
                timeline: header.timeline,
                span: header.span,
                ..draft(Link::FIRST, 0, 0)
            }
        },
    );
    let mut reached = before.map_or(1000, |stretch| at(stretch.header().span.to()));
    let mut out = Vec::new();
    for step in steps {
        let from = match step {
            Step::Skip(by) => reached + by,
            Step::Resend(by) | Step::Timeline(by) => reached - by,
            _ => reached,
        };
        match step {
            Step::Epoch => state.epoch += 1,
            Step::Stale => state.epoch = state.epoch.saturating_sub(1),
            Step::Timeline(_) => state.timeline += 1,
            _ => (),
        }
        reached = from + 10;
        state.span = marks(from, reached);
        let fragment = Stretch::fragment(state.clone(), vec![salt]).unwrap();
        state.link = fragment.header().next();
        out.push(fragment);
    }
    out
}

fn forks(chain: &Chain) -> BTreeSet<u64> {
    let forks = chain.events.iter().filter_map(|event| match event {
        Event::Fork { sequence, .. } => Some(*sequence),
        _ => None,
    });
    forks.collect()
}

fn missing(chain: &Chain) -> BTreeSet<u64> {
    let missing = chain.events.iter().filter_map(|event| match event {
        Event::Missing { first, last, .. } => Some(*first..=*last),
        _ => None,
    });
    missing.flatten().collect()
}

/// The parts that are there twice, and those of which it is not known.
fn spare(chain: &Chain) -> (Vec<usize>, Vec<usize>) {
    let (mut repeated, mut partly) = (Vec::new(), Vec::new());
    for event in &chain.events {
        match event {
            Event::Repeated { part, .. } => repeated.push(*part),
            Event::Partly { part, .. } => partly.push(*part),
            _ => (),
        }
    }
    (repeated, partly)
}

/// Picks by the bits of the seeds, and puts what was picked into another order.
fn some_of(all: &[Header], keep: &[u8], order: u64) -> Vec<Header> {
    let mut list: Vec<Header> = Vec::new();
    for (header, keep) in all.iter().zip(keep.iter().cycle()) {
        let times = match keep % 16 {
            0 => 0,
            1 => 2,
            _ => 1,
        };
        list.extend(std::iter::repeat_n(header.clone(), times));
    }
    let mut seed = order;
    for place in (1..list.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        list.swap(place, (seed >> 33) as usize % (place + 1));
    }
    list
}

/// Without what depends on the order of the list.
fn essence(chain: &Chain) -> (Vec<Run>, Vec<Event>) {
    let mut chain = chain.clone();
    chain.runs.iter_mut().for_each(|run| run.parts.clear());
    for event in &mut chain.events {
        if let Event::Repeated { part, .. } | Event::Partly { part, .. } = event {
            *part = 0;
        }
    }
    (chain.runs, chain.events)
}

fn assert_runs_are_chains(list: &[Header], chain: &Chain) {
    for run in &chain.runs {
        let parts: Vec<&Header> = run.parts.iter().map(|part| &list[*part]).collect();
        let (first, last) = (parts[0], parts[parts.len() - 1]);
        assert_eq!(links(first).0, (run.first, run.previous));
        assert_eq!(links(last).1, (run.last + 1, run.digest));
        assert_eq!(run.from, first.span.from());
        for pair in parts.windows(2) {
            assert_eq!(links(pair[0]).1, links(pair[1]).0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn fragments_are_judged_as_the_slow_model_does(
        steps in prop::collection::vec(step(), 1..40),
        branches in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(step(), 1..6)), 0..3),
        keep in prop::collection::vec(any::<u8>(), 1..60),
        order: u64,
    ) {
        let mut all = grow(None, &steps, 0);
        for (salt, (place, steps)) in (1..).zip(&branches) {
            let from = all[place.index(all.len())].clone();
            all.extend(grow(Some(&from), steps, salt));
        }
        let list = some_of(&headers(&all), &keep, order);
        let chain = Chain::of(&list);
        assert_runs_are_chains(&list, &chain);
        let known = unique(&list);
        let runs: BTreeSet<(u64, u64, Id, u64)> = chain.runs.iter()
            .map(|run| (run.first, run.last, run.digest, at(run.to))).collect();
        prop_assert_eq!(runs.len(), chain.runs.len());
        prop_assert_eq!(runs, slow_runs(&known));
        prop_assert_eq!(forks(&chain), slow_forks(&known));
        prop_assert_eq!(missing(&chain), slow_missing(&known));
        let (repeated, partly) = spare(&chain);
        prop_assert_eq!(repeated.len(), list.len() - known.len());
        prop_assert_eq!(partly, Vec::<usize>::new());
        // The order of the list says nothing.
        let mut sorted = list.clone();
        sorted.sort_by_key(links);
        prop_assert_eq!(essence(&Chain::of(&sorted)), essence(&chain));
    }

    #[test]
    fn segments_beside_fragments_lose_nothing_and_invent_nothing(
        count in 1..40_usize,
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 1..12_usize), 0..8),
        keep in prop::collection::vec(any::<u8>(), 1..60),
        order: u64,
    ) {
        let parts = fragments(&vec![3; count]);
        let mut all = headers(&parts);
        for (from, length) in cuts {
            let from = from.index(count);
            let segment = Stretch::join(&parts[from..(from + length).min(count)]).unwrap();
            all.push(segment.header().clone());
        }
        let list = some_of(&all, &keep, order);
        let chain = Chain::of(&list);
        assert_runs_are_chains(&list, &chain);
        prop_assert_eq!(forks(&chain), BTreeSet::new());
        prop_assert_eq!(missing(&chain), slow_missing(&list));
        let known = unique(&list);
        // From the beginning of each run one comes as far as the slow way comes, and no farther.
        for run in &chain.runs {
            let mut nodes = BTreeSet::from([(run.first, run.previous)]);
            for _ in 0..known.len() {
                let next: Vec<_> = known.iter().map(links).filter(|(from, _)| nodes.contains(from)).collect();
                nodes.extend(next.into_iter().map(|(_, to)| to));
            }
            prop_assert_eq!(nodes.last().map(|node| node.0), Some(run.last + 1));
        }
        // Every header is in a run, or said not to be needed or not to be known.
        let (repeated, partly) = spare(&chain);
        let said: BTreeSet<usize> = repeated.iter().chain(&partly).copied().collect();
        prop_assert_eq!(said.len(), repeated.len() + partly.len());
        let in_runs: BTreeSet<usize> = chain.runs.iter().flat_map(|run| run.parts.clone()).collect();
        for (part, header) in list.iter().enumerate() {
            let spare = repeated.contains(&part);
            prop_assert!(in_runs.contains(&part) != spare || partly.contains(&part));
            let covered = chain.runs.iter().any(|run| run.first <= header.sequence && header.last() <= run.last);
            prop_assert!(covered);
        }
        // What is called repeated is in a run that ends in the same chain, or is there itself.
        for part in repeated {
            let end = links(&list[part]).1;
            let inside = known.iter().map(links).filter(|(_, to)| *to == end).count() > 1
                || list.iter().filter(|header| links(header) == links(&list[part])).count() > 1
                || known.iter().any(|header| links(header).0 == end);
            prop_assert!(inside);
        }
    }

    #[test]
    fn forks_show_beside_segments_too(
        steps in 3..20_usize,
        branches in prop::collection::vec((any::<prop::sample::Index>(), 1..8_usize), 1..3),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..8_usize), 0..6),
        keep in prop::collection::vec(any::<u8>(), 1..60),
        order: u64,
    ) {
        let trunk = grow(None, &vec![Step::On; steps], 0);
        // Each branch with what it leaves, from the beginning.
        let lines: Vec<Vec<Stretch>> = (1..).zip(&branches).map(|(salt, (place, more))| {
            let trunk = &trunk[..place.index(trunk.len()) + 1];
            [trunk, &grow(trunk.last(), &vec![Step::On; *more], salt)].concat()
        }).chain([trunk.clone()]).collect();
        let mut all: Vec<Header> = unique(&headers(&lines.concat()));
        for (line, from, length) in cuts {
            let line = &lines[line.index(lines.len())];
            let from = from.index(line.len());
            let segment = Stretch::join(&line[from..(from + length).min(line.len())]).unwrap();
            all.push(segment.header().clone());
        }
        let list = some_of(&all, &keep, order);
        let chain = Chain::of(&list);
        assert_runs_are_chains(&list, &chain);
        prop_assert_eq!(forks(&chain), slow_forks(&list));
        prop_assert_eq!(missing(&chain), slow_missing(&list));
        // A run lies in one line as a whole.
        for run in &chain.runs {
            let in_one = lines.iter().any(|line| run.parts.iter().all(|part| {
                let (from, to) = links(&list[*part]);
                let nodes: Vec<_> = line.iter().flat_map(|one| [links(one.header()).0, links(one.header()).1]).collect();
                nodes.contains(&from) && nodes.contains(&to)
            }));
            prop_assert!(in_one);
        }
        let (repeated, partly) = spare(&chain);
        let in_runs = chain.runs.iter().flat_map(|run| run.parts.clone());
        let said: BTreeSet<usize> = in_runs.chain(repeated).chain(partly).collect();
        prop_assert_eq!(said.len(), list.len());
    }
}

#[test]
fn one_after_the_other_is_one_run() {
    let list = headers(&fragments(&[5, 5, 5]));
    let chain = Chain::of(&[list[2].clone(), list[0].clone(), list[1].clone()]);
    assert!(chain.is_whole());
    let [run] = &chain.runs[..] else {
        panic!("one run")
    };
    assert_eq!(
        (run.first, run.last, &run.parts[..]),
        (0, 2, &[1, 2, 0][..])
    );
    assert_eq!(
        (run.from, run.to),
        (Position::Byte(1000), Position::Byte(1015))
    );
    let commits = run.commits.unwrap();
    assert_eq!((commits.first, commits.last), (1_000_000, 2_000_500));
    assert_eq!(
        Chain::of(&[]),
        Chain {
            runs: vec![],
            events: vec![]
        }
    );
}

#[test]
fn a_gap_is_said_with_its_places_and_positions() {
    let list = headers(&fragments(&[5, 5, 5, 5]));
    let chain = Chain::of(&[list[0].clone(), list[3].clone()]);
    assert!(!chain.is_whole());
    assert_eq!(chain.runs.len(), 2);
    let gap = Event::Missing {
        first: 1,
        last: 2,
        from: Position::Byte(1005),
        to: Position::Byte(1015),
    };
    assert_eq!(chain.events, [gap]);
}

#[test]
fn two_writers_of_one_place_are_a_fork_and_neither_is_chosen() {
    let trunk = grow(None, &[Step::On; 3], 0);
    let old = grow(Some(&trunk[2]), &[Step::On; 2], 1);
    let new = grow(Some(&trunk[2]), &[Step::Epoch, Step::On, Step::On], 2);
    let all = [trunk, old.clone(), new.clone()].concat();
    let chain = Chain::of(&headers(&all));
    let places: Vec<(u64, u64)> = chain.runs.iter().map(|run| (run.first, run.last)).collect();
    assert_eq!(places, [(0, 2), (3, 4), (3, 5)]);
    assert_eq!(forks(&chain), BTreeSet::from([3, 4]));
    let mut digests = [old[0].header().digest, new[0].header().digest];
    digests.sort();
    assert!(chain.events.contains(&Event::Fork {
        sequence: 3,
        digests: digests.into()
    }));
    assert!(chain.events.contains(&Event::Epoch {
        sequence: 3,
        before: 1,
        after: 2
    }));
}

#[test]
fn a_predecessor_that_is_not_there_is_a_fork() {
    let trunk = grow(None, &[Step::On; 3], 0);
    let other = grow(Some(&trunk[0]), &[Step::On; 3], 1);
    let chain = Chain::of(&headers(&[trunk, other[1..].to_vec()].concat()));
    let places: Vec<(u64, u64)> = chain.runs.iter().map(|run| (run.first, run.last)).collect();
    assert_eq!(places, [(0, 2), (2, 3)]);
    assert_eq!(forks(&chain), BTreeSet::from([1, 2]));
}

#[test]
fn a_new_timeline_goes_on_only_from_what_is_covered() {
    let switch = |step| {
        let chain = Chain::of(&headers(&grow(None, &[Step::On, step, Step::On], 0)));
        let events = chain.events.iter().filter_map(|event| match event {
            Event::Timeline { contiguous, .. } => Some(*contiguous),
            _ => None,
        });
        (chain.runs.len(), events.collect::<Vec<bool>>())
    };
    assert_eq!(switch(Step::Timeline(0)), (1, vec![true]));
    assert_eq!(switch(Step::Timeline(7)), (1, vec![true]));
    // Another server numbers its files anew.
    let file = |file, offset| Position::File { file, offset };
    let mut link = Link::FIRST;
    let list: Vec<Header> = [(1, 1), (2, 1)]
        .map(|(timeline, number)| {
            let span = Span::new(file(number, 4), file(number, 4)).unwrap();
            let draft = Draft {
                span,
                timeline,
                ..draft(link, 0, 0)
            };
            let fragment = Stretch::fragment(draft, Vec::new()).unwrap();
            link = fragment.header().next();
            fragment.header().clone()
        })
        .into();
    assert_eq!(Chain::of(&list).runs.len(), 2);
    assert!(!Chain::of(&list).is_whole());
}

#[test]
fn positions_left_out_or_shipped_again_are_said() {
    let chain = Chain::of(&headers(&grow(None, &[Step::On, Step::Skip(3)], 0)));
    assert_eq!(chain.runs.len(), 2);
    let skipped = Event::Skipped {
        sequence: 1,
        from: Position::Mark(1010),
        to: Position::Mark(1013),
    };
    assert_eq!(chain.events, [skipped]);
    let chain = Chain::of(&headers(&grow(None, &[Step::On, Step::Resend(4)], 0)));
    assert!(chain.is_whole());
    let resent = Event::Resent {
        sequence: 1,
        from: Position::Mark(1006),
        to: Position::Mark(1010),
    };
    assert_eq!(chain.events, [resent]);
}

#[test]
fn an_older_writer_that_goes_on_is_named() {
    let steps = [Step::On, Step::Epoch, Step::Stale];
    let chain = Chain::of(&headers(&grow(None, &steps, 0)));
    assert_eq!(chain.runs.len(), 1);
    assert!(chain.events.contains(&Event::StaleWriter {
        sequence: 2,
        before: 2,
        after: 1
    }));
}

#[test]
fn what_a_segment_holds_is_not_needed_any_more() {
    let parts = fragments(&[5; 6]);
    let segment = Stretch::join(&parts[1..4]).unwrap();
    let mut list = headers(&parts);
    list.push(segment.header().clone());
    let chain = Chain::of(&list);
    assert!(chain.is_whole());
    assert_eq!(chain.runs[0].parts, [0, 6, 4, 5]);
    assert_eq!(spare(&chain), (vec![1, 2, 3], vec![]));
    // With one of the fragments gone, only what leads to the segment's end is proven to be in it.
    list.remove(2);
    let chain = Chain::of(&list);
    assert!(chain.is_whole());
    assert_eq!(spare(&chain), (vec![2], vec![1]));
}

#[test]
fn a_header_of_another_stream_is_left_out() {
    let mut list = headers(&fragments(&[5, 5]));
    list[1].stream = StreamName::new("other", "wal").unwrap();
    let chain = Chain::of(&list);
    assert_eq!(chain.runs.len(), 1);
    assert_eq!(chain.events, [Event::OtherStream { part: 1 }]);
    assert_eq!(list[0].stream, stream());
}

#[test]
fn a_week_of_fragments_and_their_segments_is_looked_at_in_a_moment() {
    // 120,000 fragments at one every five seconds, and segments of a thousand of them.
    let all = headers(&grow(None, &vec![Step::On; 120_000], 0));
    let segments = all.chunks(1000).map(|part| {
        let (first, last) = (&part[0], &part[part.len() - 1]);
        let mut header = first.clone();
        (header.kind, header.count) = (Kind::Segment, 1000);
        (header.digest, header.span) = (
            last.digest,
            marks(at(first.span.from()), at(last.span.to())),
        );
        header
    });
    let list: Vec<Header> = segments.chain(all.iter().cloned()).collect();
    let chain = Chain::of(&list);
    assert!(chain.is_whole());
    assert_eq!(chain.runs[0].parts.len(), 120);
    assert_eq!(spare(&chain).0.len(), all.len());
}
