//! `cargo xtask rounds`: more rounds of the test in which the server, the shipper or the network dies.

use crate::{program, servers, workspace};

const USAGE: &str = "\
usage: cargo xtask rounds [OPTIONS]
  --rounds N    how many (50)
  --moments N   how many moments are brought back after each, the newest among them (20)
  --seed N      which deaths and which moments (1)
  --seconds N   no round is begun after that (7200)";

/// By which variables the test is told, and what it is told unless something else is asked for.
const NUMBERS: [(&str, &str, u64); 4] = [
    ("--rounds", "VOUCHSAFE_TEST_ROUNDS", 50),
    ("--moments", "VOUCHSAFE_TEST_ROUNDS_MOMENTS", 20),
    ("--seed", "VOUCHSAFE_TEST_ROUNDS_SEED", 1),
    ("--seconds", "VOUCHSAFE_TEST_ROUNDS_SECONDS", 7200),
];

/// Runs the test that many times over. Whatever it finds can be found again by its seed.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if arguments == ["--help"] {
        println!("{USAGE}");
        return Ok(());
    }
    let variables = variables(arguments)?;
    let mut command = workspace::cargo();
    command
        .current_dir(workspace::root()?)
        .args([
            "test",
            "-p",
            "vouchsafe",
            "--test",
            "all",
            "rounds::",
            "--",
            "--nocapture",
        ])
        .env(servers::VARIABLE, servers::provide()?)
        .envs(variables);
    program::run(&mut command)
}

fn variables(arguments: &[String]) -> Result<Vec<(&'static str, String)>, String> {
    let mut numbers = NUMBERS.map(|(_, variable, number)| (variable, number));
    let mut words = arguments.iter();
    while let Some(option) = words.next() {
        let known = NUMBERS.iter().position(|(name, ..)| name == option);
        let place = known.and_then(|at| numbers.get_mut(at));
        let number = words.next().and_then(|word| word.parse().ok());
        match (place, number) {
            (Some(place), Some(number)) => place.1 = number,
            _ => return Err(format!("{option}: not understood\n{USAGE}")),
        }
    }
    Ok(numbers
        .map(|(name, number)| (name, number.to_string()))
        .to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_by_variables_and_anything_else_is_refused() {
        let told = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            variables(&words)
        };
        let has = |line: &str, name: &str, value: &str| {
            told(line).unwrap().contains(&(name, value.to_owned()))
        };
        assert!(has("", "VOUCHSAFE_TEST_ROUNDS", "50"));
        assert!(has(
            "--seed 7 --rounds 3",
            "VOUCHSAFE_TEST_ROUNDS_SEED",
            "7"
        ));
        assert!(has("--seed 7 --rounds 3", "VOUCHSAFE_TEST_ROUNDS", "3"));
        for line in ["--rounds", "--rounds x", "3", "--seed 7 --help"] {
            assert!(told(line).is_err(), "{line}");
        }
    }
}
