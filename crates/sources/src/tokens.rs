//! Whether every heartbeat token up to a moment was in the log that was replayed, and none after it.

use std::collections::BTreeMap;

use vouchsafe_capture::FetchedLog;
use vouchsafe_model::{Rung, RungOutcome, Time};
use vouchsafe_translog::token::Token;

use crate::rung::{Findings, number};

const NAME: &str = "tokens";
pub(crate) const QUESTION: &str = "Is every heartbeat token up to the moment in the replayed log, one after the other, and none after it?";

/// Judges the tokens of a replayed log: `replayed` holds those that were read in it.
pub(crate) fn rung(mut replayed: Chains, fetched: &FetchedLog) -> Rung {
    let (count, newest) = (replayed.count, replayed.newest);
    for text in &fetched.tokens_beyond {
        replayed.take_beyond(text);
    }
    if count == 0 && fetched.tokens_beyond.is_empty() && replayed.found.is_empty() {
        return Rung {
            name: NAME.to_owned(),
            question: QUESTION.to_owned(),
            expected: "a token in the log".to_owned(),
            actual: "there is none, so nothing was compared".to_owned(),
            outcome: RungOutcome::Skipped,
        };
    }
    let newest = newest.map_or(String::new(), |time| format!(", the newest of {time}"));
    let linked = match fetched.tokens_beyond.len() {
        0 => "no later one is known",
        _ => "the next one, which is not part of it, follows",
    };
    let expected = format!("{} without a gap{newest}; {linked}", number(count));
    replayed.found.rung(NAME, QUESTION, expected)
}

/// Tokens by their chains, each with the last one that was seen, and what is wrong with them.
#[derive(Default)]
pub(crate) struct Chains {
    pub(crate) found: Findings,
    last: BTreeMap<[u8; 8], Token>,
    count: u64,
    newest: Option<Time>,
    /// Whether `last` has every chain that there was at the moment, also those of which nothing was replayed.
    is_whole: bool,
}

impl Chains {
    /// The next token of the log.
    pub(crate) fn take(&mut self, text: &[u8]) {
        let Some(token) = self.parsed(text) else {
            return;
        };
        if self.last.get(&token.chain) != Some(&token) {
            self.count += 1;
        }
        self.newest = self.newest.max(Some(token.time));
        self.last.insert(token.chain, token);
    }

    /// The last one of each chain.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Token> {
        self.last.values()
    }

    /// What the database itself holds at the moment: the last token of every chain.
    pub(crate) fn are_whole_with(&mut self, held: &[Token]) {
        self.is_whole = true;
        for token in held {
            self.last
                .entry(token.chain)
                .or_insert_with(|| token.clone());
        }
    }

    /// The first one of a chain behind the moment shows that none before it is missing.
    ///
    /// The log is read from its base on. Where a chain has no token between the base and the moment, the one before
    /// lies in older log: that is no gap, unless the database would hold it.
    fn take_beyond(&mut self, text: &[u8]) {
        let Some(token) = self.parsed(text) else {
            return;
        };
        if self.is_whole && token.sequence > 0 && !self.last.contains_key(&token.chain) {
            self.found.add(format!(
                "token {} comes right after the moment, and none of its chain before it",
                token.sequence
            ));
        }
        self.last.insert(token.chain, token);
    }

    fn parsed(&mut self, text: &[u8]) -> Option<Token> {
        let Some(token) = Token::parse(text) else {
            self.found.add("a message of ours is no token");
            return None;
        };
        if let Some(Err(error)) = self.last.get(&token.chain).map(|last| token.follows(last)) {
            self.found.add(error.to_string());
        }
        Some(token)
    }
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
        let mut chains = Chains::default();
        for text in before {
            chains.take(text.as_bytes());
        }
        let count = chains.count;
        for text in beyond {
            chains.take_beyond(text.as_bytes());
        }
        (count, chains.found.rung("", "", "").actual)
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
        let (_, said) = judged(&["2 nonsense".to_owned()].each_ref(), &[]);
        assert!(said.contains("no token"), "{said}");
        // Another history of the same numbers.
        let foreign = Token::first([7; 8], Time::from_secs(9))
            .next(Time::from_secs(10))
            .text();
        let (_, said) = judged(&[&t[0], &foreign], &[]);
        assert!(said.contains("does not follow"), "{said}");
    }

    /// Who ships a log and who else does keep chains of their own: between the base and an early moment one of them may
    /// have no token.
    #[test]
    fn of_a_chain_the_token_before_the_moment_may_lie_before_the_base() {
        let (own, mut other) = (chain(3), vec![Token::first([8; 8], Time::from_secs(1))]);
        for at in 1..4 {
            let next = other[at - 1].next(Time::from_secs(1 + at as i64));
            other.push(next);
        }
        let texts: Vec<String> = other.iter().map(Token::text).collect();
        assert_eq!(
            judged(&[&own[0]], &[&texts[1], &own[1], &texts[2]]),
            (1, String::new())
        );
        // What follows it is compared as ever.
        let (_, said) = judged(&[&own[0]], &[&texts[1], &texts[3]]);
        assert!(said.contains("after token 1"), "{said}");
        // A database that holds the last token of every chain tells what comes next.
        let with = |held: &[Token]| {
            let mut chains = Chains::default();
            chains.take(own[0].as_bytes());
            chains.are_whole_with(held);
            chains.take_beyond(texts[2].as_bytes());
            chains.found.rung("", "", "").actual
        };
        assert_eq!(with(&other[1..2]), "");
        assert!(with(&other[..1]).contains("after token 0"));
        assert!(with(&[]).contains("right after the moment"));
    }
}
