//! Telling people by mail what the record says that they are told.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{SmtpConnection, TlsParameters, TlsVersion};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message};
use vouchsafe_host::{machine, secret};
use vouchsafe_model::alert::NotMailed;
use vouchsafe_model::fact::Fact;
use vouchsafe_model::incident::NoticeKind;
use vouchsafe_model::{Issue, Mail, MailWire, Mailed, MinTls, PeopleFact};
use vouchsafe_policy::people::{Letter, Told, letters};

use crate::error::{Category, KeeperError, chain};
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;

/// How long the server may take for each answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// So much is sent at a time and for so long, as what else is due waits meanwhile.
const AT_ONCE: usize = 200;
const ALL_IN: Duration = Duration::from_secs(60);

impl Keeper {
    /// Whether something waits for being sent.
    pub(crate) fn has_letters(&self) -> Result<bool, KeeperError> {
        if self.policy.mail.is_none() {
            return Ok(false);
        }
        let (facts, now) = (self.facts()?, self.tools.clock.now());
        Ok(!letters(&self.policy, &facts, now).is_empty())
    }

    /// Sends what waits, if nobody else is at work; whether the server took everything or refused it for good.
    pub(crate) fn mail_now(&self, reporter: &dyn Reporter) -> Result<bool, KeeperError> {
        match self.state.lock() {
            Ok(_lock) => self.mail_people(reporter),
            Err(error) if error.category() == Category::Locked => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Sends what waits, with the lock held; whether the server took everything or refused it for good. That a server
    /// cannot be reached is told and stops nothing: the letters wait. One may come twice if this process dies
    /// between sending and recording; it then has the same Message-ID.
    pub(crate) fn mail_people(&self, reporter: &dyn Reporter) -> Result<bool, KeeperError> {
        let Some(mail) = &self.policy.mail else {
            return Ok(true);
        };
        let (facts, now) = (self.facts()?, self.tools.clock.now());
        let letters = letters(&self.policy, &facts, now);
        if letters.is_empty() {
            return Ok(true);
        }
        let mut taken: BTreeMap<u64, Mailed> = BTreeMap::new();
        let sender = Sender {
            keeper: self,
            mail,
            id: self.record_id(),
        };
        let sent = sender.send(&letters, &mut taken);
        for not in taken.values().flat_map(|m| &m.refused) {
            reporter.event(&Event::Issue {
                protection: None,
                issue: Issue {
                    place: mail.to_string(),
                    message: format!("mail to {} is refused for good: {}", not.to, not.reason),
                },
            });
        }
        let facts = taken
            .into_values()
            .map(|m| Fact::People(PeopleFact::Mailed(m)));
        let facts: Vec<Fact> = facts.collect();
        if !facts.is_empty() {
            self.record(facts)?;
        }
        if let Err(why) = &sent {
            reporter.event(&Event::Issue {
                protection: None,
                issue: Issue {
                    place: mail.to_string(),
                    message: format!("mail waits until it can be sent: {why}"),
                },
            });
        }
        Ok(sent.is_ok())
    }

    /// What tells this record from others, as a part of an address.
    fn record_id(&self) -> String {
        let fingerprint = self.ledger.public_key().fingerprint();
        let digits = fingerprint.chars().filter(char::is_ascii_alphanumeric);
        digits.take(16).collect()
    }
}

struct Sender<'k> {
    keeper: &'k Keeper,
    mail: &'k Mail,
    id: String,
}

impl Sender<'_> {
    /// Sends letter after letter; what has become of each is noted, also if then something goes wrong.
    fn send(
        &self,
        letters: &[Letter<'_>],
        taken: &mut BTreeMap<u64, Mailed>,
    ) -> Result<(), String> {
        let from: Address = (self.mail.from.parse())
            .map_err(|e| format!("the policy's `from` is no address: {e}"))?;
        let mut connection = self.connect()?;
        let all = letters
            .iter()
            .flat_map(|l| l.to.iter().map(move |to| (l, *to)));
        let mut stopped = None;
        let clock = &self.keeper.tools.clock;
        let begun = clock.monotonic();
        for (letter, to) in all.take(AT_ONCE) {
            if self.keeper.tools.interrupt.requested() {
                break;
            }
            if clock.monotonic().saturating_sub(begun) > ALL_IN {
                stopped = Some("it is slow; the rest comes later".to_owned());
                break;
            }
            let refused = match self.one(&mut connection, &from, letter, to) {
                Ok(refused) => refused,
                Err(error) => {
                    stopped = Some(error);
                    break;
                }
            };
            let mailed = taken.entry(letter.entry).or_insert_with(|| Mailed {
                entry: letter.entry,
                to: Vec::new(),
                refused: Vec::new(),
                server: self.mail.to_string(),
            });
            match refused {
                None => mailed.to.push(to.to_owned()),
                Some(reason) => mailed.refused.push(NotMailed {
                    to: to.to_owned(),
                    reason,
                }),
            }
        }
        match stopped {
            Some(error) => {
                connection.abort();
                Err(error)
            }
            None => {
                // It has taken everything; how it says goodbye changes nothing.
                let _ = connection.quit();
                Ok(())
            }
        }
    }

    fn connect(&self) -> Result<SmtpConnection, String> {
        let mail = self.mail;
        let password = match &mail.password {
            Some(reference) => Some(secret::resolve(reference).map_err(|e| chain(&e))?),
            None => None,
        };
        let tls = TlsParameters::builder(mail.host.clone())
            .set_min_tls_version(match mail.min_tls {
                MinTls::V1_2 => TlsVersion::Tlsv12,
                MinTls::V1_3 => TlsVersion::Tlsv13,
            })
            .build()
            .map_err(|e| said(&e))?;
        let hello = ClientId::Domain(machine::hostname());
        let first = (mail.wire == MailWire::Tls).then_some(&tls);
        let address = (mail.host.as_str(), mail.port);
        let mut connection = SmtpConnection::connect(address, Some(PATIENCE), &hello, first, None)
            .map_err(|e| said(&e))?;
        if mail.wire == MailWire::StartTls {
            if !connection.can_starttls() {
                connection.abort();
                return Err("it offers no STARTTLS, and nothing is said in plain text".to_owned());
            }
            connection.starttls(&tls, &hello).map_err(|e| said(&e))?;
        }
        if let (Some(user), Some(password)) = (&mail.user, password) {
            let text = String::from_utf8_lossy(password.expose()).into_owned();
            let credentials = Credentials::new(user.clone(), text);
            let answer = connection.auth(DEFAULT_MECHANISMS, &credentials);
            answer.map_err(|e| {
                let why = secret::redact(&said(&e), &[&password]);
                format!("{user} cannot log in: {why}")
            })?;
        }
        Ok(connection)
    }

    /// Hands over one letter: nothing if the server took it, why not if it never will.
    fn one(
        &self,
        connection: &mut SmtpConnection,
        from: &Address,
        letter: &Letter<'_>,
        to: &str,
    ) -> Result<Option<String>, String> {
        let Ok(address) = to.parse::<Address>() else {
            return Ok(Some("this is not an address".to_owned()));
        };
        let message = match self.message(from, &address, letter, to) {
            Ok(message) => message,
            Err(error) => return Ok(Some(error.to_string())),
        };
        connection
            .command(MailFrom::new(Some(from.clone()), vec![]))
            .map_err(|e| format!("{from} may not send: {}", said(&e)))?;
        let taken = connection
            .command(Rcpt::new(address, vec![]))
            .and_then(|_| connection.command(Data))
            .and_then(|_| connection.message(&message.formatted()));
        match taken {
            Ok(_) => Ok(None),
            Err(error) if error.is_permanent() => {
                connection.command(Rset).map_err(|e| said(&e))?;
                Ok(Some(said(&error)))
            }
            Err(error) => Err(said(&error)),
        }
    }

    fn message(
        &self,
        from: &Address,
        to: &Address,
        letter: &Letter<'_>,
        written: &str,
    ) -> Result<Message, lettre::error::Error> {
        let all = match letter.told {
            Told::Notice(notice) => &notice.to,
            Told::Alert(alert) => &alert.to,
        };
        let at = all.iter().position(|a| a == written).unwrap_or_default();
        let id = format!("<{}.{at}@{}.vouchsafe>", letter.entry, self.id);
        // RFC 3834: nobody's absence is to answer it.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .from(from.clone().into())
            .to(to.clone().into())
            .subject(subject(letter))
            .message_id(Some(id))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .body(self.body(letter))
    }

    fn body(&self, letter: &Letter<'_>) -> String {
        let front = &self.keeper.policy.front;
        let policy = front.title.as_deref().or(front.id.as_deref());
        let of = policy.map(|p| format!(" of {p}")).unwrap_or_default();
        let text = match letter.told {
            Told::Notice(notice) => {
                let name = notice.subject.split(':').next().unwrap_or_default();
                let when = match notice.kind {
                    NoticeKind::Reminder => "is due",
                    NoticeKind::Overdue | NoticeKind::Escalation => "was due",
                };
                let to = notice.to.join(", ");
                format!(
                    "{} {when} {}.\nTold: {to}\n\nWhoever owes it answers with\n\n    vouchsafe attest \
                     {name} --outcome done --by ADDRESS\n\nand `vouchsafe duties` shows everything that is owed.\n",
                    notice.subject,
                    notice.due.minute()
                )
            }
            Told::Alert(alert) => {
                let since = alert.since.minute();
                format!(
                    "{}.\nSince {since}.\n\n`vouchsafe status` shows how everything stands.\n",
                    alert.text
                )
            }
        };
        format!(
            "{text}\nThis is entry {} of the record{of}, written {} on {}.\n",
            letter.entry,
            letter.at.minute(),
            machine::hostname()
        )
    }
}

fn subject(letter: &Letter<'_>) -> String {
    let text = match letter.told {
        Told::Notice(notice) => {
            let word = match notice.kind {
                NoticeKind::Reminder => "reminder",
                NoticeKind::Overdue => "overdue",
                NoticeKind::Escalation => "escalation",
            };
            format!("{word}: {}, due {}", notice.subject, notice.due.minute())
        }
        Told::Alert(alert) => format!("{}: {}", alert.kind.word(), alert.text),
    };
    // One line, and not a long one, whatever a server or a file is called.
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let short: String = line.chars().take(120).collect();
    match short.len() < line.len() {
        true => format!("[vouchsafe] {short}…"),
        false => format!("[vouchsafe] {short}"),
    }
}

fn said(error: &SmtpError) -> String {
    chain(error as &dyn Error)
}
