//! Names as restic stores them: Go's quoted strings without the quotes.
//!
//! Source of the rules: the documentation of Go's `strconv.Quote` and `Unquote`.

use crate::printable::is_printable;

/// A name's quoted form: printable characters as they are, the others and bytes
/// that are not UTF-8 as escapes.
pub fn quote(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    for chunk in name.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push_quoted(&mut out, c));
        chunk
            .invalid()
            .iter()
            .for_each(|byte| push_byte(&mut out, *byte));
    }
    out
}

/// The name behind a quoted form; `None` if it is not one.
///
/// All of Go's escapes are understood, not only those that [`quote`] uses.
pub fn unquote(quoted: &str) -> Option<Vec<u8>> {
    if quoted.contains(['"', '\n']) && !only_escaped_quotes(quoted) {
        return None;
    }
    let mut out = Vec::with_capacity(quoted.len());
    let mut rest = quoted;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at_checked(at)?;
        out.extend_from_slice(plain.as_bytes());
        rest = take_escape(escape.get(1..)?, &mut out)?;
    }
    out.extend_from_slice(rest.as_bytes());
    Some(out)
}

const HEX: [u8; 16] = *b"0123456789abcdef";

fn push_quoted(out: &mut String, c: char) {
    match c {
        '"' | '\\' => out.extend(['\\', c]),
        _ if is_printable(c) => out.push(c),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        '\0'..=' ' | '\x7f' => push_byte(out, c as u8),
        _ => {
            let point = u32::from(c);
            let (mark, digits) = if point < 0x1_0000 { ('u', 4) } else { ('U', 8) };
            out.extend(['\\', mark]);
            for digit in (0..digits).rev() {
                push_digit(out, (point >> (4 * digit)) as u8);
            }
        }
    }
}

fn push_byte(out: &mut String, byte: u8) {
    out.push_str("\\x");
    push_digit(out, byte >> 4);
    push_digit(out, byte);
}

fn push_digit(out: &mut String, value: u8) {
    out.push(char::from(HEX[usize::from(value & 15)]));
}

/// Whether each double quote is behind a backslash, and no line ends.
fn only_escaped_quotes(quoted: &str) -> bool {
    let mut bytes = quoted.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' | b'\n' => return false,
            b'\\' if bytes.next() == Some(b'\n') => return false,
            _ => {}
        }
    }
    true
}

/// Appends what the escape stands for; `text` begins behind the backslash.
fn take_escape<'a>(text: &'a str, out: &mut Vec<u8>) -> Option<&'a str> {
    let kind = *text.as_bytes().first()?;
    let rest = text.get(1..)?;
    let byte = match kind {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' | b'"' => kind,
        b'x' => {
            let (value, rest) = take_digits(rest, 2, 16)?;
            out.push(u8::try_from(value).ok()?);
            return Some(rest);
        }
        b'0'..=b'7' => {
            let (value, rest) = take_digits(text, 3, 8)?;
            out.push(u8::try_from(value).ok()?);
            return Some(rest);
        }
        b'u' | b'U' => {
            let (value, rest) = take_digits(rest, if kind == b'u' { 4 } else { 8 }, 16)?;
            let c = char::from_u32(value)?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(rest);
        }
        _ => return None,
    };
    out.push(byte);
    Some(rest)
}

fn take_digits(text: &str, count: usize, radix: u32) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(count)?;
    if !digits.bytes().all(|b| char::from(b).is_digit(radix)) {
        return None;
    }
    Some((u32::from_str_radix(digits, radix).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_as_go_quotes_them() {
        for (name, quoted) in [
            (b"plain name.txt".as_slice(), "plain name.txt"),
            (b"a\"b\\c'd`", "a\\\"b\\\\c'd`"),
            (b"\x07\x08\x0c\n\r\t\x0b", r"\a\b\f\n\r\t\v"),
            (b"\x01\x1f\x7f", r"\x01\x1f\x7f"),
            (b"\xff\xc3(\xe2\x82", r"\xff\xc3(\xe2\x82"),
            (b"\xed\xa0\x80", r"\xed\xa0\x80"),
            ("é\u{a0}\u{85}\u{ad}".as_bytes(), "é\\u00a0\\u0085\\u00ad"),
            (
                "\u{2028}\u{200b}\u{feff}\u{3000}".as_bytes(),
                r"\u2028\u200b\ufeff\u3000",
            ),
            (
                "\u{fffd}\u{e000}\u{ffff}".as_bytes(),
                "\u{fffd}\\ue000\\uffff",
            ),
            (
                "😀\u{10ffff}\u{e0001}".as_bytes(),
                "😀\\U0010ffff\\U000e0001",
            ),
            // Assigned in Unicode 15.0; assigned later only, in 16.0.
            ("\u{1fae8}\u{1fae9}".as_bytes(), "\u{1fae8}\\U0001fae9"),
        ] {
            assert_eq!(quote(name), quoted);
            assert_eq!(unquote(quoted).as_deref(), Some(name), "{quoted}");
        }
    }

    #[test]
    fn all_of_gos_escapes_are_understood() {
        assert_eq!(unquote(r"\101\u0041\U00000041\x41").unwrap(), b"AAAA");
        assert_eq!(unquote(r"\377\000").unwrap(), b"\xff\0");
    }

    #[test]
    fn what_is_no_quoted_name_is_refused() {
        for bad in [
            "\\",
            "a\"b",
            "\n",
            "\\\n",
            "\\'",
            "\\q",
            "\\x4",
            "\\xg0",
            "\\x+1",
            "\\400",
            "\\08",
            "\\ud800",
            "\\U00110000",
            "\\u00é",
            "\\xé",
            "\\é",
            "\\\"\"",
            "\\1",
        ] {
            assert_eq!(unquote(bad), None, "{bad:?}");
        }
    }
}
