//! What a capture of files leaves out: patterns in the manner of `.gitignore`.

use std::path::Path;

use vouchsafe_capture::TreePath;

/// A pattern that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the exclude pattern `{pattern}` cannot be used: {reason}")]
pub struct ExcludeError {
    /// The pattern as given.
    pub pattern: String,
    /// What is wrong with it, and what to do.
    pub reason: &'static str,
}

/// Compiled exclude patterns of one source.
///
/// - A pattern without a slash (`*.tmp`) applies to names at any depth; one with a slash in it applies to the path
///   below the source's root.
/// - One that begins with a slash is either below the source's root (`/cache`) or an absolute path within the source
///   (`/var/www/cache`).
/// - A slash at the end (`cache/`) restricts it to directories; what lies below an excluded directory is not looked at.
/// - `*` and `?` do not match a slash, `[a-z]` and `[!a-z]` are classes, `**` is any number of directories, `\` takes
///   the next character literally.
/// - A pattern that begins with `!` takes back what an earlier one excluded; the last one that matches decides.
#[derive(Debug, Clone, Default)]
pub struct Excludes {
    patterns: Vec<Pattern>,
    /// The names of the source's root, for absolute patterns.
    root: Vec<Vec<u32>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    parts: Vec<Part>,
    takes_back: bool,
    directories_only: bool,
    /// Begins with a slash: may also be an absolute path.
    absolute: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Any number of directories, also none.
    Any,
    /// One name.
    Name(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(u32),
    One,
    Star,
    Class {
        negated: bool,
        ranges: Vec<(u32, u32)>,
    },
}

impl Excludes {
    /// Reads the patterns for a source with this absolute root.
    pub fn new(patterns: &[String], root: &Path) -> Result<Excludes, ExcludeError> {
        let names = TreePath::from_fs(root).unwrap_or_default();
        Ok(Excludes {
            patterns: patterns
                .iter()
                .map(|p| Pattern::parse(p))
                .collect::<Result<_, _>>()?,
            root: names.names().iter().map(|n| characters(n)).collect(),
        })
    }

    /// Whether what lies at this path below the root is left out.
    pub fn excludes(&self, below_root: &[Vec<u8>], is_directory: bool) -> bool {
        if self.patterns.is_empty() {
            return false;
        }
        let path: Vec<Vec<u32>> = below_root.iter().map(|n| characters(n)).collect();
        let decides = self.patterns.iter().rev().find(|p| {
            (is_directory || !p.directories_only)
                && (matches(&p.parts, &path) || (p.absolute && self.matches_absolute(p, &path)))
        });
        decides.is_some_and(|p| !p.takes_back)
    }

    fn matches_absolute(&self, pattern: &Pattern, path: &[Vec<u32>]) -> bool {
        let whole: Vec<Vec<u32>> = self.root.iter().chain(path).cloned().collect();
        matches(&pattern.parts, &whole)
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Pattern, ExcludeError> {
        let bad = |reason| ExcludeError {
            pattern: text.to_owned(),
            reason,
        };
        let (takes_back, rest) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (directories_only, rest) = match rest.strip_suffix('/') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let absolute = rest.starts_with('/');
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        if rest.is_empty() {
            return Err(bad(
                "it names nothing; write a name like *.tmp or a path like /cache",
            ));
        }
        let mut parts = Vec::new();
        if !absolute && !rest.contains('/') {
            parts.push(Part::Any);
        }
        for name in rest.split('/') {
            parts.push(match name {
                "" => return Err(bad("it has two slashes in a row; write one")),
                "." | ".." => {
                    return Err(bad("it has a part `.` or `..`; write the path without it"));
                }
                "**" => Part::Any,
                name => Part::Name(tokens(name).map_err(bad)?),
            });
        }
        // `a/**` is what lies in `a`, not `a` itself.
        if parts.last() == Some(&Part::Any) {
            parts.push(Part::Name(vec![Token::Star]));
        }
        Ok(Pattern {
            parts,
            takes_back,
            directories_only,
            absolute,
        })
    }
}

/// Characters of a name; bytes that are not UTF-8 become numbers beyond all characters.
fn characters(name: &[u8]) -> Vec<u32> {
    let mut out = Vec::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        out.extend(chunk.valid().chars().map(u32::from));
        out.extend(chunk.invalid().iter().map(|b| 0x11_0000 + u32::from(*b)));
    }
    out
}

fn tokens(name: &str) -> Result<Vec<Token>, &'static str> {
    let mut out = Vec::new();
    let mut rest = name.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' if out.last() == Some(&Token::Star) => {}
            '*' => out.push(Token::Star),
            '?' => out.push(Token::One),
            '\\' => out.push(Token::Literal(
                rest.next()
                    .ok_or("it ends in `\\`; write `\\\\` for a backslash")?
                    .into(),
            )),
            '[' => out.push(class(&mut rest)?),
            c => out.push(Token::Literal(c.into())),
        }
    }
    Ok(out)
}

