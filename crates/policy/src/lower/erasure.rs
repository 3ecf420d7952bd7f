//! The register of erasures, and how its subjects are erased from what a protection brings back.

use std::path::Path;

use vouchsafe_model::policy::Way;
use vouchsafe_model::{ErasureRegister, ErasureRule, SourceKind, SourceUrl};

use crate::declared::Entry;
use crate::keys;
use crate::located::Item;
use crate::lower::fields::{Ctx, Fields};
use crate::problem::{Level, Place};
use crate::sources::path_from;

/// What stands for the identifier in a statement, and in the name of a file.
const IN_STATEMENT: &str = ":subject";
const IN_PATH: &str = "{subject}";

/// The register, if the policy names a file of it.
pub(super) fn register(root: &Entry, base: &Path) -> Option<ErasureRegister> {
    let said = root.entry("erasure")?;
    Some(ErasureRegister {
        file: path_from(said.text("file")?, base),
        drill: said.flag("drill").unwrap_or_default(),
    })
}

/// Reads how a subject is erased. What is not connected is a note, what cannot be done an error.
pub(super) fn rule(ctx: &mut Ctx, item: &Item, way: &Way) -> Option<ErasureRule> {
    if item.node.is_null() {
        return None;
    }
    let fields = ctx.fields(&item.node, &keys::more::ERASING);
    let url = match way {
        Way::Capture(url) => url,
        _ => return not_connected(ctx, item, &format!("`{}`", way.word())),
    };
    match url.kind() {
        SourceKind::Files => places(ctx, item, fields),
        SourceKind::Postgres if url.names_all_databases() => {
            not_connected(ctx, item, "all databases of a server")
        }
        SourceKind::Postgres | SourceKind::MySql | SourceKind::Sqlite => {
            statements(ctx, item, fields, url)
        }
        kind => {
            let kind = format!("`{kind}`");
            not_connected(ctx, item, &kind)
        }
    }
}

fn not_connected(ctx: &mut Ctx, item: &Item, what: &str) -> Option<ErasureRule> {
    ctx.say(
        Level::Note,
        "P028",
        item.place(),
        format!("erasing subjects in what {what} brings back is declared, not yet connected"),
        "until then a restore brings back who was erased since: erase them by hand afterwards",
    );
    None
}

fn refuse(
    ctx: &mut Ctx,
    place: Place,
    message: impl Into<String>,
    remedy: &str,
) -> Option<ErasureRule> {
    ctx.error("P182", place, message, remedy);
    None
}

/// Keys that mean nothing here.
fn stray(ctx: &mut Ctx, fields: Fields<'_>, keys: &[&'static str], what: &str) -> bool {
    let mut found = false;
    for key in keys {
        if let Some(item) = fields.get(ctx, key) {
            let message = format!("`{key}` means nothing for {what}");
            ctx.error("P182", item.place(), message, "take it out");
            found = true;
        }
    }
    found
}

fn places(ctx: &mut Ctx, item: &Item, fields: Fields<'_>) -> Option<ErasureRule> {
    if stray(
        ctx,
        fields,
        &["database", "find", "erase", "someone"],
        "files",
    ) {
        return None;
    }
    let Some(listed) = fields.get(ctx, "paths") else {
        let message = "it does not say which files belong to a subject";
        return refuse(
            ctx,
            item.place(),
            message,
            "write paths: [ \"home/{subject}\" ]",
        );
    };
    let place = listed.place();
    let paths = ctx.texts(listed);
    if paths.is_empty() {
        return refuse(
            ctx,
            place,
            "`paths` names nothing",
            "write \"home/{subject}\"",
        );
    }
    for path in &paths {
        if let Some((message, remedy)) = wrong_path(path) {
            return refuse(ctx, place, format!("`{path}` {message}"), remedy);
        }
    }
    Some(ErasureRule::Places { paths })
}

