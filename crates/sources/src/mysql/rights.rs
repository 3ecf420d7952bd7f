//! What a user may do, read from the grants that the server shows it.
//!
//! A server hides what may not be read instead of refusing it: without `TRIGGER` there are no triggers, without `EVENT`
//! no events. So what is needed is asked for before, and whatever is missing ends the capture.

use vouchsafe_capture::CaptureError;

use super::about::About;
use super::programs::Product;
use super::session::{Session, unreadable};

/// The privileges of one user, with those of the roles that are its own.
#[derive(Debug, Default)]
pub(super) struct Rights {
    grants: Vec<Grant>,
}

/// One line of `SHOW GRANTS` about databases or tables.
#[derive(Debug, PartialEq, Eq)]
struct Grant {
    privileges: Vec<String>,
    /// A pattern of databases, `*` for all.
    database: String,
    /// A table, `*` for all.
    table: String,
}

/// What a dump reads of the database itself.
const NEEDED: [&str; 4] = ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"];

impl Rights {
    /// Asks the server.
    pub(super) fn ask(session: &mut Session) -> Result<Rights, CaptureError> {
        let mut out = Rights::default();
        for row in session.rows("SHOW GRANTS")? {
            let line = row.into_iter().next().flatten().unwrap_or_default();
            out.grants.extend(Grant::parse(&line));
        }
        Ok(out)
    }

    /// Whether a privilege is held on the whole of a database.
    pub(super) fn on_database(&self, privilege: &str, database: &str) -> bool {
        self.grants.iter().any(|grant| {
            grant.holds(privilege) && grant.table == "*" && is_like(database, &grant.database)
        })
    }

    /// Whether a privilege is held on the whole server.
    pub(super) fn on_all(&self, privilege: &str) -> bool {
        self.grants
            .iter()
            .any(|grant| grant.holds(privilege) && grant.database == "*" && grant.table == "*")
    }

    /// Whether accounts and what they may do can be read.
    pub(super) fn read_accounts(&self) -> bool {
        self.on_database("SELECT", "mysql")
    }

    /// Whether every routine of a database is seen with its text.
    fn read_routines(&self, product: Product, database: &str) -> bool {
        match product {
            Product::MariaDb => {
                self.read_accounts()
                    || self.on_database("SHOW CREATE ROUTINE", database)
                    || self.grants.iter().any(|grant| {
                        grant.holds("SELECT") && grant.database == "mysql" && grant.table == "proc"
                    })
            }
            Product::MySql => self.on_all("SELECT") || self.on_all("SHOW_ROUTINE"),
        }
    }

    /// An error that names what is missing for a dump.
    pub(super) fn demand_for_dump(&self, shown: &str, about: &About) -> Result<(), CaptureError> {
        let database = &about.database;
        let mut missing: Vec<String> = NEEDED
            .iter()
            .filter(|privilege| !self.on_database(privilege, database))
            .map(|privilege| format!("{privilege} on {database}.*"))
            .collect();
        if !self.read_routines(about.product, database) {
            missing.push(match about.product {
                Product::MariaDb => "SELECT on mysql.proc".to_owned(),
                Product::MySql => "SHOW_ROUTINE on *.*".to_owned(),
            });
        }
        if !self.on_all("RELOAD") && !self.on_database("LOCK TABLES", database) {
            missing.push(format!("LOCK TABLES on {database}.*, or RELOAD on *.*"));
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(unreadable(
            shown,
            format!(
                "the user has not all rights, and what it may not see would be missing without a trace: {}",
                missing.join("; ")
            ),
            "grant what is named here; the guide to databases lists all under rights",
        ))
    }

    /// An error that names what of these is missing on the whole server.
    pub(super) fn demand_on_all(&self, shown: &str, needed: &[&str]) -> Result<(), CaptureError> {
        let mut missing = needed.to_vec();
        missing.retain(|each| !self.on_all(each));
        if missing.is_empty() {
            return Ok(());
        }
        Err(unreadable(
            shown,
            format!("the user has not all rights: {} on *.*", missing.join(", ")),
            "grant what is named here; the guide to databases lists all under rights",
        ))
    }
}

impl Grant {
    /// Reads ``GRANT SELECT, SHOW VIEW ON `shop`.* TO …``; nothing for what is not about databases or tables.
    fn parse(line: &str) -> Option<Grant> {
        let rest = line.strip_prefix("GRANT ")?;
        let (privileges, rest) = rest.split_once(" ON ")?;
        let (database, rest) = name(rest)?;
        let (table, _) = name(rest.strip_prefix('.')?)?;
        Some(Grant {
            privileges: split(privileges),
            database,
            table,
        })
    }

