//! A simulator of a MongoDB replica set of one member, for tests where no real server can be had.
//!
//! It speaks MongoDB's wire protocol (OP_MSG, and the OP_QUERY of old handshakes) as the primary of a set, and answers as
//! version 7.0 documents. Everything lies in memory and ends with it.
//!
//! # What it is not
//!
//! It was written by public documents of the protocol, the commands and the oplog; **no real server stood beside it.** Where
//! a test passes here, that says that documented behaviour is met, not that a server was tried. In particular:
//!
//! - Filters know `$and $or $nor $not $eq $ne $gt $gte $lt $lte $in $nin $exists $size $mod`, updates
//!   `$set $setOnInsert $unset $inc $push $rename`, aggregation `$match $sort $limit $skip $project $unset $count`,
//!   `$group` with `$sum`, and `$collStats`. Everything else is refused by name, never ignored.
//! - Decimals compare as doubles; collations, text, geography, partial indexes and the size of capped collections are kept
//!   as declarations and not kept to, as are validators. Time-series collections and change streams are refused.
//! - Nothing is looked up by an index but `_id`. A query without a sort reads the collection as it is at each batch, as the
//!   server does; one with a sort, as it was when it was opened.
//! - A transaction reads as of its beginning. Whoever changes the same afterwards makes its commit fail; nobody waits for it.
//!   Collections that it makes are made at once.
//! - There is one member, so everything is committed by a majority at once, and read concern `majority` is `local`.
//! - Users have built-in roles only, of which it knows `root`, `backup`, `restore`, `read`, `readWrite`, the latter two for any
//!   database, and `clusterMonitor`, by rights that are coarser than the server's. The only mechanism is SCRAM-SHA-256.
//! - No TLS, no compression; checksums of messages are not looked at. `dbHash` tells contents apart, by digests of its own.
//!
//! # What a test may do to it
//!
//! The command `simulate`, on `admin`, with a document of any of: `rollOplog: n` (the oldest entries are forgotten),
//! `rollback: n` (the newest are undone, and it goes on in a new term), `newTerm: true`, `stepDown: ms` (a secondary for so
//! long, then primary of a new term), `freeze: ms` (nothing is answered), `refuse: "find", code: n, times: n`,
//! `dropConnections: true` (all but this one), `killCursors: true`.

// It stands in for a server: it takes connections, reads the clock, and runs until it is ended.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod change;
mod commands;
mod cursor;
mod diff;
mod fault;
mod filter;
mod order;
mod records;
mod server;
mod session;
mod stand_in;
mod state;
mod wire;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

pub use bson::{Document, doc};
pub use stand_in::{mongod_in, stand_in_for_mongod};

use commands::sasl::Role;
use server::Listeners;
use state::{Change, Limits, State};

/// How a simulator is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address that it listens on: the loopback unless said.
    pub bind: IpAddr,
    /// The port; 0, which is usual, takes a free one.
    pub port: u16,
    /// Whether it listens on the address at all.
    pub tcp: bool,
    /// A socket that it listens on too.
    pub socket: Option<PathBuf>,
    /// A directory in which it listens on `mongodb-PORT.sock`, as `mongod` does in `/tmp`.
    pub socket_dir: Option<PathBuf>,
    /// The name of the set.
    pub set: String,
    /// How many entries the oplog holds.
    pub oplog: usize,
    /// For how many of the newest entries earlier moments can be read.
    pub history: usize,
    /// Users in `admin`. If there are any, nobody does anything without logging in.
    pub users: Vec<NewUser>,
    /// Whether one has to log in even if there are no users yet; then anyone may make the first.
    pub auth: bool,
}

/// A user who is there from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// The name, in the database `admin`.
    pub name: String,
    /// The password.
    pub password: String,
    /// Roles, each as `role@database`; without a database it is `admin`.
    pub roles: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            tcp: true,
            socket: None,
            socket_dir: None,
            set: "rs0".to_owned(),
            oplog: 1_000_000,
            history: 100_000,
            users: Vec::new(),
            auth: false,
        }
    }
}

