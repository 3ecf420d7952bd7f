//! The policy as a document that a company can publish: the same sections as Markdown, as a page and on paper.

mod about;
mod flow_map;
mod html;
mod markdown;
mod paper;
mod people;
mod places;
mod rules;
mod words;

use std::collections::BTreeMap;

use vouchsafe_model::policy::Tier;
use vouchsafe_model::{Policy, ProtectionId, SystemName, Time};

use flow_map::FlowMap;
pub use words::{length, rhythm, span};

/// What a policy declares, by its keys; every value is text as people would write it.
pub type Table = BTreeMap<String, Value>;

/// One declared value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// One value.
    Text(String),
    /// Several.
    List(Vec<Value>),
    /// A mapping.
    Table(Table),
}

/// A kind of data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassInput {
    /// Its name.
    pub name: String,
    /// The tier that it names.
    pub tier: Option<String>,
    /// Whether it is about people.
    pub personal: bool,
    /// What belongs to it.
    pub description: Option<String>,
}

/// A sentence of the policy's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClauseInput {
    /// Its name or number.
    pub name: String,
    /// What it says; empty if it says nothing yet.
    pub text: String,
    /// Whether it is still to come.
    pub planned: bool,
}

/// What somebody asks for, and which keys fulfil it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequirementInput {
    /// Its id.
    pub id: String,
    /// What is asked for, if it is said.
    pub text: Option<String>,
    /// Paths of keys: `systems/shop/keep`.
    pub at: Vec<String>,
}

/// A version that was put in force, by the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionInput {
    /// The version that it gives itself.
    pub version: Option<String>,
    /// Since when.
    pub since: Time,
    /// SHA-256, lower hex.
    pub digest: String,
    /// Who agreed to it and how that is known, as half a sentence; nothing if it weakened nothing.
    pub agreed: Option<String>,
}

/// Everything that the document says.
#[derive(Clone, Debug)]
pub struct DocumentInput<'a> {
    /// The policy in force.
    pub policy: &'a Policy,
    /// Every tier.
    pub tiers: Vec<Tier>,
    /// Every class.
    pub classes: Vec<ClassInput>,
    /// What the head says beside the model's own.
    pub front: Table,
    /// The tables of the root.
    pub root: Table,
    /// What systems say beside the model's own.
    pub systems: BTreeMap<SystemName, Table>,
    /// What protections say beside it.
    pub protections: BTreeMap<ProtectionId, Table>,
    /// What duties say beside rhythm and role.
    pub duties: BTreeMap<String, Table>,
    /// The controls that are named of each framework.
    pub controls: BTreeMap<String, Vec<String>>,
    /// Sentences of its own.
    pub clauses: Vec<ClauseInput>,
    /// What others ask for; shown as notes, if there are any.
    pub requirements: Vec<RequirementInput>,
    /// The versions by the record, oldest first.
    pub versions: Vec<VersionInput>,
    /// How it stands: in force, not yet in force, a change that waits. A whole sentence.
    pub standing: String,
    /// When the document is made.
    pub made: Time,
    /// By which tool.
    pub tool: String,
}

/// The document as a PDF file, with the letters that [`crate::pdf`] has. The same input gives the same bytes.
pub fn document_pdf(input: &DocumentInput<'_>) -> Vec<u8> {
    let version = &input.policy.front.version;
    paper::render(&document(input), version.as_deref(), input)
}

/// The document, before it becomes Markdown, a page or a file for paper.
#[derive(Clone, Debug)]
struct Document {
    title: String,
    /// What stands at the head, by its name.
    head: Vec<(String, String)>,
    standing: String,
    sections: Vec<Section>,
    notes: Vec<(String, String)>,
    made: String,
}

#[derive(Clone, Debug)]
struct Section {
    title: String,
    blocks: Vec<Block>,
    /// Ids of the requirements that it fulfils.
    fulfils: Vec<String>,
}

#[derive(Clone, Debug)]
enum Block {
    Paragraph(String),
    List(Vec<String>),
    Table {
        head: Vec<&'static str>,
        rows: Vec<Vec<String>>,
    },
    Sub {
        title: String,
        blocks: Vec<Block>,
        fulfils: Vec<String>,
    },
    /// A drawing, and what it shows in words.
    Figure {
        map: FlowMap,
        caption: String,
    },
}

