//! A complete mirror of a repository, brought up to date by fetching.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use vouchsafe_capture::CaptureError;
use vouchsafe_host::files::{self, TempDir};
use vouchsafe_host::inode::{self, Kind};
use vouchsafe_model::Issue;

use super::command::{Git, program_error};
use super::location::Location;
use crate::failure;

/// What of a mirror is not captured: leftovers, and what git makes anew.
pub(super) const LEFT_OUT: [&str; 12] = [
    "/FETCH_HEAD",
    "/ORIG_HEAD",
    "/gc.pid",
    "/hooks/",
    "/logs/",
    "*.lock",
    "/objects/**/tmp_*",
    "/objects/incoming-*",
    "/lfs/tmp/",
    "/lfs/cache/",
    "/lfs/incomplete/",
    "/lfs/logs/",
];

const REACH: &str = "see that the repository exists and can be read by the user who runs Vouchsafe";

/// Where the mirror of this repository is kept.
pub(super) fn path(work_dir: &Path, of: &Location) -> PathBuf {
    let digest = Sha256::digest(of.argument().as_encoded_bytes());
    let short = digest.get(..8).unwrap_or_default();
    work_dir.join(format!("git-{}.git", hex::encode(short)))
}

/// What HEAD says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// A ref, which need not exist yet.
    Symbolic(String),
    /// An object.
    Detached(String),
    /// A remote without a HEAD that it would tell.
    Unknown,
}

/// Clones or fetches; gives refs that the original has and would not hand out.
pub(super) fn update(
    git: &Git<'_>,
    from: &Location,
    mirror: &Path,
) -> Result<Vec<Issue>, CaptureError> {
    let before = original_refs(git, from)?;
    let known = files::exists(mirror).map_err(failure::file)?;
    let fetched = if known {
        fetch(git, from, mirror)?
    } else {
        false
    };
    if !fetched {
        // None yet, or one that an interruption broke: a new one replaces it only when it is complete.
        let (fresh, scratch) = clone(git, from)?;
        files::remove_tree(mirror).map_err(failure::file)?;
        files::rename(&fresh, mirror).map_err(failure::file)?;
        drop(scratch);
    }
    let head = head(git, from)?;
    set_head(git, from, mirror, &head)?;
    let after = original_refs(git, from)?;
    let ours = refs(git, mirror)?;
    let hidden = before
        .iter()
        .filter(|(name, id)| after.get(*name) == Some(id) && !ours.contains_key(*name));
    let issue = |(name, _): (&String, &String)| Issue {
        place: format!("{from}: {name}"),
        message:
            "the repository hides this ref from readers (transfer.hideRefs), so it was not captured"
                .to_owned(),
    };
    Ok(hidden.map(issue).collect())
}

/// A repository's own directory for a place: found, or cloned for the time being.
pub(super) fn local(
    git: &Git<'_>,
    place: &Location,
) -> Result<(PathBuf, Option<TempDir>), CaptureError> {
    if let Location::Local(path) = place {
        let found = repository_in(git, path)?;
        let missing = || failure::unreadable(path, "there is no git repository", REACH);
        return Ok((found.ok_or_else(missing)?, None));
    }
    let (path, scratch) = clone(git, place)?;
    set_head(git, place, &path, &head(git, place)?)?;
    Ok((path, Some(scratch)))
}

/// The directory with HEAD, objects and refs of the repository at exactly this path; nothing if there is none.
pub(super) fn repository_in(git: &Git<'_>, path: &Path) -> Result<Option<PathBuf>, CaptureError> {
    let Ok(real) = files::canonicalize(path) else {
        return Ok(None);
    };
    if inode::lstat(&real).map_err(failure::file)?.kind != Kind::Directory {
        return Ok(None);
    }
    // Git would go on looking in the directories above.
    let ceiling = real.parent().unwrap_or(Path::new("/"));
    let command = git
        .command(["rev-parse", "--path-format=absolute", "--git-common-dir"])
        .env("GIT_CEILING_DIRECTORIES", ceiling)
        .current_dir(&real)
        .capture(1 << 16);
    let Ok(output) = git.attempt(command)? else {
        return Ok(None);
    };
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = output.stdout;
    while bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    Ok(Some(PathBuf::from(OsString::from_vec(bytes))))
}

/// HEAD of the repository; an error if it cannot be reached.
pub(super) fn head(git: &Git<'_>, of: &Location) -> Result<Head, CaptureError> {
    if let Location::Local(path) = of {
        let missing =
            || failure::unreadable(path, "there is no git repository at this path", REACH);
        return head_of(git, &repository_in(git, path)?.ok_or_else(missing)?);
    }
    let mut command = git
        .command(["ls-remote", "--symref", "--"])
        .arg(of.argument())
        .arg("HEAD");
    command = command.capture(1 << 20);
    let text = git.run(command, REACH)?.text();
    let symbolic = text
        .lines()
        .find_map(|l| l.strip_prefix("ref: ")?.strip_suffix("\tHEAD"));
    let detached = text.lines().find_map(|l| l.strip_suffix("\tHEAD"));
    Ok(match (symbolic, detached) {
        (Some(name), _) => Head::Symbolic(name.to_owned()),
        (None, Some(id)) => Head::Detached(id.to_owned()),
        (None, None) => Head::Unknown,
    })
}

/// HEAD of the repository in this directory.
pub(super) fn head_of(git: &Git<'_>, repository: &Path) -> Result<Head, CaptureError> {
    let symbolic = git
        .on(repository, ["symbolic-ref", "--quiet", "HEAD"])
        .capture(1 << 16);
    if let Ok(output) = git.attempt(symbolic)? {
        return Ok(Head::Symbolic(output.text().trim_end().to_owned()));
    }
    let detached = git.on(repository, ["rev-parse", "--verify", "--quiet", "HEAD"]);
    Ok(Head::Detached(git.line(
        detached,
        "the repository's HEAD is damaged: repair it",
    )?))
}

