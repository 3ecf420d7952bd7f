//! The list of a base's files in the server's own form (`backup_manifest`), which `pg_verifybackup` reads.

use std::fmt::Write as _;

use serde_json::json;
use sha2::{Digest, Sha256};

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Below the data directory, with slashes.
    pub(super) path: String,
    pub(super) size: u64,
    /// Seconds since the Unix epoch.
    pub(super) modified: i64,
    /// CRC-32C of its bytes.
    pub(super) crc: u32,
}

/// Which part of the log makes the base whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) timeline: u32,
    /// Positions as the server writes them: `0/2000028`.
    pub(super) start: String,
    pub(super) end: String,
}

/// The manifest: version 1, or 2 with the server's identifier from PostgreSQL 17 on
/// (<https://www.postgresql.org/docs/current/backup-manifest-format.html>).
pub(super) fn written(files: &[Listed], range: &Range, system: Option<&str>) -> Vec<u8> {
    let mut out = String::from("{ \"PostgreSQL-Backup-Manifest-Version\": ");
    match system {
        Some(system) => {
            let _ = write!(out, "2,\n\"System-Identifier\": {system},\n");
        }
        None => out.push_str("1,\n"),
    }
    out.push_str("\"Files\": [");
    for (place, file) in files.iter().enumerate() {
        out.push_str(if place == 0 { "\n" } else { ",\n" });
        // As it lies in memory there: the lowest byte first.
        let crc = hex::encode(file.crc.to_le_bytes());
        let line = json!({
            "Path": file.path,
            "Size": file.size,
            "Last-Modified": date(file.modified),
            "Checksum-Algorithm": "CRC32C",
            "Checksum": crc,
        });
        let _ = write!(out, "{line}");
    }
    let Range {
        timeline,
        start,
        end,
    } = range;
    let _ = write!(
        out,
        "\n],\n\"WAL-Ranges\": [\n{{ \"Timeline\": {timeline}, \"Start-LSN\": \"{start}\", \"End-LSN\": \"{end}\" }}\n],\n"
    );
    let checksum = hex::encode(Sha256::digest(out.as_bytes()));
    let _ = writeln!(out, "\"Manifest-Checksum\": \"{checksum}\"}}");
    out.into_bytes()
}

/// `2026-01-31 04:00:00 GMT`.
fn date(seconds: i64) -> String {
    let time = vouchsafe_model::Time::from_secs(seconds).to_timestamp();
    time.strftime("%Y-%m-%d %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_its_own_checksum() {
        let file = Listed {
            path: "base/1/\"x".to_owned(),
            size: 5,
            modified: 1_769_832_000,
            crc: 0x0102_0304,
        };
        let range = Range {
            timeline: 3,
            start: "0/2000028".to_owned(),
            end: "0/2000100".to_owned(),
        };
        for (system, version) in [(None, 1), (Some("7300"), 2)] {
            let text = String::from_utf8(written(&[file.clone(), file.clone()], &range, system));
            let text = text.unwrap();
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["PostgreSQL-Backup-Manifest-Version"], version);
            assert_eq!(json["Files"][1]["Path"], "base/1/\"x");
            assert_eq!(json["Files"][1]["Checksum"], "04030201");
            assert_eq!(json["Files"][1]["Last-Modified"], "2026-01-31 04:00:00 GMT");
            assert_eq!(json["WAL-Ranges"][0]["Timeline"], 3);
            let (covered, _) = text.split_once("\"Manifest-Checksum\"").unwrap();
            let sum = hex::encode(Sha256::digest(covered));
            assert_eq!(json["Manifest-Checksum"], sum);
        }
    }
}
