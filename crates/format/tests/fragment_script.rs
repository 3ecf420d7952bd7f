//! The script beside `docs/format.md` reads what we write, with restic's own key file, and refuses what is damaged.

#[allow(dead_code)] // the tests of restic use the rest
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::key;
use crate::common::log::{bytes, draft, some_log, stream};
use crate::oracle::{PASSWORD, restic};
use vouchsafe_format::fragment::{Draft, Link, LogKeys, Position, SealedLog, Span, Stretch, seal};
use vouchsafe_format::{Compressor, KdfParams, create_key_file, open_key_file};

/// Where a vault keeps its logs, and the key file of its repository.
struct Vault {
    place: tempfile::TempDir,
    key_file: PathBuf,
    keys: LogKeys,
}

impl Vault {
    /// With a key file of ours that asks for little work.
    fn cheap() -> Vault {
        let place = tempfile::tempdir().unwrap();
        let params = KdfParams { n: 16, r: 8, p: 1 };
        let file = create_key_file(
            PASSWORD.as_bytes(),
            &key(),
            [5; 64],
            [6; 16],
            params,
            "2026-01-02T03:04:05Z",
            "u",
            "h",
        );
        let key_file = place.path().join("key");
        fs::write(&key_file, file.unwrap()).unwrap();
        Vault::at(place, key_file)
    }

    fn of_restic() -> Vault {
        let place = tempfile::tempdir().unwrap();
        let repository = place.path().join("repo");
        restic(&repository, &["init".as_ref()]);
        let mut listed = fs::read_dir(repository.join("keys")).unwrap();
        let key_file = listed.next().unwrap().unwrap().path();
        Vault::at(place, key_file)
    }

    fn at(place: tempfile::TempDir, key_file: PathBuf) -> Vault {
        let master = open_key_file(&fs::read(&key_file).unwrap(), PASSWORD.as_bytes()).unwrap();
        fs::write(place.path().join("passphrase"), format!("{PASSWORD}\n")).unwrap();
        Vault {
            keys: LogKeys::of(&master),
            place,
            key_file,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn seal(&self, stretch: &Stretch) -> SealedLog {
        let mut compressor = Compressor::new(3).unwrap();
        seal(&self.keys, stretch, [5; 32], Some(&mut compressor)).unwrap()
    }

    /// Stores an object as a vault would, and says where.
    fn put(&self, stretch: &Stretch) -> PathBuf {
        let object = self.seal(stretch);
        let path = self.path(&object.name.to_string());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &object.bytes).unwrap();
        path
    }

    fn stream(&self) -> PathBuf {
        self.path("logs")
            .join(self.keys.stream_id(&stream()).to_string())
    }

    /// What the script says; where it was content, also what it wrote into `output`.
    fn read(&self, output: &str) -> Result<String, String> {
        self.read_with(&self.path("passphrase"), output)
    }

    fn read_with(&self, passphrase: &Path, output: &str) -> Result<String, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let done = Command::new("python3")
            .arg(root.join("docs/tools/read_log_fragments.py"))
            .args([
                &self.key_file,
                passphrase,
                &self.stream(),
                &self.path(output),
            ])
            .output()
            .expect("python3 is needed: cargo xtask setup");
        let said = String::from_utf8_lossy(&done.stdout).trim().to_owned();
        let complaints = String::from_utf8_lossy(&done.stderr).into_owned();
        match done.status.code() {
            Some(0) => Ok(said),
            Some(1) if said.starts_with("refused: ") => Err(said),
            code => panic!("{code:?}: {said}{complaints}"),
        }
    }

    /// Stays as it is but for one file, which is as `damage` leaves it while the script reads.
    fn refuses(&self, file: &Path, damage: impl FnOnce(&mut Vec<u8>), reason: &str) {
        let sound = fs::read(file).unwrap();
        let mut damaged = sound.clone();
        damage(&mut damaged);
        fs::write(file, damaged).unwrap();
        let said = self.read("nothing").unwrap_err();
        assert!(said.contains(reason), "{said}");
        assert!(!self.path("nothing").exists(), "nothing is written");
        fs::write(file, sound).unwrap();
    }
}

fn on(link: Link, span: Span, timeline: u64, log: Vec<u8>) -> Stretch {
    let draft = Draft {
        span,
        timeline,
        ..draft(link, 0, 0)
    };
    Stretch::fragment(draft, log).unwrap()
}

/// Five fragments: the fourth repeats some bytes, the last one is on another timeline.
fn five() -> (Vec<Stretch>, Vec<u8>, Vec<u8>) {
    let log = some_log(1, 3000);
    let other = some_log(2, 200);
    let mut all: Vec<Stretch> = Vec::new();
    for (from, to) in [(0, 900), (900, 900), (900, 2000), (1500, 3000)] {
        let link = all.last().map_or(Link::FIRST, |last| last.header().next());
        let span = bytes(7000 + from as u64, 7000 + to as u64);
        all.push(on(link, span, 1, log[from..to].to_vec()));
    }
    let link = all[3].header().next();
    all.push(on(link, bytes(9000, 9200), 2, other.clone()));
    (all, log, other)
}

