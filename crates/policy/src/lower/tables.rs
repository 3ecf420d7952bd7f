//! What is declared by name: vaults, tiers, classes, plans; and the head, the defaults, duties, clauses.

use std::collections::BTreeMap;
use std::path::Path;

use vouchsafe_model::people::Escalate;
use vouchsafe_model::policy::{Duty, FrontMatter, Location, Tier, Vault};

use crate::declared::{Declared, Entry};
use crate::keys;
use crate::located::{Item, Value};
use crate::lower::declared;
use crate::lower::fields::{Ctx, Fields};
use crate::lower::parts::{self, Rules};
use crate::lower::vaults;
use crate::problem::{Clause, ClauseState, Level};

/// Everything that systems may refer to.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) vaults: BTreeMap<String, Vault>,
    pub(super) tiers: BTreeMap<String, Tier>,
    pub(super) classes: BTreeMap<String, Class>,
    pub(super) plans: BTreeMap<String, Rules>,
    /// What plans say beside their rules.
    pub(super) more: BTreeMap<String, Entry>,
    /// Declared places by name.
    pub(super) places: BTreeMap<String, Location>,
    /// What is said of each class.
    pub(super) described: BTreeMap<String, crate::declared::Class>,
    /// The layers that tiers ask for.
    pub(super) layers: BTreeMap<String, Vec<String>>,
}

/// A kind of data.
pub(super) struct Class {
    pub(super) tier: Option<Tier>,
}

/// What holds for every system that does not say otherwise.
#[derive(Default)]
pub(super) struct Defaults {
    pub(super) owner: Option<String>,
    pub(super) class: Option<String>,
    pub(super) tier: Option<Tier>,
    pub(super) location: Option<Location>,
    pub(super) application: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) plan: Option<Rules>,
    /// What holds for the systems of each environment, before what holds for all.
    pub(super) environments: BTreeMap<String, Defaults>,
    /// What holds for the systems of each application, before what holds for their environment.
    pub(super) applications: BTreeMap<String, Defaults>,
}

impl Defaults {
    /// What holds for a system that says this of itself, the nearest first: its application, its environment, all.
    pub(super) fn nearest<'d>(
        &'d self,
        application: Option<&str>,
        environment: Option<&str>,
    ) -> Vec<&'d Defaults> {
        let application = application.and_then(|name| self.applications.get(name));
        let environment = environment.and_then(|name| self.environments.get(name));
        let all = application.into_iter().chain(environment).chain([self]);
        all.collect()
    }
}

impl Tables {
    pub(super) fn read(ctx: &mut Ctx, root: Fields<'_>, base: &Path) -> Tables {
        let mut tables = Tables::default();
        declared::names(ctx, root);
        tables.places = declared::places(ctx, root);
        for item in section(ctx, root, "vaults") {
            if let Some(vault) = vaults::vault(ctx, item, base) {
                tables.vaults.insert(item.key.clone(), vault);
            }
        }
        for item in section(ctx, root, "tiers") {
            let (tier, layers) = tier(ctx, item);
            tables.tiers.insert(item.key.clone(), tier);
            tables.layers.insert(item.key.clone(), layers);
        }
        for item in section(ctx, root, "classes") {
            let fields = ctx.fields(&item.node, &keys::CLASS);
            let tier = reference(ctx, fields, "tier", &tables.tiers).cloned();
            let personal = fields.get(ctx, "personal");
            let described = crate::declared::Class {
                tier: tier.as_ref().map(|tier| tier.name.clone()),
                personal: personal.is_some_and(|i| ctx.flag(i)),
                description: fields.get(ctx, "description").and_then(|i| ctx.text(i)),
            };
            tables.described.insert(item.key.clone(), described);
            tables.classes.insert(item.key.clone(), Class { tier });
        }
        for item in section(ctx, root, "plans") {
            let fields = ctx.fields(&item.node, &keys::PLAN);
            let rules = parts::rules(ctx, fields, &tables);
            let more = declared::among(ctx, fields, &keys::more::PLAN_MORE);
            tables.more.insert(item.key.clone(), more);
            tables.plans.insert(item.key.clone(), rules);
        }
        tables
    }

