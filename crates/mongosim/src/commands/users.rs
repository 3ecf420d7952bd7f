//! Users and roles: documents of `admin.system.users` and `admin.system.roles`, as in the server.

use std::sync::Arc;

use bson::{Bson, Document, Uuid, doc};

use super::Call;
use super::sasl::{Role, User, credentials};
use crate::fault::{Answer, BAD_VALUE, Fault, NAMESPACE_NOT_FOUND};
use crate::session::View;
use crate::state::{Change, State};

const USERS: &str = "admin.system.users";
const ROLES: &str = "admin.system.roles";
const VERSIONS: &str = "admin.system.version";

/// The document of a user, by `database.name`.
pub(super) fn find(state: &State, id: &str) -> Option<Document> {
    let collection = state.catalog().get(USERS)?;
    let found = state.records(collection.uuid)?.get(&Bson::from(id))?;
    Some(found.as_ref().clone())
}

/// Whether there is no user yet.
pub(super) fn none(state: &State) -> bool {
    all(state, USERS).is_empty()
}

fn all(state: &State, namespace: &str) -> Vec<Arc<Document>> {
    match state.catalog().get(namespace) {
        None => Vec::new(),
        Some(collection) => View::now(state)
            .scan(collection.uuid, None)
            .into_iter()
            .map(|(_, d)| d)
            .collect(),
    }
}

/// What a user's document says of who it is.
pub(super) fn user(document: &Document) -> User {
    let text =
        |document: &Document, name: &str| document.get_str(name).unwrap_or_default().to_owned();
    let roles = document.get_array("roles").cloned().unwrap_or_default();
    User {
        name: text(document, "user"),
        database: text(document, "db"),
        roles: roles
            .iter()
            .filter_map(Bson::as_document)
            .map(|role| Role {
                name: text(role, "role"),
                database: text(role, "db"),
            })
            .collect(),
    }
}

/// Makes a user, and what says by which schema users are written.
pub(crate) fn add(
    state: &mut State,
    database: &str,
    name: &str,
    password: &str,
    roles: &[Role],
) -> Result<(), Fault> {
    let id = format!("{database}.{name}");
    if find(state, &id).is_some() {
        return Err(Fault::new(
            51003,
            format!("User \"{name}@{database}\" already exists"),
        ));
    }
    let versions = state.ensure(VERSIONS)?.uuid;
    if View::now(state)
        .get(versions, &Bson::from("authSchema"))
        .is_none()
    {
        let version = doc! { "_id": "authSchema", "currentVersion": 5 };
        put(state, Change::insert(VERSIONS, versions, version));
    }
    let roles: Vec<Bson> = roles
        .iter()
        .map(|role| Bson::Document(role.document()))
        .collect();
    let user = doc! {
        "_id": id, "userId": Uuid::new(), "user": name, "db": database,
        "credentials": credentials(password), "roles": roles,
    };
    let users = state.ensure(USERS)?.uuid;
    put(state, Change::insert(USERS, users, user));
    Ok(())
}

fn put(state: &mut State, change: Change) {
    state.commit(change.entry.clone(), &[change]);
}

pub(super) fn create(call: &Call<'_>) -> Answer {
    let wrong = |what: &str| Fault::new(BAD_VALUE, format!("createUser needs {what}"));
    let name = call
        .body
        .get_str("createUser")
        .map_err(|_| wrong("a name"))?;
    let password = call.body.get_str("pwd").map_err(|_| wrong("a password"))?;
    let roles = call.body.get_array("roles").map_err(|_| wrong("roles"))?;
    let roles: Vec<Role> = roles
        .iter()
        .map(|role| named(role, call.database))
        .collect::<Option<_>>()
        .ok_or_else(|| wrong("roles"))?;
    add(
        &mut call.server.lock().state,
        call.database,
        name,
        password,
        &roles,
    )?;
    call.server.wake();
    Ok(Document::new())
}

fn named(role: &Bson, database: &str) -> Option<Role> {
    match role {
        Bson::String(name) => Some(Role {
            name: name.clone(),
            database: database.to_owned(),
        }),
        Bson::Document(role) => Some(Role {
            name: role.get_str("role").ok()?.to_owned(),
            database: role.get_str("db").unwrap_or(database).to_owned(),
        }),
        _ => None,
    }
}

