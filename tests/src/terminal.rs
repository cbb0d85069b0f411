//! A terminal of which tests read the screen.
//!
//! `script` gives a program a terminal of its own, and [`Screen`] does what a terminal does with its output. It knows what progress bars use: lines,
//! moves of the cursor, and clearing.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The columns of the terminal: wide enough for a whole sentence.
const COLUMNS: u16 = 200;

/// A program that runs on a terminal.
pub struct Terminal {
    child: Child,
    shown: Arc<(Mutex<Shown>, Condvar)>,
}

#[derive(Default)]
struct Shown {
    screen: Screen,
    /// The program has ended.
    is_over: bool,
}

impl Terminal {
    /// Starts a command on a terminal of its own.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(command: &Command) -> Terminal {
        let quoted: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''")))
            .collect();
        let mut script = Command::new("script");
        script.args(["-qefc", &format!("stty cols {COLUMNS} rows 40; {}", quoted.join(" ")), "/dev/null"]);
        script.stdin(Stdio::null()).stdout(Stdio::piped()).env("TERM", "xterm");
        if let Some(folder) = command.get_current_dir() {
            script.current_dir(folder);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        let mut child = script.spawn().expect("`script` runs");
        let mut output = child.stdout.take().expect("its output");
        let shown = Arc::new((Mutex::new(Shown::default()), Condvar::new()));
        let heard = shown.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            loop {
                let read = output.read(&mut piece).unwrap_or(0);
                let mut shown = heard.0.lock().unwrap_or_else(PoisonError::into_inner);
                shown.screen.take(&piece[..read]);
                shown.is_over = read == 0;
                heard.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        Terminal { child, shown }
    }

    /// Waits until the screen is as wanted, and returns it.
    ///
    /// # Panics
    /// When the program ends before, or after some minutes: no machine is that slow.
    #[must_use]
    pub fn wait_for(&self, is_wanted: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + Duration::from_secs(300);
        let mut shown = self.shown.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let text = shown.screen.text();
            if is_wanted(&text) {
                return text;
            }
            assert!(!shown.is_over && Instant::now() < until, "the screen never is as wanted:\n{text}");
            shown = self.shown.1.wait_timeout(shown, Duration::from_secs(1)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the end, and returns whether the program succeeded, and the last screen.
    ///
    /// # Panics
    /// When the program cannot be waited for.
    #[must_use]
    pub fn end(mut self) -> (bool, String) {
        let status = self.child.wait().expect("its end");
        let mut shown = self.shown.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !shown.is_over {
            shown = self.shown.1.wait(shown).unwrap_or_else(PoisonError::into_inner);
        }
        (status.success(), shown.screen.text())
    }
}

/// The lines of a terminal.
#[derive(Debug, Default)]
pub struct Screen {
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// Bytes that are not a whole character or sequence yet.
    rest: Vec<u8>,
}

impl Screen {
    /// Shows output.
    pub fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let rest = std::mem::take(&mut self.rest);
        let valid = match std::str::from_utf8(&rest) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let text = String::from_utf8_lossy(&rest[..valid]).into_owned();
        let mut at = 0;
        while let Some(character) = text[at..].chars().next() {
            if character == '\u{1b}' {
                let Some(length) = sequence(&text[at..]) else { break };
                self.control(&text[at..at + length]);
                at += length;
                continue;
            }
            self.put(character);
            at += character.len_utf8();
        }
        self.rest = rest[at..].to_vec();
    }

    /// Returns the lines, without blanks behind them.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = self.lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    fn line(&mut self) -> &mut Vec<char> {
        while self.lines.len() <= self.row {
            self.lines.push(Vec::new());
        }
        &mut self.lines[self.row]
    }

    fn put(&mut self, character: char) {
        match character {
            '\n' => self.row += 1,
            '\r' => self.column = 0,
            '\u{8}' => self.column = self.column.saturating_sub(1),
            character if character.is_control() => {}
            character => {
                if self.column >= usize::from(COLUMNS) {
                    (self.row, self.column) = (self.row + 1, 0);
                }
                let column = self.column;
                let line = self.line();
                while line.len() <= column {
                    line.push(' ');
                }
                line[column] = character;
                self.column += 1;
            }
        }
    }

    fn control(&mut self, sequence: &str) {
        let Some(inner) = sequence.strip_prefix("\u{1b}[") else { return };
        let (numbers, command) = inner.split_at(inner.len() - 1);
        let number = |otherwise: usize| numbers.split(';').next().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
        match command {
            "A" => self.row = self.row.saturating_sub(number(1)),
            "B" => self.row += number(1),
            "C" => self.column += number(1),
            "D" => self.column = self.column.saturating_sub(number(1)),
            "G" => self.column = number(1).saturating_sub(1),
            "K" => {
                let column = self.column;
                match number(0) {
                    0 => self.line().truncate(column),
                    _ => self.line().clear(),
                }
            }
            "J" => {
                let (row, column) = (self.row, self.column);
                self.line().truncate(column);
                self.lines.truncate(row + 1);
            }
            _ => {}
        }
    }
}

/// Returns the length of the control sequence that a text begins with; none while its end is missing.
fn sequence(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    match bytes.get(1)? {
        b'[' => bytes.iter().skip(2).position(|byte| (0x40..=0x7e).contains(byte)).map(|end| end + 3),
        b']' => bytes.iter().position(|byte| *byte == 7).map(|end| end + 1),
        _ => Some(2),
    }
}

#[cfg(test)]
mod tests {
    use super::Screen;

    #[test]
    fn a_screen_shows_what_a_terminal_would() {
        let mut screen = Screen::default();
        screen.take("one\r\ntwo\r\nthree".as_bytes());
        screen.take(b"\r\x1b[1A\x1b[2Kt");
        screen.take("wo \u{fc}".as_bytes());
        assert_eq!(screen.text(), "one\ntwo \u{fc}\nthree");
        screen.take(b"\r\x1b[J\x1b[");
        screen.take(b"1Ax");
        assert_eq!(screen.text(), "xne\n");
    }
}
