//! What clients ask a server about itself.

use bson::{Bson, DateTime, Document, doc};

use super::{Call, is_primary, sasl, users};
use crate::fault::{Answer, Fault, INVALID_OPTIONS};
use crate::state::stamp;

/// The names of the command that begins a connection.
pub(super) const NAMES: [&str; 3] = ["hello", "isMaster", "ismaster"];
const VERSION: &str = "7.0.14";
const FEATURES: &str = "7.0";

pub(super) fn hello(call: &mut Call<'_>) -> Answer {
    let mut shared = call.server.lock();
    let primary = is_primary(&mut shared);
    let now = shared.state.now();
    let term = shared.state.term;
    let written = shared
        .state
        .oplog()
        .back()
        .and_then(|entry| entry.get_datetime("wall").ok().copied());
    drop(shared);
    let written = written.unwrap_or_else(DateTime::now);
    let me = call.server.me.as_str();
    let optime = doc! { "ts": now, "t": term };
    let mut reply = doc! {
        "helloOk": true,
        "hosts": [me],
        "setName": call.server.set.as_str(),
        "setVersion": 1,
        "secondary": !primary,
        "me": me,
        "lastWrite": {
            "opTime": optime.clone(), "lastWriteDate": written, "majorityOpTime": optime, "majorityWriteDate": written,
        },
        "maxBsonObjectSize": 16 * 1024 * 1024,
        "maxMessageSizeBytes": 48_000_000,
        "maxWriteBatchSize": 100_000,
        "localTime": DateTime::now(),
        "logicalSessionTimeoutMinutes": 30,
        "connectionId": i32::try_from(call.connection.number).unwrap_or(i32::MAX),
        "minWireVersion": 0,
        "maxWireVersion": 21,
        "readOnly": false,
    };
    reply.insert(
        if call.name == "hello" {
            "isWritablePrimary"
        } else {
            "ismaster"
        },
        primary,
    );
    if primary {
        reply.insert("primary", me);
    }
    if let Ok(user) = call.body.get_str("saslSupportedMechs") {
        let known = users::find(&call.server.lock().state, user).is_some();
        if known {
            reply.insert("saslSupportedMechs", vec![Bson::from(sasl::MECHANISM)]);
        }
    }
    if let Ok(begun) = call.body.get_document("speculativeAuthenticate") {
        // Whoever guesses wrong learns it when they log in.
        if let Ok(answer) = sasl::begin(call.server, call.connection, begun) {
            reply.insert("speculativeAuthenticate", answer);
        }
    }
    Ok(reply)
}

pub(super) fn build_info() -> Document {
    doc! {
        "version": VERSION,
        "versionArray": [7, 0, 14, 0],
        "gitVersion": "mongosim",
        "modules": [],
        "bits": 64,
        "debug": false,
        "maxBsonObjectSize": 16 * 1024 * 1024,
        "storageEngines": ["wiredTiger"],
    }
}

pub(super) fn get_parameter(call: &Call<'_>) -> Answer {
    let all = match call.body.get("getParameter") {
        Some(Bson::String(all)) => all == "*",
        _ => false,
    };
    let mut known = doc! {
        "featureCompatibilityVersion": { "version": FEATURES },
        "authSchemaVersion": 5,
        "authenticationMechanisms": [sasl::MECHANISM],
        "transactionLifetimeLimitSeconds": 60,
        "minSnapshotHistoryWindowInSeconds": 300,
        "enableTestCommands": false,
    };
    if !all {
        let wanted: Vec<String> = known
            .keys()
            .filter(|name| call.body.contains_key(name))
            .cloned()
            .collect();
        known = known
            .into_iter()
            .filter(|(name, _)| wanted.contains(name))
            .collect();
    }
    match known.is_empty() {
        true => Err(Fault::new(INVALID_OPTIONS, "no option found to get")),
        false => Ok(known),
    }
}

