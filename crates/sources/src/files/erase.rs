//! Erasing the files of subjects below a restored folder.

use vouchsafe_capture::{CaptureContext, CaptureError, Erased, Erasing, Restored};
use vouchsafe_host::inode::Kind;
use vouchsafe_host::{DestDir, DestError};
use vouchsafe_model::{ErasureRule, SubjectId};

use crate::erasing::{self, Fault, Open};
use crate::failure;

const SUBJECT: &str = "{subject}";
/// No file system that we write to has longer names.
const LONGEST_NAME: usize = 255;

/// Removes whatever the rule's paths name, following no links and never leaving the folder.
pub(super) fn erase(
    ctx: &CaptureContext<'_>,
    restored: &Restored,
    erasing: &Erasing<'_>,
) -> Result<Erased, CaptureError> {
    let shown = restored.place.display().to_string();
    let ErasureRule::Places { paths } = erasing.rule else {
        let fault = Fault::new(
            "the policy says statements of it, and it is a folder",
            "write paths under `erasure`",
        );
        return Err(fault.at(&shown));
    };
    let mut folder = Folder {
        dest: DestDir::open(&restored.place).map_err(failure::dest)?,
        patterns: paths.iter().map(|path| pattern(path)).collect(),
    };
    erasing::erase(ctx, erasing, &shown, &mut folder)
}

struct Folder {
    dest: DestDir,
    patterns: Vec<Vec<Step>>,
}

/// One name of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// `**`: any number of folders.
    Deep,
    /// Pieces of one name.
    Name(Vec<Piece>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    /// `*`: any bytes.
    Any,
    Subject,
}

fn pattern(path: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = path.split('/').map(step).collect();
    // What is below a folder goes with it.
    while steps.last() == Some(&Step::Deep) {
        steps.pop();
    }
    steps
}

fn step(name: &str) -> Step {
    if name == "**" {
        return Step::Deep;
    }
    let (mut pieces, mut rest) = (Vec::new(), name);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(SUBJECT) {
            pieces.push(Piece::Subject);
            rest = after;
        } else if let Some(after) = rest.strip_prefix('*') {
            pieces.push(Piece::Any);
            rest = after;
        } else {
            let end = [rest.find(SUBJECT), rest.find('*')];
            let end = end.into_iter().flatten().min().unwrap_or(rest.len());
            let (text, after) = rest.split_at(end);
            pieces.push(Piece::Text(text.as_bytes().to_vec()));
            rest = after;
        }
    }
    Step::Name(pieces)
}

/// A name with the subject in it: no part of the identifier has a meaning of its own.
fn filled(pieces: &[Piece], subject: &[u8]) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    for piece in pieces {
        let text = match piece {
            Piece::Any => {
                out.push(Piece::Any);
                continue;
            }
            Piece::Text(text) => text.as_slice(),
            Piece::Subject => subject,
        };
        match out.last_mut() {
            Some(Piece::Text(before)) => before.extend_from_slice(text),
            _ => out.push(Piece::Text(text.to_vec())),
        }
    }
    out
}

/// Whether pieces without a subject are this name.
fn matches(pieces: &[Piece], name: &[u8]) -> bool {
    match pieces.split_first() {
        None => name.is_empty(),
        Some((Piece::Any, rest)) => {
            (0..=name.len()).any(|at| matches(rest, name.get(at..).unwrap_or_default()))
        }
        Some((Piece::Text(text), rest)) => name
            .strip_prefix(text.as_slice())
            .is_some_and(|after| matches(rest, after)),
        Some((Piece::Subject, _)) => false,
    }
}

/// An identifier that may stand in a name.
fn as_name(subject: &SubjectId) -> Result<Vec<u8>, Fault> {
    let text = subject.expose();
    if matches!(text.as_str(), "" | "." | "..") || text.contains(['/', '\0']) {
        return Err(Fault::new(
            "the identifier cannot be a part of a file's name",
            "say by `systems` in its line where it belongs, if it is not this one",
        ));
    }
    Ok(text.into_bytes())
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    match parent {
        b"." => name.to_vec(),
        parent => [parent, b"/", name].concat(),
    }
}

/// Paths have identifiers in them, so they are not said.
fn fault(what: &str, error: &DestError) -> Fault {
    let why = match error.kind() {
        Some(kind) => kind.to_string(),
        None => "it passes through a link, or is no path to restore".to_owned(),
    };
    Fault::new(
        format!("a place of the subject cannot be {what}: {why}"),
        "see who owns what was restored, and who writes to it, and restore it again",
    )
}

