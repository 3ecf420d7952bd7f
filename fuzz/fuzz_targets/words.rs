//! Short texts outside of the repository: places, sources, times, paths, schedules, names of published objects.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_capture::TreePath;
use vouchsafe_ledger::publish::{parse_head_name, parse_segment_name};
use vouchsafe_model::{SourceUrl, Time, VaultPlace};
use vouchsafe_policy::schedule;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(path) = TreePath::parse(bytes) {
        for name in path.names() {
            assert!(!name.is_empty() && name != b"." && name != b"..");
            assert!(!name.contains(&b'/') && !name.contains(&0));
        }
        assert_eq!(TreePath::parse(&path.names().join(&b'/')).unwrap(), path);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let _ = VaultPlace::parse(text).map(|place| (place.to_string(), place.wire(None)));
    let _ = SourceUrl::parse(text).map(|source| source.to_string());
    if let Ok(time) = text.parse::<Time>() {
        assert_eq!(time.to_string().parse::<Time>().unwrap(), time);
    }
    let _ = schedule::parse(text);
    let _ = parse_head_name(text);
    if let Some(range) = parse_segment_name(text) {
        assert!(range.start < range.end);
    }
});
