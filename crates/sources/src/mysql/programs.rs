//! The server's own programs, of the right product and version.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::process::{Command, find_program, run_captured};

use crate::failure;

/// Which of the two families a server and its programs belong to: they dump, authenticate and store differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Product {
    /// MariaDB.
    MariaDb,
    /// MySQL, and what keeps to it.
    MySql,
}

impl Product {
    /// Its name, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Product::MariaDb => "MariaDB",
            Product::MySql => "MySQL",
        }
    }
}

/// A release series, like 10.11: within one, files on disk and definitions read alike.
pub(super) type Series = (u32, u32);

/// Where server programs lie beside `PATH`.
const PLACES: [&str; 4] = ["/usr/sbin", "/usr/libexec", "/usr/local/sbin", "/usr/bin"];

/// How long a program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program that can speak to a server of this product and series: of the same series or a newer one.
pub(super) fn client(
    ctx: &CaptureContext<'_>,
    kind: Kind,
    product: Product,
    series: Series,
) -> Result<PathBuf, CaptureError> {
    find(ctx, kind, product, &|found| found >= series, series)
}

/// What messages call the program that reads binary logs.
pub(super) fn log_reader_name(product: Product) -> &'static str {
    match product {
        Product::MariaDb => "mariadb-binlog",
        Product::MySql => "mysqlbinlog",
    }
}

/// The program that reads binary logs, from a server or from files. It does not say in its version of which series it is,
/// so it is the one that lies beside a client that does.
pub(super) fn log_reader(
    ctx: &CaptureContext<'_>,
    product: Product,
    series: Series,
) -> Result<PathBuf, CaptureError> {
    let names: &[&str] = match product {
        Product::MariaDb => &["mariadb-binlog", "mysqlbinlog"],
        Product::MySql => &["mysqlbinlog"],
    };
    let client = client(ctx, Kind::Client, product, series)?;
    let beside = |name: &&str| find_program(client.with_file_name(name));
    names
        .iter()
        .find_map(beside)
        .ok_or_else(|| CaptureError::Program {
            program: names.first().copied().unwrap_or_default().to_owned(),
            message: format!("it does not lie beside {}", client.display()),
            remedy: format!("install {} whole", Kind::Client.package(product)),
        })
}

/// A program of exactly this series: what lies on disk belongs to one.
pub(super) fn of_series(
    ctx: &CaptureContext<'_>,
    kind: Kind,
    product: Product,
    series: Series,
) -> Result<PathBuf, CaptureError> {
    find(ctx, kind, product, &|found| found == series, series)
}

/// The programs that we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Writes a dump.
    Dump,
    /// Runs statements.
    Client,
    /// Serves.
    Server,
    /// Copies a running server, and makes a copy consistent.
    Backup,
}

impl Kind {
    /// Its names, the newer one first.
    fn names(self, product: Product) -> &'static [&'static str] {
        match (self, product) {
            (Kind::Dump, Product::MariaDb) => &["mariadb-dump", "mysqldump"],
            (Kind::Client, Product::MariaDb) => &["mariadb", "mysql"],
            (Kind::Server, Product::MariaDb) => &["mariadbd", "mysqld"],
            (Kind::Backup, _) => &["mariadb-backup", "mariabackup"],
            (Kind::Dump, Product::MySql) => &["mysqldump"],
            (Kind::Client, Product::MySql) => &["mysql"],
            (Kind::Server, Product::MySql) => &["mysqld"],
        }
    }

    fn package(self, product: Product) -> &'static str {
        match (self, product) {
            (Kind::Dump | Kind::Client, Product::MariaDb) => "mariadb-client",
            (Kind::Server, Product::MariaDb) => "mariadb-server",
            (Kind::Backup, _) => "mariadb-backup",
            (Kind::Dump | Kind::Client, Product::MySql) => "mysql-client",
            (Kind::Server, Product::MySql) => "mysql-server",
        }
    }
}