impl Folder {
    /// All places that a pattern names, with the pieces of each name as `fill` makes them.
    fn places(
        &self,
        steps: &[Step],
        fill: &dyn Fn(&[Piece]) -> Vec<Piece>,
    ) -> Result<Vec<Vec<u8>>, Fault> {
        let mut out = Vec::new();
        // A list and no recursion: how deep folders lie is not ours to say.
        let mut open: Vec<(Vec<u8>, &[Step])> = vec![(b".".to_vec(), steps)];
        while let Some((folder, steps)) = open.pop() {
            match steps.split_first() {
                None => {}
                Some((Step::Deep, rest)) => {
                    for name in self.names(&folder)? {
                        let place = join(&folder, &name);
                        if self.kind(&place)? == Some(Kind::Directory) {
                            open.push((place, steps));
                        }
                    }
                    open.push((folder, rest));
                }
                Some((Step::Name(pieces), rest)) => {
                    for name in self.named(&folder, &fill(pieces))? {
                        let place = join(&folder, &name);
                        match self.kind(&place)? {
                            Some(_) if rest.is_empty() => out.push(place),
                            Some(Kind::Directory) => open.push((place, rest)),
                            // Nothing is behind a link that would be here.
                            _ => {}
                        }
                    }
                }
            }
        }
        out.sort();
        out.dedup();
        Ok(out)
    }

    /// The names in a folder that pieces without a subject fit; one that is text alone need not be there.
    fn named(&self, folder: &[u8], pieces: &[Piece]) -> Result<Vec<Vec<u8>>, Fault> {
        let mut names = match pieces {
            [Piece::Text(name)] => vec![name.clone()],
            _ => self.names(folder)?,
        };
        names.retain(|name| matches(pieces, name) && name.len() <= LONGEST_NAME);
        Ok(names)
    }

    fn names(&self, folder: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
        let listed = self.dest.read_dir(folder);
        listed.map_err(|e| fault("looked for", &e))
    }

    fn kind(&self, place: &[u8]) -> Result<Option<Kind>, Fault> {
        match self.dest.lstat(place) {
            Ok(seen) => Ok(Some(seen.kind)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(fault("looked for", &e)),
        }
    }

    fn of(&self, subject: &SubjectId) -> Result<Vec<Vec<u8>>, Fault> {
        let name = as_name(subject)?;
        let fill = |pieces: &[Piece]| filled(pieces, &name);
        let mut out = Vec::new();
        for steps in &self.patterns {
            out.extend(self.places(steps, &fill)?);
        }
        Ok(out)
    }

    /// Removes a name with all that is below it.
    fn remove(&self, place: &[u8]) -> Result<(), DestError> {
        if !self.is_folder_left(place)? {
            return Ok(());
        }
        let mut at = place.to_vec();
        // What is left in each folder from `place` down to the one that is being emptied.
        let mut left = vec![self.dest.read_dir(&at)?];
        while let Some(names) = left.last_mut() {
            let Some(name) = names.pop() else {
                self.dest.remove_dir(&at)?;
                left.pop();
                at.truncate(at.iter().rposition(|b| *b == b'/').unwrap_or(0));
                continue;
            };
            let inner = join(&at, &name);
            if self.is_folder_left(&inner)? {
                left.push(self.dest.read_dir(&inner)?);
                at = inner;
            }
        }
        Ok(())
    }

    /// Removes a name unless it is a folder; whether it is one, which has to be emptied first.
    fn is_folder_left(&self, place: &[u8]) -> Result<bool, DestError> {
        let kind = match self.dest.lstat(place) {
            Ok(seen) => seen.kind,
            Err(e) if e.is_not_found() => return Ok(false),
            Err(e) => return Err(e),
        };
        if kind != Kind::Directory {
            return self.dest.remove_file(place).map(|()| false);
        }
        // One that nobody may write to can still be removed by its owner.
        self.dest.chmod(place, 0o700).map(|()| true)
    }

    /// The same, where the folder that it lies in lets nobody write.
    fn remove_anyhow(&self, place: &[u8]) -> Result<(), DestError> {
        match self.remove(place) {
            Err(e) if e.is_permission_denied() => {
                let end = place.iter().rposition(|b| *b == b'/');
                let parent = end.and_then(|at| place.get(..at)).unwrap_or(b".");
                let mode = self.dest.lstat(parent)?.mode & 0o7777;
                self.dest.chmod(parent, mode | 0o700)?;
                let removed = self.remove(place);
                self.dest.chmod(parent, mode)?;
                removed
            }
            other => other,
        }
    }
}

impl Open for Folder {
    fn finds(&mut self, subject: &SubjectId) -> Result<bool, Fault> {
        Ok(!self.of(subject)?.is_empty())
    }

