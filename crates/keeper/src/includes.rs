//! The files that a policy includes: found, bounded, and read from a folder or from a commit.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use vouchsafe_host::files;
use vouchsafe_policy::files::{FileMap, JoinError, MOST_BYTES, MOST_FILES, is_below, join};
use vouchsafe_policy::{Include, IncludeFault, Level, Problem, includes};
use vouchsafe_sources::Excludes;

use crate::error::chain;
use crate::keeper::Tools;
use crate::signed::{git, words};

/// Deeper chains of files that include files are not followed.
const DEEPEST: usize = 8;

/// Where the files of a policy lie. Names are relative to the policy's folder, with `/`.
pub(crate) trait Tree {
    /// The names in a folder, each with whether it is a folder itself; sorted.
    fn list(&self, folder: &str) -> Result<Vec<(String, bool)>, String>;
    /// The text of a file, if it lies within `folder` by way of all links.
    fn read(&self, name: &str, folder: &str) -> Result<String, Unread>;
}

/// Why a file is not read.
pub(crate) enum Unread {
    /// A link leads out of the folder.
    Elsewhere,
    /// Something else.
    Failed(String),
}

/// The whole policy as one text, and what is wrong with what it includes.
pub(crate) struct Gathered {
    pub(crate) text: String,
    pub(crate) problems: Vec<Problem>,
}

/// Follows every `include`, beginning with the text of the first file, which is called `main`.
pub(crate) fn gather(main: &str, text: String, tree: &dyn Tree) -> Gathered {
    let mut gatherer = Gatherer {
        main,
        tree,
        found: BTreeMap::new(),
        bytes: text.len(),
        told: Vec::new(),
    };
    let mut above = vec![main.to_owned()];
    gatherer.follow("", &text, &mut above);
    let (found, mut told) = (gatherer.found, gatherer.told);
    let joined = match join(&text, &found) {
        Ok(joined) => joined,
        Err(error) => {
            let (JoinError::Mark { file } | JoinError::Name { file }) = &error;
            told.push(((file.clone(), 1, 1), error.into()));
            text
        }
    };
    let map = FileMap::of(&joined, main);
    let problems = told.into_iter().map(|((file, line, column), fault)| {
        let name = match file.is_empty() {
            true => main,
            false => &file,
        };
        Problem {
            code: fault.code(),
            level: Level::Error,
            line: map.line_of(name, line).unwrap_or(1),
            column,
            message: fault.to_string(),
            remedy: fault.remedy().to_owned(),
        }
    });
    Gathered {
        problems: problems.collect(),
        text: joined,
    }
}

/// File (empty for the first), line and column.
type At = (String, usize, usize);

struct Gatherer<'a> {
    main: &'a str,
    tree: &'a dyn Tree,
    found: BTreeMap<String, String>,
    bytes: usize,
    told: Vec<(At, IncludeFault)>,
}