    fn holds(&self, privilege: &str) -> bool {
        let is = |held: &String| held == privilege || held.starts_with("ALL PRIVILEGES");
        // MariaDB has two names for one, and a server of a version shows one of them.
        let other = if privilege == "BINLOG MONITOR" {
            "REPLICATION CLIENT"
        } else {
            privilege
        };
        self.privileges.iter().any(|held| is(held) || held == other)
    }
}

/// The privileges of a list, with which some servers write no spaces. One on columns is written with a list behind it, and
/// is none on the table.
fn split(privileges: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let parts = privileges.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.map(|part| part.trim().to_owned()).collect()
}

/// A name between backticks or a star, and what follows it.
fn name(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('*') {
        return Some(("*".to_owned(), rest));
    }
    let rest = text.strip_prefix('`')?;
    let mut out = String::new();
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '`' {
            out.push(c);
            continue;
        }
        if chars.peek().is_some_and(|(_, next)| *next == '`') {
            chars.next();
            out.push('`');
            continue;
        }
        return Some((out, rest.get(at + 1..).unwrap_or_default()));
    }
    None
}

/// Whether a database is meant by the pattern of a grant: `%`, `_`, and `\` before what means itself.
fn is_like(name: &str, pattern: &str) -> bool {
    fn go(name: &[char], pattern: &[char]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some(('%', rest)) => {
                (0..=name.len()).any(|n| go(name.get(n..).unwrap_or_default(), rest))
            }
            Some(('\\', rest)) if !rest.is_empty() => {
                match (name.split_first(), rest.split_first()) {
                    (Some((n, name)), Some((p, rest))) => n == p && go(name, rest),
                    _ => false,
                }
            }
            Some((p, rest)) => match name.split_first() {
                Some((n, name)) => (*p == '_' || n == p) && go(name, rest),
                None => false,
            },
        }
    }
    let all = pattern == "*";
    all || go(
        &name.chars().collect::<Vec<_>>(),
        &pattern.chars().collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(lines: &[&str]) -> Rights {
        Rights {
            grants: lines.iter().filter_map(|line| Grant::parse(line)).collect(),
        }
    }

    #[test]
    fn rights_are_those_on_the_whole_of_a_database() {
        let rights = rights(&[
            "GRANT USAGE ON *.* TO `b`@`%` IDENTIFIED BY PASSWORD '*X'",
            "GRANT SELECT, SHOW VIEW ON `sh\\_p%`.* TO `b`@`%`",
            "GRANT TRIGGER ON `shop`.`orders` TO `b`@`%`",
            "GRANT EVENT (a, b) ON `shop`.* TO `b`@`%`",
            "GRANT SELECT ON `mysql`.`proc` TO `b`@`%`",
            "GRANT `r` TO `b`@`%`",
            "GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION",
        ]);
        assert!(rights.on_database("SELECT", "sh_p2"));
        assert!(!rights.on_database("SELECT", "shop"), "`_` was escaped");
        assert!(!rights.on_database("TRIGGER", "shop"), "of one table only");
        assert!(!rights.on_database("EVENT", "shop"));
        assert!(!rights.read_accounts());
        assert!(rights.read_routines(Product::MariaDb, "shop"));
        assert!(!rights.on_all("RELOAD"));
    }

    #[test]
    fn privileges_of_plugins_are_read_and_columns_are_none() {
        let rights = rights(&[
            "GRANT SELECT, RELOAD ON *.* TO `root`@`localhost` WITH GRANT OPTION",
            "GRANT AUDIT_ADMIN,BACKUP_ADMIN,CLONE_ADMIN ON *.* TO `root`@`localhost` WITH GRANT OPTION",
            "GRANT UPDATE (`a`, EVENT, `b`), INSERT ON *.* TO `root`@`localhost`",
        ]);
        for held in ["BACKUP_ADMIN", "CLONE_ADMIN", "RELOAD", "INSERT"] {
            assert!(rights.on_all(held), "{held}");
        }
        assert!(!rights.on_all("EVENT") && !rights.on_all("UPDATE"));
    }

    #[test]
    fn all_privileges_are_all() {
        let rights =
            rights(&["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"]);
        assert!(rights.on_database("EVENT", "a`b") && rights.on_all("RELOAD"));
        assert!(rights.demand_on_all("x", &["PROCESS"]).is_ok());
        let none = rights_of_nobody()
            .demand_on_all("x", &["PROCESS"])
            .unwrap_err()
            .to_string();
        assert!(none.contains("PROCESS"), "{none}");
    }

    fn rights_of_nobody() -> Rights {
        rights(&[
            "GRANT USAGE ON *.* TO `b`@`%`",
            "GRANT SELECT ON `a``b`.* TO `b`@`%`",
        ])
    }

    #[test]
    fn names_may_hold_backticks() {
        assert!(rights_of_nobody().on_database("SELECT", "a`b"));
        assert!(is_like("shop", "sh%") && is_like("shop", "s_op") && !is_like("shop", "s_p"));
    }
}
