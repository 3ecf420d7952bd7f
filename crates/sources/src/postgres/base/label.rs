//! Between which positions of the server's log a base was copied, as its own files say.

use vouchsafe_capture::CaptureError;

use super::super::session::unreadable;
use super::tree::Found;

/// What `backup_label` and `backup_manifest` say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Label {
    /// Timeline and position from which the log must be replayed: `1 0/2000028`.
    pub(super) start: String,
    /// Timeline and position at which the copy is consistent.
    pub(super) end: String,
    /// SHA-256 over the server's list of files.
    pub(super) files: String,
}

impl Label {
    /// Reads both; the error names `place`.
    pub(super) fn of(place: &str, found: &Found) -> Result<Label, CaptureError> {
        let label = String::from_utf8_lossy(&found.label);
        let manifest = String::from_utf8_lossy(&found.manifest_end);
        let value = |name: &str| {
            let line = label.lines().find_map(|l| l.strip_prefix(name))?;
            line.split_whitespace().next().map(str::to_owned)
        };
        let start = value("START WAL LOCATION:").zip(value("START TIMELINE:"));
        let end = last_text(&manifest, "\"End-LSN\"").zip(last_number(&manifest, "\"Timeline\""));
        let files = last_text(&manifest, "\"Manifest-Checksum\"");
        match (start, end, files) {
            (Some((start, timeline)), Some((end, last)), Some(files)) => Ok(Label {
                start: format!("{timeline} {start}"),
                end: format!("{last} {end}"),
                files,
            }),
            _ => Err(unreadable(
                place,
                "the base does not say between which positions it was copied",
                "PostgreSQL 13 or later is needed; capture older servers database by database",
            )),
        }
    }
}

/// The text after the last `"key": "`.
fn last_text(json: &str, key: &str) -> Option<String> {
    let (_, rest) = json.rsplit_once(key)?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let (text, _) = rest.strip_prefix('"')?.split_once('"')?;
    Some(text.to_owned())
}

/// The number after the last `"key": `.
fn last_number(json: &str, key: &str) -> Option<String> {
    let (_, rest) = json.rsplit_once(key)?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: &str = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n\
        CHECKPOINT LOCATION: 0/2000060\nBACKUP METHOD: streamed\nSTART TIMELINE: 3\n";
    const MANIFEST: &str = r#"{ "PostgreSQL-Backup-Manifest-Version": 1, "Files": [
{ "Path": "backup_label", "Size": 227, "Checksum-Algorithm": "SHA256", "Checksum": "aa" }],
"WAL-Ranges": [
{ "Timeline": 3, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }
],
"Manifest-Checksum": "cafe"}
"#;

    fn read(label: &str, manifest: &str) -> Result<Label, CaptureError> {
        let found = Found {
            label: label.into(),
            manifest_end: manifest.into(),
        };
        Label::of("here", &found)
    }

    #[test]
    fn positions_and_checksum_are_read() {
        let label = read(LABEL, MANIFEST).unwrap();
        assert_eq!(label.start, "3 0/2000028");
        assert_eq!(label.end, "3 0/2000100");
        assert_eq!(label.files, "cafe");
    }

    #[test]
    fn what_is_missing_is_an_error() {
        assert!(read("", MANIFEST).is_err());
        assert!(read(LABEL, "").is_err());
        let (cut, _) = MANIFEST.split_at(MANIFEST.len() - 30);
        assert!(read(LABEL, cut).is_err());
    }
}
