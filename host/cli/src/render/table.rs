//! Tables with aligned columns.

use std::io::{self, Write};

use anstyle::Style;

use crate::escape::columns;

/// A cell: text that is safe for a terminal, and its style.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Returns a cell with a style.
    pub(super) fn styled(text: impl Into<String>, style: Style) -> Cell {
        Cell { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::styled(text, Style::new())
    }
}

/// How the cells of a row follow one another. Each column is as wide as its widest cell, and an empty column takes no room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    /// The start of each line.
    pub(super) indent: &'static str,
    /// The separator of two columns.
    pub(super) gap: &'static str,
    /// The columns that are aligned to the right.
    pub(super) right: &'static [usize],
}

/// A table that is set in below a heading.
pub(super) const INDENTED: Table = Table { indent: "  ", gap: "  ", right: &[] };

impl Table {
    /// Writes the rows, without blanks at the ends of lines.
    pub(super) fn write<const N: usize>(&self, out: &mut impl Write, rows: &[[Cell; N]]) -> io::Result<()> {
        let mut widths = [0; N];
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = columns(&cell.text).max(*width);
            }
        }
        for row in rows {
            let end = row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
            let mut before = self.indent;
            for (column, (cell, width)) in row.iter().zip(widths).take(end).enumerate().filter(|(_, (_, width))| *width > 0) {
                let Cell { text, style } = cell;
                let padding = " ".repeat(width.saturating_sub(columns(text)));
                out.write_all(before.as_bytes())?;
                match (self.right.contains(&column), column + 1 == end) {
                    (true, _) => write!(out, "{padding}{style}{text}{style:#}")?,
                    (false, true) => write!(out, "{style}{text}{style:#}")?,
                    (false, false) => write!(out, "{style}{text}{style:#}{padding}")?,
                }
                before = self.gap;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_are_aligned() {
        let rows = [["東京", "1", ""], ["Zürich", "23", ""], ["e\u{301}", "", ""]].map(|row| row.map(Cell::from));
        let mut out = Vec::new();
        Table { right: &[1], ..INDENTED }.write(&mut out, &rows).unwrap();
        // Two columns for each of 東 and 京, and none for a combining accent.
        assert_eq!(String::from_utf8(out).unwrap(), "  東京     1\n  Zürich  23\n  e\u{301}\n");
    }
}
