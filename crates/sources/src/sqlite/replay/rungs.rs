//! Whether a database stands exactly where its replay was to end: page by page, by the log and by the base.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use vouchsafe_capture::{CaptureContext, CaptureError, FetchedLog, PointReader, Until};
use vouchsafe_format::Node;
use vouchsafe_host::files;
use vouchsafe_model::{Rung, RungOutcome, Time};
use vouchsafe_translog::sqlite::Step;

use super::super::log::read_at;
use super::apply::{Part, read};
use crate::failure;
use crate::rung::{self, Findings, number};

const POSITION: &str =
    "Is every page as the last transaction left it that belongs to the moment, and none besides?";
const MOMENT: &str = "By the times of looks: is all of it of before the moment, and the next transaction, if one is known, not part of it?";
const PAGES: &str = "Is every page that the log did not change the one of the base?";

/// So many bytes tell two pages apart.
type Mark = [u8; 16];

/// What the log says of pages.
#[derive(Default)]
struct Said {
    page_size: u32,
    /// By their numbers, as they were left last.
    pages: BTreeMap<u32, Mark>,
    /// Pages of the database after the last transaction, if there is one.
    count: Option<u32>,
    /// When the first look was, the last one, and the one of the highest time.
    first: Option<Time>,
    time: Option<Time>,
    highest: Option<Time>,
    commits: u64,
}

/// Where the rungs below are red.
pub(in crate::sqlite) fn skipped(below: &str) -> Vec<Rung> {
    [("position", POSITION), ("moment", MOMENT), ("pages", PAGES)]
        .map(|(name, question)| rung::skipped(name, question, below))
        .into()
}

/// The rungs `position`, `moment` and `pages`; `base` is the database in the point.
pub(in crate::sqlite) fn compare(
    ctx: &CaptureContext<'_>,
    log: &FetchedLog,
    restored: &Path,
    (point, base): (&dyn PointReader, &Node),
) -> Result<Vec<Rung>, CaptureError> {
    let before = said(ctx, log, Part::Before)?;
    let beyond = said(ctx, log, Part::Beyond)?;
    let file = Pages::open(restored, &before)?;
    let position = position(ctx, &before, &file, log)?;
    let red = position.outcome != RungOutcome::Green;
    let mut rungs = vec![position, moment(&before, &beyond, &file, log.until)?];
    rungs.push(match red {
        true => rung::skipped("pages", PAGES, "position"),
        false => pages(ctx, &before, &file, (point, base))?,
    });
    Ok(rungs)
}

fn said(ctx: &CaptureContext<'_>, log: &FetchedLog, part: Part) -> Result<Said, CaptureError> {
    let mut out = Said::default();
    // Only of the first look behind the target that found something.
    let mut is_over = false;
    read(&log.place, log, part, &mut |step| {
        failure::check_interrupt(ctx)?;
        match step {
            _ if is_over => {}
            Step::Frame { frame, page_size } => {
                out.page_size = page_size;
                out.pages.insert(frame.page, mark(frame.content));
            }
            Step::Record { .. } => {}
            Step::Look(looked) => {
                out.count = looked.pages.or(out.count);
                out.first = out.first.or(Some(looked.time));
                out.time = Some(looked.time);
                out.highest = out.highest.max(out.time);
                out.commits = out.commits.saturating_add(looked.commits);
                is_over = part == Part::Beyond && looked.commits > 0;
            }
        }
        Ok(())
    })?;
    Ok(out)
}

/// The restored file.
struct Pages {
    file: File,
    page_size: u64,
    length: u64,
    place: String,
}

impl Pages {
    fn open(restored: &Path, said: &Said) -> Result<Pages, CaptureError> {
        let place = restored.display().to_string();
        let file = files::open_read(restored).map_err(failure::file)?;
        let length = files::size(restored).map_err(failure::file)?;
        let mut header = [0; 18];
        let failed = |e| CaptureError::io("read", place.clone(), e);
        read_at(&file, &mut header, 0).map_err(failed)?;
        // Where no page was logged, the file itself says how long they are: 1 stands for 65536.
        let [.., high, low] = header;
        let own = match u16::from_be_bytes([high, low]) {
            1 => 65536,
            size => u64::from(size),
        };
        Ok(Pages {
            page_size: match said.page_size {
                0 => own.max(512),
                size => u64::from(size),
            },
            length,
            file,
            place,
        })
    }

