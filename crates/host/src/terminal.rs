//! What is on the other side of standard output and standard error.

use std::io::{BufRead, IsTerminal, Write};
use std::os::fd::AsFd;

/// How one output stream may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// A person may be watching; progress can be shown.
    pub is_terminal: bool,
    /// Columns; 80 when unknown or not a terminal.
    pub width: u16,
    /// Colours are wanted: a terminal, `NO_COLOR` is unset or empty, and `TERM` is not `dumb`.
    pub colour: bool,
}

/// The width assumed when nothing is known.
const DEFAULT_WIDTH: u16 = 80;

/// Standard output.
pub fn stdout() -> Terminal {
    look(&std::io::stdout(), Environment::read())
}

/// Standard error.
pub fn stderr() -> Terminal {
    look(&std::io::stderr(), Environment::read())
}

/// Asks whoever sits at standard input, on standard error; yes is `y` or `yes`. Nothing if nobody does.
///
/// # Errors
/// The question could not be shown, or the answer not be read.
pub fn ask(question: &str) -> std::io::Result<Option<bool>> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(None);
    }
    let mut screen = std::io::stderr().lock();
    screen.write_all(question.as_bytes())?;
    screen.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(Some(is_yes(&answer)))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[derive(Debug, Clone, Copy)]
struct Environment {
    no_colour: bool,
    dumb: bool,
}

impl Environment {
    /// `NO_COLOR` counts when it is set and not empty, as no-color.org says.
    fn read() -> Self {
        Self {
            no_colour: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            dumb: std::env::var_os("TERM").is_some_and(|value| value == "dumb"),
        }
    }
}

fn look(stream: &(impl IsTerminal + AsFd), environment: Environment) -> Terminal {
    let is_terminal = stream.is_terminal();
    let width = rustix::termios::tcgetwinsize(stream)
        .ok()
        .map(|size| size.ws_col)
        .filter(|columns| is_terminal && *columns > 0)
        .unwrap_or(DEFAULT_WIDTH);
    Terminal {
        is_terminal,
        width,
        colour: is_terminal && !environment.no_colour && !environment.dumb,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_file_is_no_terminal_and_gets_no_colours() {
        let file = File::open("/dev/null").expect("the null device opens");
        let seen = look(
            &file,
            Environment {
                no_colour: false,
                dumb: false,
            },
        );
        assert_eq!(
            seen,
            Terminal {
                is_terminal: false,
                width: 80,
                colour: false
            }
        );
    }

    #[test]
    fn only_yes_is_yes() {
        assert!(["y", "Y", "yes\n", " YES "].into_iter().all(is_yes));
        assert!(
            !["", "n", "yy", "no", "yes please", "\n"]
                .into_iter()
                .any(is_yes)
        );
    }

    #[test]
    fn a_terminal_gets_colours_unless_refused() {
        // A pseudo-terminal's master side answers as a terminal without any other set-up.
        let pty = File::options().read(true).write(true).open("/dev/ptmx");
        let pty = pty.expect("a pseudo-terminal opens");
        assert!(
            look(
                &pty,
                Environment {
                    no_colour: false,
                    dumb: false
                }
            )
            .colour
        );
        assert!(
            !look(
                &pty,
                Environment {
                    no_colour: true,
                    dumb: false
                }
            )
            .colour
        );
        assert!(
            !look(
                &pty,
                Environment {
                    no_colour: false,
                    dumb: true
                }
            )
            .colour
        );
    }
}
