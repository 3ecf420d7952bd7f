//! Erasing the subjects of a register in restored data: the order of things, which is the same for every kind.

use vouchsafe_capture::{CaptureContext, CaptureError, Erased, Erasing, Spared};
use vouchsafe_model::{ErasedSubject, ErasureRule, SubjectId};

use crate::failure;

/// Restored data that is open for changes. What goes wrong is said without anything of the subject.
pub(crate) trait Open {
    /// Whether the subject is found.
    fn finds(&mut self, subject: &SubjectId) -> Result<bool, Fault>;

    /// Erases one subject.
    fn erase(&mut self, subject: &SubjectId) -> Result<(), Fault>;

    /// Anyone who is there; nothing if nobody is, or nobody can be named.
    fn someone(&mut self) -> Result<Option<SubjectId>, Fault>;

    /// Makes what was erased stay so.
    fn commit(&mut self) -> Result<(), Fault>;
}

/// What went wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) remedy: String,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>, remedy: impl Into<String>) -> Fault {
        Fault {
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    /// The same as an error of the whole deed.
    pub(crate) fn at(self, place: &str) -> CaptureError {
        CaptureError::Unreadable {
            place: place.to_owned(),
            message: self.message,
            remedy: self.remedy,
        }
    }
}

/// Statements of a rule.
pub(crate) struct Statements<'a> {
    pub(crate) database: Option<&'a str>,
    pub(crate) find: &'a str,
    pub(crate) erase: &'a [String],
    pub(crate) someone: Option<&'a str>,
}

/// The statements of a rule, if it has them.
pub(crate) fn statements<'a>(
    erasing: &Erasing<'a>,
    place: &str,
) -> Result<Statements<'a>, CaptureError> {
    match erasing.rule {
        ErasureRule::Statements {
            database,
            find,
            erase,
            someone,
        } => Ok(Statements {
            database: database.as_deref(),
            find: bare(find),
            erase,
            someone: someone.as_deref().map(bare),
        }),
        ErasureRule::Places { .. } => Err(Fault::new(
            "the policy says paths of it, and it is a database",
            "write find and erase under `erasure`",
        )
        .at(place)),
    }
}

/// A statement without what may stand after its end.
pub(crate) fn bare(sql: &str) -> &str {
    sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace())
}

/// Erases everybody, and looks for each before and after.
pub(crate) fn erase(
    ctx: &CaptureContext<'_>,
    erasing: &Erasing<'_>,
    place: &str,
    open: &mut dyn Open,
) -> Result<Erased, CaptureError> {
    let of = |subject: &ErasedSubject, fault: Fault| {
        let line = subject.line;
        let message = format!("line {line} of the register: {}", fault.message);
        Fault { message, ..fault }.at(place)
    };
    let count = erasing.subjects.len() as u64;
    ctx.progress.phase("erase", Some(count), None);
    let mut there = Vec::new();
    for subject in erasing.subjects {
        failure::check_interrupt(ctx)?;
        if open.finds(&subject.id).map_err(|e| of(subject, e))? {
            there.push(&subject.id);
        }
    }
    let mut out = Erased {
        found: there.len() as u64,
        ..Erased::default()
    };
    let (mut left_in, mut somebody) = (None, None);
    if erasing.spare {
        left_in = there.first().copied();
        if left_in.is_none() {
            somebody = open.someone().map_err(|e| e.at(place))?;
        }
    }
    for subject in erasing.subjects {
        failure::check_interrupt(ctx)?;
        if left_in != Some(&subject.id) {
            // Also who is not found: what hangs on them may be there.
            open.erase(&subject.id).map_err(|e| of(subject, e))?;
        }
        ctx.progress.advance(1, 0);
    }
    open.commit().map_err(|e| e.at(place))?;
    for subject in erasing.subjects {
        failure::check_interrupt(ctx)?;
        if open.finds(&subject.id).map_err(|e| of(subject, e))? {
            out.left.push(subject.line);
        }
    }
    out.spared = match (left_in, somebody) {
        (Some(_), _) => Some(Spared::OfTheRegister),
        (None, Some(id)) => {
            let found = open.finds(&id).map_err(|e| e.at(place))?;
            Some(Spared::Somebody { found })
        }
        (None, None) => None,
    };
    Ok(out)
}

