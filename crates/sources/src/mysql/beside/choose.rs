//! Which tables of a restored server are meant.

use vouchsafe_capture::{BesideRequest, CaptureError};

use super::super::session::{Session, literal};
use super::target::Target;
use crate::beside::no_table;

/// The tables that are wanted, of one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) database: String,
    pub(super) tables: Vec<String>,
}

impl Wanted {
    /// Of a point of one database: `table` or `database.table`.
    pub(super) fn of_database(
        request: &BesideRequest,
        database: &str,
        is_there: impl Fn(&str) -> bool,
    ) -> Wanted {
        let prefix = format!("{database}.");
        let table = |text: &String| match text.strip_prefix(&prefix) {
            // A table may have a dot in its name.
            Some(rest) if !is_there(text) => rest.to_owned(),
            _ => text.clone(),
        };
        Wanted {
            database: database.to_owned(),
            tables: request.only.iter().map(table).collect(),
        }
    }

    /// Of a whole server: `database.table`, or `table` of the database that the target names.
    pub(super) fn of_server(
        request: &BesideRequest,
        target: &Target,
    ) -> Result<Wanted, CaptureError> {
        let mut out: Option<Wanted> = None;
        for text in &request.only {
            let (database, table) = match text.split_once('.') {
                Some((database, table)) => (database, table),
                None => (target.address.database.as_str(), text.as_str()),
            };
            if database.is_empty() || table.is_empty() {
                return Err(target.refused(format!(
                    "the point is of a whole server, and `{text}` names no database; write database.table"
                )));
            }
            let wanted = out.get_or_insert_with(|| Wanted {
                database: database.to_owned(),
                tables: Vec::new(),
            });
            if wanted.database != database {
                return Err(target.refused(
                    "the tables are of several databases; bring them back one database after the other",
                ));
            }
            wanted.tables.push(table.to_owned());
        }
        out.ok_or_else(|| target.refused("no table is named"))
    }
}

/// Refuses what is no table of the restored database.
pub(super) fn demand(session: &mut Session, wanted: &Wanted) -> Result<(), CaptureError> {
    let rows = session.rows(&format!(
        "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = {}",
        literal(&wanted.database)
    ))?;
    let all: Vec<(String, String)> = rows
        .into_iter()
        .map(|row| {
            let mut row = row.into_iter().map(Option::unwrap_or_default);
            (
                row.next().unwrap_or_default(),
                row.next().unwrap_or_default(),
            )
        })
        .collect();
    let is_table = |kind: &str| matches!(kind, "BASE TABLE" | "SYSTEM VERSIONED");
    for table in &wanted.tables {
        match all.iter().find(|(name, _)| name == table) {
            Some((_, kind)) if is_table(kind) => {}
            Some((_, kind)) => {
                return Err(CaptureError::Target {
                    place: format!("`{table}`"),
                    message: format!(
                        "it is a {}, which has no rows of its own; name the tables",
                        kind.to_lowercase()
                    ),
                });
            }
            None => {
                let tables = all.iter().filter(|(_, kind)| is_table(kind));
                return Err(no_table(
                    table,
                    tables.map(|(name, _)| name.clone()).collect(),
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_say_its_database() {
        let request = BesideRequest {
            to: "mysql://u@h/shop".into(),
            only: ["orders", "shop.orders", "shop.x", "other.t"]
                .map(str::to_owned)
                .to_vec(),
            into: "back".to_owned(),
        };
        let wanted = Wanted::of_database(&request, "shop", |name| name == "shop.x");
        assert_eq!(wanted.tables, ["orders", "orders", "shop.x", "other.t"]);
    }
}
