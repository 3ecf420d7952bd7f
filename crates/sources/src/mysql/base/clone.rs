//! MySQL: a server of ours for the time of the copy asks the original for a clone of itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::files;
use vouchsafe_model::DigestEntry;
use vouchsafe_translog::gtid::GtidSet;

use super::super::about::{About, Cloned, Position};
use super::super::address::{SYSTEM, Tls};
use super::super::rights::Rights;
use super::super::server::{self, Server};
use super::super::session::{Session, literal, unreadable};
use super::DATA;
use super::donor::{donor, gives_none};
use super::way::{Entries, Noted, Origin, Way, layout, text};
use crate::failure;
use crate::rung::{Findings, number};

/// By the plugin `clone`.
pub(super) struct ByClone;

const LIBRARY: &str = "mysql_clone.so";
/// Below the scratch directory: the server that receives the clone, and in its place the clone.
const RECIPIENT: &str = "recipient";
const CLONE: &str = "clone";
/// Below the scratch directory: where the clone lies in the end.
const WHOLE: &str = "whole";
/// The recipient's copy of the authorities that it asks.
const AUTHORITIES: &str = "authorities.pem";

/// Settings that say how the files of a server are laid out: the recipient, and every server over these files, needs the
/// same ones.
const LAYOUT: [&str; 2] = ["innodb_page_size", "innodb_data_file_path"];

/// How often it is looked whether the clone is there.
const LOOK: Duration = Duration::from_millis(200);

const DUMPS: &str = "capture its databases one by one, by URLs that name them";

