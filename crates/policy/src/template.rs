//! Policy files to begin with.

/// The names of all templates.
pub const NAMES: [&str; 2] = ["default", "files"];

/// The commented policy file of that name; it lints without error or warning and works as it is.
pub fn template(name: &str) -> Option<&'static str> {
    match name {
        "default" => Some(include_str!("../templates/default.yaml")),
        "files" => Some(include_str!("../templates/files.yaml")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::problem::Level;

    #[test]
    fn each_is_clean_and_does_something() {
        for name in NAMES {
            let text = template(name).unwrap();
            let lowered = crate::lower(text, "policy.yaml", Path::new("/p"), String::new());
            let bad: Vec<_> = lowered
                .problems
                .iter()
                .chain(&crate::lint(&lowered, None))
                .filter(|p| p.level > Level::Note)
                .map(ToString::to_string)
                .collect();
            assert_eq!(bad, [""; 0], "{name}");
            let policy = lowered.policy.unwrap();
            assert_eq!((policy.systems.len(), policy.vaults.len()), (1, 2));
            assert!(!text.contains("{{"));
        }
        assert_eq!(template("nothing"), None);
    }

    #[test]
    fn what_is_commented_out_works_too() {
        let mut text = String::new();
        for line in template("default").unwrap().lines() {
            // Examples are indented; prose is not.
            let example = line.strip_prefix("  # ").map(|l| format!("  {l}"));
            text.push_str(&example.unwrap_or_else(|| line.to_owned()));
            text.push('\n');
        }
        let lowered = crate::lower(&text, "policy.yaml", Path::new("/p"), String::new());
        assert_eq!(lowered.problems, []);
        assert_eq!(lowered.policy.unwrap().systems.len(), 3);
    }
}
