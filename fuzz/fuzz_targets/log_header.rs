//! What is behind the seal of log objects: whatever is taken for one is written again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::fragment::{Header, Kind, Stretch};

fuzz_target!(|input: (u16, bool, &[u8])| {
    let (length, segment, bytes) = input;
    let kind = if segment {
        Kind::Segment
    } else {
        Kind::Fragment
    };
    let (plain, payload) = bytes.split_at(usize::from(length).min(bytes.len()));
    let Ok(header) = Header::decode(kind, plain) else {
        return;
    };
    assert_eq!(header.encode(), plain);
    if let Ok(stretch) = Stretch::from_payload(&header, payload.to_vec()) {
        let plain = Header {
            compressed: false,
            ..header
        };
        assert_eq!(*stretch.header(), plain);
        assert!(stretch.log().len() <= payload.len());
        let again = Stretch::join(&[stretch.clone()]).unwrap();
        assert_eq!(again.header().next(), plain.next());
    }
});
