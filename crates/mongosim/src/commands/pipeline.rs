//! Aggregation, as far as a backup and its tests need it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{Bson, Document, doc};

use super::{Call, listing, read, whole};
use crate::fault::{Answer, BAD_VALUE, Fault, NOT_SUPPORTED, number};
use crate::filter::{matches, project, sort, values};
use crate::order::{Key, real};
use crate::session::{Transaction, View};
use crate::state::{Collection, split};

/// How many views may stand on one another, as in the server.
const MOST_VIEWS: usize = 20;

pub(super) fn aggregate(call: &Call<'_>, open_transaction: Option<&Transaction>) -> Answer {
    let stages = call.documents("pipeline")?;
    let first = stages
        .first()
        .and_then(|stage| stage.keys().next())
        .map_or("", String::as_str);
    if first == "$collStats" {
        return stats(call, &stages);
    }
    let namespace = match call.body.get("aggregate") {
        Some(Bson::String(_)) => call.namespace()?,
        _ => return Err(unknown(first)),
    };
    let mut shared = call.server.lock();
    let at = read::moment(call, &shared.state)?;
    let view = View {
        state: &shared.state,
        at,
        transaction: open_transaction,
    };
    // What is looked for first is looked for where it lies.
    let (filter, rest) = match (
        stages
            .first()
            .and_then(|stage| stage.get_document("$match").ok()),
        stages.get(1..),
    ) {
        (Some(filter), Some(rest)) => (filter.clone(), rest.to_vec()),
        _ => (Document::new(), stages),
    };
    let documents = read::documents(&view, &namespace, &filter)?;
    let documents = run(documents, &rest)?;
    read::open(
        &mut shared,
        call,
        read::fixed(namespace, documents.into(), at),
    )
}

fn stats(call: &Call<'_>, stages: &[&Document]) -> Answer {
    let namespace = call.namespace()?;
    let asked = Document::from_iter([("collStats".to_owned(), Bson::from(split(&namespace).1))]);
    let inner = Call {
        name: "collStats",
        body: &asked,
        server: call.server,
        database: call.database,
        connection: &mut crate::server::Connection {
            number: 0,
            user: None,
            conversation: None,
        },
    };
    let stats = listing::collection_stats(&inner)?;
    let wanted = stages
        .first()
        .and_then(|stage| stage.get_document("$collStats").ok());
    let mut document = doc! { "ns": &namespace, "host": call.server.me.as_str(), "localTime": bson::DateTime::now() };
    if wanted.is_some_and(|wanted| wanted.contains_key("count")) {
        document.insert(
            "count",
            stats.get("count").cloned().unwrap_or(Bson::Int32(0)),
        );
    }
    if wanted.is_some_and(|wanted| wanted.contains_key("storageStats")) {
        document.insert("storageStats", stats);
    }
    let documents = run(
        vec![Arc::new(document)],
        stages.get(1..).unwrap_or_default(),
    )?;
    read::open(
        &mut call.server.lock(),
        call,
        read::fixed(namespace, documents.into(), None),
    )
}

/// What a view shows.
pub(super) fn through_view(
    view: &View<'_>,
    namespace: &str,
    collection: &Collection,
) -> Result<Vec<Arc<Document>>, Fault> {
    let mut pipelines = Vec::new();
    let (mut at, mut on) = (Arc::new(collection.clone()), namespace.to_owned());
    while at.is_view() {
        if pipelines.len() >= MOST_VIEWS {
            return Err(Fault::new(
                165,
                format!("View depth limit exceeded: {namespace}"),
            ));
        }
        pipelines.push(
            at.options
                .get_array("pipeline")
                .cloned()
                .unwrap_or_default(),
        );
        let below = at.options.get_str("viewOn").unwrap_or_default();
        on = format!("{}.{below}", split(&on).0);
        match view.collection(&on) {
            Some(next) => at = next,
            None => return Ok(Vec::new()),
        }
    }
    let mut documents = read::documents(view, &on, &Document::new())?;
    for pipeline in pipelines.iter().rev() {
        let stages: Vec<&Document> = pipeline.iter().filter_map(Bson::as_document).collect();
        documents = run(documents, &stages)?;
    }
    Ok(documents)
}