/// What is wrong with a pattern of places, and what to write instead.
fn wrong_path(path: &str) -> Option<(&'static str, &'static str)> {
    if path.starts_with('/') {
        return Some((
            "begins with /",
            "write it from the folder on that is captured",
        ));
    }
    let names: Vec<&str> = path.split('/').collect();
    if names.iter().any(|name| matches!(*name, "" | "." | "..")) {
        return Some((
            "leads elsewhere, or has an empty name",
            "write names joined by one /, without . and ..",
        ));
    }
    if names.iter().any(|n| *n != "**" && n.contains("**")) {
        return Some((
            "has ** within a name",
            "** stands alone between two /, for any number of folders",
        ));
    }
    if !path.contains(IN_PATH) {
        return Some((
            "does not say where the identifier stands, so it would remove everybody's",
            "write {subject} in its place",
        ));
    }
    let touches = |name: &str| name.contains("*{subject}") || name.contains("{subject}*");
    if names.iter().any(|name| touches(name)) {
        return Some((
            "has * beside {subject}: of 1 it would take what is 10's too",
            "write what stands between them, such as {subject}-*",
        ));
    }
    None
}

fn statements(
    ctx: &mut Ctx,
    item: &Item,
    fields: Fields<'_>,
    url: &SourceUrl,
) -> Option<ErasureRule> {
    let what = url.kind().to_string();
    if stray(ctx, fields, &["paths"], &what) {
        return None;
    }
    let named = fields.get(ctx, "database");
    let database = named.and_then(|i| ctx.text(i));
    match (&database, url.names_whole_server()) {
        (None, true) => {
            let message = "a whole server is restored, and the statements name no database of it";
            return refuse(ctx, item.place(), message, "write database: NAME");
        }
        (Some(_), false) => {
            let message = "the source is one database already";
            let place = named.map_or(item.place(), Item::place);
            return refuse(ctx, place, message, "take `database` out");
        }
        _ => {}
    }
    let Some(find) = fields.get(ctx, "find") else {
        let message =
            "it does not say how a subject is found, so nobody could see that they are gone";
        let remedy = "write find: \"SELECT count(*) FROM customers WHERE id = :subject\"";
        return refuse(ctx, item.place(), message, remedy);
    };
    let Some(erase) = fields.get(ctx, "erase") else {
        let message = "it does not say how a subject is erased";
        let remedy = "write erase: [ \"DELETE FROM customers WHERE id = :subject\" ]";
        return refuse(ctx, item.place(), message, remedy);
    };
    let place = erase.place();
    let (query, erase) = (ctx.text(find)?, ctx.texts(erase));
    if erase.is_empty() {
        return refuse(
            ctx,
            place,
            "`erase` has no statement",
            "write one, or several",
        );
    }
    let placed = erase.iter().map(|sql| (sql, place));
    for (sql, place) in std::iter::once((&query, find.place())).chain(placed) {
        if !sql.contains(IN_STATEMENT) {
            let message = format!("`{sql}` does not say `:subject`, so it is about everybody");
            return refuse(
                ctx,
                place,
                message,
                "write `:subject` where the identifier belongs",
            );
        }
    }
    let someone = fields.get(ctx, "someone").and_then(|i| ctx.text(i));
    Some(ErasureRule::Statements {
        database,
        find: query,
        erase,
        someone,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_whose_it_is_and_leads_nowhere_else() {
        for good in [
            "home/{subject}",
            "home/{subject}/**",
            "**/{subject}.json",
            "mail/user-{subject}-*/box",
        ] {
            assert_eq!(wrong_path(good), None, "{good}");
        }
        for bad in [
            "/home/{subject}",
            "home/../{subject}",
            "home//{subject}",
            "home/*",
            "a**/{subject}",
            "{subject}*",
            "x*{subject}",
            "",
        ] {
            assert!(wrong_path(bad).is_some(), "{bad}");
        }
    }
}
