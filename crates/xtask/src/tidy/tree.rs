//! The files of the workspace as git knows them, tracked or not, without what is ignored.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::code;
use crate::program;

/// Text files by their path from the root, with `/` between the parts.
#[derive(Debug, Default)]
pub(crate) struct Tree(BTreeMap<String, String>);

impl Tree {
    /// Reads every file below `root` that is valid UTF-8; others have no words to judge.
    pub(crate) fn load(root: &Path) -> Result<Self, String> {
        let listed = program::read(Command::new("git").current_dir(root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]))?;
        let mut files = BTreeMap::new();
        for name in listed.split('\0').filter(|name| !name.is_empty()) {
            let path = root.join(name);
            // A file that was removed but not yet committed is still listed.
            if !path.is_file() {
                continue;
            }
            let bytes =
                std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            if let Ok(text) = String::from_utf8(bytes) {
                files.insert(name.to_owned(), text);
            }
        }
        Ok(Self(files))
    }

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// How many files there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All files, in the order of their paths.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (&**path, &**text))
    }

    /// The Rust files, in the order of their paths.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// What ships of the Rust of one crate: its `src` without tests, comments and string literals.
    pub(crate) fn shipped(&self, folder: &str) -> impl Iterator<Item = (&str, String)> {
        let prefix = format!("crates/{folder}/src/");
        self.rust()
            .filter(move |(path, _)| {
                path.strip_prefix(&prefix).is_some_and(|rest| {
                    rest.split('/')
                        .all(|part| part != "tests" && part != "tests.rs")
                })
            })
            .map(|(path, text)| (path, code::without_tests(&code::only(text))))
    }
}

#[cfg(test)]
impl Tree {
    pub(crate) fn of<const N: usize>(files: [(&str, &str); N]) -> Self {
        let owned = |(path, text): (&str, &str)| (path.to_owned(), text.to_owned());
        Self(files.into_iter().map(owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ships_of_one_crate_is_taken() {
        let tree = Tree::of([
            ("crates/a/src/lib.rs", "fn a() {}"),
            ("crates/a/src/deep/tests.rs", "fn t() {}"),
            ("crates/a/tests/it.rs", "fn t() {}"),
            ("crates/ab/src/lib.rs", "fn b() {}"),
            ("crates/a/src/readme.md", "text"),
        ]);
        let paths: Vec<_> = tree.shipped("a").map(|(path, _)| path.to_owned()).collect();
        assert_eq!(paths, ["crates/a/src/lib.rs"]);
    }
}
