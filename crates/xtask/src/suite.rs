//! Everything that `cargo test` needs on a fresh machine, and then `cargo test`.

use std::process::Command;

use crate::oracles::Oracles;
use crate::phases::Phases;
use crate::{packages, program, servers, workspace};

/// Installs what the tests need.
pub(crate) fn set_up() -> Result<(), String> {
    let mut phases = Phases::default();
    let done = prepare(&mut phases);
    phases.print();
    done.map(drop)
}

/// Prints, for a shell to evaluate, where the oracles are.
pub(crate) fn print_environment() -> Result<(), String> {
    for (name, value) in Oracles::provide()?.variables() {
        println!("export {name}='{}'", value.display());
    }
    println!(
        "export {}='{}'",
        servers::VARIABLE,
        servers::provide()?.display()
    );
    Ok(())
}

const NO_FAIL_FAST: &str = "--no-fail-fast";

/// Sets up and runs the tests of the whole workspace, or of the packages that `arguments` name.
/// Everything else in `arguments` goes to `cargo test` as it is.
pub(crate) fn test(arguments: &[String]) -> Result<(), String> {
    let mut phases = Phases::default();
    let done = prepare(&mut phases).and_then(|oracles| {
        let call = Call::of(arguments);
        phases.time("build the tests", || {
            program::run(call.command(&oracles)?.arg("--no-run").args(call.cargo))
        })?;
        phases.time("run the tests", || {
            let mut command = call.command(&oracles)?;
            // Whoever reads the result elsewhere has one look at it: all that fails must be in it.
            if !call.cargo.iter().any(|word| word == NO_FAIL_FAST) {
                command.arg(NO_FAIL_FAST);
            }
            command.args(call.cargo);
            if !call.tests.is_empty() {
                command.arg("--").args(call.tests);
            }
            program::run(&mut command)
        })
    });
    phases.print();
    done
}

fn prepare(phases: &mut Phases) -> Result<Oracles, String> {
    phases.time("packages", || {
        packages::provide()?;
        packages::check_namespaces()
    })?;
    phases.time("servers", || servers::provide().map(drop))?;
    phases.time("oracles", Oracles::provide)
}

/// One call of `cargo test`, in its two halves.
#[derive(Debug, PartialEq)]
struct Call<'a> {
    cargo: &'a [String],
    tests: &'a [String],
}

impl<'a> Call<'a> {
    fn of(arguments: &'a [String]) -> Self {
        match arguments.iter().position(|word| word == "--") {
            Some(at) => Self {
                cargo: arguments.get(..at).unwrap_or_default(),
                tests: arguments.get(at + 1..).unwrap_or_default(),
            },
            None => Self {
                cargo: arguments,
                tests: &[],
            },
        }
    }

    fn names_packages(&self) -> bool {
        self.cargo.iter().any(|word| {
            word.starts_with("-p") || word == "--package" || word.starts_with("--package=")
        })
    }

    fn command(&self, oracles: &Oracles) -> Result<Command, String> {
        let mut command = workspace::cargo();
        command
            .current_dir(workspace::root()?)
            .arg("test")
            .envs(oracles.variables())
            .env(servers::VARIABLE, servers::provide()?);
        if !self.names_packages() {
            command.arg("--workspace");
        }
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn arguments_are_split_between_cargo_and_the_tests() {
        let arguments = words("-p vouchsafe-model --lib -- time --nocapture");
        let call = Call::of(&arguments);
        assert_eq!(call.cargo, words("-p vouchsafe-model --lib"));
        assert_eq!(call.tests, words("time --nocapture"));
        assert!(call.names_packages());
    }

    #[test]
    fn without_a_package_it_is_the_whole_workspace() {
        let arguments = words("--locked");
        let call = Call::of(&arguments);
        assert!(!call.names_packages());
        assert!(Call::of(&words("--package=x")).names_packages());
        assert!(Call::of(&words("-px")).names_packages());
    }
}
