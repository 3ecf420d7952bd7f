//! Whether every heartbeat token up to a moment was in the log that was replayed, and none after it.

use std::collections::BTreeMap;
use std::path::Path;

use vouchsafe_capture::{CaptureError, FetchedLog, ReplayTarget};
use vouchsafe_host::files;
use vouchsafe_model::{Rung, RungOutcome, Time};
use vouchsafe_translog::token::{PREFIX, Token};
use vouchsafe_translog::wal::{
    DEFAULT_BLOCK_SIZE, History, Meaning, SegmentSize, Timeline, WalEvent, WalFileName, WalReader,
    WalRecord, WalStart,
};

use super::{LOG, lsn};
use crate::failure;
use crate::rung::{Findings, number};

const NAME: &str = "tokens";
pub(in crate::postgres) const QUESTION: &str = "Is every heartbeat token up to the moment in the replayed log, one after the other, and none after it?";
/// The longest history that is read.
const LONGEST: u64 = 1 << 20;

/// The text of a token in a record, if there is one.
pub(super) fn token_in(record: &WalRecord) -> Option<&[u8]> {
    match &record.meaning {
        Meaning::Message(message) if message.prefix == PREFIX.as_bytes() => Some(&message.content),
        _ => None,
    }
}

/// Reads the log that was replayed in `place` once more, as it lies there.
pub(in crate::postgres) fn tokens(
    place: &Path,
    fetched: &FetchedLog,
) -> Result<Rung, CaptureError> {
    let mut found = Findings::default();
    let mut chains = Chains::default();
    match read(&place.join(LOG), &fetched.target, |text| {
        chains.take(text, &mut found)
    })? {
        Ok(()) => {}
        Err(message) => found.add(message),
    }
    let (count, newest) = (chains.count, chains.newest);
    for text in &fetched.tokens_beyond {
        chains.take_beyond(text, &mut found);
    }
    if count == 0 && fetched.tokens_beyond.is_empty() && found.is_empty() {
        return Ok(Rung {
            name: NAME.to_owned(),
            question: QUESTION.to_owned(),
            expected: "a token in the log".to_owned(),
            actual: "there is none, so nothing was compared".to_owned(),
            outcome: RungOutcome::Skipped,
        });
    }
    let newest = newest.map_or(String::new(), |time| format!(", the newest of {time}"));
    let linked = match fetched.tokens_beyond.len() {
        0 => "no later one is known",
        _ => "the next one, which is not part of it, follows",
    };
    let expected = format!("{} without a gap{newest}; {linked}", number(count));
    Ok(found.rung(NAME, QUESTION, expected))
}

/// Tokens by their chains, each with the last one that was seen.
#[derive(Default)]
struct Chains {
    last: BTreeMap<[u8; 8], Token>,
    count: u64,
    newest: Option<Time>,
    beyond: BTreeMap<[u8; 8], ()>,
}

impl Chains {
    fn take(&mut self, text: &[u8], found: &mut Findings) {
        let Some(token) = self.parsed(text, found) else {
            return;
        };
        if self.last.get(&token.chain) != Some(&token) {
            self.count += 1;
        }
        self.newest = self.newest.max(Some(token.time));
        self.last.insert(token.chain, token);
    }

    /// The first one of a chain behind the moment shows that none before it is missing.
    fn take_beyond(&mut self, text: &[u8], found: &mut Findings) {
        let Some(token) = self.parsed(text, found) else {
            return;
        };
        if self.beyond.insert(token.chain, ()).is_none()
            && self.count > 0
            && !self.last.contains_key(&token.chain)
            && token.sequence > 0
        {
            found.add(format!(
                "token {} comes right after the moment, and none of its chain before it",
                token.sequence
            ));
        }
        self.last.insert(token.chain, token);
    }

    fn parsed(&self, text: &[u8], found: &mut Findings) -> Option<Token> {
        let Some(token) = Token::parse(text) else {
            found.add("a message of ours is no token");
            return None;
        };
        if let Some(Err(error)) = self.last.get(&token.chain).map(|last| token.follows(last)) {
            found.add(error.to_string());
        }
        Some(token)
    }
}