    /// The paths of what nothing referred to.
    pub(super) fn unused(&self, ctx: &Ctx) -> Vec<String> {
        let vaults = self.vaults.keys().map(|n| ("vault", "vaults", n));
        let tiers = self.tiers.keys().map(|n| ("tier", "tiers", n));
        let classes = self.classes.keys().map(|n| ("class", "classes", n));
        let plans = self.plans.keys().map(|n| ("plan", "plans", n));
        let all = vaults.chain(tiers).chain(classes).chain(plans);
        all.filter(|(what, _, name)| !ctx.used.contains(&(*what, (*name).clone())))
            .map(|(_, section, name)| format!("{section}/{name}"))
            .collect()
    }
}

/// The named items under a key of the root.
pub(super) fn section<'a>(ctx: &mut Ctx, root: Fields<'a>, name: &'static str) -> &'a [Item] {
    match root.get(ctx, name) {
        Some(item) => ctx.named(&item.node, &format!("`{name}`")),
        None => &[],
    }
}

/// What the key `name` refers to in `known`.
pub(super) fn reference<'t, T>(
    ctx: &mut Ctx,
    fields: Fields<'_>,
    name: &'static str,
    known: &'t BTreeMap<String, T>,
) -> Option<&'t T> {
    let item = fields.get(ctx, name)?;
    let text = ctx.text(item)?;
    if name == "plan" {
        ctx.plans_named.insert(item.place(), text.clone());
    }
    ctx.resolve(item.node.place(), &text, name, known)
}

const LAYERS: [&str; 3] = ["replica", "snapshots", "archive"];

fn tier(ctx: &mut Ctx, item: &Item) -> (Tier, Vec<String>) {
    let fields = ctx.fields(&item.node, &keys::TIER);
    let layers = match fields.get(ctx, "layers") {
        Some(item) => ctx.texts(item),
        None => Vec::new(),
    };
    if let Some(item) = fields.get(ctx, "layers")
        && let Some(other) = layers.iter().find(|l| !LAYERS.contains(&l.as_str()))
    {
        let message = format!("`{other}` is no layer");
        let remedy = format!("write {}", LAYERS.join(", "));
        ctx.error("P018", item.node.place(), message, remedy);
    }
    let mut tier = Tier {
        name: item.key.clone(),
        rpo: fields.get(ctx, "rpo").and_then(|i| ctx.span(i)),
        log_rpo: fields.get(ctx, "log_rpo").and_then(|i| ctx.span(i)),
        rto: fields.get(ctx, "rto").and_then(|i| ctx.span(i)),
        ..Tier::default()
    };
    if let Some(copies) = fields.get(ctx, "copies") {
        let copies = ctx.fields(&copies.node, &keys::TIER_COPIES);
        tier.min_copies = copies.get(ctx, "min").and_then(|i| ctx.count(i));
        if let Some(one) = copies.get(ctx, "one") {
            let one = ctx.fields(&one.node, &keys::TIER_ONE);
            tier.other_region = one
                .get(ctx, "region")
                .is_some_and(|i| ctx.word(i, &["differs-from-system"]));
            tier.same_country = one
                .get(ctx, "country")
                .is_some_and(|i| ctx.word(i, &["same"]));
        }
    }
    (tier, layers)
}

/// Reads the document's head, and what it says beside what the policy goes by.
pub(super) fn front(ctx: &mut Ctx, item: &Item, more: &mut Declared) -> FrontMatter {
    let fields = ctx.fields(&item.node, &keys::FRONT);
    more.front = declared::among(ctx, fields, &keys::declared::FRONT_MORE);
    let (approved, by_other_name) = (
        fields.get(ctx, "approved"),
        fields.get(ctx, "approved_date"),
    );
    if let (Some(_), Some(twice)) = (approved, by_other_name) {
        let message = "`approved_date` stands beside `approved`";
        ctx.error("P023", twice.place(), message, "keep one of the two");
    }
    FrontMatter {
        id: fields.get(ctx, "id").and_then(|i| ctx.text(i)),
        title: fields.get(ctx, "title").and_then(|i| ctx.text(i)),
        owner: fields.get(ctx, "owner").and_then(|i| ctx.text(i)),
        version: fields.get(ctx, "version").and_then(|i| ctx.text(i)),
        approved: approved.or(by_other_name).and_then(|i| ctx.date(i)),
        approved_digest: fields
            .get(ctx, "approved_digest")
            .and_then(|i| digest(ctx, i)),
        next_review: fields.get(ctx, "next_review").and_then(|i| ctx.date(i)),
        frameworks: fields
            .get(ctx, "frameworks")
            .map(|i| frameworks(ctx, i, more))
            .unwrap_or_default(),
    }
}

