//! Tabs that keep Python from reading a file which we can read.
//!
//! YAML allows a tab between two words; PyYAML, which deployed consumers read the file with, takes one only inside of
//! quotes, in the lines of a block of text, and in a comment. A file is to stay readable by both, so the others are told.

use saphyr_parser::{ScalarStyle, Span};

use super::node::Position;

/// A part of a file in which a tab is a character like another; in characters from the file's beginning.
#[derive(Debug)]
pub(super) enum Text {
    /// It ends with the quote that it begins with. The parser counts what follows on its line to it.
    Quoted { begin: usize },
    /// Lines that belong together by their indentation.
    Block { begin: usize, end: usize },
}

impl Text {
    /// The text that a scalar is; `None` for a word without quotes, in which no tab may be.
    pub(super) fn of(style: ScalarStyle, span: Span) -> Option<Self> {
        let (begin, end) = (span.start.index(), span.end.index());
        match style {
            ScalarStyle::Plain => None,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Some(Self::Quoted { begin }),
            ScalarStyle::Literal | ScalarStyle::Folded => Some(Self::Block { begin, end }),
        }
    }

    /// Where it ends: the first character behind it.
    fn end(&self, file: &[char]) -> usize {
        match self {
            Self::Quoted { begin } => after_quote(file, *begin),
            Self::Block { end, .. } => *end,
        }
    }
}

/// The character behind the quote that ends what the quote here begins.
fn after_quote(file: &[char], begin: usize) -> usize {
    let quote = file[begin];
    let mut at = begin + 1;
    while let Some(&character) = file.get(at) {
        let is_twice = file.get(at + 1) == Some(&quote);
        at += match character {
            '\\' if quote == '"' => 2,
            '\'' if quote == '\'' && is_twice => 2,
            _ if character == quote => return at + 1,
            _ => 1,
        };
    }
    file.len()
}

/// The first tab of each line that has one which Python does not take. `texts` are those of the file, in its order.
pub(super) fn refused(file: &str, texts: &[Text]) -> Vec<Position> {
    let file: Vec<char> = file.chars().collect();
    let mut texts = texts.iter().map(|text| (text, text.end(&file))).peekable();
    let mut found: Vec<Position> = Vec::new();
    let (mut at, mut before, mut in_comment) = (Position { line: 1, column: 1 }, '\n', false);
    for (index, &character) in file.iter().enumerate() {
        while texts.next_if(|(_, end)| *end <= index).is_some() {}
        // Also the lines of a block begin with spaces.
        let in_text = texts.peek().is_some_and(|(text, _)| match text {
            Text::Quoted { begin } => *begin <= index,
            Text::Block { begin, .. } => *begin <= index && at.column > 1,
        });
        let is_first = found.last().is_none_or(|last| last.line < at.line);
        match character {
            '#' if !in_text && before.is_whitespace() => in_comment = true,
            '\t' if !in_text && !in_comment && is_first => found.push(at),
            _ => {}
        }
        before = character;
        at.column += 1;
        if character == '\n' {
            (at.line, at.column, in_comment) = (at.line + 1, 1, false);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::node;

    /// Where a tab is told, as line and column.
    fn told(text: &str) -> Vec<(usize, usize)> {
        let document = node::read(text).unwrap_or_else(|broken| panic!("{text:?}: {broken:?}"));
        let places = document.tabs.iter();
        places.map(|at| (at.line, at.column)).collect()
    }

    /// These are the places that PyYAML 6.0.3 names.
    #[test]
    fn a_tab_that_python_does_not_take_is_told_where_it_stands() {
        for (text, at) in [
            ("a:\n  \tb: 1\n", (2, 3)),
            ("a:\t'b'\n", (1, 3)),
            ("a: 1\t\n", (1, 5)),
            ("a: 1\t# c\n", (1, 5)),
            ("\t# c\na: 1\n", (1, 1)),
            ("a: 1\n\t\nb: 2\n", (2, 1)),
            ("a: b\tc\n", (1, 5)),
            ("a: |\t\n  b\n", (1, 5)),
            ("a: |\n  b\n\t\nc: 1\n", (3, 1)),
            ("{a: 1,\n\tb: 2}\n", (2, 1)),
            ("---\t# x\na: 1\n", (1, 4)),
            ("a: &x\tb\n", (1, 6)),
            ("a\t: 1\n", (1, 2)),
            ("a: b#\tc\n", (1, 6)),
            ("a: \"x\"\t\n", (1, 7)),
            ("a: 'it''s' \t#\n", (1, 12)),
            ("a: \"\\\"\"\t\n", (1, 8)),
            ("é: 'ü'\r\nb: \tc\r\n", (2, 4)),
        ] {
            assert_eq!(told(text), [at], "{text:?}");
        }
    }

    #[test]
    fn a_tab_in_a_text_or_a_comment_is_nobodys_business() {
        for text in [
            "a: 1 #\tc\n",
            "#\tc\na: 1\n",
            "a: \"b\tc\"\n",
            "a: \"b\n \tc\"\n",
            "a: 'b\tc'\n",
            "a: 'é\tc' #\t'\n",
            "a: 'it''s\t'\n",
            "a: \"\\\"\t\"\n",
            "a: |\n  b\tc\n  \td\ne: 1\n",
            "a: >-\n  b\tc\n",
            "a: | #\tx\n  b\n",
            "a: \"x#\t\"\n",
        ] {
            assert_eq!(told(text), [], "{text:?}");
        }
    }

    #[test]
    fn each_line_is_told_once() {
        assert_eq!(told("a: \t1\t\nb: 1\nc: \t2\n"), [(1, 4), (3, 4)]);
    }
}
