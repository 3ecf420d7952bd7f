//! The last part of what a process wrote to standard error, without the secrets in it.

use std::collections::VecDeque;

use vouchsafe_model::Secret;

use crate::secret::redact_bytes;

/// Keeps the last bytes of a stream, and a little more, so that a secret cut in half by the limit
/// is recognised and left out.
#[derive(Debug)]
pub(crate) struct StderrTail {
    kept: VecDeque<u8>,
    limit: usize,
    margin: usize,
    cut: bool,
    secrets: Vec<Secret>,
}

impl StderrTail {
    pub(crate) fn new(limit: usize, secrets: Vec<Secret>) -> Self {
        let margin = secrets.iter().map(|s| s.expose().len()).max().unwrap_or(0);
        Self {
            kept: VecDeque::new(),
            limit,
            margin,
            cut: false,
            secrets,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.kept.extend(bytes);
        let excess = self.kept.len().saturating_sub(self.limit + self.margin);
        if excess > 0 {
            self.cut = true;
            self.kept.drain(..excess);
        }
    }

    /// The tail as text; bytes that are not UTF-8 are shown as replacement characters.
    pub(crate) fn text(&self) -> String {
        let (front, back) = self.kept.as_slices();
        let bytes = [front, back].concat();
        let skip = if self.cut { self.margin } else { 0 };
        let secrets: Vec<&Secret> = self.secrets.iter().collect();
        let clean = redact_bytes(&bytes, skip, &secrets);
        String::from_utf8_lossy(&clean).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_bytes_are_kept() {
        let mut tail = StderrTail::new(5, Vec::new());
        tail.push(b"0123456789");
        tail.push(b"ab");
        assert_eq!(tail.text(), "789ab");
    }

    #[test]
    fn a_secret_is_left_out_wherever_the_limit_cuts_it() {
        let secret = Secret::new(b"hunter2".to_vec());
        for after in 0..40 {
            let mut tail = StderrTail::new(16, vec![secret.clone()]);
            tail.push(b"the password is hun");
            tail.push(b"ter2");
            tail.push(&vec![b'.'; after]);
            let text = tail.text();
            assert!(text.ends_with(&".".repeat(after.min(16))), "{text}");
            for part in 0..5 {
                assert!(
                    !text.contains(&"hunter2"[part..part + 3]),
                    "{after}: {text}"
                );
            }
        }
    }
}