/// Reads names of frameworks, or a mapping from them to their controls.
fn frameworks(ctx: &mut Ctx, item: &Item, more: &mut Declared) -> Vec<String> {
    if !matches!(item.node.value, Value::Map(_)) {
        return ctx.texts(item);
    }
    let mut names = Vec::new();
    for item in ctx.named(&item.node, "`frameworks`") {
        let fields = ctx.fields(&item.node, &keys::declared::FRAMEWORK);
        let controls = fields.get(ctx, "controls").map(|i| ctx.texts(i));
        names.push(item.key.clone());
        more.controls
            .insert(item.key.clone(), controls.unwrap_or_default());
    }
    names
}

/// Reads a SHA-256 digest.
pub(super) fn digest(ctx: &mut Ctx, item: &Item) -> Option<String> {
    let text = ctx.text(item)?.to_ascii_lowercase();
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some(text);
    }
    let message = "this is not a SHA-256 digest";
    ctx.error(
        "P018",
        item.node.place(),
        message,
        "write 64 hexadecimal digits",
    );
    None
}

/// Reads what holds for every system.
pub(super) fn defaults(ctx: &mut Ctx, root: Fields<'_>, tables: &Tables) -> Defaults {
    let Some(item) = root.get(ctx, "defaults") else {
        return Defaults::default();
    };
    let fields = ctx.fields(&item.node, &keys::DEFAULTS);
    let mut of_groups = |key: &'static str, what: &'static str| {
        let items = fields.get(ctx, key).map(|i| ctx.named(&i.node, key));
        let mut out = BTreeMap::new();
        for item in items.into_iter().flatten() {
            // Where the file declares what there is, a name that is not among it would hold for nothing.
            if ctx.declared.get(what).is_some_and(|d| !d.is_empty()) {
                let nothing: BTreeMap<String, ()> = BTreeMap::new();
                ctx.resolve(item.place(), &item.key, what, &nothing);
            }
            let fields = ctx.fields(&item.node, &keys::DEFAULTS_OF);
            out.insert(item.key.clone(), defaults_of(ctx, fields, tables));
        }
        out
    };
    let environments = of_groups("environments", "environment");
    let applications = of_groups("applications", "application");
    Defaults {
        application: fields
            .get(ctx, "application")
            .and_then(|i| declared::known(ctx, i, "applications")),
        environment: fields
            .get(ctx, "environment")
            .and_then(|i| declared::known(ctx, i, "environments")),
        environments,
        applications,
        ..defaults_of(ctx, fields, tables)
    }
}

/// Reads what may hold for all systems or for some.
fn defaults_of(ctx: &mut Ctx, fields: Fields<'_>, tables: &Tables) -> Defaults {
    let class = fields.get(ctx, "class");
    reference(ctx, fields, "class", &tables.classes);
    Defaults {
        owner: fields
            .get(ctx, "owner")
            .and_then(|i| declared::known(ctx, i, "roles")),
        class: class
            .and_then(|i| ctx.text(i))
            .filter(|c| tables.classes.contains_key(c)),
        tier: reference(ctx, fields, "tier", &tables.tiers).cloned(),
        location: fields
            .get(ctx, "location")
            .map(|i| declared::location(ctx, i, &tables.places)),
        plan: reference(ctx, fields, "plan", &tables.plans).cloned(),
        ..Defaults::default()
    }
}

