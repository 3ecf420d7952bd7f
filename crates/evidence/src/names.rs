//! Replacing the names of files, tables and refs by digests, where a reader must not see them.

use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use vouchsafe_model::fact::{Fact, RecoveryPoint, Verification};
use vouchsafe_model::period::{Closure, Fulfilment, PeriodAssessment};
use vouchsafe_model::{
    Assessment, DrillResult, EqualTo, Equality, ErasureReplay, Issue, Judgement, PeopleFact,
    ReplayResult, Statement,
};

use crate::layout::clean;
use crate::report::ReportInput;

/// How texts out of facts are shown: always without control characters, and without places if so asked.
///
/// Replaced are the places of issues wherever they occur; keys of manifest parts (`table:orders`), paths, and what
/// stands in quotes or backticks. Each becomes the first 12 hex digits of a digest, keyed if there is a key, after
/// the kind of a part's key.
pub(crate) struct Names<'a> {
    redact: bool,
    key: Option<[u8; 32]>,
    places: BTreeSet<&'a str>,
    spaced: Vec<&'a str>,
    kept: BTreeSet<String>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(input: &ReportInput<'a>) -> Names<'a> {
        let (redact, policy, facts) = (input.redact_places, input.policy, input.facts);
        let mut names = Names {
            redact,
            key: input.names_key,
            places: BTreeSet::new(),
            spaced: Vec::new(),
            kept: BTreeSet::new(),
        };
        if !redact {
            return names;
        }
        for (system, protection) in policy.protections() {
            names.kept.insert(system.name.to_string());
            names.kept.insert(protection.id.to_string());
        }
        names
            .kept
            .extend(policy.vaults.keys().map(ToString::to_string));
        for recorded in facts {
            names.learn(&recorded.entry.fact);
        }
        names.spaced = names
            .places
            .iter()
            .copied()
            .filter(|p| p.contains(' '))
            .collect();
        names.spaced.sort_by_key(|p| std::cmp::Reverse(p.len()));
        names
    }

    fn learn(&mut self, fact: &'a Fact) {
        let issues: &[Issue] = match fact {
            Fact::RunClosed { issues, .. } => issues,
            Fact::RecoveryPoint(p) => &p.issues,
            Fact::Verification(v) => &v.problems,
            Fact::Pruned(p) => &p.refused,
            Fact::CopyLost(l) => &l.issues,
            Fact::Repaired(r) => &r.issues,
            Fact::Drill(d) => {
                self.kept
                    .extend(d.ladder.rungs.iter().map(|r| r.name.clone()));
                for control in &d.negative_controls {
                    self.kept.insert(control.damage.name.clone());
                }
                self.kept.insert(d.protection.to_string());
                return;
            }
            _ => return,
        };
        self.places.extend(
            issues
                .iter()
                .map(|i| i.place.as_str())
                .filter(|p| !p.is_empty()),
        );
    }

    /// The name of a file, table, ref, object.
    pub(crate) fn place(&self, place: &str) -> String {
        if !self.redact || place.is_empty() {
            return clean(place);
        }
        match part_key(place) {
            Some((kind, name)) => format!("{kind}:{}", self.digest(name)),
            None => self.digest(place),
        }
    }

    fn digest(&self, text: &str) -> String {
        let keyed = self.key.and_then(|key| {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
            mac.update(text.as_bytes());
            Some(mac.finalize().into_bytes().to_vec())
        });
        let digest = keyed.unwrap_or_else(|| Sha256::digest(text.as_bytes()).to_vec());
        hex::encode(digest.get(..6).unwrap_or_default())
    }

    /// A sentence that may name places.
    pub(crate) fn text(&self, text: &str) -> String {
        if !self.redact {
            return clean(text);
        }
        let mut text = text.to_owned();
        for place in &self.spaced {
            if text.contains(place) {
                text = text.replace(place, &self.place(place));
            }
        }
        let words: Vec<String> = self
            .quoted_replaced(&text)
            .split(' ')
            .map(|word| self.word(word))
            .collect();
        clean(&words.join(" "))
    }

    fn quoted_replaced(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = ' ';
        while let Some(open) = rest.chars().next() {
            let tail = rest.get(open.len_utf8()..).unwrap_or_default();
            let close = match open {
                '`' | '"' => Some(open),
                '\u{201c}' => Some('\u{201d}'),
                // An apostrophe within a word opens nothing.
                '\'' if !before.is_alphanumeric() => Some('\''),
                _ => None,
            };
            let inner = close.and_then(|c| tail.split_once(c));
            if let (Some(close), Some((inner, after))) = (close, inner) {
                out.push(open);
                out.push_str(&if self.kept.contains(inner) {
                    inner.to_owned()
                } else {
                    self.place(inner)
                });
                out.push(close);
                rest = after;
            } else {
                out.push(open);
                rest = tail;
            }
            before = open;
        }
        out
    }

    fn word(&self, word: &str) -> String {
        const AROUND: [char; 14] = [
            ',', '.', ';', ':', '!', '?', '(', ')', '[', ']', '{', '}', '"', '\'',
        ];
        let core = word.trim_matches(AROUND).trim_matches('`');
        if core.is_empty() || self.kept.contains(core) || !self.names_a_place(core) {
            return word.to_owned();
        }
        word.replacen(core, &self.place(core), 1)
    }

    fn names_a_place(&self, word: &str) -> bool {
        if self.places.contains(word) || part_key(word).is_some_and(|(k, _)| k != "sha256") {
            return true;
        }
        match word.rsplit_once('/') {
            // `2/3` counts something, `sqlite-rows/1` is a method with its version.
            Some((head, tail)) => {
                let number = !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit());
                let plain = head.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                !(number && plain)
            }
            None => word.contains('\\'),
        }
    }

    fn issues(&self, issues: &mut [Issue]) {
        for issue in issues {
            issue.message = self.text(&issue.message);
            issue.place = self.place(&issue.place);
        }
    }

    fn replace(&self, text: &mut String) {
        *text = self.text(text);
    }

    fn point(&self, p: &mut RecoveryPoint) {
        self.issues(&mut p.issues);
    }

    fn replayed(&self, replay: &mut ErasureReplay) {
        match &mut replay.result {
            ReplayResult::Failed { message } => self.replace(message),
            ReplayResult::LeftOut { reason } => self.replace(reason),
            ReplayResult::Replayed { .. } => {}
        }
    }

    fn verification(&self, v: &mut Verification) {
        self.issues(&mut v.problems);
    }

    fn drill(&self, d: &mut DrillResult) {
        for rung in &mut d.ladder.rungs {
            self.replace(&mut rung.question);
            self.replace(&mut rung.expected);
            self.replace(&mut rung.actual);
        }
        for control in &mut d.negative_controls {
            self.replace(&mut control.damage.detail);
            self.replace(&mut control.actual);
        }
        if let Some(Equality {
            to: EqualTo::Standby { server, .. },
            ..
        }) = &mut d.equality
        {
            self.replace(server);
        }
        // Paths of the machine are no business of the reader's either.
        self.replace(&mut d.sandbox.isolation);
    }

    /// The same fact as it may be shown.
    pub(crate) fn fact(&self, fact: &Fact) -> Fact {
        let mut fact = fact.clone();
        match &mut fact {
            Fact::RunOpened {
                reason: Some(reason),
                ..
            } => self.replace(reason),
            Fact::RunClosed { issues, .. } => self.issues(issues),
            Fact::RecoveryPoint(p) => self.point(p),
            Fact::Verification(v) => self.verification(v),
            Fact::CopyLost(l) => self.issues(&mut l.issues),
            Fact::Repaired(r) => self.issues(&mut r.issues),
            Fact::Drill(d) => self.drill(d),
            Fact::Pruned(p) => self.issues(&mut p.refused),
            Fact::ErasuresReplayed(replay) => self.replayed(replay),
            Fact::People(p) => self.people(p),
            Fact::Held(hold) => self.replace(&mut hold.reason),
            Fact::HoldReleased(release) => self.replace(&mut release.reason),
            Fact::Break { reason, .. } => self.replace(reason),
            _ => {}
        }
        fact
    }

    /// The same period as it may be shown.
    pub(crate) fn period(&self, p: &PeriodAssessment) -> PeriodAssessment {
        let mut p = p.clone();
        let closure = |c: &mut Option<Closure>| {
            if let Some(c) = c {
                self.replace(&mut c.text);
                c.by = clean(&c.by);
            }
        };
        for Fulfilment { closure: c, .. } in &mut p.deviations {
            closure(c);
        }
        for protection in &mut p.protections {
            protection
                .drills
                .iter_mut()
                .for_each(|d| closure(&mut d.closure));
        }
        p
    }

    /// Names of files that people handed in, and whatever they wrote.
    fn people(&self, fact: &mut PeopleFact) {
        match fact {
            PeopleFact::Attested(a) => {
                let handed = a.handed_in.iter_mut().flat_map(|h| &mut h.files);
                for file in handed {
                    file.name = self.place(&file.name);
                }
                self.statement(&mut a.statement);
            }
            PeopleFact::Refused(refusal) => {
                refusal.file = self.place(&refusal.file);
                self.replace(&mut refusal.because);
            }
            PeopleFact::Alerted(alert) => self.replace(&mut alert.text),
            PeopleFact::IncidentOpened(incident) => self.replace(&mut incident.reason),
            PeopleFact::IncidentNoted(note) => self.replace(&mut note.text),
            PeopleFact::IncidentClosed(closure) => self.replace(&mut closure.reason),
            PeopleFact::Exempted(exemption) => {
                self.replace(&mut exemption.reason);
                exemption
                    .statement
                    .iter_mut()
                    .for_each(|s| self.statement(s));
            }
            PeopleFact::AccessAsked(request) => self.replace(&mut request.reason),
            PeopleFact::AccessGiven(grant) => {
                grant.statement.iter_mut().for_each(|s| self.statement(s));
            }
            PeopleFact::ExemptionEnded(ended)
            | PeopleFact::AccessEnded(ended)
            | PeopleFact::Resumed(ended) => self.replace(&mut ended.reason),
            PeopleFact::Paused(pause) => self.replace(&mut pause.reason),
            // Nothing that somebody wrote.
            PeopleFact::Noticed(_) | PeopleFact::Mailed(_) => {}
        }
    }

    fn statement(&self, statement: &mut Statement) {
        for file in &mut statement.files {
            file.name = self.place(&file.name);
        }
        self.replace(&mut statement.reason);
    }

    /// The same verdicts as they may be shown.
    pub(crate) fn assessment(&self, a: &Assessment) -> Assessment {
        let mut a = a.clone();
        for p in &mut a.protections {
            for Judgement { because, .. } in &mut p.judgements {
                self.replace(because);
            }
        }
        for control in &mut a.controls {
            self.replace(&mut control.because);
        }
        a
    }
}

