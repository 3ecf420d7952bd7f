//! Who hears of what, and the server by which people are told.

use std::collections::BTreeMap;
use std::path::Path;

use vouchsafe_model::alert::{AlertKind, AlertRule, Mail, MailWire};
use vouchsafe_model::{Policy, Wire};

use crate::declared::{Declared, Entry, Said};
use crate::keys;
use crate::located::Item;
use crate::lower::fields::{Ctx, Fields};
use crate::lower::{parts, vaults};
use crate::problem::Level;

const SERVER: &str = "write smtps://HOST, or smtp://HOST for STARTTLS";

/// Reads both into the policy.
pub(super) fn alerts(
    ctx: &mut Ctx,
    root: Fields<'_>,
    base: &Path,
    declared: &Declared,
    policy: &mut Policy,
) {
    policy.mail = root.get(ctx, "mail").and_then(|item| mail(ctx, item, base));
    let Some(said) = declared.root.entry("alerts") else {
        return;
    };
    for kind in AlertKind::ALL {
        if let Some(entry) = said.entry(kind.word()) {
            policy.alerts.insert(kind, rule(entry));
        }
    }
    let Some(item) = root.get(ctx, "alerts") else {
        return;
    };
    let fields = ctx.fields(&item.node, &keys::ALERTS);
    if policy.mail.is_none() && !policy.alerts.is_empty() {
        let message = "alerts are recorded and shown, and sent to nobody: there is no `mail`";
        let remedy = "write mail: { server: smtps://HOST, from: ADDRESS }";
        ctx.say(Level::Note, "P177", item.place(), message, remedy);
    }
    if policy.mail.is_some() {
        unreachable_people(ctx, item, fields, policy);
    }
}

fn rule(entry: &Entry) -> AlertRule {
    AlertRule {
        to: entry.texts("to").into_iter().map(str::to_owned).collect(),
        above: match entry.get("above") {
            Some(Said::Share(n, d)) => Some((*n, *d)),
            _ => None,
        },
        longer_than: entry.span("longer_than"),
        before: entry.length("before"),
    }
}

/// An alert that mail can bring to nobody is told of nowhere.
fn unreachable_people(ctx: &mut Ctx, item: &Item, fields: Fields<'_>, policy: &Policy) {
    let silent = policy.alerts.iter().filter(|(_, rule)| {
        let to = policy.people.all_holders(&rule.to);
        !to.iter().any(|who| who.contains('@'))
    });
    let silent: BTreeMap<AlertKind, &AlertRule> =
        silent.map(|(kind, rule)| (*kind, rule)).collect();
    for (kind, rule) in silent {
        let place = fields
            .get(ctx, kind.word())
            .map_or(item.place(), Item::place);
        let message = match rule.to.as_slice() {
            [] => format!("the alert `{}` says nobody who hears of it", kind.word()),
            to => format!("none of {} has an address that mail goes to", to.join(", ")),
        };
        let remedy = "write to: ADDRESS, or give a role's people addresses";
        ctx.say(Level::Warning, "P179", place, message, remedy);
    }
}

fn mail(ctx: &mut Ctx, item: &Item, base: &Path) -> Option<Mail> {
    let fields = ctx.fields(&item.node, &keys::MAIL);
    let server = match fields.get(ctx, "server") {
        Some(item) => server(ctx, item),
        None => {
            let message = "`mail` names no server";
            ctx.error("P178", fields.place, message, SERVER);
            None
        }
    };
    let from = match fields.get(ctx, "from") {
        Some(item) => address(ctx, item),
        None => {
            let message = "`mail` does not say from whom it comes";
            ctx.error("P178", fields.place, message, "write from: ADDRESS");
            None
        }
    };
    let user = fields.get(ctx, "user").and_then(|i| ctx.text(i));
    let secret = fields.get(ctx, "password");
    let password = secret.and_then(|i| parts::password(ctx, i, base));
    if let (Some(secret), None) = (secret, &user) {
        let message = "there is a password, and nobody who logs in";
        ctx.error("P178", secret.place(), message, "add user: NAME");
    }
    if user.is_some() && secret.is_none() {
        let message = "somebody logs in, and there is no password";
        let remedy = "add password: { file: PATH }";
        ctx.error("P178", fields.place, message, remedy);
    }
    let min_tls = vaults::min_tls(ctx, fields);
    let (host, port, wire) = server?;
    Some(Mail {
        host,
        port,
        wire,
        min_tls,
        from: from?,
        user,
        password,
    })
}

fn server(ctx: &mut Ctx, item: &Item) -> Option<(String, u16, MailWire)> {
    let text = ctx.text(item)?;
    let place = item.node.place();
    let Some((wire, host, port)) = taken_apart(&text) else {
        // Not shown: a password may stand in it.
        let message = "this is not the address of a mail server";
        ctx.error("P178", place, message, SERVER);
        return None;
    };
    // The loopback's plain text needs an address: what a name means, others may say.
    let is_loopback = Wire::of_address(&format!("http://{text}", text = authority(&host, port)))
        == Wire::PlainLoopback;
    let wire = match wire {
        MailWire::StartTls if is_loopback => MailWire::PlainLoopback,
        wire => wire,
    };
    if wire == MailWire::PlainLoopback {
        let message = "the mail server is spoken to in plain text, on this machine";
        let remedy = "see to it that what listens there protects what it passes on";
        ctx.say(Level::Note, "P033", place, message, remedy);
    }
    Some((host, port, wire))
}

fn authority(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// `smtp://HOST[:PORT]` or `smtps://HOST[:PORT]`; ports as RFC 8314 and RFC 6409 have them.
fn taken_apart(text: &str) -> Option<(MailWire, String, u16)> {
    let (scheme, rest) = text.trim().trim_end_matches('/').split_once("://")?;
    let (wire, usual) = match scheme {
        "smtps" => (MailWire::Tls, 465),
        "smtp" => (MailWire::StartTls, 587),
        _ => return None,
    };
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            let port = match after {
                "" => None,
                after => Some(after.strip_prefix(':')?),
            };
            (host, port)
        }
        None => match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'_');
    if host.is_empty() || !host.bytes().all(allowed) {
        return None;
    }
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None => usual,
    };
    Some((wire, host.to_owned(), port))
}

fn address(ctx: &mut Ctx, item: &Item) -> Option<String> {
    let text = ctx.text(item)?;
    let parts = text.split_once('@');
    let is_good = parts.is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty());
    if !is_good
        || text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '<')
    {
        let message = "this is not an address that mail comes from";
        ctx.error(
            "P178",
            item.node.place(),
            message,
            "write it like backups@example.com",
        );
        return None;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_taken_apart() {
        for (text, wanted) in [
            (
                "smtps://mail.example.com",
                (MailWire::Tls, "mail.example.com", 465),
            ),
            (
                "smtp://mail.example.com/",
                (MailWire::StartTls, "mail.example.com", 587),
            ),
            ("smtp://[::1]:25", (MailWire::StartTls, "::1", 25)),
        ] {
            let (wire, host, port) = taken_apart(text).unwrap();
            assert_eq!((wire, host.as_str(), port), wanted);
        }
        for text in [
            "mail.example.com",
            "http://mail.example.com",
            "smtp://",
            "smtp://user:secret@host",
            "smtp://host:0",
            "smtp://host:70000",
            "smtp://[::1",
        ] {
            assert_eq!(taken_apart(text), None, "{text}");
        }
    }
}
