//! Which point a drill restores, and to which moment a log brings it.

use vouchsafe_capture::Until;
use vouchsafe_evidence::called;
use vouchsafe_format::fragment::Position;
use vouchsafe_model::fact::Recorded;
use vouchsafe_model::policy::Way;
use vouchsafe_model::{EqualityRule, Protection, Span, System, Time, VaultName};

use crate::catalogue::{Catalogue, KnownPoint};
use crate::drill::{DrillMoment, DrillOrder};
use crate::drill_equality::{Beside, Other, newest_complete};
use crate::error::{KeeperError, chain};
use crate::keeper::Keeper;
use crate::log_reach::{LogWindow, ProtectionLog, outside};

/// How a protection that has no point comes by one.
pub(crate) fn first_point(protection: &Protection) -> String {
    let system = &protection.id.system;
    match protection.way {
        Way::Manual { .. } => format!(
            "hand one in with `vouchsafe attest {} --outcome done --reason TEXT --by WHO --file FILE`",
            called(&protection.id)
        ),
        _ => format!("run `vouchsafe run {system}`"),
    }
}

/// What a drill restores.
pub(crate) struct Chosen<'c> {
    pub(crate) known: &'c KnownPoint,
    /// From where; nothing leaves it to the drill.
    pub(crate) vault: Option<VaultName>,
    /// By which number it was chosen, if at random.
    pub(crate) seed: Option<u64>,
    /// How far the log is replayed, if it is.
    pub(crate) until: Option<Until>,
    /// What it is held against, where the policy asks for that.
    pub(crate) beside: Option<Beside<'c>>,
}

impl Keeper {
    /// What an order means for one protection.
    pub(crate) fn choose<'c>(
        &self,
        facts: &[Recorded],
        catalogue: &'c Catalogue,
        (system, protection): (&System, &Protection),
        order: &DrillOrder,
    ) -> Result<Chosen<'c>, KeeperError> {
        let mut points = catalogue.of_protection(&protection.id);
        points.retain(|p| p.is_complete() && !p.copies.is_empty());
        let all = points.clone();
        if let Some(vault) = &order.vault {
            points.retain(|p| p.copies.iter().any(|c| c.vault.as_str() == vault));
        }
        let seed = (order.moment == DrillMoment::Random).then(|| self.tools.random.u64());
        if let Some(chosen) = self.choose_by_log(facts, protection, (&points, &all), order, seed)? {
            return Ok(chosen);
        }
        let none = |wanted: String| KeeperError::NoPoint {
            system: system.name.clone(),
            wanted,
            remedy: first_point(protection),
        };
        let found = match (order.moment, seed) {
            (DrillMoment::At(at), _) => points.iter().rfind(|p| p.point.content_time <= at),
            (_, Some(seed)) => one_of(&points, seed),
            (_, None) => points.last(),
        };
        let known = found.copied().ok_or_else(|| match order.moment {
            DrillMoment::At(at) => none(format!("as old as {}", at.minute())),
            _ => none("that is complete".to_owned()),
        })?;
        Ok(Chosen {
            known,
            vault: None,
            seed,
            until: None,
            beside: protection.equality().map(|_| {
                Err(
                    "no vault has a log that leads to a moment, so that there is none to compare"
                        .to_owned(),
                )
            }),
        })
    }

    /// Where a vault has a log, or should have one by the policy.
    fn choose_by_log<'c>(
        &self,
        facts: &[Recorded],
        protection: &Protection,
        (points, all): (&[&'c KnownPoint], &[&'c KnownPoint]),
        order: &DrillOrder,
        seed: Option<u64>,
    ) -> Result<Option<Chosen<'c>>, KeeperError> {
        let source = self.source(protection)?;
        let Some(newest) = points.last().copied().filter(|_| source.replays()) else {
            return Ok(None);
        };
        let name = match &order.vault {
            Some(name) => crate::vaults::find(&self.policy, name)?.name.clone(),
            None => self.least_drilled(facts, newest)?,
        };
        // Before a standby is paused and read for nothing.
        let vault = self.vault(&name)?;
        // A named moment is none at which the standby stands.
        let standby = match (protection.equality(), order.moment) {
            (_, DrillMoment::At(_)) => None,
            (Some(EqualityRule::Standby(url)), _) => {
                Some(self.hold_standby(protection, url, &name))
            }
            _ => None,
        };
        let held = standby.as_ref().and_then(|held| held.as_ref().ok());
        let held = held.map(|(_, held)| held.position);
        let seed = seed.filter(|_| held.is_none());
        let log = ProtectionLog::in_vault(&vault, protection)?;
        if log.is_empty() && protection.log_every.is_none() {
            return Ok(None);
        }
        let windows = || log.windows(source.as_ref(), &vault.repo, &name, points);
        let mut others = match protection.equality() {
            Some(EqualityRule::Copies) => Some(self.others(protection, &name)),
            _ => None,
        };
        let shared = match (&mut others, order.moment) {
            (None, _) | (_, DrillMoment::At(_)) => Vec::new(),
            (Some(others), _) => {
                let own = log.stretches(source.as_ref(), &vault.repo, &name, points)?;
                others.shared(source.as_ref(), all, &own)
            }
        };
        let is_compared = protection.equality().is_some();
        let until = match aim((order.moment, seed), held, is_compared, &shared, windows)? {
            Aim::At(until) => until,
            Aim::Point(number) => {
                return Ok(one_of(points, number).map(|known| Chosen {
                    known,
                    vault: known.copy_in(&name).map(|_| name.clone()),
                    seed,
                    until: None,
                    beside: None,
                }));
            }
        };
        let (ways, refused) = log.ways(source.as_ref(), &vault.repo, &name, points, until)?;
        let leads = |known: &&&KnownPoint| ways.iter().any(|way| way.point == known.point.point);
        let known = newest_complete(points, until, leads);
        let beside = match standby {
            Some(Ok((server, held))) => Some(Ok(Other::Standby(server, held))),
            Some(Err(error)) => Some(Err(chain(&error))),
            None => others.map(|others| others.to(source.as_ref(), all, until)),
        };
        match (known, order.moment) {
            (None, DrillMoment::At(_)) => Err(outside(protection, until, &windows()?, &refused)),
            // That no log leads anywhere is what such a drill finds.
            (known, _) => Ok(Some(Chosen {
                known: known.unwrap_or(newest),
                vault: Some(name),
                seed,
                until: Some(until),
                beside,
            })),
        }
    }
}

