//! The policy file with its places, and the pure deciders over it: no IO, no clock; `now` is an argument.

pub mod approval;
pub mod assess;
pub mod change;
pub mod chores;
pub mod declared;
pub mod erasures;
pub mod explain;
pub mod files;
mod files_fault;
pub mod holds;
pub mod lint;
pub mod located;
pub mod locks;
pub mod logs;
pub mod lower;
pub mod obligations;
pub mod problem;
pub mod retention;
pub mod sarif;
pub mod schedule;
pub mod schema;
pub mod template;
pub mod trace;
pub mod verification;
pub mod words;

mod keys;
mod platforms;
mod sources;

pub use approval::{Approval, approval, approved_digest, is_approved};
pub use assess::{
    Projection, assess, assess_period, assess_projection, people, period_obligations, redrills,
    space_to_record,
};
pub use erasures::{LARGEST_REGISTER, RegisterFault, erased_subjects};
pub use explain::explain;
pub use files_fault::IncludeFault;
pub use lint::lint;
pub use lower::{Include, includes, lower};
pub use obligations::obligations;
pub use problem::{Clause, ClauseState, Level, Lowered, Problem};
pub use sarif::{sarif, sarif_of};
pub use schema::schema;
pub use template::template;
pub use trace::trace;