fn run(
    mut documents: Vec<Arc<Document>>,
    stages: &[&Document],
) -> Result<Vec<Arc<Document>>, Fault> {
    for stage in stages {
        let Some((name, what)) = stage.iter().next() else {
            return Err(Fault::new(
                BAD_VALUE,
                "A pipeline stage specification object must contain exactly one field.",
            ));
        };
        documents = step(documents, name, what)?;
    }
    Ok(documents)
}

fn step(
    mut documents: Vec<Arc<Document>>,
    name: &str,
    what: &Bson,
) -> Result<Vec<Arc<Document>>, Fault> {
    let count = || {
        whole(what)
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| unknown(name))
    };
    match (name, what) {
        ("$match", Bson::Document(filter)) => {
            let mut left = Vec::new();
            for document in documents {
                if matches(filter, &document)? {
                    left.push(document);
                }
            }
            Ok(left)
        }
        ("$sort", Bson::Document(order)) => {
            sort(&mut documents, order);
            Ok(documents)
        }
        ("$limit", _) => {
            documents.truncate(count()?);
            Ok(documents)
        }
        ("$skip", _) => Ok(documents.into_iter().skip(count()?).collect()),
        ("$project" | "$unset", Bson::Document(fields)) => Ok(documents
            .iter()
            .map(|document| Arc::new(project(fields, document)))
            .collect()),
        ("$count", Bson::String(field)) => Ok(match documents.len() {
            0 => Vec::new(),
            n => vec![Arc::new(doc! { field: number(n) })],
        }),
        ("$group", Bson::Document(group)) => grouped(&documents, group),
        _ => Err(unknown(name)),
    }
}

/// By a field or all together; of each group sums only.
fn grouped(documents: &[Arc<Document>], group: &Document) -> Result<Vec<Arc<Document>>, Fault> {
    let by = group.get("_id").unwrap_or(&Bson::Null);
    let mut groups: BTreeMap<Key, Vec<f64>> = BTreeMap::new();
    let sums: Vec<(&String, &Bson)> = group
        .iter()
        .filter(|(name, _)| *name != "_id")
        .map(|(name, what)| {
            let sum = what.as_document().and_then(|what| what.get("$sum"));
            sum.map(|sum| (name, sum))
                .ok_or_else(|| unknown("$group without $sum"))
        })
        .collect::<Result<_, _>>()?;
    for document in documents {
        let key = Key(evaluated(by, document));
        let totals = groups.entry(key).or_insert_with(|| vec![0.0; sums.len()]);
        for (total, (_, what)) in totals.iter_mut().zip(&sums) {
            *total += real(&evaluated(what, document));
        }
    }
    let shown = |total: f64| match total.fract() == 0.0 && total.abs() < f64::from(i32::MAX) {
        true => Bson::Int32(total as i32),
        false => Bson::Double(total),
    };
    let made = groups.into_iter().map(|(key, totals)| {
        let mut out = doc! { "_id": key.0 };
        for (total, (name, _)) in totals.into_iter().zip(&sums) {
            out.insert(name.as_str(), shown(total));
        }
        Arc::new(out)
    });
    Ok(made.collect())
}

fn evaluated(what: &Bson, document: &Document) -> Bson {
    match what.as_str().and_then(|text| text.strip_prefix('$')) {
        Some(path) => values(document, path)
            .first()
            .map_or(Bson::Null, |value| (*value).clone()),
        None => what.clone(),
    }
}

fn unknown(stage: &str) -> Fault {
    Fault::new(
        NOT_SUPPORTED,
        format!("the simulator has no such stage: {stage}"),
    )
}
