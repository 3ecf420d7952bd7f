//! People's part: what they owe and how it stands, who is told, incidents, exemptions.

mod access;
mod alerts;
mod duties;
mod excused;
mod exemptions;
mod handed;
mod incidents;
mod items;
mod letters;
mod notices;
mod pauses;
mod programme;
mod register;
mod retest;

pub use crate::assess::people::access::{accesses, may_ask, may_grant};
pub use crate::assess::people::alerts::alerts;
pub use crate::assess::people::excused::excused;
pub use crate::assess::people::exemptions::{exemptions, question_of};
pub use crate::assess::people::handed::{
    CLOCK_AHEAD, Excused, LastHanded, last_handed, refused_handed,
};
pub use crate::assess::people::incidents::{can_close, closures, incidents};
pub use crate::assess::people::items::{owed_by_people, upcoming};
pub use crate::assess::people::letters::{Letter, Told, letters};
pub use crate::assess::people::notices::notices;
pub use crate::assess::people::pauses::paused;
pub use crate::assess::people::programme::tests_answered;

pub(super) use crate::assess::people::duties::duties;
pub(super) use crate::assess::people::exemptions::apply;
pub(super) use crate::assess::people::items::items;
pub(super) use crate::assess::people::register::Register;

#[cfg(test)]
mod tests;
