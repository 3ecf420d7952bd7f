//! Systems and their protections: shorthand or several, each with the rules that come to it.

use std::collections::BTreeMap;
use std::path::Path;

use vouchsafe_model::ids::ProtectionName;
use vouchsafe_model::people::HandedFormat;
use vouchsafe_model::policy::{Keep, Location, Protection, System, Tier, Way, Window};
use vouchsafe_model::{ProtectionId, SourceKind, SystemName};

use crate::declared::Declared;
use crate::keys;
use crate::located::Item;
use crate::lower::declared;
use crate::lower::erasure;
use crate::lower::fields::{Ctx, Fields};
use crate::lower::parts::{self, Rules};
use crate::lower::tables::{Defaults, Tables, reference, section};
use crate::problem::Level;
use crate::sources;

const WAYS: [&str; 6] = [
    "source",
    "capture",
    "orchestrate",
    "observe",
    "manual",
    "replica",
];
/// Keys that belong to what is read, not to the system.
const OF_SOURCE: [&str; 3] = ["password", "exclude", "erasure"];

/// Reads every system.
pub(super) fn systems(
    ctx: &mut Ctx,
    root: Fields<'_>,
    base: &Path,
    tables: &Tables,
    defaults: &Defaults,
    declared: &mut Declared,
) -> BTreeMap<SystemName, System> {
    let mut out = BTreeMap::new();
    for item in section(ctx, root, "systems") {
        let mut reader = Reader {
            base,
            tables,
            defaults,
            declared: &mut *declared,
            near: Vec::new(),
        };
        if let Some(system) = reader.system(ctx, item) {
            out.insert(system.name.clone(), system);
        }
    }
    out
}

struct Reader<'t> {
    base: &'t Path,
    tables: &'t Tables,
    defaults: &'t Defaults,
    declared: &'t mut Declared,
    /// What holds for the system that is being read, the nearest first.
    near: Vec<&'t Defaults>,
}

