//! Writing an archive, document by document.

use std::io::{self, Write};

use crc_fast::Digest;
use mongodb::bson::rawdoc;

use super::{LARGEST, MAGIC, Namespace, Prelude, TERMINATOR, VERSION, sum};

/// Writes an archive whose prelude was written: one namespace after the other, in the prelude's order or any other.
pub(in crate::mongodb) struct ArchiveWriter {
    namespaces: Vec<Namespace>,
    /// Which namespace's block is open.
    open: Option<usize>,
    sum: Digest,
}

/// Writes what stands before the blocks.
pub(in crate::mongodb) fn write_prelude(
    out: &mut impl Write,
    prelude: &Prelude,
) -> io::Result<ArchiveWriter> {
    out.write_all(&MAGIC)?;
    let header = &prelude.header;
    let document = rawdoc! {
        "concurrent_collections": header.concurrent_collections,
        "version": VERSION,
        "server_version": header.server_version.as_str(),
        "tool_version": header.tool_version.as_str(),
    };
    out.write_all(document.as_bytes())?;
    for namespace in &prelude.namespaces {
        let document = rawdoc! {
            "db": namespace.db.as_str(),
            "collection": namespace.collection.as_str(),
            "metadata": namespace.metadata.as_str(),
            "size": namespace.size,
            "type": namespace.kind.as_str(),
        };
        fits(document.as_bytes())?;
        out.write_all(document.as_bytes())?;
    }
    out.write_all(&TERMINATOR)?;
    Ok(ArchiveWriter {
        namespaces: prelude.namespaces.clone(),
        open: None,
        sum: sum(),
    })
}

impl ArchiveWriter {
    /// Writes a document of a namespace, which goes on until [`ArchiveWriter::end`] is called for it.
    pub(in crate::mongodb) fn document(
        &mut self,
        out: &mut impl Write,
        namespace: usize,
        bytes: &[u8],
    ) -> io::Result<()> {
        fits(bytes)?;
        match self.open {
            Some(open) if open == namespace => {}
            Some(_) => return Err(io::Error::other("the namespace before has not ended")),
            None => {
                let header = self.header(namespace, false, 0)?;
                out.write_all(&header)?;
                self.open = Some(namespace);
            }
        }
        self.sum.update(bytes);
        out.write_all(bytes)
    }

    /// Ends a namespace, also one of which no document came.
    pub(in crate::mongodb) fn end(
        &mut self,
        out: &mut impl Write,
        namespace: usize,
    ) -> io::Result<()> {
        if self.open.take().is_some() {
            out.write_all(&TERMINATOR)?;
        }
        let total = std::mem::replace(&mut self.sum, sum()).finalize();
        let header = self.header(namespace, true, total)?;
        out.write_all(&header)?;
        out.write_all(&TERMINATOR)
    }

    fn header(&self, namespace: usize, ends: bool, sum: u64) -> io::Result<Vec<u8>> {
        let namespace = self.namespaces.get(namespace);
        let namespace = namespace.ok_or_else(|| io::Error::other("no such namespace"))?;
        let document = rawdoc! {
            "db": namespace.db.as_str(),
            "collection": namespace.collection.as_str(),
            "EOF": ends,
            "CRC": sum.cast_signed(),
        };
        Ok(document.into_bytes())
    }
}

/// What is larger could not be read again.
fn fits(document: &[u8]) -> io::Result<()> {
    if document.len() <= LARGEST {
        return Ok(());
    }
    let message = format!(
        "a document of {} bytes is larger than an archive may hold",
        document.len()
    );
    Err(io::Error::new(io::ErrorKind::InvalidData, message))
}