/// Feeds the files of a log to a reader up to the target; what is wrong with them is the inner error.
fn read(
    dir: &Path,
    target: &ReplayTarget,
    mut take: impl FnMut(&[u8]),
) -> Result<Result<(), String>, CaptureError> {
    let timeline = u32::try_from(target.timeline).ok().and_then(Timeline::new);
    let Some(timeline) = timeline else {
        return Ok(Err(format!("there is no timeline {}", target.timeline)));
    };
    let Some(size) = segment_size(dir)? else {
        return Ok(Err("the log that was replayed is not there".to_owned()));
    };
    let path = dir.join(WalFileName::History { timeline }.name(size));
    let history = if files::exists(&path).map_err(failure::file)? {
        let text = files::read(&path, LONGEST).map_err(failure::file)?;
        match History::parse(timeline, &text) {
            Ok(history) => history,
            Err(error) => return Ok(Err(error.to_string())),
        }
    } else {
        History::of(timeline)
    };
    let (from, end) = (lsn(target.from), lsn(target.end));
    let start = WalStart {
        segment_size: size,
        block_size: DEFAULT_BLOCK_SIZE,
        lsn: from,
        history: history.clone(),
        system: None,
    };
    let mut reader = match WalReader::new(start) {
        Ok(reader) => reader,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let last = size.segment_of(end);
    for segment in size.segment_of(from)..=last {
        let begins = size.start_of(segment).unwrap_or(end);
        if end <= begins {
            break;
        }
        let timeline = history.file_of(segment, size);
        let name = WalFileName::Segment { timeline, segment }.name(size);
        let path = dir.join(&name);
        if !files::exists(&path).map_err(failure::file)? {
            return Ok(Err(format!("{name} is not there")));
        }
        let bytes = files::read(&path, size.bytes().into()).map_err(failure::file)?;
        let count = usize::try_from(end.0 - begins.0).unwrap_or(usize::MAX);
        let bytes = bytes.get(..count).unwrap_or(&bytes);
        let fed = reader.feed(bytes, |event| {
            if let WalEvent::Record(record) = &event
                && let Some(text) = token_in(record)
            {
                take(text);
            }
        });
        if let Err(error) = fed {
            return Ok(Err(error.to_string()));
        }
    }
    let verified = reader.status().verified;
    Ok(match verified {
        Some(verified) if verified == end => Ok(()),
        Some(verified) => Err(format!(
            "the log that was replayed ends at {verified}, not {end}"
        )),
        None => Err("the log that was replayed has no record".to_owned()),
    })
}

/// All files of a log are equally long.
fn segment_size(dir: &Path) -> Result<Option<SegmentSize>, CaptureError> {
    if !files::exists(dir).map_err(failure::file)? {
        return Ok(None);
    }
    for name in files::list_dir(dir).map_err(failure::file)? {
        let path = dir.join(&name);
        let size = files::size(&path).map_err(failure::file)?;
        let size = u32::try_from(size).ok().and_then(SegmentSize::new);
        let name = name.to_str().unwrap_or_default();
        if let Some(size) = size
            && let Some(WalFileName::Segment { .. }) = WalFileName::parse(name, size)
        {
            return Ok(Some(size));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(count: usize) -> Vec<String> {
        let mut token = Token::first([7; 8], Time::from_secs(1));
        let mut texts = vec![token.text()];
        for at in 1..count {
            token = token.next(Time::from_secs(1 + at as i64));
            texts.push(token.text());
        }
        texts
    }

    fn judged(before: &[&String], beyond: &[&String]) -> (u64, String) {
        let (mut chains, mut found) = (Chains::default(), Findings::default());
        for text in before {
            chains.take(text.as_bytes(), &mut found);
        }
        let count = chains.count;
        for text in beyond {
            chains.take_beyond(text.as_bytes(), &mut found);
        }
        (count, found.rung("", "", "").actual)
    }

    #[test]
    fn every_token_that_is_missing_on_either_side_is_seen() {
        let t = chain(6);
        assert_eq!(judged(&[&t[0], &t[1], &t[2]], &[&t[3]]), (3, String::new()));
        // A reader may begin in the middle, and one whose answer was lost comes twice.
        assert_eq!(
            judged(&[&t[2], &t[2], &t[3]], &[&t[4], &t[5]]),
            (2, String::new())
        );
        let (_, said) = judged(&[&t[0], &t[2]], &[]);
        assert!(said.contains("after token 0"), "{said}");
        let (_, said) = judged(&[&t[0], &t[1]], &[&t[3]]);
        assert!(said.contains("after token 1"), "{said}");
        let (_, said) = judged(&[&t[1], &t[0]], &[]);
        assert!(said.contains("comes token 0"), "{said}");
        let other = Token::first([8; 8], Time::from_secs(1))
            .next(Time::from_secs(2))
            .text();
        let (_, said) = judged(&[&t[0]], &[&other]);
        assert!(said.contains("right after the moment"), "{said}");
        let (_, said) = judged(&["2 nonsense".to_owned()].each_ref(), &[]);
        assert!(said.contains("no token"), "{said}");
        // Another history of the same numbers.
        let foreign = Token::first([7; 8], Time::from_secs(9))
            .next(Time::from_secs(10))
            .text();
        let (_, said) = judged(&[&t[0], &foreign], &[]);
        assert!(said.contains("does not follow"), "{said}");
    }
}