/// Where a drill goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    /// By the log.
    At(Until),
    /// A point alone, the one with this number modulo how many there are.
    Point(u64),
}

/// By the order, and where the standby stood if one was held. What is to be compared is never a point alone, which
/// nothing is compared with; also where there turned out to be nothing, so that the drill says so.
fn aim(
    (moment, seed): (DrillMoment, Option<u64>),
    held: Option<Position>,
    is_compared: bool,
    shared: &[LogWindow],
    windows: impl FnOnce() -> Result<Vec<LogWindow>, KeeperError>,
) -> Result<Aim, KeeperError> {
    Ok(Aim::At(match (moment, seed) {
        (DrillMoment::At(at), _) => Until::Time(at),
        _ if held.is_some() => held.map_or(Until::End, Until::Position),
        // A moment that another vault leads to as well.
        (_, Some(seed)) if !shared.is_empty() => pick_shared(seed, shared),
        (_, None) if !shared.is_empty() => newest_of(shared),
        (_, Some(seed)) => match pick(seed, &windows()?) {
            Some(Picked::Moment(at)) => Until::Time(at),
            Some(Picked::Point(number)) if !is_compared => return Ok(Aim::Point(number)),
            Some(Picked::Point(_)) | None => Until::End,
        },
        (_, None) => Until::End,
    }))
}

/// By a seed: of four, one is the newest moment, the others are any second.
fn pick_shared(seed: u64, shared: &[LogWindow]) -> Until {
    match any_second(seed / 4, shared) {
        Some(at) if !seed.is_multiple_of(4) => Until::Time(at),
        _ => newest_of(shared),
    }
}

/// The newest moment of some windows; the end of the log if there are none.
fn newest_of(windows: &[LogWindow]) -> Until {
    let newest = windows.iter().map(|window| window.to).max();
    newest.map_or(Until::End, Until::Time)
}

