//! The parts that plans, systems and protections share: schedule, window, keep, copies, verify, drill, logs, password.

use std::path::{Path, PathBuf};

use vouchsafe_model::policy::{
    CopyRule, Digests, DrillRule, Keep, KeepCounts, Length, Location, Schedule, VerifyRule, Window,
};
use vouchsafe_model::{EqualityRule, SecretRef, SourceKind, Span};

use crate::keys;
use crate::located::{Item, Node, Value};
use crate::lower::fields::{Ctx, Fields};
use crate::lower::tables::Tables;
use crate::problem::{Level, Place};
use crate::sources::{self, path_from};

/// What a plan says, or a system, or a protection; what is not said may come from the next one out.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) schedule: Option<Schedule>,
    pub(super) window: Option<Window>,
    pub(super) keep: Option<Keep>,
    pub(super) copies: Option<Vec<CopyRule>>,
    pub(super) verify: Option<VerifyRule>,
    pub(super) drill: Option<DrillRule>,
    pub(super) logs: Option<Logs>,
}

/// How a transaction log is shipped.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Logs {
    pub(super) every: Option<Span>,
    pub(super) keep: Option<Length>,
}

impl Rules {
    /// These rules, with `outer` where they say nothing.
    pub(super) fn or(self, outer: &Rules) -> Rules {
        Rules {
            schedule: self.schedule.or_else(|| outer.schedule.clone()),
            window: self.window.or_else(|| outer.window.clone()),
            keep: self.keep.or(outer.keep),
            copies: self.copies.or_else(|| outer.copies.clone()),
            verify: self.verify.or_else(|| outer.verify.clone()),
            drill: self.drill.or_else(|| outer.drill.clone()),
            logs: self.logs.or(outer.logs),
        }
    }
}

/// Reads the rules among a mapping's keys.
pub(super) fn rules(ctx: &mut Ctx, fields: Fields<'_>, tables: &Tables) -> Rules {
    Rules {
        schedule: fields.get(ctx, "schedule").and_then(|i| ctx.schedule(i)),
        window: fields.get(ctx, "window").map(|i| window(ctx, i)),
        keep: fields.get(ctx, "keep").map(|i| keep(ctx, i)),
        copies: fields.get(ctx, "copies").map(|i| copies(ctx, i, tables)),
        verify: fields.get(ctx, "verify").and_then(|i| verify(ctx, i)),
        drill: fields.get(ctx, "drill").and_then(|i| drill(ctx, i)),
        logs: fields.get(ctx, "logs").map(|i| logs(ctx, i)),
    }
}

fn window(ctx: &mut Ctx, item: &Item) -> Window {
    let fields = ctx.fields(&item.node, &keys::WINDOW);
    if let Some(blackout) = fields.get(ctx, "blackout") {
        let blackout = ctx.fields(&blackout.node, &keys::BLACKOUT);
        blackout.get(ctx, "from").and_then(|i| ctx.wall_time(i));
        blackout.get(ctx, "to").and_then(|i| ctx.wall_time(i));
    }
    Window {
        start_within: fields.get(ctx, "start_within").and_then(|i| ctx.span(i)),
        finish_by: fields.get(ctx, "finish_by").and_then(|i| ctx.wall_time(i)),
    }
}

fn keep(ctx: &mut Ctx, item: &Item) -> Keep {
    let fields = ctx.fields(&item.node, &keys::KEEP);
    Keep {
        at_least: fields.get(ctx, "at_least").and_then(|i| ctx.length(i)),
        at_most: fields.get(ctx, "at_most").and_then(|i| ctx.length(i)),
        grace: fields.get(ctx, "grace").and_then(|i| ctx.length(i)),
        counts: KeepCounts {
            last: fields.get(ctx, "last").and_then(|i| ctx.count(i)),
            hourly: fields.get(ctx, "hourly").and_then(|i| ctx.count(i)),
            daily: fields.get(ctx, "daily").and_then(|i| ctx.count(i)),
            weekly: fields.get(ctx, "weekly").and_then(|i| ctx.count(i)),
            monthly: fields.get(ctx, "monthly").and_then(|i| ctx.count(i)),
            yearly: fields.get(ctx, "yearly").and_then(|i| ctx.count(i)),
        },
    }
}

