//! Whether what is handed in may be taken.

use vouchsafe_model::fact::Recorded;
use vouchsafe_model::people::{HandedFile, HandedFormat};
use vouchsafe_model::{Fact, PeopleFact, ProtectionId, Span, Time};

/// How far the clock of whoever made a file or a statement may be ahead.
pub const CLOCK_AHEAD: Span = Span::from_mins(1);

/// What was handed in last.
#[derive(Clone, Copy, Debug)]
pub struct LastHanded<'f> {
    /// When it was recorded.
    pub at: Time,
    /// The files.
    pub files: &'f [HandedFile],
}

/// What looks wrong and is right all the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Excused {
    /// It is much smaller than the last one.
    pub smaller: bool,
    /// It is the last one once more.
    pub again: bool,
}

/// What was handed in last for a protection.
pub fn last_handed<'f>(facts: &'f [Recorded], id: &ProtectionId) -> Option<LastHanded<'f>> {
    facts.iter().rev().find_map(|r| match &r.entry.fact {
        Fact::People(PeopleFact::Attested(a)) => {
            let handed = a.handed_in.as_ref().filter(|h| h.protection == *id)?;
            Some(LastHanded {
                at: r.entry.at,
                files: &handed.files,
            })
        }
        _ => None,
    })
}

/// Why files may not be handed in at `now`, as a sentence that says what to do; nothing if they may.
///
/// They may not have been made later than now. After `last` they may not be older; an archive may not be the very
/// same one; they may not have less than half of the bytes.
pub fn refused_handed(
    new: &[HandedFile],
    last: Option<LastHanded<'_>>,
    excused: Excused,
    now: Time,
) -> Option<String> {
    let latest = new.iter().map(|f| f.modified).max();
    if let Some(made) = latest.filter(|made| *made > now.plus(CLOCK_AHEAD)) {
        return Some(format!(
            "its time, {}, is still to come; see to the clocks, and give the file the time at which it was made",
            made.minute()
        ));
    }
    refused_beside(new, last?, excused)
}

fn refused_beside(new: &[HandedFile], last: LastHanded<'_>, excused: Excused) -> Option<String> {
    for file in new {
        let again = last.files.iter().find(|l| l.digest == file.digest);
        let wrong = file.format == HandedFormat::Archive && !excused.again;
        if let Some(before) = again.filter(|_| wrong) {
            return Some(format!(
                "it is the archive that was handed in last, as {}; make the export anew",
                before.name
            ));
        }
    }
    let made = |files: &[HandedFile]| files.iter().map(|f| f.modified).min();
    // What was recorded cannot have been made later, whatever its file said.
    let before = made(last.files).map(|before| before.min(last.at));
    if let (Some(now), Some(before)) = (made(new), before)
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
    let (now, before) = (bytes(new), bytes(last.files));
    if now.saturating_mul(2) < before && !excused.smaller {
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

    fn why(new: HandedFile, last: &[HandedFile], excused: Excused) -> String {
        let at = Time::from_secs(1000);
        let last = LastHanded { at, files: last };
        refused_handed(&[new], Some(last), excused, at).unwrap_or_default()
    }

    #[test]
    fn what_is_older_smaller_or_the_same_is_refused() {
        use HandedFormat::{Archive, Xml};
        let last = [file("a", 1000, 100, Archive)];
        let plain = |new| why(new, &last, Excused::default());
        assert_eq!(plain(file("b", 900, 200, Archive)), "");
        assert!(plain(file("a", 1000, 200, Archive)).contains("handed in last"));
        assert!(plain(file("b", 1000, 99, Archive)).contains("before the last one"));
        assert!(plain(file("b", 499, 200, Archive)).contains("less than half"));
        assert_eq!(plain(file("b", 500, 200, Archive)), "");
        let (smaller, again) = (true, true);
        let excused = Excused {
            smaller,
            again: false,
        };
        assert_eq!(why(file("b", 1, 200, Archive), &last, excused), "");
        let excused = Excused {
            smaller: false,
            again,
        };
        assert_eq!(why(file("a", 1000, 100, Archive), &last, excused), "");
        // A configuration that nobody has changed is the same, and good.
        let last = [file("a", 1000, 100, Xml)];
        let same = file("a", 1000, 200, Xml);
        assert_eq!(why(same, &last, Excused::default()), "");
    }

    #[test]
    fn what_was_made_later_than_now_is_refused_and_keeps_nothing_out() {
        let of = |at| file("b", 1000, at, HandedFormat::Xml);
        let first = |at| refused_handed(&[of(at)], None, Excused::default(), Time::from_secs(1000));
        assert_eq!(first(1060), None, "clocks differ by a little");
        assert!(first(1061).is_some_and(|why| why.contains("still to come")));
        let last = [of(9_000_000)];
        let plain = |new| why(new, &last, Excused::default());
        assert_eq!(plain(of(1000)), "");
        assert!(plain(of(999)).contains("before the last one"));
    }
}
