//! Vaults: where they are, how their stores are reached, and what makes no sense there.

use std::path::Path;

use vouchsafe_model::policy::{Access, Limits, MinTls, Vault};
use vouchsafe_model::{LockMode, VaultName, VaultPlace, VaultUrlError, Wire};

use crate::keys;
use crate::located::Item;
use crate::lower::custody;
use crate::lower::fields::{Ctx, Fields};
use crate::lower::parts::{self, location};
use crate::problem::{Level, Place};
use crate::sources::{self, path_from};

/// Reads one vault; without a place it is none.
pub(super) fn vault(ctx: &mut Ctx, item: &Item, base: &Path) -> Option<Vault> {
    let fields = ctx.fields(&item.node, &keys::VAULT);
    let name = VaultName::new(item.key.as_str()).map_err(|e| {
        ctx.error("P012", item.place(), e.to_string(), "choose another name");
    });
    let location = location(ctx, fields);
    fields.get(ctx, "zone").and_then(|i| ctx.text(i));
    let retention_lock = fields
        .get(ctx, "retention_lock")
        .and_then(|i| ctx.length(i));
    let lock_mode = lock_mode(ctx, fields, retention_lock.is_some());
    let password = fields
        .get(ctx, "password")
        .and_then(|i| parts::password(ctx, i, base));
    let kms = fields
        .get(ctx, "kms")
        .and_then(|i| custody::kms(ctx, i, base));
    let rotate = custody::rotation(ctx, fields);
    let prune = fields.get(ctx, "prune").and_then(|i| ctx.schedule(i));
    let mut access = access(ctx, fields, base);
    let Some(url) = fields.get(ctx, "url") else {
        let message = format!("vault `{}` does not say where it is", item.key);
        ctx.error(
            "P019",
            item.place(),
            message,
            "write url: file:///srv/vouchsafe",
        );
        return None;
    };
    let at = url.node.place();
    let url = match sources::vault(&ctx.text(url)?, base) {
        Ok(url) => url,
        Err(e) => {
            ctx.error(e.code(), at, e.to_string(), e.remedy());
            return None;
        }
    };
    match VaultPlace::parse(&url) {
        Ok(place) => {
            misplaced(ctx, fields, &place);
            protected(ctx, fields, &item.key, &place, &access, at);
            custody::fits(ctx, fields, &item.key, &place);
            if !place.holds_record() {
                let message = format!(
                    "vault `{}` holds ledger and policy as a snapshot in its repository",
                    item.key
                );
                let remedy = "leave snapshots with the tag vouchsafe-ledger out of what `restic forget` is told";
                ctx.say(Level::Note, "P035", at, message, remedy);
            }
            if matches!(place, VaultPlace::S3 { endpoint: None, .. })
                && access.endpoint.is_none()
                && access.signing_region.is_none()
            {
                access.signing_region.clone_from(&location.region);
            }
        }
        Err(VaultUrlError::Unknown { .. }) => {
            let message = format!("vault `{}` is declared, not yet connected", item.key);
            let remedy = "this version keeps copies in file, s3, rest, sftp, webdav, azblob, gs and gdrive vaults";
            ctx.say(Level::Note, "P028", at, message, remedy);
        }
        Err(wrong) => {
            let remedy = "write it like s3://bucket/prefix or sftp://user@host/path";
            ctx.error("P029", at, wrong.to_string(), remedy);
            return None;
        }
    }
    Some(Vault {
        name: name.ok()?,
        url,
        location,
        retention_lock,
        lock_mode,
        password,
        kms,
        rotate,
        prune,
        access,
    })
}

fn access(ctx: &mut Ctx, fields: Fields<'_>, base: &Path) -> Access {
    let text = |ctx: &mut Ctx, name| fields.get(ctx, name).and_then(|i| ctx.text(i));
    let secret = |ctx: &mut Ctx, name| {
        fields
            .get(ctx, name)
            .and_then(|i| parts::password(ctx, i, base))
    };
    let path = |ctx: &mut Ctx, name| text(ctx, name).map(|t| path_from(&t, base));
    Access {
        endpoint: endpoint(ctx, fields),
        signing_region: text(ctx, "signing_region"),
        user: text(ctx, "user"),
        access_key: secret(ctx, "access_key"),
        secret_key: secret(ctx, "secret_key"),
        credential: secret(ctx, "credential"),
        identity: path(ctx, "identity"),
        known_hosts: path(ctx, "known_hosts"),
        min_tls: min_tls(ctx, fields),
        limits: fields
            .get(ctx, "limits")
            .map(|i| limits(ctx, i))
            .unwrap_or_default(),
    }
}

pub(super) fn endpoint(ctx: &mut Ctx, fields: Fields<'_>) -> Option<String> {
    let item = fields.get(ctx, "endpoint")?;
    let text = ctx.text(item)?;
    let good = text.split_once("://").is_some_and(|(scheme, rest)| {
        matches!(scheme, "http" | "https") && !rest.is_empty() && !rest.contains(['@', '?', '#'])
    });
    if good {
        return Some(text.trim_end_matches('/').to_owned());
    }
    // Not shown: a password may stand in it.
    let message = "this is not the address of a service";
    ctx.error(
        "P018",
        item.node.place(),
        message,
        "write https:// and its name, without a user",
    );
    None
}

