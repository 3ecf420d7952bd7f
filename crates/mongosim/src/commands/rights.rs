//! Who may give which command: the built-in roles that a backup and its tests need, and no others.

use bson::Bson;

use super::Call;
use super::sasl::Role;
use crate::fault::{Fault, UNAUTHORIZED};

/// What anybody may do before logging in.
const FREE: &[&str] = &[
    "hello",
    "isMaster",
    "ismaster",
    "ping",
    "saslStart",
    "saslContinue",
    "buildInfo",
    "buildinfo",
    "connectionStatus",
    "logout",
    "endSessions",
    "simulate",
];
/// What needs only a user.
const ANY_USER: &[&str] = &[
    "getMore",
    "killCursors",
    "commitTransaction",
    "abortTransaction",
    "listDatabases",
    "refreshSessions",
    "startSession",
];
const READ: &[&str] = &[
    "find",
    "count",
    "distinct",
    "aggregate",
    "listCollections",
    "listIndexes",
    "collStats",
    "dbStats",
    "dbHash",
];
const WRITE: &[&str] = &[
    "insert",
    "update",
    "delete",
    "findAndModify",
    "create",
    "drop",
    "createIndexes",
    "dropIndexes",
    "renameCollection",
    "collMod",
];
const BACKUP: &[&str] = &[
    "find",
    "count",
    "distinct",
    "aggregate",
    "listCollections",
    "listIndexes",
    "collStats",
    "appendOplogNote",
    "getParameter",
    "serverStatus",
    "usersInfo",
    "rolesInfo",
];
const RESTORE: &[&str] = &[
    "insert",
    "update",
    "delete",
    "create",
    "drop",
    "createIndexes",
    "dropIndexes",
    "collMod",
    "renameCollection",
    "dropDatabase",
    "listCollections",
    "listIndexes",
    "getParameter",
    "usersInfo",
    "rolesInfo",
    "createUser",
    "dropUser",
    "_mergeAuthzCollections",
];
const CLUSTER: &[&str] = &[
    "replSetGetStatus",
    "replSetGetConfig",
    "serverStatus",
    "getParameter",
    "getCmdLineOpts",
    "hostInfo",
    "appendOplogNote",
];

/// Further commands that need a right.
const OTHERS: &[&str] = &[
    "applyOps",
    "setFeatureCompatibilityVersion",
    "setParameter",
    "fsync",
    "fsyncUnlock",
    "deleteIndexes",
    "findandmodify",
    "collstats",
    "dbstats",
    "dbhash",
    "logApplicationMessage",
];

/// Whether there is such a command: of others is said that they are not known, whoever asks.
fn is_known(command: &str) -> bool {
    [READ, WRITE, BACKUP, RESTORE, CLUSTER, ANY_USER, OTHERS]
        .iter()
        .any(|some| some.contains(&command))
}

/// Refuses what the user has no right to.
pub(super) fn check(call: &Call<'_>) -> Result<(), Fault> {
    if !call.server.auth || FREE.contains(&call.name) || !is_known(call.name) {
        return Ok(());
    }
    let Some(user) = &call.connection.user else {
        // Whoever comes first may make the first user.
        if call.name == "createUser" && super::users::none(&call.server.lock().state) {
            return Ok(());
        }
        return Err(Fault::new(
            UNAUTHORIZED,
            format!("Command {} requires authentication", call.name),
        ));
    };
    let collection = match call.body.get(call.name) {
        Some(Bson::String(name)) => name.as_str(),
        _ => "",
    };
    let allowed = ANY_USER.contains(&call.name)
        || user
            .roles
            .iter()
            .any(|role| allows(role, call.name, call.database, collection));
    match allowed {
        true => Ok(()),
        false => Err(Fault::new(
            UNAUTHORIZED,
            format!(
                "not authorized on {} to execute command {{ {}: ... }}",
                call.database, call.name
            ),
        )),
    }
}

fn allows(role: &Role, command: &str, database: &str, collection: &str) -> bool {
    let own = role.database == database;
    let system = collection.starts_with("system.");
    let any = role.database == "admin";
    match role.name.as_str() {
        "root" | "__system" => true,
        "read" => own && READ.contains(&command) && (!system || collection == "system.js"),
        "readWrite" => {
            own && (READ.contains(&command) || WRITE.contains(&command))
                && (!system || collection == "system.js")
        }
        "readAnyDatabase" => {
            any && READ.contains(&command) && !["local", "config"].contains(&database) && !system
        }
        "readWriteAnyDatabase" => {
            any && (READ.contains(&command) || WRITE.contains(&command))
                && !["local", "config"].contains(&database)
                && !system
        }
        "backup" => any && BACKUP.contains(&command),
        "restore" => any && RESTORE.contains(&command),
        "clusterMonitor" => {
            any && (CLUSTER.contains(&command)
                || ["collStats", "dbStats", "listDatabases"].contains(&command))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, database: &str) -> Role {
        Role {
            name: name.to_owned(),
            database: database.to_owned(),
        }
    }

    #[test]
    fn each_role_has_its_rights_and_no_others() {
        let backup = role("backup", "admin");
        assert!(allows(&backup, "find", "local", "oplog.rs"));
        assert!(allows(&backup, "find", "admin", "system.users"));
        assert!(
            !allows(&backup, "insert", "shop", "a") && !allows(&backup, "applyOps", "admin", "")
        );
        let read = role("read", "shop");
        assert!(allows(&read, "find", "shop", "a") && !allows(&read, "find", "other", "a"));
        assert!(
            !allows(&read, "insert", "shop", "a") && !allows(&read, "find", "shop", "system.users")
        );
        assert!(allows(&role("readWrite", "shop"), "insert", "shop", "a"));
        assert!(allows(&role("root", "admin"), "applyOps", "admin", ""));
        assert!(!allows(&role("none", "admin"), "find", "admin", "a"));
    }
}
