//! JSON text exactly as Go's `encoding/json` writes it.
//!
//! Trees are named by the digest of their bytes, so that a space or an escape
//! more would be another tree. Source of the rules: Go's package documentation.

use crate::node::Spelling;

/// Appends `text` as a JSON string, quotes included.
///
/// `<`, `>`, `&`, U+2028 and U+2029 are escaped; each byte that is not UTF-8
/// becomes the escape of U+FFFD.
pub fn push_string(out: &mut Vec<u8>, text: &[u8], spelling: &Spelling) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        push_valid(out, chunk.valid(), spelling);
        for _ in chunk.invalid() {
            out.extend_from_slice(REPLACEMENT);
        }
    }
    out.push(b'"');
}

/// Appends the JSON text `raw` as Go copies it: without space between tokens,
/// and `<`, `>`, `&`, U+2028 and U+2029 escaped.
///
/// `raw` must be valid JSON.
pub fn push_compact(out: &mut Vec<u8>, raw: &str) {
    let (mut in_string, mut escaped) = (false, false);
    for c in raw.chars() {
        match c {
            ' ' | '\t' | '\n' | '\r' if !in_string => continue,
            '"' if !escaped => in_string = !in_string,
            _ => {}
        }
        escaped = in_string && c == '\\' && !escaped;
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => push_unicode_escape(out, c),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// How the JSON text `raw` spells what can be spelled in two ways.
pub(crate) fn spelling_of(raw: &str) -> Spelling {
    let mut spelling = Spelling::default();
    let mut rest = raw;
    while let Some((_, escape)) = rest.split_once('\\') {
        if escape.starts_with("ufffd") {
            spelling.replaced = true;
        } else if escape.starts_with("u0008") || escape.starts_with("u000c") {
            spelling.long_escapes = true;
        }
        // Behind the escaped character, which may itself be a backslash.
        let mut characters = escape.chars();
        characters.next();
        rest = characters.as_str();
    }
    spelling
}

const REPLACEMENT: &[u8] = br"\ufffd";
const HEX: [u8; 16] = *b"0123456789abcdef";

fn push_valid(out: &mut Vec<u8>, text: &str, spelling: &Spelling) {
    let is_plain = |b: &u8| match b {
        b'"' | b'\\' | b'<' | b'>' | b'&' | ..0x20 => false,
        // The first bytes of U+2028, U+2029 and U+FFFD.
        0xe2 | 0xef => false,
        _ => true,
    };
    let mut rest = text;
    while let Some(at) = rest.as_bytes().iter().position(|b| !is_plain(b)) {
        // A byte that is not plain is the first one of a character.
        let Some((plain, special)) = rest.split_at_checked(at) else {
            break;
        };
        out.extend_from_slice(plain.as_bytes());
        let mut characters = special.chars();
        if let Some(c) = characters.next() {
            push_special(out, c, spelling);
        }
        rest = characters.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
}

fn push_special(out: &mut Vec<u8>, c: char, spelling: &Spelling) {
    match c {
        '"' => out.extend_from_slice(br#"\""#),
        '\\' => out.extend_from_slice(br"\\"),
        '\n' => out.extend_from_slice(br"\n"),
        '\r' => out.extend_from_slice(br"\r"),
        '\t' => out.extend_from_slice(br"\t"),
        '\x08' if !spelling.long_escapes => out.extend_from_slice(br"\b"),
        '\x0c' if !spelling.long_escapes => out.extend_from_slice(br"\f"),
        '\u{fffd}' if spelling.replaced => out.extend_from_slice(REPLACEMENT),
        '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => push_unicode_escape(out, c),
        _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// `\uXXXX` for a character below U+10000.
fn push_unicode_escape(out: &mut Vec<u8>, c: char) {
    let point = u32::from(c);
    out.extend_from_slice(br"\u");
    for shift in [12, 8, 4, 0] {
        out.push(HEX[(point >> shift) as usize & 15]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &[u8], spelling: &Spelling) -> String {
        let mut out = Vec::new();
        push_string(&mut out, text, spelling);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_are_spelled_as_go_spells_them() {
        let now = Spelling::default();
        assert_eq!(string(b"plain \x7f/'", &now), "\"plain \x7f/'\"");
        assert_eq!(
            string("<a&b>".as_bytes(), &now),
            r#""\u003ca\u0026b\u003e""#
        );
        assert_eq!(
            string(b"\"\\\n\r\t\x08\x0c\x01\x1f", &now),
            r#""\"\\\n\r\t\b\f\u0001\u001f""#
        );
        assert_eq!(
            string("\u{2028}\u{2029}\u{2027}é😀".as_bytes(), &now),
            "\"\\u2028\\u2029\u{2027}é😀\""
        );
        assert_eq!(string(b"a\xe2\x82z\xff", &now), r#""a\ufffd\ufffdz\ufffd""#);
        assert_eq!(string("\u{fffd}".as_bytes(), &now), "\"\u{fffd}\"");
        let old = Spelling {
            replaced: true,
            long_escapes: true,
            name: None,
        };
        assert_eq!(
            string("\u{fffd}\x08\x0c".as_bytes(), &old),
            r#""\ufffd\u0008\u000c""#
        );
    }

    #[test]
    fn raw_json_loses_its_spaces_only_outside_of_strings() {
        let mut out = Vec::new();
        push_compact(&mut out, "{ \"a b\\\" c\" :\n[ 1,\t\"<\\\\\" , 2 ] }");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"a b\" c":[1,"\u003c\\",2]}"#
        );
    }

    #[test]
    fn old_spellings_are_seen_but_not_in_escaped_backslashes() {
        assert_eq!(spelling_of(r#""\\ufffd \\\\u0008""#), Spelling::default());
        assert!(spelling_of(r#""\\\ufffd""#).replaced);
        assert!(spelling_of(r#""\u000c""#).long_escapes);
        assert!(!spelling_of("é\\").replaced);
    }
}
