//! AWS KMS: requests signed by our own hand, what is wrapped bound to its repository by the encryption context.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqsign_aws_v4::{Credential, RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use vouchsafe_host::Clock;
use vouchsafe_model::{Secret, Wire};

use super::{http, reason, runtime};
use crate::kms::{AwsAccess, Bound, KeyService, KeyState, KmsError, Wrapped, short};

/// A symmetric key of AWS KMS.
pub(crate) struct AwsKms {
    client: Client,
    signer: Signer<Credential>,
    key: String,
    address: String,
    clock: Arc<dyn Clock>,
}

/// What a service may answer at most, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;
/// How long is waited before each further attempt.
const AGAIN: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_millis(600),
    Duration::from_millis(1500),
];

struct Answer {
    status: StatusCode,
    body: Secret,
}

impl AwsKms {
    pub(crate) fn open(access: &AwsAccess, clock: Arc<dyn Clock>) -> Result<Self, KmsError> {
        let missing = |needs: String| KmsError::Access {
            key: format!("AWS KMS key {}", access.key),
            needs,
        };
        let usual = format!("https://kms.{}.amazonaws.com", access.region);
        let address = access.endpoint.clone().unwrap_or(usual);
        let wire = Wire::of_address(&address);
        if wire == Wire::Plain {
            return Err(missing(format!(
                "{address} would be spoken to in plain text over a network; write https://"
            )));
        }
        let text = |secret: &Secret| {
            String::from_utf8(secret.expose().to_vec())
                .map_err(|_| missing("its access key is no text; look where it is kept".to_owned()))
        };
        let mut credential =
            StaticCredentialProvider::new(&text(&access.access_key)?, &text(&access.secret_key)?);
        if let Some(token) = &access.session_token {
            credential = credential.with_session_token(&text(token)?);
        }
        // A redirection would carry the passphrase to where nobody has looked.
        let client =
            http::client_that_follows(0, wire, access.min_tls).map_err(|e| missing(reason(&e)))?;
        let signer = RequestSigner::new("kms", &access.region);
        Ok(Self {
            client,
            signer: Signer::new(Context::new(), credential, signer),
            key: access.key.clone(),
            address: format!("{}/", address.trim_end_matches('/')),
            clock,
        })
    }

    /// Calls the service, again where that may help.
    fn call(&self, action: &str, request: &Value) -> Result<Value, KmsError> {
        let body = Secret::new(request.to_string().into_bytes());
        let mut waits = AGAIN.iter();
        loop {
            let error = match self.send(action, &body) {
                Ok(answer) if answer.status.is_success() => return self.understood(&answer),
                Ok(answer) => self.refusal(&answer),
                Err(error) => error,
            };
            match waits.next() {
                Some(wait) if matches!(error, KmsError::Unreachable { .. }) => {
                    self.clock.sleep(*wait);
                }
                _ => return Err(error),
            }
        }
    }

