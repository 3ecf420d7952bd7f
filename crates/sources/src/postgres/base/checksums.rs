//! Each file of a restored base held against the checksum that the base's own list of files states, on all processors.
//!
//! `pg_verifybackup` does the same one file after the other. It is left what else it does: the list's own checksum, what
//! is missing, too much or of another size, and the log.

use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crc_fast::CrcAlgorithm;
use serde::Deserialize;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::{DestDir, files, machine};
use vouchsafe_model::Issue;

use super::tree::MANIFEST;
use crate::failure;

/// What the list says of files; the rest of it is for `pg_verifybackup`
/// (<https://www.postgresql.org/docs/current/backup-manifest-format.html>).
#[derive(Debug, Deserialize)]
struct Manifest {
    #[serde(rename = "Files")]
    files: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    #[serde(rename = "Path")]
    path: Option<String>,
    /// The path in hex, where it is no UTF-8.
    #[serde(rename = "Encoded-Path")]
    encoded_path: Option<String>,
    #[serde(rename = "Size")]
    size: u64,
    #[serde(rename = "Checksum-Algorithm")]
    algorithm: Option<String>,
    #[serde(rename = "Checksum")]
    checksum: Option<String>,
}

/// A file takes some 150 bytes in it.
const LONGEST_MANIFEST: u64 = 1 << 30;
const PIECE: usize = 256 << 10;

