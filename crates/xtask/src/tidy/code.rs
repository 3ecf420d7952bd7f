//! Rust text reduced to its code, so that words in comments and literals do not count.

/// The same text, of the same length in characters and with the same lines, in which comments and
/// the contents of string and character literals are spaces.
pub(crate) fn only(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let rest = &characters[at..];
        let length = match literal_or_comment(rest, at.checked_sub(1).map(|i| characters[i])) {
            Some(length) => {
                let blank = |c: &char| if *c == '\n' { '\n' } else { ' ' };
                out.extend(rest.iter().take(length).map(blank));
                length
            }
            None => {
                out.push(rest[0]);
                1
            }
        };
        at += length;
    }
    out
}

/// Code without its test modules: from `#[cfg(test)]` before a module, an implementation or an
/// import at the left margin, to the end of that item.
pub(crate) fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if line.trim_end() != "#[cfg(test)]" {
            out.push_str(line);
            out.push('\n');
            continue;
        }
        out.push('\n');
        for line in lines.by_ref() {
            out.push('\n');
            let line = line.trim_end();
            let ends = line == "}" || (line.ends_with(';') && !line.starts_with([' ', '\t']));
            if ends {
                break;
            }
        }
    }
    out
}

/// The number, from one, of the line in which the character at byte `offset` stands.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

/// Where `word` stands in `code` as a word of its own: not as a part of a longer name.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).filter_map(move |(at, found)| {
        let before = code[..at].chars().next_back();
        let after = code[at + found.len()..].chars().next();
        let alone = !before.is_some_and(is_name) && !after.is_some_and(is_name);
        alone.then_some(at)
    })
}

fn literal_or_comment(rest: &[char], before: Option<char>) -> Option<usize> {
    let in_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match rest {
        ['/', '/', ..] => Some(until(rest, |c| c == '\n')),
        ['/', '*', ..] => Some(block_comment(rest)),
        ['"', ..] => Some(quoted(rest)),
        ['r', '"' | '#', ..] if !in_name => raw(rest, 1),
        ['b' | 'c', 'r', '"' | '#', ..] if !in_name => raw(rest, 2),
        ['\'', '\\', ..] => Some(escaped_character(rest)),
        ['\'', _, '\'', ..] => Some(3),
        _ => None,
    }
}

fn until(rest: &[char], ends: impl Fn(char) -> bool) -> usize {
    rest.iter().position(|c| ends(*c)).unwrap_or(rest.len())
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => {
                depth += 1;
                at += 2;
            }
            ['*', '/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

fn quoted(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A raw string whose prefix has `prefix` letters; none if it is a raw name such as `r#type`.
fn raw(rest: &[char], prefix: usize) -> Option<usize> {
    let hashes = rest[prefix..].iter().take_while(|c| **c == '#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&'"') {
        return None;
    }
    let mut at = open + 1;
    while at < rest.len() {
        let closes = rest[at] == '"'
            && rest[at + 1..]
                .iter()
                .take_while(|c| **c == '#')
                .take(hashes)
                .count()
                == hashes;
        if closes {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(rest.len())
}

fn escaped_character(rest: &[char]) -> usize {
    let skip = 3.min(rest.len());
    let end = skip + until(&rest[skip..], |c| c == '\'');
    (end + 1).min(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_become_spaces_of_the_same_length() {
        let text = "a /* x /* y */ z */ b // c\nd \"e\\\"f\" g r#\"h\"i\"# j br\"k\" l 'm' '\\n' n";
        let code = only(text);
        assert_eq!(code.chars().count(), text.chars().count());
        let left: String = code.split_whitespace().collect();
        assert_eq!(left, "abdgjln");
        assert_eq!(code.lines().count(), text.lines().count());
    }

    #[test]
    fn lifetimes_and_raw_names_are_code() {
        let text = "fn f<'a>(x: &'a str, r#type: u8) -> &'a str { x }";
        assert_eq!(only(text), text);
        assert_eq!(only("'\\'' x"), "     x");
        assert_eq!(only("\"open"), "     ");
        assert_eq!(only("/* open"), "       ");
        assert_eq!(only("r\"open"), "      ");
    }

    #[test]
    fn a_test_module_is_cut_and_what_follows_is_kept() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn t() {\n    }\n}\nfn b() {}\n";
        let code = without_tests(text);
        assert!(code.contains("fn a") && code.contains("fn b") && !code.contains("fn t"));
        assert_eq!(code.lines().count(), text.lines().count());
        let text = "#[cfg(test)]\nmod tests;\nfn b() {}\n";
        assert!(without_tests(text).contains("fn b"));
    }

    #[test]
    fn a_word_is_not_found_within_a_longer_name() {
        assert_eq!(words("Instantly, Instant, AnInstant", "Instant").count(), 1);
        assert_eq!(line_at("a\nb\nc", 4), 3);
    }
}
