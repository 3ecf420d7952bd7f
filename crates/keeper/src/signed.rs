//! Whose the policy is by git: the author of its commit, and signatures over a commit or a tag that holds it.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use vouchsafe_format::Id;
use vouchsafe_host::files;
use vouchsafe_host::process::{Command, Output, ProcessError, run_captured};
use vouchsafe_model::SignedBy;
use vouchsafe_policy::files::{Part, parts};

use crate::includes::{Commit, Tree, Unread, gather};
use crate::keeper::Tools;

/// A commit or a tag, as somebody names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedObject {
    /// A revision.
    Commit(String),
    /// A tag.
    Tag(String),
}

const PATIENCE: Duration = Duration::from_secs(60);
/// A policy is never longer.
const LIMIT: usize = 16 << 20;

/// Git in a folder, with nothing of the repository's own configuration that could start programs, and no replacements.
pub(crate) fn git(tools: &Tools, folder: &Path, args: &[OsString]) -> Result<Output, ProcessError> {
    const QUIET: [&str; 16] = [
        "--no-replace-objects",
        "--literal-pathspecs",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "gpg.ssh.program=ssh-keygen",
        // Signatures of other kinds are not verified, and no program is started for them.
        "-c",
        "gpg.program=false",
        "-c",
        "gpg.openpgp.program=false",
        "-c",
        "gpg.x509.program=false",
        "-c",
        "log.showSignature=false",
    ];
    let command = Command::new("git")
        .args(QUIET)
        .args(args)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .current_dir(folder)
        .capture(LIMIT);
    run_captured(tools.spawn.as_ref(), command, PATIENCE)
}

pub(crate) fn words(args: &[&str]) -> Vec<OsString> {
    args.iter().map(OsString::from).collect()
}

/// The hash of the commit that a revision names.
pub(crate) fn commit(tools: &Tools, folder: &Path, revision: &str) -> Result<String, ProcessError> {
    let object = format!("{revision}^{{commit}}");
    let args = words(&["rev-parse", "--verify", "--end-of-options", &object]);
    Ok(git(tools, folder, &args)?.text().trim().to_owned())
}

/// The names of the policy's files, relative to its folder.
fn names(policy: &Path, text: &str) -> Vec<OsString> {
    let main = policy.file_name().unwrap_or_default();
    let all = parts(text);
    let others = all.iter().filter_map(|part| part.name);
    [main.to_owned()]
        .into_iter()
        .chain(others.map(OsString::from))
        .collect()
}

/// The author of the last commit that touched the policy's files, by their address; nothing if they are not committed
/// as they are. A file that only one of the `older` texts has was taken away, which is a change like any other.
pub(crate) fn author<'t>(
    tools: &Tools,
    policy: &Path,
    text: &str,
    older: impl Iterator<Item = &'t str>,
) -> Option<String> {
    let folder = policy.parent()?;
    let mut files = names(policy, text);
    let mut gone: Vec<OsString> = older.flat_map(|text| names(policy, text)).collect();
    gone.sort();
    gone.dedup();
    gone.retain(|name| !files.contains(name));
    let is_as_committed = |more: &str, files: &[OsString]| {
        let mut status = words(&["status", "--porcelain", more, "--"]);
        status.extend_from_slice(files);
        let told = git(tools, folder, &status);
        told.is_ok_and(|told| told.text().trim().is_empty())
    };
    // What was never committed, and is no part of the policy any more, tells nothing of who took it away.
    if !is_as_committed("--ignored", &files)
        || (!gone.is_empty() && !is_as_committed("--untracked-files=no", &gone))
    {
        return None;
    }
    files.extend(gone);
    let mut log = words(&["log", "-1", "--format=%ae", "--"]);
    log.extend(files);
    let author = git(tools, folder, &log).ok()?.text().trim().to_owned();
    (!author.is_empty()).then_some(author)
}