    fn erase(&mut self, subject: &SubjectId) -> Result<(), Fault> {
        for place in self.of(subject)? {
            self.remove_anyhow(&place)
                .map_err(|e| fault("removed", &e))?;
        }
        Ok(())
    }

    /// Whoever a pattern names that has the identifier between two texts.
    fn someone(&mut self) -> Result<Option<SubjectId>, Fault> {
        let any = |pieces: &[Piece]| {
            let any = |piece: &Piece| match piece {
                Piece::Subject => Piece::Any,
                other => other.clone(),
            };
            pieces.iter().map(any).collect::<Vec<Piece>>()
        };
        for steps in &self.patterns {
            // From behind, for `**` stands for any number of names.
            let end = steps.iter().rposition(
                |step| matches!(step, Step::Name(pieces) if pieces.contains(&Piece::Subject)),
            );
            let Some((end, Step::Name(pieces))) = end.map(|at| (at, &steps[at])) else {
                continue;
            };
            let from_behind = steps.len() - end;
            if steps[end..].contains(&Step::Deep) {
                continue;
            }
            for place in self.places(steps, &any)? {
                let name = place.split(|b| *b == b'/').rev().nth(from_behind - 1);
                let found = name.and_then(|name| between(pieces, name));
                if let Some(text) = found.and_then(|b| String::from_utf8(b.to_vec()).ok()) {
                    return Ok(Some(SubjectId::Text(text)));
                }
            }
        }
        Ok(None)
    }

