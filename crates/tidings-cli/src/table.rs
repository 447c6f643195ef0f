//! Aligned tables, coloured only when a person looks at them.

/// On which side the cells of a column begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

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

    /// The text in this tone.
    pub(crate) fn paint(self, text: &str, colour: bool) -> String {
        if colour && self != Self::Plain {
            format!("{}{text}\u{1b}[0m", self.code())
        } else {
            text.to_owned()
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

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text.to_string(), Tone::Plain)
    }
}

/// Rows under a header, each column as wide as its widest cell.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// With these headings; a heading that begins with `>` stands above numbers.
    pub(crate) fn new(header: &[&str]) -> Self {
        let align = |text: &&str| match text.starts_with('>') {
            true => Align::Right,
            false => Align::Left,
        };
        let heading = |text: &&str| Cell::new(text.trim_start_matches('>'), Tone::Quiet);
        Self {
            columns: header.iter().map(align).collect(),
            rows: vec![header.iter().map(heading).collect()],
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether there is nothing below the header.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// The table as text.
    pub(crate) fn render(&self, colour: bool) -> String {
        let widths: Vec<_> = (0..self.columns.len())
            .map(|column| self.width(column))
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells: Vec<_> = row
                .iter()
                .zip(self.columns.iter().zip(&widths))
                .map(|(cell, (align, width))| {
                    let padded = match align {
                        Align::Left => format!("{:<width$}", cell.text),
                        Align::Right => format!("{:>width$}", cell.text),
                    };
                    cell.tone.paint(&padded, colour)
                })
                .collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    fn width(&self, column: usize) -> usize {
        let widths = self.rows.iter().filter_map(|row| row.get(column));
        widths
            .map(|cell| cell.text.chars().count())
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["queue", ">ready"]);
        assert!(table.is_empty());
        table.row(["a long name".into(), 7.into()]);
        table.row(["b".into(), 1_000_000.into()]);
        assert_eq!(
            table.render(false),
            "queue          ready\na long name        7\nb            1000000\n"
        );
    }

    #[test]
    fn colour_does_not_count_as_width() {
        let mut table = Table::new(&[">n", "x"]);
        table.row([Cell::new("1", Tone::Bad), "y".into()]);
        assert_eq!(
            table.render(true),
            "\u{1b}[2mn\u{1b}[0m  \u{1b}[2mx\u{1b}[0m\n\u{1b}[31m1\u{1b}[0m  y\n"
        );
    }
}