pub(super) fn min_tls(ctx: &mut Ctx, fields: Fields<'_>) -> MinTls {
    let Some(item) = fields.get(ctx, "min_tls") else {
        return MinTls::default();
    };
    if !ctx.word(item, &["1.2", "1.3"]) || ctx.text(item).as_deref() != Some("1.2") {
        return MinTls::V1_3;
    }
    let message = "TLS 1.2 is allowed here";
    let remedy = "take it out as soon as the server speaks TLS 1.3";
    ctx.say(Level::Warning, "P034", item.node.place(), message, remedy);
    MinTls::V1_2
}

fn lock_mode(ctx: &mut Ctx, fields: Fields<'_>, locked: bool) -> LockMode {
    let Some(item) = fields.get(ctx, "lock_mode") else {
        return LockMode::Compliance;
    };
    if !locked {
        let message = "`lock_mode` means nothing without a retention_lock";
        let remedy = "say for how long, like retention_lock: 30 days, or take it out";
        ctx.error("P022", item.place(), message, remedy);
    }
    if !ctx.word(item, &["compliance", "governance"])
        || ctx.text(item).as_deref() != Some("governance")
    {
        return LockMode::Compliance;
    }
    let message = "who has a special right may lift locks of this mode";
    let remedy = "write compliance, or see to it that no login used in daily work has that right";
    ctx.say(Level::Warning, "P040", item.node.place(), message, remedy);
    LockMode::Governance
}

fn limits(ctx: &mut Ctx, item: &Item) -> Limits {
    let fields = ctx.fields(&item.node, &keys::LIMITS);
    Limits {
        upload: fields.get(ctx, "upload").and_then(|i| ctx.rate(i)),
        download: fields.get(ctx, "download").and_then(|i| ctx.rate(i)),
        connections: fields.get(ctx, "connections").and_then(|i| ctx.count(i)),
    }
}

/// Says which keys mean nothing for this kind of store.
fn misplaced(ctx: &mut Ctx, fields: Fields<'_>, place: &VaultPlace) {
    let takes: &[&str] = match place {
        VaultPlace::File { .. } => &[],
        VaultPlace::S3 {
            endpoint: Some(_), ..
        } => &["signing_region", "access_key", "secret_key", "min_tls"],
        VaultPlace::S3 { endpoint: None, .. } => &[
            "endpoint",
            "signing_region",
            "access_key",
            "secret_key",
            "min_tls",
        ],
        VaultPlace::Rest { .. } | VaultPlace::WebDav { .. } => &["user", "credential", "min_tls"],
        VaultPlace::Sftp { .. } => &["identity", "known_hosts"],
        VaultPlace::Azblob { .. } => &["endpoint", "user", "credential", "min_tls"],
        VaultPlace::Gcs { .. } => &["endpoint", "credential", "min_tls"],
        VaultPlace::Gdrive { .. } => &["credential", "min_tls"],
    };
    let all = [
        "endpoint",
        "signing_region",
        "user",
        "access_key",
        "secret_key",
        "credential",
        "identity",
        "known_hosts",
        "min_tls",
    ];
    for name in all.into_iter().filter(|name| !takes.contains(name)) {
        if let Some(item) = fields.get(ctx, name) {
            let message = format!("`{name}` makes no sense for a {} vault", place.kind());
            let remedy = match takes {
                [] => "take it out".to_owned(),
                takes => format!("take it out; it takes {}", takes.join(", ")),
            };
            ctx.error("P022", item.place(), message, remedy);
        }
    }
    if let Some(item) = fields.get(ctx, "retention_lock")
        && !matches!(place, VaultPlace::S3 { .. })
    {
        let message = format!("a {} vault knows no retention lock", place.kind());
        let remedy = "keep this copy in an s3 vault with object lock, or take the line out";
        ctx.say(Level::Warning, "P036", item.place(), message, remedy);
    }
}

/// Says what does not protect the bytes on their way.
fn protected(
    ctx: &mut Ctx,
    fields: Fields<'_>,
    name: &str,
    place: &VaultPlace,
    access: &Access,
    at: Place,
) {
    let at = match access.endpoint {
        Some(_) => fields.get(ctx, "endpoint").map_or(at, |i| i.node.place()),
        None => at,
    };
    match place.wire(access.endpoint.as_deref()) {
        Wire::None | Wire::Tls | Wire::Ssh => {}
        Wire::PlainLoopback => {
            let message = format!("vault `{name}` is spoken to in plain text, on this machine");
            let remedy = "see to it that what listens there protects what it passes on";
            ctx.say(Level::Note, "P033", at, message, remedy);
        }
        Wire::Plain => {
            let message = format!("vault `{name}` would be spoken to in plain text over a network");
            ctx.error(
                "P032",
                at,
                message,
                "write https://; or http://127.0.0.1 if it is on this machine",
            );
        }
    }
}

#[cfg(test)]
mod tests;
