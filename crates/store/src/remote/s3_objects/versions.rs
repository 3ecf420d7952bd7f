//! All that a bucket keeps of one object: its versions and marks of deletion, and their end.

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use vouchsafe_model::Time;

use super::super::unavailable;
use super::{Bucket, Call, RetentionText, code_of, encoded};
use crate::{Erased, Key, StoreError};

/// What a bucket keeps of one object, newest first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::remote) struct Kept {
    versions: Vec<Version>,
    marks: Vec<Version>,
}

#[derive(Debug, PartialEq, Eq)]
struct Version {
    id: String,
    newest: bool,
}

/// What came of the deletion of one version.
enum Fate {
    Gone,
    /// Until when, if that is known.
    Locked(Option<Time>),
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Page {
    is_truncated: bool,
    next_key_marker: String,
    next_version_id_marker: String,
    #[serde(rename = "Version")]
    versions: Vec<VersionText>,
    #[serde(rename = "DeleteMarker")]
    marks: Vec<VersionText>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct VersionText {
    key: String,
    version_id: String,
    is_latest: bool,
}

/// Pages of versions that are read for one key; a key with more is not ours.
const MOST_PAGES: usize = 1000;

impl Bucket {
    /// Removes what no lock keeps of an object; hides it, if something stays, by `hide`.
    ///
    /// The oldest version goes first, so that no reader is ever shown an older one than before.
    pub(in crate::remote) fn erase(
        &self,
        key: &Key,
        hide: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<Erased, StoreError> {
        let kept = self.kept(key)?;
        let mut erased = Erased::default();
        let mut ends = Vec::new();
        for version in kept.versions.iter().rev() {
            match self.delete_version(key, &version.id)? {
                Fate::Gone => erased.removed += 1,
                Fate::Locked(until) => {
                    erased.locked += 1;
                    ends.push(until);
                }
            }
        }
        if erased.locked > 0 {
            // The marks stay: without them the object would be seen again.
            if !kept.marks.iter().any(|mark| mark.newest) {
                hide()?;
            }
            let all: Option<Vec<Time>> = ends.into_iter().collect();
            erased.until = all.and_then(|ends| ends.into_iter().max());
            return Ok(erased);
        }
        for mark in kept.marks.iter().rev() {
            self.delete_version(key, &mark.id)?;
            erased.removed += 1;
        }
        Ok(erased)
    }

    fn kept(&self, key: &Key) -> Result<Kept, StoreError> {
        let full = self.full(key);
        let mut kept = Kept::default();
        let mut from = String::new();
        for _ in 0..MOST_PAGES {
            let query = format!("versions&prefix={}{from}", encoded(&full));
            let answer = self.send(Call::new(Method::GET, None, &query))?;
            if !answer.status.is_success() {
                return Err(self.refusal(&answer, key));
            }
            let page: Page = self.read(key.as_str(), &answer.text)?;
            let own = |all: Vec<VersionText>| {
                let own = all.into_iter().filter(|v| v.key == full);
                own.map(|v| Version {
                    id: v.version_id,
                    newest: v.is_latest,
                })
                .collect::<Vec<_>>()
            };
            kept.versions.extend(own(page.versions));
            kept.marks.extend(own(page.marks));
            if !page.is_truncated || page.next_key_marker != full {
                return Ok(kept);
            }
            from = format!(
                "&key-marker={}&version-id-marker={}",
                encoded(&page.next_key_marker),
                encoded(&page.next_version_id_marker)
            );
        }
        Err(unavailable(
            key.as_str(),
            &self.name,
            "it has too many versions".to_owned(),
            false,
        ))
    }

    fn delete_version(&self, key: &Key, version: &str) -> Result<Fate, StoreError> {
        let query = format!("versionId={}", encoded(version));
        let answer = self.send(Call::new(Method::DELETE, Some(key), &query))?;
        if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
            return Ok(Fate::Gone);
        }
        // Services say in different ways that a version is locked.
        let surely = matches!(
            code_of(&answer.text).as_str(),
            "ObjectLocked" | "InvalidRequest"
        );
        if surely || answer.status == StatusCode::FORBIDDEN {
            if self.version_is_held(key, version)? {
                return Ok(Fate::Locked(None));
            }
            if let Some(until) = self.version_locked_until(key, version)? {
                return Ok(Fate::Locked(Some(until)));
            }
            if surely {
                return Ok(Fate::Locked(None));
            }
        }
        // It is not locked, so whoever asks may not delete at all.
        Err(self.refusal(&answer, key))
    }

    fn version_locked_until(&self, key: &Key, version: &str) -> Result<Option<Time>, StoreError> {
        let query = format!("retention&versionId={}", encoded(version));
        let answer = self.send(Call::new(Method::GET, Some(key), &query))?;
        if !answer.status.is_success() {
            return Ok(None);
        }
        let text: RetentionText = self.read(key.as_str(), &answer.text)?;
        Ok(self.retention_of(key, &text)?.map(|lock| lock.until))
    }

    fn version_is_held(&self, key: &Key, version: &str) -> Result<bool, StoreError> {
        let query = format!("legal-hold&versionId={}", encoded(version));
        let answer = self.send(Call::new(Method::GET, Some(key), &query))?;
        Ok(answer.status.is_success() && self.held_by(key, &answer)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_marks_of_deletion_are_read() {
        let page: Page = quick_xml::de::from_str(
            "<ListVersionsResult><Name>b</Name><IsTruncated>false</IsTruncated>\
             <Version><Key>a</Key><VersionId>1</VersionId><IsLatest>false</IsLatest></Version>\
             <DeleteMarker><Key>a</Key><VersionId>2</VersionId><IsLatest>true</IsLatest></DeleteMarker>\
             <Version><Key>ab</Key><VersionId>3</VersionId></Version></ListVersionsResult>",
        )
        .expect("reads");
        assert_eq!((page.versions.len(), page.marks.len()), (2, 1));
        let mark = page.marks.first().expect("a mark");
        assert!(mark.version_id == "2" && mark.is_latest);
    }
}
