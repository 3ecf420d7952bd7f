//! Whether bytes are a BSON document, as <https://bsonspec.org/spec.html> tells it.

/// How deeply documents may be nested; servers take 100 from users, and allow themselves some more.
const DEEPEST: usize = 200;

/// Looks at lengths, types and terminators of a document and of all within it; texts are not looked at. The error is half a sentence.
pub(in crate::mongodb) fn check(bytes: &[u8]) -> Result<(), String> {
    let mut at = 0;
    // The ends of the documents that are open; the last byte of each is a 0.
    let mut open = vec![begin(bytes, &mut at, bytes.len())?];
    if open.first() != Some(&bytes.len()) {
        return Err("its length is not that of its bytes".to_owned());
    }
    while let Some(end) = open.last().copied() {
        let kind = take(bytes, &mut at, end, 1)?.first().copied().unwrap_or(0);
        if kind == 0 {
            if at != end {
                return Err(format!("a document in it ends {} bytes early", end - at));
            }
            open.pop();
            continue;
        }
        skip_text(bytes, &mut at, end)?;
        match kind {
            // Of code with a scope the inner document ends where the whole does.
            0x0f => {
                let whole = code_end(bytes, &mut at, end)?;
                let inner = begin(bytes, &mut at, whole)?;
                if inner != whole {
                    return Err("code in it has a scope of another length".to_owned());
                }
                open.push(inner);
            }
            0x03 | 0x04 => {
                let inner = begin(bytes, &mut at, end)?;
                open.push(inner);
            }
            kind => value(bytes, &mut at, end, kind)?,
        }
        if open.len() > DEEPEST {
            return Err(format!("it is nested more than {DEEPEST} deep"));
        }
    }
    Ok(())
}

/// Opens a document at `at`; gives its end, which lies before `limit`.
fn begin(bytes: &[u8], at: &mut usize, limit: usize) -> Result<usize, String> {
    let start = *at;
    let length = length(bytes, at, limit)?;
    match start.checked_add(length) {
        Some(end) if length >= 5 && end <= limit => Ok(end),
        _ => Err(format!(
            "a document in it has the impossible length {length}"
        )),
    }
}

fn take<'b>(bytes: &'b [u8], at: &mut usize, end: usize, count: usize) -> Result<&'b [u8], String> {
    let until = at.checked_add(count).filter(|until| *until <= end);
    let taken = until.and_then(|until| Some((until, bytes.get(*at..until)?)));
    let (until, taken) = taken.ok_or("a value in it is longer than the document")?;
    *at = until;
    Ok(taken)
}

/// A length of four bytes.
fn length(bytes: &[u8], at: &mut usize, end: usize) -> Result<usize, String> {
    let four = take(bytes, at, end, 4)?;
    let four = <[u8; 4]>::try_from(four).unwrap_or_default();
    usize::try_from(i32::from_le_bytes(four)).map_err(|_| "a length in it is negative".to_owned())
}

/// A text that ends with a 0.
fn skip_text(bytes: &[u8], at: &mut usize, end: usize) -> Result<(), String> {
    let rest = bytes.get(*at..end).unwrap_or_default();
    let found = rest.iter().position(|b| *b == 0);
    *at += found.ok_or("a name in it has no end")? + 1;
    Ok(())
}

/// A text with its length before it, and a 0 behind.
fn skip_string(bytes: &[u8], at: &mut usize, end: usize) -> Result<(), String> {
    let length = length(bytes, at, end)?;
    match take(bytes, at, end, length)?.last() {
        Some(0) => Ok(()),
        _ => Err("a text in it has no end".to_owned()),
    }
}

/// Reads the length and the text of code with a scope; gives where all of it ends.
fn code_end(bytes: &[u8], at: &mut usize, end: usize) -> Result<usize, String> {
    let start = *at;
    let length = length(bytes, at, end)?;
    let whole = start.checked_add(length).filter(|whole| *whole <= end);
    let whole = whole.ok_or("code in it is longer than the document")?;
    skip_string(bytes, at, whole)?;
    Ok(whole)
}

/// A value that is no document.
fn value(bytes: &[u8], at: &mut usize, end: usize, kind: u8) -> Result<(), String> {
    let fixed = match kind {
        0x02 | 0x0d | 0x0e => return skip_string(bytes, at, end),
        0x05 => {
            let length = length(bytes, at, end)?;
            return take(bytes, at, end, 1 + length).map(drop);
        }
        0x08 => {
            return match take(bytes, at, end, 1)? {
                [0 | 1] => Ok(()),
                _ => Err("a truth value in it is neither".to_owned()),
            };
        }
        0x0b => {
            skip_text(bytes, at, end)?;
            return skip_text(bytes, at, end);
        }
        0x0c => {
            skip_string(bytes, at, end)?;
            12
        }
        0x01 | 0x09 | 0x11 | 0x12 => 8,
        0x06 | 0x0a | 0x7f | 0xff => 0,
        0x07 => 12,
        0x10 => 4,
        0x13 => 16,
        other => return Err(format!("it has a value of the unknown type {other:#04x}")),
    };
    take(bytes, at, end, fixed).map(drop)
}
