//! The two streams: data on stdout, messages on stderr.
//!
//! Key types: [`Screen`] (messages, beside the progress bars), [`data`] (stdout).
//!
//! Invariants: the program writes through these only. A reader of stdout that leaves (`| head`) is not an error, and never stops a sync.

use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal as _, Write};

use anstyle::{AnsiColor, Style};
use indicatif::MultiProgress;

use crate::args::{LogFormat, Verbosity};
use crate::escape::EscapedLines;

/// The buffer of stdout: one system call for each 64 KiB, not for each line.
const BUFFER_BYTES: usize = 64 * 1024;

/// A stream whose reader may leave.
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

/// Returns stdout with a buffer. The caller must flush it, so that a full disk is an error.
pub(crate) fn data() -> BufWriter<Forgiving<io::StdoutLock<'static>>> {
    BufWriter::with_capacity(BUFFER_BYTES, Forgiving(io::stdout().lock()))
}

/// Returns whether stdout takes colours: it is a terminal, and `NO_COLOR`, `CLICOLOR` and `TERM` allow them.
pub(crate) fn data_has_colour() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// Messages on stderr.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    verbosity: Verbosity,
    colour: bool,
    format: LogFormat,
    /// Bars that are hidden during a write.
    bars: Option<MultiProgress>,
}

impl Screen {
    /// Returns a screen without progress bars.
    pub(crate) fn new(verbosity: Verbosity) -> Screen {
        Screen {
            verbosity,
            colour: anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never,
            format: LogFormat::Text,
            bars: None,
        }
    }

    /// Returns the same in another format. JSON has no colours.
    pub(crate) fn with_format(self, format: LogFormat) -> Screen {
        Screen { colour: self.colour && format == LogFormat::Text, format, ..self }
    }

    /// Returns the format.
    pub(crate) fn format(&self) -> LogFormat {
        self.format
    }

    /// Returns the same with progress bars, unless they are unwanted, stderr is not a terminal, or only errors are shown.
    pub(crate) fn with_bars(mut self, wanted: Option<bool>) -> Screen {
        let shown =
            self.format == LogFormat::Text && self.verbosity != Verbosity::Quiet && wanted.unwrap_or(true) && io::stderr().is_terminal();
        self.bars = shown.then(MultiProgress::new);
        self
    }

    /// Returns the bars, if any are shown.
    pub(crate) fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    /// Returns whether stderr takes colours.
    pub(crate) fn has_colour(&self) -> bool {
        self.colour
    }

    /// Returns which messages are shown.
    pub(crate) fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// Shows a result.
    pub(crate) fn info(&self, text: &str) {
        if self.verbosity != Verbosity::Quiet {
            self.write(text);
        }
    }

    /// Shows something that the user may act on.
    pub(crate) fn warn(&self, text: &str) {
        if self.verbosity != Verbosity::Quiet {
            self.write(&format!("warning: {text}"));
        }
    }

    /// Shows that another run of the same sync is running.
    pub(crate) fn waiting_for(&self, holder: impl std::fmt::Display) {
        self.info(&format!("Waiting for {holder}, which uses the same sync"));
    }

    /// Writes a text at every level.
    pub(crate) fn write(&self, text: &str) {
        let painted = match self.format {
            LogFormat::Text => paint(text, self.colour),
            LogFormat::Json => json_line(text),
        };
        self.around(|| {
            let mut stderr = io::stderr().lock();
            // If stderr is closed, the message has no reader.
            let _ = stderr.write_all(painted.as_bytes());
        });
    }

    /// Hides the bars during an action.
    pub(crate) fn around<R>(&self, action: impl FnOnce() -> R) -> R {
        match &self.bars {
            Some(bars) => bars.suspend(action),
            None => action(),
        }
    }
}

/// Returns the text as one JSON object: its level, from its first word, and the rest.
fn json_line(text: &str) -> String {
    let levels = [("error:", "ERROR"), ("warning:", "WARN")];
    let found = levels.iter().find_map(|(word, level)| Some((*level, text.strip_prefix(word)?.trim_start())));
    let (level, message) = found.unwrap_or(("INFO", text));
    let mut line = serde_json::json!({ "level": level, "message": message.trim_end() }).to_string();
    line.push('\n');
    line
}

/// Returns the text, escaped, with a line end. A word that begins a line and says what it is gets a colour.
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

/// Writes log lines while the bars are hidden.
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
