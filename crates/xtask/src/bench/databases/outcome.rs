//! What came out of a row, held against what is demanded.

use std::time::Duration;

use super::rows::{Demand, Row, What};
use crate::bench::measure::Measured;
use crate::bench::stats::Spread;

/// One row.
pub(crate) struct Outcome {
    pub(crate) row: &'static Row,
    /// Ours first, then the peer that it is held against, then others.
    pub(crate) sides: Vec<Side>,
    /// What is not held against a peer.
    pub(crate) figures: Vec<Figure>,
    /// What has to be said beside the figures.
    pub(crate) remarks: Vec<String>,
    /// Why it could not be measured.
    pub(crate) failure: Option<String>,
}

/// What one tool did.
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) runs: Vec<Run>,
}

/// One of its runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) wall: Duration,
    /// Of the tool and what it started; what the server does for it is the server's.
    pub(crate) cpu: Duration,
    /// Bytes.
    pub(crate) peak: u64,
    /// Bytes by which what it keeps grew.
    pub(crate) stored: Option<u64>,
}

/// Something that was measured, and what it may be at most.
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) most: Option<f64>,
}

impl Run {
    /// Of what was measured.
    pub(crate) fn of(measured: &Measured, stored: Option<u64>) -> Self {
        Self {
            wall: measured.wall,
            cpu: measured.cpu,
            peak: measured.peak,
            stored,
        }
    }
}

impl Side {
    /// The figures of all runs.
    pub(crate) fn figures(&self, of: What) -> Vec<f64> {
        let runs = self.runs.iter();
        match of {
            What::Wall => runs.map(|run| run.wall.as_secs_f64()).collect(),
            What::Stored => runs
                .filter_map(|run| run.stored)
                .map(|b| b as f64)
                .collect(),
        }
    }

    /// Seconds of the processor.
    pub(crate) fn cpu(&self) -> Vec<f64> {
        self.runs.iter().map(|run| run.cpu.as_secs_f64()).collect()
    }

    /// The most memory of any process of any run, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.runs.iter().map(|run| run.peak).max().unwrap_or(0)
    }
}

impl Figure {
    /// Whether it is no more than it may be; nothing if nothing is demanded.
    pub(crate) fn is_met(&self) -> Option<bool> {
        self.most.map(|most| self.value <= most)
    }
}

impl Outcome {
    /// A row that could not be measured.
    pub(crate) fn failed(row: &'static Row, why: String) -> Self {
        Self {
            row,
            sides: Vec::new(),
            figures: Vec::new(),
            remarks: Vec::new(),
            failure: Some(why),
        }
    }

    /// A row with its tools.
    pub(crate) fn of(row: &'static Row, sides: Vec<Side>) -> Self {
        Self {
            row,
            sides,
            figures: Vec::new(),
            remarks: Vec::new(),
            failure: None,
        }
    }

    /// Ours over this side's, run by run.
    pub(crate) fn ratio(&self, side: &Side, of: What) -> Option<Spread> {
        let ours = self.sides.first()?;
        Spread::of_ratios(&ours.figures(of), &side.figures(of))
    }

    /// A demand, in words: what, how much, what it is, and whether that is met.
    pub(crate) fn judged(&self, demand: &Demand) -> (String, String, String) {
        let moonshot = demand.moonshot.map(|m| format!(" (moonshot {m})"));
        let peer = self.sides.get(1);
        let name = peer.map_or("the peer", |side| side.name);
        let demanded = format!(
            "{} ≤ {} × {name}{}",
            demand.what.name(),
            demand.most,
            moonshot.unwrap_or_default()
        );
        let found = peer.and_then(|side| self.ratio(side, demand.what));
        let Some(found) = found else {
            return (demanded, String::new(), "not measured".to_owned());
        };
        let met = match (found.median <= demand.most, demand.moonshot) {
            (false, _) => "no",
            (true, Some(moonshot)) if found.median <= moonshot => "yes, moonshot too",
            (true, _) => "yes",
        };
        (demanded, found.show(2), met.to_owned())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::rows::ROWS;
    use super::*;

    pub(crate) fn side(name: &'static str, runs: &[(u64, u64)]) -> Side {
        let run = |(wall, stored): &(u64, u64)| Run {
            wall: Duration::from_secs(*wall),
            cpu: Duration::from_secs(1),
            peak: 5 << 20,
            stored: Some(*stored),
        };
        Side {
            name,
            runs: runs.iter().map(run).collect(),
        }
    }

    #[test]
    fn a_demand_is_met_by_the_median_of_the_ratios() {
        let row = ROWS.iter().find(|row| row.name == "base").unwrap();
        let demand = row.demands.first().unwrap();
        let judge = |walls: [u64; 3]| {
            let ours: Vec<_> = walls.iter().map(|wall| (*wall, 1)).collect();
            let sides = vec![side("vouchsafe", &ours), side("pgbackrest", &[(10, 1); 3])];
            Outcome::of(row, sides).judged(demand).2
        };
        assert_eq!(judge([7, 8, 30]), "yes, moonshot too");
        assert_eq!(judge([9, 9, 9]), "yes");
        assert_eq!(judge([1, 11, 12]), "no");
        let alone = Outcome::of(row, vec![side("vouchsafe", &[(1, 1)])]);
        assert_eq!(alone.judged(demand).2, "not measured");
    }

    #[test]
    fn bytes_are_held_against_bytes() {
        let row = ROWS.iter().find(|row| row.name == "base-1pct").unwrap();
        let sides = vec![
            side("vouchsafe", &[(1, 70)]),
            side("pgbackrest", &[(9, 100)]),
        ];
        let outcome = Outcome::of(row, sides);
        let met: Vec<String> = row.demands.iter().map(|d| outcome.judged(d).2).collect();
        assert_eq!(met, ["no", "yes"]);
    }

    #[test]
    fn a_figure_is_met_up_to_its_limit() {
        let figure = |value, most| Figure {
            name: String::new(),
            value,
            unit: "s",
            most,
        };
        assert_eq!(figure(10.0, Some(10.0)).is_met(), Some(true));
        assert_eq!(figure(10.1, Some(10.0)).is_met(), Some(false));
        assert_eq!(figure(10.1, None).is_met(), None);
    }
}
