//! Commands: who may give them, what they answer, and what stands beside every answer.

mod apply;
mod catalog;
mod handshake;
mod hash;
mod indexes;
mod listing;
mod pipeline;
mod read;
mod rights;
pub(crate) mod sasl;
mod simulate;
mod transaction;
mod users;
mod write;

use std::time::{Duration, Instant};

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, Timestamp, doc};

use crate::fault::{
    Answer, BAD_VALUE, COMMAND_NOT_FOUND, Fault, NOT_PRIMARY, TYPE_MISMATCH, UNAUTHORIZED,
};
use crate::server::{Connection, Server, Shared};
use crate::wire::Request;

/// One command that is being answered.
pub(crate) struct Call<'a> {
    pub(crate) server: &'a Server,
    pub(crate) connection: &'a mut Connection,
    pub(crate) name: &'a str,
    pub(crate) database: &'a str,
    pub(crate) body: &'a Document,
}

/// Answers one command, whatever it is.
pub(crate) fn run(server: &Server, connection: &mut Connection, request: &Request) -> Document {
    let body = &request.body;
    let name = body.keys().next().map_or("", String::as_str);
    let database = body.get_str("$db").unwrap_or("admin");
    if name != "simulate" {
        thaw(server);
    }
    let call = Call {
        server,
        connection,
        name,
        database,
        body,
    };
    let mut reply = match prepared(call, request) {
        Ok(mut reply) => {
            reply.insert("ok", 1.0);
            reply
        }
        Err(fault) => fault.reply(),
    };
    let now = server.lock().state.now();
    for (name, value) in times(now) {
        reply.insert(name, value);
    }
    reply
}

/// What stands in every answer.
fn times(now: Timestamp) -> Document {
    let hash = Binary {
        subtype: BinarySubtype::Generic,
        bytes: vec![0; 20],
    };
    doc! {
        "operationTime": now,
        "$clusterTime": { "clusterTime": now, "signature": { "hash": hash, "keyId": 0_i64 } },
    }
}

/// Waits while nothing is to be answered.
fn thaw(server: &Server) {
    let mut shared = server.lock();
    while let Some(until) = shared.frozen {
        let left = until.saturating_duration_since(Instant::now());
        if left == Duration::ZERO || server.is_ending() {
            shared.frozen = None;
            return;
        }
        shared = server.wait(shared, left);
    }
}

fn prepared(mut call: Call<'_>, request: &Request) -> Answer {
    if request.old
        && !handshake::NAMES.contains(&call.name)
        && call.name != "ping"
        && call.name != "buildInfo"
    {
        let message = format!(
            "Unsupported OP_QUERY command: {}. The client driver may require an upgrade.",
            call.name
        );
        return Err(Fault::new(352, message));
    }
    refuse(&mut call.server.lock(), call.name)?;
    rights::check(&call)?;
    match transaction::is_numbered(&call) {
        true => transaction::run(&mut call),
        false => dispatch(&mut call, None),
    }
}

fn refuse(shared: &mut Shared, name: &str) -> Result<(), Fault> {
    let wanted = shared
        .refusals
        .iter_mut()
        .find(|refusal| refusal.command == name && refusal.left > 0);
    match wanted {
        None => Ok(()),
        Some(refusal) => {
            refusal.left -= 1;
            let fault = Fault::new(refusal.code, format!("'{name}' was to be refused"));
            Err(match refusal.code {
                // Those after which a driver tries again by itself.
                6 | 7 | 89 | 91 | 189 | 9001 | NOT_PRIMARY | 11600 | 11602 | 13435 | 13436 => {
                    fault.labelled("RetryableWriteError")
                }
                _ => fault,
            })
        }
    }
}

/// Answers a command; `open` is the transaction that it belongs to.
fn dispatch(call: &mut Call<'_>, open: Option<&mut crate::session::Transaction>) -> Answer {
    if writes(call.name) {
        must_be_primary(&mut call.server.lock())?;
    }
    match call.name {
        "hello" | "isMaster" | "ismaster" => handshake::hello(call),
        "ping"
        | "endSessions"
        | "logApplicationMessage"
        | "startSession"
        | "refreshSessions"
        | "logout" => Ok(Document::new()),
        "saslStart" => sasl::start(call),
        "saslContinue" => sasl::go_on(call),
        "shutdown" => {
            call.server.shut_down();
            Ok(Document::new())
        }
        "buildInfo" | "buildinfo" => Ok(handshake::build_info()),
        "getParameter" => handshake::get_parameter(call),
        "connectionStatus" => handshake::connection_status(call),
        "getCmdLineOpts" => Ok(handshake::command_line(call)),
        "serverStatus" => Ok(handshake::server_status(call)),
        "hostInfo" => Ok(handshake::host_info()),
        "replSetGetStatus" => Ok(handshake::set_status(call)),
        "replSetGetConfig" => Ok(handshake::set_config(call)),
        "setFeatureCompatibilityVersion" | "fsync" | "fsyncUnlock" | "setParameter" => {
            Ok(Document::new())
        }
        "listDatabases" => listing::databases(call),
        "listCollections" => listing::collections(call),
        "listIndexes" => listing::indexes(call),
        "collStats" | "collstats" => listing::collection_stats(call),
        "dbStats" | "dbstats" => listing::database_stats(call),
        "create" => catalog::create(call),
        "drop" => catalog::drop_collection(call),
        "dropDatabase" => catalog::drop_database(call),
        "renameCollection" => catalog::rename(call),
        "collMod" => catalog::modify(call),
        "createIndexes" => indexes::create(call),
        "dropIndexes" | "deleteIndexes" => indexes::drop_some(call),
        "insert" => write::insert(call, open),
        "update" => write::update(call, open),
        "delete" => write::delete(call, open),
        "findAndModify" | "findandmodify" => write::find_and_modify(call, open),
        "find" => read::find(call, open.as_deref()),
        "getMore" => read::get_more(call),
        "killCursors" => read::kill_cursors(call),
        "count" => read::count(call, open.as_deref()),
        "distinct" => read::distinct(call, open.as_deref()),
        "aggregate" => pipeline::aggregate(call, open.as_deref()),
        "applyOps" => apply::command(call),
        "appendOplogNote" => apply::note(call),
        "dbHash" | "dbhash" => hash::command(call),
        "usersInfo" => users::users_info(call),
        "rolesInfo" => users::roles_info(call),
        "createUser" => users::create(call),
        "dropUser" => users::drop_user(call),
        "_mergeAuthzCollections" => users::merge(call),
        "simulate" => simulate::command(call),
        other => Err(Fault::new(
            COMMAND_NOT_FOUND,
            format!("no such command: '{other}'"),
        )),
    }
}

