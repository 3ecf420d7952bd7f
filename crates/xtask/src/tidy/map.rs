//! The map of the crates as `ARCHITECTURE.md` draws it.

use std::collections::{BTreeMap, BTreeSet};

use super::{ARCHITECTURE, Finding, table};

const HEADING: [&str; 6] = [
    "crate",
    "floor",
    "kind",
    "imports",
    "in tests",
    "what it is",
];

/// The crates by the names of their folders.
pub(crate) type Map = BTreeMap<String, Entry>;

/// One row of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) floor: Floor,
    pub(crate) pure: bool,
    pub(crate) imports: BTreeSet<String>,
    pub(crate) in_tests: BTreeSet<String>,
    pub(crate) line: usize,
}

/// Where a crate stands: on a numbered floor, or outside what ships.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Floor {
    Number(u8),
    Dev,
}

/// Finds the table and reads every row, or says what is wrong with it.
pub(crate) fn parse(page: &str) -> Result<Map, Finding> {
    let rows = table::rows(page, &HEADING).ok_or_else(|| {
        let text = format!("has no table with the heading: {}", HEADING.join(" | "));
        Finding::error(ARCHITECTURE, text)
    })?;
    let mut map = Map::new();
    for (line, cells) in rows {
        let wrong = |text: String| Finding::error(place(line), text);
        let (name, entry) = row(line, &cells).map_err(wrong)?;
        if map.insert(name.clone(), entry).is_some() {
            return Err(wrong(format!("`{name}` stands in the map twice")));
        }
    }
    Ok(map)
}

/// A line of the page, for findings.
pub(crate) fn place(line: usize) -> String {
    format!("{ARCHITECTURE}:{line}")
}

fn row(line: usize, cells: &[String]) -> Result<(String, Entry), String> {
    let [name, floor, kind, imports, in_tests, _] = cells else {
        return Err("a row of the map has six cells".to_owned());
    };
    let name = match table::names(name).as_slice() {
        [one] => one.clone(),
        _ => return Err(format!("`{name}` is not one crate in backticks")),
    };
    let floor = match floor.as_str() {
        "dev" => Floor::Dev,
        number => Floor::Number(
            number
                .parse()
                .map_err(|_| format!("`{number}` is no floor: a number, or dev"))?,
        ),
    };
    let pure = match kind.as_str() {
        "pure" => true,
        "edge" | "dev" => false,
        other => return Err(format!("`{other}` is no kind: pure, edge or dev")),
    };
    let entry = Entry {
        floor,
        pure,
        imports: table::names(imports).into_iter().collect(),
        in_tests: table::names(in_tests).into_iter().collect(),
        line,
    };
    Ok((name, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOP: &str =
        "| crate | floor | kind | imports | in tests | what it is |\n|--|--|--|--|--|--|\n";

    fn message(row: &str) -> String {
        parse(&format!("{TOP}{row}\n")).unwrap_err().text
    }

    #[test]
    fn a_row_is_read_with_its_line() {
        let page = format!("{TOP}| `a` | 2 | pure | `b`, `c` | — | x |\n");
        let map = parse(&page).unwrap();
        let entry = &map["a"];
        assert_eq!(entry.floor, Floor::Number(2));
        assert!(entry.pure);
        assert_eq!(entry.imports.len(), 2);
        assert!(entry.in_tests.is_empty());
        assert_eq!(entry.line, 3);
    }

    #[test]
    fn damaged_maps_are_refused() {
        assert!(parse("no table").unwrap_err().text.contains("heading"));
        assert!(message("| a | 0 | pure | — | — | x |").contains("backticks"));
        assert!(message("| `a` | low | pure | — | — | x |").contains("no floor"));
        assert!(message("| `a` | 0 | clean | — | — | x |").contains("no kind"));
        assert!(message("| `a` | 0 | pure | — | x |").contains("six cells"));
        let twice = "| `a` | 0 | pure | — | — | x |\n| `a` | 0 | pure | — | — | x |";
        assert!(message(twice).contains("twice"));
    }
}
