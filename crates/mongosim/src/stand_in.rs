//! The simulator in the role of `mongod` where a test needs that program: over a directory of data, which it keeps in a
//! file of its own and in no format of MongoDB's.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use bson::{Document, RawDocumentBuf, doc};

use crate::state::{Change, State, split};
use crate::{Mongo, Settings};

/// What it says of its version.
const VERSION: &str = "db version v7.0.14";
/// The file in the directory of data.
const KEPT: &str = "simulated";

/// The variable that has the arguments of `mongod` where a program was started in its place.
const ARGUMENTS: &str = "VOUCHSAFE_TEST_MONGOD_ARGUMENTS";

/// Writes a program `mongod` into a folder, which is made. It starts the running test program once more, with its test
/// `test` alone, which has to be [`stand_in_for_mongod`].
pub fn mongod_in(folder: &Path, test: &str) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let script = format!(
        "#!/bin/sh\nexport {ARGUMENTS}=\"$*\"\nexec '{}' {test} --exact --nocapture\n",
        std::env::current_exe()?.display()
    );
    let text = folder.join("mongod.sh");
    std::fs::write(&text, script)?;
    // By another process: what this one has open for writing is inherited by whatever another test starts meanwhile, and
    // cannot be executed until that ends.
    let installed = Command::new("install")
        .args(["-m", "755"])
        .args([text, folder.join("mongod")])
        .status()?;
    match installed.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("install: {installed}"))),
    }
}

/// What the test `test` of a test program does. Where it was started by the program of [`mongod_in`] it is `mongod`, and
/// ends with it. Otherwise it sees that such a program, made in `folder`, says its version and refuses what it does not
/// know.
pub fn stand_in_for_mongod(folder: &Path, test: &str) -> io::Result<()> {
    if let Ok(arguments) = std::env::var(ARGUMENTS) {
        let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        std::process::exit(be_mongod(&arguments));
    }
    mongod_in(folder, test)?;
    let ask = |word: &str| Command::new(folder.join("mongod")).arg(word).output();
    let (version, unknown) = (ask("--version")?, ask("--unknown")?);
    assert!(String::from_utf8_lossy(&version.stdout).contains(VERSION));
    assert_eq!(unknown.status.code(), Some(1));
    Ok(())
}

/// Is `mongod` until it is told to shut down; the exit code. It knows `--version`, `--dbpath DIR`, `--bind_ip SOCKET`
/// `--quiet` and `--setParameter`, of which it has none.
#[allow(clippy::print_stdout, clippy::print_stderr)]
fn be_mongod(arguments: &[String]) -> i32 {
    if arguments.iter().any(|word| word == "--version") {
        println!("{VERSION}");
        return 0;
    }
    match serve(arguments) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}

fn serve(arguments: &[String]) -> io::Result<()> {
    let (mut data, mut socket) = (None, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quiet" => {}
            // What it would turn off is not there.
            "--setParameter" if words.next().is_some() => {}
            "--dbpath" => data = words.next().map(PathBuf::from),
            "--bind_ip" => socket = words.next().map(PathBuf::from),
            other => return Err(io::Error::other(format!("{other} is not known"))),
        }
    }
    let data = data.ok_or_else(|| io::Error::other("--dbpath is missing"))?;
    let settings = Settings {
        tcp: false,
        socket,
        ..Settings::default()
    };
    let mongo = Mongo::loaded(&settings, |state| load(state, &data.join(KEPT)))?;
    let server = mongo.server();
    server.wait_for_end();
    save(&server.lock().state, &data)
}

fn load(state: &mut State, path: &Path) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let mut file = io::BufReader::new(std::fs::File::open(path)?);
    while let Some(head) = next(&mut file)? {
        let namespace = head.get_str("ns").map_err(io::Error::other)?.to_owned();
        let options = head.get_document("options").cloned().unwrap_or_default();
        let failed = |fault: crate::fault::Fault| io::Error::other(fault.message);
        let uuid = state.create(&namespace, options, None).map_err(failed)?;
        for _ in 0..head.get_i64("count").unwrap_or(0) {
            let document =
                next(&mut file)?.ok_or_else(|| io::Error::other("a document is missing"))?;
            let change = Change::insert(&namespace, uuid, document);
            state.commit(change.entry.clone(), &[change]);
        }
        for index in head.get_array("indexes").into_iter().flatten() {
            let Some(index) = index
                .as_document()
                .filter(|i| i.get_str("name").ok() != Some("_id_"))
            else {
                continue;
            };
            state
                .create_index(&namespace, index.clone())
                .map_err(failed)?;
        }
    }
    Ok(())
}

/// The next document; none at the end.
fn next(from: &mut impl Read) -> io::Result<Option<Document>> {
    let mut length = [0; 4];
    if from.read(&mut length[..1])? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[1..])?;
    let size = usize::try_from(i32::from_le_bytes(length))
        .unwrap_or(0)
        .max(5);
    let mut bytes = length.to_vec();
    bytes.resize(size, 0);
    from.read_exact(&mut bytes[4..])?;
    let raw = RawDocumentBuf::from_bytes(bytes).map_err(io::Error::other)?;
    Document::try_from(raw.as_ref())
        .map(Some)
        .map_err(io::Error::other)
}

fn save(state: &State, data: &Path) -> io::Result<()> {
    let new = data.join("new");
    let mut file = io::BufWriter::new(std::fs::File::create(&new)?);
    let mut write = |document: &Document| -> io::Result<()> {
        let raw = RawDocumentBuf::try_from(document).map_err(io::Error::other)?;
        file.write_all(raw.as_bytes())
    };
    for (namespace, collection) in state.catalog() {
        // Views are documents of a collection.
        if collection.is_view() || split(namespace).0 == "local" {
            continue;
        }
        let documents: Vec<_> = state
            .records(collection.uuid)
            .iter()
            .flat_map(|records| records.scan(None, None))
            .map(|(_, document)| document.clone())
            .collect();
        let count = i64::try_from(documents.len()).map_err(io::Error::other)?;
        write(&doc! {
            "ns": namespace, "options": collection.options.clone(), "indexes": collection.indexes.clone(), "count": count,
        })?;
        documents.iter().try_for_each(|document| write(document))?;
    }
    file.flush()?;
    drop(file);
    std::fs::rename(new, data.join(KEPT))
}
