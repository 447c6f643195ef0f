//! A Rust file as the rules see it: code, comments and string literals apart, line by line.
//!
//! A rule that looks for `dbg!` must not find it in a comment or in a string, least of all in its own. This is
//! a small lexer and no parser: rules need to know what kind of text they look at, not what it means.

/// One line of a file. String literals are blank in `code` and complete in `strings`, on the line they begin on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) code: String,
    pub(crate) comment: String,
    pub(crate) strings: Vec<String>,
    /// Inside `#[cfg(test)]`.
    pub(crate) is_test: bool,
    /// Inside `quote!`: code that we generate.
    pub(crate) is_quoted: bool,
}

/// Takes a file apart.
pub(crate) fn read(text: &str) -> Vec<Line> {
    let mut lexer = Lexer {
        rest: text,
        lines: vec![Line::default()],
    };
    while lexer.step() {}
    let mut lines = lexer.lines;
    mark(&mut lines, &["#[cfg(test)]", "#[cfg(all(test"], |line| {
        line.is_test = true;
    });
    mark(&mut lines, &["quote!", "quote_spanned!"], |line| {
        line.is_quoted = true;
    });
    lines
}

struct Lexer<'a> {
    rest: &'a str,
    lines: Vec<Line>,
}

impl<'a> Lexer<'a> {
    /// Reads one thing; `false` at the end of the file.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else {
            return false;
        };
        if self.rest.starts_with("//") {
            let comment = self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
            self.put(comment, |line| &mut line.comment);
        } else if self.rest.starts_with("/*") {
            let comment = self.take(block_comment(self.rest));
            self.put(comment, |line| &mut line.comment);
        } else if let Some(opening) = Opening::read(self.rest) {
            self.string(&opening);
        } else if first == '\'' {
            let literal = self.take(character(self.rest));
            self.put(literal, |line| &mut line.code);
        } else if first.is_alphanumeric() || first == '_' {
            // Whole words, so that the last letter of one does not begin a string.
            let end = |c: char| !c.is_alphanumeric() && c != '_';
            let word = self.take(self.rest.find(end).unwrap_or(self.rest.len()));
            self.put(word, |line| &mut line.code);
        } else {
            let sign = self.take(first.len_utf8());
            self.put(sign, |line| &mut line.code);
        }
        true
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// Adds text to a part of the current line, beginning a new one at each line break.
    fn put(&mut self, text: &str, part: fn(&mut Line) -> &mut String) {
        for (index, piece) in text.split('\n').enumerate() {
            if index > 0 {
                self.lines.push(Line::default());
            }
            part(self.line()).push_str(piece);
        }
    }

    fn line(&mut self) -> &mut Line {
        if self.lines.is_empty() {
            self.lines.push(Line::default());
        }
        let last = self.lines.len() - 1;
        &mut self.lines[last]
    }

    fn string(&mut self, opening: &Opening) {
        self.take(opening.length);
        let text = self.take(opening.content(self.rest));
        self.take(opening.close.len().min(self.rest.len()));
        let line = self.line();
        line.code.push_str("\"\"");
        line.strings.push(text.to_owned());
        let breaks = text.matches('\n').count();
        self.lines
            .extend(std::iter::repeat_n(Line::default(), breaks));
    }
}

/// How a string literal begins, and so how it ends.
struct Opening {
    length: usize,
    close: String,
    has_escapes: bool,
}

impl Opening {
    /// The opening that the text begins with, if it begins with a string literal.
    fn read(text: &str) -> Option<Self> {
        let quote = text.find(|c| !matches!(c, 'b' | 'c' | 'r' | '#'))?;
        if !text[quote..].starts_with('"') {
            return None;
        }
        let letters = text[..quote].trim_end_matches('#');
        let hashes = quote - letters.len();
        let has_escapes = match letters {
            "" | "b" | "c" if hashes == 0 => true,
            "r" | "br" | "cr" => false,
            _ => return None,
        };
        let close = format!("\"{}", "#".repeat(hashes));
        Some(Self {
            length: quote + 1,
            close,
            has_escapes,
        })
    }

