//! What people hand in: what opens is taken, and every damage to it is seen.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use vouchsafe_host::files::temp_dir;
use vouchsafe_model::people::{HandedFile, HandedFormat};
use vouchsafe_sources::{HandedError, look_into};

fn run(command: &mut Command) {
    let out = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(out.status.success(), "{command:?}: {out:?}");
}

/// A folder with two files, one of which can be compressed.
fn data(dir: &Path) {
    fs::create_dir(dir.join("data")).unwrap();
    fs::write(
        dir.join("data/pages.xml"),
        "<page>hello</page>\n".repeat(400),
    )
    .unwrap();
    let noise: Vec<u8> = (0..3_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    fs::write(dir.join("data/noise"), noise).unwrap();
}

/// Archives as the tools of every day make them.
fn archives(dir: &Path) -> Vec<PathBuf> {
    data(dir);
    let tool = |program: &str, args: &[&str]| {
        run(Command::new(program).args(args).current_dir(dir));
    };
    tool("zip", &["-q", "-r", "export.zip", "data"]);
    tool("tar", &["-cf", "export.tar", "data"]);
    tool("tar", &["-czf", "export.tgz", "data"]);
    tool("sh", &["-c", "gzip -c data/pages.xml > pages.xml.gz"]);
    ["export.zip", "export.tar", "export.tgz", "pages.xml.gz"]
        .iter()
        .map(|name| dir.join(name))
        .collect()
}

fn look(path: &Path) -> Result<HandedFile, HandedError> {
    look_into(path, None)
}

#[test]
fn archives_that_open_are_read_as_a_whole() {
    let dir = temp_dir("handed").unwrap();
    let found: Vec<u64> = archives(dir.path())
        .iter()
        .map(|path| {
            let seen = look(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert_eq!(seen.format, HandedFormat::Archive);
            assert_eq!(seen.bytes, fs::metadata(path).unwrap().len());
            seen.parts
        })
        .collect();
    assert_eq!(found, [2, 2, 2, 1]);
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_refused() {
    let dir = temp_dir("handed").unwrap();
    for path in archives(dir.path()) {
        let whole = fs::read(&path).unwrap();
        let cut = dir.path().join(format!(
            "cut-{}",
            path.file_name().unwrap().to_string_lossy()
        ));
        // What tar pads its file with after the end belongs to nothing.
        let end = match path.ends_with("export.tar") {
            true => whole.iter().rposition(|b| *b != 0).unwrap() + 1,
            false => whole.len(),
        };
        let step = (end / 60).max(1);
        for length in (1..end).step_by(step).chain([end - 1]) {
            fs::write(&cut, &whole[..length]).unwrap();
            assert!(look(&cut).is_err(), "{} cut to {length}", path.display());
        }
        fs::write(&cut, b"").unwrap();
        assert!(matches!(look(&cut), Err(HandedError::Empty)));
    }
}

#[test]
fn content_of_an_archive_that_was_changed_is_seen() {
    let dir = temp_dir("handed").unwrap();
    for path in archives(dir.path()) {
        // A tar has no checksum of its content.
        if path.ends_with("export.tar") {
            continue;
        }
        let whole = fs::read(&path).unwrap();
        let hurt = dir.path().join(format!(
            "hurt-{}",
            path.file_name().unwrap().to_string_lossy()
        ));
        for at in (whole.len() / 3..whole.len() / 2).step_by(97) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            fs::write(&hurt, bytes).unwrap();
            assert!(look(&hurt).is_err(), "{} changed at {at}", path.display());
        }
    }
    // The header of a tar has one.
    let mut bytes = fs::read(dir.path().join("export.tar")).unwrap();
    bytes[2] ^= 0x40;
    let hurt = dir.path().join("hurt.tar");
    fs::write(&hurt, bytes).unwrap();
    assert!(look(&hurt).is_err());
}

/// A number as tar writes those that are too long for octal digits.
fn number(value: u64) -> [u8; 12] {
    let mut field = [0; 12];
    field[0] = 0x80;
    field[4..].copy_from_slice(&value.to_be_bytes());
    field
}

#[test]
fn a_tar_that_ends_behind_a_file_of_zeros_is_cut_off() {
    let dir = temp_dir("handed").unwrap();
    fs::write(dir.path().join("zeros"), [0; 4096]).unwrap();
    run(Command::new("tar")
        .args(["-cf", "zeros.tar", "zeros"])
        .current_dir(dir.path()));
    let whole = fs::read(dir.path().join("zeros.tar")).unwrap();
    let cut = dir.path().join("cut.tar");
    let taken = |length: usize| {
        fs::write(&cut, &whole[..length]).unwrap();
        look(&cut).map(|seen| seen.parts).map_err(|e| e.to_string())
    };
    let end = 512 + 4096;
    for length in [end, end + 512, end + 1023] {
        let why = taken(length).unwrap_err();
        assert!(why.contains("its end is missing"), "{length}: {why}");
    }
    assert_eq!(taken(end + 1024), Ok(1));
}

#[test]
fn sparse_files_are_read_over_as_they_are_stored() {
    let dir = temp_dir("handed").unwrap();
    // More than headers may have, between two holes.
    let mut image = fs::File::create(dir.path().join("image")).unwrap();
    image.set_len(64 << 20).unwrap();
    image.seek(SeekFrom::Start(16 << 20)).unwrap();
    image.write_all(&vec![7; 9 << 20]).unwrap();
    drop(image);
    let pack = |name: &str, files: &[&str]| {
        run(Command::new("tar")
            .args(["--format=gnu", "-Scf", name])
            .args(files)
            .current_dir(dir.path()));
        dir.path().join(name)
    };
    let alone = pack("alone.tar", &["image"]);
    let whole = fs::read(&alone).unwrap();
    assert_eq!(whole[156], b'S', "tar stored it without its holes");
    assert_eq!(look(&alone).unwrap().parts, 1);
    data(dir.path());
    assert_eq!(
        look(&pack("more.tar", &["image", "data"])).unwrap().parts,
        3
    );
    fs::write(&alone, &whole[..5 << 20]).unwrap();
    assert!(look(&alone).is_err());
}

#[test]
fn a_hole_without_end_does_not_take_without_end() {
    let dir = temp_dir("handed").unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_path("hole").unwrap();
    header.set_size(512);
    header.set_entry_type(tar::EntryType::GNUSparse);
    let sparse = header.as_gnu_mut().unwrap();
    sparse.sparse[0].offset = number(1 << 62);
    sparse.sparse[0].numbytes = number(512);
    sparse.realsize = number((1 << 62) + 512);
    header.set_cksum();
    let path = dir.path().join("hole.tar");
    let bytes = [&header.as_bytes()[..], &[7; 512], &[0; 1024]].concat();
    fs::write(&path, bytes).unwrap();
    assert_eq!(look(&path).unwrap().parts, 1);
}

#[test]
fn headers_that_would_fill_the_memory_are_refused() {
    let dir = temp_dir("handed").unwrap();
    let packed = |name: &str, headers: &[&tar::Header]| {
        let path = dir.path().join(name);
        let file = fs::File::create(&path).unwrap();
        let mut out = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        for header in headers {
            out.write_all(header.as_bytes()).unwrap();
            if header.entry_type() == tar::EntryType::GNUSparse {
                out.write_all(&[7; 512]).unwrap();
            }
        }
        // Much less than it says, so that reading on would end with another word.
        std::io::copy(&mut std::io::repeat(b'a').take(64 << 20), &mut out).unwrap();
        out.finish().unwrap();
        look(&path).unwrap_err().to_string()
    };
    let long = |kind: tar::EntryType| {
        let mut header = tar::Header::new_gnu();
        header.set_path("././@LongLink").unwrap();
        header.set_size(1 << 30);
        header.set_entry_type(kind);
        header.set_cksum();
        header
    };
    for kind in [
        tar::EntryType::GNULongName,
        tar::EntryType::GNULongLink,
        tar::EntryType::XHeader,
    ] {
        let why = packed("long.tgz", &[&long(kind)]);
        assert!(why.contains("its headers are too long"), "{kind:?}: {why}");
    }
    // What is read over of a sparse file is no room for headers.
    let mut sparse = tar::Header::new_gnu();
    sparse.set_path("sparse").unwrap();
    sparse.set_size(512);
    sparse.set_entry_type(tar::EntryType::GNUSparse);
    let map = sparse.as_gnu_mut().unwrap();
    map.sparse[0].offset = number(0);
    map.sparse[0].numbytes = number(512);
    map.realsize = number(512);
    sparse.set_cksum();
    let why = packed("sparse.tgz", &[&sparse, &long(tar::EntryType::GNULongName)]);
    assert!(why.contains("its headers are too long"), "{why}");
}

#[test]
fn what_only_has_the_name_of_an_archive_is_none() {
    let dir = temp_dir("handed").unwrap();
    let page = dir.path().join("export.zip");
    fs::write(&page, "<html>Please log in</html>").unwrap();
    let why = look(&page).unwrap_err().to_string();
    assert!(why.contains("neither zip nor tar nor gzip"), "{why}");
    // An archive with nothing in it shows nothing.
    fs::create_dir(dir.path().join("none")).unwrap();
    run(Command::new("tar")
        .args(["-cf", "none.tar", "none"])
        .current_dir(dir.path()));
    let why = look(&dir.path().join("none.tar")).unwrap_err().to_string();
    assert!(why.contains("no file in it"), "{why}");
    // One that is sealed cannot be looked into, and says so.
    data(dir.path());
    run(Command::new("zip")
        .args(["-q", "-P", "x", "sealed.zip", "data/pages.xml"])
        .current_dir(dir.path()));
    assert!(look(&dir.path().join("sealed.zip")).is_err());
}

#[test]
fn a_configuration_is_parsed_as_what_the_policy_says_it_is() {
    let dir = temp_dir("handed").unwrap();
    let file = dir.path().join("backup");
    let mut out = fs::File::create(&file).unwrap();
    out.write_all(b"<?xml version=\"1.0\"?>\n<config>\n  <rule id=\"1\"/>\n</config>\n")
        .unwrap();
    drop(out);
    let seen = look_into(&file, Some(HandedFormat::Xml)).unwrap();
    assert_eq!((seen.parts, seen.format), (4, HandedFormat::Xml));
    assert!(look_into(&file, Some(HandedFormat::Json)).is_err());
    // By its name it is anything.
    assert_eq!(look(&file).unwrap().format, HandedFormat::Any);
    let long = dir.path().join("long.xml");
    let made = fs::File::create(&long).unwrap();
    made.set_len(65 << 20).unwrap();
    assert!(matches!(look(&long), Err(HandedError::TooLong { .. })));
}
