//! What lies in the files: text, source code, JSON, logs, tables, programs, media.

use super::dice::Dice;
use super::words::Words;

/// What a file's bytes are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Prose.
    Text,
    /// Lines of a programming language.
    Source,
    /// Records of one form.
    Json,
    /// Lines with times and numbers.
    Log,
    /// Rows of a database dump.
    Table,
    /// Machine code, strings, tables of addresses, gaps.
    Program,
    /// Compressed already: pictures, sound, archives.
    Media,
}

impl Kind {
    /// The end of such a file's name.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Kind::Text => "txt",
            Kind::Source => "rs",
            Kind::Json => "json",
            Kind::Log => "log",
            Kind::Table => "sql",
            Kind::Program => "so",
            Kind::Media => "jpg",
        }
    }
}

/// Makes the content of one file, piece by piece.
pub(crate) struct Writer<'a> {
    words: &'a Words,
    dice: Dice,
    kind: Kind,
    /// The names that this file uses again and again.
    names: Vec<Vec<u8>>,
    /// Counts upwards: rows, seconds, addresses.
    count: u64,
}

impl<'a> Writer<'a> {
    /// The content of this kind that follows from `seed`.
    pub(crate) fn new(words: &'a Words, kind: Kind, seed: u64) -> Self {
        let mut dice = Dice::of(seed, kind as u64);
        let names = (0..24 + dice.index(100))
            .map(|_| name(words, &mut dice))
            .collect();
        let count = dice.below(1 << 30);
        Self {
            words,
            dice,
            kind,
            names,
            count,
        }
    }

    /// Appends until `out` holds exactly `length` bytes.
    pub(crate) fn fill(&mut self, out: &mut Vec<u8>, length: usize) {
        while out.len() < length {
            self.count += 1;
            match self.kind {
                Kind::Text => self.sentence(out),
                Kind::Source => self.statement(out),
                Kind::Json => self.record(out),
                Kind::Log => self.log_line(out),
                Kind::Table => self.row(out),
                Kind::Program => self.section(out),
                Kind::Media => self.noise(out, length),
            }
        }
        out.truncate(length);
    }

    fn sentence(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        for position in 0..6 + self.dice.below(16) {
            if position > 0 {
                out.extend_from_slice(if self.dice.percent(8) { b", " } else { b" " });
            }
            out.extend_from_slice(self.words.draw(&mut self.dice));
        }
        if let Some(first) = out.get_mut(start) {
            first.make_ascii_uppercase();
        }
        out.extend_from_slice(if self.dice.percent(15) {
            b".\n\n"
        } else {
            b". "
        });
    }

    fn statement(&mut self, out: &mut Vec<u8>) {
        const FORMS: &[&str] = &[
            "    let # = #.#(#);\n",
            "    let # = #::#(&#, #)?;\n",
            "        #.push(#);\n",
            "    if # == # {\n        return #;\n    }\n",
            "    for # in #.iter() {\n        #(#, %);\n    }\n",
            "}\n\n/// @ @ @ @ @ @.\npub fn #(#: &str, #: u64) -> Result<#, Error> {\n",
            "    // @ @ @ @ @ @ @\n",
            "        .map(|#| #.#())\n",
            "    assert_eq!(#.#, %);\n",
            "#[derive(Clone, Debug)]\npub struct # {\n    #: u64,\n    #: String,\n}\n\n",
            "    match # {\n        Some(#) => #(#),\n        None => #,\n    }\n",
        ];
        self.form(FORMS, out);
    }

    fn record(&mut self, out: &mut Vec<u8>) {
        const FORMS: &[&str] = &[
            "  {\n    \"id\": &,\n    \"name\": \"@ @\",\n    \"email\": \"@.@@example.org\",\n    \"score\": 0.%,\n    \"digest\": \"$\"\n  },\n",
            "  {\n    \"id\": &,\n    \"name\": \"@\",\n    \"tags\": [\"@\", \"#\"],\n    \"size\": %,\n    \"active\": true\n  },\n",
        ];
        self.form(FORMS, out);
    }

    fn log_line(&mut self, out: &mut Vec<u8>) {
        const FORMS: &[&str] = &[
            "1763& INFO  [#] request % served in %us from 10.0.%.% status=200\n",
            "1763& INFO  [#] @ @ @ #=% id=$\n",
            "1763& DEBUG [#::#] cache hit for #/% after % tries\n",
            "1763& WARN  [#] @ @ @ @ @: retry %\n",
        ];
        self.form(FORMS, out);
    }

    fn row(&mut self, out: &mut Vec<u8>) {
        const FORMS: &[&str] = &[
            "&\t%\t@ @ @ @\t2026-03-1% 1%:2%:3%.%\t%.%\tt\t\\N\n",
            "&\t%\t@ @ @ @ @ @ @ @ @\t2026-04-2% 0%:1%:5%.%\t%.%\tf\t$\n",
            "&\t%\t#\t2026-05-0% 2%:0%:4%.%\t%.%\tt\t$$\n",
        ];
        self.form(FORMS, out);
    }

