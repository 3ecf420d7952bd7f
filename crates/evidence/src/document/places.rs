//! Where copies lie, how they are sealed, and who may reach them.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::VaultPlace;
use vouchsafe_model::policy::{Vault, Way};

use super::words::{and, kind, length, rhythm};
use super::{Block, DocumentInput, Section, Value, flow_map, is_yes, text, texts};

pub(super) fn encryption(input: &DocumentInput<'_>) -> Section {
    let mut blocks = Vec::new();
    if !input.policy.vaults.is_empty() {
        blocks.push(Block::text("In every vault of this policy all data is sealed with AES-256 before it leaves the machine that reads it; nobody who only has the store can read it. That it is sealed is measured with every copy."));
    }
    if let Some(rules) = input.one("encryption") {
        let mut said = Vec::new();
        let (rest, transit) = (text(rules, "at_rest"), text(rules, "in_transit"));
        if !rest.is_empty() {
            said.push(format!("Backups are sealed with {rest} wherever they lie."));
        }
        if !transit.is_empty() {
            said.push(format!(
                "On their way they are protected by {transit} or newer."
            ));
        }
        if is_yes(rules, "parity") {
            said.push("A copy is sealed at least as well as what it is a copy of.".to_owned());
        }
        blocks.push(Block::text(said.join(" ")));
    }
    let keys: Vec<Vec<String>> = input
        .named("keys")
        .map(|(name, t)| {
            let managed = match text(t, "managed_by").as_str() {
                "provider" => "the provider".to_owned(),
                "customer" => "us".to_owned(),
                other => other.to_owned(),
            };
            vec![
                name.clone(),
                text(t, "service"),
                managed,
                text(t, "rotate"),
                texts(t, "protects").join(", "),
                texts(t, "administrators").join(", "),
                text(t, "escrow"),
                text(t, "expires"),
            ]
        })
        .collect();
    if !keys.is_empty() {
        blocks.push(Block::text("Keys at providers:"));
        let head = [
            "Key",
            "Service",
            "Decided over by",
            "Replaced",
            "Seals",
            "Administrators",
            "Second copy",
            "Ends",
        ];
        blocks.push(Block::table(&head, keys));
    }
    let vaults = input.policy.vaults.values();
    let rotated: Vec<String> = vaults
        .filter_map(|v| Some(format!("that of {} {}", v.name, rhythm(v.rotate.as_ref()?))))
        .collect();
    if !rotated.is_empty() {
        blocks.push(Block::text(format!(
            "Passphrases of vaults are replaced: {}.",
            and(&rotated)
        )));
    }
    let wrapped = input.policy.vaults.values().filter(|v| v.kms.is_some());
    let wrapped: Vec<String> = wrapped.map(|v| v.name.to_string()).collect();
    if !wrapped.is_empty() {
        blocks.push(Block::text(format!(
            "A key service keeps the passphrase of {}.",
            and(&wrapped)
        )));
    }
    Section {
        title: "Encryption and keys".to_owned(),
        blocks,
        fulfils: input.fulfils(&["encryption", "keys"]),
    }
}

pub(super) fn access(input: &DocumentInput<'_>) -> Section {
    let rules: Vec<Block> = input
        .named("access")
        .map(|(name, t)| access_rule(name, t))
        .collect();
    let mut blocks = Vec::new();
    if !rules.is_empty() {
        blocks.push(Block::text(
            "Nobody has access to backups but by these rules.",
        ));
        blocks.extend(rules);
    }
    Section {
        title: "Access".to_owned(),
        blocks,
        fulfils: input.fulfils(&["access"]),
    }
}