impl Way for ByClone {
    fn method(&self) -> &'static str {
        super::MySqlBaseSource::CLONED
    }

    fn demand(&self, from: &Origin<'_>, session: &mut Session) -> Result<(), CaptureError> {
        let shown = &from.shown;
        Rights::ask(session)?.demand_on_all(shown, &["BACKUP_ADMIN", "PROCESS"])?;
        if !plugins(session)?
            .iter()
            .any(|plugin| plugin.name == "clone")
        {
            let remedy =
                format!("run on the server: INSTALL PLUGIN clone SONAME '{LIBRARY}'; or {DUMPS}");
            return Err(unreadable(
                shown,
                "its plugin `clone` is not active",
                remedy,
            ));
        }
        if from.address.tls == Tls::VerifyIdentity && from.address.authorities.is_none() {
            let message = "the plugin `clone` asks who has signed the server's certificate, and not for whom: by the authorities of this machine anybody could answer";
            let remedy =
                "name the file of the authority that signs your servers' certificates by ssl-ca";
            return Err(unreadable(shown, message, remedy));
        }
        let elsewhere = session.optional(
            "SELECT FILE_NAME FROM information_schema.FILES WHERE FILE_NAME LIKE '/%' AND FILE_TYPE <> 'TEMPORARY' LIMIT 1",
        )?;
        if let Some(file) = elsewhere {
            let message = format!("{file} lies outside of the data directory");
            let remedy =
                format!("servers with files elsewhere cannot be captured whole yet; {DUMPS}");
            return Err(unreadable(shown, message, remedy));
        }
        // Those that this user may see; of the others the clone tells.
        refuse_other_engines(shown, session)?;
        donor(from, session).map(drop)
    }

    fn size(&self) -> &'static str {
        "SELECT COALESCE(SUM(FILE_SIZE), 0) FROM information_schema.INNODB_TABLESPACES"
    }

    fn copy(
        &self,
        ctx: &CaptureContext<'_>,
        from: &Origin<'_>,
        session: &mut Session,
        about: &mut About,
        scratch: &Path,
    ) -> Result<PathBuf, CaptureError> {
        let mut cloned = Cloned::default();
        for name in LAYOUT {
            if let Some(value) = session.setting(name)? {
                cloned.layout.insert(name.to_owned(), value);
            }
        }
        let donor = donor(from, session)?;
        let plugins = plugins(session)?;
        about.cloned = Some(cloned);
        let place = scratch.join(RECIPIENT);
        files::create_dir(&place, files::PRIVATE_DIR).map_err(failure::file)?;
        let mut more = options_of(about);
        server::initialise(ctx, about, &place, &more)?;
        more.push(format!("--plugin-load-add={LIBRARY}"));
        if from.address.tls == Tls::VerifyIdentity
            && let Some(authorities) = from.address.trusted()
        {
            // Where the server may read it.
            files::copy_new(authorities, place.join(DATA).join(AUTHORITIES), 0o644)
                .map_err(failure::file)?;
            more.push(format!("--clone-ssl-ca={AUTHORITIES}"));
        }
        let recipient = Server::start(ctx, about, &place, &more)?;
        receive(ctx, from, &recipient, &donor, &plugins)?;
        recipient.kill();
        drop(recipient);
        let whole = scratch.join(WHOLE);
        files::create_dir(&whole, files::PRIVATE_DIR).map_err(failure::file)?;
        let data = whole.join(DATA);
        files::rename(place.join(CLONE), &data).map_err(failure::file)?;
        files::remove_tree(&place).map_err(failure::file)?;
        Ok(data)
    }

    /// Starts the clone: which transactions it holds only a server says that has opened it.
    fn note(
        &self,
        ctx: &CaptureContext<'_>,
        about: &mut About,
        data: &Path,
    ) -> Result<Entries, CaptureError> {
        ctx.progress.phase("open the copy", None, None);
        let place = data.parent().unwrap_or(data);
        let server = Server::start_for_anybody(ctx, about, place, &self.options(about, data)?)?;
        let mut session = server.session(ctx)?;
        let shown = "the clone";
        refuse_other_engines(shown, &mut session)?;
        let status = Status::ask(&mut session)?;
        if let Some(wrong) = &status.wrong {
            let remedy = "see the server's log, and run it again";
            return Err(unreadable(
                shown,
                format!("it is not whole: {wrong}"),
                remedy,
            ));
        }
        let gtids = executed(&mut session)?;
        let (count, names) = tables(&mut session)?;
        let cloned = about.cloned.get_or_insert_default();
        (cloned.tables, cloned.names) = (count, names);
        cloned.gtids = gtids.to_string();
        about.position = status.place.map(|(file, offset)| Position {
            file,
            offset,
            gtid: gtids.to_string(),
        });
        drop(session);
        server.stop(ctx)?;
        self.note_restored(about, data)
    }

    fn note_restored(&self, about: &mut About, _data: &Path) -> Result<Entries, CaptureError> {
        let cloned = cloned(about)?;
        let tables = DigestEntry {
            count: Some(cloned.tables),
            digest: cloned.names.clone(),
        };
        let mut entries = vec![("gtids", text(cloned.gtids.as_str())), ("tables", tables)];
        let position = about.position.as_ref().map(Position::to_string);
        entries.extend(position.map(|written| ("position", text(written))));
        Ok(entries)
    }

    /// The server does it when it opens the files for the first time.
    fn prepare(
        &self,
        _ctx: &CaptureContext<'_>,
        about: &About,
        _place: &Path,
    ) -> Result<(), CaptureError> {
        cloned(about).map(drop)
    }

    fn options(&self, about: &About, _data: &Path) -> Result<Vec<String>, CaptureError> {
        cloned(about)?;
        let mut out = options_of(about);
        // It says what the clone is of.
        out.push(format!("--plugin-load-add={LIBRARY}"));
        Ok(out)
    }

    fn compare(
        &self,
        session: &mut Session,
        _data: &Path,
        noted: &Noted<'_>,
        found: &mut Findings,
    ) -> Result<String, CaptureError> {
        let (count, names) = tables(session)?;
        let expected = noted.count("tables");
        if (Some(count), names.as_str()) != (expected, noted.text("tables")) {
            found.add(format!(
                "expected {} tables, found {count}, or others of these names",
                expected.unwrap_or_default()
            ));
        }
        let (gtids, expected) = (executed(session)?, noted.text("gtids"));
        if expected.parse::<GtidSet>().as_ref() != Ok(&gtids) {
            found.add(format!(
                "expected the transactions `{expected}`, found `{gtids}`"
            ));
        }
        let place = Status::ask(session)?.place;
        let at = place.map_or_else(String::new, |(file, offset)| format!("{file} {offset}"));
        let expected = noted.text("position");
        let expected = expected
            .match_indices(' ')
            .nth(1)
            .map_or(expected, |(at, _)| expected.get(..at).unwrap_or_default());
        if at != expected {
            found.add(format!("expected the position `{expected}`, found `{at}`"));
        }
        Ok(format!(
            "{} tables, the transactions `{gtids}`",
            number(count)
        ))
    }
}

fn cloned(about: &About) -> Result<&Cloned, CaptureError> {
    about.cloned.as_ref().ok_or_else(|| {
        unreadable(
            super::super::about::NAME,
            "it does not say what the clone holds",
            "restore another point",
        )
    })
}

fn options_of(about: &About) -> Vec<String> {
    let pairs = about.cloned.iter().flat_map(|cloned| &cloned.layout);
    layout(
        &LAYOUT,
        pairs.map(|(key, value)| (key.as_str(), value.as_str())),
    )
}

/// A plugin that does not belong to every server.
struct Plugin {
    name: String,
    library: String,
}

