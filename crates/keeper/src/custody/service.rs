//! The key service of a vault: what opens it, from the policy's references or the usual variables.

use std::sync::Arc;

use vouchsafe_host::{machine, secret};
use vouchsafe_model::{AwsKey, Kms, MinTls, Secret, SecretRef, Vault, VaultName, WrapCommand};
use vouchsafe_store::kms::{AwsAccess, CommandService, KeyService, KmsError, open_aws};

use crate::error::KeeperError;
use crate::keeper::Tools;

/// The service that the policy names for a vault; nothing is sent yet.
pub(super) fn open(
    kms: &Kms,
    vault: &VaultName,
    tools: &Tools,
) -> Result<Arc<dyn KeyService>, KeeperError> {
    match kms {
        Kms::Command(command) => Ok(Arc::new(CommandService::new(
            command.clone(),
            vault.as_str(),
            Arc::clone(&tools.spawn),
        ))),
        Kms::Aws(aws) => {
            let access = access(aws)?;
            let opened = open_aws(&access, Arc::clone(&tools.clock));
            opened.map_err(|source| failed(vault, source))
        }
    }
}

pub(super) fn failed(vault: &VaultName, source: KmsError) -> KeeperError {
    KeeperError::Kms {
        vault: vault.clone(),
        source: Box::new(source),
    }
}

fn access(aws: &AwsKey) -> Result<AwsAccess, KeeperError> {
    let one = |reference: &Option<SecretRef>, usual: &str| {
        let usual = || SecretRef::Env(usual.to_owned());
        secret::resolve(&reference.clone().unwrap_or_else(usual))
    };
    // A token belongs to the keys beside it: with keys that the policy names it would be a stranger's.
    let session_token = match &aws.access_key {
        None => variable("AWS_SESSION_TOKEN").map(|t| Secret::new(t.into_bytes())),
        Some(_) => None,
    };
    Ok(AwsAccess {
        key: aws.key.clone(),
        region: aws.region.clone(),
        endpoint: aws.endpoint.clone(),
        access_key: one(&aws.access_key, "AWS_ACCESS_KEY_ID")?,
        secret_key: one(&aws.secret_key, "AWS_SECRET_ACCESS_KEY")?,
        session_token,
        min_tls: aws.min_tls,
    })
}

/// What wraps the passphrase of a vault of which there is no policy, by what lies in the vault. Neither addresses nor
/// programs are taken from there: whoever may write to the vault must not choose whom we talk to and what we start.
pub(crate) fn from_vault(
    vault: &Vault,
    service: &str,
    key: &str,
    unwrap: &[String],
) -> Result<Kms, KeeperError> {
    let refused = |message: String| KeeperError::Policy {
        message: format!("{}: {message}", vault.url),
    };
    match service {
        "aws" => {
            let region = key.split(':').nth(3).filter(|_| key.starts_with("arn:"));
            let region = region
                .filter(|r| r.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
                .ok_or_else(|| {
                    refused(format!(
                        "the key that wraps its passphrase, {key}, is no ARN"
                    ))
                })?;
            let endpoint =
                variable("AWS_ENDPOINT_URL_KMS").or_else(|| variable("AWS_ENDPOINT_URL"));
            Ok(Kms::Aws(AwsKey {
                key: key.to_owned(),
                region: region.to_owned(),
                endpoint,
                access_key: None,
                secret_key: None,
                min_tls: MinTls::default(),
            }))
        }
        "command" if unwrap.is_empty() => Err(refused(format!(
            "a program unwraps its passphrase by the key {key}; name it as the recovery sheet does: --unwrap PROGRAM ARGUMENT …"
        ))),
        "command" => Ok(Kms::Command(WrapCommand {
            key: key.to_owned(),
            wrap: Vec::new(),
            unwrap: unwrap.to_vec(),
        })),
        other => Err(refused(format!(
            "its passphrase is wrapped by `{other}`, which this version does not know; take a newer one"
        ))),
    }
}

fn variable(name: &str) -> Option<String> {
    let value = machine::env_var(name)?.into_string().ok()?;
    Some(value).filter(|v| !v.is_empty())
}
