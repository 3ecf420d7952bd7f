//! Global transaction identifiers: the sets of MySQL and the positions of MariaDB.

mod intervals;
mod mariadb;
mod mysql;

pub use intervals::{Intervals, LAST_NUMBER};
pub use mariadb::{Continuity, MariaGtid, MariaGtidError, MariaPosition};
pub use mysql::{Gtid, GtidError, GtidSet, Source};
