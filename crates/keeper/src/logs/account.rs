//! What is recorded of a shipped log: every few minutes, and each gap at once.

use vouchsafe_model::fact::Fact;
use vouchsafe_model::{LogGap, LogGapCause, LogShipped, LogToken, ProtectionId, Span, Time};
use vouchsafe_sources::{FoundGap, LogKind};
use vouchsafe_translog::token::Token;

use super::destination::{Destination, Since};

/// When the last record was made, and how often one is to be.
pub(super) struct Account {
    protection: ProtectionId,
    kind: LogKind,
    every: Span,
    summary: Span,
    since: Time,
    next: Time,
}

impl Account {
    pub(super) fn new(
        (protection, kind): (ProtectionId, LogKind),
        every: Span,
        summary: Span,
        now: Time,
    ) -> Account {
        Account {
            protection,
            kind,
            every,
            summary,
            since: now,
            // The first one at once: then it shows that there is a log at all.
            next: now,
        }
    }

    pub(super) fn is_due(&self, now: Time) -> bool {
        self.next <= now
    }

    /// The record of what every vault has now; counting begins anew. Nothing if no vault has anything.
    pub(super) fn summary(
        &mut self,
        server: Option<String>,
        all: &mut [Destination],
        now: Time,
        goes_on: bool,
    ) -> Option<Fact> {
        let copies: Vec<_> = all.iter().filter_map(|one| one.fact(self.kind)).collect();
        if copies.is_empty() {
            return None;
        }
        // Where a record takes its time, silence is not yet meant.
        let slack = Span::from_micros(self.summary.micros() / 2 + 2 * self.every.micros());
        let next_by = match goes_on {
            true => now.plus(self.summary).plus(slack).plus(Span::from_secs(5)),
            false => now,
        };
        let fact = LogShipped {
            protection: self.protection.clone(),
            stream: self.kind.stream().to_owned(),
            server: server.unwrap_or_default(),
            from: self.since,
            until: now,
            next_by,
            every: self.every,
            token: token_of_all(all),
            copies,
        };
        for one in all.iter_mut() {
            one.since = Since::default();
        }
        self.since = now;
        self.next = now.plus(self.summary);
        Some(Fact::LogShipped(fact))
    }

    /// The record of a gap.
    pub(super) fn gap(&self, gap: &FoundGap, now: Time) -> LogGap {
        LogGap {
            protection: self.protection.clone(),
            stream: self.kind.stream().to_owned(),
            cause: gap.cause,
            timeline: gap.timeline,
            from: gap
                .from
                .map_or_else(|| "its beginning".to_owned(), |at| self.kind.written(at)),
            to: gap.to.map(|at| self.kind.written(at)),
            vault: None,
            found: now,
            detail: gap.detail.clone(),
        }
    }

    /// The record of pieces that one vault will never get.
    pub(super) fn lost(&self, one: &mut Destination, now: Time) -> Option<LogGap> {
        let lost = std::mem::take(&mut one.lost);
        let (first, last) = (lost.first()?, lost.last()?);
        Some(LogGap {
            protection: self.protection.clone(),
            stream: self.kind.stream().to_owned(),
            cause: LogGapCause::SpoolLost,
            timeline: first.timeline,
            from: self.kind.written(first.span.from()),
            to: Some(self.kind.written(last.span.to())),
            vault: Some(one.vault.clone()),
            found: now,
            detail: one.problem.clone().unwrap_or_default(),
        })
    }
}

/// The last token that every vault has.
fn token_of_all(all: &[Destination]) -> Option<LogToken> {
    let mut last: Option<&Token> = None;
    for one in all {
        let token = one.held.token.as_ref()?;
        match last {
            Some(before) if before.chain != token.chain => return None,
            Some(before) if before.sequence <= token.sequence => {}
            _ => last = Some(token),
        }
    }
    last.map(|token| LogToken {
        chain: hex(&token.chain),
        sequence: token.sequence,
        digest: hex(&token.digest()),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