/// The kind and the name of a manifest part's key, such as `table:orders`; addresses (`https://…`) are none.
fn part_key(text: &str) -> Option<(&str, &str)> {
    let (kind, name) = text.split_once(':')?;
    let is_kind = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    (is_kind && !name.is_empty() && !name.starts_with("//")).then_some((kind, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names<'static> {
        Names {
            redact: true,
            key: None,
            places: ["salaries.csv", "my notes.txt"].into(),
            spaced: vec!["my notes.txt"],
            kept: ["shop-db/main".to_owned(), "content".to_owned()].into(),
        }
    }

    #[test]
    fn places_are_replaced_wherever_they_stand() {
        let text = "cannot read salaries.csv, my notes.txt, /home/frieda/x, `orders 2`, table:people; \
                    'ref x' don't 'y z'";
        let shown = names().text(text);
        for name in [
            "salaries", "notes", "frieda", "orders", "people", "ref x", "y z",
        ] {
            assert!(!shown.contains(name), "{name} is still in {shown}");
        }
        assert!(
            shown.contains(&format!("table:{}", names().digest("people"))),
            "{shown}"
        );
        assert!(shown.contains(" don't "), "{shown}");
    }

    /// By `openssl mac -digest SHA256 -macopt hexkey:0707…07 HMAC` over the bytes of `people`.
    #[test]
    fn with_a_key_only_its_owner_can_confirm_a_guess() {
        let keyed = |key: u8| Names {
            key: Some([key; 32]),
            ..names()
        };
        let plain = names().place("table:people");
        assert_ne!(keyed(7).place("table:people"), plain);
        assert_ne!(
            keyed(7).place("table:people"),
            keyed(8).place("table:people")
        );
        assert_eq!(keyed(7).place("table:people"), "table:8924e5080d09");
    }

    #[test]
    fn what_is_no_place_stays() {
        let text = "2/3 copies of shop-db/main by sqlite-rows/1, rung `content`: sha256:ab, 12 of 14 rows.";
        assert_eq!(names().text(text), text);
    }
}
