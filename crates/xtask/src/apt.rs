//! Debian packages: installed by name, or unpacked from another suite beside the system.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program;

/// Names a Debian mirror to ask instead of the one in this machine's own apt sources.
pub(crate) const MIRROR_VARIABLE: &str = "VOUCHSAFE_TEST_MIRROR";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Installs packages from this machine's own sources, by `sudo` if we are not root.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    program::run(privileged("apt-get").args(["update", "--quiet"]))?;
    program::run(
        privileged("apt-get")
            .args(["install", "--quiet", "--yes", "--no-install-recommends"])
            .args(packages),
    )
}

/// Unpacks one package of `suite` into `target`, without its dependencies and without installing it.
///
/// The mirror is that of this machine's own sources; the suite's index is fetched into a private
/// state and checked against the archive's keys, and the package against the index.
pub(crate) fn unpack(package: &str, suite: &str, target: &Path) -> Result<(), String> {
    let mirrors = mirrors()?;
    let mut failures = Vec::new();
    for mirror in &mirrors {
        match unpack_from(mirror, package, suite, target) {
            Ok(()) => return Ok(()),
            Err(failure) => failures.push(format!("  {mirror}: {failure}")),
        }
    }
    Err(format!(
        "no mirror yields the package {package} of {suite}:\n{}\n\
         name another mirror by {MIRROR_VARIABLE}; if a signature could not be checked, \
         install a newer debian-archive-keyring",
        failures.join("\n")
    ))
}

fn unpack_from(mirror: &str, package: &str, suite: &str, target: &Path) -> Result<(), String> {
    let at = |path: &Path, error| format!("{}: {error}", path.display());
    let work = target.with_extension("fetch");
    let _ = std::fs::remove_dir_all(&work);
    for dir in ["state/lists/partial", "cache/archives/partial", "download"] {
        let dir = work.join(dir);
        std::fs::create_dir_all(&dir).map_err(|error| at(&dir, error))?;
    }
    let sources = work.join("oracle.sources");
    std::fs::write(&sources, source_entry(mirror, suite)).map_err(|error| at(&sources, error))?;
    program::run(private_apt(&work).args(["update", "--quiet"]))?;
    let download = work.join("download");
    program::run(
        private_apt(&work)
            .args(["download", "--quiet", package])
            .current_dir(&download),
    )?;
    let archive = only_archive(&download)?;
    let unpacked = work.join("unpacked");
    program::run(
        Command::new("dpkg-deb")
            .arg("--extract")
            .args([&archive, &unpacked]),
    )?;
    let _ = std::fs::remove_dir_all(target);
    std::fs::rename(&unpacked, target).map_err(|error| at(target, error))?;
    std::fs::remove_dir_all(&work).map_err(|error| at(&work, error))
}

/// An `apt-get` that knows one source and leaves the system's own state alone.
fn private_apt(work: &Path) -> Command {
    let mut command = Command::new("apt-get");
    let option = |name: &str, path: &str| format!("{name}={}", work.join(path).display());
    command
        .arg("-o")
        .arg(option("Dir::State", "state"))
        .arg("-o")
        .arg(option("Dir::Cache", "cache"))
        .arg("-o")
        .arg(option("Dir::Etc::SourceList", "oracle.sources"))
        .args(["-o", "Dir::Etc::SourceParts=/dev/null"])
        // The private directories are ours; the user that apt steps down to could not write there.
        .args(["-o", "APT::Sandbox::User="]);
    command
}

fn source_entry(mirror: &str, suite: &str) -> String {
    let signed_by = if Path::new(KEYRING).is_file() {
        format!("Signed-By: {KEYRING}\n")
    } else {
        String::new()
    };
    format!(
        "Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\nTargets: Packages\n{signed_by}"
    )
}

fn only_archive(dir: &Path) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or_else(|| format!("{} holds no package after the download", dir.display()))
}

