//! A policy of several files as one text, which is what is hashed, approved, published and recovered; and back.
//!
//! A policy of one file is its own bytes. Of several, the text begins with the line [`FIRST`]; then comes the file that
//! was named, and then each other file in the order of the names, after a line `#!file NAME`. Names are relative to the
//! folder of the first file, with `/`. Each file ends with a line end, which is added where it is missing. To YAML all
//! of these lines are comments.

use std::collections::BTreeMap;

/// How the text of a policy of several files begins.
pub const FIRST: &str = "#!vouchsafe-policy 1\n";
const FILE: &str = "#!file ";
/// More files are not read.
pub const MOST_FILES: usize = 1_000;
/// More bytes of all files together are not read: 4 MiB.
pub const MOST_BYTES: usize = crate::located::MOST_BYTES;

/// One file of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'t> {
    /// Its name; nothing for the first.
    pub name: Option<&'t str>,
    /// What it holds.
    pub text: &'t str,
    /// The line of the whole text, from 1, on which it begins.
    pub line: usize,
}

/// Why a text cannot be made of files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// A line of a file would be taken for the beginning of another one.
    #[error(
        "{file} has a line that begins with `#!file` or `#!vouchsafe-policy`, which marks where files begin"
    )]
    Mark {
        /// Which; empty for the first.
        file: String,
    },
    /// A name leads elsewhere, or cannot be written on a line.
    #[error("`{file}` is no name of a file below the policy's folder")]
    Name {
        /// As given.
        file: String,
    },
}

/// The text of a policy whose first file is `main`; `others` by their names.
pub fn join(main: &str, others: &BTreeMap<String, String>) -> Result<String, JoinError> {
    let marked = |text: &str| {
        let mut lines = text.lines();
        lines.any(|line| line.starts_with(FILE) || line.starts_with("#!vouchsafe-policy"))
    };
    if marked(main) {
        return Err(JoinError::Mark {
            file: String::new(),
        });
    }
    if others.is_empty() {
        return Ok(main.to_owned());
    }
    let mut out = String::from(FIRST);
    push(&mut out, main);
    for (name, text) in others {
        if !is_below(name) {
            return Err(JoinError::Name { file: name.clone() });
        }
        if marked(text) {
            return Err(JoinError::Mark { file: name.clone() });
        }
        out.push_str(FILE);
        out.push_str(name);
        out.push('\n');
        push(&mut out, text);
    }
    Ok(out)
}

fn push(out: &mut String, text: &str) {
    out.push_str(text);
    if !text.ends_with('\n') {
        out.push('\n');
    }
}

/// Whether a name leads below the folder that it starts from.
pub fn is_below(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(['\n', '\r', '\\'])
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// The files of a text, the first one first. Names that lead elsewhere are not given out: what is in such a file is
/// taken for a part of the one before.
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let Some(rest) = text.strip_prefix(FIRST) else {
        return vec![Part {
            name: None,
            text,
            line: 1,
        }];
    };
    let mut out: Vec<Part<'_>> = Vec::new();
    let (mut name, mut begins, mut first_line) = (None, 0, 2);
    let (mut at, mut line) = (0, 2);
    for one in rest.split_inclusive('\n') {
        if let Some(next) = one.strip_prefix(FILE).map(|n| n.trim_end_matches('\n'))
            && is_below(next)
        {
            out.push(Part {
                name,
                text: rest.get(begins..at).unwrap_or_default(),
                line: first_line,
            });
            (name, begins, first_line) = (Some(next), at + one.len(), line + 1);
        }
        at += one.len();
        line += 1;
    }
    out.push(Part {
        name,
        text: rest.get(begins..).unwrap_or_default(),
        line: first_line,
    });
    out
}

/// Which line of the whole text is which line of which file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileMap {
    /// The first line of each file in the whole text, and the file's name; in order.
    files: Vec<(usize, String)>,
}

