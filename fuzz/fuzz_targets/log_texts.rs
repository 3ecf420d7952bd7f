//! Texts about transaction logs: sets of GTIDs, positions, LSNs, histories, names of files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_translog::gtid::{Gtid, GtidSet, MariaPosition};
use vouchsafe_translog::wal::{History, Lsn, SegmentSize, Timeline, WalFileName};

fuzz_target!(|bytes: &[u8]| {
    let timeline = Timeline::new(3).unwrap();
    if let Ok(history) = History::parse(timeline, bytes) {
        for range in history.ranges() {
            assert!(range.until.is_none_or(|until| range.from <= until));
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(set) = text.parse::<GtidSet>() {
        assert_eq!(set.to_string().parse(), Ok(set.clone()));
        assert!(set.is_subset(&set) && set.holes().intersect(&set).is_empty());
    }
    if let Ok(gtid) = text.parse::<Gtid>() {
        assert_eq!(gtid.to_string().parse(), Ok(gtid));
    }
    if let Ok(position) = text.parse::<MariaPosition>() {
        assert_eq!(position.to_string().parse(), Ok(position));
    }
    if let Ok(lsn) = text.parse::<Lsn>() {
        assert_eq!(lsn.to_string().parse(), Ok(lsn));
    }
    let size = SegmentSize::DEFAULT;
    if let Some(name) = WalFileName::parse(text, size) {
        assert_eq!(name.name(size), text);
    }
});