/// Reads a list of vaults, or one vault.
pub(super) fn copies(ctx: &mut Ctx, item: &Item, tables: &Tables) -> Vec<CopyRule> {
    let nodes = match &item.node.value {
        Value::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(&item.node),
    };
    let mut out: Vec<CopyRule> = Vec::new();
    for node in nodes {
        let Some((rule, place)) = copy(ctx, node, tables) else {
            continue;
        };
        if out.is_empty() && rule.every.is_some() {
            ctx.error(
                "P022",
                place,
                "the first vault receives every capture, so `every` makes no sense on it",
                "take `every` out, or name another vault first",
            );
        }
        if out.iter().any(|c| c.vault == rule.vault) {
            let message = format!("vault `{}` is named twice", rule.vault);
            ctx.error("P003", place, message, "keep one of the two");
            continue;
        }
        out.push(rule);
    }
    out
}

fn copy(ctx: &mut Ctx, node: &Node, tables: &Tables) -> Option<(CopyRule, Place)> {
    let mut every = None;
    let (name, place) = match &node.value {
        Value::Map(_) => {
            let fields = ctx.fields(node, &keys::COPY);
            every = fields.get(ctx, "every").and_then(|i| ctx.schedule(i));
            let Some(item) = fields.get(ctx, "vault") else {
                ctx.error(
                    "P019",
                    fields.place,
                    "this copy names no vault",
                    "write { vault: NAME, every: week }",
                );
                return None;
            };
            (ctx.text(item)?, item.node.place())
        }
        _ => (ctx.text_of(node, "copies")?, node.place()),
    };
    let vault = ctx
        .resolve(place, &name, "vault", &tables.vaults)?
        .name
        .clone();
    Some((CopyRule { vault, every }, place))
}

fn verify(ctx: &mut Ctx, item: &Item) -> Option<VerifyRule> {
    if matches!(item.node.value, Value::Scalar { .. }) {
        let every = ctx.schedule(item)?;
        return Some(VerifyRule {
            every,
            coverage: None,
        });
    }
    let fields = ctx.fields(&item.node, &keys::VERIFY);
    let coverage = fields.get(ctx, "coverage").and_then(|i| ctx.share(i));
    let every = every(ctx, fields, "verify")?;
    Some(VerifyRule { every, coverage })
}

fn drill(ctx: &mut Ctx, item: &Item) -> Option<DrillRule> {
    if matches!(item.node.value, Value::Scalar { .. }) {
        let every = ctx.schedule(item)?;
        return Some(DrillRule {
            every,
            negative_control: None,
            checks: Vec::new(),
            equality: None,
        });
    }
    let fields = ctx.fields(&item.node, &keys::DRILL);
    let negative_control = fields
        .get(ctx, "negative_control")
        .and_then(|i| ctx.schedule(i));
    let every = every(ctx, fields, "drill")?;
    Some(DrillRule {
        every,
        negative_control,
        checks: fields
            .get(ctx, "checks")
            .map(|i| ctx.texts(i))
            .unwrap_or_default(),
        equality: fields.get(ctx, "equality").and_then(|i| equality(ctx, i)),
    })
}

fn equality(ctx: &mut Ctx, item: &Item) -> Option<EqualityRule> {
    if matches!(item.node.value, Value::Scalar { .. }) {
        return ctx.word(item, &["copies"]).then_some(EqualityRule::Copies);
    }
    let fields = ctx.fields(&item.node, &keys::EQUALITY);
    let item = fields.get(ctx, "standby")?;
    let text = ctx.text(item)?;
    // No path of this machine is meant.
    match sources::source(&text, Path::new("/")) {
        Ok(url) if *url.kind() == SourceKind::Postgres && url.names_whole_server() => {
            Some(EqualityRule::Standby(url))
        }
        Ok(url) => {
            let message = format!("{url} names no PostgreSQL server");
            let remedy = "write the standby as postgres://user@host:5432, without a database";
            ctx.error("P195", item.node.place(), message, remedy);
            None
        }
        Err(e) => {
            ctx.error(e.code(), item.node.place(), e.to_string(), e.remedy());
            None
        }
    }
}

