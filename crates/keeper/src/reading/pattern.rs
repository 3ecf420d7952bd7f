//! What is looked for: the patterns of excludes, and times.

use std::path::Path;

use vouchsafe_capture::TreePath;
use vouchsafe_format::Node;
use vouchsafe_model::Time;
use vouchsafe_sources::Excludes;
use vouchsafe_vault::from_timestamp;

use super::browse::FindOrder;
use crate::error::KeeperError;

/// A compiled order.
pub(super) struct Matcher {
    patterns: Excludes,
    ignore_case: bool,
    newer: Option<Time>,
    older: Option<Time>,
    /// Whether a pattern looks at more of a path than its last name.
    pub(super) by_path: bool,
}

impl Matcher {
    pub(super) fn new(order: &FindOrder) -> Result<Matcher, KeeperError> {
        let patterns: Vec<String> = order
            .patterns
            .iter()
            .map(|pattern| anywhere(&folded(pattern, order.ignore_case)))
            .collect();
        let by_path = patterns
            .iter()
            .any(|p| p.trim_end_matches('/').contains('/'));
        let compiled = Excludes::new(&patterns, Path::new("/")).map_err(|error| {
            let reason = error.reason;
            KeeperError::Pattern {
                pattern: error.pattern,
                reason,
            }
        })?;
        Ok(Matcher {
            patterns: compiled,
            ignore_case: order.ignore_case,
            newer: order.newer,
            older: order.older,
            by_path,
        })
    }

    pub(super) fn matches(&self, path: &TreePath, node: &Node) -> bool {
        let at = from_timestamp(&node.mtime);
        if self.newer.is_some_and(|newer| at <= newer) || self.older.is_some_and(|o| at >= o) {
            return false;
        }
        let is_directory = node.kind == vouchsafe_format::NodeKind::Dir;
        // Without a slash only the last name counts.
        let names = match path.names() {
            names if self.by_path => names,
            names => names.get(names.len().saturating_sub(1)..).unwrap_or(names),
        };
        if !self.ignore_case {
            return self.patterns.excludes(names, is_directory);
        }
        let names: Vec<Vec<u8>> = names
            .iter()
            .map(|name| match std::str::from_utf8(name) {
                Ok(text) => text.to_lowercase().into_bytes(),
                Err(_) => name.to_ascii_lowercase(),
            })
            .collect();
        self.patterns.excludes(&names, is_directory)
    }
}

fn folded(pattern: &str, ignore_case: bool) -> String {
    if ignore_case {
        pattern.to_lowercase()
    } else {
        pattern.to_owned()
    }
}

/// A pattern with a slash in it, but not at its beginning, may match at any depth: a snapshot has its files under
/// their absolute paths.
fn anywhere(pattern: &str) -> String {
    let (not, rest) = match pattern.strip_prefix('!') {
        Some(rest) => ("!", rest),
        None => ("", pattern),
    };
    let inner = rest.trim_end_matches('/');
    if inner.contains('/') && !rest.starts_with('/') && !rest.starts_with("**/") {
        format!("{not}**/{rest}")
    } else {
        pattern.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_format::Timestamp;

    fn found(patterns: &[&str], ignore_case: bool, path: &str) -> bool {
        let order = FindOrder {
            patterns: patterns.iter().map(|p| (*p).to_owned()).collect(),
            ignore_case,
            ..FindOrder::default()
        };
        let path = TreePath::parse(path.as_bytes()).unwrap();
        Matcher::new(&order)
            .unwrap()
            .matches(&path, &Node::default())
    }

    #[test]
    fn patterns_find_what_they_say() {
        for (pattern, ignore_case, path, expected) in [
            ("*.txt", false, "srv/a.txt", true),
            ("*.txt", false, "srv/a.TXT", false),
            ("*.Txt", true, "srv/ä/B.tXT", true),
            ("[A-C]x", true, "srv/bX", true),
            ("srv/*.txt", false, "var/srv/a.txt", true),
            ("/srv/*.txt", false, "var/srv/a.txt", false),
            ("/srv/*.txt", false, "srv/a.txt", true),
            ("srv", false, "srv/a.txt", false),
            ("a/", false, "srv/a", false),
        ] {
            assert_eq!(found(&[pattern], ignore_case, path), expected, "{pattern}");
        }
        assert!(!found(&["*.txt", "!a.*"], false, "srv/a.txt"));
    }

    #[test]
    fn times_limit_from_both_sides() {
        let at = |secs| Node {
            mtime: Timestamp::utc(secs, 0),
            ..Node::default()
        };
        let order = FindOrder {
            patterns: vec!["*".to_owned()],
            newer: Some(Time::from_secs(10)),
            older: Some(Time::from_secs(20)),
            ..FindOrder::default()
        };
        let matcher = Matcher::new(&order).unwrap();
        let path = TreePath::parse(b"a").unwrap();
        let seen: Vec<bool> = [10, 11, 19, 20]
            .map(|secs| matcher.matches(&path, &at(secs)))
            .to_vec();
        assert_eq!(seen, [false, true, true, false]);
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let order = FindOrder {
            patterns: vec!["[a".to_owned()],
            ..FindOrder::default()
        };
        assert!(matches!(
            Matcher::new(&order),
            Err(KeeperError::Pattern { .. })
        ));
    }
}