/// Where to look for other suites, best first.
pub(crate) fn mirrors() -> Result<Vec<String>, String> {
    if let Ok(mirror) = std::env::var(MIRROR_VARIABLE) {
        return Ok(vec![mirror]);
    }
    let targets = program::read(Command::new("apt-get").args([
        "indextargets",
        "--no-release-info",
        "--format",
        "$(RELEASE) $(COMPONENT) $(REPO_URI)",
        "Created-By: Packages",
    ]))?;
    let release = std::fs::read_to_string("/etc/os-release")
        .map_err(|error| format!("/etc/os-release: {error}"))?;
    let own = codename(&release).ok_or("/etc/os-release names no VERSION_CODENAME")?;
    let found = mirrors_among(&targets, own);
    if found.is_empty() {
        return Err(format!(
            "the apt sources of this machine have no main component of {own}: \
             name a Debian mirror by {MIRROR_VARIABLE}"
        ));
    }
    Ok(found)
}

fn codename(os_release: &str) -> Option<&str> {
    os_release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|value| value.trim_matches('"'))
}

/// The addresses that hold `suite`'s own main component; after them the same without the date that
/// snapshot archives have at their end, since an old snapshot lacks what is newer.
fn mirrors_among(targets: &str, suite: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in targets.lines() {
        let mut words = line.split_whitespace();
        if let (Some(release), Some("main"), Some(uri)) = (words.next(), words.next(), words.next())
            && release == suite
        {
            found.push(uri.trim_end_matches('/').to_owned());
        }
    }
    let undated: Vec<String> = found.iter().filter_map(|uri| without_date(uri)).collect();
    found.extend(undated);
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|uri| seen.insert(uri.clone()));
    found
}

fn without_date(uri: &str) -> Option<String> {
    let (rest, last) = uri.rsplit_once('/')?;
    let digits = last.strip_suffix('Z')?.replace('T', "");
    (digits.len() == 14 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| rest.to_owned())
}

fn privileged(name: &str) -> Command {
    let mut command = if is_root() {
        Command::new("env")
    } else {
        let mut sudo = Command::new("sudo");
        if !std::io::stdin().is_terminal() {
            sudo.arg("--non-interactive");
        }
        sudo.arg("env");
        sudo
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", name]);
    command
}

/// Whether we run as root, as the kernel states it for our own process.
pub(crate) fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .and_then(|ids| ids.split_whitespace().nth(1).map(str::to_owned))
            .is_some_and(|effective| effective == "0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = "\
bookworm main http://mirror.example/debian/
bookworm main http://mirror.example/debian/
bookworm contrib http://other.example/debian/
bookworm-updates main http://updates.example/debian/
nodistro main https://third.example/node/
bookworm main http://snapshot.example/archive/debian/20250520T000000Z/
";

    #[test]
    fn mirrors_are_those_of_the_machines_own_suite() {
        assert_eq!(
            mirrors_among(TARGETS, "bookworm"),
            [
                "http://mirror.example/debian",
                "http://snapshot.example/archive/debian/20250520T000000Z",
                "http://snapshot.example/archive/debian",
            ]
        );
        assert!(mirrors_among(TARGETS, "trixie").is_empty());
    }

    #[test]
    fn only_a_whole_date_is_cut_off() {
        assert_eq!(without_date("http://a.example/debian"), None);
        assert_eq!(without_date("http://a.example/2025Z"), None);
        assert_eq!(
            without_date("http://a.example/20250520T000000Z").as_deref(),
            Some("http://a.example")
        );
    }

    #[test]
    fn the_codename_is_read_with_and_without_quotes() {
        assert_eq!(
            codename("ID=debian\nVERSION_CODENAME=bookworm\n"),
            Some("bookworm")
        );
        assert_eq!(codename("VERSION_CODENAME=\"trixie\"\n"), Some("trixie"));
        assert_eq!(codename("ID=debian\n"), None);
    }
}