fn access_rule(name: &str, t: &super::Table) -> Block {
    let who = and(&texts(t, "role"));
    let may: Vec<String> = texts(t, "may")
        .iter()
        .map(|right| match right.as_str() {
            "view" => "look at backups".to_owned(),
            "back-up" => "make them".to_owned(),
            "restore" => "restore".to_owned(),
            "delete" => "delete".to_owned(),
            "change" => "change the infrastructure of backups".to_owned(),
            other => other.to_owned(),
        })
        .collect();
    let who = if who.is_empty() {
        "Nobody".to_owned()
    } else {
        super::words::capital(&who)
    };
    let may = if may.is_empty() {
        "have access".to_owned()
    } else {
        and(&may)
    };
    let on = texts(t, "on");
    let on = match on.is_empty() {
        true => String::new(),
        false => format!(", with {}", and(&on)),
    };
    let mut said = vec![format!("{who} may {may}{on}.")];
    if is_yes(t, "mfa") {
        said.push("A second factor is asked for.".to_owned());
    }
    let approvers = texts(t, "approvers");
    if !approvers.is_empty() {
        said.push(format!("It is approved first by {}.", and(&approvers)));
    }
    let most = text(t, "at_most");
    if !most.is_empty() {
        said.push(format!("It lasts {most} at most."));
    }
    if is_yes(t, "reason") {
        said.push("A reason is given.".to_owned());
    }
    if is_yes(t, "logged") {
        said.push("Each use is recorded.".to_owned());
    }
    let review = text(t, "review");
    if !review.is_empty() {
        said.push(format!("It is looked at again {review}."));
    }
    Block::Sub {
        title: super::words::capital(name),
        blocks: vec![Block::text(said.join(" "))],
        fulfils: Vec::new(),
    }
}

pub(super) fn locations(input: &DocumentInput<'_>) -> Section {
    let mut blocks = Vec::new();
    let vaults = &input.policy.vaults;
    if !vaults.is_empty() {
        blocks.push(Block::text(
            "Copies lie in these vaults. The system itself is never counted as a copy.",
        ));
        let rows = vaults.values().map(vault_row).collect();
        let head = [
            "Vault",
            "Store",
            "Region",
            "Country",
            "Refuses deletion for",
        ];
        blocks.push(Block::table(&head, rows));
    }
    let inventory = inventory(input);
    if !inventory.is_empty() {
        blocks.push(Block::text(
            "The inventory: where each system lies, and where its copies lie.",
        ));
        let head = ["System", "Class", "Lies in", "Copies, by region"];
        blocks.push(Block::table(&head, inventory));
    }
    if let Some(map) = flow_map::map(input) {
        let caption = "Where copies go: each system on the left, the regions and vaults that hold its copies on the right.";
        blocks.push(Block::Figure {
            map,
            caption: caption.to_owned(),
        });
    }
    if let Some(Value::List(flows)) = input.root.get("flows") {
        let rows: Vec<Vec<String>> = flows
            .iter()
            .filter_map(|flow| match flow {
                Value::Table(t) => Some(["from", "to", "data", "by"].map(|k| text(t, k)).to_vec()),
                _ => None,
            })
            .collect();
        if !rows.is_empty() {
            blocks.push(Block::text("Data flows:"));
            blocks.push(Block::table(&["From", "To", "Data", "By"], rows));
        }
    }
    let places: Vec<Vec<String>> = input
        .named("locations")
        .map(|(name, t)| {
            let mut row = vec![name.clone()];
            row.extend(
                ["description", "region", "zone", "country", "provider"].map(|k| text(t, k)),
            );
            row
        })
        .collect();
    if !places.is_empty() {
        blocks.push(Block::text("Places that this policy names:"));
        let head = [
            "Place",
            "What is there",
            "Region",
            "Zone",
            "Country",
            "Provider",
        ];
        blocks.push(Block::table(&head, places));
    }
    blocks.extend(providers(input));
    Section {
        title: "Locations, data flows and providers".to_owned(),
        blocks,
        fulfils: input.fulfils(&["vaults", "locations", "flows", "providers"]),
    }
}

fn vault_row(vault: &Vault) -> Vec<String> {
    vec![
        vault.name.to_string(),
        store(vault),
        vault.location.region.clone().unwrap_or_default(),
        vault.location.country.clone().unwrap_or_default(),
        vault.retention_lock.map(length).unwrap_or_default(),
    ]
}

/// The kind of store, without its address: a document is read by more people than may know that.
fn store(vault: &Vault) -> String {
    let scheme = vault.url.split(':').next().unwrap_or_default();
    let known = match scheme {
        "file" => "directory",
        "s3" => "S3",
        "rest" => "REST server",
        "sftp" => "SFTP",
        "webdav" => "WebDAV",
        "azblob" => "Azure Blob Storage",
        "gs" => "Google Cloud Storage",
        "gdrive" => "Google Drive",
        _ if VaultPlace::parse(&vault.url).is_ok() => "directory",
        other => return other.to_owned(),
    };
    known.to_owned()
}

