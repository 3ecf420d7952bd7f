//! What is handed in: copied aside, looked into, compared with the last one, captured.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use vouchsafe_capture::TreePath;
use vouchsafe_host::files;
use vouchsafe_model::fact::{Fact, Outcome, Recorded};
use vouchsafe_model::people::{ChangedLines, HandedFile, HandedFormat, HandedIn};
use vouchsafe_model::policy::Way;
use vouchsafe_model::{Protection, ProtectionId};
use vouchsafe_policy::people::{self, Excused};
use vouchsafe_sources::{
    Excludes, HANDED_IN, HandedError, LONGEST_TEXT, changed_lines, is_content_of, look_into,
};

use crate::catalogue::Catalogue;
use crate::error::{KeeperError, chain};
use crate::keeper::Keeper;

/// Why a file is not taken.
pub(super) struct NotTaken {
    /// Its name.
    pub(super) file: String,
    /// Why, as a sentence.
    pub(super) because: String,
}

/// Files that lie aside until they are captured. They are removed at the end, whatever it is.
pub(super) struct Aside {
    directory: PathBuf,
}

impl Drop for Aside {
    fn drop(&mut self) {
        // What is left is removed by the next one.
        let _ = files::remove_tree(&self.directory);
    }
}

/// What came of looking at an upload.
pub(super) enum Looked {
    Good(Aside, HandedIn),
    Bad(NotTaken),
}

impl Keeper {
    /// Copies what is handed in aside and looks into the copies, so that what is judged is what is captured.
    pub(super) fn look_at_upload(
        &self,
        facts: &[Recorded],
        protection: &Protection,
        handed: &[PathBuf],
        smaller_is_right: bool,
    ) -> Result<Looked, KeeperError> {
        let directory = self.state.handed_dir(&protection.id);
        if files::exists(&directory)? {
            files::remove_tree(&directory)?;
        }
        files::create_dir_all(&directory, 0o700)?;
        let aside = Aside { directory };
        let mut looked: Vec<HandedFile> = Vec::new();
        for path in handed {
            match take_aside(protection, path, &aside, &looked)? {
                Ok(file) => looked.push(file),
                Err(because) => {
                    let file = name_of(path);
                    return Ok(Looked::Bad(NotTaken { file, because }));
                }
            }
        }
        let last = people::last_handed(facts, &protection.id);
        let excused = Excused {
            smaller: smaller_is_right,
            again: !reached_all(facts, &protection.id),
        };
        let now = self.tools.clock.now();
        if let Some(because) = people::refused_handed(&looked, last, excused, now) {
            let names: Vec<&str> = looked.iter().map(|f| f.name.as_str()).collect();
            let file = names.join(", ");
            return Ok(Looked::Bad(NotTaken { file, because }));
        }
        for file in &mut looked {
            let last = last.map(|l| l.files).unwrap_or_default();
            let only = last
                .first()
                .filter(|_| last.len() == 1 && handed.len() == 1);
            let before = last.iter().find(|l| l.name == file.name).or(only);
            if let Some(before) = before.filter(|b| b.format == file.format) {
                let id = &protection.id;
                file.changed = self.changed_since(facts, id, &aside, (&*file, before));
            }
        }
        Ok(Looked::Good(
            aside,
            HandedIn {
                protection: protection.id.clone(),
                files: looked,
            },
        ))
    }

    /// How many lines differ from the last one, fetched from a vault; nothing if it has no lines or cannot be had.
    fn changed_since(
        &self,
        facts: &[Recorded],
        id: &ProtectionId,
        aside: &Aside,
        (file, before): (&HandedFile, &HandedFile),
    ) -> Option<ChangedLines> {
        if !file.format.has_lines() || before.bytes > LONGEST_TEXT {
            return None;
        }
        if file.digest == before.digest {
            return Some(ChangedLines {
                added: 0,
                removed: 0,
            });
        }
        let old = self.last_content(facts, id, before)?;
        let new = files::read(aside.directory.join(&file.name), LONGEST_TEXT).ok()?;
        Some(changed_lines(&old, &new))
    }

