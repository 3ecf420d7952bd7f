//! What a restore must know of the server that the documents came from.

use std::io::Read;

use mongodb::bson::Timestamp;
use serde::{Deserialize, Serialize};
use vouchsafe_capture::{CaptureError, MANIFEST_NAME, PointReader, Visit};
use vouchsafe_format::{Node, NodeKind};
use vouchsafe_model::{DigestManifest, Engine};

use super::session::unreadable;

/// The file's name in a point.
pub(super) const NAME: &str = "about.json";
/// The directory of a point in which everything lies but the manifest.
pub(super) const DIRECTORY: &str = "mongodb";
/// The archive's name.
pub(super) const ARCHIVE: &str = "archive";

/// Written beside the archive, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    /// The database's name; empty where all were captured.
    pub(super) database: String,
    /// The server's version as it says it, like `7.0.14`.
    pub(super) server_version: String,
    /// The replica set that it was a member of.
    pub(super) replica_set: String,
    /// The moment of the capture by the replica set's own count: seconds and a number within the second, `1764471600:3`.
    pub(super) cluster_time: String,
    /// How the connection was protected.
    pub(super) tls: String,
    /// Whether the archive holds users and roles.
    pub(super) accounts: bool,
}

/// The longest `about.json` that is read.
const LONGEST: u64 = 1 << 20;
/// The longest manifest that is read.
const LONGEST_MANIFEST: u64 = 1 << 30;

impl About {
    /// As the file has it.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut out = serde_json::to_vec_pretty(self).unwrap_or_default();
        out.push(b'\n');
        out
    }

    /// Reads it from JSON; the error names `place`.
    pub(super) fn parse(place: &str, json: &[u8]) -> Result<About, CaptureError> {
        serde_json::from_slice(json)
            .map_err(|e| unreadable(place, format!("{NAME}: {e}"), "choose another point"))
    }

    pub(super) fn engine(&self) -> Engine {
        engine(&self.server_version)
    }
}

pub(super) fn engine(version: &str) -> Engine {
    Engine {
        name: "mongodb".to_owned(),
        version: version.to_owned(),
    }
}

/// As `about.json` has a moment.
pub(super) fn cluster_time(at: Timestamp) -> String {
    format!("{}:{}", at.time, at.increment)
}

/// The files of a point.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) about: Option<Node>,
    pub(super) archive: Option<Node>,
    manifest: Option<Node>,
}

/// Finds the parts of a point.
pub(super) fn parts(point: &dyn PointReader) -> Result<Parts, CaptureError> {
    let mut out = Parts::default();
    point.walk(&mut |path, node| {
        let names = path.names();
        let is_ours = names.first().map(Vec::as_slice) == Some(DIRECTORY.as_bytes());
        if node.kind == NodeKind::File {
            match node.name.as_slice() {
                name if is_ours && names.len() == 2 && name == NAME.as_bytes() => {
                    out.about = Some(node.clone());
                }
                name if is_ours && names.len() == 2 && name == ARCHIVE.as_bytes() => {
                    out.archive = Some(node.clone());
                }
                name if names.len() == 1 && name == MANIFEST_NAME.as_bytes() => {
                    out.manifest = Some(node.clone());
                }
                _ => {}
            }
        }
        Ok(if is_ours && names.len() == 1 {
            Visit::Into
        } else {
            Visit::Over
        })
    })?;
    Ok(out)
}

impl Parts {
    /// Reads what a point says of its origin.
    pub(super) fn read_about(
        &self,
        place: &str,
        point: &dyn PointReader,
    ) -> Result<About, CaptureError> {
        let node = self.about.as_ref().ok_or_else(|| missing(place, NAME))?;
        let json = content(point, node, LONGEST, NAME)?;
        About::parse(place, &json)
    }

    /// Reads the archive.
    pub(super) fn open_archive<'a>(
        &self,
        place: &str,
        point: &'a dyn PointReader,
    ) -> Result<Box<dyn Read + Send + 'a>, CaptureError> {
        let node = self
            .archive
            .as_ref()
            .ok_or_else(|| missing(place, ARCHIVE))?;
        point.open(node)
    }

    /// Reads the digests that were taken at capture; nothing if the point holds none.
    pub(super) fn read_manifest(
        &self,
        place: &str,
        point: &dyn PointReader,
    ) -> Result<Option<DigestManifest>, CaptureError> {
        let Some(node) = &self.manifest else {
            return Ok(None);
        };
        let json = content(point, node, LONGEST_MANIFEST, MANIFEST_NAME)?;
        let manifest = serde_json::from_slice(&json);
        manifest.map(Some).map_err(|e| {
            unreadable(
                place,
                format!("{MANIFEST_NAME}: {e}"),
                "choose another point",
            )
        })
    }
}

fn missing(place: &str, name: &str) -> CaptureError {
    let message = format!("the point holds no {name}");
    unreadable(
        place,
        message,
        "choose a point that was captured from this source",
    )
}

fn content(
    point: &dyn PointReader,
    node: &Node,
    limit: u64,
    name: &str,
) -> Result<Vec<u8>, CaptureError> {
    let mut out = Vec::new();
    let read = point.open(node)?.take(limit).read_to_end(&mut out);
    read.map_err(|e| CaptureError::io("read", name, e))?;
    Ok(out)
}