impl Reader<'_> {
    fn system(&mut self, ctx: &mut Ctx, item: &Item) -> Option<System> {
        let fields = ctx.fields(&item.node, &keys::SYSTEM);
        let name = SystemName::new(item.key.as_str()).map_err(|e| {
            ctx.error("P012", item.place(), e.to_string(), "choose another name");
        });
        let own = |ctx: &mut Ctx, key, table| {
            let item = fields.get(ctx, key);
            item.and_then(|i| declared::known(ctx, i, table))
        };
        let application = own(ctx, "application", "applications");
        let application = application.or_else(|| self.defaults.application.clone());
        let environment = own(ctx, "environment", "environments");
        let environment = environment.or_else(|| self.defaults.environment.clone());
        let owner = own(ctx, "owner", "roles");
        self.near = self
            .defaults
            .nearest(application.as_deref(), environment.as_deref());
        let system = System {
            // Reading goes on under a name that stands in, so that all errors are told.
            name: name.clone().or_else(|()| SystemName::new("x")).ok()?,
            owner: owner.or_else(|| self.near.iter().find_map(|d| d.owner.clone())),
            class: self.class(ctx, fields),
            tier: self.tier(ctx, fields),
            location: self.location(ctx, fields),
            application,
            environment,
            exempt: fields.get(ctx, "exempt").and_then(|i| ctx.text(i)),
            protections: BTreeMap::new(),
        };
        let mut more = declared::among(ctx, fields, &keys::more::SYSTEM_MORE);
        let for_all = declared::among(ctx, fields, &keys::more::PROTECTION_MORE);
        more.sections.extend(for_all.sections);
        more.said.extend(for_all.said);
        self.declared.systems.insert(system.name.clone(), more);
        let protections = self.protections(ctx, item, fields, &system.name);
        name.is_ok().then_some(System {
            protections,
            ..system
        })
    }

    fn class(&self, ctx: &mut Ctx, fields: Fields<'_>) -> Option<String> {
        reference(ctx, fields, "class", &self.tables.classes);
        let own = fields.get(ctx, "class").and_then(|i| ctx.text(i));
        own.or_else(|| self.default_class())
    }

    fn default_class(&self) -> Option<String> {
        self.near.iter().find_map(|d| d.class.clone())
    }

    /// The system's own tier if it is at least as strict as its class's, else the class's or the default.
    fn tier(&self, ctx: &mut Ctx, fields: Fields<'_>) -> Option<Tier> {
        let class_item = fields.get(ctx, "class");
        let class = class_item
            .and_then(|i| ctx.text(i))
            .or_else(|| self.default_class());
        let by_class = class
            .as_ref()
            .and_then(|c| self.tables.classes.get(c))
            .and_then(|c| c.tier.as_ref());
        let own = reference(ctx, fields, "tier", &self.tables.tiers);
        if let (Some(own), Some(by_class), Some(item)) = (own, by_class, fields.get(ctx, "tier"))
            && let Some(lax) = laxer(own, by_class)
        {
            let class = class.as_deref().unwrap_or_default();
            ctx.error(
                "P021",
                item.node.place(),
                format!(
                    "tier `{}` is laxer than `{}`, which class `{class}` needs: {lax}",
                    own.name, by_class.name
                ),
                "name a tier that is at least as strict, or another class",
            );
        }
        let default = self.near.iter().find_map(|d| d.tier.as_ref());
        own.or(by_class).or(default).cloned()
    }

    fn location(&self, ctx: &mut Ctx, fields: Fields<'_>) -> Location {
        match fields.get(ctx, "location") {
            Some(item) => declared::location(ctx, item, &self.tables.places),
            None => {
                let default = self.near.iter().find_map(|d| d.location.clone());
                default.unwrap_or_default()
            }
        }
    }

    fn plan(&self, ctx: &mut Ctx, fields: Fields<'_>) -> Option<&Rules> {
        reference(ctx, fields, "plan", &self.tables.plans)
    }

    fn protections(
        &mut self,
        ctx: &mut Ctx,
        item: &Item,
        fields: Fields<'_>,
        system: &SystemName,
    ) -> BTreeMap<ProtectionName, Protection> {
        let own = parts::rules(ctx, fields, self.tables);
        let plan = self.plan(ctx, fields);
        let plan = plan.or_else(|| self.near.iter().find_map(|d| d.plan.as_ref()));
        let outer = match plan {
            Some(plan) => own.clone().or(plan),
            None => own.clone(),
        };
        let several = fields.get(ctx, "protections");
        let shorthand = WAYS.iter().find_map(|w| fields.get(ctx, w));
        let mut out = BTreeMap::new();
        if let Some(several) = several {
            for key in WAYS.iter().chain(&OF_SOURCE) {
                if let Some(stray) = fields.get(ctx, key) {
                    let message = format!("`{key}` stands beside `protections`");
                    ctx.error(
                        "P024",
                        stray.place(),
                        message,
                        "move it into one of the protections",
                    );
                }
            }
            for item in ctx.named(&several.node, "`protections`") {
                let inner = ctx.fields(&item.node, &keys::PROTECTION);
                let own = parts::rules(ctx, inner, self.tables);
                let rules = match self.plan(ctx, inner) {
                    Some(plan) => own.clone().or(plan),
                    None => own.clone(),
                }
                .or(&outer);
                if let Some(id) =
                    self.put(ctx, &mut out, item, inner, system, &item.key, (&own, rules))
                {
                    let more = declared::among(ctx, inner, &keys::more::PROTECTION_MORE);
                    self.declared.protections.insert(id, more);
                }
            }
        } else if shorthand.is_some() {
            self.put(ctx, &mut out, item, fields, system, "main", (&own, outer));
        }
        out
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one reading, spread over what it needs"
    )]
    fn put(
        &mut self,
        ctx: &mut Ctx,
        out: &mut BTreeMap<ProtectionName, Protection>,
        item: &Item,
        fields: Fields<'_>,
        system: &SystemName,
        name: &str,
        (own, rules): (&Rules, Rules),
    ) -> Option<ProtectionId> {
        let name = match ProtectionName::new(name) {
            Ok(name) => name,
            Err(e) => {
                ctx.error("P012", item.place(), e.to_string(), "choose another name");
                return None;
            }
        };
        let (key, way, manual) = self.way(ctx, item, fields)?;
        check_keys(ctx, fields, key, &way);
        let from = manual.from.clone();
        let rules = manual.with(ctx, own, rules, &way);
        if !way.is_connected() {
            let what = format!("{system}/{name} ({})", describe(&way));
            let message = format!("{what} is declared, not yet connected");
            ctx.say(
                Level::Note,
                "P028",
                key.place(),
                message,
                "it is shown as unproven until this version can do it",
            );
        }
        if rules.logs.is_some() && !way.is_connected() {
            let message =
                format!("shipping the log of {system}/{name} is declared, not yet connected");
            let place = fields.get(ctx, "logs").map_or(item.place(), Item::place);
            ctx.say(
                Level::Note,
                "P028",
                place,
                message,
                "until then the schedule alone decides what may be lost",
            );
        }
        let id = ProtectionId::new(system.clone(), name.clone());
        let password = fields.get(ctx, "password");
        let exclude = fields.get(ctx, "exclude");
        let digests = fields.get(ctx, "digests");
        let directory = fields.get(ctx, "data_directory");
        let jobs = fields.get(ctx, "dump_jobs");
        let erasing = fields.get(ctx, "erasure");
        let erasure = erasing.and_then(|i| erasure::rule(ctx, i, &way));
        if let Some(from) = from {
            self.declared.manual.insert(id.clone(), from);
        }
        let protection = Protection {
            id: id.clone(),
            way,
            password: password.and_then(|i| parts::password(ctx, i, self.base)),
            exclude: exclude.map(|i| ctx.texts(i)).unwrap_or_default(),
            digests: digests
                .and_then(|i| parts::digests(ctx, i))
                .unwrap_or_default(),
            data_directory: directory.and_then(|i| parts::directory(ctx, i, self.base)),
            dump_jobs: jobs.and_then(|i| ctx.count(i)),
            erasure,
            schedule: rules.schedule,
            window: rules.window.unwrap_or_default(),
            keep: rules.keep.unwrap_or_default(),
            copies: rules.copies.unwrap_or_default(),
            verify: rules.verify,
            drill: rules.drill,
            log_every: rules.logs.map(|l| l.every.unwrap_or(parts::LOG_EVERY)),
            log_keep: rules.logs.and_then(|l| l.keep),
        };
        out.insert(name, protection);
        Some(id)
    }

    /// How the protection keeps its system; reports none and more than one.
    fn way<'a>(
        &self,
        ctx: &mut Ctx,
        item: &'a Item,
        fields: Fields<'a>,
    ) -> Option<(&'a Item, Way, Manual)> {
        let mut found: Vec<&Item> = Vec::new();
        for name in WAYS {
            found.extend(fields.get(ctx, name));
        }
        let (first, rest) = match found.split_first() {
            Some(split) => split,
            None => {
                let message = format!("protection `{}` does not say how", item.key);
                let remedy = "write one of source, capture, orchestrate, observe, manual, replica";
                ctx.error("P019", item.place(), message, remedy);
                return None;
            }
        };
        for other in rest {
            let message = format!("`{}` stands beside `{}`", other.key, first.key);
            ctx.error(
                "P023",
                other.place(),
                message,
                "keep one, or declare two under `protections`",
            );
        }
        if first.key == "manual" {
            let manual = Manual::read(ctx, first, self.tables);
            let way = Way::Manual {
                accept: manual.accept.clone(),
                instructions: manual.instructions.clone(),
                grace: manual.grace,
                format: manual.format,
            };
            return Some((first, way, manual));
        }
        let text = ctx.text(first)?;
        let url = match sources::source(&text, self.base) {
            Ok(url) => url,
            Err(e) => {
                ctx.error(e.code(), first.node.place(), e.to_string(), e.remedy());
                return None;
            }
        };
        let way = match first.key.as_str() {
            "orchestrate" => Way::Orchestrate(url),
            "observe" => Way::Observe(url),
            "replica" => Way::Replica(url),
            _ => Way::Capture(url),
        };
        Some((first, way, Manual::default()))
    }
}

