//! Configurations and other texts: parsed as what they should be, and compared by their lines.

use std::collections::HashMap;

use quick_xml::events::Event;
use saphyr_parser::{Event as YamlEvent, Parser};
use serde::de::IgnoredAny;
use vouchsafe_model::people::{ChangedLines, HandedFormat};

use super::HandedError;

/// The number of lines of a text that is well formed.
pub(super) fn parse(bytes: &[u8], format: HandedFormat) -> Result<u64, HandedError> {
    let name = match format {
        HandedFormat::Xml => "XML",
        HandedFormat::Json => "JSON",
        HandedFormat::Yaml => "YAML",
        _ => "text",
    };
    let wrong = |message: String| HandedError::Text {
        format: name,
        message,
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|e| wrong(format!("byte {} is not UTF-8", e.valid_up_to())))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(wrong("there is nothing but white space in it".to_owned()));
    }
    let parsed = match format {
        HandedFormat::Xml => xml(text),
        HandedFormat::Json => {
            let read: Result<IgnoredAny, _> = serde_json::from_str(text);
            read.map(drop).map_err(|e| e.to_string())
        }
        HandedFormat::Yaml => yaml(text),
        _ => match text.contains('\0') {
            true => Err("there are zero bytes in it".to_owned()),
            false => Ok(()),
        },
    };
    parsed.map_err(wrong)?;
    Ok(u64::try_from(text.lines().count()).unwrap_or(u64::MAX))
}

/// One element with everything closed in it, as XML asks for.
fn xml(text: &str) -> Result<(), String> {
    let mut reader = quick_xml::Reader::from_str(text);
    let (mut depth, mut roots) = (0u64, 0u64);
    loop {
        let at = |reader: &quick_xml::Reader<&[u8]>| {
            let before = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
            let head = text.get(..before.min(text.len())).unwrap_or(text);
            format!("line {}", head.lines().count().max(1))
        };
        let event = reader
            .read_event()
            .map_err(|e| format!("{}: {e}", at(&reader)))?;
        match event {
            Event::Start(tag) => {
                roots += u64::from(depth == 0);
                depth += 1;
                attributes(&tag).map_err(|e| format!("{}: {e}", at(&reader)))?;
            }
            Event::Empty(tag) => {
                roots += u64::from(depth == 0);
                attributes(&tag).map_err(|e| format!("{}: {e}", at(&reader)))?;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Text(said) if depth == 0 && !said.trim().is_empty() => {
                return Err(format!("{}: text outside of any element", at(&reader)));
            }
            Event::Eof if depth > 0 => {
                return Err(format!("it breaks off with {depth} elements open"));
            }
            Event::Eof if roots == 0 => return Err("there is no element in it".to_owned()),
            Event::Eof => return Ok(()),
            _ => {}
        }
        if roots > 1 {
            return Err(format!("{}: a second element at the top", at(&reader)));
        }
    }
}

fn attributes(tag: &quick_xml::events::BytesStart<'_>) -> Result<(), String> {
    for attribute in tag.attributes() {
        attribute.map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Nearly every text is a scalar of YAML, so a mapping or a list is asked for.
fn yaml(text: &str) -> Result<(), String> {
    let mut holds = false;
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|e| e.to_string())?;
        holds |= matches!(
            event,
            YamlEvent::MappingStart(..) | YamlEvent::SequenceStart(..)
        );
    }
    match holds {
        true => Ok(()),
        false => Err("there is neither a mapping nor a list in it".to_owned()),
    }
}

/// How many lines came and went between two versions of a text, wherever they stand; bytes that are no UTF-8 count as
/// what replaces them.
pub fn changed_lines(old: &[u8], new: &[u8]) -> ChangedLines {
    let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(new));
    // Counted and not aligned: the time that an alignment takes grows with the product of what differs.
    let mut more: HashMap<&str, i64> = HashMap::new();
    for line in new.lines() {
        *more.entry(line).or_default() += 1;
    }
    for line in old.lines() {
        *more.entry(line).or_default() -= 1;
    }
    let mut changed = ChangedLines {
        added: 0,
        removed: 0,
    };
    for more in more.into_values() {
        match more > 0 {
            true => changed.added += more.unsigned_abs(),
            false => changed.removed += more.unsigned_abs(),
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, format: HandedFormat) -> String {
        parse(text.as_bytes(), format).unwrap_err().to_string()
    }

    #[test]
    fn what_is_well_formed_is_read_and_what_is_not_is_named() {
        use HandedFormat::{Json, Text, Xml, Yaml};
        let good = [
            (
                "<?xml version=\"1.0\"?>\n<pf><rule id=\"1\"/><!-- x --></pf>\n",
                Xml,
                2,
            ),
            ("{ \"rules\": [1, 2] }", Json, 1),
            ("rules:\n  - allow\n  - deny\n", Yaml, 3),
            ("set firewall on\n", Text, 1),
            ("\u{feff}{}", Json, 1),
        ];
        for (text, format, lines) in good {
            assert_eq!(parse(text.as_bytes(), format).unwrap(), lines, "{text}");
        }
        for (text, format, said) in [
            ("<pf><rule></pf>", Xml, "line 1"),
            ("<pf><rule/>\n<rule>", Xml, "breaks off"),
            ("<pf/><pf/>", Xml, "second element"),
            ("<pf/>text", Xml, "outside"),
            ("<pf a=1/>", Xml, "line 1"),
            ("just text", Xml, "outside"),
            ("{ \"rules\": [1, ", Json, "EOF"),
            ("{} {}", Json, "trailing"),
            ("rules: [a, b", Yaml, "line"),
            ("words alone", Yaml, "neither"),
            ("a\0b", Text, "zero bytes"),
            ("  \n", Text, "white space"),
        ] {
            let message = refused(text, format);
            assert!(message.contains(said), "{text}: {message}");
        }
        let cut = parse(&[0xff, 0xfe], Text).unwrap_err().to_string();
        assert!(cut.contains("byte 0"), "{cut}");
    }

    #[test]
    fn lines_that_came_and_went_are_counted() {
        let changed = changed_lines(b"a\nb\nc\n", b"a\nB\nc\nd\n");
        assert_eq!((changed.added, changed.removed), (2, 1));
        let same = changed_lines(b"a\r\nb", b"a\nb\n");
        assert_eq!((same.added, same.removed), (0, 0));
        let moved = changed_lines(b"a\nb\nc\n", b"c\na\nb\n");
        assert_eq!((moved.added, moved.removed), (0, 0));
        let twice = changed_lines(b"a\nb\n", b"a\na\na\n");
        assert_eq!((twice.added, twice.removed), (2, 1));
    }

    #[test]
    fn two_long_texts_with_nothing_in_common_are_compared_at_once() {
        let text = |letter: char| -> String {
            let lines = (0..300_000).map(|n| format!("{letter}{n}\n"));
            lines.collect()
        };
        let changed = changed_lines(text('a').as_bytes(), text('b').as_bytes());
        assert_eq!((changed.added, changed.removed), (300_000, 300_000));
    }
}