impl Block {
    fn text(text: impl Into<String>) -> Block {
        Block::Paragraph(text.into())
    }

    /// Rows in which a column without any value is left out.
    fn table(head: &[&'static str], rows: Vec<Vec<String>>) -> Block {
        let used: Vec<usize> = (0..head.len())
            .filter(|at| {
                rows.iter()
                    .any(|row| row.get(*at).is_some_and(|c| !c.is_empty()))
            })
            .collect();
        let pick = |row: &Vec<String>| {
            let cell = |at: &usize| row.get(*at).cloned().unwrap_or_default();
            used.iter().map(cell).collect()
        };
        Block::Table {
            head: used
                .iter()
                .filter_map(|at| head.get(*at).copied())
                .collect(),
            rows: rows.iter().map(pick).collect(),
        }
    }
}

/// The document as Markdown.
pub fn document_markdown(input: &DocumentInput<'_>) -> String {
    markdown::render(&document(input))
}

/// The document as one self-contained page that prints well.
pub fn document_html(input: &DocumentInput<'_>) -> String {
    html::render(&document(input))
}

fn document(input: &DocumentInput<'_>) -> Document {
    let sections = [
        about::purpose(input),
        about::scope(input),
        about::roles(input),
        rules::classification(input),
        rules::schedule(input),
        rules::retention(input),
        places::encryption(input),
        places::access(input),
        places::locations(input),
        rules::verification(input),
        people::monitoring(input),
        people::recovery(input),
        people::duties(input),
        people::exemptions(input),
        people::provisions(input),
        about::frameworks(input),
        about::documents(input),
        about::review(input),
        about::history(input),
    ];
    let front = &input.policy.front;
    Document {
        title: front.title.clone().unwrap_or("Backup policy".to_owned()),
        head: about::head(input),
        standing: input.standing.clone(),
        sections: sections
            .into_iter()
            .filter(|section| !section.blocks.is_empty())
            .collect(),
        notes: input
            .requirements
            .iter()
            .map(|r| (r.id.clone(), r.text.clone().unwrap_or_default()))
            .collect(),
        made: format!(
            "Generated from the policy by {} on {}; SHA-256 of the policy: {}.",
            input.tool,
            words::day(input.made),
            input.policy.digest
        ),
    }
}

impl DocumentInput<'_> {
    /// The named tables under a key of the root.
    fn named(&self, key: &str) -> impl Iterator<Item = (&String, &Table)> {
        let table = match self.root.get(key) {
            Some(Value::Table(table)) => Some(table),
            _ => None,
        };
        table
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| match value {
                Value::Table(table) => Some((name, table)),
                _ => None,
            })
    }

    /// The table under a key of the root that has no names of one's own.
    fn one(&self, key: &str) -> Option<&Table> {
        match self.root.get(key) {
            Some(Value::Table(table)) => Some(table),
            _ => None,
        }
    }

    /// The requirements that rest on one of these paths, or on what lies below.
    fn fulfils(&self, paths: &[&str]) -> Vec<String> {
        let rests = |at: &String| {
            paths.iter().any(|path| {
                at.strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        let ids = self.requirements.iter().filter(|r| r.at.iter().any(rests));
        ids.map(|r| r.id.clone()).collect()
    }
}

/// A text of a table.
fn text(table: &Table, key: &str) -> String {
    match table.get(key) {
        Some(value) => shown(value),
        None => String::new(),
    }
}

/// Texts of a table, one or several.
fn texts(table: &Table, key: &str) -> Vec<String> {
    match table.get(key) {
        Some(Value::List(all)) => all.iter().map(shown).collect(),
        Some(value) => vec![shown(value)],
        None => Vec::new(),
    }
}

fn is_yes(table: &Table, key: &str) -> bool {
    matches!(table.get(key), Some(Value::Text(text)) if text == "yes")
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.trim().to_owned(),
        Value::List(all) => words::and(&all.iter().map(shown).collect::<Vec<_>>()),
        Value::Table(table) => {
            let parts: Vec<String> = table
                .iter()
                .map(|(key, value)| format!("{}: {}", key.replace('_', " "), shown(value)))
                .collect();
            parts.join(", ")
        }
    }
}