/// Verifies that `object` is signed by one of the allowed signers, and holds exactly this policy.
pub(crate) fn verify(
    tools: &Tools,
    policy: &Path,
    text: &str,
    object: &SignedObject,
    allowed: &Path,
) -> Result<SignedBy, String> {
    let folder = policy.parent().unwrap_or(Path::new("."));
    let signers = files::read(allowed, 1 << 20)
        .map_err(|e| format!("the file of allowed signers cannot be read: {e}"))?;
    let (kind, named, verb) = match object {
        SignedObject::Commit(rev) => ("commit", rev.clone(), "verify-commit"),
        SignedObject::Tag(tag) => ("tag", format!("refs/tags/{tag}"), "verify-tag"),
    };
    let fails = |e: ProcessError| format!("git does not know the {kind} `{named}`: {e}");
    let resolve = |what: String| {
        let args = [
            words(&["rev-parse", "--verify", "--end-of-options"]),
            vec![what.into()],
        ];
        git(tools, folder, &args.concat())
            .map(|output| output.text().trim().to_owned())
            .map_err(fails)
    };
    // From here on by the object's hash: a name may come to mean something else.
    let exact = resolve(match object {
        SignedObject::Commit(_) => format!("{named}^{{commit}}"),
        SignedObject::Tag(_) => format!("{named}^{{tag}}"),
    })?;
    let commit = resolve(format!("{exact}^{{commit}}"))?;
    let there = whole(tools, policy, &commit).map_err(|e| format!("the {kind} {e}"))?;
    if let Some(name) = differing(policy, &there, text) {
        return Err(format!(
            "the {kind} holds another text of {name} than the one that is to be approved"
        ));
    }
    let mut signers_option = OsString::from("gpg.ssh.allowedSignersFile=");
    signers_option.push(allowed);
    let mut args = words(&["-c"]);
    args.push(signers_option);
    args.extend(words(&[
        "-c",
        "gpg.ssh.revocationFile=",
        verb,
        "--raw",
        &exact,
    ]));
    let output = git(tools, folder, &args)
        .map_err(|e| format!("the {kind} is not signed by an allowed signer: {e}"))?;
    let (signer, key) = good_signature(&output.stderr_tail).ok_or_else(|| {
        format!(
            "the {kind} carries no signature of ssh by an allowed signer; others are not verified"
        )
    })?;
    Ok(SignedBy {
        kind: kind.to_owned(),
        object: match object {
            SignedObject::Commit(_) => commit,
            SignedObject::Tag(tag) => format!("{tag} {commit}"),
        },
        signer,
        key,
        allowed_signers: Id::of(&signers).to_hex(),
    })
}

/// The policy as a commit has it, with everything that it includes there.
fn whole(tools: &Tools, policy: &Path, commit: &str) -> Result<String, String> {
    let tree = Commit {
        tools,
        folder: policy.parent().unwrap_or(Path::new(".")),
        commit,
    };
    let main = policy.file_name().unwrap_or_default().to_string_lossy();
    let text = tree.read(&main, "").map_err(|unread| match unread {
        Unread::Failed(why) => format!("does not hold {main}: {why}"),
        Unread::Elsewhere => format!("does not hold {main}: it leads elsewhere"),
    })?;
    let gathered = gather(&main, text, &tree);
    match gathered.problems.first() {
        Some(problem) => Err(format!(
            "does not hold the whole policy: {}",
            problem.message
        )),
        None => Ok(gathered.text),
    }
}

/// The first file that is not the same in both texts, or is in one of them only.
fn differing(policy: &Path, one: &str, other: &str) -> Option<String> {
    if one == other {
        return None;
    }
    let (one, other) = (parts(one), parts(other));
    let is_in = |all: &[Part<'_>], part: &Part<'_>| {
        all.iter()
            .any(|known| (known.name, known.text) == (part.name, part.text))
    };
    let differs = one
        .iter()
        .find(|part| !is_in(&other, part))
        .or_else(|| other.iter().find(|part| !is_in(&one, part)));
    let main = policy.file_name().unwrap_or_default().to_string_lossy();
    let name = differs.and_then(|part| part.name).unwrap_or(&main);
    Some(name.to_owned())
}

/// Signer and key of `Good "git" signature for WHO with TYPE key SHA256:…`, which is how ssh-keygen says it.
fn good_signature(said: &str) -> Option<(String, String)> {
    let line = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Good \"git\" signature for "))?;
    let (signer, rest) = line.split_once(" with ")?;
    let key = rest.split_whitespace().find(|w| w.starts_with("SHA256:"))?;
    Some((signer.to_owned(), key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_signature_by_somebody_who_is_allowed_counts() {
        let good = "Good \"git\" signature for b@example.com with ED25519 key SHA256:abc\n";
        let found = good_signature(good);
        assert_eq!(
            found,
            Some(("b@example.com".to_owned(), "SHA256:abc".to_owned()))
        );
        for other in [
            "Good \"git\" signature with ED25519 key SHA256:abc\nNo principal matched.",
            "[GNUPG:] GOODSIG 00 b@example.com",
            "Could not verify signature.",
        ] {
            assert_eq!(good_signature(other), None, "{other}");
        }
    }
}