fn find(
    ctx: &CaptureContext<'_>,
    kind: Kind,
    product: Product,
    fits: &dyn Fn(Series) -> bool,
    wanted: Series,
) -> Result<PathBuf, CaptureError> {
    let mut why = "it is not installed".to_owned();
    for name in kind.names(product) {
        let beside = PLACES.iter().map(|place| PathBuf::from(place).join(name));
        let all = std::iter::once(PathBuf::from(name)).chain(beside);
        let Some(path) = all.filter_map(find_program).next() else {
            continue;
        };
        let command = Command::new(&path).arg("--no-defaults").arg("--version");
        let output = run_captured(ctx.spawn, command, PATIENCE)
            .map_err(|e| failure::program(name, &e, "see that it is installed whole"))?;
        // Some say it on standard error.
        let said = format!("{} {}", output.text(), output.stderr_tail);
        match series_of(&said) {
            Some((found, _)) if found != product => {
                why = format!("what is here is of {}", found.name());
            }
            Some((_, series)) if fits(series) => return Ok(path),
            Some((_, series)) => why = format!("what is here is of version {}", text(series)),
            None => why = "it does not say its version".to_owned(),
        }
    }
    let program = kind.names(product).first().copied().unwrap_or_default();
    Err(CaptureError::Program {
        program: program.to_owned(),
        message: format!("{why}, the server is {} {}", product.name(), text(wanted)),
        remedy: format!(
            "install {} of version {} on this machine",
            kind.package(product),
            text(wanted)
        ),
    })
}

/// Like `10.11`.
pub(super) fn text((major, minor): Series) -> String {
    format!("{major}.{minor}")
}

/// Product and series in what a program or a server says of its version.
///
/// Programs of MariaDB write their own version before that of the distribution: `mariadb-dump from 11.8.2-MariaDB`,
/// `mysqldump  Ver 10.19 Distrib 10.11.19-MariaDB`, `mysqldump  Ver 8.4.5 for Linux`.
pub(super) fn series_of(said: &str) -> Option<(Product, Series)> {
    let numbers = |text: &str| -> Option<Series> {
        let mut parts = text.split(|c: char| !c.is_ascii_digit());
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    let words = || said.split([' ', ',']);
    if let Some(version) = words().find(|word| word.contains("-MariaDB")) {
        // Replication made some servers write 5.5.5- before their version.
        let version = version.strip_prefix("5.5.5-").unwrap_or(version);
        return Some((Product::MariaDb, numbers(version)?));
    }
    let after = |name: &str| {
        let mut rest = words().skip_while(move |word| *word != name).skip(1);
        rest.find(|word| !word.is_empty())
    };
    if said.contains("based on MariaDB") || said.contains("mariadb-backup") {
        let version = after("server").or(after("version"))?;
        return Some((Product::MariaDb, numbers(version)?));
    }
    let version = after("Distrib").or(after("Ver")).unwrap_or(said);
    Some((Product::MySql, numbers(version)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_series_are_read_from_what_programs_say() {
        let maria = |major, minor| Some((Product::MariaDb, (major, minor)));
        let mysql = |major, minor| Some((Product::MySql, (major, minor)));
        for (said, is) in [
            (
                "mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)",
                maria(10, 11),
            ),
            (
                "mariadb-dump from 11.8.2-MariaDB, client 10.19 for debian-linux-gnu (x86_64)",
                maria(11, 8),
            ),
            (
                "mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)",
                maria(10, 11),
            ),
            (
                "mariadb-backup based on MariaDB server 10.11.19-MariaDB debian-linux-gnu (x86_64)",
                maria(10, 11),
            ),
            ("10.11.19-MariaDB-0+deb12u1-log", maria(10, 11)),
            ("5.5.5-10.6.22-MariaDB", maria(10, 6)),
            (
                "mysqldump  Ver 8.4.5 for Linux on x86_64 (Source)",
                mysql(8, 4),
            ),
            (
                "mysql  Ver 14.14 Distrib 5.7.44, for Linux (x86_64)",
                mysql(5, 7),
            ),
            (
                "/usr/sbin/mysqld  Ver 9.7.4 for Linux on x86_64 (MySQL Community Server - GPL)",
                mysql(9, 7),
            ),
            ("8.4.5-log", mysql(8, 4)),
            ("something else", None),
        ] {
            assert_eq!(series_of(said), is, "{said}");
        }
    }
}