    fn send(&self, action: &str, body: &Secret) -> Result<Answer, KmsError> {
        let failed = |reason: String| KmsError::Unreachable {
            key: self.describe(),
            reason,
        };
        let digest = Sha256::digest(body.expose());
        let digest: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        let request = ::http::Request::post(&self.address)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("TrentService.{action}"))
            .header("x-amz-content-sha256", digest)
            .body(())
            .map_err(|e| failed(reason(&e)))?;
        let (mut parts, ()) = request.into_parts();
        let sent = runtime::wait(async {
            self.signer
                .sign(&mut parts, None)
                .await
                .map_err(|e| failed(reason(&e)))?;
            let body = bytes::Bytes::copy_from_slice(body.expose());
            let request = ::http::Request::from_parts(parts, body);
            let lost = |e: reqwest::Error| failed(reason(&e.without_url()));
            let request = reqwest::Request::try_from(request).map_err(lost)?;
            let mut response = self.client.execute(request).await.map_err(lost)?;
            let status = response.status();
            let mut body = Vec::new();
            while let Some(part) = response.chunk().await.map_err(lost)? {
                if body.len() + part.len() > LONGEST_ANSWER {
                    return Err(failed("it answers without an end".to_owned()));
                }
                body.extend_from_slice(&part);
            }
            Ok(Answer {
                status,
                body: Secret::new(body),
            })
        });
        sent.map_err(failed)?
    }

    fn understood(&self, answer: &Answer) -> Result<Value, KmsError> {
        serde_json::from_slice(answer.body.expose())
            .map_err(|_| self.strange("with what is no JSON; is this address one of AWS KMS?"))
    }

    fn strange(&self, said: &str) -> KmsError {
        KmsError::Refused {
            key: self.describe(),
            code: "strangely,".to_owned(),
            said: said.to_owned(),
        }
    }

    /// What an answer means that is no success.
    fn refusal(&self, answer: &Answer) -> KmsError {
        let body: Value = serde_json::from_slice(answer.body.expose()).unwrap_or_default();
        let field = |names: [&str; 2]| {
            let text = names.iter().find_map(|name| body.get(name)?.as_str());
            let text = text.unwrap_or_default().chars();
            text.filter(|c| !c.is_control())
                .take(200)
                .collect::<String>()
        };
        let code = field(["__type", "code"]);
        let code = code.rsplit('#').next().unwrap_or_default().to_owned();
        let message = field(["message", "Message"]);
        let said = format!("{code}: {message}")
            .trim_end_matches([':', ' '])
            .to_owned();
        let key = self.describe();
        match code.as_str() {
            "NotFoundException" => KmsError::Absent { key, said },
            "KMSInvalidStateException" | "DisabledException" => KmsError::Unusable { key, said },
            "InvalidCiphertextException" => KmsError::Altered { key },
            "IncorrectKeyException" => KmsError::OtherKey {
                key,
                wrapped_by: "another".to_owned(),
            },
            "AccessDeniedException"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "InvalidClientTokenId"
            | "IncompleteSignature"
            | "MissingAuthenticationTokenException"
            | "ExpiredTokenException" => KmsError::Denied { key, said },
            "ThrottlingException"
            | "KMSInternalException"
            | "DependencyTimeoutException"
            | "KeyUnavailableException" => KmsError::Unreachable { key, reason: said },
            _ if answer.status.is_server_error() => KmsError::Unreachable {
                key,
                reason: format!("it answered {} {said}", answer.status.as_u16()),
            },
            _ => KmsError::Refused {
                key,
                code: answer.status.as_u16().to_string(),
                said,
            },
        }
    }

    fn bytes(&self, answer: &Value, name: &str) -> Result<Vec<u8>, KmsError> {
        let text = answer.get(name).and_then(Value::as_str);
        text.and_then(|text| STANDARD.decode(text).ok())
            .ok_or_else(|| self.strange(&format!("without {name}")))
    }

    fn named(&self, answer: &Value) -> Result<String, KmsError> {
        let key = answer.get("KeyId").and_then(Value::as_str);
        key.map(str::to_owned)
            .ok_or_else(|| self.strange("without the key's name"))
    }
}

fn context(bound: &Bound) -> Value {
    json!({
        "vouchsafe:repository": bound.repository,
        "vouchsafe:purpose": bound.purpose,
    })
}

impl KeyService for AwsKms {
    fn describe(&self) -> String {
        format!("AWS KMS key {}", self.key)
    }

    fn wrap(&self, secret: &Secret, bound: &Bound) -> Result<Wrapped, KmsError> {
        let answer = self.call(
            "Encrypt",
            &json!({
                "KeyId": self.key,
                "Plaintext": STANDARD.encode(short(secret, self)?.expose()),
                "EncryptionContext": context(bound),
            }),
        )?;
        Ok(Wrapped {
            key: self.named(&answer)?,
            bytes: self.bytes(&answer, "CiphertextBlob")?,
        })
    }

    fn unwrap(&self, wrapped: &Wrapped, bound: &Bound) -> Result<Secret, KmsError> {
        let other = || KmsError::OtherKey {
            key: self.describe(),
            wrapped_by: format!("key {}", wrapped.key),
        };
        // An ARN says which key it is; an id and an alias have to be asked for.
        if self.key.contains(":key/") && self.key != wrapped.key {
            return Err(other());
        }
        // The key is said, so that nobody else's key can give us what he likes.
        let asked = self.call(
            "Decrypt",
            &json!({
                "KeyId": self.key,
                "CiphertextBlob": STANDARD.encode(&wrapped.bytes),
                "EncryptionContext": context(bound),
            }),
        );
        let answer = asked.map_err(|error| match error {
            KmsError::OtherKey { .. } => other(),
            error => error,
        })?;
        if self.named(&answer)? != wrapped.key {
            return Err(other());
        }
        Ok(Secret::new(self.bytes(&answer, "Plaintext")?))
    }

    fn probe(&self) -> Result<Option<KeyState>, KmsError> {
        let answer = self.call("DescribeKey", &json!({ "KeyId": self.key }))?;
        let data = answer.get("KeyMetadata").unwrap_or(&Value::Null);
        let text = |name: &str| {
            let text = data.get(name).and_then(Value::as_str).unwrap_or_default();
            text.to_owned()
        };
        let state = text("KeyState");
        let when = match data.get("DeletionDate") {
            Some(Value::Number(seconds)) if state == "PendingDeletion" => seconds
                .as_f64()
                .map(|s| vouchsafe_model::Time::from_secs(s as i64).minute())
                .map(|day| format!(", gone at {day}"))
                .unwrap_or_default(),
            _ => String::new(),
        };
        Ok(Some(KeyState {
            key: text("Arn"),
            usable: state == "Enabled",
            said: format!("{state}{when}"),
        }))
    }
}
