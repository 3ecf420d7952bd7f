//! Small changes to statements of a schema: foreign keys taken out, an index called otherwise.

use std::ops::Range;

/// One word, name or sign of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    kind: Kind,
    at: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    /// A name or a text between signs.
    Quoted,
    Open,
    Close,
    Comma,
    Other,
}

/// A statement, taken apart.
struct Statement<'s> {
    text: &'s str,
    tokens: Vec<Token>,
}

impl<'s> Statement<'s> {
    fn of(text: &'s str) -> Statement<'s> {
        let bytes = text.as_bytes();
        let (mut tokens, mut at) = (Vec::new(), 0);
        while let Some(byte) = bytes.get(at).copied() {
            let rest = text.get(at..).unwrap_or_default();
            let (kind, length) = match byte {
                b if b.is_ascii_whitespace() => {
                    at += 1;
                    continue;
                }
                b'-' if rest.starts_with("--") => {
                    at += rest.find('\n').unwrap_or(rest.len());
                    continue;
                }
                b'/' if rest.starts_with("/*") => {
                    at += rest.find("*/").map_or(rest.len(), |end| end + 2);
                    continue;
                }
                b'"' | b'`' | b'\'' => (Kind::Quoted, quoted_length(rest, byte)),
                b'[' => (
                    Kind::Quoted,
                    rest.find(']').map_or(rest.len(), |end| end + 1),
                ),
                b'(' => (Kind::Open, 1),
                b')' => (Kind::Close, 1),
                b',' => (Kind::Comma, 1),
                b if is_of_word(b) => {
                    let length = rest.bytes().take_while(|b| is_of_word(*b)).count();
                    (Kind::Word, length)
                }
                _ => (Kind::Other, 1),
            };
            tokens.push(Token {
                kind,
                at: at..at + length,
            });
            at += length;
        }
        Statement { text, tokens }
    }

    fn kind(&self, at: usize) -> Option<Kind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    fn text(&self, at: usize) -> &'s str {
        let range = self.tokens.get(at).map(|token| token.at.clone());
        range
            .and_then(|range| self.text.get(range))
            .unwrap_or_default()
    }

    fn is(&self, at: usize, word: &str) -> bool {
        self.kind(at) == Some(Kind::Word) && self.text(at).eq_ignore_ascii_case(word)
    }

    fn is_before(&self, at: usize, back: usize, word: &str) -> bool {
        at.checked_sub(back).is_some_and(|at| self.is(at, word))
    }

    /// What a name means without its signs.
    fn meaning(&self, at: usize) -> String {
        let text = self.text(at);
        let inside = text
            .get(1..text.len().saturating_sub(1))
            .unwrap_or_default();
        match text.bytes().next() {
            Some(b'[') => inside.to_owned(),
            Some(sign @ (b'"' | b'`' | b'\'')) => {
                let sign = char::from(sign).to_string();
                inside.replace(&sign.repeat(2), &sign)
            }
            _ => text.to_owned(),
        }
    }

    /// The first token behind the parentheses that open here; here if none do.
    fn behind(&self, open: usize) -> usize {
        if self.kind(open) != Some(Kind::Open) {
            return open;
        }
        let mut depth = 0_usize;
        for at in open..self.tokens.len() {
            match self.kind(at) {
                Some(Kind::Open) => depth += 1,
                Some(Kind::Close) => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return at + 1;
            }
        }
        self.tokens.len()
    }

    /// Where the parentheses open that close here.
    fn opening(&self, close: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for at in (0..=close).rev() {
            match self.kind(at) {
                Some(Kind::Close) => depth += 1,
                Some(Kind::Open) => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return Some(at);
            }
        }
        None
    }

    /// How many tokens the clause of a foreign key has that begins here, if one does.
    fn clause(&self, at: usize) -> Option<usize> {
        let is_not = self.is(at, "NOT") && self.is(at + 1, "DEFERRABLE");
        let has_two = is_not || self.is(at, "MATCH") || self.is(at, "INITIALLY");
        if self.is(at, "ON") {
            let has_four = self.is(at + 2, "SET") || self.is(at + 2, "NO");
            return Some(if has_four { 4 } else { 3 });
        }
        if has_two {
            return Some(2);
        }
        self.is(at, "DEFERRABLE").then_some(1)
    }

    /// The tokens of the foreign key whose word `REFERENCES` stands here.
    fn foreign_key(&self, references: usize) -> Range<usize> {
        let mut end = self.behind(references + 2);
        while let Some(length) = self.clause(end) {
            end += length;
        }
        let mut begin = references;
        let columns = references
            .checked_sub(1)
            .filter(|at| self.kind(*at) == Some(Kind::Close))
            .and_then(|at| self.opening(at));
        let of_table = columns
            .filter(|open| self.is_before(*open, 1, "KEY") && self.is_before(*open, 2, "FOREIGN"));
        if let Some(open) = of_table {
            begin = open - 2;
        }
        if self.is_before(begin, 2, "CONSTRAINT") {
            begin -= 2;
        }
        let comma = begin.checked_sub(1);
        if of_table.is_some() && comma.is_some_and(|at| self.kind(at) == Some(Kind::Comma)) {
            begin -= 1;
        }
        begin..end.min(self.tokens.len())
    }
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// The length of what begins with this sign and ends with it; twice the sign is the sign itself.
fn quoted_length(text: &str, sign: u8) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        if *byte == sign {
            if bytes.get(at + 1) != Some(&sign) {
                return at + 1;
            }
            at += 1;
        }
        at += 1;
    }
    bytes.len()
}

