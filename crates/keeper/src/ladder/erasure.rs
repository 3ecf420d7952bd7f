//! The rung above all others: nobody comes back whose data was erased.

use vouchsafe_capture::Restored;
use vouchsafe_evidence::{ERASURE_RUNG, count, len};
use vouchsafe_model::{Rung, RungOutcome};
use vouchsafe_vault::Point;

use super::{Climb, Climbed, Stop, short};
use crate::erasures::Register;
use crate::error::chain;

const QUESTION: &str = "Is nobody found any more whose data was erased?";

impl Climb<'_> {
    /// Replays the register over what was restored and compared, and looks for everybody. It changes the restored data,
    /// so that nothing can be compared afterwards.
    pub(super) fn erase(
        &self,
        climbed: &mut Climbed,
        register: &Result<Register, String>,
        restored: &Restored,
        point: &Point,
    ) -> Result<(), Stop> {
        if !climbed.ladder.is_green() {
            return Ok(());
        }
        let (expected, found) = match register {
            Ok(register) => {
                let subjects = count(len(register.subjects.len()), "subject");
                let digest = short(&register.digest);
                (
                    format!("none of {subjects} of the register {digest} is found"),
                    self.found(climbed, register, restored, point),
                )
            }
            Err(why) => ("the register can be read".to_owned(), Err(why.clone())),
        };
        let green = found.is_ok();
        climbed.ladder.rungs.push(Rung {
            name: ERASURE_RUNG.to_owned(),
            question: QUESTION.to_owned(),
            expected,
            actual: found.unwrap_or_else(|why| why),
            outcome: match green {
                true => RungOutcome::Green,
                false => RungOutcome::Red,
            },
        });
        match green {
            true => Ok(()),
            false => Err(Stop),
        }
    }

    /// What is said where nobody is left, or why that cannot be said.
    fn found(
        &self,
        climbed: &mut Climbed,
        register: &Register,
        restored: &Restored,
        point: &Point,
    ) -> Result<String, String> {
        let request = self.request(point);
        let erasing = register.erasing(self.spare);
        let erased = self.in_sandbox(|ctx| self.source.erase(ctx, restored, &request, &erasing));
        let erased = erased.map_err(|error| chain(&error))?;
        climbed.spared = erased.spared;
        match erased.remaining() {
            0 => Ok(format!(
                "none is found; there before, and erased: {}",
                erased.found
            )),
            left => Err(format!("{} still found", count(left, "subject"))),
        }
    }

    /// The rung as it stands where one below it was not green.
    pub(super) fn erasure_or_skipped(&self, climbed: &mut Climbed) {
        let there = climbed.ladder.rungs.iter().any(|r| r.name == ERASURE_RUNG);
        if self.erasing.is_none() || there {
            return;
        }
        climbed.ladder.rungs.push(Rung {
            name: ERASURE_RUNG.to_owned(),
            question: QUESTION.to_owned(),
            expected: String::new(),
            actual: "not climbed".to_owned(),
            outcome: RungOutcome::Skipped,
        });
    }
}
