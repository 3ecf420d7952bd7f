//! What OpenDAL's S3 does not know: locks that come with the object, holds, versions. Requests signed by our own hand.

mod versions;

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use reqsign_aws_v4::{Credential, RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use sha2::Sha256;
use vouchsafe_model::Time;

use super::http::{body as body_of, failed, refused};
use super::{reason, runtime, unavailable};
use crate::{Key, LockMode, Retention, StoreError};

/// The objects of one bucket below one prefix.
pub(super) struct Bucket {
    client: Client,
    signer: Signer<Credential>,
    name: String,
    /// The bucket's address, without a slash at its end.
    base: String,
    prefix: String,
    state: OnceLock<State>,
}

/// What the bucket is set up for.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) versions: bool,
    pub(super) locks: bool,
}

/// Bytes that an answer about objects may have; a page of a thousand versions has some 500 KB.
const LONGEST_ANSWER: u64 = 64 << 20;

/// Whether a put may replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    None,
    IfAbsent,
}

struct Call<'a> {
    method: Method,
    key: Option<&'a Key>,
    query: &'a str,
    headers: Vec<(&'static str, String)>,
    body: &'a [u8],
}

struct Answer {
    status: StatusCode,
    text: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RetentionText {
    mode: String,
    retain_until_date: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct StatusText {
    status: String,
    object_lock_enabled: String,
    code: String,
}

impl Bucket {
    pub(super) fn new(
        client: Client,
        name: String,
        base: String,
        prefix: String,
        region: &str,
        (id, secret): (&str, &str),
    ) -> Self {
        let signer = Signer::new(
            Context::new(),
            StaticCredentialProvider::new(id, secret),
            RequestSigner::new("s3", region),
        );
        Self {
            client,
            signer,
            name,
            base,
            prefix,
            state: OnceLock::new(),
        }
    }

    /// What the bucket is set up for, if it was asked already.
    pub(super) fn state(&self) -> Option<State> {
        self.ask_state().ok()
    }

    /// What the bucket is set up for; asked once.
    pub(super) fn ask_state(&self) -> Result<State, StoreError> {
        if let Some(known) = self.state.get() {
            return Ok(*known);
        }
        let versions = self
            .setting("versioning")?
            .is_some_and(|s| s.status == "Enabled");
        let locks = versions
            && self
                .setting("object-lock")?
                .is_some_and(|s| s.object_lock_enabled == "Enabled");
        Ok(*self.state.get_or_init(|| State { versions, locks }))
    }

    /// A setting of the bucket; nothing if the service does not know it or has none.
    fn setting(&self, query: &str) -> Result<Option<StatusText>, StoreError> {
        let answer = self.send(Call::new(Method::GET, None, query))?;
        match answer.status.as_u16() {
            200 => Ok(Some(self.read("", &answer.text)?)),
            404 | 405 | 501 | 400 => Ok(None),
            _ => Err(refused(
                answer.status,
                &code_of(&answer.text),
                "",
                &self.name,
            )),
        }
    }

    pub(super) fn put_locked(
        &self,
        key: &Key,
        bytes: &[u8],
        condition: Condition,
        retention: Retention,
    ) -> Result<(), StoreError> {
        let mut call = Call::new(Method::PUT, Some(key), "").with_body(bytes);
        call.headers.push((
            "x-amz-object-lock-mode",
            mode_text(retention.mode).to_owned(),
        ));
        call.headers.push((
            "x-amz-object-lock-retain-until-date",
            date_text(retention.until),
        ));
        if condition == Condition::IfAbsent {
            call.headers.push(("if-none-match", "*".to_owned()));
        }
        let answer = self.send(call)?;
        match answer.status.as_u16() {
            200..=299 => Ok(()),
            // Two conditional puts at the same time: the loser is told to look again.
            409 => {
                let said = code_of(&answer.text);
                Err(unavailable(
                    key.as_str(),
                    &self.name,
                    format!("it answered 409 {said}"),
                    true,
                ))
            }
            400 if !self.ask_state()?.locks => Err(StoreError::Unsupported {
                key: key.to_string(),
                store: self.name.clone(),
                what: "retention locks",
            }),
            _ => Err(self.refusal(&answer, key)),
        }
    }

    pub(super) fn retention(&self, key: &Key) -> Result<Option<Retention>, StoreError> {
        let answer = self.send(Call::new(Method::GET, Some(key), "retention"))?;
        if answer.status.is_success() {
            let text: RetentionText = self.read(key.as_str(), &answer.text)?;
            return self.retention_of(key, &text);
        }
        match code_of(&answer.text).as_str() {
            "NoSuchObjectLockConfiguration" | "ObjectLockConfigurationNotFoundError" => Ok(None),
            // The bucket has no locks at all.
            "InvalidRequest" | "NotImplemented" | "MethodNotAllowed" => Ok(None),
            _ => Err(self.refusal(&answer, key)),
        }
    }

    fn retention_of(
        &self,
        key: &Key,
        text: &RetentionText,
    ) -> Result<Option<Retention>, StoreError> {
        let corrupt = |reason: String| StoreError::Corrupt {
            key: key.to_string(),
            store: self.name.clone(),
            reason,
        };
        let mode = match text.mode.as_str() {
            "" => return Ok(None),
            "GOVERNANCE" => LockMode::Governance,
            "COMPLIANCE" => LockMode::Compliance,
            other => return Err(corrupt(format!("its lock has the unknown mode {other:?}"))),
        };
        let until: Time = text
            .retain_until_date
            .parse()
            .map_err(|_| corrupt(format!("its lock ends at {:?}", text.retain_until_date)))?;
        Ok(Some(Retention { until, mode }))
    }

    /// Replaces a lock. Services take it for a special right to replace one of governance by one of another mode, so
    /// with `stronger` it is asked for by that right.
    pub(super) fn set_retention(
        &self,
        key: &Key,
        retention: Retention,
        stronger: bool,
    ) -> Result<(), StoreError> {
        let body = format!(
            "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>{}</Mode>\
             <RetainUntilDate>{}</RetainUntilDate></Retention>",
            mode_text(retention.mode),
            date_text(retention.until)
        );
        let mut call = Call::new(Method::PUT, Some(key), "retention").with_body(body.as_bytes());
        if stronger {
            let right = "x-amz-bypass-governance-retention";
            call.headers.push((right, "true".to_owned()));
        }
        self.expect(call, key)
    }

    pub(super) fn set_legal_hold(&self, key: &Key, held: bool) -> Result<(), StoreError> {
        let body = format!(
            "<LegalHold xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>{}</Status></LegalHold>",
            if held { "ON" } else { "OFF" }
        );
        self.expect(
            Call::new(Method::PUT, Some(key), "legal-hold").with_body(body.as_bytes()),
            key,
        )
    }

    pub(super) fn legal_hold(&self, key: &Key) -> Result<bool, StoreError> {
        let answer = self.send(Call::new(Method::GET, Some(key), "legal-hold"))?;
        self.held_by(key, &answer)
    }

    fn held_by(&self, key: &Key, answer: &Answer) -> Result<bool, StoreError> {
        if answer.status.is_success() {
            let text: StatusText = self.read(key.as_str(), &answer.text)?;
            return Ok(text.status == "ON");
        }
        match code_of(&answer.text).as_str() {
            "NoSuchObjectLockConfiguration" | "ObjectLockConfigurationNotFoundError" => Ok(false),
            "InvalidRequest" | "NotImplemented" | "MethodNotAllowed" => Ok(false),
            _ => Err(self.refusal(answer, key)),
        }
    }

    fn expect(&self, call: Call<'_>, key: &Key) -> Result<(), StoreError> {
        let answer = self.send(call)?;
        if answer.status.is_success() {
            Ok(())
        } else {
            Err(self.refusal(&answer, key))
        }
    }

    fn refusal(&self, answer: &Answer, key: &Key) -> StoreError {
        refused(
            answer.status,
            &code_of(&answer.text),
            key.as_str(),
            &self.name,
        )
    }

    fn full(&self, key: &Key) -> String {
        match self.prefix.as_str() {
            "" => key.to_string(),
            prefix => format!("{prefix}/{key}"),
        }
    }

    fn read<T: for<'a> Deserialize<'a>>(&self, key: &str, text: &str) -> Result<T, StoreError> {
        quick_xml::de::from_str(text).map_err(|e| StoreError::Corrupt {
            key: key.to_owned(),
            store: self.name.clone(),
            reason: format!("its answer is not understood: {}", reason(&e)),
        })
    }

    fn send(&self, call: Call<'_>) -> Result<Answer, StoreError> {
        let key = call.key.map(Key::to_string).unwrap_or_default();
        let fail = |reason: String| unavailable(&key, &self.name, reason, false);
        let path = call
            .key
            .map(|k| encoded_path(&self.full(k)))
            .unwrap_or_default();
        let query = if call.query.is_empty() {
            String::new()
        } else {
            format!("?{}", call.query)
        };
        let mut request = http::Request::builder()
            .method(call.method.clone())
            .uri(format!("{}/{path}{query}", self.base));
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if !call.body.is_empty() || call.method == Method::PUT {
            request = request.header("content-md5", STANDARD.encode(Md5::digest(call.body)));
        }
        request = request.header("x-amz-content-sha256", hex(&Sha256::digest(call.body)));
        let request = request.body(()).map_err(|e| fail(reason(&e)))?;
        let (mut parts, ()) = request.into_parts();
        let body = bytes::Bytes::copy_from_slice(call.body);
        let sent = runtime::wait(async {
            self.signer
                .sign(&mut parts, None)
                .await
                .map_err(|e| fail(reason(&e)))?;
            let request = http::Request::from_parts(parts, body);
            let request =
                reqwest::Request::try_from(request).map_err(|e| failed(e, &key, &self.name))?;
            let answer = self.client.execute(request).await;
            let answer = answer.map_err(|e| failed(e, &key, &self.name))?;
            let status = answer.status();
            let text = body_of(answer, LONGEST_ANSWER)
                .await
                .map_err(|e| failed(e, &key, &self.name))?
                .ok_or_else(|| StoreError::TooLong {
                    key: key.clone(),
                    store: self.name.clone(),
                    most: LONGEST_ANSWER,
                })?;
            Ok(Answer {
                status,
                text: String::from_utf8_lossy(&text).into_owned(),
            })
        });
        sent.map_err(fail)?
    }
}

impl<'a> Call<'a> {
    fn new(method: Method, key: Option<&'a Key>, query: &'a str) -> Self {
        Self {
            method,
            key,
            query,
            headers: Vec::new(),
            body: &[],
        }
    }

    fn with_body(mut self, body: &'a [u8]) -> Self {
        self.body = body;
        self
    }
}

fn mode_text(mode: LockMode) -> &'static str {
    match mode {
        LockMode::Governance => "GOVERNANCE",
        LockMode::Compliance => "COMPLIANCE",
    }
}

/// The first whole second that is not earlier: a lock must not end before it was asked to.
fn date_text(until: Time) -> String {
    let seconds =
        until.micros().div_euclid(1_000_000) + i64::from(until.micros().rem_euclid(1_000_000) > 0);
    Time::from_secs(seconds)
        .to_string()
        .replace(".000000Z", "Z")
}

/// The code within an answer that is an error.
fn code_of(text: &str) -> String {
    quick_xml::de::from_str::<StatusText>(text)
        .map(|t| t.code)
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Percent-encoding as signatures want it: everything but letters, digits and `-._~`.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn encoded_path(path: &str) -> String {
    path.split('/').map(encoded).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_never_ends_before_it_was_asked_to() {
        let at: Time = "2027-01-01T00:00:00.000001Z".parse().expect("a time");
        assert_eq!(date_text(at), "2027-01-01T00:00:01Z");
        let whole: Time = "2027-01-01T00:00:00Z".parse().expect("a time");
        assert_eq!(date_text(whole), "2027-01-01T00:00:00Z");
    }

    #[test]
    fn the_code_of_an_error_is_found_and_nothing_else_is_taken_for_one() {
        assert_eq!(
            code_of(
                "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>m</Message></Error>"
            ),
            "NoSuchKey"
        );
        assert_eq!(code_of("not xml"), "");
        assert_eq!(encoded_path("a/b=c"), "a/b%3Dc");
    }
}
