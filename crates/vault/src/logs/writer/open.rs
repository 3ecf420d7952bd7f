//! Taking a stream over: where its chain stands is read from its end, and nothing is believed but what opens.

use vouchsafe_capture::{LogReached, LogTip};
use vouchsafe_format::fragment::{Chain, Event, Header, Link, MAX_FRAGMENT, OpenError, Part};

use super::{Fence, LogWriter, compressor, tip_after};
use crate::attempts::{self, LATE_LISTINGS, LISTING_PAUSE};
use crate::logs::error::{LogDamage, LogError};
use crate::logs::objects::{Listed, LogObjects};

/// So many objects from the end are looked at: what is before them was looked at by those who wrote after them, and
/// is again by whoever looks at the whole stream.
const LOOKED_AT: usize = 16;

impl LogWriter {
    pub(super) fn open(objects: LogObjects, fence: Fence) -> Result<LogWriter, LogError> {
        let can = objects.store.capabilities();
        let store = || objects.place();
        if !can.other_prefixes {
            return Err(LogError::NoRoom { store: store() });
        }
        if fence == Fence::Store && !can.put_if_absent {
            return Err(LogError::Unguarded { store: store() });
        }
        let mut problem = None;
        for time in 0..LATE_LISTINGS {
            if time > 0 {
                attempts::pause(&objects.env, LISTING_PAUSE);
            }
            match look_at_the_end(&objects, fence)? {
                Ok((headers, parts)) => {
                    return Self::at_the_end(&objects, &headers, &parts)?.follow();
                }
                Err(gone) => problem = Some(gone),
            }
        }
        let sequence = problem.map_or(0, |one: Listed| one.last());
        Err(objects.missing(Part::Fragment { sequence }, None))
    }

    /// At the end of what was listed.
    fn at_the_end(
        objects: &LogObjects,
        headers: &[Header],
        parts: &[Part],
    ) -> Result<LogWriter, LogError> {
        let chain = Chain::of(headers);
        let end = headers.iter().map(Header::last).max();
        let forked = chain.events.iter().find_map(|event| match event {
            Event::Fork { sequence, .. } if Some(*sequence) == end => Some(*sequence),
            _ => None,
        });
        if let Some(sequence) = forked {
            return Err(objects.fork(sequence));
        }
        let run = chain.runs.iter().max_by_key(|run| run.last);
        let anchor = headers.iter().zip(parts);
        let anchor = anchor.filter(|(header, _)| Some(header.last()) == end);
        Ok(LogWriter {
            compressor: compressor()?,
            epoch: headers.iter().map(|h| h.last_epoch).max().map_or(1, above),
            tip: LogTip {
                sequence: run.map_or(Link::FIRST.sequence, |run| run.last.saturating_add(1)),
                digest: run.map_or(Link::FIRST.previous, |run| run.digest),
                reached: run.map(|run| LogReached {
                    timeline: run.timeline,
                    to: run.to,
                }),
            },
            // A fragment, if there is one: it is the first to be cleared away.
            anchor: anchor
                .map(|(_, part)| *part)
                .min_by_key(|part| !matches!(part, Part::Fragment { .. })),
            tried: Vec::new(),
            unsettled: None,
            end: None,
            most: MAX_FRAGMENT,
            objects: objects.clone(),
        })
    }

    /// Goes on to the end of the fragments that no listing has shown yet.
    fn follow(mut self) -> Result<LogWriter, LogError> {
        loop {
            self.objects.go_on()?;
            let part = Part::Fragment {
                sequence: self.tip.sequence,
            };
            let header = match self.objects.header(part) {
                Ok((header, _)) => header,
                Err(LogError::Store(error)) if error.is_not_found() => return Ok(self),
                Err(error) => return Err(error),
            };
            if header.previous != self.tip.digest {
                return Err(self.objects.fork(header.sequence));
            }
            self.epoch = self.epoch.max(above(header.last_epoch));
            self.tip = tip_after(&header, self.tip.reached);
            self.anchor = Some(part);
        }
    }
}

/// The headers of the last objects, and which objects those are; or the last one listed, if that is gone: then the
/// listing is too old to tell where the end is.
#[allow(clippy::type_complexity)]
fn look_at_the_end(
    objects: &LogObjects,
    fence: Fence,
) -> Result<Result<(Vec<Header>, Vec<Part>), Listed>, LogError> {
    let mut listed = objects.list()?;
    listed.sort_unstable_by_key(Listed::last);
    let (mut headers, mut parts) = (Vec::new(), Vec::new());
    for one in listed.iter().rev().take(LOOKED_AT) {
        let is_end = headers.is_empty();
        let header = match objects.listed_header(one) {
            Err(LogError::Store(error)) if error.is_not_found() => {
                if is_end {
                    return Ok(Err(*one));
                }
                continue; // compacted or expired since it was listed
            }
            // Damage before the end is for those who read, not for who goes on.
            Err(LogError::Damaged { .. }) if !is_end => continue,
            Err(error) if is_end && clears(fence, objects, one, &error) => {
                objects.erase(one.part)?;
                continue;
            }
            other => other?,
        };
        headers.push(header);
        parts.push(one.part);
    }
    Ok(Ok((headers, parts)))
}

/// Whether an object at the end is cut short, can only be the remains of a put, and nobody is at work with it.
fn clears(fence: Fence, objects: &LogObjects, listed: &Listed, error: &LogError) -> bool {
    let cut_short = match error {
        LogError::Damaged { source, .. } => {
            matches!(**source, LogDamage::Open(OpenError::Length { expected, found }) if found < expected)
        }
        LogError::Store(error) => matches!(error, vouchsafe_store::StoreError::ShortRead { .. }),
        _ => false,
    };
    cut_short
        && fence == Fence::Held
        && listed.is_fragment()
        && !objects.store.capabilities().atomic_put
}

fn above(epoch: u64) -> u64 {
    epoch.saturating_add(1)
}