    fn mark(&self, page: u32) -> Result<Option<Mark>, CaptureError> {
        let at = u64::from(page.saturating_sub(1)).saturating_mul(self.page_size);
        let mut content = vec![0; usize::try_from(self.page_size).unwrap_or(1 << 16)];
        let count = read_at(&self.file, &mut content, at)
            .map_err(|e| CaptureError::io("read", self.place.clone(), e))?;
        Ok((count == content.len()).then(|| mark(&content)))
    }
}

fn position(
    ctx: &CaptureContext<'_>,
    said: &Said,
    file: &Pages,
    log: &FetchedLog,
) -> Result<Rung, CaptureError> {
    let mut found = Findings::default();
    let count = said.count;
    if let Some(count) = count
        && u64::from(count).saturating_mul(file.page_size) != file.length
    {
        found.add(format!(
            "expected {} pages, found {} bytes",
            number(u64::from(count)),
            number(file.length)
        ));
    }
    let is_part = |page: u32| count.is_none_or(|count| page <= count);
    for (page, expected) in said.pages.iter().filter(|(page, _)| is_part(**page)) {
        failure::check_interrupt(ctx)?;
        if file.mark(*page)? != Some(*expected) {
            found.add(format!("page {page} is not as the log left it last"));
        }
    }
    let newest = said
        .time
        .map_or_else(String::new, |time| format!(", the last look of {time}"));
    let text = format!(
        "{} pages as the last of {} transactions left them, at {}{newest}",
        number(said.pages.len() as u64),
        number(said.commits),
        log.target.shown
    );
    Ok(found.rung("position", POSITION, text))
}

/// A later transaction leaves other pages behind.
fn moment(before: &Said, beyond: &Said, file: &Pages, until: Until) -> Result<Rung, CaptureError> {
    let mut found = Findings::default();
    if let Until::Time(at) = until {
        if let Some(late) = before.highest.filter(|time| at < *time) {
            found.add(format!("what was seen at {late} is part of it"));
        }
        if let Some(early) = beyond.first.filter(|time| *time <= at) {
            found.add(format!("what was seen at {early} is not part of it"));
        }
    }
    let next = match beyond.time.filter(|_| beyond.commits > 0) {
        None => "no later transaction is known".to_owned(),
        Some(time) => {
            let mut others = 0_u64;
            for (page, later) in &beyond.pages {
                others += u64::from(file.mark(*page)? != Some(*later));
            }
            if others == 0 {
                found.add(format!("what was seen at {time} is part of it"));
            }
            format!(
                "what was seen at {time} is not part of it: {} of its {} pages differ",
                number(others),
                number(beyond.pages.len() as u64)
            )
        }
    };
    let last = before
        .time
        .map_or_else(|| "nothing".to_owned(), |time| time.to_string());
    Ok(found.rung(
        "moment",
        MOMENT,
        format!("the last look is of {last}; {next}"),
    ))
}

fn pages(
    ctx: &CaptureContext<'_>,
    said: &Said,
    file: &Pages,
    (point, base): (&dyn PointReader, &Node),
) -> Result<Rung, CaptureError> {
    let mut found = Findings::default();
    let size = usize::try_from(file.page_size).unwrap_or(1 << 16);
    let mut content = point.open(base)?;
    let mut page = vec![0; size];
    let (mut same, mut number_of) = (0_u64, 0_u32);
    let all = file.length / file.page_size;
    while u64::from(number_of) < all {
        failure::check_interrupt(ctx)?;
        number_of = number_of.saturating_add(1);
        let is_there =
            fill(&mut content, &mut page).map_err(|e| CaptureError::io("read", "the point", e))?;
        if said.pages.contains_key(&number_of) {
            continue;
        }
        if is_there && file.mark(number_of)? == Some(mark(&page)) {
            same += 1;
        } else {
            found.add(format!("page {number_of} is not the one of the base"));
        }
    }
    let text = format!("{} pages are those of the base", number(same));
    Ok(found.rung("pages", PAGES, text))
}

/// Whether there was a whole page.
fn fill(content: &mut dyn Read, page: &mut [u8]) -> io::Result<bool> {
    let mut done = 0;
    while let Some(rest) = page.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match content.read(rest) {
            Ok(0) => return Ok(false),
            Ok(count) => done += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

fn mark(content: &[u8]) -> Mark {
    let digest: [u8; 32] = Sha256::digest(content).into();
    let mut out = Mark::default();
    out.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    out
}
