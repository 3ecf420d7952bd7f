//! Findings of the linter, shown in their place in the file.

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Severity,
    SourceOffset,
};
use vouchsafe_keeper::PolicyFile;
use vouchsafe_policy::{Level, Problem};

/// Whether the policy cannot be used because of it.
pub(crate) fn is_error(problem: &Problem) -> bool {
    problem.level == Level::Error
}

/// One line: `policy.yaml:12:5: error[P010]: …`.
pub(crate) fn line(file: &PolicyFile, problem: &Problem) -> String {
    let (name, line) = file.lowered.files.locate(problem.line);
    let mut there = problem.clone();
    there.line = line;
    format!("{name}:{there}")
}

/// The finding with the lines of the file around it.
pub(crate) fn picture(file: &PolicyFile, problem: &Problem, colour: bool, width: usize) -> String {
    let (name, local) = file.lowered.files.locate(problem.line);
    let parts = vouchsafe_policy::files::parts(&file.text);
    let within = parts.iter().rev().find(|part| part.line <= problem.line);
    let text = within.map_or(file.text.as_str(), |part| part.text);
    let offset = SourceOffset::from_location(text, local, problem.column).offset();
    let rest = text.get(offset..).unwrap_or_default();
    let length = rest
        .find(['\n', ' ', ':', ',', '}', ']'])
        .unwrap_or(rest.len())
        .max(1);
    let mut diagnostic = MietteDiagnostic::new(problem.message.clone())
        .with_code(problem.code)
        .with_severity(match problem.level {
            Level::Error => Severity::Error,
            Level::Warning => Severity::Warning,
            Level::Note => Severity::Advice,
        });
    if offset + length <= text.len() {
        diagnostic = diagnostic.with_label(LabeledSpan::underline(offset..offset + length));
    }
    if !problem.remedy.is_empty() {
        diagnostic = diagnostic.with_help(problem.remedy.clone());
    }
    let theme = if colour {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width)
        .with_links(false);
    let report =
        miette::Report::new(diagnostic).with_source_code(NamedSource::new(name, text.to_owned()));
    let mut out = String::new();
    match handler.render_report(&mut out, report.as_ref()) {
        Ok(()) => out,
        Err(_) => line(file, problem),
    }
}

/// As JSON.
pub(crate) fn json(file: &PolicyFile, problem: &Problem) -> serde_json::Value {
    let (name, line) = file.lowered.files.locate(problem.line);
    serde_json::json!({
        "code": problem.code,
        "level": problem.level.to_string(),
        "file": name,
        "line": line,
        "column": problem.column,
        "message": problem.message,
        "remedy": problem.remedy,
    })
}
