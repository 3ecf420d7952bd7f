//! The only place that prints.

use std::io::{self, Write};

use vouchsafe_evidence::TextOptions;
use vouchsafe_host::terminal::{self, Terminal};
use vouchsafe_model::Secret;

/// Where results go, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Print JSON instead of text.
    pub(crate) json: bool,
    stdout: Terminal,
}

impl Output {
    /// Looks at the terminal once.
    pub(crate) fn new(json: bool) -> Output {
        Output {
            json,
            stdout: terminal::stdout(),
        }
    }

    /// Width and colours of standard output.
    pub(crate) fn text_options(&self, verbose: bool) -> TextOptions {
        TextOptions {
            width: usize::from(self.stdout.width),
            colour: self.stdout.colour && !self.json,
            verbose,
        }
    }

    /// Whether a person is looking at standard output.
    pub(crate) fn is_terminal(&self) -> bool {
        self.stdout.is_terminal
    }

    /// Writes text to standard output, with a newline at its end if it has none.
    pub(crate) fn text(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// Writes a secret that was asked for, in a line.
    pub(crate) fn secret(&self, secret: &Secret) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(secret.expose())?;
        out.write_all(b"\n")?;
        out.flush()
    }

    /// Writes one JSON value as one line.
    pub(crate) fn json(&self, value: &impl serde::Serialize) -> io::Result<()> {
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, value)?;
        out.write_all(b"\n")?;
        out.flush()
    }

    /// Writes a line to standard error; what cannot be written there is lost.
    pub(crate) fn complain(text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}
