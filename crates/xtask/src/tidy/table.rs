//! Tables of a Markdown page, found by the words of their first row.

/// A table's rows below its heading: the line number from one, and the cells, trimmed.
pub(crate) type Rows = Vec<(usize, Vec<String>)>;

/// The rows of the first table whose heading is exactly `heading`.
pub(crate) fn rows(page: &str, heading: &[&str]) -> Option<Rows> {
    let mut lines = page.lines().enumerate().map(|(at, line)| (at + 1, line));
    lines.find(|(_, line)| cells(line).is_some_and(|found| found == heading))?;
    let body = lines
        .skip(1)
        .map_while(|(at, line)| Some((at, cells(line)?)));
    Some(body.collect())
}

/// The names between backticks in a cell.
pub(crate) fn names(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(
        inner
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "# t\n\n| x |\n|---|\n| 1 |\n\n| a | b |\n|---|---|\n| `c` and `d` | — |\n\nend";

    #[test]
    fn a_table_is_found_by_its_heading() {
        let rows = rows(PAGE, &["a", "b"]).unwrap();
        assert_eq!(rows, [(9, vec!["`c` and `d`".to_owned(), "—".to_owned()])]);
        assert_eq!(names(&rows[0].1[0]), ["c", "d"]);
        assert!(names("—").is_empty());
    }

    #[test]
    fn another_heading_is_no_table() {
        assert!(rows(PAGE, &["a"]).is_none());
    }
}