fn class(rest: &mut std::str::Chars<'_>) -> Result<Token, &'static str> {
    const OPEN: &str = "a `[` has no `]`; write `\\[` for a bracket";
    let mut ranges = Vec::new();
    let mut next = rest.next().ok_or(OPEN)?;
    let negated = matches!(next, '!' | '^');
    if negated {
        next = rest.next().ok_or(OPEN)?;
    }
    loop {
        let low = if next == '\\' {
            rest.next().ok_or(OPEN)?
        } else {
            next
        };
        let mut ahead = rest.clone();
        let mut high = low;
        if ahead.next() == Some('-') && ahead.clone().next() != Some(']') {
            high = ahead.next().ok_or(OPEN)?;
            if high == '\\' {
                high = ahead.next().ok_or(OPEN)?;
            }
            *rest = ahead;
        }
        if high < low {
            return Err("a range in `[…]` runs backwards; write the smaller character first");
        }
        ranges.push((low.into(), high.into()));
        next = rest.next().ok_or(OPEN)?;
        if next == ']' {
            return Ok(Token::Class { negated, ranges });
        }
    }
}

/// Whether the parts match the whole path: a table over both, so that many `**` cost no more than their product.
fn matches(parts: &[Part], path: &[Vec<u32>]) -> bool {
    // `reach[j]`: the parts so far match the first `j` names.
    let mut reach = vec![false; path.len() + 1];
    if let Some(first) = reach.first_mut() {
        *first = true;
    }
    for part in parts {
        let mut next = vec![false; path.len() + 1];
        match part {
            Part::Any => {
                let mut seen = false;
                for (to, from) in next.iter_mut().zip(&reach) {
                    seen |= *from;
                    *to = seen;
                }
            }
            Part::Name(tokens) => {
                for ((to, from), name) in next.iter_mut().skip(1).zip(&reach).zip(path) {
                    *to = *from && name_matches(tokens, name);
                }
            }
        }
        reach = next;
    }
    reach.last() == Some(&true)
}

/// Matches one name: on a mismatch the last star takes one character more.
fn name_matches(tokens: &[Token], name: &[u32]) -> bool {
    let (mut t, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        match (tokens.get(t), name.get(n)) {
            (None, None) => return true,
            (Some(Token::Star), _) => {
                star = Some((t, n));
                t += 1;
                continue;
            }
            (Some(token), Some(c)) if token.takes(*c) => {
                t += 1;
                n += 1;
                continue;
            }
            _ => {}
        }
        match star {
            Some((at, taken)) if taken < name.len() => {
                star = Some((at, taken + 1));
                t = at + 1;
                n = taken + 1;
            }
            _ => return false,
        }
    }
}

impl Token {
    fn takes(&self, c: u32) -> bool {
        match self {
            Token::Literal(own) => *own == c,
            Token::One => true,
            Token::Star => false,
            Token::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn excluded(patterns: &[&str], path: &str, is_directory: bool) -> bool {
        let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
        let excludes = Excludes::new(&patterns, Path::new("/var/www")).expect("patterns");
        excludes.excludes(
            TreePath::parse(path.as_bytes()).expect("a path").names(),
            is_directory,
        )
    }

    #[test]
    fn patterns_do_what_is_documented() {
        let cases: [(&str, &str, bool, bool); 27] = [
            ("*.tmp", "a.tmp", false, true),
            ("*.tmp", "x/y/a.tmp", false, true),
            ("*.tmp", "a.tmpx", false, false),
            ("/cache", "cache", true, true),
            ("/cache", "x/cache", true, false),
            ("/var/www/cache", "cache", true, true),
            ("/var/www/*/logs", "site/logs", true, true),
            ("/var/www/cache", "x/cache", true, false),
            ("cache/", "x/cache", true, true),
            ("cache/", "x/cache", false, false),
            ("a/b", "a/b", false, true),
            ("a/b", "x/a/b", false, false),
            ("**/b", "x/a/b", false, true),
            ("**/a/b", "a/b", false, true),
            ("a/**", "a/x/y", false, true),
            ("a/**", "a", true, false),
            ("a/**/z", "a/z", false, true),
            ("a/**/z", "a/b/c/z", false, true),
            ("a/*/z", "a/b/c/z", false, false),
            ("?.log", "ä.log", false, true),
            ("?.log", "ab.log", false, false),
            ("[a-c]x", "bx", false, true),
            ("[!a-c]x", "bx", false, false),
            ("[]x]y", "]y", false, true),
            ("\\*", "*", false, true),
            ("\\*", "a", false, false),
            ("a*b*c", "aXbbYc", false, true),
        ];
        for (pattern, path, is_directory, expected) in cases {
            assert_eq!(
                excluded(&[pattern], path, is_directory),
                expected,
                "{pattern} on {path}"
            );
        }
    }

    #[test]
    fn the_last_match_decides() {
        assert!(!excluded(&["*.log", "!keep.log"], "keep.log", false));
        assert!(excluded(&["!keep.log", "*.log"], "keep.log", false));
    }

    #[test]
    fn names_that_are_not_utf8_match_byte_by_byte() {
        let excludes = Excludes::new(&["a?b".to_owned()], Path::new("/")).expect("patterns");
        assert!(excludes.excludes(&[b"a\xffb".to_vec()], false));
        assert!(!excludes.excludes(&[b"a\xff\xffb".to_vec()], false));
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for bad in [
            "", "/", "!", "a//b", "../x", "[a", "x\\", "[z-a]", "[", "a/./b",
        ] {
            assert!(Pattern::parse(bad).is_err(), "{bad} was accepted");
        }
    }

    /// The definition, read aloud: exponential, and for short texts only.
    fn slow(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                slow(rest, name) || name.split_first().is_some_and(|(_, n)| slow(pattern, n))
            }
            (Some(('?', rest)), Some((_, n))) => slow(rest, n),
            (Some((p, rest)), Some((c, n))) => p == c && slow(rest, n),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn names_match_as_defined(pattern in "[ab*?]{1,7}", name in "[ab]{1,8}") {
            prop_assume!(pattern != "**");
            let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
            prop_assert_eq!(excluded(&[&pattern], &name, false), slow(&p, &n));
        }

        #[test]
        fn an_escaped_name_matches_itself_only(name in "[ -~&&[^/]]{1,8}", other in "[ -~&&[^/]]{1,8}") {
            prop_assume!(name != "." && name != ".." && other != "." && other != "..");
            let pattern: String = name.chars().flat_map(|c| ['\\', c]).collect();
            prop_assert!(excluded(&[&pattern], &name, false));
            prop_assert_eq!(excluded(&[&pattern], &other, false), name == other);
        }

        #[test]
        fn no_pattern_panics(pattern in "\\PC{0,12}", path in "[a-c/*]{0,12}") {
            if let Ok(excludes) = Excludes::new(&[pattern], Path::new("/r"))
                && let Ok(path) = TreePath::parse(path.as_bytes()) {
                excludes.excludes(path.names(), true);
            }
        }
    }
}
