//! Whether what is handed in may follow what was handed in last.

use vouchsafe_model::fact::Recorded;
use vouchsafe_model::people::{HandedFile, HandedFormat, HandedIn};
use vouchsafe_model::{Fact, PeopleFact, ProtectionId};

/// What was handed in last for a protection.
pub fn last_handed<'f>(facts: &'f [Recorded], id: &ProtectionId) -> Option<&'f HandedIn> {
    facts.iter().rev().find_map(|r| match &r.entry.fact {
        Fact::People(PeopleFact::Attested(a)) => {
            a.handed_in.as_ref().filter(|h| h.protection == *id)
        }
        _ => None,
    })
}

/// Why `new` may not follow `last`, as a sentence that says what to do; nothing if it may.
///
/// It may not be older; an archive may not be the very same one; it may not have less than half of the bytes, unless
/// that is said to be right.
pub fn refused_beside(
    new: &[HandedFile],
    last: &[HandedFile],
    smaller_is_right: bool,
) -> Option<String> {
    for file in new {
        let again = last.iter().find(|l| l.digest == file.digest);
        if let Some(before) = again.filter(|_| file.format == HandedFormat::Archive) {
            return Some(format!(
                "it is the archive that was handed in last, as {}; make the export anew",
                before.name
            ));
        }
    }
    let made = |files: &[HandedFile]| files.iter().map(|f| f.modified).min();
    if let (Some(now), Some(before)) = (made(new), made(last))
        && now < before
    {
        return Some(format!(
            "it was made {}, before the last one ({}); hand in the newest export, with the time at which it was made",
            now.minute(),
            before.minute()
        ));
    }
    let bytes = |files: &[HandedFile]| {
        files
            .iter()
            .map(|f| f.bytes)
            .fold(0u64, u64::saturating_add)
    };
    let (now, before) = (bytes(new), bytes(last));
    if now.saturating_mul(2) < before && !smaller_is_right {
        return Some(format!(
            "it has {now} bytes and the last one {before}, less than half; see whether the export is whole, and say \
             --smaller-is-right if it is"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_model::Time;

    fn file(digest: &str, bytes: u64, at: i64, format: HandedFormat) -> HandedFile {
        HandedFile {
            name: "export".into(),
            bytes,
            digest: digest.into(),
            modified: Time::from_secs(at),
            format,
            parts: 1,
            changed: None,
        }
    }

    #[test]
    fn what_is_older_smaller_or_the_same_is_refused() {
        use HandedFormat::{Archive, Xml};
        let last = [file("a", 1000, 100, Archive)];
        let why = |new: HandedFile, right| refused_beside(&[new], &last, right).unwrap_or_default();
        assert_eq!(why(file("b", 900, 200, Archive), false), "");
        assert!(why(file("a", 1000, 200, Archive), false).contains("handed in last"));
        assert!(why(file("b", 1000, 99, Archive), false).contains("before the last one"));
        assert!(why(file("b", 499, 200, Archive), false).contains("less than half"));
        assert_eq!(why(file("b", 500, 200, Archive), false), "");
        assert_eq!(why(file("b", 1, 200, Archive), true), "");
        // A configuration that nobody has changed is the same, and good.
        let last = [file("a", 1000, 100, Xml)];
        assert_eq!(
            refused_beside(&[file("a", 1000, 200, Xml)], &last, false),
            None
        );
    }
}
