//! Expiring: whole objects at the beginning of a stream go, and never the newest.

use vouchsafe_format::fragment::Position;

use super::compact::place_that_stays;
use super::error::LogError;
use super::objects::Listed;
use super::stream::LogStream;

/// What was removed.
#[derive(Debug, Default)]
pub struct ExpireReport {
    /// Objects that were removed.
    pub removed: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Versions of them that a lock keeps.
    pub locked: u64,
    /// Damaged objects at the beginning of what stays: what they hold is not known, so they stay.
    pub problems: Vec<LogError>,
}

impl LogStream {
    /// Removes the objects at the beginning of the stream that hold nothing from `before` on, in their order. The
    /// newest two stay whatever they hold. A damaged object goes when one after it does.
    ///
    /// # Errors
    /// The store's failures, and [`LogError::Interrupted`]. Doing it again goes on where it stopped.
    pub fn expire(&self, before: Position) -> Result<ExpireReport, LogError> {
        let objects = &self.objects;
        let mut listed = objects.list()?;
        let stays = place_that_stays(&listed);
        listed.retain(|one| one.last() < stays);
        listed.sort_unstable_by_key(|one| (one.last(), one.first()));
        let mut report = ExpireReport::default();
        let mut unknown: Vec<(Listed, LogError)> = Vec::new();
        for one in listed {
            objects.go_on()?;
            match objects.header(one.part) {
                Ok((header, _)) if header.span.to() <= before => {}
                Ok(_) => break,
                Err(LogError::Store(error)) if error.is_not_found() => continue,
                Err(damage @ LogError::Damaged { .. }) => {
                    unknown.push((one, damage));
                    continue;
                }
                Err(error) => return Err(error),
            }
            for (damaged, _) in unknown.drain(..) {
                self.remove_expired(&damaged, &mut report)?;
            }
            self.remove_expired(&one, &mut report)?;
        }
        report.problems = unknown.into_iter().map(|(_, damage)| damage).collect();
        Ok(report)
    }

    fn remove_expired(&self, one: &Listed, report: &mut ExpireReport) -> Result<(), LogError> {
        let erased = self.objects.erase(one.part)?;
        report.removed += 1;
        report.bytes += one.size;
        report.locked += erased.locked;
        Ok(())
    }
}
