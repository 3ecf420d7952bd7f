//! Which files a tree has: their places, sizes and kinds, all following from one seed.

use std::collections::HashSet;

use super::content::Kind;
use super::dice::Dice;
use super::words::Words;

/// How large the data sets are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Size {
    /// All that follows, follows from this.
    pub(crate) seed: u64,
    /// Files of the tree.
    pub(crate) files: usize,
    /// Bytes of each set.
    pub(crate) bytes: u64,
}

/// The tree of mixed files.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    /// Below the root, parents before their children.
    pub(crate) directories: Vec<String>,
    pub(crate) files: Vec<File>,
    /// Symbolic links: path and target.
    pub(crate) links: Vec<(String, String)>,
}

/// One file; equal kind, seed and length make equal content.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) length: u64,
    pub(crate) kind: Kind,
    pub(crate) seed: u64,
}

const KIB: u64 = 1024;
const FILES: f64 = 100_000.0;
const BYTES: f64 = 4.0 * 1024.0 * 1024.0 * 1024.0;
const FILES_IN_DIRECTORY: usize = 8;
const DEEPEST: usize = 9;

impl Size {
    /// The sizes of the benchmark, times `scale`.
    pub(crate) fn scaled(seed: u64, scale: f64) -> Self {
        Self {
            seed,
            files: (FILES * scale).ceil().max(50.0) as usize,
            bytes: (BYTES * scale).ceil().max(1e6) as u64,
        }
    }

    /// As it stands in the stamp of data that was written.
    pub(crate) fn stamp(&self) -> String {
        format!(
            "{} files, {} bytes, seed {}",
            self.files, self.bytes, self.seed
        )
    }
}

impl Plan {
    /// The tree of this size.
    pub(crate) fn new(size: &Size, words: &Words) -> Self {
        let mut dice = Dice::of(size.seed, 1);
        let directories = directories(size.files / FILES_IN_DIRECTORY, words, &mut dice);
        let mut files = contents(size, &mut dice);
        place(&mut files, &directories, words, &mut dice);
        let links = links(&files, &directories, &mut dice);
        Self {
            directories,
            files,
            links,
        }
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.length).sum()
    }
}

fn directories(count: usize, words: &Words, dice: &mut Dice) -> Vec<String> {
    let mut all: Vec<String> = Vec::with_capacity(count);
    for made in 0..count.max(4) {
        // New directories come near the last ones, as a project's do, or anywhere.
        let near = dice.percent(75);
        let parent = match made {
            0..4 => None,
            _ if near => all.get(made - 1 - dice.index(made.min(30))),
            _ => all.get(dice.index(made)),
        };
        let parent = parent.filter(|path| path.matches('/').count() + 1 < DEEPEST);
        let name = format!("{}-{made:x}", words.name(dice));
        all.push(match parent {
            Some(parent) => format!("{parent}/{name}"),
            None => name,
        });
    }
    all
}

/// 98 % are small and hold a seventh of the bytes; the largest 0.6 % fill up to the size.
fn contents(size: &Size, dice: &mut Dice) -> Vec<File> {
    let large = (size.files * 6 / 1000).max(6);
    let middle = size.files * 14 / 1000;
    let mut files: Vec<File> = Vec::with_capacity(size.files);
    for made in 0..size.files.saturating_sub(large) {
        let file = if made < middle {
            unplaced(
                middle_kind(dice),
                dice.size(180e3, 0.6, 64 * KIB, 512 * KIB),
                dice,
            )
        } else {
            unplaced(
                small_kind(dice),
                dice.size(2600.0, 1.35, 0, 64 * KIB - 1),
                dice,
            )
        };
        // Some are copies of others: licences, vendored code.
        let copied = dice
            .percent(3)
            .then(|| files.get(dice.index(files.len())).cloned());
        files.push(copied.flatten().unwrap_or(file));
    }
    let left = size
        .bytes
        .saturating_sub(files.iter().map(|file| file.length).sum());
    files.extend(large_files(large, left, dice));
    files
}

