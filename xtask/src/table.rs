//! Aligned tables, coloured only when a person looks at them.

use std::fmt;

use crate::environment;

/// What a cell means, and so its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
    Quiet,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\u{1b}[32m",
            Self::Bad => "\u{1b}[31m",
            Self::Quiet => "\u{1b}[2m",
        }
    }
}

/// Text with its tone.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// Rows under a header, each column as wide as its widest cell.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
    colour: bool,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        let header = header
            .iter()
            .map(|text| Cell::new(*text, Tone::Quiet))
            .collect();
        Self {
            rows: vec![header],
            colour: environment::wants_colour(),
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |row: &Vec<Cell>, column| {
            row.get(column)
                .map_or(0, |cell: &Cell| cell.text.chars().count())
        };
        (0..columns)
            .map(|column| {
                self.rows
                    .iter()
                    .map(|row| width(row, column))
                    .max()
                    .unwrap_or(0)
            })
            .collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for row in &self.rows {
            let mut line = String::from(" ");
            for (cell, width) in row.iter().zip(&widths) {
                let padded = format!("{:<width$}", cell.text);
                line.push(' ');
                if self.colour && cell.tone != Tone::Plain {
                    line.push_str(&format!("{}{padded}\u{1b}[0m", cell.tone.code()));
                } else {
                    line.push_str(&padded);
                }
                line.push(' ');
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table {
            rows: vec![vec!["step".into(), "result".into()]],
            colour: false,
        };
        table.row(["a long name".into(), "ok".into()]);
        assert_eq!(
            table.to_string(),
            "  step         result\n  a long name  ok\n"
        );
    }

    #[test]
    fn colour_does_not_count_as_width() {
        let mut table = Table {
            rows: Vec::new(),
            colour: true,
        };
        table.row([Cell::new("ok", Tone::Good), "x".into()]);
        table.row(["fail".into(), "y".into()]);
        assert_eq!(
            table.to_string(),
            "  \u{1b}[32mok  \u{1b}[0m  x\n  fail  y\n"
        );
    }
}
