//! What a command answers when it fails: the server's number, its name for it, and words.

use bson::{Bson, Document, doc};

/// A failed command.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub(crate) code: i32,
    pub(crate) message: String,
    pub(crate) labels: Vec<&'static str>,
    /// Further fields of the answer.
    pub(crate) extra: Box<Document>,
}

/// What a command comes to.
pub(crate) type Answer = Result<Document, Fault>;

pub(crate) const BAD_VALUE: i32 = 2;
pub(crate) const FAILED_TO_PARSE: i32 = 9;
pub(crate) const UNAUTHORIZED: i32 = 13;
pub(crate) const TYPE_MISMATCH: i32 = 14;
pub(crate) const AUTHENTICATION_FAILED: i32 = 18;
pub(crate) const ILLEGAL_OPERATION: i32 = 20;
pub(crate) const NAMESPACE_NOT_FOUND: i32 = 26;
pub(crate) const INDEX_NOT_FOUND: i32 = 27;
pub(crate) const CURSOR_NOT_FOUND: i32 = 43;
pub(crate) const NAMESPACE_EXISTS: i32 = 48;
pub(crate) const COMMAND_NOT_FOUND: i32 = 59;
pub(crate) const IMMUTABLE_FIELD: i32 = 66;
pub(crate) const INVALID_OPTIONS: i32 = 72;
pub(crate) const INVALID_NAMESPACE: i32 = 73;
pub(crate) const INDEX_CONFLICT: i32 = 86;
pub(crate) const WRITE_CONFLICT: i32 = 112;
pub(crate) const VIEW_UNSUPPORTED: i32 = 166;
pub(crate) const PLAN_KILLED: i32 = 175;
pub(crate) const NOT_SUPPORTED: i32 = 238;
pub(crate) const SNAPSHOT_TOO_OLD: i32 = 239;
pub(crate) const NO_SUCH_TRANSACTION: i32 = 251;
pub(crate) const CAPPED_POSITION_LOST: i32 = 136;
pub(crate) const NOT_PRIMARY: i32 = 10107;
pub(crate) const DUPLICATE_KEY: i32 = 11000;

impl Fault {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            labels: Vec::new(),
            extra: Box::default(),
        }
    }

    pub(crate) fn labelled(mut self, label: &'static str) -> Self {
        self.labels.push(label);
        self
    }

    /// The answer that a client gets.
    pub(crate) fn reply(self) -> Document {
        let mut reply = *self.extra;
        reply.insert("ok", 0.0);
        reply.insert("errmsg", self.message);
        reply.insert("code", self.code);
        reply.insert("codeName", name(self.code));
        if !self.labels.is_empty() {
            let labels: Vec<Bson> = self.labels.into_iter().map(Bson::from).collect();
            reply.insert("errorLabels", labels);
        }
        reply
    }

    /// The same as one element of `writeErrors`.
    pub(crate) fn write_error(self, index: usize) -> Document {
        let mut error = doc! { "index": number(index), "code": self.code, "errmsg": self.message };
        error.extend(*self.extra);
        error
    }
}

/// A count as the server sends it.
pub(crate) fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// The public name of an error code.
fn name(code: i32) -> &'static str {
    match code {
        1 => "InternalError",
        BAD_VALUE => "BadValue",
        6 => "HostUnreachable",
        FAILED_TO_PARSE => "FailedToParse",
        UNAUTHORIZED => "Unauthorized",
        TYPE_MISMATCH => "TypeMismatch",
        AUTHENTICATION_FAILED => "AuthenticationFailed",
        ILLEGAL_OPERATION => "IllegalOperation",
        NAMESPACE_NOT_FOUND => "NamespaceNotFound",
        INDEX_NOT_FOUND => "IndexNotFound",
        CURSOR_NOT_FOUND => "CursorNotFound",
        NAMESPACE_EXISTS => "NamespaceExists",
        50 => "MaxTimeMSExpired",
        COMMAND_NOT_FOUND => "CommandNotFound",
        IMMUTABLE_FIELD => "ImmutableField",
        INVALID_OPTIONS => "InvalidOptions",
        INVALID_NAMESPACE => "InvalidNamespace",
        INDEX_CONFLICT => "IndexKeySpecsConflict",
        91 => "ShutdownInProgress",
        WRITE_CONFLICT => "WriteConflict",
        CAPPED_POSITION_LOST => "CappedPositionLost",
        VIEW_UNSUPPORTED => "CommandNotSupportedOnView",
        PLAN_KILLED => "QueryPlanKilled",
        189 => "PrimarySteppedDown",
        NOT_SUPPORTED => "NotImplemented",
        SNAPSHOT_TOO_OLD => "SnapshotTooOld",
        NO_SUCH_TRANSACTION => "NoSuchTransaction",
        NOT_PRIMARY => "NotWritablePrimary",
        DUPLICATE_KEY => "DuplicateKey",
        334 => "MechanismUnavailable",
        352 => "UnsupportedOpQueryCommand",
        11600 => "InterruptedAtShutdown",
        11602 => "InterruptedDueToReplStateChange",
        13435 => "NotPrimaryNoSecondaryOk",
        _ => "UnknownError",
    }
}