/// A duty with what it says beside rhythm and role.
pub(super) struct DutyRead {
    pub(super) duty: Duty,
    pub(super) input: Option<String>,
    pub(super) escalate: Option<Escalate>,
}

/// Reads the duties of people, and what they say beside rhythm and role.
pub(super) fn duties(
    ctx: &mut Ctx,
    root: Fields<'_>,
    more: &mut BTreeMap<String, Entry>,
) -> Vec<DutyRead> {
    let mut out = Vec::new();
    for item in section(ctx, root, "duties") {
        let fields = ctx.fields(&item.node, &keys::DUTY);
        let input = fields.get(ctx, "input").and_then(|i| ctx.text(i));
        let escalate = fields.get(ctx, "escalate").and_then(|i| escalate(ctx, i));
        let said = declared::among(ctx, fields, &keys::more::DUTY_MORE);
        more.insert(item.key.clone(), said);
        let duty = Duty {
            name: item.key.clone(),
            every: fields.get(ctx, "every").and_then(|i| ctx.schedule(i)),
            role: fields
                .get(ctx, "role")
                .and_then(|i| declared::known(ctx, i, "roles")),
        };
        out.push(DutyRead {
            duty,
            input,
            escalate,
        });
    }
    out
}

/// An escalation that says how late and to whom; one that says only half of it reaches nobody.
fn escalate(ctx: &mut Ctx, item: &Item) -> Option<Escalate> {
    let fields = ctx.fields(&item.node, &keys::ESCALATE);
    let after = fields.get(ctx, "after").and_then(|i| ctx.length(i));
    let to = fields.get(ctx, "to");
    let to = to.and_then(|i| declared::known(ctx, i, "roles"));
    if let (Some(after), Some(to)) = (after, to.clone()) {
        return Some(Escalate { after, to });
    }
    let missing = match to {
        None => "to whom",
        Some(_) => "how late",
    };
    ctx.say(
        Level::Warning,
        "P176",
        item.place(),
        format!("this escalation does not say {missing}, so nobody hears of it"),
        "write escalate: { after: 5 days, to: ROLE }",
    );
    None
}

/// Reads the clauses: a mapping from names, or a list of sentences that are numbered from 1.
pub(super) fn clauses(ctx: &mut Ctx, root: Fields<'_>) -> Vec<Clause> {
    let Some(item) = root.get(ctx, "clauses") else {
        return Vec::new();
    };
    let mut out = Vec::new();
    match &item.node.value {
        Value::List(nodes) => {
            for (n, node) in nodes.iter().enumerate() {
                let text = match node.is_null() {
                    true => String::new(),
                    false => ctx.text_of(node, "clauses").unwrap_or_default(),
                };
                out.push(clause((n + 1).to_string(), text, false));
            }
        }
        _ => {
            for item in ctx.named(&item.node, "`clauses`") {
                out.push(named_clause(ctx, item));
            }
        }
    }
    out
}

fn named_clause(ctx: &mut Ctx, item: &Item) -> Clause {
    let name = item.key.clone();
    if item.node.is_null() {
        return clause(name, String::new(), false);
    }
    if !matches!(item.node.value, Value::Map(_)) {
        return clause(name, ctx.text(item).unwrap_or_default(), false);
    }
    let fields = ctx.fields(&item.node, &keys::CLAUSE);
    let text = fields.get(ctx, "text").and_then(|i| ctx.text(i));
    let planned = fields.get(ctx, "planned").is_some_and(|i| ctx.flag(i));
    if let Some(item) = fields.get(ctx, "document")
        && let Some(name) = ctx.text(item)
    {
        let nothing: BTreeMap<String, ()> = BTreeMap::new();
        ctx.resolve(item.node.place(), &name, "document", &nothing);
    }
    clause(name, text.unwrap_or_default(), planned)
}

fn clause(name: String, text: String, planned: bool) -> Clause {
    let state = if planned {
        ClauseState::Planned
    } else if text.trim().is_empty() {
        ClauseState::Empty
    } else {
        ClauseState::Prose
    };
    Clause { name, text, state }
}
