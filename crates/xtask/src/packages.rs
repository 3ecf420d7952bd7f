//! The Debian packages that the build and the tests need, and how to see that they are there.

use std::path::Path;
use std::process::Command;

use crate::{apt, program};

/// A package by the name Debian 12 gives it.
struct Package {
    name: &'static str,
    probe: Probe,
}

/// What shows that a package is there, whoever installed it.
enum Probe {
    /// A program of this name.
    Program(&'static str),
    /// A file at this path.
    File(&'static str),
    /// Modules that python can import.
    Python(&'static str),
}

const PACKAGES: &[Package] = &[
    program("acl", "setfacl"),
    program("attr", "setfattr"),
    program("fuse3", "fusermount3"),
    program("git", "git"),
    program("git-lfs", "git-lfs"),
    program("iproute2", "ip"),
    program("mariadb-backup", "mariadb-backup"),
    program("mariadb-client", "mariadb-binlog"),
    file("mariadb-server", "/usr/sbin/mariadbd"),
    file("openssh-client", "/usr/bin/ssh"),
    file("openssh-server", "/usr/sbin/sshd"),
    program("openssl", "openssl"),
    program("poppler-utils", "pdftotext"),
    file("postgresql-15", "/usr/lib/postgresql/15/bin/initdb"),
    program("python3", "python3"),
    file(
        "python3-aiosmtpd",
        "/usr/lib/python3/dist-packages/aiosmtpd/__init__.py",
    ),
    Package {
        name: "python3-cryptography",
        probe: Probe::Python("cryptography"),
    },
    Package {
        name: "python3-jsonschema",
        probe: Probe::Python("jsonschema"),
    },
    Package {
        name: "python3-venv",
        probe: Probe::Python("venv, ensurepip"),
    },
    program("restic", "restic"),
    program("sqlite3", "sqlite3"),
    program("util-linux", "unshare"),
    program("zstd", "zstd"),
];

const fn program(name: &'static str, program: &'static str) -> Package {
    Package {
        name,
        probe: Probe::Program(program),
    }
}

const fn file(name: &'static str, path: &'static str) -> Package {
    Package {
        name,
        probe: Probe::File(path),
    }
}

/// Installs what is missing, and fails if something is missing even then.
pub(crate) fn provide() -> Result<(), String> {
    let missing = missing();
    if !missing.is_empty() {
        eprintln!("missing: {}", missing.join(" "));
        apt::install(&missing)?;
    }
    let missing = self::missing();
    if missing.is_empty() {
        eprintln!("packages: all {} are there", PACKAGES.len());
        Ok(())
    } else {
        Err(format!(
            "still missing after the installation: {}",
            missing.join(" ")
        ))
    }
}

/// Fails if the kernel does not let programs be cut off the network, which every drill needs.
pub(crate) fn check_namespaces() -> Result<(), String> {
    let mut command = Command::new("unshare");
    if !apt::is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--pid", "--fork", "--", "true"]);
    if program::succeeds(&mut command) {
        return Ok(());
    }
    Err(
        "this machine does not let us make namespaces, which the drill tests need: \
         allow unprivileged user namespaces, or run as root"
            .to_owned(),
    )
}

fn missing() -> Vec<&'static str> {
    PACKAGES
        .iter()
        .filter(|package| !is_there(&package.probe))
        .map(|package| package.name)
        .collect()
}

fn is_there(probe: &Probe) -> bool {
    match probe {
        Probe::Program(name) => program::find(name).is_some(),
        Probe::File(path) => Path::new(path).is_file(),
        Probe::Python(modules) => {
            program::succeeds(Command::new("python3").args(["-c", &format!("import {modules}")]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_seen_to_be_absent() {
        assert!(is_there(&Probe::Program("sh")));
        assert!(!is_there(&Probe::Program("no-such-program-anywhere")));
        assert!(is_there(&Probe::File("/etc/os-release")));
        assert!(!is_there(&Probe::File("/etc/no-such-file")));
        assert!(!is_there(&Probe::Python("no_such_module")));
    }
}
