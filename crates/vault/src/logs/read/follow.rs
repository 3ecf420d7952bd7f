//! From object to object along the chain: the longest that begins at a place and opens, else another one that holds it.

use vouchsafe_capture::LogRun;
use vouchsafe_format::fragment::{Header, Link, Part, Position, Stretch};

use super::Pass;
use crate::logs::compact::split;
use crate::logs::error::{LogDamage, LogError};
use crate::logs::objects::{Listed, LogObjects};

/// Where somebody stands who follows a run.
pub(super) struct Follower<'a> {
    pub(super) objects: &'a LogObjects,
    pub(super) listed: Vec<Listed>,
    pub(super) run: &'a LogRun,
    /// What comes next.
    pub(super) next: Link,
    /// The position that it begins at.
    pub(super) position: Position,
}

/// What came next.
pub(super) enum Step {
    /// An object, or the rest of one, that goes on from what was before.
    Object(Box<Stretch>),
    /// One that is not needed.
    Over,
    /// Nothing more is needed.
    End,
}

impl Follower<'_> {
    /// Goes on by one object.
    pub(super) fn step(&mut self, pass: &dyn Fn(&Header) -> Pass) -> Result<Step, LogError> {
        let mut problem = None;
        for part in self.parts() {
            match self.open(part, pass) {
                Ok(step) => return Ok(step),
                Err(LogError::Store(error)) if error.is_not_found() => {}
                Err(damage @ LogError::Damaged { .. }) => problem = problem.or(Some(damage)),
                Err(error) => return Err(error),
            }
        }
        if let Some(stretch) = self.rest_of_a_segment()? {
            let header = stretch.header().clone();
            self.advance(&header);
            return Ok(Step::Object(Box::new(stretch)));
        }
        let part = Part::Fragment {
            sequence: self.next.sequence,
        };
        Err(problem.unwrap_or_else(|| self.objects.missing(part, Some(self.position))))
    }

    /// What begins here, the longest first. The fragment may have come since the listing.
    fn parts(&self) -> Vec<Part> {
        let place = self.next.sequence;
        let start = self.listed.partition_point(|one| one.first() < place);
        let here = self.listed.iter().skip(start);
        let here = here.take_while(|one| one.first() == place);
        let mut parts: Vec<Part> = here
            .filter(|one| one.last() <= self.run.last)
            .map(|one| one.part)
            .collect();
        let fragment = Part::Fragment { sequence: place };
        if !parts.contains(&fragment) {
            parts.push(fragment);
        }
        parts
    }

    fn open(&mut self, part: Part, pass: &dyn Fn(&Header) -> Pass) -> Result<Step, LogError> {
        let (header, _) = self.objects.header(part)?;
        self.must_follow(part, &header)?;
        match pass(&header) {
            Pass::End => return Ok(Step::End),
            Pass::Over => {
                self.advance(&header);
                return Ok(Step::Over);
            }
            Pass::Open => {}
        }
        let stretch = self.objects.open(part, Some(header.span.from()))?;
        self.must_follow(part, stretch.header())?;
        self.advance(stretch.header());
        Ok(Step::Object(Box::new(stretch)))
    }

    /// If what was here was compacted since, or is damaged, a segment may hold it that begins before.
    fn rest_of_a_segment(&mut self) -> Result<Option<Stretch>, LogError> {
        self.listed = self.objects.list()?;
        let place = self.next.sequence;
        let holds = |one: &&Listed| one.first() <= place && place <= one.last();
        let parts: Vec<Part> = self
            .listed
            .iter()
            .filter(holds)
            .map(|one| one.part)
            .collect();
        for part in parts {
            let segment = match self.objects.open(part, Some(self.position)) {
                Ok(segment) => segment,
                Err(LogError::Store(error)) if error.is_not_found() => continue,
                Err(LogError::Damaged { .. }) => continue,
                Err(error) => return Err(error),
            };
            let mut rest = split(self.objects, part, &segment)?;
            rest.retain(|one| (place..=self.run.last).contains(&one.header().sequence));
            let follows = rest
                .first()
                .is_some_and(|one| one.header().previous == self.next.previous);
            if follows {
                return Ok(Some(Stretch::join(&rest)?));
            }
        }
        Ok(None)
    }

    fn must_follow(&self, part: Part, header: &Header) -> Result<(), LogError> {
        if header.previous == self.next.previous {
            return Ok(());
        }
        let position = Some(header.span.from());
        Err(self.objects.damaged(part, position, LogDamage::Chain))
    }

    fn advance(&mut self, header: &Header) {
        self.next = header.next();
        self.position = header.span.to();
    }
}
