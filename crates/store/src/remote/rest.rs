//! A restic REST server: objects of a repository by HTTP, and no others.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use reqwest::header::{ACCEPT, CONTENT_LENGTH, DATE, HeaderMap, HeaderName, LAST_MODIFIED, RANGE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use vouchsafe_model::{Secret, Time, Wire};

use super::http::{LONGEST_ANSWER, body, client, failed, refused, said};
use super::{RemoteAccess, runtime, text_of, unavailable};
use crate::open::OpenError;
use crate::{Capabilities, Key, LARGEST, ObjectMeta, PutMode, Store, StoreError};

/// A folder of a REST server. What lies directly in it are repositories: `repo/config`, `repo/data/4a/4a…`.
pub(super) struct RestStore {
    client: Client,
    name: String,
    url: String,
    login: Option<(String, Secret)>,
    /// When the server took our own locks, by its own clock: many servers do not say it of objects later on.
    taken: Mutex<BTreeMap<String, Time>>,
}

/// The kinds of objects that a repository has, besides its configuration.
const KINDS: [&str; 5] = ["data", "keys", "locks", "snapshots", "index"];
/// The answer to a listing that has the objects' lengths.
const LISTING: &str = "application/vnd.x.restic.rest.v2";

#[derive(Deserialize)]
struct Listed {
    name: String,
    size: u64,
}