pub(super) fn connection_status(call: &Call<'_>) -> Answer {
    let (mut names, mut roles) = (Vec::new(), Vec::new());
    if let Some(user) = &call.connection.user {
        names.push(Bson::Document(
            doc! { "user": &user.name, "db": &user.database },
        ));
        roles.extend(
            user.roles
                .iter()
                .map(|role| Bson::Document(role.document())),
        );
    }
    let mut info = doc! { "authenticatedUsers": names, "authenticatedUserRoles": roles };
    if call.flag("showPrivileges") {
        info.insert("authenticatedUserPrivileges", Vec::<Bson>::new());
    }
    Ok(doc! { "authInfo": info })
}

pub(super) fn command_line(call: &Call<'_>) -> Document {
    let mut parsed = doc! { "replication": { "replSetName": call.server.set.as_str() } };
    if call.server.auth {
        parsed.insert("security", doc! { "authorization": "enabled" });
    }
    doc! { "argv": ["mongod", "--replSet", call.server.set.as_str()], "parsed": parsed }
}

pub(super) fn server_status(call: &Call<'_>) -> Document {
    let shared = call.server.lock();
    let oplog = shared.state.oplog();
    doc! {
        "host": call.server.me.as_str(),
        "version": VERSION,
        "process": "mongod",
        "pid": i64::from(std::process::id()),
        "localTime": DateTime::now(),
        "storageEngine": { "name": "wiredTiger", "supportsCommittedReads": true, "persistent": false },
        "repl": { "setName": call.server.set.as_str(), "me": call.server.me.as_str(), "rbid": 1 },
        "oplogTruncation": { "entries": crate::fault::number(oplog.len()) },
    }
}

pub(super) fn host_info() -> Document {
    doc! { "system": { "currentTime": DateTime::now(), "hostname": "localhost", "cpuArch": "x86_64" }, "os": { "type": "Linux" } }
}

pub(super) fn set_status(call: &Call<'_>) -> Document {
    let mut shared = call.server.lock();
    let primary = is_primary(&mut shared);
    let state = &shared.state;
    let optime = doc! { "ts": state.now(), "t": state.term };
    let wall = state
        .oplog()
        .back()
        .and_then(|entry| entry.get_datetime("wall").ok().copied());
    let wall = wall.unwrap_or_else(DateTime::now);
    let begun = state
        .oplog()
        .front()
        .map_or(state.now(), |entry| stamp(entry));
    let (number, name) = if primary {
        (1, "PRIMARY")
    } else {
        (2, "SECONDARY")
    };
    doc! {
        "set": call.server.set.as_str(),
        "date": DateTime::now(),
        "myState": number,
        "term": state.term,
        "heartbeatIntervalMillis": 2000_i64,
        "majorityVoteCount": 1,
        "writeMajorityCount": 1,
        "votingMembersCount": 1,
        "writableVotingMembersCount": 1,
        "optimes": {
            "lastCommittedOpTime": optime.clone(), "lastCommittedWallTime": wall,
            "readConcernMajorityOpTime": optime.clone(),
            "appliedOpTime": optime.clone(), "durableOpTime": optime.clone(),
            "lastAppliedWallTime": wall, "lastDurableWallTime": wall,
        },
        "lastStableRecoveryTimestamp": begun,
        "members": [{
            "_id": 0, "name": call.server.me.as_str(), "health": 1.0, "state": number, "stateStr": name,
            "uptime": 1, "optime": optime, "optimeDate": wall, "configVersion": 1, "configTerm": state.term, "self": true,
        }],
    }
}

pub(super) fn set_config(call: &Call<'_>) -> Document {
    let term = call.server.lock().state.term;
    doc! { "config": {
        "_id": call.server.set.as_str(), "version": 1, "term": term, "protocolVersion": 1_i64,
        "members": [{ "_id": 0, "host": call.server.me.as_str(), "priority": 1.0, "votes": 1 }],
    }}
}
