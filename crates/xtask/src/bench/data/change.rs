//! Changing 2 % of a tree's files: edited, appended to, replaced, removed, added; and putting all of it back.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use super::content::{Kind, Writer};
use super::dice::Dice;
use super::plan::{File, Plan};
use super::words::Words;
use super::write::{at, write_files};

/// What happens to one file of the plan.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Edit {
    /// Other bytes somewhere in it.
    Inside(usize),
    /// More bytes at its end.
    Append(usize),
    /// Other content under the same name.
    Replace(usize),
    /// It is gone.
    Remove(usize),
    /// A new one beside it.
    Add(usize),
}

/// The changes of one round.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    round: u64,
    edits: Vec<Edit>,
}

impl Change {
    /// Of `percent` of the files, in round `round`; each round changes other files.
    pub(crate) fn new(plan: &Plan, seed: u64, round: u64, percent: usize) -> Self {
        let mut dice = Dice::of(seed, 1000 + round);
        let mut chosen = BTreeSet::new();
        let count = (plan.files.len() * percent / 100).max(1);
        while chosen.len() < count.min(plan.files.len()) {
            chosen.insert(dice.index(plan.files.len()));
        }
        let edits = chosen
            .into_iter()
            .map(|file| edit(file, &mut dice))
            .collect();
        Self { round, edits }
    }

    /// How many files are touched.
    pub(crate) fn len(&self) -> usize {
        self.edits.len()
    }

    /// Makes the changes. What an earlier round removed is written anew.
    pub(crate) fn apply(&self, place: &Path, plan: &Plan, words: &Words) -> Result<(), String> {
        for edit in &self.edits {
            let Some(file) = plan.files.get(edit.file()) else {
                continue;
            };
            let dice = Dice::of(file.seed, self.round + 1);
            match edit {
                Edit::Inside(_) if exists(place, file) => overwrite(place, file, words, dice)?,
                Edit::Append(_) if exists(place, file) => append(place, file, words, dice)?,
                Edit::Remove(_) => remove(place, &file.path)?,
                Edit::Add(_) => {
                    let path = self.added(file);
                    write_files(
                        place,
                        &[File {
                            path,
                            ..other(file, dice)
                        }],
                        words,
                    )?;
                }
                _ => write_files(place, &[other(file, dice)], words)?,
            }
        }
        Ok(())
    }

    /// Makes every touched file what the plan says.
    pub(crate) fn undo(&self, place: &Path, plan: &Plan, words: &Words) -> Result<(), String> {
        for edit in &self.edits {
            let Some(file) = plan.files.get(edit.file()) else {
                continue;
            };
            match edit {
                Edit::Add(_) => remove(place, &self.added(file))?,
                _ => {
                    remove(place, &file.path)?;
                    write_files(place, std::slice::from_ref(file), words)?;
                }
            }
        }
        Ok(())
    }

    fn added(&self, file: &File) -> String {
        format!("{}.new-{}", file.path, self.round)
    }
}

impl Edit {
    fn file(&self) -> usize {
        match self {
            Edit::Inside(file)
            | Edit::Append(file)
            | Edit::Replace(file)
            | Edit::Remove(file)
            | Edit::Add(file) => *file,
        }
    }
}

fn edit(file: usize, dice: &mut Dice) -> Edit {
    match dice.below(100) {
        0..45 => Edit::Inside(file),
        45..65 => Edit::Append(file),
        65..80 => Edit::Replace(file),
        80..90 => Edit::Remove(file),
        _ => Edit::Add(file),
    }
}

fn exists(place: &Path, file: &File) -> bool {
    place.join(&file.path).is_file()
}

fn other(file: &File, mut dice: Dice) -> File {
    File {
        seed: dice.next(),
        ..file.clone()
    }
}

fn remove(place: &Path, path: &str) -> Result<(), String> {
    let path = place.join(path);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(&path)(error)),
        _ => Ok(()),
    }
}

/// A few KiB in the middle, or all of a short file.
fn overwrite(place: &Path, file: &File, words: &Words, mut dice: Dice) -> Result<(), String> {
    let path = place.join(&file.path);
    let length = (512 + dice.below(8192)).min(file.length);
    let from = dice.below(file.length - length + 1);
    write_at(
        &path,
        SeekFrom::Start(from),
        &piece(words, file.kind, dice.next(), length),
    )
}

fn append(place: &Path, file: &File, words: &Words, mut dice: Dice) -> Result<(), String> {
    let path = place.join(&file.path);
    let length = 64 + dice.below(4096 + file.length / 20);
    write_at(
        &path,
        SeekFrom::End(0),
        &piece(words, file.kind, dice.next(), length),
    )
}

fn piece(words: &Words, kind: Kind, seed: u64, length: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    Writer::new(words, kind, seed).fill(&mut bytes, usize::try_from(length).unwrap_or(0));
    bytes
}

fn write_at(path: &Path, from: SeekFrom, bytes: &[u8]) -> Result<(), String> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(at(path))?;
    file.seek(from).map_err(at(path))?;
    file.write_all(bytes).map_err(at(path))
}
