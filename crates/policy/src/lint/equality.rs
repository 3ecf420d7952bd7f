//! Whether a restored moment can be held against another copy, where drills are to do so.

use vouchsafe_model::policy::Way;
use vouchsafe_model::{EqualityRule, SourceKind, SourceUrl, VaultPlace};

use crate::lint::Lint;
use crate::lint::protections::Subject;
use crate::problem::Level::{Error, Warning};

impl Lint<'_> {
    pub(super) fn equality(&mut self, subject: &Subject<'_>) {
        let protection = subject.protection;
        let id = &protection.id;
        let asked = protection.drill.as_ref();
        if asked.is_none_or(|drill| drill.equality.is_none()) {
            return;
        }
        if protection.equality().is_none() {
            let message = format!(
                "moments of {id} are not held against another copy, although its drill says so: \
                 this is done for whole servers of PostgreSQL, MariaDB and MySQL"
            );
            let remedy = "take equality out of this one's drill, or give it a plan of its own";
            self.about(subject, Warning, "P194", "drill", message, remedy);
            return;
        }
        if protection.ships_log_every().is_none() {
            let message = format!(
                "the drill of {id} is to hold moments against another copy, and no log leads to any moment"
            );
            let remedy = "write logs: { every: 5s, keep: 7 days }, or take equality out";
            self.about(subject, Error, "P194", "drill", message, remedy);
            return;
        }
        if let Some(EqualityRule::Standby(standby)) = protection.equality() {
            self.standby(subject, standby);
            return;
        }
        let mut vaults = self.vaults_of(subject);
        vaults.retain(|v| VaultPlace::parse(&v.url).is_ok_and(|place| place.holds_record()));
        if vaults.len() < 2 {
            let held = match vaults.first() {
                Some(only) => format!("only {} holds its log", only.name),
                None => "no vault holds its log".to_owned(),
            };
            let message =
                format!("the drill of {id} is to hold moments against another copy, and {held}");
            let remedy = "name another vault that holds logs under copies, or take equality out";
            self.about(subject, Error, "P193", "drill", message, remedy);
        }
    }

    fn standby(&mut self, subject: &Subject<'_>, standby: &SourceUrl) {
        let id = &subject.protection.id;
        let Way::Capture(own) = &subject.protection.way else {
            return;
        };
        let (message, remedy) = if *own.kind() != SourceKind::Postgres {
            (
                format!("{id} is no PostgreSQL server, and {standby} can be no standby of it"),
                "write equality: copies, or take it out",
            )
        } else if own == standby {
            (
                format!("{standby} is the server of {id} itself, and no standby of it"),
                "name a standby, or write equality: copies",
            )
        } else {
            return;
        };
        self.about(subject, Error, "P195", "drill", message, remedy);
    }
}