pub(super) fn drop_user(call: &Call<'_>) -> Answer {
    let name = call.body.get_str("dropUser").unwrap_or_default();
    let id = format!("{}.{name}", call.database);
    let mut shared = call.server.lock();
    if find(&shared.state, &id).is_none() {
        return Err(Fault::new(
            11,
            format!("User '{name}@{}' not found", call.database),
        ));
    }
    let users = shared.state.collection(USERS)?.uuid;
    put(
        &mut shared.state,
        Change::delete(USERS, users, Bson::from(id)),
    );
    call.server.wake();
    Ok(Document::new())
}

pub(super) fn users_info(call: &Call<'_>) -> Answer {
    let state = &call.server.lock().state;
    let shown = all(state, USERS).into_iter().filter_map(|document| {
        let wanted = match call.body.get("usersInfo") {
            Some(Bson::String(name)) => {
                document.get_str("_id").ok() == Some(&format!("{}.{name}", call.database))
            }
            Some(Bson::Document(of)) if of.contains_key("forAllDBs") => true,
            Some(Bson::Document(of)) => {
                of.get("user") == document.get("user") && of.get("db") == document.get("db")
            }
            Some(Bson::Array(several)) => several.iter().any(|one| match one {
                Bson::Document(of) => {
                    of.get("user") == document.get("user") && of.get("db") == document.get("db")
                }
                one => Some(one) == document.get("user"),
            }),
            _ => document.get_str("db").ok() == Some(call.database),
        };
        wanted.then(|| {
            let mut out = document.as_ref().clone();
            let mechanisms: Vec<Bson> = out
                .get_document("credentials")
                .map(|all| all.keys().cloned().map(Bson::from).collect())
                .unwrap_or_default();
            if !call.flag("showCredentials") {
                out.remove("credentials");
            }
            out.insert("mechanisms", mechanisms);
            Bson::Document(out)
        })
    });
    Ok(doc! { "users": shown.collect::<Vec<Bson>>() })
}

pub(super) fn roles_info(call: &Call<'_>) -> Answer {
    let state = &call.server.lock().state;
    let own = all(state, ROLES)
        .into_iter()
        .filter(|role| role.get_str("db").ok() == Some(call.database));
    let roles: Vec<Bson> = own
        .map(|role| Bson::Document(role.as_ref().clone()))
        .collect();
    Ok(doc! { "roles": roles })
}

/// Takes users and roles over from collections into which they were restored.
pub(super) fn merge(call: &Call<'_>) -> Answer {
    let mut shared = call.server.lock();
    let state = &mut shared.state;
    for (field, to) in [
        ("tempUsersCollection", USERS),
        ("tempRolesCollection", ROLES),
    ] {
        let Ok(from) = call.body.get_str(field) else {
            continue;
        };
        if from.is_empty() {
            continue;
        }
        if !state.catalog().contains_key(from) {
            return Err(Fault::new(
                NAMESPACE_NOT_FOUND,
                format!("{from} does not exist"),
            ));
        }
        let new = all(state, from);
        let only = call.body.get_str("db").unwrap_or_default();
        let kept =
            |document: &Document| only.is_empty() || document.get_str("db").ok() == Some(only);
        let uuid = state.ensure(to)?.uuid;
        if call.flag("drop") {
            for old in all(state, to).iter().filter(|old| kept(old)) {
                let id = old.get("_id").cloned().unwrap_or(Bson::Null);
                put(state, Change::delete(to, uuid, id));
            }
        }
        for document in new.iter().filter(|new| kept(new)) {
            let id = document.get("_id").cloned().unwrap_or(Bson::Null);
            let document = document.as_ref().clone();
            match View::now(state).get(uuid, &id) {
                None => put(state, Change::insert(to, uuid, document)),
                Some(_) => put(state, Change::update(to, uuid, document.clone(), document)),
            }
        }
    }
    call.server.wake();
    Ok(Document::new())
}
