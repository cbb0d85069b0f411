//! The two streams: data on stdout, words on stderr.
//!
//! Key types: [`Screen`] (what is said, past the progress bars), [`data`] (stdout).
//!
//! Invariants: these are the only writers of the program; a reader of stdout that goes away (`| head`) is no failure, and
//! never stops a sync half way.

use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal as _, Write};

use anstyle::{AnsiColor, Style};
use indicatif::MultiProgress;

use crate::args::{LogFormat, Verbosity};
use crate::escape::EscapedLines;

/// Room before a write to stdout: a system call for each 64 KiB, not for each line.
const BUFFER_BYTES: usize = 64 * 1024;

/// A stdout whose reader may leave.
pub(crate) struct Forgiving<W>(W);

impl<W: Write> Write for Forgiving<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self.0.write(buffer) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(buffer.len()),
            outcome => outcome,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome,
        }
    }
}

/// stdout, buffered. It must be flushed, so that a full disk is noticed.
pub(crate) fn data() -> BufWriter<Forgiving<io::StdoutLock<'static>>> {
    BufWriter::with_capacity(BUFFER_BYTES, Forgiving(io::stdout().lock()))
}

/// Whether stdout takes colours: it is a terminal, and `NO_COLOR`, `CLICOLOR` and `TERM` do not object.
pub(crate) fn data_has_colour() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// Words on stderr.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    verbosity: Verbosity,
    colour: bool,
    format: LogFormat,
    /// Bars that must be out of the way while something is written.
    bars: Option<MultiProgress>,
}

impl Screen {
    /// A screen without progress bars.
    pub(crate) fn new(verbosity: Verbosity) -> Screen {
        Screen {
            verbosity,
            colour: anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never,
            format: LogFormat::Text,
            bars: None,
        }
    }

    /// The same in another format. JSON has no colours.
    pub(crate) fn with_format(self, format: LogFormat) -> Screen {
        Screen { colour: self.colour && format == LogFormat::Text, format, ..self }
    }

    /// How it is written.
    pub(crate) fn format(&self) -> LogFormat {
        self.format
    }

    /// The same with progress bars: where they are wanted, or, if nobody said anything, where stderr is a terminal; nowhere if
    /// nothing is to be said.
    pub(crate) fn with_bars(mut self, wanted: Option<bool>) -> Screen {
        let shown =
            self.format == LogFormat::Text && self.verbosity != Verbosity::Quiet && wanted.unwrap_or(true) && io::stderr().is_terminal();
        self.bars = shown.then(MultiProgress::new);
        self
    }

    /// The bars, if there are any.
    pub(crate) fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    /// Whether stderr takes colours.
    pub(crate) fn has_colour(&self) -> bool {
        self.colour
    }

    /// How much is said.
    pub(crate) fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// Says something that is worth knowing.
    pub(crate) fn info(&self, text: &str) {
        if self.verbosity != Verbosity::Quiet {
            self.write(text);
        }
    }

    /// Says something that a person may act on.
    pub(crate) fn warn(&self, text: &str) {
        if self.verbosity != Verbosity::Quiet {
            self.write(&format!("warning: {text}"));
        }
    }

    /// Writes a text in any case.
    pub(crate) fn write(&self, text: &str) {
        let painted = match self.format {
            LogFormat::Text => paint(text, self.colour),
            LogFormat::Json => json_line(text),
        };
        self.around(|| {
            let mut stderr = io::stderr().lock();
            // There is nobody left to tell if stderr is gone.
            let _ = stderr.write_all(painted.as_bytes());
        });
    }

    /// Does something while no bar is on the screen.
    pub(crate) fn around<R>(&self, action: impl FnOnce() -> R) -> R {
        match &self.bars {
            Some(bars) => bars.suspend(action),
            None => action(),
        }
    }
}

/// The text as one JSON object: its level, by the word that it begins with, and the rest.
fn json_line(text: &str) -> String {
    let levels = [("error:", "ERROR"), ("warning:", "WARN")];
    let found = levels.iter().find_map(|(word, level)| Some((*level, text.strip_prefix(word)?.trim_start())));
    let (level, message) = found.unwrap_or(("INFO", text));
    let mut line = serde_json::json!({ "level": level, "message": message.trim_end() }).to_string();
    line.push('\n');
    line
}

/// The text, escaped, with a line end; the words that begin a line and tell what it is are coloured.
fn paint(text: &str, colour: bool) -> String {
    const WORDS: [(&str, AnsiColor); 4] =
        [("error:", AnsiColor::Red), ("caused by:", AnsiColor::Red), ("warning:", AnsiColor::Yellow), ("hint:", AnsiColor::Cyan)];
    let mut painted = String::with_capacity(text.len() + 16);
    for line in text.split('\n') {
        let word = WORDS.iter().find(|(word, _)| line.starts_with(word));
        let rest = match word {
            Some((word, ansi)) if colour => {
                let style: Style = ansi.on_default().bold();
                // Writing to a String cannot fail.
                let _ = write!(painted, "{style}{word}{style:#}");
                line.strip_prefix(word).unwrap_or(line)
            }
            _ => line,
        };
        let _ = writeln!(painted, "{}", EscapedLines(rest));
    }
    painted
}

/// Writes log lines past the bars.
pub(crate) struct LogWriter<'a>(pub(crate) &'a Screen);

impl Write for LogWriter<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.around(|| io::stderr().lock().write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Screen {
    type Writer = LogWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        LogWriter(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_reader_may_leave() {
        let mut out = Forgiving(Gone);
        out.write_all(b"text").unwrap();
        out.flush().unwrap();
    }

    #[test]
    fn only_our_own_words_are_painted() {
        insta::assert_snapshot!(paint("error: bad \u{1b}[0m name\ncaused by: it\n\nhint: fix it", true).replace('\u{1b}', "␛"), @r"
        ␛[1m␛[31merror:␛[0m bad \u{1b}[0m name
        ␛[1m␛[31mcaused by:␛[0m it

        ␛[1m␛[36mhint:␛[0m fix it
        ");
        insta::assert_snapshot!(paint("warning: plain", false), @"warning: plain");
    }

    #[test]
    fn a_quiet_screen_has_no_bars() {
        assert!(Screen::new(Verbosity::Quiet).with_bars(Some(true)).bars().is_none());
        assert!(Screen::new(Verbosity::Default).with_bars(Some(false)).bars().is_none());
    }
}
