//! From the located tree to the policy, with every error and its place.

mod alerts;
mod custody;
mod declared;
mod erasure;
mod fields;
mod instances;
mod merge;
mod parts;
mod people;
mod record;
mod systems;
mod tables;
mod vaults;

use std::collections::BTreeMap;
use std::path::Path;

use vouchsafe_model::Policy;

use crate::declared::Declared;
use crate::files::FileMap;
use crate::keys;
use crate::located::{Node, Value};
use crate::lower::fields::Ctx;
use crate::lower::tables::Tables;
use crate::problem::{Level, Lowered, Place};

pub use merge::{Include, includes};

/// Reads a policy file, or the text of several ([`crate::files`]).
///
/// Of several files each table of names holds those of all of them; what is said once for the whole policy stands in
/// one of them. Places count the lines of the text; [`Lowered::files`] says of which file they are.
///
/// `file_name` is for messages; relative paths start from `base`, which should be absolute; `digest` is the SHA-256
/// of the file's bytes in lower hex. Almost nothing is required: what is absent is a matter for the linter. Every
/// error is reported at once, in the order of the file; with any error there is no policy. What this version
/// cannot do yet is accepted and noted.
pub fn lower(text: &str, file_name: &str, base: &Path, digest: String) -> Lowered {
    lower_with(text, file_name, base, digest).0
}

fn lower_with(text: &str, file_name: &str, base: &Path, digest: String) -> (Lowered, Ctx) {
    let files = FileMap::of(text, file_name);
    let (mut root, mut problems) = merge::tree(text, &files);
    let mut places = BTreeMap::new();
    let mut made = BTreeMap::new();
    if let Some(root) = &mut root {
        // What is declared once for many has its place beside what is made of it.
        walk(root, &mut String::new(), &mut places);
        made = instances::expand(root, &mut problems);
    }
    let mut ctx = Ctx {
        problems,
        places,
        ..Ctx::default()
    };
    // What broke off in the middle would be reported as missing all over: only the break is told then.
    let broken = ctx
        .problems
        .iter()
        .any(|p| matches!(p.code, "P001" | "P002" | "P006"));
    let mut lowered = Lowered {
        file_name: file_name.to_owned(),
        files,
        instances: made,
        ..Lowered::default()
    };
    let policy = match &root {
        Some(root) => {
            walk(root, &mut String::new(), &mut ctx.places);
            read(&mut ctx, root, base, digest, broken, &mut lowered)
        }
        None => empty(base, digest),
    };
    ctx.problems.sort_by_key(|p| (p.line, p.column, p.code));
    ctx.problems.dedup();
    let errors = ctx.problems.iter().any(|p| p.level == Level::Error);
    lowered.policy = (!errors).then_some(policy);
    lowered.problems = std::mem::take(&mut ctx.problems);
    lowered.places = std::mem::take(&mut ctx.places);
    lowered.plans_named = std::mem::take(&mut ctx.plans_named);
    (lowered, ctx)
}

fn empty(base: &Path, digest: String) -> Policy {
    Policy {
        front: Default::default(),
        digest,
        base: base.to_owned(),
        vaults: BTreeMap::new(),
        systems: BTreeMap::new(),
        duties: Vec::new(),
        people: Default::default(),
        alerts: BTreeMap::new(),
        mail: None,
        timestamps: None,
        erasure: None,
    }
}

fn read(
    ctx: &mut Ctx,
    root: &Node,
    base: &Path,
    digest: String,
    broken: bool,
    lowered: &mut Lowered,
) -> Policy {
    let known = ctx.problems.len();
    let fields = ctx.fields(root, &keys::ROOT);
    if let Some(item) = fields.get(ctx, "include") {
        ctx.texts(item);
    }
    let mut policy = empty(base, digest);
    let mut more = Declared::default();
    let tables = Tables::read(ctx, fields, base);
    if let Some(item) = fields.get(ctx, "policy") {
        policy.front = tables::front(ctx, item, &mut more);
    }
    more.root = declared::root(ctx, fields);
    policy.erasure = erasure::register(&more.root, base);
    let defaults = tables::defaults(ctx, fields, &tables);
    policy.systems = systems::systems(ctx, fields, base, &tables, &defaults, &mut more);
    let duties = tables::duties(ctx, fields, &mut more.duties);
    policy.duties = duties.iter().map(|d| d.duty.clone()).collect();
    policy.people = people::people(ctx, &policy, &duties, &more);
    alerts::alerts(ctx, fields, &policy.base.clone(), &more, &mut policy);
    policy.timestamps = record::timestamps(ctx, fields, base);
    lowered.clauses = tables::clauses(ctx, fields);
    more.requirements = declared::requirements(ctx, fields);
    more.everywhere = defaults.location.clone().unwrap_or_default();
    more.places.clone_from(&tables.places);
    more.layers.clone_from(&tables.layers);
    more.tiers.clone_from(&tables.tiers);
    more.classes.clone_from(&tables.described);
    more.plans.clone_from(&tables.more);
    lowered.unused = tables.unused(ctx);
    lowered.declared = more;
    policy.vaults = tables
        .vaults
        .into_values()
        .map(|v| (v.name.clone(), v))
        .collect();
    if broken {
        ctx.problems.truncate(known);
    }
    policy
}

/// Longer paths are not written down: no policy has them, and a hostile one would fill the memory with them.
const LONGEST_PATH: usize = 512;

/// Writes down the place of every key and list item under its path.
fn walk(node: &Node, path: &mut String, places: &mut BTreeMap<String, Place>) {
    let length = path.len();
    let mut enter = |name: &str, place: Place, node: &Node, path: &mut String| {
        if length + name.len() > LONGEST_PATH {
            return;
        }
        if length > 0 {
            path.push('/');
        }
        path.push_str(name);
        places.insert(path.clone(), place);
        walk(node, path, places);
        path.truncate(length);
    };
    match &node.value {
        Value::Map(items) => {
            for item in items {
                enter(&item.key, item.place(), &item.node, path);
            }
        }
        Value::List(nodes) => {
            for (n, node) in nodes.iter().enumerate() {
                enter(&n.to_string(), node.place(), node, path);
            }
        }
        Value::Scalar { .. } => {}
    }
}

#[cfg(test)]
pub(crate) mod tests;
