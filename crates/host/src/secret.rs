//! Fetching secrets from where they are kept, and keeping them out of texts.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use vouchsafe_model::{Secret, SecretRef};

use crate::files;
use crate::process::{Command, LocalSpawn, ProcessError, run_captured};

/// Why a secret could not be fetched. Never contains the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set, or set to nothing.
    #[error("the environment variable {name} is not set; set it to the secret before starting")]
    Unset {
        /// The variable.
        name: String,
    },
    /// Others may read the file.
    #[error(
        "the secret file {} can be read by others (mode {mode:04o}); run: chmod 600 {}",
        path.display(), path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file could not be read.
    #[error("cannot read the secret file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The program could not be run or failed.
    #[error("the program {program} did not give the secret")]
    Command {
        /// The program, without its arguments.
        program: String,
        /// Why.
        #[source]
        source: ProcessError,
    },
    /// The reference names no program.
    #[error("the secret's command is empty; write the program and its arguments as a list")]
    NoCommand,
    /// There is nothing in it.
    #[error("the secret from {from} is empty")]
    Empty {
        /// Where it should have been.
        from: String,
    },
}

/// The longest secret that is read from a file or a program, in bytes.
pub const LONGEST_SECRET: u64 = 64 * 1024;

/// How long a program may take to give a secret.
const COMMAND_TIME: Duration = Duration::from_secs(60);

/// Fetches a secret.
///
/// One newline at the end of a file or of a program's output (LF or CRLF) is not part of the
/// secret; a variable is taken as it is. A file must not be accessible to group or others.
pub fn resolve(reference: &SecretRef) -> Result<Secret, SecretError> {
    let bytes = match reference {
        SecretRef::Env(name) => from_environment(name)?,
        SecretRef::File(path) => without_newline(from_file(path)?),
        SecretRef::Command(words) => without_newline(from_command(words)?),
    };
    not_empty(bytes, reference)
}

/// Fetches the passphrase of a repository, or the content of a key file, as stock restic reads it, so that both open
/// with the same file: without white space at either end, and UTF-16 (told by its byte order mark) as UTF-8. A
/// variable is taken as it is.
pub fn resolve_passphrase(reference: &SecretRef) -> Result<Secret, SecretError> {
    let bytes = match reference {
        SecretRef::Env(name) => from_environment(name)?,
        SecretRef::File(path) => trimmed(&decoded(from_file(path)?)),
        SecretRef::Command(words) => trimmed(&from_command(words)?),
    };
    not_empty(bytes, reference)
}

fn not_empty(bytes: Vec<u8>, reference: &SecretRef) -> Result<Secret, SecretError> {
    if bytes.is_empty() {
        return Err(SecretError::Empty {
            from: reference.to_string(),
        });
    }
    Ok(Secret::new(bytes))
}

/// What stands in a text in the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// The text with every occurrence of every secret replaced by [`REDACTED`].
pub fn redact(text: &str, secrets: &[&Secret]) -> String {
    String::from_utf8_lossy(&redact_bytes(text.as_bytes(), 0, secrets)).into_owned()
}

/// Leaves out the first `skip` bytes and all secrets, also those that begin within the skipped
/// bytes.
pub(crate) fn redact_bytes(text: &[u8], skip: usize, secrets: &[&Secret]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        // The longest match counts, so that no end of a longer secret stays behind a shorter one.
        let hit = secrets
            .iter()
            .map(|secret| secret.expose())
            .filter(|secret| !secret.is_empty() && rest.starts_with(secret))
            .map(<[u8]>::len)
            .max();
        match hit {
            Some(len) => {
                if at + len > skip {
                    out.extend_from_slice(REDACTED.as_bytes());
                }
                at += len;
            }
            None => {
                out.extend(rest.first().filter(|_| at >= skip));
                at += 1;
            }
        }
    }
    out
}

fn from_environment(name: &str) -> Result<Vec<u8>, SecretError> {
    use std::os::unix::ffi::OsStringExt;
    match std::env::var_os(name) {
        Some(value) if !value.is_empty() => Ok(value.into_vec()),
        _ => Err(SecretError::Unset {
            name: name.to_owned(),
        }),
    }
}

fn from_file(path: &PathBuf) -> Result<Vec<u8>, SecretError> {
    let failed = |source| SecretError::File {
        path: path.clone(),
        source,
    };
    // The mode is asked of the open file: the name may change its meaning in between.
    let file = files::open_read(path).map_err(|e| failed(e.source))?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Exposed {
            path: path.clone(),
            mode,
        });
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, LONGEST_SECRET + 1), &mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > LONGEST_SECRET {
        return Err(failed(io::Error::from(io::ErrorKind::FileTooLarge)));
    }
    Ok(bytes)
}

fn from_command(words: &[String]) -> Result<Vec<u8>, SecretError> {
    let (program, arguments) = words.split_first().ok_or(SecretError::NoCommand)?;
    let limit = usize::try_from(LONGEST_SECRET).unwrap_or(usize::MAX);
    let command = Command::new(program).args(arguments).capture(limit);
    let output = run_captured(&LocalSpawn::new(), command, COMMAND_TIME).map_err(|source| {
        SecretError::Command {
            program: program.clone(),
            source,
        }
    })?;
    Ok(output.stdout)
}

