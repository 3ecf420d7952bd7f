//! Accounts and roles of the whole server, and what they may do: as statements, and as digests.

use std::collections::BTreeMap;

use vouchsafe_capture::CaptureError;
use vouchsafe_model::DigestEntry;

use super::about::About;
use super::digest::{self, GRANTS};
use super::programs::Product;
use super::session::{Session, literal, quoted, unreadable};

/// The account by which a server of ours lets us in. It is no account of the original.
pub(super) const OURS: &str = "vouchsafe-restored";

/// Accounts that every server makes for itself.
const SYSTEM: [&str; 5] = [
    "mariadb.sys",
    "mysql.sys",
    "mysql.session",
    "mysql.infoschema",
    OURS,
];

/// What everybody may do, in MariaDB: it is there without being made.
const EVERYBODY: &str = "PUBLIC";

/// How often accounts are read anew because they changed meanwhile.
const ATTEMPTS: usize = 5;

/// One account or role.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Account {
    is_role: bool,
    /// How it is made; nothing for what every server has.
    made: Option<String>,
    /// What it may do, in the order of the alphabet.
    grants: Vec<String>,
}

/// All accounts of a server, by name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accounts(BTreeMap<String, Account>);

impl Accounts {
    /// Reads them until nothing changes between two looks: they keep to no snapshot.
    pub(super) fn read(
        session: &mut Session,
        shown: &str,
        about: &About,
    ) -> Result<Accounts, CaptureError> {
        let mut before = look(session, about)?;
        for _ in 0..ATTEMPTS {
            let after = look(session, about)?;
            if before == after {
                return Ok(after);
            }
            before = after;
        }
        Err(unreadable(
            shown,
            "its accounts change all the time",
            "capture it when nobody makes or changes accounts",
        ))
    }

    /// Statements that make them anew: roles, accounts, then what they may do. Passwords are in it as the server keeps
    /// them. What they may do with single tables and routines of other databases is left out.
    pub(super) fn to_sql(&self) -> String {
        let mut out = String::from(
            "-- Accounts and roles of the whole server. Make the database's tables first.\n",
        );
        let mut add = |statement: &str| {
            out.push_str(statement);
            out.push_str(";\n");
        };
        for role in [true, false] {
            let all = self.0.values().filter(|account| account.is_role == role);
            all.filter_map(|account| account.made.as_deref())
                .for_each(&mut add);
        }
        let grants = self.0.values().flat_map(|account| &account.grants);
        // A role is granted before it is made the default one.
        let (later, first): (Vec<_>, Vec<_>) = grants.partition(|grant| grant.starts_with("SET "));
        first.into_iter().chain(later).for_each(|grant| add(grant));
        out
    }

    /// What is digested of them.
    pub(super) fn digests(&self) -> BTreeMap<String, DigestEntry> {
        let one = |(name, account): (&String, &Account)| {
            let mut all: Vec<String> = account.made.iter().cloned().collect();
            all.extend(account.grants.iter().cloned());
            (format!("{GRANTS}account {name}"), digest::of_account(&all))
        };
        self.0.iter().map(one).collect()
    }
}

fn look(session: &mut Session, about: &About) -> Result<Accounts, CaptureError> {
    let is_role = match about.product {
        Product::MariaDb => "is_role",
        Product::MySql => "'N'",
    };
    let rows = session.rows(&format!("SELECT User, Host, {is_role} FROM mysql.user"))?;
    let mut out = BTreeMap::new();
    for row in rows {
        let mut row = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || row.next().unwrap_or_default();
        let (user, host, is_role) = (next(), next(), next() == "Y");
        if SYSTEM.contains(&user.as_str()) {
            continue;
        }
        let everybody = is_role && user == EVERYBODY;
        let (name, grantee) = if everybody {
            (user.clone(), user.clone())
        } else if is_role {
            (user.clone(), quoted(&user))
        } else {
            (
                format!("{user}@{host}"),
                format!("{}@{}", quoted(&user), quoted(&host)),
            )
        };
        let (made, default) = match (everybody, is_role) {
            (true, _) => (None, None),
            (_, true) => (Some(format!("CREATE ROLE IF NOT EXISTS {grantee}")), None),
            _ => {
                let statement = session.text(&format!(
                    "SHOW CREATE USER {}@{}",
                    literal(&user),
                    literal(&host)
                ))?;
                let (made, roles) = created(&statement);
                let default = roles.map(|r| format!("SET DEFAULT ROLE {r} TO {grantee}"));
                (Some(made), default)
            }
        };
        let rows = session.rows(&format!("SHOW GRANTS FOR {grantee}"))?;
        let mut grants: Vec<String> = rows
            .into_iter()
            .filter_map(|row| row.into_iter().next().flatten())
            .filter(|grant| is_own(grant, &grantee) && concerns(grant, &about.database))
            .chain(default)
            .collect();
        grants.sort();
        out.insert(
            name,
            Account {
                is_role,
                made,
                grants,
            },
        );
    }
    Ok(Accounts(out))
}

