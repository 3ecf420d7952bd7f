//! Words that no file of the project holds: paths of one machine, unfinished code, silenced tests.

use super::tree::Tree;
use super::{Finding, code};

/// Put together here, so that this file does not hold them itself.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/fa", "rm/"),
    concat!("/ro", "ot/"),
];
const NOTES: &[&str] = &[concat!("FIX", "ME"), concat!("XX", "X")];
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "#[ignore"];

/// Kinds of files that people write.
const WRITTEN: &[&str] = &[
    "rs", "md", "toml", "yaml", "yml", "sql", "sh", "html", "css",
];
const SCRIPTS: &str = ".ci/";

/// Looks through everything that people wrote; in Rust, unfinished code only outside literals.
pub(crate) fn judge(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| is_written(path)) {
        for word in MACHINE_PATHS {
            let places = text.match_indices(word).map(|(at, _)| at);
            findings.extend(at_each(path, text, places, word));
        }
        for word in NOTES {
            findings.extend(at_each(path, text, code::words(text, word), word));
        }
        if path.ends_with(".rs") {
            let code = code::only(text);
            for word in UNFINISHED {
                let places = code.match_indices(word).map(|(at, _)| at);
                findings.extend(at_each(path, &code, places, word));
            }
        }
    }
    findings
}

fn is_written(path: &str) -> bool {
    let extension = path
        .rsplit('/')
        .next()
        .and_then(|name| name.rsplit_once('.'));
    path.starts_with(SCRIPTS) || extension.is_some_and(|(_, end)| WRITTEN.contains(&end))
}

fn at_each(
    path: &str,
    text: &str,
    places: impl Iterator<Item = usize>,
    word: &str,
) -> Vec<Finding> {
    places
        .map(|at| {
            let place = format!("{path}:{}", code::line_at(text, at));
            Finding::error(place, format!("holds `{word}`"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        judge(&Tree::of([(path, text)])).len()
    }

    #[test]
    fn each_word_is_found_where_it_counts() {
        for word in MACHINE_PATHS.iter().chain(NOTES) {
            for path in ["a.rs", "b.md", ".ci/run"] {
                assert_eq!(
                    count(path, &format!("// see {word} there\n")),
                    1,
                    "{word} {path}"
                );
            }
        }
        for word in UNFINISHED {
            assert_eq!(count("a.rs", &format!("    {word}();\n")), 1, "{word}");
        }
    }

    #[test]
    fn other_files_and_other_words_are_left_alone() {
        assert_eq!(count("a.rs", "// no todo! here\nlet x = \"todo!\";"), 0);
        assert_eq!(
            count("a.sh", &format!("mktemp a.{}{}", NOTES[1], NOTES[1])),
            0
        );
        assert_eq!(count("golden/pack", MACHINE_PATHS[0]), 0);
        assert_eq!(count("a.rs", "let p = \"/workshop\";"), 0);
    }
}