/// A simulator that runs in this process; ended, with its connections, when the value is dropped.
pub struct Mongo {
    listeners: Listeners,
    port: u16,
    set: String,
    bind: IpAddr,
}

impl Mongo {
    /// Starts one on a free port of the loopback, and on `mongodb-PORT.sock` in `dir`, without users.
    ///
    /// # Panics
    /// If it cannot listen: a test that cannot be set up must stop.
    #[allow(clippy::panic)]
    pub fn start(dir: &Path) -> Self {
        let settings = Settings {
            socket_dir: Some(dir.to_owned()),
            ..Settings::default()
        };
        match Self::with(&settings) {
            Ok(mongo) => mongo,
            Err(error) => panic!("no simulator in {}: {error}", dir.display()),
        }
    }

    /// Starts one as it is described.
    ///
    /// # Errors
    /// If it cannot listen there, or a user is there twice.
    pub fn with(settings: &Settings) -> io::Result<Self> {
        Self::loaded(settings, |_| Ok(()))
    }

    /// The same, with what was there before.
    fn loaded(
        settings: &Settings,
        load: impl FnOnce(&mut State) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut state = State::new(Limits {
            oplog: settings.oplog,
            history: settings.history,
        });
        for user in &settings.users {
            let roles: Vec<Role> = user.roles.iter().map(|role| named(role)).collect();
            commands::add_user(&mut state, &user.name, &user.password, &roles)
                .map_err(|fault| io::Error::other(fault.message))?;
        }
        load(&mut state)?;
        let (listeners, port) = Listeners::start(settings, state)?;
        Ok(Self {
            listeners,
            port,
            set: settings.set.clone(),
            bind: settings.bind,
        })
    }

    /// `mongodb://127.0.0.1:PORT/?replicaSet=rs0`.
    pub fn uri(&self) -> String {
        format!(
            "mongodb://{}/?replicaSet={}",
            self.listeners.server().me,
            self.set
        )
    }

    /// `mongodb://USER:PASSWORD@127.0.0.1:PORT/?replicaSet=rs0&authSource=admin`, for a name and password without signs.
    pub fn uri_of(&self, name: &str, password: &str) -> String {
        let me = &self.listeners.server().me;
        format!(
            "mongodb://{name}:{password}@{me}/?replicaSet={}&authSource=admin",
            self.set
        )
    }

    /// Puts documents into a collection, `database.collection`, without a client; none of them may be there yet.
    ///
    /// # Errors
    /// If the collection cannot be made.
    pub fn put(
        &self,
        namespace: &str,
        documents: impl IntoIterator<Item = bson::Document>,
    ) -> io::Result<()> {
        let mut shared = self.server().lock();
        let made = shared.state.ensure(namespace);
        let uuid = made.map_err(|fault| io::Error::other(fault.message))?.uuid;
        for document in documents {
            let change = Change::insert(namespace, uuid, document);
            shared.state.commit(change.entry.clone(), &[change]);
        }
        Ok(())
    }

    /// How many documents a collection has; none if it is not there.
    pub fn count(&self, namespace: &str) -> Option<usize> {
        let shared = self.server().lock();
        let collection = shared.state.collection(namespace).ok()?;
        Some(
            shared
                .state
                .records(collection.uuid)
                .map_or(0, records::Records::len),
        )
    }

    fn server(&self) -> &server::Server {
        self.listeners.server()
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address that it listens on.
    pub fn address(&self) -> IpAddr {
        self.bind
    }

    /// How many entries its oplog has.
    pub fn oplog_entries(&self) -> usize {
        self.listeners.server().lock().state.oplog().len()
    }
}

fn named(role: &str) -> Role {
    let (name, database) = role.split_once('@').unwrap_or((role, "admin"));
    Role {
        name: name.to_owned(),
        database: database.to_owned(),
    }
}