/// What a key means to the server.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    /// `repo/config`.
    Config(&'a str),
    /// `repo/keys/…`, `repo/data/4a/4a…`: repository, kind, name.
    Object(&'a str, &'a str, &'a str),
    /// Nothing that it could hold.
    Foreign,
}

impl RestStore {
    pub(super) fn open(url: &str, access: &RemoteAccess, wire: Wire) -> Result<Self, OpenError> {
        let name = format!("rest:{url}");
        let login = match &access.user {
            None => None,
            Some(user) => {
                text_of(
                    access.credential.as_ref(),
                    &name,
                    "the user's password (credential)",
                )?;
                access
                    .credential
                    .clone()
                    .map(|secret| (user.clone(), secret))
            }
        };
        Ok(Self {
            client: client(&name, wire, access.min_tls)?,
            name,
            url: url.to_owned(),
            login,
            taken: Mutex::default(),
        })
    }

    fn address(&self, key: &Key) -> Result<String, StoreError> {
        match place(key.as_str()) {
            Place::Config(repo) => Ok(format!("{}/{repo}/config", self.url)),
            Place::Object(repo, kind, name) => Ok(format!("{}/{repo}/{kind}/{name}", self.url)),
            Place::Foreign => Err(StoreError::Unsupported {
                key: key.to_string(),
                store: self.name.clone(),
                what: "objects outside of a repository",
            }),
        }
    }

    fn not_found(&self, key: &Key) -> StoreError {
        StoreError::NotFound {
            key: key.to_string(),
            store: self.name.clone(),
        }
    }

    /// The address to read from; what cannot be held is not there.
    fn readable(&self, key: &Key) -> Result<String, StoreError> {
        self.address(key).map_err(|_| self.not_found(key))
    }

    fn request(&self, method: Method, address: &str) -> RequestBuilder {
        let request = self.client.request(method, address);
        match &self.login {
            Some((user, secret)) => {
                request.basic_auth(user, Some(String::from_utf8_lossy(secret.expose())))
            }
            None => request,
        }
    }

    fn send<T>(
        &self,
        key: &str,
        request: RequestBuilder,
        read: impl AsyncFnOnce(Response) -> Result<T, reqwest::Error>,
    ) -> Result<T, StoreError> {
        let sent = runtime::wait(async {
            let answer = request
                .send()
                .await
                .map_err(|e| failed(e, key, &self.name))?;
            let status = answer.status();
            if status.is_success() {
                return read(answer).await.map_err(|e| failed(e, key, &self.name));
            }
            let said = said(answer).await;
            Err(refused(status, &said, key, &self.name))
        });
        sent.map_err(|reason| unavailable(key, &self.name, reason, false))?
    }

    fn post(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
        let address = self.address(key)?;
        // Making what is there already does no harm; the configuration is the first object of every repository.
        if let Place::Config(repo) = place(key.as_str()) {
            let made = format!("{}/{repo}/?create=true", self.url);
            self.send(
                key.as_str(),
                self.request(Method::POST, &made),
                async |_| Ok(()),
            )?;
        }
        let body = bytes::Bytes::copy_from_slice(bytes);
        let request = self.request(Method::POST, &address).body(body);
        let date = self.send(key.as_str(), request, async |a| {
            Ok(time_in(a.headers(), &DATE))
        })?;
        if let (Some(date), Place::Object(_, "locks", _)) = (date, place(key.as_str())) {
            self.taken().insert(key.to_string(), date);
        }
        Ok(())
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Time>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for RestStore {
    fn describe(&self) -> String {
        self.name.clone()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            // Some servers refuse to replace, others do not, and the protocol does not say.
            put_if_absent: false,
            broken_conditions: false,
            atomic_put: true,
            list_consistent: true,
            durable: true,
            retention_lock: false,
            versions: false,
            other_prefixes: false,
        }
    }

    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        let mut out = Vec::new();
        self.get_into(key, LARGEST, &mut out)?;
        Ok(out)
    }

    fn get_into(&self, key: &Key, most: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        let request = self.request(Method::GET, &self.readable(key)?);
        let got = self.send(key.as_str(), request, async |a| body(a, most).await)?;
        *into = got.ok_or_else(|| StoreError::TooLong {
            key: key.to_string(),
            store: self.name.clone(),
            most,
        })?;
        Ok(())
    }

    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        let short = |size: u64| StoreError::ShortRead {
            key: key.to_string(),
            store: self.name.clone(),
            offset,
            wanted: len,
            got: size.saturating_sub(offset).min(len),
        };
        let last = offset.checked_add(len).and_then(|end| end.checked_sub(1));
        let (Some(last), true) = (last, len > 0) else {
            let size = self.head(key)?.size;
            return if len == 0 {
                Ok(Vec::new())
            } else {
                Err(short(size))
            };
        };
        let range = format!("bytes={offset}-{last}");
        let request = self
            .request(Method::GET, &self.readable(key)?)
            .header(RANGE, range);
        let got = self.send(key.as_str(), request, async |a| {
            // A server that ignores the range sends everything; that is not read to its end for nothing.
            if a.status() == StatusCode::PARTIAL_CONTENT {
                // Of what is longer nothing is the range.
                let got = body(a, len).await?;
                Ok(Some(got.unwrap_or_default()))
            } else {
                Ok(None)
            }
        });
        match got {
            Ok(Some(got)) if got.len() as u64 == len => Ok(got),
            Ok(None) => crate::exact_range(&self.get(key)?, offset, len, |got| short(offset + got)),
            Err(lost) if lost.is_not_found() || lost.is_transient() => Err(lost),
            other => {
                let size = self.head(key)?.size;
                if size.saturating_sub(offset) < len {
                    return Err(short(size));
                }
                Err(other.err().unwrap_or_else(|| short(offset)))
            }
        }
    }

    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        let request = self.request(Method::HEAD, &self.readable(key)?);
        let size = self.send(key.as_str(), request, async |a| {
            let length = a
                .headers()
                .get(CONTENT_LENGTH)
                .and_then(|v| v.to_str().ok());
            let length = length.and_then(|text| text.parse().ok());
            Ok((length, time_in(a.headers(), &LAST_MODIFIED)))
        })?;
        let (size, modified) = size;
        let size = size.ok_or_else(|| StoreError::Corrupt {
            key: key.to_string(),
            store: self.name.clone(),
            reason: "the server does not tell its length".to_owned(),
        })?;
        Ok(ObjectMeta {
            size,
            modified: modified.or_else(|| self.taken().get(key.as_str()).copied()),
        })
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        let there = crate::exists(self, key)?;
        if there && mode == PutMode::IfAbsent {
            let (key, store) = (key.to_string(), self.name.clone());
            return Err(StoreError::AlreadyExists { key, store });
        }
        if there {
            // Many servers refuse to replace. Between the two calls the object is missing.
            self.delete(key)?;
        }
        match self.post(key, bytes) {
            // Refused, and there: somebody else was faster.
            Err(StoreError::Denied { key: k, store }) if mode == PutMode::IfAbsent => {
                match crate::exists(self, key) {
                    Ok(true) => Err(StoreError::AlreadyExists { key: k, store }),
                    _ => Err(StoreError::Denied { key: k, store }),
                }
            }
            done => done,
        }
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let Ok(address) = self.address(key) else {
            return Ok(());
        };
        match self.send(
            key.as_str(),
            self.request(Method::DELETE, &address),
            async |_| Ok(()),
        ) {
            Err(error) if error.is_not_found() => Ok(()),
            done => {
                self.taken().remove(key.as_str());
                done
            }
        }
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        // A server does not tell which repositories it has.
        let Some((repo, rest)) = prefix
            .split_once('/')
            .filter(|(repo, _)| Key::new(*repo).is_ok())
        else {
            return Ok(());
        };
        if "config".starts_with(rest) {
            let key = config_of(repo, self)?;
            match self.head(&key) {
                Ok(meta) if visit(key, meta.size).is_break() => return Ok(()),
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        for kind in KINDS {
            let wanted = format!("{kind}/");
            if !(wanted.starts_with(rest) || rest.starts_with(&wanted)) {
                continue;
            }
            let address = format!("{}/{repo}/{kind}/", self.url);
            let request = self.request(Method::GET, &address).header(ACCEPT, LISTING);
            let answer = self.send(prefix, request, async |a| body(a, LONGEST_ANSWER).await);
            let listing = match answer {
                Err(error) if error.is_not_found() => continue,
                other => other?.ok_or_else(|| StoreError::TooLong {
                    key: prefix.to_owned(),
                    store: self.name.clone(),
                    most: LONGEST_ANSWER,
                })?,
            };
            let all: Vec<Listed> =
                serde_json::from_slice(&listing).map_err(|e| StoreError::Corrupt {
                    key: prefix.to_owned(),
                    store: self.name.clone(),
                    reason: format!("its listing is not understood: {e}"),
                })?;
            for listed in all {
                let path = match kind {
                    "data" => format!("{repo}/data/{}/{}", head_of(&listed.name), listed.name),
                    kind => format!("{repo}/{kind}/{}", listed.name),
                };
                let Ok(key) = Key::new(path) else { continue };
                if key.as_str().starts_with(prefix) && visit(key, listed.size).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn config_of(repo: &str, store: &RestStore) -> Result<Key, StoreError> {
    Key::new(format!("{repo}/config"))
        .map_err(|e| unavailable(&e.text, &store.name, e.reason.to_owned(), false))
}

fn time_in(headers: &HeaderMap, name: &HeaderName) -> Option<Time> {
    http_date(headers.get(name)?.to_str().ok()?)
}

/// `Wed, 25 Nov 2026 13:06:32 GMT`, the only form that servers may write. Before 1970 nothing was stored: some servers
/// say so of everything.
fn http_date(text: &str) -> Option<Time> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let words: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, clock, "GMT"] = words.as_slice() else {
        return None;
    };
    let month = MONTHS.iter().position(|name| name == month)? + 1;
    let time: Time = format!("{year}-{month:02}-{day}T{clock}Z").parse().ok()?;
    (time > Time::from_secs(0)).then_some(time)
}

/// The folder of a pack: the first two letters of its name.
fn head_of(name: &str) -> &str {
    name.get(..2).unwrap_or(name)
}

fn place(key: &str) -> Place<'_> {
    let mut parts = key.split('/');
    let (Some(repo), Some(kind)) = (parts.next(), parts.next()) else {
        return Place::Foreign;
    };
    match (kind, parts.next(), parts.next(), parts.next()) {
        ("config", None, None, None) => Place::Config(repo),
        ("data", Some(head), Some(name), None) if head == head_of(name) => {
            Place::Object(repo, "data", name)
        }
        (kind, Some(name), None, None) if kind != "data" && KINDS.contains(&kind) => {
            Place::Object(repo, kind, name)
        }
        _ => Place::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_date_is_read() {
        let time = http_date("Wed, 25 Nov 2026 13:06:32 GMT");
        assert_eq!(time, "2026-11-25T13:06:32Z".parse().ok());
        for wrong in [
            "",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Wed, 25 Nov 2026 13:06:32 CET",
            "Wed, 25 Now 2026 13:06:32 GMT",
            "2026-11-25T13:06:32Z",
        ] {
            assert_eq!(http_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn keys_of_a_repository_have_their_place_and_others_none() {
        assert_eq!(place("repo/config"), Place::Config("repo"));
        assert_eq!(
            place("repo/data/4a/4ac0"),
            Place::Object("repo", "data", "4ac0")
        );
        assert_eq!(place("repo/keys/ab"), Place::Object("repo", "keys", "ab"));
        for foreign in [
            "config",
            "repo",
            "repo/data/4ac0",
            "repo/data/4b/4ac0",
            "repo/keys/a/b",
            "repo/config/x",
            "ledger/00/heads/1",
        ] {
            assert_eq!(place(foreign), Place::Foreign, "{foreign}");
        }
    }
}
