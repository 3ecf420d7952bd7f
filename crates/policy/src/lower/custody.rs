//! What opens a vault: the key service that wraps its passphrase, and how often that is replaced.

use std::path::Path;

use vouchsafe_model::policy::Schedule;
use vouchsafe_model::{AwsKey, Kms, VaultPlace, Wire, WrapCommand};

use crate::keys;
use crate::located::Item;
use crate::lower::fields::{Ctx, Fields};
use crate::lower::{parts, vaults};
use crate::problem::Level;

const WHICH: &str = "write { aws: arn:aws:kms:REGION:ACCOUNT:key/ID } or { command: { key: NAME, wrap: [PROGRAM], unwrap: [PROGRAM] } }";

/// Reads a key service; one that is not whole is an error.
pub(super) fn kms(ctx: &mut Ctx, item: &Item, base: &Path) -> Option<Kms> {
    let fields = ctx.fields(&item.node, &keys::KMS);
    match (fields.get(ctx, "aws"), fields.get(ctx, "command")) {
        (Some(key), None) => aws(ctx, fields, key, base).map(Kms::Aws),
        (None, Some(item)) => {
            for name in ["region", "endpoint", "access_key", "secret_key", "min_tls"] {
                if let Some(item) = fields.get(ctx, name) {
                    let message = format!("`{name}` makes no sense for a command");
                    ctx.error("P022", item.place(), message, "take it out");
                }
            }
            command(ctx, item).map(Kms::Command)
        }
        (None, None) => {
            ctx.error("P037", fields.place, "`kms` names no key", WHICH);
            None
        }
        (Some(_), Some(item)) => {
            let message = "`kms` names two things that wrap";
            ctx.error("P037", item.place(), message, "keep `aws` or `command`");
            None
        }
    }
}

fn aws(ctx: &mut Ctx, fields: Fields<'_>, item: &Item, base: &Path) -> Option<AwsKey> {
    let key = ctx.text(item)?;
    let at = item.node.place();
    if key.is_empty() || key.chars().any(|c| c.is_whitespace() || c.is_control()) {
        ctx.error("P037", at, "this is not the name of a key", WHICH);
        return None;
    }
    if key.contains("alias/aws/") {
        let message = "a key that AWS manages wraps nothing for others than its own services";
        let remedy = "make a key of your own: aws kms create-key";
        ctx.error("P037", at, message, remedy);
        return None;
    }
    let said = fields.get(ctx, "region").and_then(|i| ctx.text(i));
    let of_arn = region_of(&key);
    if let (Some(said), Some(of_arn)) = (&said, of_arn)
        && said != of_arn
    {
        let place = fields.get(ctx, "region").map_or(at, |i| i.node.place());
        let message = format!("the key lies in {of_arn} by its ARN, not in {said}");
        ctx.error("P037", place, message, "take `region` out");
    }
    let region = of_arn.map(str::to_owned).or(said);
    let endpoint = vaults::endpoint(ctx, fields);
    if let Some(address) = &endpoint {
        let place = fields.get(ctx, "endpoint").map_or(at, |i| i.node.place());
        match Wire::of_address(address) {
            Wire::Plain => ctx.error(
                "P032",
                place,
                "the key service would be spoken to in plain text over a network",
                "write https://; or http://127.0.0.1 if it is on this machine",
            ),
            Wire::PlainLoopback => ctx.say(
                Level::Note,
                "P033",
                place,
                "the key service is spoken to in plain text, on this machine",
                "see to it that what listens there protects what it passes on",
            ),
            _ => {}
        }
    }
    let secret = |ctx: &mut Ctx, name: &'static str| {
        fields
            .get(ctx, name)
            .and_then(|i| parts::password(ctx, i, base))
    };
    let (access_key, secret_key) = (secret(ctx, "access_key"), secret(ctx, "secret_key"));
    let min_tls = vaults::min_tls(ctx, fields);
    let Some(region) = region else {
        let message = "nobody can say in which region the key lies";
        ctx.error("P037", at, message, "write its ARN, or add region: REGION");
        return None;
    };
    if !is_region(&region) {
        let message = "this is not the name of a region";
        ctx.error("P037", at, message, "write it like eu-west-2");
        return None;
    }
    Some(AwsKey {
        key,
        region,
        endpoint,
        access_key,
        secret_key,
        min_tls,
    })
}

/// The region in `arn:aws:kms:REGION:…`.
fn region_of(key: &str) -> Option<&str> {
    let mut parts = key.split(':');
    (parts.next() == Some("arn")).then_some(())?;
    parts.nth(2).filter(|region| !region.is_empty())
}

/// It becomes part of an address.
fn is_region(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn command(ctx: &mut Ctx, item: &Item) -> Option<WrapCommand> {
    let fields = ctx.fields(&item.node, &keys::WRAP_COMMAND);
    let words = |ctx: &mut Ctx, name: &'static str| -> Option<Vec<String>> {
        let words = match fields.get(ctx, name) {
            Some(item) => ctx.texts(item),
            None => Vec::new(),
        };
        if words.first().is_some_and(|program| !program.is_empty()) {
            return Some(words);
        }
        let place = fields.get(ctx, name).map_or(fields.place, |i| i.place());
        let message = format!("`{name}` names no program");
        let remedy = format!("write {name}: [PROGRAM, ARGUMENT]");
        ctx.error("P037", place, message, remedy);
        None
    };
    let (wrap, unwrap) = (words(ctx, "wrap"), words(ctx, "unwrap"));
    let key = fields.get(ctx, "key").and_then(|i| ctx.text(i));
    Some(WrapCommand {
        key: key.unwrap_or_else(|| "unnamed".to_owned()),
        wrap: wrap?,
        unwrap: unwrap?,
    })
}

/// Reads how often the passphrase is replaced.
pub(super) fn rotation(ctx: &mut Ctx, fields: Fields<'_>) -> Option<Schedule> {
    let item = fields.get(ctx, "keys")?;
    let fields = ctx.fields(&item.node, &keys::ROTATION);
    let rotate = fields.get(ctx, "rotate")?;
    ctx.schedule(rotate)
}

/// Says what does not go together.
pub(super) fn fits(ctx: &mut Ctx, fields: Fields<'_>, name: &str, place: &VaultPlace) {
    let (kms, password) = (fields.get(ctx, "kms"), fields.get(ctx, "password"));
    if let (Some(kms), Some(_)) = (kms, password) {
        let message = format!("the passphrase of vault `{name}` is kept in two places");
        let remedy = "keep `kms`, or `password` if the vault is to open without the key service";
        ctx.error("P038", kms.place(), message, remedy);
    }
    if let Some(kms) = kms.filter(|_| !place.holds_record()) {
        let message = format!(
            "vault `{name}` holds nothing beside the repository, so no wrapped passphrase either"
        );
        let remedy = "take `kms` out, and name where the passphrase is kept by `password`";
        ctx.error("P038", kms.place(), message, remedy);
    }
    if let (Some(keys), Some(_)) = (fields.get(ctx, "keys"), password) {
        let message = format!(
            "the passphrase of vault `{name}` is kept where it cannot be replaced from here"
        );
        let remedy =
            "replace it yourself: key add, change what is kept, key remove; that fulfils it too";
        ctx.say(Level::Note, "P039", keys.place(), message, remedy);
    }
}