/// What stands under `manual`.
#[derive(Default)]
struct Manual {
    from: Option<String>,
    accept: Option<String>,
    instructions: Option<String>,
    grace: Option<vouchsafe_model::policy::Length>,
    format: Option<HandedFormat>,
    rules: Rules,
    place: crate::problem::Place,
}

impl Manual {
    fn read(ctx: &mut Ctx, item: &Item, tables: &Tables) -> Manual {
        let fields = ctx.fields(&item.node, &keys::MANUAL);
        Manual {
            from: fields.get(ctx, "from").and_then(|i| declared::text(ctx, i)),
            accept: fields.get(ctx, "accept").and_then(|i| ctx.text(i)),
            instructions: fields.get(ctx, "instructions").and_then(|i| ctx.text(i)),
            grace: fields.get(ctx, "grace").and_then(|i| ctx.length(i)),
            format: fields.get(ctx, "format").and_then(|i| format(ctx, i)),
            rules: Rules {
                schedule: fields.get(ctx, "every").and_then(|i| ctx.schedule(i)),
                copies: fields
                    .get(ctx, "copies")
                    .map(|i| parts::copies(ctx, i, tables)),
                ..Rules::default()
            },
            place: item.place(),
        }
    }

    /// The rules that come to the protection, without those that make no sense for its way.
    fn with(self, ctx: &mut Ctx, own: &Rules, rules: Rules, way: &Way) -> Rules {
        let twice = (self.rules.schedule.is_some() && own.schedule.is_some())
            || (self.rules.copies.is_some() && own.copies.is_some());
        if twice {
            let message = "schedule or copies are given under `manual` and beside it";
            ctx.error("P023", self.place, message, "keep one of the two");
        }
        let mut rules = self.rules.or(&rules);
        for key in senseless(way) {
            match *key {
                "schedule" => rules.schedule = None,
                "window" => rules.window = Some(Window::default()),
                "keep" => rules.keep = Some(Keep::default()),
                "copies" => rules.copies = None,
                "verify" => rules.verify = None,
                "drill" => rules.drill = None,
                "logs" => rules.logs = None,
                _ => {}
            }
        }
        rules
    }
}

