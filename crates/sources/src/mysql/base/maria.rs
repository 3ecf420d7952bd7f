//! MariaDB: `mariadb-backup` copies the files on the server's own machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::files;
use vouchsafe_host::process::run_captured;
use vouchsafe_model::DigestEntry;

use super::super::about::{About, Position};
use super::super::programs::{self, Kind};
use super::super::rights::Rights;
use super::super::session::{Session, unreadable};
use super::DATA;
use super::files::Copy;
use super::way::{Entries, Noted, Origin, Way, layout, text};
use crate::confine::Confined;
use crate::failure;
use crate::rung::{Findings, number};

/// Copying, and replaying the log that was copied, take as long as the disk takes.
const LASTS: Duration = Duration::from_secs(7 * 24 * 3600);

/// By `mariadb-backup`.
pub(super) struct ByBackup;

/// Between which positions in InnoDB's log the files were copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Points {
    start: u64,
    end: u64,
    /// Whether the copy was made consistent.
    is_prepared: bool,
}

/// Names by which versions call the file of positions; before MariaDB 11.1 the second one.
const POINTS: [&str; 2] = ["mariadb_backup_checkpoints", "xtrabackup_checkpoints"];
const POSITION: [&str; 2] = ["mariadb_backup_binlog_info", "xtrabackup_binlog_info"];
const OPTIONS: &str = "backup-my.cnf";
/// None of these files is longer.
const LONGEST: u64 = 1 << 20;

/// Options that say how the files of a server are laid out: another server needs the same ones. Others that the copy
/// names are not taken over.
const LAYOUT: [&str; 4] = [
    "innodb_page_size",
    "innodb_data_file_path",
    "innodb_undo_tablespaces",
    "innodb_log_file_size",
];

impl Way for ByBackup {
    fn method(&self) -> &'static str {
        super::MySqlBaseSource::METHOD
    }

    fn demand(&self, from: &Origin<'_>, session: &mut Session) -> Result<(), CaptureError> {
        if !from.address.is_this_machine() {
            let message =
                "a whole MariaDB server is copied from its own disk, and this one is elsewhere";
            let remedy = "run Vouchsafe on the server's machine, or capture its databases one by one, by URLs that name them";
            return Err(unreadable(&from.shown, message, remedy));
        }
        let needed = ["RELOAD", "PROCESS", "LOCK TABLES", "BINLOG MONITOR"];
        Rights::ask(session)?.demand_on_all(&from.shown, &needed)
    }

    fn size(&self) -> &'static str {
        "SELECT COALESCE(SUM(DATA_LENGTH + INDEX_LENGTH), 0) FROM information_schema.TABLES"
    }

    fn copy(
        &self,
        ctx: &CaptureContext<'_>,
        from: &Origin<'_>,
        session: &mut Session,
        about: &mut About,
        scratch: &Path,
    ) -> Result<PathBuf, CaptureError> {
        let to = scratch.join(DATA);
        let data = session.text("SELECT @@datadir")?;
        let program = programs::of_series(ctx, Kind::Backup, about.product, about.series)?;
        let command = from
            .login
            .program(&program, about.product)
            .args(["--backup", "--no-version-check"])
            .arg(format!("--datadir={data}"))
            .arg(format!("--target-dir={}", to.display()));
        let remedy = "see what it said; it must run where it may read the server's data, and rights are listed in the guide to databases";
        run_captured(ctx.spawn, command, LASTS)
            .map_err(|e| failure::program("mariadb-backup", &e, remedy))?;
        about.position = position(&to)?;
        Ok(to)
    }

    fn note(
        &self,
        _ctx: &CaptureContext<'_>,
        about: &mut About,
        data: &Path,
    ) -> Result<Entries, CaptureError> {
        self.note_restored(about, data)
    }

    fn note_restored(&self, about: &mut About, data: &Path) -> Result<Entries, CaptureError> {
        let points = points(data)?;
        let (count, names) = tables(&Copy::look(data)?);
        let tables = DigestEntry {
            count: Some(count),
            digest: names,
        };
        let mut entries = vec![
            ("start", text(points.start.to_string())),
            ("end", text(points.end.to_string())),
            ("tables", tables),
        ];
        let position = about.position.as_ref().map(Position::to_string);
        entries.extend(position.map(|written| ("position", text(written))));
        Ok(entries)
    }

    /// Replays the log that was copied with the files, up to the end of the copy.
    fn prepare(
        &self,
        ctx: &CaptureContext<'_>,
        about: &About,
        place: &Path,
    ) -> Result<(), CaptureError> {
        if points(&place.join(DATA))?.is_prepared {
            return Ok(());
        }
        ctx.progress.phase("replay the log", None, None);
        let program = programs::of_series(ctx, Kind::Backup, about.product, about.series)?;
        let confined = Confined::to(ctx, place)?;
        let command = confined
            .program(&program)
            .args(["--no-defaults", "--prepare"])
            .arg(format!("--target-dir={}", confined.seen(DATA).display()))
            .env("TMPDIR", confined.seen(""));
        let remedy = "what it said names the file; restore another point";
        run_captured(ctx.spawn, command, LASTS)
            .map(drop)
            .map_err(|e| failure::program("mariadb-backup --prepare", &e, remedy))
    }

    fn options(&self, _about: &About, data: &Path) -> Result<Vec<String>, CaptureError> {
        let text = first(data, &[OPTIONS])?.unwrap_or_default();
        Ok(options_of(&text))
    }

    fn compare(
        &self,
        session: &mut Session,
        data: &Path,
        noted: &Noted<'_>,
        found: &mut Findings,
    ) -> Result<String, CaptureError> {
        if !points(data)?.is_prepared {
            found.add("its log was not replayed");
        }
        let (count, names) = tables(&Copy::look(data)?);
        let expected = noted.count("tables");
        if (Some(count), names.as_str()) != (expected, noted.text("tables")) {
            found.add(format!(
                "expected {} tables, found {count}, or others of these names",
                expected.unwrap_or_default()
            ));
        }
        let end = noted.text("end");
        let at = session.status("Innodb_lsn_current")?.unwrap_or_default();
        let reached = match (end.parse::<u64>(), at.parse::<u64>()) {
            (Ok(end), Ok(at)) => at >= end,
            _ => false,
        };
        if !reached {
            found.add(format!("expected {end} or beyond, found {at}"));
        }
        Ok(format!("{} tables, position {end} reached", number(count)))
    }
}

