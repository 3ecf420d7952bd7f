//! What all kinds of databases share that bring single tables back beside live data.

use std::collections::BTreeMap;

use vouchsafe_capture::{BesideRequest, BroughtTable, CaptureError, Equal};
use vouchsafe_model::{DigestEntry, Issue};

/// How many names a refusal lists.
const LISTED: usize = 20;

/// Refuses a name that is no plain word: it becomes part of names, patterns and options of several programs.
pub(crate) fn plain_name(request: &BesideRequest, longest: usize) -> Result<(), CaptureError> {
    let name = request.into.as_str();
    let is_word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    if is_word && begins && name.len() <= longest {
        return Ok(());
    }
    Err(CaptureError::Target {
        place: format!("`{name}`"),
        message: format!(
            "--into takes letters without accents, digits and `_`, begins with a letter, and has at most {longest} of them"
        ),
    })
}

/// A table that the point does not have, and which it has.
pub(crate) fn no_table(wanted: &str, mut there: Vec<String>) -> CaptureError {
    there.sort();
    let more = there.len().saturating_sub(LISTED);
    there.truncate(LISTED);
    let message = match (there.is_empty(), more) {
        (true, _) => "it has no tables".to_owned(),
        (false, 0) => format!("it has {}", there.join(", ")),
        (false, more) => format!("it has {} and {more} more", there.join(", ")),
    };
    CaptureError::Target {
        place: format!("`{wanted}`"),
        message: format!("the point has no such table; {message}"),
    }
}

/// Refuses an order by which two tables would have one name.
pub(crate) fn no_clash<'a>(
    becoming: impl IntoIterator<Item = &'a (String, String)>,
) -> Result<(), CaptureError> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, becomes) in becoming {
        if let Some(other) = seen.insert(becomes, name) {
            return Err(CaptureError::Target {
                place: format!("`{becomes}`"),
                message: format!(
                    "{other} and {name} would both be called so; bring them back one by one, with different names for --into"
                ),
            });
        }
    }
    Ok(())
}

/// What the rows of a table are compared with.
pub(crate) struct Expected<'a> {
    /// What the capture noted, if it did.
    pub(crate) captured: Option<&'a DigestEntry>,
    /// Whether that is of all rows.
    pub(crate) whole: bool,
    /// The rows of the restored copy.
    pub(crate) copy: Option<DigestEntry>,
}

/// Compares a table that was brought back, and notes an issue where it is not what it should be.
pub(crate) fn judged(
    name: &str,
    becomes: String,
    found: &DigestEntry,
    expected: &Expected<'_>,
    issues: &mut Vec<Issue>,
) -> BroughtTable {
    let same = |entry: &DigestEntry| entry.count == found.count && entry.digest == found.digest;
    let equal = match (expected.captured, &expected.copy) {
        (Some(captured), _) if same(captured) && expected.whole => Equal::ToCaptured,
        (Some(captured), _) if same(captured) => Equal::ToSample,
        (Some(captured), _) => differs(captured, found),
        (None, Some(copy)) if same(copy) => Equal::ToCopy,
        (None, Some(copy)) => differs(copy, found),
        (None, None) => Equal::Not {
            expected: "nothing to compare with".to_owned(),
            found: said(found),
        },
    };
    if let Equal::Not { expected, found } = &equal {
        issues.push(Issue {
            place: becomes.clone(),
            message: format!(
                "its rows are not those of {name}: expected {expected}, found {found}"
            ),
        });
    }
    BroughtTable {
        name: name.to_owned(),
        becomes,
        rows: found.count.unwrap_or_default(),
        equal,
    }
}

fn differs(expected: &DigestEntry, found: &DigestEntry) -> Equal {
    Equal::Not {
        expected: said(expected),
        found: said(found),
    }
}

/// A number of rows, and the beginning of their digest.
fn said(entry: &DigestEntry) -> String {
    let rows = entry.count.map_or("?".to_owned(), |n| n.to_string());
    let digest = entry.digest.get(..12).unwrap_or(&entry.digest);
    format!("{rows} rows with digest {digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(count: u64, digest: &str) -> DigestEntry {
        DigestEntry {
            count: Some(count),
            digest: digest.to_owned(),
        }
    }

    #[test]
    fn rows_that_differ_in_number_or_digest_are_an_issue() {
        let (is, other) = (entry(2, "aa"), entry(2, "ab"));
        let judge = |captured: Option<&DigestEntry>, whole, copy: Option<&DigestEntry>| {
            let mut issues = Vec::new();
            let expected = Expected {
                captured,
                whole,
                copy: copy.cloned(),
            };
            let table = judged("public.t", "side.t".to_owned(), &is, &expected, &mut issues);
            assert_eq!(table.equal.holds(), issues.is_empty());
            table.equal
        };
        assert_eq!(judge(Some(&is), true, Some(&other)), Equal::ToCaptured);
        assert_eq!(judge(Some(&is), false, None), Equal::ToSample);
        assert_eq!(judge(None, true, Some(&is)), Equal::ToCopy);
        assert!(!judge(Some(&other), true, Some(&is)).holds());
        assert!(!judge(Some(&entry(3, "aa")), false, Some(&is)).holds());
        assert!(!judge(None, true, Some(&other)).holds());
        assert!(!judge(None, true, None).holds());
    }

    #[test]
    fn only_plain_words_are_names_and_no_two_tables_share_one() {
        let request = |into: &str| BesideRequest {
            to: "postgres://u@h/d".into(),
            only: Vec::new(),
            into: into.to_owned(),
        };
        for good in ["back", "Back_2"] {
            plain_name(&request(good), 63).unwrap();
        }
        for bad in ["", "2back", "_x", "a-b", "a.b", "a\"b", "ä", "abcdef"] {
            let longest = if bad == "abcdef" { 5 } else { 63 };
            plain_name(&request(bad), longest).unwrap_err();
        }
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        no_clash(&[pair("a.t", "s.t"), pair("b.u", "s.u")]).unwrap();
        no_clash(&[pair("a.t", "s.t"), pair("b.t", "s.t")]).unwrap_err();
    }

    #[test]
    fn a_refusal_lists_some_of_what_there_is() {
        let many = (0..30).map(|n| format!("t{n:02}")).collect();
        let said = no_table("x", many).to_string();
        assert!(
            said.contains("t00") && said.contains("and 10 more"),
            "{said}"
        );
        assert!(no_table("x", Vec::new()).to_string().contains("no tables"));
    }
}
