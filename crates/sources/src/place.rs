//! Paths as people write them, made absolute and compared.

use std::path::{Component, Path, PathBuf};

use vouchsafe_capture::CaptureError;
use vouchsafe_host::{files, machine};

use crate::failure;

/// `path` below `base` if it is relative, without `.` and `..`; links are not looked at.
pub(crate) fn absolute(path: &Path, base: &Path) -> Result<PathBuf, String> {
    let mut whole = base.join(path);
    if whole.is_relative() {
        let here = machine::current_dir().map_err(|e| e.to_string())?;
        whole = here.join(whole);
    }
    let mut out = PathBuf::from("/");
    for part in whole.components() {
        match part {
            Component::Normal(name) => out.push(name),
            // `..` of the root is the root.
            Component::ParentDir => drop(out.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(out)
}

/// The path without links as far as it exists; the rest as written.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    let mut here = path;
    loop {
        if let Ok(real) = files::canonicalize(here) {
            return rest.iter().rev().fold(real, |out, name| out.join(name));
        }
        match (here.parent(), here.file_name()) {
            (Some(parent), Some(name)) => {
                rest.push(name);
                here = parent;
            }
            _ => return path.to_path_buf(),
        }
    }
}

/// Whether one of the two places lies within the other, links resolved.
pub(crate) fn overlap(a: &Path, b: &Path) -> bool {
    let (Ok(a), Ok(b)) = (
        absolute(a, Path::new("")).map(|p| resolved(&p)),
        absolute(b, Path::new("")).map(|p| resolved(&p)),
    ) else {
        return false;
    };
    a.starts_with(&b) || b.starts_with(&a)
}

/// Refuses a place in which there is something, also by force: a server that was there would be torn.
pub(crate) fn refuse_existing(to: &Path) -> Result<(), CaptureError> {
    let there = files::exists(to).map_err(failure::file)?;
    if there && !files::list_dir(to).map_err(failure::file)?.is_empty() {
        return Err(failure::target(
            to,
            "it is not empty; a server is made in a directory that does not exist",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_places_start_at_the_base() {
        let at =
            |path: &str| absolute(Path::new(path), Path::new("/etc/policy")).expect("absolute");
        assert_eq!(at("data"), Path::new("/etc/policy/data"));
        assert_eq!(at("./a/../b/."), Path::new("/etc/policy/b"));
        assert_eq!(at("../../../.."), Path::new("/"));
        assert_eq!(at("/var//www/"), Path::new("/var/www"));
    }

    #[test]
    fn places_overlap_through_links() {
        let dir = files::temp_dir("place-").expect("a directory");
        let real = dir.path().join("real");
        files::create_dir_all(real.join("below"), 0o700).expect("directories");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&real, &link).expect("a link");
        assert!(overlap(&link.join("below/new"), &real));
        assert!(overlap(&real, &link.join("below")));
        assert!(!overlap(&dir.path().join("other"), &real));
        assert!(!overlap(&dir.path().join("real2"), &real));
    }
}