fn without_newline(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    bytes
}

/// Text without its byte order mark, and UTF-16 as UTF-8. Other bytes stay as they are.
fn decoded(bytes: Vec<u8>) -> Vec<u8> {
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, _) = rest.as_chunks::<2>();
        let units = pairs.iter().map(|pair| unit(*pair));
        let decoded: String = char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        decoded.into_bytes()
    };
    match bytes.as_slice() {
        [0xef, 0xbb, 0xbf, rest @ ..] => rest.to_vec(),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => bytes,
    }
}

/// The bytes without white space at either end; bytes that are not UTF-8 are no white space.
fn trimmed(bytes: &[u8]) -> Vec<u8> {
    let mut rest = bytes;
    while let Some(after) = first_character(rest)
        .filter(|c| c.is_whitespace())
        .and_then(|c| rest.get(c.len_utf8()..))
    {
        rest = after;
    }
    while let Some(before) = last_character(rest)
        .filter(|c| c.is_whitespace())
        .and_then(|c| rest.get(..rest.len() - c.len_utf8()))
    {
        rest = before;
    }
    rest.to_vec()
}

fn first_character(bytes: &[u8]) -> Option<char> {
    bytes.utf8_chunks().next()?.valid().chars().next()
}

fn last_character(bytes: &[u8]) -> Option<char> {
    (1..=4).find_map(|length| {
        let end = bytes.get(bytes.len().checked_sub(length)?..)?;
        std::str::from_utf8(end).ok()?.chars().next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passphrases_are_trimmed_and_decoded_as_restic_does() {
        let cases: [(&[u8], &[u8]); 7] = [
            (b" \tpass word\r\n\n", b"pass word"),
            (b"\xc2\xa0pass\xe2\x80\x83", b"pass"),
            (b"\xef\xbb\xbfpass\n", b"pass"),
            (b"\xff\xfep\0\xe4\0\n\0", "p\u{e4}".as_bytes()),
            (b"\xfe\xff\0p\0\n", b"p"),
            (b"\n\xff\x80\0key\x85\n", b"\xff\x80\0key\x85"),
            (b"\xe2\x80", b"\xe2\x80"),
        ];
        for (file, passphrase) in cases {
            assert_eq!(trimmed(&decoded(file.to_vec())), passphrase, "{file:?}");
        }
    }

    fn secret_file(text: &str, mode: u32) -> (tempfile::TempDir, SecretRef) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("secret");
        files::write_atomic(&path, text.as_bytes(), mode).expect("writes");
        (dir, SecretRef::File(path))
    }

    #[test]
    fn a_private_file_gives_its_text_without_the_last_newline() {
        for (text, expected) in [
            ("hunter-two\n", "hunter-two"),
            ("hunter-two\r\n", "hunter-two"),
            ("p w\n\n", "p w\n"),
            ("x", "x"),
        ] {
            let (_dir, reference) = secret_file(text, 0o600);
            let secret = resolve(&reference).expect("resolves");
            assert_eq!(secret.expose(), expected.as_bytes());
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_the_remedy() {
        for mode in [0o640, 0o604, 0o660, 0o644] {
            let (_dir, reference) = secret_file("hunter-two", mode);
            let error = resolve(&reference).expect_err("refuses");
            assert!(matches!(error, SecretError::Exposed { mode: m, .. } if m == mode));
            assert!(error.to_string().contains("chmod 600"));
            assert!(!error.to_string().contains("hunter-two"));
        }
    }

    #[test]
    fn variables_and_empty_secrets_are_told_apart() {
        let unset = SecretRef::Env("VOUCHSAFE_SURELY_UNSET".into());
        assert!(matches!(resolve(&unset), Err(SecretError::Unset { .. })));
        let set = resolve(&SecretRef::Env("PATH".into())).expect("the path is always set");
        assert!(!set.expose().is_empty());
        let (_dir, empty) = secret_file("\n", 0o600);
        assert!(matches!(resolve(&empty), Err(SecretError::Empty { .. })));
    }

    #[test]
    fn a_program_gives_a_secret_only_if_it_succeeds() {
        let words =
            |script: &str| SecretRef::Command(["sh", "-c", script].map(String::from).into());
        let secret = resolve(&words("echo open-sesame")).expect("resolves");
        assert_eq!(secret.expose(), b"open-sesame");
        let failed = resolve(&words("echo open-sesame; exit 3"));
        assert!(matches!(failed, Err(SecretError::Command { .. })));
        assert!(matches!(
            resolve(&SecretRef::Command(vec![])),
            Err(SecretError::NoCommand)
        ));
    }

    #[test]
    fn redaction_takes_the_longest_secret() {
        let (long, short) = (
            Secret::new(b"abcdef".to_vec()),
            Secret::new(b"abc".to_vec()),
        );
        let text = redact("x abcdef y abc z", &[&short, &long]);
        assert_eq!(text, "x [redacted] y [redacted] z");
        assert_eq!(redact("nothing", &[]), "nothing");
        assert_eq!(redact("nothing", &[&Secret::new(vec![])]), "nothing");
    }
}
