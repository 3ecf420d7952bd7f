//! PostgreSQL's own programs of the right version.

use std::path::{Path, PathBuf};
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::files;
use vouchsafe_host::process::{Command, find_program, run_captured};

pub(super) use crate::failure::program as failed;

/// Where distributions put the programs of one major version.
const PLACES: [&str; 5] = [
    "/usr/lib/postgresql/{}/bin",
    "/usr/pgsql-{}/bin",
    "/usr/lib/postgresql{}/bin",
    "/opt/homebrew/opt/postgresql@{}/bin",
    "/usr/local/opt/postgresql@{}/bin",
];

/// The newest major version that is looked for.
const NEWEST: u32 = 30;

/// How long a program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(20);

/// The client programs that can dump a server of version `major`: of the same version, else of the next newer one,
/// which writes what servers of its own version read.
pub(super) fn for_dumping(ctx: &CaptureContext<'_>, major: u32) -> Result<PathBuf, CaptureError> {
    let found = (major..=NEWEST).find_map(|version| directory(version, "pg_dump"));
    if let Some(found) = found {
        return Ok(found);
    }
    let (onpath, version) = on_path(ctx, "pg_dump")?;
    match version {
        Some(version) if version >= major => Ok(onpath),
        Some(version) => Err(missing(
            "pg_dump",
            format!("it is of version {version} and refuses a server of version {major}"),
            major,
        )),
        None => Err(missing(
            "pg_dump",
            "it does not say its version".to_owned(),
            major,
        )),
    }
}

/// The server programs of exactly this version: a data directory belongs to one version, and a restore proves most in
/// the source's own.
pub(super) fn for_serving(ctx: &CaptureContext<'_>, major: u32) -> Result<PathBuf, CaptureError> {
    if let Some(found) = directory(major, "postgres") {
        return Ok(found);
    }
    let (onpath, version) = on_path(ctx, "postgres")?;
    if version == Some(major) {
        return Ok(onpath);
    }
    let found = version.map_or("unknown".to_owned(), |v| v.to_string());
    Err(missing(
        "postgres",
        format!("the server that is here is of version {found}, the database came from {major}"),
        major,
    ))
}

fn directory(major: u32, program: &str) -> Option<PathBuf> {
    PLACES.iter().find_map(|place| {
        let directory = PathBuf::from(place.replace("{}", &major.to_string()));
        find_program(directory.join(program)).map(|_| directory)
    })
}

/// The directory of a program on `PATH`, and its major version.
fn on_path(
    ctx: &CaptureContext<'_>,
    program: &str,
) -> Result<(PathBuf, Option<u32>), CaptureError> {
    let found = find_program(program).and_then(|path| files::canonicalize(path).ok());
    let Some(directory) = found.as_deref().and_then(Path::parent) else {
        return Err(missing(program, "it is not installed".to_owned(), 0));
    };
    let command = Command::new(directory.join(program)).arg("--version");
    let output = run_captured(ctx.spawn, command, PATIENCE)
        .map_err(|e| failed(program, &e, "see that it is installed whole"))?;
    Ok((directory.to_path_buf(), major_of(&output.text())))
}

/// The major version in `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major_of(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("(PostgreSQL) ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn missing(program: &str, message: String, major: u32) -> CaptureError {
    let remedy = if major == 0 {
        "install PostgreSQL's programs of the server's version, or put them on PATH".to_owned()
    } else if program == "postgres" {
        format!("install the package postgresql-{major}, or put the programs of {major} on PATH")
    } else {
        format!(
            "install the package postgresql-client-{major} or a newer one, or put its programs on PATH"
        )
    };
    CaptureError::Program {
        program: program.to_owned(),
        message,
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_programs_say() {
        assert_eq!(
            major_of("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major_of("postgres (PostgreSQL) 19beta3"), Some(19));
        assert_eq!(major_of("something else"), None);
    }
}