fn large_files(count: usize, bytes: u64, dice: &mut Dice) -> Vec<File> {
    let shares: Vec<f64> = (0..count)
        .map(|_| dice.size(3e6, 1.1, 400_000, 200_000_000) as f64)
        .collect();
    let sum: f64 = shares.iter().sum();
    let mut files: Vec<File> = Vec::with_capacity(count);
    for share in shares {
        let length = (share / sum * bytes as f64) as u64;
        let mut file = unplaced(large_kind(dice), length, dice);
        if dice.percent(8)
            && let Some(other) = files.get(dice.index(files.len()))
        {
            // The same content as far as it goes: a second copy, or a longer version of the same file.
            (file.kind, file.seed) = (other.kind, other.seed);
        }
        files.push(file);
    }
    files
}

fn unplaced(kind: Kind, length: u64, dice: &mut Dice) -> File {
    File {
        path: String::new(),
        length,
        kind,
        seed: dice.next(),
    }
}

fn small_kind(dice: &mut Dice) -> Kind {
    match dice.below(100) {
        0..42 => Kind::Source,
        42..66 => Kind::Text,
        66..80 => Kind::Json,
        80..86 => Kind::Log,
        86..94 => Kind::Program,
        _ => Kind::Media,
    }
}

fn middle_kind(dice: &mut Dice) -> Kind {
    match dice.below(100) {
        0..20 => Kind::Source,
        20..35 => Kind::Text,
        35..45 => Kind::Json,
        45..80 => Kind::Program,
        _ => Kind::Media,
    }
}

fn large_kind(dice: &mut Dice) -> Kind {
    match dice.below(100) {
        0..66 => Kind::Program,
        66..70 => Kind::Text,
        70..74 => Kind::Log,
        74..78 => Kind::Table,
        _ => Kind::Media,
    }
}

fn place(files: &mut [File], directories: &[String], words: &Words, dice: &mut Dice) {
    // The large ones lie anywhere among the others.
    for last in (1..files.len()).rev() {
        files.swap(last, dice.index(last + 1));
    }
    let mut taken = HashSet::with_capacity(files.len());
    for (number, file) in files.iter_mut().enumerate() {
        // A few directories hold thousands of files.
        let at = if dice.percent(30) {
            dice.skewed(directories.len())
        } else {
            dice.index(directories.len())
        };
        let directory = directories.get(at).map_or("", String::as_str);
        let (name, end) = (words.name(dice), file.kind.extension());
        file.path = format!("{directory}/{name}.{end}");
        if !taken.insert(file.path.clone()) {
            file.path = format!("{directory}/{name}-{number}.{end}");
            taken.insert(file.path.clone());
        }
    }
}

fn links(files: &[File], directories: &[String], dice: &mut Dice) -> Vec<(String, String)> {
    (0..files.len() / 100)
        .filter_map(|number| {
            let directory = directories.get(dice.index(directories.len()))?;
            let target = &files.get(dice.index(files.len()))?.path;
            let up = "../".repeat(directory.matches('/').count() + 1);
            Some((
                format!("{directory}/link-{number}"),
                format!("{up}{target}"),
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64) -> Plan {
        Plan::new(&Size::scaled(seed, 0.05), &Words::new())
    }

    #[test]
    fn a_plan_follows_from_its_seed() {
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    #[test]
    fn counts_and_sizes_are_those_of_the_benchmark() {
        let plan = plan(1);
        assert_eq!(plan.files.len(), 5000);
        let wanted = Size::scaled(1, 0.05).bytes;
        assert!(plan.bytes() <= wanted && plan.bytes() > wanted - 1000);
        let small: Vec<_> = plan.files.iter().filter(|f| f.length < 64 * KIB).collect();
        assert!((4890..4960).contains(&small.len()), "{}", small.len());
        let in_small: u64 = small.iter().map(|file| file.length).sum();
        let share = in_small as f64 / wanted as f64;
        assert!((0.11..0.17).contains(&share), "{share}");
    }

    #[test]
    fn every_path_is_there_once_below_a_directory_that_comes_before() {
        let plan = plan(3);
        let mut seen: HashSet<&str> = HashSet::new();
        for directory in &plan.directories {
            let parent = directory.rsplit_once('/').map(|(parent, _)| parent);
            assert!(parent.is_none_or(|parent| seen.contains(parent)));
            assert!(seen.insert(directory));
        }
        let links = plan.links.iter().map(|(path, _)| path);
        for path in plan.files.iter().map(|file| &file.path).chain(links) {
            let (parent, _) = path.rsplit_once('/').unwrap();
            assert!(plan.directories.iter().any(|directory| directory == parent));
            assert!(seen.insert(path), "{path}");
        }
    }
}
