//! Key services: what wraps the passphrase of a vault, as the policy declares it.

use std::fmt;

use serde::Serialize;

use crate::SecretRef;
use crate::policy::MinTls;

/// What wraps and unwraps the passphrase of a vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kms {
    /// A symmetric key of AWS KMS.
    Aws(AwsKey),
    /// Programs that read the passphrase, or what they made of it, and write the other.
    Command(WrapCommand),
}

/// A key of AWS KMS and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct AwsKey {
    /// Its ARN, id, or alias.
    pub key: String,
    /// The region that it lies in and that requests are signed for.
    pub region: String,
    /// The service's address, if it is not that of the region.
    pub endpoint: Option<String>,
    /// The identifier of the access key; `AWS_ACCESS_KEY_ID` if not given.
    pub access_key: Option<SecretRef>,
    /// The access key's secret; `AWS_SECRET_ACCESS_KEY` if not given.
    pub secret_key: Option<SecretRef>,
    /// The oldest version of TLS that is spoken.
    pub min_tls: MinTls,
}

/// Programs with their arguments. What they wrap and unwrap goes through standard input and output.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct WrapCommand {
    /// What the key is called; for messages, and to tell that another one took its place.
    pub key: String,
    /// Reads a passphrase and writes it wrapped.
    pub wrap: Vec<String>,
    /// Reads what `wrap` wrote, and writes the passphrase.
    pub unwrap: Vec<String>,
}

impl Kms {
    /// The word for its kind: `aws`, `command`.
    pub fn word(&self) -> &'static str {
        match self {
            Kms::Aws(_) => "aws",
            Kms::Command(_) => "command",
        }
    }
    /// The key's name.
    pub fn key(&self) -> &str {
        match self {
            Kms::Aws(aws) => &aws.key,
            Kms::Command(command) => &command.key,
        }
    }
}

/// For people: `AWS KMS key arn:…`, `key safe of the program age`.
impl fmt::Display for Kms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kms::Aws(aws) => write!(f, "AWS KMS key {}", aws.key),
            Kms::Command(command) => {
                let program = command.unwrap.first().map_or("", String::as_str);
                write!(f, "key {} of the program {program}", command.key)
            }
        }
    }
}