/// Makes HEAD of the repository in `repository` what it is in `from`.
pub(super) fn set_head(
    git: &Git<'_>,
    from: &Location,
    repository: &Path,
    head: &Head,
) -> Result<(), CaptureError> {
    match head {
        Head::Unknown => {}
        Head::Symbolic(name) => {
            git.run(git.on(repository, ["symbolic-ref", "HEAD", name]), REACH)?;
        }
        Head::Detached(id) => {
            let object = format!("{id}^{{object}}");
            if !git.succeeds(git.on(repository, ["cat-file", "-e", &object]))? {
                // No ref reaches it.
                let args = [
                    "fetch",
                    "--quiet",
                    "--no-write-fetch-head",
                    "--no-tags",
                    "--",
                ];
                git.run(
                    git.on(repository, args).arg(from.argument()).arg("HEAD"),
                    REACH,
                )?;
            }
            git.run(
                git.on(repository, ["update-ref", "--no-deref", "HEAD", id]),
                REACH,
            )?;
        }
    }
    Ok(())
}

/// Every ref with its object. Bytes of names that are not UTF-8 are escaped.
pub(super) fn refs(
    git: &Git<'_>,
    repository: &Path,
) -> Result<BTreeMap<String, String>, CaptureError> {
    let command = git.on(
        repository,
        ["for-each-ref", "--format=%(objectname)\t%(refname)"],
    );
    listed(
        git,
        command,
        "the repository's refs are damaged: see git fsck",
    )
}

/// Every ref that a repository tells of from afar, with its object.
pub(super) fn advertised(
    git: &Git<'_>,
    of: &Location,
) -> Result<BTreeMap<String, String>, CaptureError> {
    let command = git
        .command(["ls-remote", "--quiet", "--refs", "--"])
        .arg(of.argument());
    listed(
        git,
        command,
        "see that the repository exists and can be written to",
    )
}

/// Lines of an object, a tab and a ref.
fn listed(
    git: &Git<'_>,
    command: vouchsafe_host::Command,
    remedy: &str,
) -> Result<BTreeMap<String, String>, CaptureError> {
    let mut out = BTreeMap::new();
    git.to_file(command, remedy)?.lines(|line| {
        let (id, name) = line.split_at(line.iter().position(|b| *b == b'\t').unwrap_or(line.len()));
        let name = name.strip_prefix(b"\t").unwrap_or(name);
        let name = match std::str::from_utf8(name) {
            Ok(text) => text.to_owned(),
            Err(_) => name.escape_ascii().to_string(),
        };
        out.insert(name, String::from_utf8_lossy(id).into_owned());
        Ok(())
    })?;
    Ok(out)
}

fn original_refs(git: &Git<'_>, from: &Location) -> Result<BTreeMap<String, String>, CaptureError> {
    let Location::Local(path) = from else {
        return Ok(BTreeMap::new());
    };
    let missing = || failure::unreadable(path, "there is no git repository at this path", REACH);
    refs(git, &repository_in(git, path)?.ok_or_else(missing)?)
}

fn clone(git: &Git<'_>, from: &Location) -> Result<(PathBuf, TempDir), CaptureError> {
    let scratch = files::scratch_dir_in(git.ctx.work_dir, "git-clone-").map_err(failure::file)?;
    let path = files::canonicalize(scratch.path())
        .map_err(failure::file)?
        .join("mirror.git");
    // `--no-local`: through git's protocol, so that borrowed objects are copied too and nothing is shared by links.
    let args = [
        "clone",
        "--quiet",
        "--mirror",
        "--no-local",
        "--template=",
        "--",
    ];
    git.run(git.command(args).arg(from.argument()).arg(&path), REACH)?;
    // The copy knows nothing of where it came from: nobody who restores it shall fetch over it by accident.
    let mut config = OsString::from("--file=");
    config.push(path.join("config"));
    let forget = git
        .command([OsString::from("config"), config])
        .args(["--remove-section", "remote.origin"]);
    git.run(forget, REACH)?;
    Ok((path, scratch))
}

/// False if the mirror is no longer usable; errors of the connection are errors.
fn fetch(git: &Git<'_>, from: &Location, mirror: &Path) -> Result<bool, CaptureError> {
    remove_locks(mirror);
    let args = [
        "fetch",
        "--quiet",
        "--prune",
        "--force",
        "--no-write-fetch-head",
        "--no-recurse-submodules",
        "--",
    ];
    let command = git
        .on(mirror, args)
        .arg(from.argument())
        .arg("+refs/*:refs/*");
    match git.attempt(command)? {
        Ok(_) => Ok(true),
        Err(failed) => {
            let reachable = head(git, from).is_ok();
            if reachable {
                Ok(false)
            } else {
                Err(program_error(&failed, REACH))
            }
        }
    }
}

/// Locks of a git that was killed; nobody else works on the mirror.
fn remove_locks(mirror: &Path) {
    let mut waiting = vec![mirror.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for name in files::list_dir(&directory).unwrap_or_default() {
            let path = directory.join(&name);
            let is_directory = inode::lstat(&path).is_ok_and(|seen| seen.kind == Kind::Directory);
            if is_directory && name != "objects" && name != "lfs" {
                waiting.push(path);
            } else if name.as_encoded_bytes().ends_with(b".lock") {
                // What cannot be removed makes the fetch fail, and that is reported.
                let _ = files::remove_file(&path);
            }
        }
    }
}