fn format(ctx: &mut Ctx, item: &Item) -> Option<HandedFormat> {
    let words = HandedFormat::WORDS.map(|(word, _)| word);
    if !ctx.word(item, &words) {
        return None;
    }
    let text = ctx.text(item)?;
    let found = HandedFormat::WORDS.into_iter().find(|(w, _)| *w == text);
    found.map(|(_, format)| format)
}

/// The keys that make no sense for a way of protection.
fn senseless(way: &Way) -> &'static [&'static str] {
    match way {
        Way::Capture(url) => match url.kind() {
            SourceKind::Files => &["password", "digests", "logs", "data_directory", "dump_jobs"],
            SourceKind::Sqlite => &[
                "password",
                "exclude",
                "digests",
                "data_directory",
                "dump_jobs",
            ],
            SourceKind::Git => &["exclude", "digests", "logs", "data_directory", "dump_jobs"],
            SourceKind::Postgres if url.names_whole_server() => &["exclude", "dump_jobs"],
            SourceKind::Postgres => &["exclude", "data_directory"],
            SourceKind::MySql => &["exclude", "data_directory", "dump_jobs"],
            SourceKind::MongoDb => &["exclude", "digests", "data_directory", "dump_jobs"],
            SourceKind::Other(_) => &[],
        },
        Way::Orchestrate(_) => &[
            "exclude",
            "digests",
            "data_directory",
            "dump_jobs",
            "verify",
        ],
        Way::Observe(_) => &[
            "exclude",
            "digests",
            "data_directory",
            "dump_jobs",
            "window",
            "copies",
            "verify",
        ],
        Way::Manual { .. } => &[
            "password",
            "exclude",
            "digests",
            "data_directory",
            "dump_jobs",
            "window",
            "logs",
        ],
        Way::Replica(_) => &[
            "exclude",
            "digests",
            "data_directory",
            "dump_jobs",
            "schedule",
            "window",
            "keep",
            "copies",
            "verify",
            "drill",
            "logs",
        ],
    }
}

fn describe(way: &Way) -> String {
    match way {
        Way::Capture(url) => format!("{} by capture", url.kind()),
        Way::Orchestrate(url) | Way::Observe(url) | Way::Replica(url) => {
            format!("{} by {}", url.kind(), way.word())
        }
        Way::Manual { .. } => "by hand".to_owned(),
    }
}

/// Keys written at the protection itself must make sense for it; those that come from a plan just do not apply.
fn check_keys(ctx: &mut Ctx, fields: Fields<'_>, way_item: &Item, way: &Way) {
    for item in fields.items() {
        if senseless(way).contains(&item.key.as_str()) && !item.node.is_null() {
            let message = format!("`{}` makes no sense for {}", item.key, describe(way));
            let remedy = format!("take it out, or choose another way than `{}`", way_item.key);
            ctx.error("P022", item.place(), message, remedy);
        }
    }
}

/// In what `own` is laxer than `needed`, if it is.
fn laxer(own: &Tier, needed: &Tier) -> Option<String> {
    let spans = [
        ("rpo", own.rpo, needed.rpo),
        ("log_rpo", own.log_rpo, needed.log_rpo),
        ("rto", own.rto, needed.rto),
    ];
    for (name, own, needed) in spans {
        match (own, needed) {
            (None, Some(n)) => return Some(format!("no {name} against {n}")),
            (Some(o), Some(n)) if o > n => return Some(format!("{name} {o} against {n}")),
            _ => {}
        }
    }
    let (has, needs) = (own.min_copies.unwrap_or(0), needed.min_copies.unwrap_or(0));
    if has < needs {
        return Some(format!("{has} copies against {needs}"));
    }
    if needed.other_region && !own.other_region {
        return Some("no copy in another region".to_owned());
    }
    (needed.same_country && !own.same_country)
        .then(|| "no copy bound to the system's country".to_owned())
}
