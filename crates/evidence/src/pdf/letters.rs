//! Letters of the fonts that every reader of PDF has: their codes and how wide they are.

/// A face of a standard font.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Face {
    Regular,
    Bold,
    Mono,
}

/// Widths of the codes 32 to 126 of Helvetica, in thousandths of the size, as Adobe's metrics for the core fonts
/// have them.
const REGULAR: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556,
    556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667,
    611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667,
    667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500,
    222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];

/// The same of Helvetica Bold.
const BOLD: [u16; 95] = [
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556,
    556, 556, 556, 556, 556, 556, 556, 333, 333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667,
    611, 778, 722, 278, 556, 722, 611, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667,
    667, 611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611, 556, 333, 611, 611, 278, 278, 556,
    278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389, 280, 389, 584,
];

/// Of letters beyond these: no narrower than any of them is on average, so that lines rather break early.
const OTHER: u16 = 667;
const MONO: u16 = 600;

/// Codes 0x80 to 0x9f of Windows-1252; a blank where there is none.
const HIGH: [char; 32] = [
    '€', ' ', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', ' ', 'Ž', ' ', ' ', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', ' ', 'ž', 'Ÿ',
];

/// Text as codes of Windows-1252.
pub(super) fn encode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match (c, u32::from(c)) {
            (_, code @ (32..=126 | 0xa1..=0xff)) => out.extend(u8::try_from(code)),
            ('\n' | '\t' | '\u{a0}', _) => out.push(b' '),
            ('→', _) => out.extend(b"->"),
            ('✓', _) => out.extend(b"yes"),
            ('✗', _) => out.extend(b"no"),
            ('≈', _) => out.push(b'~'),
            ('≥', _) => out.extend(b">="),
            ('≤', _) => out.extend(b"<="),
            (c, code) => match HIGH.iter().position(|h| *h == c && c != ' ') {
                Some(place) => out.extend(u8::try_from(0x80 + place)),
                None => out.extend(format!("<U+{code:04X}>").into_bytes()),
            },
        }
    }
    out
}

/// How wide encoded text is, in points.
pub(super) fn width(face: Face, size: f32, text: &[u8]) -> f32 {
    let of = |code: &u8| {
        let place = usize::from(*code).checked_sub(32);
        let table = match face {
            Face::Regular => &REGULAR,
            Face::Bold => &BOLD,
            Face::Mono => return MONO,
        };
        place.and_then(|p| table.get(p)).copied().unwrap_or(OTHER)
    };
    let thousandths: u32 = text.iter().map(|code| u32::from(of(code))).sum();
    // No line has so many letters that this were not exact.
    let thousandths = u16::try_from(thousandths / 8).unwrap_or(u16::MAX);
    f32::from(thousandths) * 8.0 * size / 1_000.0
}

/// Text in lines that are no wider than `room`: broken at blanks, and within a word only where it is wider by itself.
pub(super) fn wrap(face: Face, size: f32, room: f32, text: &str) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for part in text.split('\n') {
        let mut line: Vec<u8> = Vec::new();
        for word in part.split(' ').filter(|w| !w.is_empty()) {
            let mut word = encode(word);
            let blank: &[u8] = if line.is_empty() { b"" } else { b" " };
            let joined = [line.as_slice(), blank, &word].concat();
            if width(face, size, &joined) <= room {
                line = joined;
                continue;
            }
            if !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            while width(face, size, &word) > room && word.len() > 1 {
                let fits = (1..word.len())
                    .take_while(|n| width(face, size, word.get(..*n).unwrap_or_default()) <= room)
                    .last()
                    .unwrap_or(1);
                let rest = word.split_off(fits);
                lines.push(std::mem::replace(&mut word, rest));
            }
            line = word;
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn letters_have_codes_or_names() {
        assert_eq!(encode("aé€…"), [b'a', 0xe9, 0x80, 0x85]);
        assert_eq!(encode("a → 日"), b"a -> <U+65E5>");
        assert!((width(Face::Regular, 10.0, b"AB") - 13.3).abs() < 0.1);
    }

    proptest! {
        #[test]
        fn lines_fit_and_lose_nothing(text in "[a-zé日→ -]{0,120}", room in 30u16..200) {
            let lines = wrap(Face::Regular, 9.0, f32::from(room), &text);
            for line in &lines {
                prop_assert!(width(Face::Regular, 9.0, line) <= f32::from(room) || line.len() == 1);
            }
            let letters = |bytes: Vec<u8>| bytes.into_iter().filter(|b| *b != b' ').collect::<Vec<u8>>();
            prop_assert_eq!(letters(lines.concat()), letters(encode(&text)));
        }
    }
}
