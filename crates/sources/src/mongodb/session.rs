//! Our own connection to a server: commands, and documents as the server stores them.

use std::cell::Cell;
use std::time::Duration;

use mongodb::bson::{Bson, Document, RawDocumentBuf, Timestamp, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{SessionOptions, WriteConcern};
use mongodb::{Client, ClientSession, SessionCursor};
use tokio::runtime::{Builder, Runtime};
use vouchsafe_capture::CaptureError;
use vouchsafe_model::Secret;

use super::address::{Address, Tls};

/// One connection. Dropping it ends what it had begun.
pub(super) struct Session {
    runtime: Runtime,
    client: Client,
    /// What documents are read in: at one moment, if one was set.
    reads: Option<ClientSession>,
    /// The documents that are being read.
    cursor: Option<SessionCursor<RawDocumentBuf>>,
    shown: String,
    tls: Tls,
    /// The number of the last error that the server told.
    code: Cell<Option<i32>>,
    /// How long one portion of documents may take.
    portion: Duration,
}

/// The server's number for what a user may not do.
const UNAUTHORIZED: i32 = 13;
/// How long a server may take to answer a command.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to be found.
const FIND: Duration = Duration::from_secs(10);
/// How long it may take for one portion of documents, or to take one.
const PORTION: Duration = Duration::from_secs(600);

/// What a server says of itself.
#[derive(Debug)]
pub(super) struct Hello {
    /// The replica set that it is a member of.
    pub(super) replica_set: Option<String>,
    /// Whether it takes writes.
    pub(super) is_writable: bool,
    /// Whether it stands before the shards of a cluster.
    pub(super) is_router: bool,
    /// The newest moment that it knows; members of replica sets only.
    pub(super) now: Option<Timestamp>,
}

impl Session {
    /// Connects. A server that cannot be reached or does not let the user in is an error.
    pub(super) fn open(
        address: &Address,
        password: Option<&Secret>,
    ) -> Result<Session, CaptureError> {
        let shown = address.shown();
        let text = password.map(|p| std::str::from_utf8(p.expose()).map(str::to_owned));
        let text = text.transpose();
        let text =
            text.map_err(|_| unreadable(&shown, "the password is not UTF-8", "set another one"))?;
        let mut options = address.options(text);
        options.connect_timeout = Some(FIND);
        options.server_selection_timeout = Some(FIND);
        // What we send twice could be there twice.
        options.retry_writes = Some(false);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| CaptureError::io("start the connection to", shown.clone(), e))?;
        let client = runtime.block_on(async { Client::with_options(options) });
        let client = client.map_err(|e| failed(&shown, address.tls, &e))?;
        let mut session = Session {
            runtime,
            client,
            reads: None,
            cursor: None,
            shown,
            tls: address.tls,
            code: Cell::new(None),
            portion: PORTION,
        };
        session.command("admin", doc! { "ping": 1 })?;
        Ok(session)
    }

    /// The same, waiting no longer for documents than for the answer to a command.
    #[must_use]
    pub(super) fn impatient(mut self) -> Session {
        self.portion = PATIENCE;
        self
    }

    /// The server, for people.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Runs a command; gives all that it answers.
    pub(super) fn command(
        &mut self,
        db: &str,
        command: Document,
    ) -> Result<Document, CaptureError> {
        let db = self.client.database(db);
        let asked = self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, db.run_command(command).into_future()).await
        });
        self.answered(asked)
    }

    /// The same, for what may take as long as it takes, such as making an index.
    pub(super) fn long_command(
        &mut self,
        db: &str,
        command: Document,
    ) -> Result<Document, CaptureError> {
        let db = self.client.database(db);
        let asked = self.runtime.block_on(db.run_command(command).into_future());
        asked.map_err(|e| self.failed(&e))
    }

    /// Everything that a command with a cursor answers.
    pub(super) fn list(
        &mut self,
        db: &str,
        command: Document,
    ) -> Result<Vec<Document>, CaptureError> {
        let db = self.client.database(db);
        let asked = self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, async {
                let mut cursor = db.run_cursor_command(command).await?;
                let mut out = Vec::new();
                while cursor.advance().await? {
                    out.push(Document::try_from(cursor.current())?);
                }
                Ok(out)
            })
            .await
        });
        self.answered(asked)
    }

    fn answered<T>(
        &self,
        asked: Result<Result<T, Error>, tokio::time::error::Elapsed>,
    ) -> Result<T, CaptureError> {
        match asked {
            Ok(answer) => answer.map_err(|e| self.failed(&e)),
            Err(_) => Err(self.silent()),
        }
    }

    /// What the server says of itself.
    pub(super) fn hello(&mut self) -> Result<Hello, CaptureError> {
        let said = self.command("admin", doc! { "hello": 1 })?;
        let truth = |key: &str| said.get_bool(key).unwrap_or(false);
        Ok(Hello {
            replica_set: said.get_str("setName").ok().map(str::to_owned),
            is_writable: truth("isWritablePrimary") || truth("ismaster"),
            is_router: said.get_str("msg").ok() == Some("isdbgrid"),
            now: said.get_timestamp("operationTime").ok(),
        })
    }

    /// The server's version as it says it, like `7.0.14`.
    pub(super) fn version(&mut self) -> Result<String, CaptureError> {
        let said = self.command("admin", doc! { "buildInfo": 1 })?;
        let version = said.get_str("version").map(str::to_owned);
        version.map_err(|_| {
            unreadable(
                &self.shown,
                "it does not say its version",
                "capture a MongoDB server",
            )
        })
    }

    /// From here on documents are read as they were at this moment.
    pub(super) fn read_at(&mut self, moment: Timestamp) -> Result<(), CaptureError> {
        let options = SessionOptions::builder()
            .snapshot(true)
            .snapshot_time(moment)
            .build();
        let reads = self.session(options)?;
        let _context = self.runtime.enter();
        self.reads = Some(reads);
        Ok(())
    }

    /// From here on documents are read as they are.
    pub(super) fn read_now(&mut self) {
        let _context = self.runtime.enter();
        self.cursor = None;
        self.reads = None;
    }

    fn session(&self, options: SessionOptions) -> Result<ClientSession, CaptureError> {
        let started = self.client.start_session().with_options(options);
        let started = self.runtime.block_on(started.into_future());
        started.map_err(|e| self.failed(&e))
    }

    /// Begins to read the documents of a collection, all or those that fit.
    pub(super) fn begin(
        &mut self,
        db: &str,
        collection: &str,
        filter: Document,
    ) -> Result<(), CaptureError> {
        if self.reads.is_none() {
            let options = SessionOptions::builder().causal_consistency(false).build();
            self.reads = Some(self.session(options)?);
        }
        let Some(reads) = &mut self.reads else {
            return Err(self.silent());
        };
        let collection = self
            .client
            .database(db)
            .collection::<RawDocumentBuf>(collection);
        let longest = self.portion;
        let asked = self.runtime.block_on(async {
            let find = collection.find(filter).no_cursor_timeout(true);
            tokio::time::timeout(longest, find.session(reads).into_future()).await
        });
        self.cursor = Some(self.answered(asked)?);
        Ok(())
    }

    /// Hands `take` the next documents, of about `portion` bytes; false when all have come.
    pub(super) fn some(
        &mut self,
        portion: usize,
        take: &mut dyn FnMut(&[u8]) -> Result<(), CaptureError>,
    ) -> Result<bool, CaptureError> {
        let (Some(cursor), Some(reads)) = (&mut self.cursor, &mut self.reads) else {
            return Ok(false);
        };
        let (shown, tls, longest) = (&self.shown, self.tls, self.portion);
        let asked = self.runtime.block_on(async {
            tokio::time::timeout(longest, async {
                let mut taken = 0;
                while taken < portion {
                    if !cursor
                        .advance(reads)
                        .await
                        .map_err(|e| failed(shown, tls, &e))?
                    {
                        return Ok(false);
                    }
                    let bytes = cursor.current().as_bytes();
                    taken += bytes.len();
                    take(bytes)?;
                }
                Ok(true)
            })
            .await
        });
        let more = asked.map_err(|_| self.silent())??;
        if !more {
            let _context = self.runtime.enter();
            self.cursor = None;
        }
        Ok(more)
    }

    /// Hands `take` every document of a collection that fits.
    pub(super) fn each(
        &mut self,
        db: &str,
        collection: &str,
        filter: Document,
        take: &mut dyn FnMut(&[u8]) -> Result<(), CaptureError>,
    ) -> Result<(), CaptureError> {
        self.begin(db, collection, filter)?;
        while self.some(1 << 20, take)? {}
        Ok(())
    }

    /// Writes documents as they are, past the rules for new ones, and waits until the most members have them.
    pub(super) fn insert(
        &mut self,
        db: &str,
        collection: &str,
        documents: &[RawDocumentBuf],
    ) -> Result<(), CaptureError> {
        let collection = self
            .client
            .database(db)
            .collection::<RawDocumentBuf>(collection);
        let asked = self.runtime.block_on(async {
            let insert = collection
                .insert_many(documents)
                .ordered(true)
                .bypass_document_validation(true)
                .write_concern(WriteConcern::majority());
            tokio::time::timeout(PORTION, insert.into_future()).await
        });
        self.answered(asked).map(drop)
    }

    /// The number of the last error that the server told.
    pub(super) fn told(&self) -> Option<i32> {
        self.code.get()
    }

    /// Whether the last error was that the user may not do this.
    pub(super) fn was_not_allowed(&self) -> bool {
        self.code.get() == Some(UNAUTHORIZED)
    }

    fn failed(&self, error: &Error) -> CaptureError {
        self.code.set(told(error).0);
        failed(&self.shown, self.tls, error)
    }

    fn silent(&self) -> CaptureError {
        let message = "it does not answer any more";
        unreadable(
            &self.shown,
            message,
            "see whether the server or the network hangs",
        )
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What the driver drops it tells the server, by tasks of the runtime.
        let context = self.runtime.enter();
        self.cursor = None;
        self.reads = None;
        let client = self.client.clone();
        drop(context);
        // A server that does not answer is left to notice by itself.
        let _ = self.runtime.block_on(async {
            let over = client.shutdown().immediate(true).into_future();
            tokio::time::timeout(Duration::from_secs(2), over).await
        });
    }
}

