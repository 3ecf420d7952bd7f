//! What the policy's document needs: rules and declarations as text, and the versions by the record.

use std::collections::BTreeMap;

use vouchsafe_evidence::agreements;
use vouchsafe_evidence::document::{
    ClassInput, ClauseInput, DocumentInput, RequirementInput, Table, Value, VersionInput, length,
    rhythm, span,
};
use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::{Policy, Time};
use vouchsafe_policy::declared::{Entry, Said};
use vouchsafe_policy::{ClauseState, Lowered};

use crate::keeper::Keeper;

/// The policy of a file as it is written; nothing is known of whether it is in force.
pub fn document_of<'a>(
    policy: &'a Policy,
    lowered: &Lowered,
    with_requirements: bool,
    made: Time,
) -> DocumentInput<'a> {
    let declared = &lowered.declared;
    let mut root = table(&declared.root);
    let layers: Table = declared
        .layers
        .iter()
        .filter(|(_, layers)| !layers.is_empty())
        .map(|(tier, layers)| {
            let all = layers.iter().cloned().map(Value::Text).collect();
            (tier.clone(), Value::List(all))
        })
        .collect();
    root.insert("layers".to_owned(), Value::Table(layers));
    let clauses = lowered.clauses.iter().map(|clause| ClauseInput {
        name: clause.name.clone(),
        text: clause.text.clone(),
        planned: clause.state == ClauseState::Planned,
    });
    let requirements = declared
        .requirements
        .iter()
        .map(|(id, r)| RequirementInput {
            id: id.clone(),
            text: r.text.clone(),
            at: r.at.clone(),
        });
    DocumentInput {
        policy,
        tiers: declared.tiers.values().cloned().collect(),
        classes: declared
            .classes
            .iter()
            .map(|(name, class)| ClassInput {
                name: name.clone(),
                tier: class.tier.clone(),
                personal: class.personal,
                description: class.description.clone(),
            })
            .collect(),
        front: table(&declared.front),
        root,
        systems: tables(&declared.systems),
        protections: tables(&declared.protections),
        duties: tables(&declared.duties),
        controls: declared.controls.clone(),
        clauses: clauses.collect(),
        requirements: match with_requirements {
            true => requirements.collect(),
            false => Vec::new(),
        },
        versions: Vec::new(),
        standing: "This text was not put in force yet.".to_owned(),
        made,
        tool: crate::record::tool(),
    }
}

impl Keeper {
    /// The policy in force, with its versions by the record. `lowered` is the file at hand; while a change of it
    /// waits, what it declares is taken from the version that was agreed to.
    ///
    /// # Errors
    /// [`crate::KeeperError::Ledger`].
    pub fn document<'a>(
        &'a self,
        lowered: &Lowered,
        with_requirements: bool,
    ) -> Result<DocumentInput<'a>, crate::KeeperError> {
        let facts = self.facts()?;
        let waiting = self.bound.waiting();
        let agreed = self.bound.older.first().filter(|_| waiting.is_some());
        let said = agreed.map_or(lowered, |older| &older.lowered);
        let made = self.tools.clock.now();
        let mut input = document_of(&self.policy, said, with_requirements, made);
        input.versions = versions(&facts);
        input.standing = match (waiting, input.versions.last()) {
            (Some(change), _) => format!(
                "A change of this policy ({}) waits for approval. Where it promises less, this document says what was promised before, which is in force until then.",
                change.change
            ),
            (None, Some(last)) if last.digest == self.policy.digest => {
                format!("In force since {}.", last.since.minute())
            }
            (None, _) => "This text was not put in force yet.".to_owned(),
        };
        Ok(input)
    }
}

/// The versions that were put in force, and who agreed to each that promised less.
fn versions(facts: &[Recorded]) -> Vec<VersionInput> {
    let agreements = agreements(facts);
    facts
        .iter()
        .filter_map(|recorded| match &recorded.entry.fact {
            Fact::PolicyInForce {
                digest, version, ..
            } => Some(VersionInput {
                version: version.clone(),
                since: recorded.entry.at,
                digest: digest.clone(),
                agreed: agreements.at(recorded.seq).map(|a| a.says.clone()),
            }),
            _ => None,
        })
        .collect()
}

fn tables<K: Ord + Clone>(entries: &BTreeMap<K, Entry>) -> BTreeMap<K, Table> {
    let all = entries.iter();
    all.map(|(key, entry)| (key.clone(), table(entry)))
        .collect()
}

fn table(entry: &Entry) -> Table {
    let all = entry.iter();
    all.map(|(key, said)| (key.to_owned(), value(said)))
        .collect()
}

fn value(said: &Said) -> Value {
    match said {
        Said::Entry(entry) => Value::Table(table(entry)),
        Said::Named(named) => {
            let all = named.iter();
            Value::Table(
                all.map(|(name, e)| (name.clone(), Value::Table(table(e))))
                    .collect(),
            )
        }
        Said::List(all) => Value::List(all.iter().map(value).collect()),
        Said::Schedule(schedule) => Value::Text(rhythm(schedule)),
        Said::Length(said) => Value::Text(length(*said)),
        Said::Span(said) => Value::Text(span(*said)),
        said => Value::Text(said.to_string()),
    }
}