/// Reads how much of the rows is digested.
pub(super) fn digests(ctx: &mut Ctx, item: &Item) -> Option<Digests> {
    if !ctx.word(item, &["full", "sample", "none"]) {
        return None;
    }
    Some(match ctx.text(item)?.as_str() {
        "sample" => Digests::Sample,
        "none" => Digests::None,
        _ => Digests::Full,
    })
}

/// Reads where the files of a server are: below the policy's folder unless the path is absolute.
pub(super) fn directory(ctx: &mut Ctx, item: &Item, base: &Path) -> Option<PathBuf> {
    ctx.text(item).map(|text| path_from(&text, base))
}

/// A rule without a rhythm cannot be kept, and is left out with a warning.
fn every(ctx: &mut Ctx, fields: Fields<'_>, what: &str) -> Option<Schedule> {
    if let Some(item) = fields.get(ctx, "every") {
        return ctx.schedule(item);
    }
    ctx.say(
        Level::Warning,
        "P031",
        fields.place,
        format!("`{what}` does not say how often, so nothing will be done"),
        format!("write {what}: {{ every: quarter }}"),
    );
    None
}

/// How often a log is shipped unless the policy says otherwise.
pub(super) const LOG_EVERY: Span = Span::from_secs(5);

fn logs(ctx: &mut Ctx, item: &Item) -> Logs {
    let fields = ctx.fields(&item.node, &keys::LOGS);
    Logs {
        every: fields.get(ctx, "every").and_then(|i| ctx.span(i)),
        keep: fields.get(ctx, "keep").and_then(|i| ctx.length(i)),
    }
}

/// Reads region and country from a mapping's own keys.
pub(super) fn location(ctx: &mut Ctx, fields: Fields<'_>) -> Location {
    Location {
        region: fields.get(ctx, "region").and_then(|i| ctx.text(i)),
        country: fields.get(ctx, "country").and_then(|i| country(ctx, i)),
    }
}

fn country(ctx: &mut Ctx, item: &Item) -> Option<String> {
    let text = ctx.text(item)?;
    if text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic()) {
        return Some(text.to_ascii_uppercase());
    }
    let message = format!("`{text}` is not a country code");
    ctx.error(
        "P018",
        item.node.place(),
        message,
        "write two letters of ISO 3166, like GB",
    );
    None
}

/// Reads a secret's reference; a secret itself is refused and not shown.
pub(super) fn password(ctx: &mut Ctx, item: &Item, base: &Path) -> Option<SecretRef> {
    const REMEDY: &str = "write { env: NAME }, { file: PATH } or { command: [PROGRAM, ARGUMENT] }";
    if !matches!(item.node.value, Value::Map(_)) {
        let message = "a password itself stands here; anyone who reads the policy has it";
        let remedy = format!("take it out, change it, and {REMEDY}");
        ctx.error("P026", item.node.place(), message, remedy);
        return None;
    }
    let fields = ctx.fields(&item.node, &keys::SECRET);
    let env = fields.get(ctx, "env");
    let file = fields.get(ctx, "file");
    let command = fields.get(ctx, "command");
    match (env, file, command) {
        (Some(item), None, None) => {
            let name = ctx.text(item)?;
            let good = !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !name.starts_with(|c: char| c.is_ascii_digit());
            if !good {
                // Not shown: it may be the password itself.
                let message = "this is not the name of an environment variable";
                ctx.error(
                    "P027",
                    item.node.place(),
                    message,
                    "use letters, digits and _",
                );
                return None;
            }
            Some(SecretRef::Env(name))
        }
        (None, Some(item), None) => Some(SecretRef::File(path_from(&ctx.text(item)?, base))),
        (None, None, Some(item)) => {
            let words = ctx.texts(item);
            if words.first().is_none_or(String::is_empty) {
                ctx.error(
                    "P027",
                    item.node.place(),
                    "this command names no program",
                    REMEDY,
                );
                return None;
            }
            Some(SecretRef::Command(words))
        }
        (None, None, None) => {
            ctx.error(
                "P027",
                fields.place,
                format!("`{}` says nowhere where it is kept", item.key),
                REMEDY,
            );
            None
        }
        _ => {
            ctx.error(
                "P027",
                fields.place,
                format!("`{}` names more than one place", item.key),
                REMEDY,
            );
            None
        }
    }
}