/// The plugins that the server has loaded: the recipient must have them too.
fn plugins(session: &mut Session) -> Result<Vec<Plugin>, CaptureError> {
    let rows = session.rows(
        "SELECT PLUGIN_NAME, PLUGIN_LIBRARY FROM information_schema.PLUGINS \
         WHERE PLUGIN_STATUS = 'ACTIVE' AND PLUGIN_LIBRARY IS NOT NULL ORDER BY PLUGIN_NAME",
    )?;
    let plugin = |row: Vec<Option<String>>| {
        let mut row = row.into_iter().flatten();
        Some(Plugin {
            name: row.next()?,
            library: row.next()?,
        })
    };
    Ok(rows.into_iter().filter_map(plugin).collect())
}

/// Has the recipient ask for the clone, and waits for it.
fn receive(
    ctx: &CaptureContext<'_>,
    from: &Origin<'_>,
    recipient: &Server,
    (host, port): &(String, u16),
    plugins: &[Plugin],
) -> Result<(), CaptureError> {
    let mut session = recipient.session(ctx)?;
    let plain = |text: &str| {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        !text.is_empty() && text.bytes().all(fine)
    };
    for Plugin { name, library } in plugins.iter().filter(|plugin| plugin.name != "clone") {
        let installed = match plain(name) && plain(library) {
            true => session.execute(&format!("INSTALL PLUGIN `{name}` SONAME '{library}'")),
            false => Err(unreadable(&from.shown, "its name is none", "look at it")),
        };
        if let Err(error) = installed {
            let message = format!("it has loaded the plugin `{name}`, which a copy needs: {error}");
            let remedy = format!("install {library} on this machine, or {DUMPS}");
            return Err(unreadable(&from.shown, message, remedy));
        }
    }
    let data = session.text("SELECT @@datadir")?;
    let place = Path::new(&data).parent().unwrap_or(Path::new("/"));
    let to = place.join(CLONE).display().to_string();
    let allowed = session.execute(&format!(
        "SET GLOBAL clone_valid_donor_list = {}",
        literal(&format!("{host}:{port}"))
    ));
    allowed.map_err(|error| {
        let message = format!("a clone cannot be asked for at {host}:{port}: {error}");
        unreadable(
            &from.shown,
            message,
            "name the host by its name or its IPv4 address",
        )
    })?;
    let tls = match from.address.tls {
        Tls::Disabled if from.address.is_this_machine() => "",
        Tls::Disabled => "REQUIRE NO SSL",
        Tls::Required | Tls::VerifyAuthority | Tls::VerifyIdentity => "REQUIRE SSL",
    };
    let password = from
        .login
        .password()
        .map(|p| p.expose())
        .unwrap_or_default();
    let password = String::from_utf8_lossy(password).into_owned();
    let sql = format!(
        "CLONE INSTANCE FROM {}@{}:{port} IDENTIFIED BY {} DATA DIRECTORY = {} {tls}",
        literal(&from.address.user),
        literal(host),
        literal(&password),
        literal(&to),
    );
    let mut watching = recipient.session(ctx)?;
    let cloned = std::thread::scope(|scope| {
        let cloning = scope.spawn(move || session.execute(&sql));
        let mut received = 0;
        while !cloning.is_finished() {
            if ctx.interrupt.requested() {
                recipient.kill();
                break;
            }
            ctx.clock.sleep(LOOK);
            // Only for show.
            let now = watching.text("SELECT SUM(DATA) FROM performance_schema.clone_progress");
            if let Some(now) = now.ok().and_then(|bytes| bytes.parse::<u64>().ok()) {
                ctx.progress.advance(0, now.saturating_sub(received));
                received = received.max(now);
            }
        }
        cloning.join()
    });
    failure::check_interrupt(ctx)?;
    let cloned = cloned.unwrap_or_else(|_| {
        let message = "asking for the clone ended unexpectedly";
        Err(unreadable(&from.shown, message, "run it again"))
    });
    cloned.map_err(|error| gives_none(from, &without(&error.to_string(), &password)))
}

/// What was said, without the password: as our statement has it, and as it is. A word of a few characters may stand
/// anywhere, and what is left out then would tell it; so that is left out only where our statement has it.
fn without(said: &str, password: &str) -> String {
    const TELLING: usize = 4;
    if password.is_empty() {
        return said.to_owned();
    }
    let written = literal(password);
    let said = said.replace(&written, "'…'");
    if password.chars().count() < TELLING {
        return said;
    }
    let escaped = written.get(1..written.len() - 1).unwrap_or(password);
    said.replace(escaped, "…").replace(password, "…")
}

/// What a clone says of itself.
struct Status {
    /// Why it is none, if it is not whole.
    wrong: Option<String>,
    /// Where in the original's binary log it lies.
    place: Option<(String, u64)>,
}