    /// How long the content is.
    fn content(&self, text: &str) -> usize {
        if !self.has_escapes {
            return text.find(&self.close).unwrap_or(text.len());
        }
        let mut escaped = false;
        let end = text.find(|c: char| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        end.unwrap_or(text.len())
    }
}

/// How long a block comment is; they nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// How long a character literal is; only the quote if it is a lifetime.
fn character(text: &str) -> usize {
    let mut rest = text.char_indices().skip(1);
    match (rest.next(), rest.next()) {
        (Some((_, '\\')), Some((escaped, _))) => {
            // The character after the backslash may itself be a quote.
            let after = escaped + text[escaped..].chars().next().map_or(1, char::len_utf8);
            text[after..]
                .find('\'')
                .map_or(text.len(), |end| after + end + 1)
        }
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 1,
    }
}

/// Marks the lines of each item or group that begins with one of the openings.
fn mark(lines: &mut [Line], openings: &[&str], how: fn(&mut Line)) {
    for index in 0..lines.len() {
        let found = openings
            .iter()
            .find_map(|opening| lines[index].code.find(opening).map(|at| at + opening.len()));
        if let Some(start) = found {
            let end = group_end(lines, index, start);
            lines[index..=end].iter_mut().for_each(how);
        }
    }
}

/// The line on which the first group in brackets after a position ends, or the item without one.
fn group_end(lines: &[Line], first: usize, start: usize) -> usize {
    let mut depth = 0_usize;
    for (index, line) in lines.iter().enumerate().skip(first) {
        let code = if index == first {
            &line.code[start..]
        } else {
            &line.code
        };
        // Attributes between the opening and the item hold brackets of their own.
        if depth == 0 && code.trim_start().starts_with("#[") {
            continue;
        }
        for sign in code.chars() {
            match sign {
                '{' | '(' | '[' => depth += 1,
                '}' | ')' | ']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 && sign != ')' {
                        return index;
                    }
                }
                ';' if depth == 0 => return index,
                _ => {}
            }
        }
    }
    lines.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, code: &[&str], comments: &[&str], strings: &[&str]) {
        let lines = read(text);
        let part = |of: fn(&Line) -> &str| lines.iter().map(of).map(str::trim).collect::<Vec<_>>();
        assert_eq!(part(|line| &line.code), code, "code of {text:?}");
        let found: Vec<_> = part(|line| &line.comment)
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect();
        assert_eq!(found, comments, "comments of {text:?}");
        let found: Vec<_> = lines.iter().flat_map(|line| &line.strings).collect();
        assert_eq!(found, strings, "strings of {text:?}");
    }

    #[test]
    fn takes_code_comments_and_strings_apart() {
        check("let a = 1; // one", &["let a = 1;"], &["// one"], &[]);
        check(
            "a /* b /* c */ d */ e",
            &["a  e"],
            &["/* b /* c */ d */"],
            &[],
        );
        check(
            "f(\"// no comment\")",
            &["f(\"\")"],
            &[],
            &["// no comment"],
        );
        check(r#"f("a \" b \\")"#, &["f(\"\")"], &[], &[r#"a \" b \\"#]);
        check(
            "f(r#\"a \" b\"#, b\"c\")",
            &["f(\"\", \"\")"],
            &[],
            &["a \" b", "c"],
        );
        check("/* a\n b */ c", &["", "c"], &["/* a", "b */"], &[]);
    }

    #[test]
    fn a_string_over_several_lines_belongs_to_its_first() {
        let lines = read("f(\"a\nb\");\ng();");
        assert_eq!(lines[0].strings, ["a\nb"]);
        assert_eq!(lines[2].code, "g();");
    }

    #[test]
    fn characters_and_lifetimes_do_not_begin_strings() {
        check("f('\"', \"a\")", &["f('\"', \"\")"], &[], &["a"]);
        check(
            r"f('\'', '\\', '\u{1b}') // c",
            &[r"f('\'', '\\', '\u{1b}')"],
            &["// c"],
            &[],
        );
        check(
            "fn f<'a>(x: &'a str) {} // c",
            &["fn f<'a>(x: &'a str) {}"],
            &["// c"],
            &[],
        );
    }

    fn marked(text: &str, of: fn(&Line) -> bool) -> Vec<usize> {
        let lines = read(text);
        (0..lines.len())
            .filter(|line| of(&lines[*line]))
            .map(|line| line + 1)
            .collect()
    }

    #[test]
    fn knows_which_lines_are_tests() {
        let text = "fn a() {}\n#[cfg(test)]\n#[expect(x)]\nmod tests {\n  fn b() {}\n}\nfn c() {}";
        assert_eq!(marked(text, |line| line.is_test), [2, 3, 4, 5, 6]);
        let text = "#[cfg(test)]\nmod tests;\nfn c() {}";
        assert_eq!(marked(text, |line| line.is_test), [1, 2]);
        let text = "#[cfg(test)]\nfn only(a: u8) {\n}\nfn c() {}";
        assert_eq!(marked(text, |line| line.is_test), [1, 2, 3]);
    }

    #[test]
    fn knows_which_lines_are_generated_code() {
        let text = "let a = quote! {\n  #b { c }\n};\nd();";
        assert_eq!(marked(text, |line| line.is_quoted), [1, 2, 3]);
    }
}