    fn commit(&mut self) -> Result<(), Fault> {
        self.dest.sync().map_err(|e| fault("synced", &e))
    }
}

/// What stands in a name in the place of its one subject; nothing where `*` leaves that open.
fn between<'n>(pieces: &[Piece], name: &'n [u8]) -> Option<&'n [u8]> {
    let text = |piece: Option<&Piece>| match piece {
        Some(Piece::Text(text)) => Some(text.clone()),
        None => Some(Vec::new()),
        _ => None,
    };
    let at = pieces.iter().position(|p| *p == Piece::Subject)?;
    let (before, after) = pieces.split_at(at);
    if before.len() > 1 || after.len() > 2 {
        return None;
    }
    let found = name.strip_prefix(text(before.first())?.as_slice())?;
    let found = found.strip_suffix(text(after.get(1))?.as_slice())?;
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn folder(paths: &[&str]) -> (vouchsafe_host::files::TempDir, Folder) {
        let dir = vouchsafe_host::files::temp_dir("erase-").unwrap();
        let dest = DestDir::open(dir.path()).unwrap();
        let patterns = paths.iter().map(|path| pattern(path)).collect();
        (dir, Folder { dest, patterns })
    }

    fn make(dir: &vouchsafe_host::files::TempDir, names: &[&str]) {
        for name in names {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
    }

    fn text(text: &str) -> SubjectId {
        SubjectId::Text(text.to_owned())
    }

    #[test]
    fn what_belongs_to_a_subject_goes_and_the_rest_stays() {
        let (dir, mut folder) =
            folder(&["home/{subject}/**", "**/{subject}.json", "m/u-{subject}-*"]);
        make(
            &dir,
            &[
                "home/1/a/b",
                "home/10/a",
                "x/y/1.json",
                "x/1.json",
                "1.json",
                "x/10.json",
                "m/u-1-inbox",
                "m/u-10-inbox",
            ],
        );
        assert!(folder.finds(&SubjectId::Number(1)).unwrap());
        folder.erase(&SubjectId::Number(1)).unwrap();
        assert!(!folder.finds(&SubjectId::Number(1)).unwrap());
        for gone in ["home/1", "x/y/1.json", "x/1.json", "1.json", "m/u-1-inbox"] {
            assert!(!dir.path().join(gone).exists(), "{gone}");
        }
        for there in ["home/10/a", "x/10.json", "m/u-10-inbox"] {
            assert!(dir.path().join(there).exists(), "{there}");
        }
    }

    #[test]
    fn an_identifier_leads_nowhere_and_means_nothing_else() {
        let (dir, mut folder) = folder(&["home/{subject}"]);
        make(&dir, &["home/a", "home/*", "secret"]);
        for bad in ["..", ".", "../secret", "a/b", ""] {
            let fault = folder.erase(&text(bad)).unwrap_err();
            assert!(fault.message.contains("cannot be a part"), "{bad}");
        }
        folder.erase(&text("*")).unwrap();
        folder.erase(&text("**")).unwrap();
        folder.erase(&text("{subject}")).unwrap();
        folder.erase(&text(&"x".repeat(300))).unwrap();
        assert!(dir.path().join("home/a").exists() && dir.path().join("secret").exists());
        assert!(!dir.path().join("home/*").exists());
    }

    #[test]
    fn links_are_removed_and_never_followed() {
        let outside = vouchsafe_host::files::temp_dir("outside-").unwrap();
        fs::create_dir(outside.path().join("1")).unwrap();
        fs::write(outside.path().join("1/kept"), "kept").unwrap();
        let (dir, mut folder) = folder(&["home/{subject}", "mail/{subject}", "**/{subject}.d"]);
        make(&dir, &["home/x"]);
        symlink(outside.path().join("1"), dir.path().join("home/1")).unwrap();
        symlink(outside.path(), dir.path().join("mail")).unwrap();
        fs::create_dir(dir.path().join("1.d")).unwrap();
        symlink(outside.path(), dir.path().join("1.d/out")).unwrap();
        folder.erase(&SubjectId::Number(1)).unwrap();
        assert!(!folder.finds(&SubjectId::Number(1)).unwrap());
        assert!(outside.path().join("1/kept").exists());
        assert!(fs::symlink_metadata(dir.path().join("home/1")).is_err());
        assert!(!dir.path().join("1.d").exists());
    }

    #[test]
    fn read_only_folders_do_not_keep_anybody() {
        let (dir, mut folder) = folder(&["home/{subject}"]);
        make(&dir, &["home/1/deep/file"]);
        for name in ["home/1/deep", "home/1", "home"] {
            let mode = fs::Permissions::from_mode(0o555);
            fs::set_permissions(dir.path().join(name), mode).unwrap();
        }
        folder.erase(&SubjectId::Number(1)).unwrap();
        assert!(!dir.path().join("home/1").exists());
        let mode = fs::metadata(dir.path().join("home"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o555);
        let writable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(dir.path().join("home"), writable).unwrap();
    }

    /// On a stack that holds no frame for each of so many folders.
    #[test]
    fn however_deep_folders_lie_nobody_stays() {
        let deep = || {
            let (dir, mut folder) = folder(&["**/{subject}"]);
            let mut at = b"d".to_vec();
            for _ in 0..1000 {
                folder.dest.mkdir(&at, 0o700).unwrap();
                at.extend_from_slice(b"/d");
            }
            at.pop();
            at.push(b'1');
            for _ in 0..1000 {
                folder.dest.mkdir(&at, 0o700).unwrap();
                at.extend_from_slice(b"/d");
            }
            assert!(folder.finds(&SubjectId::Number(1)).unwrap());
            folder.erase(&SubjectId::Number(1)).unwrap();
            assert!(!folder.finds(&SubjectId::Number(1)).unwrap());
            folder.remove(b"d").unwrap();
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        };
        let small = std::thread::Builder::new().stack_size(128 * 1024);
        small.spawn(deep).unwrap().join().unwrap();
    }

    #[test]
    fn someone_who_is_there_is_named_by_the_paths() {
        for (pattern, file, who) in [
            ("home/{subject}", "home/anna/x", Some("anna")),
            ("home/{subject}/mail", "home/anna/mail/x", Some("anna")),
            ("**/u-{subject}.json", "a/b/u-anna.json", Some("anna")),
            ("m/{subject}-*", "m/anna-x", None),
            ("other/{subject}", "home/anna/x", None),
        ] {
            let (dir, mut folder) = folder(&[pattern]);
            make(&dir, &[file]);
            let found = folder.someone().unwrap().map(|id| id.expose());
            assert_eq!(found.as_deref(), who, "{pattern}");
        }
    }
}