/// What holds the copies of a protection: the regions with their vaults, or the provider.
pub(super) fn holders(
    input: &DocumentInput<'_>,
) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let mut out: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (system, protection) in input.policy.protections() {
        if system.exempt.is_some() {
            continue;
        }
        let held = out.entry(system.name.to_string()).or_default();
        for copy in &protection.copies {
            let vault = input.policy.vaults.get(&copy.vault);
            let region = vault.and_then(|v| v.location.region.clone());
            let region = region.unwrap_or("region not stated".to_owned());
            held.entry(region)
                .or_default()
                .insert(copy.vault.to_string());
        }
        if let (Way::Observe(url) | Way::Orchestrate(url), true) =
            (&protection.way, protection.copies.is_empty())
        {
            let region = "at the provider".to_owned();
            held.entry(region).or_default().insert(kind(url.kind()));
        }
    }
    out
}

fn inventory(input: &DocumentInput<'_>) -> Vec<Vec<String>> {
    let holders = holders(input);
    let systems = input.policy.systems.values().filter(|s| s.exempt.is_none());
    systems
        .map(|system| {
            let held: Vec<String> = holders
                .get(system.name.as_str())
                .into_iter()
                .flatten()
                .map(|(region, vaults)| {
                    let vaults: Vec<&str> = vaults.iter().map(String::as_str).collect();
                    format!("{region}: {}", vaults.join(", "))
                })
                .collect();
            let lies = [&system.location.region, &system.location.country];
            let lies: Vec<&str> = lies.into_iter().flatten().map(String::as_str).collect();
            vec![
                system.name.to_string(),
                system.class.clone().unwrap_or_default(),
                lies.join(", "),
                match held.is_empty() {
                    true => "none yet".to_owned(),
                    false => held.join("; "),
                },
            ]
        })
        .collect()
}

fn providers(input: &DocumentInput<'_>) -> Vec<Block> {
    let mut rows = Vec::new();
    for (name, t) in input.named("providers") {
        let systems: Vec<String> = input
            .systems
            .iter()
            .filter(|(_, more)| text(more, "provider") == *name)
            .map(|(system, _)| system.to_string())
            .collect();
        let mut promises = Vec::new();
        if let Some(Value::Table(sla)) = t.get("sla") {
            for key in ["availability", "durability"] {
                let said = text(sla, key);
                if !said.is_empty() {
                    promises.push(format!("{key}: {said} (as promised, not measured)"));
                }
            }
            let (document, reader) = (text(sla, "document"), text(sla, "read_by"));
            if !document.is_empty() {
                promises.push(format!("agreement: {document}"));
            }
            if !reader.is_empty() {
                let next = text(sla, "next_reading");
                let next = match next.is_empty() {
                    true => String::new(),
                    false => format!(", again by {next}"),
                };
                promises.push(format!("read by {reader}{next}"));
            }
        }
        if let Some(Value::Table(all)) = t.get("assurance") {
            for (kind, one) in all {
                if let Value::Table(one) = one {
                    let mut parts = vec![super::words::framework(kind)];
                    parts.extend(
                        ["document", "every"]
                            .map(|k| text(one, k))
                            .into_iter()
                            .filter(|s| !s.is_empty()),
                    );
                    let (reader, until) = (text(one, "read_by"), text(one, "expires"));
                    if !reader.is_empty() {
                        parts.push(format!("read by {reader}"));
                    }
                    if !until.is_empty() {
                        parts.push(format!("good until {until}"));
                    }
                    promises.push(parts.join(", "));
                }
            }
        }
        rows.push(vec![
            name.clone(),
            texts(t, "services").join(", "),
            systems.join(", "),
            promises.join("; "),
        ]);
    }
    if rows.is_empty() {
        return Vec::new();
    }
    vec![
        Block::text("Providers that are relied on:"),
        Block::table(
            &[
                "Provider",
                "What is used of it",
                "Systems",
                "What it promises and attests",
            ],
            rows,
        ),
    ]
}
