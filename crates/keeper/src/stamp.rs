//! Time stamps of an authority over the record's head: asked for at once, or written down to be carried to it.

use std::path::PathBuf;
use std::time::Duration;

use vouchsafe_host::files;
use vouchsafe_ledger::{LONGEST_STAMP, StampError, StampQuery, StampRoots, StampToken};
use vouchsafe_model::policy::MinTls;
use vouchsafe_model::{Fact, Issue, Span, Time, Timestamping};
use vouchsafe_store::post::{Post, post};

use crate::error::{Category, KeeperError, chain};
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;

/// Where a time stamp comes from.
#[derive(Clone, Copy, Debug)]
pub struct StampOrder<'a> {
    /// The authority's address.
    pub authority: &'a str,
    /// The oldest version of TLS that is spoken.
    pub min_tls: MinTls,
    /// The roots that its certificate must lead to.
    pub roots: &'a StampRoots,
}

/// The longest file of roots, in bytes.
pub const LONGEST_ROOTS: u64 = 4 << 20;
/// How long an authority may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// By how much its clock and this machine's may differ without a remark.
const TOLERATED: Span = Span::from_secs(60);

impl Keeper {
    /// Asks an authority to stamp the newest head; what it answers is examined, recorded and published.
    ///
    /// The state directory's lock is not held while the authority is waited for.
    pub fn stamp(
        &self,
        order: &StampOrder<'_>,
        reporter: &dyn Reporter,
    ) -> Result<Timestamping, KeeperError> {
        let (query, note, _) = {
            let _lock = self.state.lock()?;
            self.query()?
        };
        let asked = self.tools.clock.now();
        let answer = post(&Post {
            url: order.authority,
            content_type: "application/timestamp-query",
            body: &query.to_der(),
            longest: LONGEST_STAMP,
            within: PATIENCE,
            min_tls: order.min_tls,
        })?;
        let token = query.read_answer(&answer, order.roots)?;
        self.compare_clocks(token.time(), asked, reporter);
        let _lock = self.state.lock()?;
        self.take_stamp(&token, &note, reporter)
    }

    /// A request for the newest head, in DER, and how many entries that head covers. The state directory remembers
    /// it until [`Keeper::answer_stamp`] takes the answer.
    pub fn begin_stamp(&self) -> Result<(Vec<u8>, u64), KeeperError> {
        let _lock = self.state.lock()?;
        let (query, _, size) = self.query()?;
        let dir = self.waiting_stamps();
        files::create_dir_all(&dir, 0o700)?;
        let der = query.to_der();
        files::write_atomic(dir.join(format!("{size:020}.tsq")), &der, 0o600)?;
        Ok((der, size))
    }