/// A table's statement without its foreign keys to tables that do not come along, and to which those were.
pub(super) fn without_foreign_keys(
    sql: &str,
    comes_along: impl Fn(&str) -> bool,
) -> (String, Vec<String>) {
    let statement = Statement::of(sql);
    let (mut out, mut from, mut to) = (String::new(), 0, Vec::new());
    for at in 0..statement.tokens.len() {
        if !statement.is(at, "REFERENCES") {
            continue;
        }
        let table = statement.meaning(at + 1);
        if comes_along(&table) {
            continue;
        }
        let gone = statement.foreign_key(at);
        let begin = statement.tokens.get(gone.start).map(|t| t.at.start);
        let end = gone
            .end
            .checked_sub(1)
            .and_then(|last| statement.tokens.get(last));
        if let (Some(begin), Some(end)) = (begin, end) {
            out.push_str(sql.get(from..begin).unwrap_or_default());
            from = end.at.end;
            to.push(table);
        }
    }
    out.push_str(sql.get(from..).unwrap_or_default());
    (out, to)
}

/// An index's statement with another name, which is quoted; nothing if it is none.
pub(super) fn index_called(sql: &str, name: &str) -> Option<String> {
    let statement = Statement::of(sql);
    let index = (0..3).find(|at| statement.is(*at, "INDEX"))?;
    let range = statement.tokens.get(index + 1)?.at.clone();
    let (head, tail) = (sql.get(..range.start)?, sql.get(range.end..)?);
    Some(format!("{head}{name}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(sql: &str) -> (String, Vec<String>) {
        without_foreign_keys(sql, |table| table.eq_ignore_ascii_case("kept"))
    }

    #[test]
    fn foreign_keys_to_other_tables_go_and_nothing_else() {
        let all = [
            (
                "CREATE TABLE t(a int REFERENCES other(id) ON DELETE SET NULL ON UPDATE CASCADE NOT NULL, b)",
                "CREATE TABLE t(a int  NOT NULL, b)",
            ),
            (
                "CREATE TABLE t(a CONSTRAINT c REFERENCES [other] DEFERRABLE INITIALLY DEFERRED UNIQUE)",
                "CREATE TABLE t(a  UNIQUE)",
            ),
            (
                "CREATE TABLE t(a, b, CONSTRAINT c FOREIGN KEY (a, b) REFERENCES \"other\" (x, y) MATCH FULL NOT DEFERRABLE, CHECK (a > (b)))",
                "CREATE TABLE t(a, b, CHECK (a > (b)))",
            ),
            (
                "CREATE TABLE t(a, FOREIGN KEY(a) REFERENCES other ON DELETE NO ACTION) STRICT",
                "CREATE TABLE t(a) STRICT",
            ),
            (
                "CREATE TABLE t(a DEFAULT 'REFERENCES other', -- REFERENCES other\n b REFERENCES `other`)",
                "CREATE TABLE t(a DEFAULT 'REFERENCES other', -- REFERENCES other\n b )",
            ),
        ];
        for (from, wanted) in all {
            let (out, to) = stripped(from);
            assert_eq!(out, wanted);
            assert_eq!(to, ["other"]);
        }
    }

    #[test]
    fn what_comes_along_stays_as_it_is() {
        let sql = "CREATE TABLE t(a REFERENCES KEPT, b /* REFERENCES x */, FOREIGN KEY (b) REFERENCES kept (b))";
        assert_eq!(stripped(sql), (sql.to_owned(), Vec::new()));
        for torn in [
            "",
            "REFERENCES",
            "(((",
            "CREATE TABLE t(a REFERENCES",
            "'",
            "FOREIGN KEY (a) REFERENCES",
        ] {
            let _ = stripped(torn);
        }
    }

    #[test]
    fn an_index_is_called_otherwise() {
        let called = |sql| index_called(sql, "\"new\"");
        assert_eq!(
            called("CREATE UNIQUE INDEX \"a \"\"b\" ON t(x)").as_deref(),
            Some("CREATE UNIQUE INDEX \"new\" ON t(x)")
        );
        assert_eq!(
            called("CREATE INDEX by_x ON t(x) WHERE x > 1").as_deref(),
            Some("CREATE INDEX \"new\" ON t(x) WHERE x > 1")
        );
        assert_eq!(called("CREATE TABLE t(a)"), None);
    }
}