    /// The bytes that the record speaks of, from whichever vault has them; never others, nor more of them.
    fn last_content(
        &self,
        facts: &[Recorded],
        id: &ProtectionId,
        before: &HandedFile,
    ) -> Option<Vec<u8>> {
        let catalogue = Catalogue::of(facts);
        let newest = catalogue.newest(id, true)?;
        let path = Path::new("/").join(HANDED_IN).join(&before.name);
        let path = TreePath::from_fs(&path).ok()?;
        newest.whole_in().find_map(|vault| {
            let reading = self.reading(vault).ok()?;
            let point = reading.open(newest.point.point.as_str()).ok()?;
            let mut content = Bounded {
                bytes: Vec::new(),
                left: before.bytes,
            };
            reading.dump(&point, &path, &mut content).ok()?;
            is_content_of(&content.bytes, before).then_some(content.bytes)
        })
    }
}

/// Memory for so many bytes and no more.
struct Bounded {
    bytes: Vec<u8>,
    left: u64,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let left = self.left.checked_sub(length);
        self.left = left.ok_or(io::ErrorKind::FileTooLarge)?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Copies one file aside and looks into the copy; a sentence that says why, if it may not be handed in.
fn take_aside(
    protection: &Protection,
    path: &Path,
    aside: &Aside,
    others: &[HandedFile],
) -> Result<Result<HandedFile, String>, KeeperError> {
    let (accept, format) = match &protection.way {
        Way::Manual { accept, format, .. } => (accept.as_deref(), *format),
        _ => (None, None),
    };
    let name = name_of(path);
    if let Some(pattern) = accept
        && !fits(pattern, &name)?
    {
        return Ok(Err(format!(
            "its name does not fit `{pattern}`, which the policy accepts"
        )));
    }
    if others.iter().any(|f| f.name == name) {
        let because = "two files have this name; rename one of them";
        return Ok(Err(because.to_owned()));
    }
    let copy = aside.directory.join(&name);
    if let Err(error) = files::copy_new(path, &copy, 0o600) {
        return Ok(Err(chain(&error)));
    }
    Ok(look_into(&copy, format).map_err(|error| chain(&error)))
}

/// Whether the last point went to every vault that it was meant for. If it did not, the same files may be handed in
/// again.
fn reached_all(facts: &[Recorded], id: &ProtectionId) -> bool {
    let catalogue = Catalogue::of(facts);
    let Some(newest) = catalogue.newest(id, true) else {
        return true;
    };
    facts.iter().any(|r| match &r.entry.fact {
        Fact::RunClosed { run, outcome, .. } => {
            *run == newest.point.run && *outcome == Outcome::Done
        }
        _ => false,
    })
}

/// The last name of a path.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn fits(pattern: &str, name: &str) -> Result<bool, KeeperError> {
    let patterns = Excludes::new(&[pattern.to_owned()], Path::new("/")).map_err(|error| {
        KeeperError::Pattern {
            pattern: error.pattern,
            reason: error.reason,
        }
    })?;
    Ok(patterns.excludes(&[name.as_bytes().to_vec()], false))
}

/// Looks into a file that a statement rests on and that is kept nowhere.
pub(super) fn look_at_input(path: &Path) -> Result<HandedFile, NotTaken> {
    let file = name_of(path);
    // What an input is, no policy says: its name does, and where that says nothing anything will do.
    let format = HandedFormat::of_name(&file);
    look_into(path, Some(format)).map_err(|error| {
        let because = match &error {
            // There is no `format` to be changed.
            HandedError::TooLong {
                format,
                bytes,
                most,
            } => format!(
                "it has {bytes} bytes, and a {format} of at most {most} is read; pack it with zip, and name the archive \
                 with --file"
            ),
            other => chain(other),
        };
        NotTaken { file, because }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_was_asked_for() {
        let mut memory = Bounded {
            bytes: Vec::new(),
            left: 4,
        };
        memory.write_all(b"abc").unwrap();
        assert!(memory.write_all(b"de").is_err());
        assert!(memory.write_all(b"d").is_ok());
        assert_eq!(memory.bytes, b"abcd");
    }
}