/// The statement that makes an account, and its default roles if it names any, as MySQL does: where it is run these are
/// not there yet.
fn created(statement: &str) -> (String, Option<&str>) {
    const ROLES: &str = " DEFAULT ROLE ";
    let Some(rest) = statement.strip_prefix("CREATE USER ") else {
        return (statement.to_owned(), None);
    };
    let parts = || {
        let (before, roles) = split_outside_quotes(rest, ROLES)?;
        let (roles, after) = split_outside_quotes(roles, " REQUIRE ")?;
        Some((format!("{before} REQUIRE {after}"), roles))
    };
    match parts() {
        Some((rest, roles)) => (format!("CREATE USER IF NOT EXISTS {rest}"), Some(roles)),
        None => (format!("CREATE USER IF NOT EXISTS {rest}"), None),
    }
}

/// What stands before and behind the first `word` that is in no name and no literal.
fn split_outside_quotes<'t>(text: &'t str, word: &str) -> Option<(&'t str, &'t str)> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some('\'') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '`' || c == '\'' => quote = Some(c),
            None => {
                if let Some(behind) = text.get(at..).and_then(|rest| rest.strip_prefix(word)) {
                    return Some((text.get(..at)?, behind));
                }
            }
        }
    }
    None
}

/// Whether a grant is the account's, not that of a role which it has.
fn is_own(grant: &str, grantee: &str) -> bool {
    let ends = |text: &str| {
        text.strip_prefix(grantee)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    [" TO ", " FOR "].iter().any(|word| {
        grant
            .match_indices(word)
            .any(|(at, _)| ends(grant.get(at + word.len()..).unwrap_or_default()))
    })
}

/// Whether a grant can be made where only this database is: one on tables or routines of others cannot.
fn concerns(grant: &str, database: &str) -> bool {
    let Some((_, rest)) = grant.split_once(" ON ") else {
        return true;
    };
    let kinds = [
        "TABLE ",
        "PROCEDURE ",
        "FUNCTION ",
        "PACKAGE BODY ",
        "PACKAGE ",
    ];
    let rest = kinds
        .iter()
        .find_map(|kind| rest.strip_prefix(kind))
        .unwrap_or(rest);
    let own = [quoted(database), quoted("mysql")];
    rest.starts_with("*.*")
        || grant.starts_with("GRANT PROXY ")
        || !rest.starts_with('`')
        || own.iter().any(|name| rest.starts_with(&format!("{name}.")))
        || rest
            .find("`.*")
            .is_some_and(|at| !rest.get(..at).unwrap_or_default().contains("`.`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_account_itself_may_is_taken() {
        let role = "`reader`";
        assert!(is_own("GRANT SELECT ON `shop`.* TO `reader`", role));
        assert!(!is_own("GRANT SELECT ON `shop`.* TO `readers`", role));
        assert!(!is_own("GRANT SELECT ON `shop`.* TO `other`", role));
        assert!(is_own("SET DEFAULT ROLE `r` FOR `u`@`%`", "`u`@`%`"));
        assert!(is_own(
            "GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*A'",
            "`u`@`%`"
        ));
    }

    #[test]
    fn default_roles_come_after_what_they_name() {
        let plain = "CREATE USER `u`@`%` IDENTIFIED WITH 'p' AS 0x01 REQUIRE NONE";
        let made = "CREATE USER IF NOT EXISTS `u`@`%` IDENTIFIED WITH 'p' AS 0x01 REQUIRE NONE";
        assert_eq!(created(plain), (made.to_owned(), None));
        let with = plain.replace(" REQUIRE", " DEFAULT ROLE `a`@`%`,`b REQUIRE `@`%` REQUIRE");
        let roles = "`a`@`%`,`b REQUIRE `@`%`";
        assert_eq!(created(&with), (made.to_owned(), Some(roles)));
        let named = plain.replace("`u`", "`u DEFAULT ROLE ``x`");
        assert_eq!(created(&named).1, None);
        let commented = format!("{plain} COMMENT 'it\\' DEFAULT ROLE `a` REQUIRE '");
        assert_eq!(created(&commented).1, None);
    }

    #[test]
    fn what_cannot_be_granted_without_another_database_is_left_out() {
        for (grant, kept) in [
            ("GRANT SELECT ON *.* TO `u`@`%`", true),
            ("GRANT SELECT ON `other`.* TO `u`@`%`", true),
            ("GRANT SELECT ON `shop`.`orders` TO `u`@`%`", true),
            ("GRANT SELECT ON `other`.`t` TO `u`@`%`", false),
            ("GRANT EXECUTE ON PROCEDURE `other`.`p` TO `u`@`%`", false),
            ("GRANT EXECUTE ON PROCEDURE `shop`.`p` TO `u`@`%`", true),
            ("GRANT `reader` TO `u`@`%`", true),
            (
                "GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION",
                true,
            ),
        ] {
            assert_eq!(concerns(grant, "shop"), kept, "{grant}");
        }
    }
}