impl Status {
    fn ask(session: &mut Session) -> Result<Status, CaptureError> {
        let rows = session.rows(
            "SELECT STATE, ERROR_NO, ERROR_MESSAGE, BINLOG_FILE, BINLOG_POSITION FROM performance_schema.clone_status",
        )?;
        let Some(row) = rows.into_iter().next() else {
            let wrong = Some("it does not know that it is a clone".to_owned());
            return Ok(Status { wrong, place: None });
        };
        let mut row = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || row.next().unwrap_or_default();
        let (state, code, said, file, offset) = (next(), next(), next(), next(), next());
        let wrong = (state != "Completed" || code != "0").then(|| format!("{state} {said}"));
        let offset = offset.parse().ok().filter(|_| !file.is_empty());
        Ok(Status {
            wrong,
            place: offset.map(|offset| (file, offset)),
        })
    }
}

/// All transactions that a server has.
fn executed(session: &mut Session) -> Result<GtidSet, CaptureError> {
    let said = session.text("SELECT @@GLOBAL.gtid_executed")?;
    said.parse().map_err(|error| {
        let message = format!("what it says of its transactions cannot be read: {error}");
        unreadable("the clone", message, "this version of MySQL is not known")
    })
}

/// The databases that are not the server's own, as a condition.
fn not_its_own() -> String {
    let names = SYSTEM.map(literal);
    format!(
        "TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ({})",
        names.join(", ")
    )
}

/// How many tables there are, and the digest of their names.
fn tables(session: &mut Session) -> Result<(u64, String), CaptureError> {
    let mut names = Vec::new();
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE {}",
        not_its_own()
    );
    session.each(&sql, &mut |row| {
        let part = |at: usize| row.get(at).copied().flatten().unwrap_or_default();
        names.push([part(0), b"/", part(1), b"\n"].concat());
        Ok(())
    })?;
    names.sort();
    let mut sum = Sha256::new();
    names.iter().for_each(|name| sum.update(name));
    Ok((names.len() as u64, hex::encode(sum.finalize())))
}

/// A clone holds the rows of InnoDB's tables only.
fn refuse_other_engines(shown: &str, session: &mut Session) -> Result<(), CaptureError> {
    let rows = session.rows(&format!(
        "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME, ' (', ENGINE, ')') FROM information_schema.TABLES \
         WHERE {} AND ENGINE <> 'InnoDB' ORDER BY 1",
        not_its_own()
    ))?;
    let names: Vec<String> = rows.into_iter().flatten().flatten().collect();
    if names.is_empty() {
        return Ok(());
    }
    let message = format!(
        "tables that are not InnoDB's would come without their rows: {}",
        names.join(", ")
    );
    let remedy = format!("alter them to ENGINE=InnoDB, or {DUMPS}");
    Err(unreadable(shown, message, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_layout_of_a_clone_is_taken_over() {
        let layout = [
            ("innodb_page_size", "4096"),
            ("innodb_data_file_path", "../x:12M"),
            ("plugin_load", "evil.so"),
        ];
        let pairs = layout.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let about = |cloned| {
            About {
            cloned,
            ..serde_json::from_str(
                r#"{"database": "", "product": "mysql", "server_version": "9.7.4", "series": [9, 7], "character_set": "",
                "collation": "", "lower_case_table_names": "0", "tls": "none", "server_time": ""}"#,
            )
            .unwrap()
        }
        };
        let cloned = Cloned {
            layout: pairs.into(),
            ..Cloned::default()
        };
        let options = ByClone
            .options(&about(Some(cloned)), Path::new("x"))
            .unwrap();
        assert_eq!(
            options,
            [
                "--innodb-page-size=4096",
                "--plugin-load-add=mysql_clone.so"
            ]
        );
        let refused = ByClone.options(&about(None), Path::new("x")).unwrap_err();
        assert!(refused.to_string().contains("what the clone holds"));
    }

    #[test]
    fn what_a_server_says_of_our_statement_does_not_show_the_password() {
        let near = |written: &str| format!("syntax error near 'IDENTIFIED BY {written} DATA' at 1");
        for password in ["op'en \"sesame\\", "sesame", "it's'", "a'", "e"] {
            let said = without(&near(&literal(password)), password);
            assert_eq!(said, near("'…'"), "{password}");
        }
        // Cut, or as it is.
        let said = without("near 'op''en sesame\\\\", "op'en sesame\\");
        assert_eq!(said, "near '…");
        assert_eq!(
            without("the password op'en is wrong", "op'en"),
            "the password … is wrong"
        );
        // Neither a short one nor none takes anything else away.
        assert_eq!(without("access denied", "e"), "access denied");
        assert_eq!(without("no right for ''@x", ""), "no right for ''@x");
    }
}
