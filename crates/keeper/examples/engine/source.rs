//! What the engine reads: a folder by our own source, or standard input.

use std::error::Error;
use std::io::{self, Read};
use std::path::Path;

use vouchsafe_capture::{
    CaptureContext, CaptureError, CleanEnd, NoProgress, Sink, Source, StreamContent,
};
use vouchsafe_format::Node;
use vouchsafe_host::{Interrupt, LocalSpawn, SystemClock};
use vouchsafe_model::SourceUrl;
use vouchsafe_sources::Settings;

/// The source `files` over one folder.
pub(crate) fn files(directory: &str) -> Result<Box<dyn Source>, Box<dyn Error>> {
    let url = SourceUrl::parse(&format!("files:{directory}"))?;
    Ok(vouchsafe_sources::open(
        &url,
        &Settings::below(Path::new("/")),
    )?)
}

/// What a source may use here.
pub(crate) fn with_context<T>(work: impl FnOnce(&CaptureContext<'_>) -> T) -> T {
    let interrupt = Interrupt::manual();
    let clock = SystemClock::new();
    work(&CaptureContext {
        spawn: &LocalSpawn,
        clock: &clock,
        work_dir: Path::new("/nonexistent"),
        interrupt: &interrupt,
        progress: &NoProgress,
        own_places: &[],
    })
}

/// Puts a stream of this many bytes into the root of the point, as one file.
pub(crate) fn push_stream(
    name: &str,
    bytes: u64,
    from: impl Read + Send + 'static,
    sink: &mut dyn Sink,
) -> Result<(), CaptureError> {
    let node = Node {
        name: name.as_bytes().to_vec(),
        mode: 0o644,
        links: 1,
        ..Node::default()
    };
    sink.stream(
        node,
        Box::new(Stream {
            from,
            announced: bytes,
            read: 0,
        }),
    )
}

struct Stream<R> {
    from: R,
    announced: u64,
    read: u64,
}

impl<R: Read + Send> StreamContent for Stream<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let got = self.from.read(buf)?;
        self.read += got as u64;
        Ok(got)
    }

    fn finish(self: Box<Self>) -> Result<CleanEnd, CaptureError> {
        CleanEnd::of_length("the stream", self.announced, self.read)
    }
}