    /// `#` a name of this file, `@` a word, `%` a number, `&` the running count, `$` eight hex digits.
    fn form(&mut self, forms: &[&str], out: &mut Vec<u8>) {
        let form = forms.get(self.dice.index(forms.len())).unwrap_or(&"\n");
        for byte in form.bytes() {
            match byte {
                b'#' => {
                    let at = self.dice.skewed(self.names.len());
                    out.extend_from_slice(self.names.get(at).map_or(b"", |name| name));
                }
                b'@' => out.extend_from_slice(self.words.draw(&mut self.dice)),
                b'%' => {
                    let digits = 1 + self.dice.below(4);
                    number(self.dice.below(10_u64.pow(digits as u32)), out);
                }
                b'&' => number(self.count, out),
                b'$' => hex(self.dice.next(), out),
                other => out.push(other),
            }
        }
    }

    fn section(&mut self, out: &mut Vec<u8>) {
        match self.dice.below(100) {
            0..62 => self.code(out),
            62..74 => self.strings(out),
            74..86 => self.addresses(out),
            86..91 => {
                let from = out.len();
                out.resize(from + 512 + self.dice.index(4096), 0);
                self.dice.fill(out.get_mut(from..).unwrap_or_default());
            }
            _ => out.resize(out.len() + 64 + self.dice.index(4096), 0),
        }
    }

    /// Few instructions come often, half of them carry an operand of their own, and what was written before comes
    /// again: prologues, calls, inlined functions.
    fn code(&mut self, out: &mut Vec<u8>) {
        for _ in 0..512 + self.dice.index(2048) {
            let throw = self.dice.next();
            if (throw >> 54) < 30 {
                let back = 64 + (throw >> 20) as usize % 30_000;
                let from = out.len().saturating_sub(back);
                let to = (from + 12 + (throw >> 40) as usize % 100).min(out.len());
                out.extend_from_within(from..to);
            }
            let opcode = self
                .words
                .at((throw & 0xfff) as usize & (throw >> 12) as usize);
            out.extend_from_slice(opcode.get(..3).unwrap_or(opcode));
            match (throw >> 28) & 3 {
                0 => out.push((throw >> 32) as u8),
                1 => out.extend_from_slice(&((throw >> 32) as u16 & 0x3ff).to_le_bytes()),
                _ => {}
            }
        }
    }

    fn strings(&mut self, out: &mut Vec<u8>) {
        for _ in 0..16 + self.dice.index(64) {
            for _ in 0..=self.dice.below(3) {
                out.extend_from_slice(self.words.draw(&mut self.dice));
                out.push(b'_');
            }
            out.push(0);
        }
    }

    fn addresses(&mut self, out: &mut Vec<u8>) {
        for _ in 0..64 + self.dice.index(256) {
            self.count += 8 + self.dice.below(400);
            out.extend_from_slice(&self.count.to_le_bytes());
        }
    }

    fn noise(&mut self, out: &mut Vec<u8>, length: usize) {
        let from = out.len();
        out.resize(length, 0);
        self.dice.fill(out.get_mut(from..).unwrap_or_default());
    }
}

fn name(words: &Words, dice: &mut Dice) -> Vec<u8> {
    let mut name = words.draw(dice).to_vec();
    if dice.percent(60) {
        name.push(b'_');
        name.extend_from_slice(words.draw(dice));
    }
    name
}

fn number(mut number: u64, out: &mut Vec<u8>) {
    let from = out.len();
    loop {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.get_mut(from..).unwrap_or_default().reverse();
}

fn hex(number: u64, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for shift in 0..8 {
        let digit = (number >> (shift * 4)) & 15;
        out.push(DIGITS.get(digit as usize).copied().unwrap_or(b'0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Kind; 7] = [
        Kind::Text,
        Kind::Source,
        Kind::Json,
        Kind::Log,
        Kind::Table,
        Kind::Program,
        Kind::Media,
    ];

    fn content(words: &Words, kind: Kind, seed: u64, length: usize) -> Vec<u8> {
        let mut out = Vec::new();
        Writer::new(words, kind, seed).fill(&mut out, length);
        out
    }

    #[test]
    fn content_follows_from_kind_and_seed_and_has_its_length() {
        let words = Words::new();
        for kind in ALL {
            for length in [0, 1, 100, 70_000] {
                let made = content(&words, kind, 7, length);
                assert_eq!(made.len(), length);
                assert_eq!(made, content(&words, kind, 7, length), "{kind:?}");
                assert!(length < 100 || made != content(&words, kind, 8, length));
            }
        }
    }

    #[test]
    fn numbers_are_written_in_order() {
        let mut out = Vec::new();
        number(0, &mut out);
        out.push(b' ');
        number(1_230_456, &mut out);
        hex(0xab, &mut out);
        assert_eq!(out, b"0 1230456ba000000");
    }
}
