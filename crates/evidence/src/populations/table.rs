//! CSV as RFC 4180 has it, with nothing in it that a spreadsheet would take for a formula.

use super::Frozen;
use crate::layout::harmless;

/// The rows of a population under their heads.
///
/// Lines end with CR LF; a field with a comma, a quote or a line break stands in quotes. A field that begins with
/// `=`, `+`, `-`, `@`, a tab or a carriage return is preceded by an apostrophe, since spreadsheets would compute it.
pub fn csv(population: &Frozen) -> String {
    let heads = population.columns.iter().map(|c| (*c).to_owned()).collect();
    let rows = population.rows.iter().map(|r| r.cells.clone());
    lines(std::iter::once(heads).chain(rows))
}

/// The same for any rows.
pub(crate) fn lines(rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .flexible(true)
        .from_writer(Vec::new());
    for row in rows {
        // Writing to memory does not fail.
        let _ = writer.write_record(row.iter().map(|cell| safe(cell)));
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn safe(cell: &str) -> String {
    let cell = harmless(cell);
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        true => format!("'{cell}"),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_text_and_odd_fields_stand_in_quotes() {
        let row = [
            "=1+1",
            "+1",
            "-1",
            "@x",
            "a,b",
            "say \"x\"",
            "two\nlines",
            "plain",
        ];
        let text = lines(std::iter::once(row.map(str::to_owned).to_vec()));
        assert_eq!(
            text,
            "'=1+1,'+1,'-1,'@x,\"a,b\",\"say \"\"x\"\"\",\"two\nlines\",plain\r\n"
        );
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(text.as_bytes());
        let back: Vec<String> = reader
            .records()
            .flat_map(|r| r.unwrap().iter().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        assert_eq!(back.get(6).map(String::as_str), Some("two\nlines"));
        assert!(back.iter().all(|c| !c.starts_with(['=', '+', '-', '@'])));
    }
}
