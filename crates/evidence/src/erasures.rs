//! What is recorded of erased subjects: replays of the register over restored data, and drills that looked for them.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::{ErasureReplay, ReplayResult, RungOutcome, Time};

use crate::layout::clean;
use crate::words::count;

/// The rung of a drill that looks for erased subjects.
pub const ERASURE_RUNG: &str = "erasure";

/// HMAC-SHA-256 of a register of erasures, lower hex. A plain digest would tell whoever guesses the few and short
/// identifiers in it that the guess is right.
pub fn register_digest(key: &[u8; 32], register: &[u8]) -> String {
    // Keys of every length are taken.
    let mac = Hmac::<Sha256>::new_from_slice(key).map(|mut mac| {
        mac.update(register);
        hex::encode(mac.finalize().into_bytes())
    });
    mac.unwrap_or_default()
}

/// One replay as a sentence, without an end.
pub fn replay_text(replay: &ErasureReplay) -> String {
    let subjects = count(replay.subjects, "subject");
    match &replay.result {
        ReplayResult::Replayed { found, left: 0 } => {
            format!(
                "{subjects} of the register looked for; there before, and erased: {found}; none is left"
            )
        }
        ReplayResult::Replayed { found, left } => format!(
            "{subjects} of the register looked for; there before: {found}; STILL FOUND: {left}"
        ),
        ReplayResult::Failed { message } => {
            format!("erasures COULD NOT BE REPLAYED: {}", clean(message))
        }
        ReplayResult::LeftOut { reason } => {
            format!("erasures were left out by order: {}", clean(reason))
        }
    }
}

pub(crate) fn sentence(replay: &ErasureReplay) -> String {
    format!(
        "{} restored from point {} in {}; {}.",
        replay.protection,
        replay.point,
        replay.vault,
        replay_text(replay)
    )
}

/// What was recorded in a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replays {
    /// Restores over which the register was replayed until nobody was left.
    pub clean: u64,
    /// Restores after which somebody was left, or that could not be finished.
    pub unclean: u64,
    /// Restores without it, by order.
    pub left_out: u64,
    /// Drills that looked for erased subjects and found none.
    pub drilled: u64,
    /// Drills that found some, or could not look.
    pub red: u64,
}

impl Replays {
    pub(crate) fn of(facts: &[Recorded], (from, to): (Time, Time)) -> Replays {
        let mut out = Replays::default();
        let within = facts
            .iter()
            .filter(|r| from <= r.entry.at && r.entry.at < to);
        for recorded in within {
            match &recorded.entry.fact {
                Fact::ErasuresReplayed(replay) => match replay.result {
                    ReplayResult::LeftOut { .. } => out.left_out += 1,
                    _ if replay.is_clean() => out.clean += 1,
                    _ => out.unclean += 1,
                },
                Fact::Drill(drill) => {
                    let mut rungs = drill.ladder.rungs.iter();
                    match rungs.find(|r| r.name == ERASURE_RUNG).map(|r| r.outcome) {
                        Some(RungOutcome::Green) => out.drilled += 1,
                        Some(_) => out.red += 1,
                        None => {}
                    }
                }
                _ => {}
            }
        }
        out
    }

    /// With figures; nothing if nothing is recorded.
    pub(crate) fn says(&self) -> Option<String> {
        let parts = [
            (
                self.clean,
                "restore",
                "with every erased subject gone afterwards",
            ),
            (
                self.unclean,
                "restore",
                "AFTER WHICH ERASED SUBJECTS WERE LEFT or that was not finished",
            ),
            (self.left_out, "restore", "without erasures, by order"),
            (
                self.drilled,
                "drill",
                "that looked for erased subjects and found none",
            ),
            (
                self.red,
                "drill",
                "THAT FOUND ERASED SUBJECTS or could not look",
            ),
        ];
        let said: Vec<String> = parts
            .into_iter()
            .filter(|(n, ..)| *n > 0)
            .map(|(n, what, how)| format!("{} {how}", count(n, what)))
            .collect();
        (!said.is_empty()).then(|| format!("{}.", said.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_model::{Entry, PointId, VaultName};

    fn recorded(at: i64, result: ReplayResult) -> Recorded {
        let fact = Fact::ErasuresReplayed(ErasureReplay {
            protection: "shop/main".parse().unwrap(),
            point: PointId::new("p-1").unwrap(),
            vault: VaultName::new("local").unwrap(),
            register: None,
            subjects: 3,
            result,
        });
        let entry = Entry {
            v: 1,
            at: Time::from_secs(at),
            actor: String::new(),
            tool: String::new(),
            fact,
        };
        Recorded { seq: 0, entry }
    }

    #[test]
    fn a_replay_counts_by_its_result_and_within_the_period_only() {
        let left_out = || ReplayResult::LeftOut {
            reason: "forensics".to_owned(),
        };
        let facts = [
            recorded(10, ReplayResult::Replayed { found: 3, left: 0 }),
            recorded(11, ReplayResult::Replayed { found: 3, left: 1 }),
            recorded(
                12,
                ReplayResult::Failed {
                    message: "no table".to_owned(),
                },
            ),
            recorded(13, left_out()),
            recorded(20, left_out()),
        ];
        let found = Replays::of(&facts, (Time::from_secs(10), Time::from_secs(20)));
        assert_eq!((found.clean, found.unclean, found.left_out), (1, 2, 1));
        let said = found.says().unwrap();
        assert!(
            said.contains("1 restore with every") && said.contains("2 restores AFTER"),
            "{said}"
        );
        assert_eq!(Replays::default().says(), None);
    }

    #[test]
    fn a_register_is_known_again_only_with_the_key() {
        let digest = register_digest(&[7; 32], b"{\"subject\":17}");
        assert_eq!(digest, register_digest(&[7; 32], b"{\"subject\":17}"));
        assert_ne!(digest, register_digest(&[8; 32], b"{\"subject\":17}"));
        assert_ne!(digest, register_digest(&[7; 32], b"{\"subject\":18}"));
        assert_eq!(digest.len(), 64);
    }
}