fn writes(name: &str) -> bool {
    const WRITES: &[&str] = &[
        "insert",
        "update",
        "delete",
        "findAndModify",
        "findandmodify",
        "create",
        "drop",
        "dropDatabase",
        "renameCollection",
        "collMod",
        "createIndexes",
        "dropIndexes",
        "deleteIndexes",
        "applyOps",
        "appendOplogNote",
        "createUser",
        "dropUser",
        "_mergeAuthzCollections",
        "commitTransaction",
    ];
    WRITES.contains(&name)
}

fn must_be_primary(shared: &mut Shared) -> Result<(), Fault> {
    if is_primary(shared) {
        return Ok(());
    }
    Err(Fault::new(NOT_PRIMARY, "not primary").labelled("RetryableWriteError"))
}

/// Whether it is primary, and becomes it again when its time as a secondary is over.
fn is_primary(shared: &mut Shared) -> bool {
    match shared.stepped_down {
        Some(until) if Instant::now() < until => false,
        Some(_) => {
            shared.stepped_down = None;
            shared.state.new_term();
            true
        }
        None => true,
    }
}

impl Call<'_> {
    /// The collection that the command is about, with its database.
    pub(crate) fn namespace(&self) -> Result<String, Fault> {
        match self.body.get(self.name) {
            Some(Bson::String(name)) if !name.is_empty() => Ok(format!("{}.{name}", self.database)),
            _ => Err(Fault::new(
                crate::fault::INVALID_NAMESPACE,
                format!(
                    "collection name for '{}' has an invalid type or is empty",
                    self.name
                ),
            )),
        }
    }

    /// Only `admin` takes this command.
    pub(crate) fn only_admin(&self) -> Result<(), Fault> {
        match self.database {
            "admin" => Ok(()),
            _ => Err(Fault::new(
                UNAUTHORIZED,
                format!("{} may only be run against the admin database.", self.name),
            )),
        }
    }

    /// A number of the command, if it is there.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.body.get(name).and_then(whole)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.body.get(name).is_some_and(crate::filter::truth)
    }

    /// A document of the command; empty if it is not there.
    pub(crate) fn document(&self, name: &str) -> Result<Document, Fault> {
        match self.body.get(name) {
            None | Some(Bson::Null) => Ok(Document::new()),
            Some(Bson::Document(document)) => Ok(document.clone()),
            Some(_) => Err(Fault::new(
                TYPE_MISMATCH,
                format!(
                    "BSON field '{}.{name}' is the wrong type, expected type 'object'",
                    self.name
                ),
            )),
        }
    }

    /// The documents of the command's array.
    pub(crate) fn documents(&self, name: &str) -> Result<Vec<&Document>, Fault> {
        let array = self.body.get_array(name).map_err(|_| {
            Fault::new(
                BAD_VALUE,
                format!(
                    "BSON field '{}.{name}' is missing but a required field",
                    self.name
                ),
            )
        })?;
        array
            .iter()
            .map(|one| {
                one.as_document().ok_or_else(|| {
                    Fault::new(
                        TYPE_MISMATCH,
                        format!("'{name}' has something that is no document"),
                    )
                })
            })
            .collect()
    }
}

/// A whole number, in whichever type clients send it.
pub(crate) fn whole(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(n) => Some(i64::from(*n)),
        Bson::Int64(n) => Some(*n),
        Bson::Double(n) => Some(*n as i64),
        _ => None,
    }
}

/// A count from a client; what is negative is none.
pub(crate) fn size(number: Option<i64>) -> Option<usize> {
    number.and_then(|n| usize::try_from(n).ok())
}

/// Makes a user in `admin`.
pub(crate) fn add_user(
    state: &mut crate::state::State,
    name: &str,
    password: &str,
    roles: &[sasl::Role],
) -> Result<(), Fault> {
    users::add(state, "admin", name, password, roles)
}
