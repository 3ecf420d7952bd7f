//! `conformance`: against servers and programs that are too large, or from too far, for every run of the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::phases::Phases;
use crate::{apt, mongo_tools, oracles, packages, program, servers, workspace};

/// The tests of this tier, in whichever package has some; `cargo test` leaves them out unless it is told their name.
const TESTS: &str = "real_servers";

/// The variables by which the tests are told.
const CEPH_VARIABLE: &str = "VOUCHSAFE_TEST_CEPH";
const MYSQL_VARIABLE: &str = "VOUCHSAFE_TEST_MYSQL";
const AZURITE_VARIABLE: &str = "VOUCHSAFE_TEST_AZURITE";

const AZURITE: &str = "azurite@3.35.0";

/// What this tier needs of the machine beside what every run of the tests needs.
const PACKAGES: [(&str, &str); 2] = [("mmdebstrap", "mmdebstrap"), ("npm", "npm")];
/// A library that MongoDB's tools are linked to.
const KERBEROS: (&str, &str) = (
    "libgssapi-krb5-2",
    "/usr/lib/x86_64-linux-gnu/libgssapi_krb5.so.2",
);

/// Fetches the servers that are missing, and runs the tests against them; `arguments` go to the tests.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if !apt::is_root() {
        return Err(
            "Ceph and MySQL run in root file systems of their own, which takes root: run this as root, best in a container"
                .to_owned(),
        );
    }
    let mut phases = Phases::default();
    let done = prepare(&mut phases).and_then(|variables| {
        phases.time("run the tests", || {
            let mut command = workspace::cargo();
            command
                .current_dir(workspace::root()?)
                .args(["test", "--locked", "--workspace", "--test", TESTS])
                .envs(variables);
            if !arguments.is_empty() {
                command.arg("--").args(arguments);
            }
            program::run(&mut command)
        })
    });
    phases.print();
    done
}

/// Prints, for a shell to evaluate, where the servers are.
pub(crate) fn print_environment() -> Result<(), String> {
    for (name, value) in prepare(&mut Phases::default())? {
        println!("export {name}='{}'", value.display());
    }
    Ok(())
}

fn prepare(phases: &mut Phases) -> Result<Vec<(&'static str, PathBuf)>, String> {
    let dir = workspace::root()?.join("target/conformance");
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    phases.time("packages", || {
        packages::provide()?;
        let missing = PACKAGES.iter().filter(|(_, p)| program::find(p).is_none());
        let mut missing: Vec<&str> = missing.map(|(package, _)| *package).collect();
        if !Path::new(KERBEROS.1).exists() {
            missing.push(KERBEROS.0);
        }
        match missing.is_empty() {
            true => Ok(()),
            false => apt::install(&missing),
        }
    })?;
    let ceph = phases.time(CEPH.name, || CEPH.provide(&dir.join("ceph")))?;
    let mysql = phases.time(MYSQL.name, || MYSQL.provide(&dir.join("mysql")))?;
    let azurite = phases.time("Azurite", || azurite(&dir.join("azurite")))?;
    let tools = phases.time("MongoDB's tools", || {
        mongo_tools::provide(&dir.join("mongo-tools"))
    })?;
    let others = phases.time("servers", servers::provide)?;
    let oracles = phases.time("oracles", oracles::Oracles::provide)?;
    let mut variables: Vec<(&'static str, PathBuf)> = oracles
        .variables()
        .map(|(name, path)| (name, path.to_owned()))
        .to_vec();
    variables.extend([
        (servers::VARIABLE, others),
        (CEPH_VARIABLE, ceph),
        (MYSQL_VARIABLE, mysql),
        (AZURITE_VARIABLE, azurite),
        (mongo_tools::VARIABLE, tools),
    ]);
    Ok(variables)
}

/// A server that lies in a root file system of another suite.
struct Rooted {
    name: &'static str,
    suite: &'static str,
    packages: &'static str,
    /// What is there only where all of it is.
    program: &'static str,
}

const CEPH: Rooted = Rooted {
    name: "Ceph",
    suite: "trixie",
    packages: "ceph-mon,ceph-osd,radosgw,ceph-common",
    program: "usr/bin/radosgw",
};

/// No stable suite has MySQL. `mount` is for the sandboxes that restored servers run in.
const MYSQL: Rooted = Rooted {
    name: "MySQL",
    suite: "sid",
    packages: "mysql-server-core,mysql-client-core,mysql-client,mount",
    program: "usr/sbin/mysqld",
};

impl Rooted {
    /// The root file system. It is whole or not there.
    fn provide(&self, root: &Path) -> Result<PathBuf, String> {
        if root.join(self.program).is_file() {
            return Ok(root.to_owned());
        }
        let made = root.with_extension("part");
        let mut failures = Vec::new();
        for mirror in apt::mirrors()? {
            let _ = std::fs::remove_dir_all(&made);
            let built = program::run(
                Command::new("mmdebstrap")
                    .args(["--quiet", "--mode=root", "--variant=essential"])
                    // A mirror may hold still, and a suite that is always new would be too old then.
                    .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
                    .arg(format!("--include={}", self.packages))
                    .arg(self.suite)
                    .arg(&made)
                    .arg(&mirror),
            );
            match built {
                Ok(()) => {
                    return std::fs::rename(&made, root)
                        .map(|()| root.to_owned())
                        .map_err(|error| format!("{}: {error}", root.display()));
                }
                Err(failure) => failures.push(format!("  {mirror}: {failure}")),
            }
        }
        Err(format!(
            "no mirror yields {} of {}:\n{}\nname another mirror by {}",
            self.name,
            self.suite,
            failures.join("\n"),
            apt::MIRROR_VARIABLE
        ))
    }
}

fn azurite(dir: &Path) -> Result<PathBuf, String> {
    if !dir.join("node_modules/.bin/azurite-blob").exists() {
        std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        program::run(
            Command::new("npm")
                .args(["install", "--silent", "--no-save", "--prefix"])
                .arg(dir)
                .arg(AZURITE),
        )?;
    }
    Ok(dir.to_owned())
}