    /// Takes the answer to a request of [`Keeper::begin_stamp`]: it is examined, recorded and published.
    pub fn answer_stamp(
        &self,
        answer: &[u8],
        roots: &StampRoots,
        reporter: &dyn Reporter,
    ) -> Result<Timestamping, KeeperError> {
        let _lock = self.state.lock()?;
        let dir = self.waiting_stamps();
        let mut waiting = match files::exists(&dir)? {
            true => files::list_dir(&dir)?,
            false => Vec::new(),
        };
        // The newest first: if none fits, its reason is told.
        waiting.sort();
        let mut reason = None;
        for name in waiting.iter().rev() {
            let path = dir.join(name);
            let Some(query) = StampQuery::from_der(&files::read(&path, 1024)?) else {
                continue;
            };
            match query.read_answer(answer, roots) {
                Ok(token) => {
                    let size = name.to_str().and_then(|n| n.strip_suffix(".tsq"));
                    let size = size.and_then(|digits| digits.parse().ok());
                    let note = self.head_that_was_asked(&query, size)?;
                    let taken = self.take_stamp(&token, &note, reporter)?;
                    files::remove_file(&path)?;
                    return Ok(taken);
                }
                Err(error @ StampError::OtherImprint) => {
                    reason.get_or_insert(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(reason.map_or_else(
            || KeeperError::Policy {
                message:
                    "no request for a time stamp waits for its answer; write one with --query FILE"
                        .to_owned(),
            },
            KeeperError::from,
        ))
    }

    /// Has the newest head stamped if the policy asks for that and the last time stamp is as old as it says. What goes
    /// wrong is told; nothing else waits for it. Whether a time stamp was due and did not come.
    pub fn stamp_if_due(&self, reporter: &dyn Reporter) -> Result<bool, KeeperError> {
        let Some(stamps) = &self.policy.timestamps else {
            return Ok(false);
        };
        let last = self.facts()?.iter().rev().find_map(|recorded| {
            let is_stamp = matches!(recorded.entry.fact, Fact::Timestamped(_));
            is_stamp.then_some(recorded.entry.at)
        });
        let now = self.tools.clock.now();
        if last.is_some_and(|last| now < last.plus(stamps.every)) {
            return Ok(false);
        }
        let subject = stamps.authority.clone();
        let stamped = files::read(&stamps.root, LONGEST_ROOTS)
            .map_err(KeeperError::from)
            .and_then(|pem| Ok(StampRoots::parse(&pem)?))
            .and_then(|roots| {
                let order = StampOrder {
                    authority: &stamps.authority,
                    min_tls: stamps.min_tls,
                    roots: &roots,
                };
                self.stamp(&order, reporter)
            });
        match stamped {
            Ok(stamp) => {
                reporter.event(&Event::Finished {
                    deed: "time stamp",
                    subject,
                    summary: format!("{} entries at {}", stamp.tree_size, stamp.seen),
                    good: true,
                });
                Ok(false)
            }
            // Another command is at work; it is done after that.
            Err(error) if error.category() == Category::Locked => Ok(true),
            Err(error) => {
                let message = format!("the record was not stamped: {}", chain(&error));
                let issue = Issue {
                    place: subject,
                    message,
                };
                reporter.event(&Event::Issue {
                    protection: None,
                    issue,
                });
                Ok(true)
            }
        }
    }

    /// The request for the newest head, its note, and its size.
    fn query(&self) -> Result<(StampQuery, String, u64), KeeperError> {
        self.reconcile()?;
        let head = self.ledger.head()?;
        let mut random = [0; 8];
        self.tools.random.fill(&mut random);
        let query = StampQuery::new(&head.note, random);
        Ok((query, head.note, head.size))
    }

    fn head_that_was_asked(
        &self,
        query: &StampQuery,
        size: Option<u64>,
    ) -> Result<String, KeeperError> {
        let head = match size {
            Some(size) if size <= self.ledger.len()? => Some(self.ledger.head_at(size)?),
            _ => None,
        };
        head.map(|head| head.note)
            .filter(|note| query.is_for(note))
            .ok_or_else(|| KeeperError::Damaged {
                place: self.state.root().display().to_string(),
                message: "the head that was stamped is not one of the ledger here: it was set back; rebuild it with `vouchsafe recover-state`".to_owned(),
            })
    }

    fn take_stamp(
        &self,
        token: &StampToken,
        note: &str,
        reporter: &dyn Reporter,
    ) -> Result<Timestamping, KeeperError> {
        let stamp = token.fact(note)?;
        self.record(vec![Fact::Timestamped(stamp.clone())])?;
        self.publish(reporter)?;
        Ok(stamp)
    }

    /// Says so if this machine's clock is not the authority's: which of them is right is not known here.
    fn compare_clocks(&self, authority: Time, asked: Time, reporter: &dyn Reporter) {
        let now = self.tools.clock.now();
        if authority.plus(TOLERATED) < asked || now.plus(TOLERATED) < authority {
            let text = format!(
                "the authority's clock says {}, this machine's {}; see which one is wrong",
                authority.minute(),
                now.minute()
            );
            reporter.event(&Event::Note { text });
        }
    }

    fn waiting_stamps(&self) -> PathBuf {
        self.state.root().join("timestamps")
    }
}