impl FileMap {
    /// The map of a text whose first file is called `main`.
    pub fn of(text: &str, main: &str) -> FileMap {
        let files = parts(text)
            .into_iter()
            .map(|part| (part.line, part.name.unwrap_or(main).to_owned()));
        FileMap {
            files: files.collect(),
        }
    }

    /// The file and its line, both for people, of a line of the whole text.
    pub fn locate(&self, line: usize) -> (&str, usize) {
        let at = self.files.partition_point(|(first, _)| *first <= line);
        match self.files.get(at.saturating_sub(1)) {
            Some((first, name)) => (name, line.saturating_sub(*first) + 1),
            None => ("", line),
        }
    }

    /// The line of the whole text of a file's line; nothing if there is no such file.
    pub fn line_of(&self, file: &str, line: usize) -> Option<usize> {
        let (first, _) = self.files.iter().find(|(_, name)| name == file)?;
        Some(first + line - 1)
    }

    /// The names of the files, the first one first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(_, name)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_file_is_its_own_text() {
        let nothing = BTreeMap::new();
        assert_eq!(join("a: 1", &nothing).unwrap(), "a: 1");
        assert_eq!(parts("a: 1").len(), 1);
        assert_eq!(FileMap::of("a: 1\n", "p.yaml").locate(1), ("p.yaml", 1));
    }

    #[test]
    fn lines_are_those_of_their_file() {
        let others = BTreeMap::from([
            ("s/a.yaml".to_owned(), "x\ny".to_owned()),
            ("s/b.yaml".to_owned(), "z\n".to_owned()),
        ]);
        let text = join("m\nn\n", &others).unwrap();
        let map = FileMap::of(&text, "p.yaml");
        for (at, line) in text.lines().enumerate() {
            let found = map.locate(at + 1);
            match line {
                "m" => assert_eq!(found, ("p.yaml", 1)),
                "n" => assert_eq!(found, ("p.yaml", 2)),
                "y" => assert_eq!(found, ("s/a.yaml", 2)),
                "z" => assert_eq!(found, ("s/b.yaml", 1)),
                _ => continue,
            }
            assert_eq!(map.line_of(found.0, found.1), Some(at + 1));
        }
    }

    #[test]
    fn no_file_can_pass_for_another() {
        let others = |name: &str, text: &str| BTreeMap::from([(name.to_owned(), text.to_owned())]);
        for name in ["../a", "/a", "a//b", "", "a\nb", "./a"] {
            let made = join("m\n", &others(name, "x"));
            assert!(matches!(made, Err(JoinError::Name { .. })), "{name}");
        }
        let forged = "x\n#!file b.yaml\ny\n";
        let marked = |made: Result<String, JoinError>| matches!(made, Err(JoinError::Mark { .. }));
        assert!(marked(join("m\n", &others("a.yaml", forged))));
        assert!(marked(join(forged, &BTreeMap::new())));
        assert!(marked(join(FIRST, &BTreeMap::new())));
        let outside = format!("{FIRST}m\n#!file ../../etc/passwd\nx\n");
        assert_eq!(parts(&outside).len(), 1);
    }

    proptest! {
        #[test]
        fn what_is_joined_comes_apart_as_it_was(
            main in "[a-z:\n]{0,40}",
            others in proptest::collection::btree_map("[a-z]{1,4}(/[a-z]{1,4}){0,2}", "[a-z:\n]{0,40}", 0..5),
        ) {
            let text = join(&main, &others).unwrap();
            let whole = |text: &str| match others.is_empty() || text.ends_with('\n') {
                true => text.to_owned(),
                false => format!("{text}\n"),
            };
            let found = parts(&text);
            prop_assert_eq!(found.len(), others.len() + 1);
            prop_assert_eq!(found[0].text, whole(&main));
            for (part, (name, text)) in found[1..].iter().zip(&others) {
                prop_assert_eq!(part.name, Some(name.as_str()));
                prop_assert_eq!(part.text, whole(text));
            }
        }
    }
}
