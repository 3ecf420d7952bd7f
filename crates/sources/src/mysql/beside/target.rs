//! The live server beside whose data tables are brought back.

use vouchsafe_capture::{BesideRequest, CaptureContext, CaptureError};
use vouchsafe_host::machine;
use vouchsafe_model::Secret;

use super::super::about::About;
use super::super::address::Address;
use super::super::login::Login;
use super::super::programs::Product;
use super::super::restore::running;
use super::super::session::{Session, literal};
use crate::beside::plain_name;

/// Names of these servers have so many characters at most.
const LONGEST: usize = 64;

/// A server that runs, and the name of the database that is made in it.
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
        let Some(rest) = running(&request.to) else {
            return Err(refused(
                "with --only it must be a server that runs; write mysql://user@host/name"
                    .to_owned(),
            ));
        };
        let address = Address::parse(rest)
            .map_err(|(message, remedy)| refused(format!("{message}; {remedy}")))?;
        let password = if address.same_server(own) && address.user == own.user {
            password()?
        } else {
            machine::env_var("MYSQL_PWD").map(|text| Secret::new(text.into_encoded_bytes()))
        };
        Ok(Target {
            login: Login::new(ctx, address.clone(), password)?,
            address,
            into: request.into.clone(),
        })
    }

    /// The server without its database, for people.
    pub(super) fn server(&self) -> String {
        let server = Address {
            database: String::new(),
            ..self.address.clone()
        };
        server.shown()
    }

    /// Where the tables go, for people.
    pub(super) fn place(&self) -> String {
        format!("database {} of {}", self.into, self.server())
    }

    pub(super) fn refused(&self, message: impl Into<String>) -> CaptureError {
        CaptureError::Target {
            place: self.place(),
            message: message.into(),
        }
    }

    /// Whether what came from this product can be put there without touching anything that is there.
    pub(super) fn demand(&self, product: Product) -> Result<Session, CaptureError> {
        let mut session = self.login.session()?;
        let there = About::ask(&mut session, &self.server(), "")?;
        if there.product != product {
            return Err(self.refused(format!(
                "it is {}, the point is of {}: their dumps differ",
                there.product.name(),
                product.name()
            )));
        }
        let found = session.optional(&format!(
            "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}",
            literal(&self.into)
        ))?;
        if found.is_some() {
            return Err(self.refused(
                "the database is there already; name one by --into that is not, or drop it first",
            ));
        }
        Ok(session)
    }
}
