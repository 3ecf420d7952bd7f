//! The live database beside whose data tables are brought back.

use vouchsafe_capture::{BesideRequest, CaptureContext, CaptureError};
use vouchsafe_model::Secret;

use super::super::address::Address;
use super::super::login::Login;
use super::super::session::{Session, literal};
use crate::beside::plain_name;

/// Names of PostgreSQL have so many bytes at most.
const LONGEST: usize = 63;

/// A database of a server that runs, and the name of the schema that is made in it.
pub(super) struct Target {
    pub(super) login: Login,
    pub(super) address: Address,
    pub(super) into: String,
}

impl Target {
    /// Reads where to. `own` is the source, whose secret opens its own server and no other.
    pub(super) fn open(
        ctx: &CaptureContext<'_>,
        request: &BesideRequest,
        own: &Address,
        password: impl FnOnce() -> Result<Option<Secret>, CaptureError>,
    ) -> Result<Target, CaptureError> {
        plain_name(request, LONGEST)?;
        let refused = |message: String| CaptureError::Target {
            place: request
                .to
                .to_str()
                .map_or_else(String::new, vouchsafe_model::source_url::redact),
            message,
        };
        let to = request.to.to_str().and_then(|to| {
            to.strip_prefix("postgres:")
                .or(to.strip_prefix("postgresql:"))
        });
        let Some(rest) = to else {
            return Err(refused(
                "with --only it must be a database of a server that runs; write postgres://user@host/name"
                    .to_owned(),
            ));
        };
        let address = Address::parse(rest)
            .map_err(|(message, remedy)| refused(format!("{message}; {remedy}")))?;
        if address.database.is_empty() {
            return Err(refused(
                "it names no database; write postgres://user@host/name".to_owned(),
            ));
        }
        if request.into.to_ascii_lowercase().starts_with("pg_")
            || request.into.eq_ignore_ascii_case("information_schema")
        {
            return Err(refused(format!(
                "the server keeps names like `{}` for itself; name another schema by --into",
                request.into
            )));
        }
        let is_own = address.host == own.host && address.user == own.user;
        let password = if is_own { password()? } else { None };
        Ok(Target {
            login: Login::new(ctx, address.clone(), password)?,
            address,
            into: request.into.clone(),
        })
    }

    /// Where the tables go, for people.
    pub(super) fn place(&self) -> String {
        format!("schema {} of {}", self.into, self.address.shown())
    }

    fn refused(&self, message: String) -> CaptureError {
        CaptureError::Target {
            place: self.place(),
            message,
        }
    }

    /// Whether what came from a server of version `major` can be put there without touching anything that is there.
    pub(super) fn demand(&self, major: u32) -> Result<Session, CaptureError> {
        let mut session = self.login.session()?;
        let name = literal(&self.into);
        let there = session.text(&format!(
            "SELECT count(*)::text FROM pg_namespace WHERE nspname = {name}"
        ))?;
        if there != "0" {
            return Err(self.refused(
                "the schema is there already; name one by --into that is not, or drop it first"
                    .to_owned(),
            ));
        }
        let number: u32 = session
            .text("SHOW server_version_num")?
            .parse()
            .unwrap_or_default();
        if number / 10_000 < major {
            return Err(self.refused(format!(
                "the server is of version {}, the point of {major}; a server takes what comes from its own version or an older one",
                number / 10_000
            )));
        }
        let may =
            session.text("SELECT has_database_privilege(current_database(), 'CREATE')::text")?;
        if may != "true" {
            return Err(self.refused(
                "the user may not make a schema there; grant it CREATE on the database, or name another user"
                    .to_owned(),
            ));
        }
        let published = session.rows(
            "SELECT quote_ident(pubname) FROM pg_publication WHERE puballtables ORDER BY 1",
        )?;
        if let Some(Some(publication)) = published.into_iter().flatten().next() {
            return Err(self.refused(format!(
                "the publication {publication} is for all tables, so the new ones would be sent to its subscribers, which do not have them and stop; restore into another database"
            )));
        }
        Ok(session)
    }
}