fn one_of<T>(all: &[T], seed: u64) -> Option<&T> {
    let index = seed.checked_rem(all.len() as u64)?;
    usize::try_from(index).ok().and_then(|index| all.get(index))
}

/// What a seed picks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Picked {
    /// This moment, by the log.
    Moment(Time),
    /// A point alone, the one with this number modulo how many there are.
    Point(u64),
}

/// By a seed: of four, one is the newest moment that there is, one a point alone, and two are any second of what can be
/// restored. Nothing if no log leads anywhere.
fn pick(seed: u64, windows: &[LogWindow]) -> Option<Picked> {
    let newest = windows.iter().map(|window| window.to).max()?;
    let (kind, rest) = (seed % 4, seed / 4);
    match kind {
        0 => Some(Picked::Moment(newest)),
        1 => Some(Picked::Point(rest)),
        _ => any_second(rest, windows).map(Picked::Moment),
    }
}

/// Every whole second of every window is as likely as any other.
fn any_second(number: u64, windows: &[LogWindow]) -> Option<Time> {
    const SECOND: u64 = 1_000_000;
    let seconds = |window: &LogWindow| window.to.since(window.from).micros() / SECOND + 1;
    let all: u64 = windows.iter().map(seconds).sum();
    let mut left = number.checked_rem(all)?;
    for window in windows {
        let here = seconds(window);
        if left < here {
            return Some(window.from.plus(Span::from_secs(left)));
        }
        left -= here;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: i64, to: i64) -> LogWindow {
        LogWindow {
            vault: VaultName::new("local").unwrap(),
            from: Time::from_secs(from),
            to: Time::from_secs(to),
        }
    }

    #[test]
    fn a_seed_picks_only_what_can_be_restored_and_all_of_it() {
        let windows = [window(100, 110), window(200, 205)];
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..400 {
            let picked = pick(seed, &windows).unwrap();
            assert_eq!(Some(picked), pick(seed, &windows));
            match picked {
                Picked::Point(_) => assert_eq!(seed % 4, 1),
                Picked::Moment(at) => {
                    assert!(windows.iter().any(|w| w.from <= at && at <= w.to), "{seed}");
                    if seed % 4 == 0 {
                        assert_eq!(at, Time::from_secs(205));
                    }
                    seen.insert(at);
                }
            }
        }
        assert_eq!(seen.len(), 17);
        assert_eq!(pick(7, &[]), None);
        for seed in 0..400 {
            let Until::Time(at) = pick_shared(seed, &windows) else {
                panic!("no moment by {seed}");
            };
            assert!(windows.iter().any(|w| w.from <= at && at <= w.to), "{seed}");
        }
        assert_eq!(pick_shared(0, &windows), Until::Time(Time::from_secs(205)));
        assert_eq!(newest_of(&[]), Until::End);
    }

    #[test]
    fn what_is_to_be_compared_is_never_a_point_alone() {
        let windows = [window(100, 110), window(200, 205)];
        let aimed = |seed, held, is_compared, shared: &[LogWindow]| {
            let order = (DrillMoment::Random, Some(seed));
            aim(order, held, is_compared, shared, || Ok(windows.to_vec())).unwrap()
        };
        let mut points = 0;
        for seed in 0..400 {
            // Nothing is held and no vault leads there as well: a standby that cannot be read, or one vault alone.
            let compared = aimed(seed, None, true, &[]);
            assert!(matches!(compared, Aim::At(_)), "{seed}: {compared:?}");
            let alone = aimed(seed, None, false, &[]);
            match alone {
                Aim::Point(number) => {
                    assert_eq!((seed % 4, number), (1, seed / 4));
                    assert_eq!(compared, Aim::At(Until::End));
                    points += 1;
                }
                Aim::At(_) => assert_eq!(compared, alone),
            }
            let shared = aimed(seed, None, true, &windows[..1]);
            assert_eq!(shared, Aim::At(pick_shared(seed, &windows[..1])));
            let place = Position::Byte(77);
            let held = aimed(seed, Some(place), true, &[]);
            assert_eq!(held, Aim::At(Until::Position(place)));
        }
        assert_eq!(points, 100);
    }
}
