//! What a person sees while something goes on: one progress line on a terminal, one line per deed, or JSON events.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use vouchsafe_capture::Progress;
use vouchsafe_host::terminal;
use vouchsafe_keeper::{Event, Reporter};

use crate::output::Output;

/// Tells what happens on standard error, or as JSON lines on standard output.
pub(crate) struct Console {
    output: Output,
    bar: Bar,
    colour: bool,
    quiet: bool,
}

struct Bar {
    bar: ProgressBar,
    phase: Mutex<String>,
    /// Items of the phase so far, read when the line is drawn.
    items: Arc<AtomicU64>,
}

impl Console {
    /// A reporter; progress is drawn only on a terminal.
    pub(crate) fn new(output: Output) -> Console {
        let stderr = terminal::stderr();
        let bar = ProgressBar::new(0);
        let visible = stderr.is_terminal && !output.json;
        bar.set_draw_target(if visible {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        });
        let bar = Bar {
            bar,
            phase: Mutex::new(String::new()),
            items: Arc::default(),
        };
        Console {
            output,
            bar,
            colour: stderr.colour && !output.json,
            quiet: false,
        }
    }

    /// Tells only what went wrong.
    pub(crate) fn quiet(mut self) -> Console {
        self.quiet = true;
        self
    }

    fn line(&self, mark: &str, colour: u8, text: &str) {
        let line = if self.colour {
            format!("\x1b[{colour}m{mark}\x1b[0m {text}")
        } else {
            format!("{mark} {text}")
        };
        self.bar.bar.suspend(|| Output::complain(&line));
    }

    fn tell(&self, event: &Event) {
        match event {
            Event::Started { deed, subject } => self.bar.begin(&format!("{deed} {subject}")),
            Event::Finished {
                deed,
                subject,
                summary,
                good,
            } => {
                self.bar.end();
                let (mark, colour) = if *good { ("✓", 32) } else { ("✗", 31) };
                if !self.quiet || !good {
                    self.line(mark, colour, &format!("{deed} {subject}: {summary}"));
                }
            }
            Event::Issue { protection, issue } => {
                let of = protection
                    .as_ref()
                    .map(ToString::to_string)
                    .filter(|p| *p != issue.place)
                    .map_or(String::new(), |p| format!("{p}: "));
                self.line("!", 33, &format!("{of}{}: {}", issue.place, issue.message));
            }
            Event::LeftOut { protection, place } if !self.quiet => {
                self.line("·", 90, &format!("{protection}: left out {place}"));
            }
            Event::Note { text } if !self.quiet => self.line("·", 90, text),
            Event::Published { .. } | Event::LeftOut { .. } | Event::Note { .. } => {}
        }
    }
}

impl Reporter for Console {
    fn event(&self, event: &Event) {
        if self.output.json {
            // A closed pipe ends the command when its result is written.
            let _ = self.output.json(event);
        } else {
            self.tell(event);
        }
    }

    fn progress(&self) -> &dyn Progress {
        &self.bar
    }
}

impl Bar {
    fn begin(&self, text: &str) {
        if let Ok(mut phase) = self.phase.lock() {
            text.clone_into(&mut phase);
        }
        self.bar.reset();
        self.bar.set_message(text.to_owned());
        self.bar.enable_steady_tick(Duration::from_millis(200));
    }

    fn end(&self) {
        self.bar.disable_steady_tick();
        self.bar.set_message("");
        self.bar.reset();
    }

    fn style(&self, known: bool) -> ProgressStyle {
        let text = if known {
            "{spinner} {msg}  {items}{bar:24} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left"
        } else {
            "{spinner} {msg}  {items}{decimal_bytes}  {decimal_bytes_per_sec}  {elapsed}"
        };
        let items = Arc::clone(&self.items);
        let draw = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let count = items.load(Ordering::Relaxed);
            if count > 0 {
                // A line that cannot be drawn is not worth an error.
                let _ = write!(out, "{count} items  ");
            }
        };
        ProgressStyle::with_template(text)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key("items", draw)
    }
}

impl Progress for Bar {
    fn phase(&self, name: &str, _total_items: Option<u64>, total_bytes: Option<u64>) {
        let deed = self.phase.lock().map(|p| p.clone()).unwrap_or_default();
        self.items.store(0, Ordering::Relaxed);
        self.bar.reset();
        self.bar.set_style(self.style(total_bytes.is_some()));
        self.bar.set_length(total_bytes.unwrap_or(0));
        self.bar.set_message(if deed.contains(name) {
            deed
        } else {
            format!("{deed}: {name}")
        });
    }

    fn advance(&self, items: u64, bytes: u64) {
        self.items.fetch_add(items, Ordering::Relaxed);
        self.bar.inc(bytes);
    }
}
