//! A vault as a file system: what is in it, what is kept out, and how it ends.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Workspace, noise};

/// A mount that is gone at the latest when this is dropped.
struct Mount {
    child: Child,
    at: PathBuf,
}

impl Mount {
    fn of(w: &Workspace, vault: &str) -> Mount {
        let at = w.path("mounted");
        fs::create_dir_all(&at).unwrap();
        let mut child = w
            .command(["vault", "mount", vault, "mounted"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.as_mut().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let mount = Mount { child, at };
        assert!(
            line.contains("Ctrl-C unmounts it"),
            "{line}{}",
            mount.end().1
        );
        mount
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// How it ended, and what it said on standard error.
    fn end(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut err = self.child.stderr.take().unwrap();
                err.read_to_string(&mut said).unwrap();
                return (status, said);
            }
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "it does not end"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_mounted(at: &Path) -> bool {
        let table = fs::read_to_string("/proc/self/mounts").unwrap();
        let at = fs::canonicalize(at).unwrap_or(at.to_owned());
        table.contains(&*at.to_string_lossy())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if Mount::is_mounted(&self.at) {
            let _ = Command::new("umount").arg("-l").arg(&self.at).status();
        }
    }
}

fn names(at: &Path) -> Vec<String> {
    let mut out: Vec<String> = fs::read_dir(at)
        .unwrap_or_else(|e| panic!("{}: {e}", at.display()))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    out.sort();
    out
}

fn site_in(w: &Workspace, snapshot: &Path) -> PathBuf {
    let site = fs::canonicalize(w.path("site")).unwrap();
    snapshot.join(site.strip_prefix("/").unwrap())
}

#[test]
fn a_mounted_vault_shows_every_point_as_it_was() {
    let w = Workspace::ready();
    fs::write(w.path("site/large.bin"), noise(30_000_000)).unwrap();
    let marked = Command::new("setfattr")
        .args(["-n", "user.note", "-v", "marked", "site/index.html"])
        .current_dir(w.root())
        .status()
        .unwrap();
    w.ok(["run"]);
    fs::write(w.path("site/index.html"), "<h1>later</h1>").unwrap();
    w.ok(["run", "website"]);
    fs::write(w.path("site/index.html"), "<h1>hello</h1>").unwrap();
    let mount = Mount::of(&w, "local");
    assert_eq!(names(&mount.at), ["points", "snapshots", "systems"]);
    assert_eq!(
        names(&mount.at.join("systems")),
        ["code", "shop-db", "website"]
    );
    assert_eq!(names(&mount.at.join("snapshots")).len(), 4);
    assert_eq!(names(&mount.at.join("points")).len(), 4);
    let times = names(&mount.at.join("systems/website"));
    let [first, second] = [0, 1].map(|n| mount.at.join("systems/website").join(&times[n]));
    let site = site_in(&w, &first);
    let same = Command::new("diff")
        .args(["-r", "--no-dereference", "--exclude=*.tmp"])
        .args([&w.path("site"), &site])
        .status();
    assert!(same.unwrap().success());
    let later = fs::read(site_in(&w, &second).join("index.html")).unwrap();
    assert_eq!(later, b"<h1>later</h1>");
    // Metadata, and bytes from the middle; past the end there is nothing.
    let (was, is) = (w.path("site/img/noise.bin"), site.join("img/noise.bin"));
    let [was, is] = [was, is].map(|path| fs::metadata(path).unwrap());
    assert_eq!(
        (was.mode(), was.mtime(), was.mtime_nsec()),
        (is.mode(), is.mtime(), is.mtime_nsec())
    );
    let large = fs::File::open(site.join("large.bin")).unwrap();
    let mut part = vec![0; 2_000_000];
    large.read_exact_at(&mut part, 9_999_999).unwrap();
    assert!(part == noise(30_000_000)[9_999_999..11_999_999]);
    assert_eq!(large.read_at(&mut part, 30_000_000).unwrap(), 0);
    if marked.success() {
        let value = Command::new("getfattr")
            .args(["--only-values", "-n", "user.note"])
            .arg(site.join("index.html"))
            .output()
            .unwrap();
        assert_eq!(value.stdout, b"marked");
    }
    // Many readers at once.
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert!(fs::read(site.join("large.bin")).unwrap() == noise(30_000_000)));
        }
    });
    // Nothing can be written.
    assert!(fs::write(site.join("index.html"), "x").is_err());
    assert!(fs::remove_file(site.join("index.html")).is_err());
    assert!(fs::read(site.join("nowhere")).is_err());
    // Ctrl-C is its proper end.
    let at = mount.at.clone();
    drop(large);
    mount.signal("-INT");
    let (status, said) = mount.end();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
    assert!(!Mount::is_mounted(&at));
    assert_eq!(names(&at).len(), 0);
    // No lock is left behind.
    assert_eq!(names(&w.path("vaults/local/repo/locks")).len(), 0);
}

#[test]
fn what_cannot_be_read_is_an_error_for_the_reader_and_told_by_name() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let pack = w.packs("local").remove(0);
    w.damage(&pack, |bytes| bytes[100] ^= 1);
    let mount = Mount::of(&w, "local");
    let point = names(&mount.at.join("points")).remove(0);
    let site = site_in(&w, &mount.at.join("points").join(point));
    let error = fs::read(site.join("img/noise.bin")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(5), "{error}");
    assert_eq!(fs::read(site.join("empty")).unwrap(), b"");
    // Unmounted by somebody else it ends, too.
    let at = mount.at.clone();
    let gone = Command::new("umount").arg(&at).status().unwrap();
    assert!(gone.success());
    let (status, said) = mount.end();
    assert_eq!(status.code(), Some(0));
    assert!(said.contains("img/noise.bin"), "{said}");
}

#[test]
fn a_place_that_cannot_be_mounted_on_is_said() {
    let w = Workspace::ready();
    let (_, err) = w.exits(2, ["vault", "mount", "local", "nowhere"]);
    assert!(err.contains("nowhere is not a directory"), "{err}");
    w.exits(2, ["vault", "mount", "nonesuch", "."]);
}