/// Every file below `data` whose bytes do not have the checksum that the list there states for it.
///
/// # Errors
/// [`CaptureError::Unreadable`] if the list or a file cannot be read, [`CaptureError::Interrupted`].
pub(super) fn differing(ctx: &CaptureContext<'_>, data: &Path) -> Result<Vec<Issue>, CaptureError> {
    let path = data.join(MANIFEST);
    let json = files::read(&path, LONGEST_MANIFEST).map_err(failure::file)?;
    let mut listed = parsed(&path, &json)?;
    // The longest first: at the end one of them would be read alone.
    listed.sort_by_key(|file| std::cmp::Reverse(file.size));
    let place = DestDir::open(data).map_err(failure::dest)?;
    let next = AtomicUsize::new(0);
    let issues: Mutex<Vec<Issue>> = Mutex::default();
    let failed: Mutex<Option<CaptureError>> = Mutex::default();
    let work = || {
        let mut buffer = vec![0; PIECE];
        while let Some(file) = listed.get(next.fetch_add(1, Ordering::Relaxed)) {
            match compared(ctx, &place, file, &mut buffer) {
                Ok(difference) => locked(&issues).extend(difference),
                Err(error) => {
                    next.store(listed.len(), Ordering::Relaxed);
                    locked(&failed).get_or_insert(error);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..machine::parallelism() {
            scope.spawn(work);
        }
        work();
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(in_order(issues)),
    }
}

fn in_order(issues: Mutex<Vec<Issue>>) -> Vec<Issue> {
    let mut issues = issues.into_inner().unwrap_or_else(PoisonError::into_inner);
    issues.sort_by(|a, b| a.place.cmp(&b.place));
    issues
}

fn locked<T>(it: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

fn parsed(path: &Path, json: &[u8]) -> Result<Vec<Listed>, CaptureError> {
    match serde_json::from_slice::<Manifest>(json) {
        Ok(manifest) => Ok(manifest.files),
        Err(error) => Err(failure::unreadable(
            path,
            format!("it is not a server's list of files: {error}"),
            "restore another point",
        )),
    }
}

/// What is wrong with one file.
fn compared(
    ctx: &CaptureContext<'_>,
    place: &DestDir,
    file: &Listed,
    buffer: &mut [u8],
) -> Result<Option<Issue>, CaptureError> {
    let (name, shown) = file.names();
    let wrong = |message: String| {
        Ok(Some(Issue {
            place: shown.clone(),
            message,
        }))
    };
    let (Some(name), Some(expected)) = (name, &file.checksum) else {
        return match file.algorithm.as_deref() {
            None if file.checksum.is_none() => Ok(None),
            _ => wrong(
                "the server's list of files tells of it in a form that is not known".to_owned(),
            ),
        };
    };
    let Some(mut sum) = Sum::by(file.algorithm.as_deref().unwrap_or_default()) else {
        let other = file.algorithm.as_deref().unwrap_or_default();
        return wrong(format!(
            "its checksum is made by {other:?}, which is not known: it cannot be verified"
        ));
    };
    let mut opened = place.open_read(&name).map_err(failure::dest)?;
    loop {
        failure::check_interrupt(ctx)?;
        let got = opened
            .read(buffer)
            .map_err(|e| failure::file(files::FileError::new(&*shown, "read", e)))?;
        let Some(bytes) = buffer.get(..got).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        sum.update(bytes);
        ctx.progress.advance(0, got as u64);
    }
    let found = sum.finish();
    if found == expected.to_ascii_lowercase() {
        return Ok(None);
    }
    wrong(format!(
        "its bytes have the checksum {found}, and the server stated {expected} when it was copied"
    ))
}

impl Listed {
    /// Its path below the data directory, if one is stated in a known form, and how it is shown.
    fn names(&self) -> (Option<Vec<u8>>, String) {
        match (&self.path, &self.encoded_path) {
            (Some(path), _) => (Some(path.clone().into_bytes()), path.clone()),
            (None, Some(encoded)) => {
                let name = hex::decode(encoded).ok();
                let shown = name.as_deref().map(String::from_utf8_lossy);
                let shown = shown.map_or_else(|| encoded.clone(), std::borrow::Cow::into_owned);
                (name, shown)
            }
            (None, None) => (None, MANIFEST.to_owned()),
        }
    }
}

/// A checksum in the making, by the names that the server has for them.
enum Sum {
    Crc32c(crc_fast::Digest),
    Sha224(Sha224),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Sum {
    fn by(name: &str) -> Option<Sum> {
        Some(match name {
            "CRC32C" => Sum::Crc32c(crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi)),
            "SHA224" => Sum::Sha224(Sha224::new()),
            "SHA256" => Sum::Sha256(Sha256::new()),
            "SHA384" => Sum::Sha384(Sha384::new()),
            "SHA512" => Sum::Sha512(Sha512::new()),
            _ => return None,
        })
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Sum::Crc32c(sum) => sum.update(bytes),
            Sum::Sha224(sum) => sum.update(bytes),
            Sum::Sha256(sum) => sum.update(bytes),
            Sum::Sha384(sum) => sum.update(bytes),
            Sum::Sha512(sum) => sum.update(bytes),
        }
    }

    /// Lower hex, as the list states it.
    fn finish(self) -> String {
        match self {
            // The lowest byte first, as it lies in the server's memory.
            Sum::Crc32c(sum) => hex::encode((sum.finalize() as u32).to_le_bytes()),
            Sum::Sha224(sum) => hex::encode(sum.finalize()),
            Sum::Sha256(sum) => hex::encode(sum.finalize()),
            Sum::Sha384(sum) => hex::encode(sum.finalize()),
            Sum::Sha512(sum) => hex::encode(sum.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use vouchsafe_capture::NoProgress;
    use vouchsafe_host::{Interrupt, LocalSpawn, SystemClock};

    use super::*;

    /// What is found in a directory with these files and a list of these.
    fn found(here: &[(&str, &str)], listed: serde_json::Value) -> Result<Vec<Issue>, CaptureError> {
        let data = files::temp_dir("vouchsafe-checksums-").unwrap();
        for (name, text) in here {
            let path = data.path().join(name);
            files::create_dir_all(path.parent().unwrap(), 0o700).unwrap();
            files::write_atomic(&path, text.as_bytes(), 0o600).unwrap();
        }
        let json = serde_json::json!({ "PostgreSQL-Backup-Manifest-Version": 1, "Files": listed });
        let path = data.path().join(MANIFEST);
        files::write_atomic(path, json.to_string().as_bytes(), 0o600).unwrap();
        let interrupt = Interrupt::manual();
        let clock = SystemClock::new();
        let ctx = CaptureContext {
            spawn: &LocalSpawn,
            clock: &clock,
            work_dir: Path::new("/nonexistent"),
            interrupt: &interrupt,
            progress: &NoProgress,
            own_places: &[],
        };
        differing(&ctx, data.path())
    }

    fn listed(path: &str, algorithm: &str, checksum: &str) -> serde_json::Value {
        serde_json::json!({
            "Path": path, "Size": 3, "Last-Modified": "2026-01-31 04:00:00 GMT",
            "Checksum-Algorithm": algorithm, "Checksum": checksum,
        })
    }

    /// Of `abc`: the examples of FIPS 180-4; that of Castagnoli's polynomial with its lowest byte first.
    const OF_ABC: [(&str, &str); 5] = [
        ("CRC32C", "b73f4b36"),
        (
            "SHA224",
            "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
        ),
        (
            "SHA256",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            "SHA384",
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            "SHA512",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ];

    #[test]
    fn every_algorithm_tells_a_changed_byte() {
        for (algorithm, checksum) in OF_ABC {
            let list = || {
                serde_json::json!([
                    listed("base/1/2", algorithm, checksum),
                    listed("PG_VERSION", algorithm, &checksum.to_uppercase()),
                    {
                        "Encoded-Path": hex::encode("é"), "Size": 3,
                        "Checksum-Algorithm": algorithm, "Checksum": checksum,
                    },
                    { "Path": "unsummed", "Size": 3 },
                ])
            };
            let whole = [("base/1/2", "abc"), ("PG_VERSION", "abc"), ("é", "abc")];
            assert_eq!(found(&whole, list()).unwrap(), [], "{algorithm}");
            for changed in 0..whole.len() {
                let mut here = whole;
                here[changed].1 = "abd";
                let issues = found(&here, list()).unwrap();
                let places: Vec<&str> = issues.iter().map(|issue| issue.place.as_str()).collect();
                assert_eq!(places, [here[changed].0], "{algorithm}");
            }
        }
    }

    #[test]
    fn what_cannot_be_verified_is_not_taken_for_whole() {
        let here = [("a", "abc")];
        let unknown = found(&here, serde_json::json!([listed("a", "MD5", "00")])).unwrap();
        assert!(unknown[0].message.contains("MD5"), "{unknown:?}");
        let nameless = serde_json::json!([{
            "Encoded-Path": "zz", "Size": 3, "Checksum-Algorithm": "CRC32C", "Checksum": "00",
        }]);
        assert_eq!(found(&here, nameless).unwrap().len(), 1);
        let (algorithm, checksum) = OF_ABC[0];
        for path in ["gone", "../a", "/etc/hostname"] {
            let list = serde_json::json!([listed(path, algorithm, checksum)]);
            assert!(found(&here, list).is_err(), "{path}");
        }
        let malformed = found(&here, serde_json::json!([{ "Size": "three" }]));
        let message = malformed.unwrap_err().to_string();
        assert!(message.contains("list of files"), "{message}");
    }
}