/// A statement with `placeholder(n)`, counted from 1, in each place of `:subject` that is neither quoted nor a comment,
/// and how many there are. `backslashes` escape in texts. Were a quote misread, the server would refuse the statement:
/// an identifier never becomes a part of the text.
pub(crate) fn with_placeholders(
    sql: &str,
    backslashes: bool,
    placeholder: impl Fn(usize) -> String,
) -> (String, usize) {
    const NAME: &str = ":subject";
    let (mut out, mut count, mut rest) = (String::with_capacity(sql.len()), 0, sql);
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' | '`' => quoted(rest, first, backslashes),
            '$' if !is_word(before) => dollar_quoted(rest),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            ':' if before != ':' && is_name(rest, NAME) => {
                count += 1;
                out.push_str(&placeholder(count));
                before = 't';
                rest = rest.get(NAME.len()..).unwrap_or_default();
                continue;
            }
            other => other.len_utf8(),
        };
        let (head, tail) = rest.split_at(length);
        out.push_str(head);
        before = head.chars().next_back().unwrap_or(' ');
        rest = tail;
    }
    (out, count)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn is_name(rest: &str, name: &str) -> bool {
    let after = rest.strip_prefix(name);
    after.is_some_and(|after| !after.chars().next().is_some_and(is_word))
}

/// How many bytes a quoted text has, its quotes included. A quote that stands twice is two texts side by side.
fn quoted(rest: &str, quote: char, backslashes: bool) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if backslashes && quote != '`' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// How many bytes `$tag$ … $tag$` has; 1 for a dollar that begins none.
fn dollar_quoted(rest: &str) -> usize {
    let Some(end) = rest.get(1..).and_then(|r| r.find('$')) else {
        return 1;
    };
    let tag = rest.get(..end + 2).unwrap_or_default();
    let name = tag.trim_matches('$');
    let is_tag = name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if !is_tag {
        return 1;
    }
    let body = rest.get(tag.len()..).unwrap_or_default();
    body.find(tag)
        .map_or(rest.len(), |at| tag.len() + at + tag.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use vouchsafe_host::clock::SystemClock;
    use vouchsafe_host::process::LocalSpawn;
    use vouchsafe_host::signals::Interrupt;
    use vouchsafe_model::Time;

    fn marked(sql: &str) -> (String, usize) {
        with_placeholders(sql, false, |n| format!("${n}"))
    }

    #[test]
    fn a_subject_has_its_place_outside_of_quotes_and_comments() {
        let (sql, count) = marked("DELETE FROM a WHERE b=:subject OR c = (:subject)");
        assert_eq!(sql, "DELETE FROM a WHERE b=$1 OR c = ($2)");
        assert_eq!(count, 2);
        assert_eq!(marked("x = :subject::text").0, "x = $1::text");
        for quoted in [
            "select ':subject'",
            "select 'it''s :subject'",
            "select \":subject\"",
            "select `:subject`",
            "select 1 -- :subject",
            "select 1 /* :subject */",
            "select $$:subject$$",
            "select $a$ $ :subject $a$",
            "select a::subject",
            "select :subjects",
            "select ':subject",
            "select $a$ :subject",
            "select /* :subject",
        ] {
            assert_eq!(marked(quoted), (quoted.to_owned(), 0), "{quoted}");
        }
        assert_eq!(marked("select 'a' , :subject -- ü\n, :subject").1, 2);
        assert_eq!(marked("select 5 $ :subject").1, 1);
        let backslashes = |sql| with_placeholders(sql, true, |_| "?".to_owned());
        assert_eq!(backslashes(r"select 'a\' :subject'").1, 0);
        assert_eq!(backslashes(r"select 'a\\', :subject").0, r"select 'a\\', ?");
    }

    /// People in a set; some are deaf to being erased.
    #[derive(Default)]
    struct Data {
        there: BTreeSet<SubjectId>,
        deaf: BTreeSet<SubjectId>,
        fails: bool,
    }

    impl Open for Data {
        fn finds(&mut self, subject: &SubjectId) -> Result<bool, Fault> {
            Ok(self.there.contains(subject))
        }

        fn erase(&mut self, subject: &SubjectId) -> Result<(), Fault> {
            if self.fails {
                return Err(Fault::new("it is read-only", "mount it otherwise"));
            }
            if !self.deaf.contains(subject) {
                self.there.remove(subject);
            }
            Ok(())
        }

        fn someone(&mut self) -> Result<Option<SubjectId>, Fault> {
            Ok(self.there.iter().next().cloned())
        }

        fn commit(&mut self) -> Result<(), Fault> {
            Ok(())
        }
    }

    fn id(number: i64) -> SubjectId {
        SubjectId::Number(number)
    }

    fn run(data: &mut Data, register: &[i64], spare: bool) -> Result<Erased, CaptureError> {
        let subjects: Vec<ErasedSubject> = register
            .iter()
            .zip(1..)
            .map(|(number, line)| ErasedSubject {
                id: id(*number),
                line,
                erased: Time::from_secs(0),
                systems: BTreeSet::new(),
            })
            .collect();
        let rule = ErasureRule::Places { paths: Vec::new() };
        let erasing = Erasing {
            rule: &rule,
            subjects: &subjects,
            spare,
        };
        let (clock, interrupt) = (SystemClock::new(), Interrupt::manual());
        let ctx = CaptureContext {
            spawn: &LocalSpawn,
            clock: &clock,
            work_dir: std::path::Path::new("/nowhere"),
            interrupt: &interrupt,
            progress: &vouchsafe_capture::NoProgress,
            own_places: &[],
        };
        erase(&ctx, &erasing, "the place", data)
    }

    fn people(there: &[i64], deaf: &[i64]) -> Data {
        let set = |numbers: &[i64]| numbers.iter().copied().map(id).collect();
        Data {
            there: set(there),
            deaf: set(deaf),
            fails: false,
        }
    }

    #[test]
    fn everybody_of_the_register_is_gone_and_nobody_else() {
        let mut data = people(&[1, 2, 3], &[]);
        let erased = run(&mut data, &[2, 3, 9], false).unwrap();
        assert_eq!((erased.found, erased.remaining()), (2, 0));
        assert_eq!(data.there, people(&[1], &[]).there);
    }

    #[test]
    fn who_is_still_there_is_counted_by_the_line() {
        let erased = run(&mut people(&[1, 2, 3], &[3]), &[2, 3, 9], false).unwrap();
        assert_eq!((erased.found, erased.left), (2, vec![2]));
    }

    #[test]
    fn one_is_left_in_and_found() {
        let erased = run(&mut people(&[1, 2, 3], &[]), &[2, 3, 9], true).unwrap();
        assert_eq!(erased.spared, Some(Spared::OfTheRegister));
        assert_eq!(erased.remaining(), 1);
        let erased = run(&mut people(&[1], &[]), &[2, 3, 9], true).unwrap();
        assert_eq!(erased.spared, Some(Spared::Somebody { found: true }));
        assert_eq!(erased.remaining(), 1);
        let nobody = run(&mut people(&[], &[]), &[2], true).unwrap();
        assert_eq!((nobody.spared, nobody.remaining()), (None, 0));
    }

    #[test]
    fn a_fault_names_the_line() {
        let mut data = people(&[1], &[]);
        data.fails = true;
        let error = run(&mut data, &[7, 1], false).unwrap_err().to_string();
        assert!(
            error.contains("line 1 of the register: it is read-only"),
            "{error}"
        );
    }
}