#[test]
fn a_script_reads_what_we_write_and_refuses_what_is_damaged() {
    let (vault, (all, log, other)) = (Vault::cheap(), five());
    let segment = vault.put(&Stretch::join(&all[..3]).unwrap());
    vault.put(&all[0]);
    let last = vault.put(&all[4]);
    let fourth = vault.put(&all[3]);
    let said = vault.read("out").unwrap();
    assert!(said.ends_with("sound 5"), "{said}");
    assert_eq!(fs::read(vault.path("out/timeline-1")).unwrap(), log);
    assert_eq!(fs::read(vault.path("out/timeline-2")).unwrap(), other);

    for file in [&segment, &fourth, &last] {
        let length = fs::read(file).unwrap().len();
        vault.refuses(file, |b| b[0] ^= 1, "is no log object");
        vault.refuses(
            file,
            |b| b[8] = 2,
            "format version that is not described here",
        );
        vault.refuses(file, |b| b[16] ^= 1, "another vault's key");
        vault.refuses(file, |b| b[60] ^= 1, "forged (header)");
        vault.refuses(file, |b| b[100] ^= 1, "forged (header)");
        vault.refuses(file, |b| b[length - 20] ^= 1, "forged (payload)");
        vault.refuses(file, |b| b.truncate(length - 1), "another length");
        vault.refuses(file, |b| b.truncate(40), "too short");
    }
    let foreign = fs::read(&last).unwrap();
    vault.refuses(&fourth, |b| *b = foreign, "does not belong");

    // Missing, and missing no longer once a fragment fills it.
    fs::remove_file(&fourth).unwrap();
    let said = vault.read("nothing").unwrap_err();
    assert!(said.contains("fragment 3 is missing"), "{said}");
    vault.put(&all[3]);
    assert!(vault.read("again").is_ok());

    let wrong = vault.path("wrong");
    fs::write(&wrong, "incorrect horse").unwrap();
    let said = vault.read_with(&wrong, "nothing").unwrap_err();
    assert!(said.contains("wrong passphrase"), "{said}");
}

#[test]
fn a_script_opens_them_with_the_key_file_and_passphrase_of_restic() {
    let (vault, (all, log, _)) = (Vault::of_restic(), five());
    vault.put(&Stretch::join(&all[..3]).unwrap());
    vault.put(&all[3]);
    assert!(vault.read("out").unwrap().ends_with("sound 4"));
    assert_eq!(fs::read(vault.path("out/timeline-1")).unwrap(), log);
}

#[test]
fn a_script_sees_forks_and_bytes_that_were_left_out_or_changed() {
    let (vault, (all, log, _)) = (Vault::cheap(), five());
    vault.put(&Stretch::join(&all[..3]).unwrap());
    // Another writer had taken the place of the second fragment, which a header alone does not tell.
    let fork = on(all[0].header().next(), bytes(7900, 7901), 1, vec![1]);
    let path = vault.put(&fork);
    let said = vault.read("nothing").unwrap_err();
    assert!(said.contains("fork"), "{said}");
    fs::remove_file(path).unwrap();

    let link = all[2].header().next();
    let mut changed = log[1500..3000].to_vec();
    changed[10] ^= 1;
    for (from, log, reason) in [
        (8500, changed, "with other bytes"),
        (9001, some_log(3, 5), "leaves out positions"),
    ] {
        let span = bytes(from, from + log.len() as u64);
        let path = vault.put(&on(link, span, 1, log));
        let said = vault.read(reason).unwrap_err();
        assert!(said.contains(reason), "{said}");
        fs::remove_file(path).unwrap();
    }
    assert!(vault.read("out").unwrap().ends_with("sound 3"));
}

#[test]
fn a_script_writes_binary_logs_file_by_file_and_marks_one_after_the_other() {
    let file = |file, offset| Position::File { file, offset };
    let mark = Position::Mark;
    let vault = Vault::cheap();
    let mut link = Link::FIRST;
    for (from, to, log) in [
        (file(7, 4), file(7, 9), "abcde"),
        (file(7, 9), file(8, 0), "fgh"),
        (file(8, 0), file(8, 2), "ij"),
    ] {
        let span = Span::new(from, to).unwrap();
        let fragment = on(link, span, 1, log.into());
        link = fragment.header().next();
        vault.put(&fragment);
    }
    assert!(vault.read("out").unwrap().ends_with("sound 3"));
    let read = |name: &str| fs::read_to_string(vault.path("out").join(name)).unwrap();
    assert_eq!(read("timeline-1-file-7"), "abcdefgh");
    assert_eq!(read("timeline-1-file-8"), "ij");

    let vault = Vault::cheap();
    let mut link = Link::FIRST;
    for (from, to, log) in [(5, 9, "abc"), (9, 12, ""), (9, 13, "de")] {
        let span = Span::new(mark(from), mark(to)).unwrap();
        let fragment = on(link, span, 1, log.into());
        link = fragment.header().next();
        vault.put(&fragment);
    }
    assert!(vault.read("out").unwrap().ends_with("sound 3"));
    assert_eq!(
        fs::read_to_string(vault.path("out/timeline-1")).unwrap(),
        "abcde"
    );
}

#[test]
fn a_script_reads_version_1() {
    let vault = Vault::cheap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let names = fs::read_to_string(golden.join("log-names-1")).unwrap();
    for (name, file) in names.lines().zip(["fragment-1", "segment-1"]) {
        let path = vault.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(golden.join(file), path).unwrap();
    }
    assert!(vault.read("out").unwrap().ends_with("sound 3"));
    let log = fs::read_to_string(vault.path("out/timeline-1")).unwrap();
    assert_eq!(log, "the first fragment. ".repeat(9) + "the third");
}