impl Gatherer<'_> {
    fn follow(&mut self, file: &str, text: &str, above: &mut Vec<String>) {
        for include in includes(text) {
            let at = (file.to_owned(), include.place.0, include.place.1);
            if above.len() > DEEPEST {
                self.say(at, IncludeFault::Deep { most: DEEPEST });
                continue;
            }
            self.one(file, &include, at, above);
        }
    }

    fn one(&mut self, file: &str, include: &Include, at: At, above: &mut Vec<String>) {
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !is_below(&include.pattern) || include.pattern.contains("**") {
            let name = include.pattern.clone();
            self.say(at, IncludeFault::Outside { name });
            return;
        }
        let names = match self.expand(folder, &include.pattern) {
            Ok(names) => names,
            Err(why) => {
                let name = include.pattern.clone();
                self.say(at, IncludeFault::Unread { name, why });
                return;
            }
        };
        if names.is_empty() {
            let pattern = include.pattern.clone();
            self.say(at.clone(), IncludeFault::Nothing { pattern });
        }
        for name in names {
            self.take(&name, folder, &at, above);
        }
    }

    fn take(&mut self, name: &str, folder: &str, at: &At, above: &mut Vec<String>) {
        let is_main = name == self.main;
        if is_main || above.iter().any(|file| file == name) {
            let name = name.to_owned();
            self.say(at.clone(), IncludeFault::Itself { name });
            return;
        }
        if self.found.contains_key(name) {
            return;
        }
        if self.found.len() + 1 >= MOST_FILES {
            if !self.told.iter().any(|(_, f)| *f == IncludeFault::Many) {
                self.say(at.clone(), IncludeFault::Many);
            }
            return;
        }
        let text = match self.tree.read(name, folder) {
            Ok(text) => text,
            Err(Unread::Elsewhere) => {
                let name = name.to_owned();
                self.say(at.clone(), IncludeFault::Outside { name });
                return;
            }
            Err(Unread::Failed(why)) => {
                let name = name.to_owned();
                self.say(at.clone(), IncludeFault::Unread { name, why });
                return;
            }
        };
        self.bytes += text.len();
        if self.bytes > MOST_BYTES {
            self.say(at.clone(), IncludeFault::Long);
            return;
        }
        self.found.insert(name.to_owned(), text.clone());
        above.push(name.to_owned());
        self.follow(name, &text, above);
        above.pop();
    }

    /// The names that a pattern means, part by part, so that nothing is looked at that it cannot mean.
    fn expand(&self, folder: &str, pattern: &str) -> Result<Vec<String>, String> {
        let parts: Vec<&str> = pattern.split('/').collect();
        let mut found = vec![folder.to_owned()];
        for (n, part) in parts.iter().enumerate() {
            let is_last = n + 1 == parts.len();
            let mut next = Vec::new();
            for folder in &found {
                let within = |name: &str| match folder.is_empty() {
                    true => name.to_owned(),
                    false => format!("{folder}/{name}"),
                };
                if !part.contains(['*', '?', '[']) {
                    next.push(within(part));
                    continue;
                }
                let rooted = [format!("/{part}")];
                let matcher = Excludes::new(&rooted, Path::new("/"))
                    .map_err(|e| format!("`{pattern}` cannot be used: {}", e.reason))?;
                for (name, is_dir) in self.tree.list(folder)? {
                    let fits = matcher.excludes(&[name.clone().into_bytes()], is_dir);
                    if fits && is_dir != is_last && !name.starts_with('.') {
                        next.push(within(&name));
                    }
                }
            }
            found = next;
        }
        Ok(found)
    }

    fn say(&mut self, at: At, fault: IncludeFault) {
        self.told.push((at, fault));
    }
}

/// The files of a folder on this machine.
pub(crate) struct Disk {
    pub(crate) root: PathBuf,
}

impl Tree for Disk {
    fn list(&self, folder: &str) -> Result<Vec<(String, bool)>, String> {
        let path = self.root.join(folder);
        let entries = files::list_entries(&path).map_err(|e| chain(&e))?;
        let named = entries.into_iter().filter_map(|e| {
            let name = e.name.into_string().ok()?;
            Some((name, e.is_dir))
        });
        Ok(named.collect())
    }

    fn read(&self, name: &str, folder: &str) -> Result<String, Unread> {
        let failed = |e: files::FileError| Unread::Failed(chain(&e));
        let inside = files::canonicalize(self.root.join(folder)).map_err(failed)?;
        let path = files::canonicalize(self.root.join(name)).map_err(failed)?;
        if !path.starts_with(&inside) {
            return Err(Unread::Elsewhere);
        }
        files::read_to_string(&path, MOST_BYTES as u64).map_err(failed)
    }
}

/// The files of a folder in a commit.
pub(crate) struct Commit<'a> {
    pub(crate) tools: &'a Tools,
    /// The folder on this machine, which is in a git working tree.
    pub(crate) folder: &'a Path,
    /// The commit's hash.
    pub(crate) commit: &'a str,
}

impl Tree for Commit<'_> {
    fn list(&self, folder: &str) -> Result<Vec<(String, bool)>, String> {
        let below = match folder {
            "" => "./".to_owned(),
            folder => format!("{folder}/"),
        };
        let mut args = words(&["ls-tree", "-z", self.commit, "--"]);
        args.push(OsString::from(&below));
        let listed = git(self.tools, self.folder, &args).map_err(|e| chain(&e))?;
        let text = listed.text();
        let entries = text.split('\0').filter_map(|line| {
            let (about, name) = line.split_once('\t')?;
            let name = name.rsplit('/').next()?;
            // A link in a commit is not followed.
            let kind = about.split(' ').nth(1)?;
            let is_link = about.starts_with("120000");
            (!is_link).then(|| (name.to_owned(), kind == "tree"))
        });
        Ok(entries.collect())
    }

    fn read(&self, name: &str, _folder: &str) -> Result<String, Unread> {
        let object = format!("{}:./{name}", self.commit);
        let args = words(&["show", "--no-textconv", &object]);
        let output = git(self.tools, self.folder, &args).map_err(|e| Unread::Failed(chain(&e)))?;
        String::from_utf8(output.stdout).map_err(|_| Unread::Failed("it is not text".to_owned()))
    }
}
