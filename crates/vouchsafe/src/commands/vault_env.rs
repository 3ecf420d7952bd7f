//! `vault env`: what stock restic needs to open a vault's repository.

use std::path::Path;

use vouchsafe_host::{files, machine};
use vouchsafe_keeper::KeeperError;
use vouchsafe_model::{SecretRef, Vault, VaultName, VaultPlace};

use super::vault::name;
use crate::exit::{Exit, Failure};
use crate::session::Session;

/// Shell lines for stock restic. The passphrase itself is not printed: restic reads it from its file.
pub(crate) fn env(session: &Session, vault: &str) -> Result<Exit, Failure> {
    let (policy, _) = session.policy()?;
    let spec = policy
        .vaults
        .get(&name(vault)?)
        .ok_or_else(|| KeeperError::UnknownVault {
            name: vault.to_owned(),
            known: policy
                .vaults
                .keys()
                .map(VaultName::as_str)
                .collect::<Vec<_>>()
                .join(", "),
        })?;
    let mut lines = vec![export(
        "RESTIC_REPOSITORY",
        &quoted(&restic_address(spec, &policy.base)?),
    )];
    let password = match &spec.password {
        None => SecretRef::File(session.state.passphrase_path(&spec.name)),
        Some(reference) => reference.clone(),
    };
    lines.push(match &password {
        _ if spec.kms.is_some() => {
            let words = ours(session, spec)?;
            export("RESTIC_PASSWORD_COMMAND", &quoted(&words))
        }
        SecretRef::File(path) => export(
            "RESTIC_PASSWORD_FILE",
            &quoted(&policy.base.join(path).display().to_string()),
        ),
        SecretRef::Command(words) => {
            let words: Vec<String> = words.iter().map(|w| quoted(w)).collect();
            export("RESTIC_PASSWORD_COMMAND", &quoted(&words.join(" ")))
        }
        other => export("RESTIC_PASSWORD", &fetched(other)),
    });
    lines.extend(credentials(spec));
    session.output.text(&lines.join("\n"))?;
    Ok(Exit::Met)
}

/// The command of ours that has the passphrase unwrapped.
fn ours(session: &Session, spec: &Vault) -> Result<String, Failure> {
    let program = machine::current_program().map_err(KeeperError::from)?;
    let words = [
        program.display().to_string(),
        "--policy".to_owned(),
        session.policy_path.display().to_string(),
        "--state".to_owned(),
        session.state.root().display().to_string(),
        "key".to_owned(),
        "passphrase".to_owned(),
        spec.name.to_string(),
    ];
    let words: Vec<String> = words.iter().map(|w| quoted(w)).collect();
    Ok(words.join(" "))
}

/// What restic calls the vault's repository.
fn restic_address(spec: &Vault, base: &Path) -> Result<String, Failure> {
    if let Some(dir) = vouchsafe_keeper::local_dir(spec, base) {
        let repo = files::canonicalize(dir.join("repo")).map_err(KeeperError::from)?;
        return Ok(repo.display().to_string());
    }
    let unknown = || {
        Failure::Usage(format!(
            "restic alone does not speak to vault `{}`; use rclone with it",
            spec.name
        ))
    };
    let place = VaultPlace::parse(&spec.url).map_err(|_| unknown())?;
    let access = &spec.access;
    let address = place.restic(access.endpoint.as_deref(), access.signing_region.as_deref());
    address.ok_or_else(unknown)
}

/// The variables by which restic logs in, where the policy says how; without that both ask the same ones anyway.
fn credentials(spec: &Vault) -> Vec<String> {
    let access = &spec.access;
    let Ok(place) = VaultPlace::parse(&spec.url) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    let mut say = |name: &str, value: Option<String>| out.extend(value.map(|v| export(name, &v)));
    let plain = |text: &Option<String>| text.as_deref().map(quoted);
    let secret = |reference: &Option<SecretRef>| reference.as_ref().map(fetched);
    match place {
        VaultPlace::S3 { .. } => {
            say("AWS_ACCESS_KEY_ID", secret(&access.access_key));
            say("AWS_SECRET_ACCESS_KEY", secret(&access.secret_key));
            say("AWS_DEFAULT_REGION", plain(&access.signing_region));
        }
        VaultPlace::Rest { .. } => {
            say("RESTIC_REST_USERNAME", plain(&access.user));
            say("RESTIC_REST_PASSWORD", secret(&access.credential));
        }
        VaultPlace::Azblob { .. } => {
            say("AZURE_ACCOUNT_NAME", plain(&access.user));
            say("AZURE_ACCOUNT_KEY", secret(&access.credential));
        }
        VaultPlace::Gcs { .. } => {
            if let Some(SecretRef::File(path)) = &access.credential {
                say(
                    "GOOGLE_APPLICATION_CREDENTIALS",
                    Some(quoted(&path.display().to_string())),
                );
            }
        }
        VaultPlace::Sftp { .. } => {
            let options = [
                ("-i", &access.identity),
                ("-o UserKnownHostsFile=", &access.known_hosts),
            ];
            let words = options.iter().filter_map(|(option, path)| {
                let path = path.as_ref()?.display().to_string();
                Some(if *option == "-i" {
                    format!("-i {path}")
                } else {
                    format!("{option}{path}")
                })
            });
            let words: Vec<String> = words.collect();
            if !words.is_empty() {
                out.push(format!(
                    "# restic -o sftp.args={}",
                    quoted(&words.join(" "))
                ));
            }
        }
        _ => {}
    }
    out
}

fn export(name: &str, value: &str) -> String {
    format!("export {name}={value}")
}

/// A piece of shell that fetches a secret where it is kept.
fn fetched(reference: &SecretRef) -> String {
    match reference {
        SecretRef::Env(variable) => format!("\"${{{variable}}}\""),
        SecretRef::File(path) => format!("\"$(cat {})\"", quoted(&path.display().to_string())),
        SecretRef::Command(words) => {
            let words: Vec<String> = words.iter().map(|w| quoted(w)).collect();
            format!("\"$({})\"", words.join(" "))
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
