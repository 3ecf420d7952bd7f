//! What is handed in: copied aside, looked into, compared with the last one, captured.

use std::path::{Path, PathBuf};

use vouchsafe_capture::TreePath;
use vouchsafe_host::files;
use vouchsafe_model::fact::Recorded;
use vouchsafe_model::people::{ChangedLines, HandedFile, HandedFormat, HandedIn};
use vouchsafe_model::policy::Way;
use vouchsafe_model::{Protection, ProtectionId};
use vouchsafe_policy::people;
use vouchsafe_sources::{Excludes, HANDED_IN, LONGEST_TEXT, changed_lines, look_into};

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
        let (accept, format) = match &protection.way {
            Way::Manual { accept, format, .. } => (accept.as_deref(), *format),
            _ => (None, None),
        };
        let directory = self.state.handed_dir(&protection.id);
        if files::exists(&directory)? {
            files::remove_tree(&directory)?;
        }
        files::create_dir_all(&directory, 0o700)?;
        let aside = Aside { directory };
        let mut looked: Vec<HandedFile> = Vec::new();
        for path in handed {
            let name = name_of(path);
            let bad = |because: String| -> Result<Looked, KeeperError> {
                Ok(Looked::Bad(NotTaken {
                    file: name.clone(),
                    because,
                }))
            };
            if let Some(pattern) = accept
                && !fits(pattern, &name)?
            {
                return bad(format!(
                    "its name does not fit `{pattern}`, which the policy accepts"
                ));
            }
            if looked.iter().any(|f| f.name == name) {
                return bad("two files have this name; rename one of them".to_owned());
            }
            let copy = aside.directory.join(&name);
            if let Err(error) = files::copy_new(path, &copy, 0o600) {
                return bad(chain(&error));
            }
            match look_into(&copy, format) {
                Ok(file) => looked.push(file),
                Err(error) => return bad(chain(&error)),
            }
        }
        if let Some(last) = people::last_handed(facts, &protection.id) {
            if let Some(because) = people::refused_beside(&looked, &last.files, smaller_is_right) {
                let names: Vec<&str> = looked.iter().map(|f| f.name.as_str()).collect();
                return Ok(Looked::Bad(NotTaken {
                    file: names.join(", "),
                    because,
                }));
            }
            for file in &mut looked {
                let before = last.files.iter().find(|l| l.name == file.name).or(last
                    .files
                    .first()
                    .filter(|_| last.files.len() == 1 && handed.len() == 1));
                if let Some(before) = before.filter(|b| b.format == file.format) {
                    let id = &protection.id;
                    file.changed = self.changed_since(facts, id, &aside, (&*file, before));
                }
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
        let old = self.last_content(facts, id, &before.name)?;
        let new = files::read(aside.directory.join(&file.name), LONGEST_TEXT).ok()?;
        Some(changed_lines(&old, &new))
    }

    fn last_content(&self, facts: &[Recorded], id: &ProtectionId, name: &str) -> Option<Vec<u8>> {
        let catalogue = Catalogue::of(facts);
        let newest = catalogue.newest(id, true)?;
        let path = TreePath::from_fs(&Path::new("/").join(HANDED_IN).join(name)).ok()?;
        newest.whole_in().find_map(|vault| {
            let reading = self.reading(vault).ok()?;
            let point = reading.open(newest.point.point.as_str()).ok()?;
            let mut content = Vec::new();
            reading.dump(&point, &path, &mut content).ok()?;
            Some(content)
        })
    }
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
    let not_taken = |because: String| NotTaken {
        file: name_of(path),
        because,
    };
    // What an input is, no policy says: its name does, and where that says nothing anything will do.
    let format = HandedFormat::of_name(&name_of(path));
    look_into(path, Some(format)).map_err(|e| not_taken(chain(&e)))
}
