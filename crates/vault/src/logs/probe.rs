//! Probing the encryption of a log: the stored bytes themselves are looked at.

use vouchsafe_capture::LogRun;
use vouchsafe_format::fragment::{LogName, Part, Position, open, open_header};

use super::error::LogError;
use super::objects::Listed;
use super::stream::LogStream;

/// What the stored bytes of one log object show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogProbe {
    /// The cipher and the authentication.
    pub cipher: &'static str,
    /// The id of the vault's key for logs: hexadecimal.
    pub key: String,
    /// Whether the stored bytes open under our key, contain no stretch of the log, and are refused when one byte of the
    /// header or of the payload is changed.
    pub sealed: bool,
    /// The object that was looked at.
    pub object: LogName,
}

const CIPHER: &str = "AES-256-GCM, keys by HKDF-SHA256";
/// So many bytes of log in a row do not come up in sealed bytes by chance.
const STRETCH: usize = 32;
/// At most so many stretches are looked for.
const LOOKS: usize = 64;

impl LogStream {
    /// The objects of a run that hold something between two positions, in their order.
    ///
    /// # Errors
    /// The store's failures, and [`LogError::Damaged`] for a header that cannot be authenticated.
    pub fn objects_between(
        &self,
        run: &LogRun,
        from: Position,
        to: Position,
    ) -> Result<Vec<LogName>, LogError> {
        let mut names = Vec::new();
        let within = |one: &&Listed| run.first <= one.first() && one.last() <= run.last;
        for listed in self.objects.list()?.iter().filter(within) {
            let header = self.objects.listed_header(listed)?;
            if header.span.from() < to && from < header.span.to() {
                names.push(self.objects.name(listed.part));
            }
        }
        Ok(names)
    }

    /// Fetches the stored bytes of an object and looks whether they are sealed.
    ///
    /// # Errors
    /// [`LogError::Damaged`] if the bytes do not open, and the store's failures.
    pub fn probe(&self, part: Part) -> Result<LogProbe, LogError> {
        let stored = self.objects.bytes(part)?;
        let stretch = self.objects.open(part, None)?;
        let name = self.objects.name(part);
        let refuses = |at: usize| {
            let mut changed = stored.clone();
            if let Some(byte) = changed.get_mut(at) {
                *byte ^= 1;
            }
            changed != stored && open(&self.objects.keys, &name, &changed).is_err()
        };
        let header = stored.len().min(40);
        let refused = refuses(stored.len().saturating_sub(20)) && refuses(header);
        let opens = open_header(&self.objects.keys, &name, &stored).is_ok();
        Ok(LogProbe {
            cipher: CIPHER,
            key: self.objects.keys.id().to_string(),
            sealed: opens && refused && !shows(&stored, stretch.log()),
            object: name,
        })
    }
}

/// Whether some stretch of the log stands in the stored bytes as it is. Stretches of one byte over and over are no
/// sign.
fn shows(stored: &[u8], log: &[u8]) -> bool {
    let step = (log.len() / LOOKS).max(STRETCH);
    let stretches = log.chunks(step).filter_map(|chunk| chunk.get(..STRETCH));
    let mut told = stretches.filter(|stretch| {
        let mut bytes = stretch.to_vec();
        bytes.sort_unstable();
        bytes.dedup();
        bytes.len() > 4
    });
    told.any(|stretch| stored.windows(STRETCH).any(|window| window == stretch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_sealed_is_seen() {
        let log: Vec<u8> = (0..9000_u32).map(|n| (n * n / 7) as u8).collect();
        assert!(shows(&[b"before".as_slice(), &log].concat(), &log));
        assert!(!shows(&[7; 9000], &log));
        // Zeros say nothing.
        assert!(!shows(&[0; 9000], &[0; 9000]));
    }
}