/// How many definitions of tables there are, and the digest of their names.
fn tables(copy: &Copy) -> (u64, String) {
    let mut sum = Sha256::new();
    let mut count = 0;
    for (directory, name) in copy.files() {
        if name.ends_with(".frm") {
            let directory = directory.unwrap_or_default();
            sum.update(format!("{directory}/{name}\n").as_bytes());
            count += 1;
        }
    }
    (count, hex::encode(sum.finalize()))
}

/// The text of the first of several files that is there.
fn first(root: &Path, names: &[&str]) -> Result<Option<String>, CaptureError> {
    for name in names {
        let path = root.join(name);
        if files::exists(&path).map_err(failure::file)? {
            let text = files::read_to_string(&path, LONGEST).map_err(failure::file)?;
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// By which words versions say that the log was replayed.
const PREPARED: [&str; 2] = ["log-applied", "full-prepared"];

/// Reads the positions that the copy noted of itself.
fn points(root: &Path) -> Result<Points, CaptureError> {
    let text = first(root, &POINTS)?.unwrap_or_default();
    points_of(&text).ok_or_else(|| {
        unreadable(
            &root.display().to_string(),
            "the copy does not say between which positions it was made",
            "run it again; if it persists, this version of mariadb-backup is not known",
        )
    })
}

fn points_of(text: &str) -> Option<Points> {
    let value = |key: &str| {
        let line = text
            .lines()
            .find_map(|line| line.split_once('=').filter(|(k, _)| k.trim() == key));
        line.map(|(_, value)| value.trim())
    };
    Some(Points {
        start: value("to_lsn")?.parse().ok()?,
        end: value("last_lsn")?.parse().ok()?,
        is_prepared: PREPARED.contains(&value("backup_type")?),
    })
}

/// File, offset and GTIDs, between tabs.
fn position(root: &Path) -> Result<Option<Position>, CaptureError> {
    let text = first(root, &POSITION)?.unwrap_or_default();
    let mut parts = text.trim_end().split('\t');
    let (file, offset) = (parts.next().unwrap_or_default(), parts.next());
    let Some(offset) = offset.and_then(|n| n.parse().ok()) else {
        return Ok(None);
    };
    Ok(Some(Position {
        file: file.to_owned(),
        offset,
        gtid: parts.next().unwrap_or_default().to_owned(),
    }))
}

fn options_of(text: &str) -> Vec<String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    layout(
        &LAYOUT,
        pairs.map(|(key, value)| (key.trim(), value.trim())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_copy_says_of_itself_is_read() {
        let text = "backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 46590\nlast_lsn = 46602\n";
        let points = points_of(text).unwrap();
        assert_eq!(
            (points.start, points.end, points.is_prepared),
            (46590, 46602, false)
        );
        assert!(
            points_of(&text.replace("full-backuped", "log-applied"))
                .unwrap()
                .is_prepared
        );
        assert!(points_of("backup_type = full-backuped\n").is_none());
    }

    #[test]
    fn only_the_layout_of_the_files_is_taken_over() {
        let text = "[mysqld]\ninnodb_page_size=16384\ninnodb_data_file_path=ibdata1:12M:autoextend\n\
            plugin_load=evil.so\ninnodb_undo_tablespaces=\ninnodb_log_file_size=1 --x\n\
            innodb_data_file_path=../../etc/x:12M\n";
        assert_eq!(
            options_of(text),
            [
                "--innodb-page-size=16384",
                "--innodb-data-file-path=ibdata1:12M:autoextend"
            ]
        );
    }
}
