//! What people hand in: files that were looked into, captured as they are.

mod archive;
mod text;

use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use vouchsafe_capture::{
    CaptureContext, CaptureError, Captured, Discovery, PointReader, RestoreRequest, Restored, Sink,
    Source, Spoiled,
};
use vouchsafe_host::{FileError, files};
use vouchsafe_model::people::{HandedFile, HandedFormat};
use vouchsafe_model::{DigestManifest, Rung, SourceUrl};

use crate::files::{FilesSource, capture_directory};
use crate::{OpenSourceError, failure};

pub use text::changed_lines;

/// The folder of a point that holds what was handed in.
pub const HANDED_IN: &str = "handed-in";

/// A directory with what was handed in. In the point its files lie in the folder [`HANDED_IN`], wherever the directory
/// was; a restore puts them directly into the target. Where there is nothing to capture, it still restores and
/// compares.
#[derive(Debug)]
pub struct HandedSource {
    directory: PathBuf,
    tree: FilesSource,
}

impl HandedSource {
    /// What lies in `directory`, an absolute path.
    pub fn open(directory: &Path) -> Result<HandedSource, OpenSourceError> {
        let text = format!("files:/{HANDED_IN}");
        let url = SourceUrl::parse(&text).map_err(|e| OpenSourceError::Place {
            source_url: text.clone(),
            message: e.to_string(),
            remedy: "report this defect".to_owned(),
        })?;
        Ok(HandedSource {
            directory: directory.to_path_buf(),
            tree: FilesSource::open(&url, &[], Path::new("/"), Some(directory.to_path_buf()))?,
        })
    }
}

impl Source for HandedSource {
    fn discover(&self, ctx: &CaptureContext<'_>) -> Result<Discovery, CaptureError> {
        self.tree.discover(ctx)
    }

    /// What was handed in holds the state of the time at which the oldest of its files was made.
    fn capture(
        &self,
        ctx: &CaptureContext<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Captured, CaptureError> {
        let mut content_time = ctx.clock.now();
        for name in files::list_dir(&self.directory).map_err(failure::file)? {
            let made = files::modified(self.directory.join(name)).map_err(failure::file)?;
            content_time = content_time.min(made);
        }
        capture_directory(ctx, HANDED_IN, &self.directory, &[], sink)?;
        Ok(Captured {
            content_time,
            manifest: None,
            engine: None,
            notes: Vec::new(),
            left_out: Vec::new(),
        })
    }

    fn restore(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &RestoreRequest,
    ) -> Result<Restored, CaptureError> {
        self.tree.restore(ctx, point, request)
    }

    fn digest(
        &self,
        ctx: &CaptureContext<'_>,
        place: &Path,
    ) -> Result<Option<DigestManifest>, CaptureError> {
        self.tree.digest(ctx, place)
    }

    fn compare(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
        expected: Option<&DigestManifest>,
        point: &dyn PointReader,
    ) -> Result<Vec<Rung>, CaptureError> {
        self.tree.compare(ctx, restored, expected, point)
    }

    fn spoil(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
    ) -> Result<Spoiled, CaptureError> {
        self.tree.spoil(ctx, restored)
    }

    /// It is nobody's data but the person's, who has it.
    fn owns(&self, _place: &Path) -> bool {
        false
    }
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum HandedError {
    /// It cannot be read at all.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is nothing in it.
    #[error("it is empty; make the export anew")]
    Empty,
    /// It is no archive, or not a whole one.
    #[error("it does not open as an archive: {message}; make the export anew, or fetch it again")]
    Archive {
        /// What is wrong with it.
        message: String,
    },
    /// It is not what it should be.
    #[error("it is no {format}: {message}; export it anew")]
    Text {
        /// XML, JSON …
        format: &'static str,
        /// What is wrong with it, and where.
        message: String,
    },
    /// A text that is larger than any configuration.
    #[error(
        "it has {bytes} bytes, and a {format} of at most {most} is read; hand it in as `format: any`"
    )]
    TooLong {
        /// XML, JSON …
        format: &'static str,
        /// Its length.
        bytes: u64,
        /// The most that is read.
        most: u64,
    },
}

/// The longest text that is parsed, in bytes.
pub const LONGEST_TEXT: u64 = 64 << 20;

/// Reads a file as a whole: that it opens as what it should be (`format`, or what its name promises), that everything
/// in it can be read and every checksum in it fits.
///
/// Nothing of it is written anywhere, so a huge archive takes time and no room.
///
/// # Errors
/// [`HandedError`] says what is wrong with it.
pub fn look_into(path: &Path, format: Option<HandedFormat>) -> Result<HandedFile, HandedError> {
    let name = path
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let (bytes, modified) = files::size_and_time(path)?;
    if bytes == 0 {
        return Err(HandedError::Empty);
    }
    let format = format.unwrap_or_else(|| HandedFormat::of_name(&name));
    let digest = digest(path)?;
    let parts = match format {
        HandedFormat::Archive => archive::read_whole(path)?,
        HandedFormat::Any => 1,
        HandedFormat::Xml | HandedFormat::Json | HandedFormat::Yaml | HandedFormat::Text => {
            if bytes > LONGEST_TEXT {
                return Err(HandedError::TooLong {
                    format: format.word(),
                    bytes,
                    most: LONGEST_TEXT,
                });
            }
            text::parse(&files::read(path, LONGEST_TEXT)?, format)?
        }
    };
    Ok(HandedFile {
        name,
        bytes,
        digest,
        modified,
        format,
        parts,
        changed: None,
    })
}

/// Whether these are the bytes of a file that was looked into before.
pub fn is_content_of(bytes: &[u8], file: &HandedFile) -> bool {
    hex::encode(Sha256::digest(bytes)) == file.digest
}

/// SHA-256 of a file, lower hex.
fn digest(path: &Path) -> Result<String, FileError> {
    let mut file = files::open_read(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file
            .read(&mut buffer)
            .map_err(|e| FileError::new(path, "read", e))?;
        match buffer.get(..n) {
            Some([]) | None => break,
            Some(read) => hash.update(read),
        }
    }
    Ok(hex::encode(hash.finalize()))
}
