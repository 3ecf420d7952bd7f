//! Samples of populations: chosen by a seed, so that anyone can choose them again.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use vouchsafe_model::Span;

use crate::populations::{Frozen, FrozenRow};
use crate::words::len;

/// How a sample is to be drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Rows of each population; by how often its things happen if not given.
    pub size: Option<u64>,
    /// Any text. Whoever draws again needs the same one.
    pub seed: String,
}

/// How often a control works, as the size of a sample follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Frequency {
    /// Once a day or more often, for each subject.
    Daily,
    /// About once a week.
    Weekly,
    /// About once a month.
    Monthly,
    /// Once a quarter, or more seldom.
    Quarterly,
}

impl Frequency {
    /// How often the things of a population happen, for each of its subjects.
    pub fn of(population: &Frozen) -> Frequency {
        let days = population.to.since(population.from).micros() / Span::from_days(1).micros();
        let subject_days = population.subjects().max(1).saturating_mul(days.max(1));
        let rows = len(population.rows.len());
        match rows {
            _ if rows.saturating_mul(2) >= subject_days => Frequency::Daily,
            _ if rows.saturating_mul(14) >= subject_days => Frequency::Weekly,
            _ if rows.saturating_mul(60) >= subject_days => Frequency::Monthly,
            _ => Frequency::Quarterly,
        }
    }

    /// What auditors usually take: 25 of what happens daily, 8 of weekly, 5 of monthly, all of what is rarer.
    pub fn usual_size(self) -> Option<u64> {
        match self {
            Frequency::Daily => Some(25),
            Frequency::Weekly => Some(8),
            Frequency::Monthly => Some(5),
            Frequency::Quarterly => None,
        }
    }
}

/// A sample of one population, and all that is needed to draw it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The population's name.
    pub population: String,
    /// How many rows that has.
    pub of: u64,
    /// How often its things happen.
    pub frequency: Frequency,
    /// The seed.
    pub seed: String,
    /// How it was drawn.
    pub rule: String,
    /// The keys of the rows that were drawn, in the population's order.
    pub keys: Vec<String>,
}

/// How [`sample`] draws, for whoever draws again.
pub const SAMPLE_RULE: &str = "For each row take SHA-256 over the bytes of: vouchsafe-sample/1, a newline, the seed, a newline, the population's name, a newline, the row's key. Draw the rows with the smallest digests, compared as hex digits.";

/// Draws a sample. The same population, seed and size always give the same rows; a row that is added or removed
/// changes nothing for the others but whether they are among the first.
pub fn sample(population: &Frozen, sampling: &Sampling) -> Sample {
    let frequency = Frequency::of(population);
    let of = len(population.rows.len());
    let size = sampling
        .size
        .or(frequency.usual_size())
        .unwrap_or(of)
        .min(of);
    let mut drawn: Vec<(String, usize)> = population
        .rows
        .iter()
        .enumerate()
        .map(|(place, row)| (ticket(&sampling.seed, population.name, row), place))
        .collect();
    drawn.sort();
    drawn.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    let mut places: Vec<usize> = drawn.into_iter().map(|(_, place)| place).collect();
    places.sort_unstable();
    Sample {
        population: population.name.to_owned(),
        of,
        frequency,
        seed: sampling.seed.clone(),
        rule: SAMPLE_RULE.to_owned(),
        keys: places
            .into_iter()
            .filter_map(|place| population.rows.get(place).map(|r| r.key.clone()))
            .collect(),
    }
}

/// The rows that a sample holds, as a population of their own for [`crate::populations::csv`].
pub fn sampled(population: &Frozen, sample: &Sample) -> Frozen {
    let mut rows = population.rows.clone();
    rows.retain(|row| sample.keys.contains(&row.key));
    Frozen {
        rows,
        ..population.clone()
    }
}

fn ticket(seed: &str, name: &str, row: &FrozenRow) -> String {
    let text = format!("vouchsafe-sample/1\n{seed}\n{name}\n{}", row.key);
    hex::encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::populations::Select;
    use proptest::prelude::*;
    use vouchsafe_model::Time;

    fn population(rows: u64, subjects: u64, days: u64) -> Frozen {
        let from = Time::from_secs(0);
        Frozen {
            name: "points",
            title: "Points",
            query: String::new(),
            select: Select {
                facts: Vec::new(),
                time: "at".to_owned(),
                each: None,
                unique: None,
                judged: false,
            },
            from,
            to: from.plus(Span::from_days(days)),
            as_of: from,
            ledger_size: 1,
            ledger_root: String::new(),
            columns: vec!["key"],
            rows: (0..rows)
                .map(|n| FrozenRow {
                    key: n.to_string(),
                    subject: (n % subjects).to_string(),
                    cells: vec![n.to_string()],
                })
                .collect(),
        }
    }

    fn by(seed: &str, size: Option<u64>) -> Sampling {
        Sampling {
            size,
            seed: seed.to_owned(),
        }
    }

    #[test]
    fn the_usual_size_follows_from_how_often_it_happens() {
        for (rows, subjects, days, frequency, size) in [
            (180, 2, 90, Frequency::Daily, 25),
            (13, 1, 90, Frequency::Weekly, 8),
            (26, 2, 90, Frequency::Weekly, 8),
            (6, 2, 90, Frequency::Monthly, 5),
            (1, 1, 90, Frequency::Quarterly, 1),
            (0, 1, 90, Frequency::Quarterly, 0),
        ] {
            let population = population(rows, subjects, days);
            assert_eq!(
                Frequency::of(&population),
                frequency,
                "{rows} of {subjects}"
            );
            let sample = sample(&population, &by("s", None));
            assert_eq!(sample.keys.len(), size, "{rows} of {subjects}");
        }
    }

    /// Drawn once by hand, with `sha256sum`: a change of the rule would silently void what auditors noted.
    #[test]
    fn the_rule_stays_what_it_is() {
        let sample = sample(&population(6, 1, 30), &by("2026-Q4", Some(2)));
        assert_eq!(sample.keys, ["0", "2"]);
    }

    proptest! {
        #[test]
        fn a_sample_is_part_of_its_population_and_the_same_each_time(rows in 0u64..80, size in 0u64..100, seed in "[a-z]{0,8}") {
            let population = population(rows, 3, 90);
            let one = sample(&population, &by(&seed, Some(size)));
            prop_assert_eq!(one.keys.len() as u64, size.min(rows));
            prop_assert_eq!(&one, &sample(&population, &by(&seed, Some(size))));
            prop_assert_eq!(sampled(&population, &one).rows.len(), one.keys.len());
        }

        #[test]
        fn a_larger_sample_holds_the_smaller_one(size in 0u64..40) {
            let population = population(60, 3, 90);
            let small = sample(&population, &by("s", Some(size)));
            let large = sample(&population, &by("s", Some(size + 7)));
            prop_assert!(small.keys.iter().all(|k| large.keys.contains(k)));
        }
    }
}