/// An error for a server that cannot be read.
pub(super) fn unreadable(
    shown: &str,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> CaptureError {
    CaptureError::Unreadable {
        place: shown.to_owned(),
        message: message.into(),
        remedy: remedy.into(),
    }
}

/// What went wrong, with what to do about it. Codes:
/// <https://www.mongodb.com/docs/manual/reference/error-codes/>.
fn failed(shown: &str, tls: Tls, error: &Error) -> CaptureError {
    let (code, message) = told(error);
    let remedy = match code {
        Some(UNAUTHORIZED) => "grant the user what the guide to databases lists under rights".to_owned(),
        Some(18) => "see that `password:` in the policy is this user's, and ?authSource=".to_owned(),
        Some(239) => {
            "raise the server's minSnapshotHistoryWindowInSeconds above the time that reading all takes".to_owned()
        }
        Some(246) => "a collection was made or altered meanwhile; run it again".to_owned(),
        Some(10107 | 13435) => "name the replica set's primary, or ?replicaSet=NAME".to_owned(),
        Some(121 | 11000) => "see which document it names".to_owned(),
        Some(_) => "see the server's log".to_owned(),
        None if matches!(error.kind.as_ref(), ErrorKind::Authentication { .. }) => {
            "see that `password:` in the policy is this user's, and ?authSource=".to_owned()
        }
        None if is_about_tls(&message) => format!(
            "the connection is {}; name the authority's file in the URL by ?tlsCAFile=PATH",
            tls.word()
        ),
        None if tls == Tls::Disabled => {
            "see that the server runs, that host and port are right, and whether it demands TLS (?tls=true)".to_owned()
        }
        None => "see that the server runs, that host and port are right, and that it speaks TLS".to_owned(),
    };
    unreadable(shown, message, remedy)
}

fn is_about_tls(message: &str) -> bool {
    ["certificate", "TLS", "tls", "invalid peer"]
        .iter()
        .any(|word| message.contains(word))
}

/// The server's own number and words.
fn told(error: &Error) -> (Option<i32>, String) {
    match error.kind.as_ref() {
        ErrorKind::Command(error) => (Some(error.code), error.message.clone()),
        ErrorKind::InsertMany(error) => {
            let first = error
                .write_errors
                .as_ref()
                .and_then(|errors| errors.first());
            let concern = error.write_concern_error.as_ref();
            first
                .map(|error| (Some(error.code), error.message.clone()))
                .or_else(|| concern.map(|error| (Some(error.code), error.message.clone())))
                .unwrap_or_else(|| (None, "it refused documents".to_owned()))
        }
        kind => (None, kind.to_string()),
    }
}

/// A whole number, whatever its kind.
pub(super) fn whole(value: Option<&Bson>) -> Option<i64> {
    match value? {
        Bson::Int32(n) => Some(i64::from(*n)),
        Bson::Int64(n) => Some(*n),
        Bson::Double(n) if n.fract() == 0.0 && n.abs() < 9e15 => format!("{n:.0}").parse().ok(),
        _ => None,
    }
}
