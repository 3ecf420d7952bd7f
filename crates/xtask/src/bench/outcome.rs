//! What came out of a row, held against what is demanded.

use super::contest::Entry;
use super::options::Place;
use super::rows::{Rivals, Row};
use super::stats::Spread;
use super::tools::Kind;

/// One row at one place.
pub(crate) struct Outcome {
    pub(crate) row: Row,
    pub(crate) place: Place,
    pub(crate) entries: Vec<Entry>,
    /// Why it could not be measured.
    pub(crate) failure: Option<String>,
}

/// The figures of one kind of all runs.
pub(crate) type Figures = fn(&Entry) -> Vec<f64>;

/// A ratio of ours to another's that must not be exceeded: its name, how much, to whom, of what.
type Limit = (&'static str, f64, Kind, Figures);

impl Outcome {
    /// Ours over another's, run by run.
    pub(crate) fn ratio(&self, other: Kind, of: Figures) -> Option<Spread> {
        let (ours, other) = (self.entry(Kind::Vouchsafe)?, self.entry(other)?);
        Spread::of_ratios(&of(ours), &of(other))
    }

    /// What is demanded, in words.
    pub(crate) fn demanded(&self) -> Vec<String> {
        let limits = self.limits().into_iter();
        let mut words: Vec<String> = limits
            .map(|(what, limit, ..)| format!("{what} ≤ {limit}"))
            .collect();
        match self.row.demand.rivals {
            Rivals::May => {}
            Rivals::MayByNoise => words.push("no peer faster in every run".to_owned()),
            Rivals::MayNot => words.push("no peer faster".to_owned()),
        }
        if self.row.demand.size {
            words.push("no larger than restic's".to_owned());
        }
        words.push(format!(
            "memory ≤ {} MiB and ≤ restic's",
            self.row.demand.memory >> 20
        ));
        words
    }

    /// What is demanded and not met, in words; nothing if all is well.
    pub(crate) fn missed(&self) -> Vec<String> {
        let exceeded = |(what, limit, other, of): Limit| {
            let found = self.ratio(other, of)?.median;
            (found > limit).then(|| format!("{what} {found:.2} > {limit:.2}"))
        };
        let mut missed: Vec<String> = self.limits().into_iter().filter_map(exceeded).collect();
        missed.extend(self.faster_rivals());
        let (ours, restic) = (self.entry(Kind::Vouchsafe), self.entry(Kind::Restic));
        if let Some(ours) = ours {
            missed.extend(self.too_much_memory(ours, restic));
            let restic = restic.filter(|_| self.row.demand.size);
            missed.extend(restic.and_then(|restic| too_large(ours, restic)));
        }
        missed
    }

    fn entry(&self, kind: Kind) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.kind == kind)
    }

    fn limits(&self) -> Vec<Limit> {
        let demand = &self.row.demand;
        let all = [
            ("wall", demand.wall, Kind::Restic, walls as Figures),
            ("CPU", demand.cpu, Kind::Restic, cpus),
            ("wall over cp", demand.copy, Kind::Copy, walls),
        ];
        let demanded = all.into_iter();
        demanded
            .filter_map(|(what, limit, other, of)| Some((what, limit?, other, of)))
            .collect()
    }

    fn faster_rivals(&self) -> Vec<String> {
        let may = self.row.demand.rivals;
        let rivals = self.entries.iter().map(|entry| entry.kind);
        rivals
            // Restic has a limit of its own.
            .filter(|kind| matches!(kind, Kind::Rustic | Kind::Borg | Kind::Bupstash))
            .filter_map(|kind| {
                let ratio = self.ratio(kind, walls)?;
                let faster = match may {
                    Rivals::May => false,
                    Rivals::MayByNoise => ratio.least > 1.0,
                    Rivals::MayNot => ratio.median > 1.0,
                };
                faster.then(|| format!("{} is faster", kind.name()))
            })
            .collect()
    }

    fn too_much_memory(&self, ours: &Entry, restic: Option<&Entry>) -> Option<String> {
        let limit = self.row.demand.memory;
        let limit = restic.map_or(limit, |restic| peak(restic).min(limit));
        (peak(ours) > limit)
            .then(|| format!("memory {} MiB > {} MiB", peak(ours) >> 20, limit >> 20))
    }
}

fn too_large(ours: &Entry, restic: &Entry) -> Option<String> {
    let size = |entry: &Entry| entry.growth.or(entry.repository.map(|count| count.bytes));
    let (ours, restic) = (size(ours)?, size(restic)?);
    let more = ours.checked_sub(restic).filter(|more| *more > 0)?;
    Some(format!(
        "size +{:.2} %",
        more as f64 / restic.max(1) as f64 * 100.0
    ))
}

/// Seconds of every run.
pub(crate) fn walls(entry: &Entry) -> Vec<f64> {
    entry
        .runs
        .iter()
        .map(|run| run.wall.as_secs_f64())
        .collect()
}

/// CPU seconds of every run.
pub(crate) fn cpus(entry: &Entry) -> Vec<f64> {
    entry.runs.iter().map(|run| run.cpu.as_secs_f64()).collect()
}

/// The most memory of any run, in bytes.
pub(crate) fn peak(entry: &Entry) -> u64 {
    entry.runs.iter().map(|run| run.peak).max().unwrap_or(0)
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
pub(super) mod tests;
