//! A YAML document as a tree that knows where each of its parts stands.
//!
//! The parser reports events with their places; here they become a tree, so that whatever is wrong can be told with a
//! line and a column. Aliases share the part they name, merge keys are carried out, and a key that is there twice is
//! told. What a plain word means is decided in `scalar`, as Python decides it.

use std::{collections::HashMap, fmt, sync::Arc};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};

use super::tabs::{self, Text};

/// How deep a file may be nested. What we read is five levels deep.
const DEEPEST: usize = 64;

/// A place in a file, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// A whole document, and what is odd about how it is written.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: Arc<Node>,
    /// The keys that are there twice.
    pub(super) twice: Vec<Twice>,
    /// Tabs that Python does not take, the first of each line.
    pub(super) tabs: Vec<Position>,
}

/// Something in a file, and where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Scalar(Scalar),
    List(Vec<Arc<Node>>),
    Map(Vec<(Key, Arc<Node>)>),
}

/// A single value as it is written.
#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Whether it is written without quotes, so that it may mean something else than text.
    pub(super) plain: bool,
}

/// The name of a member.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) plain: bool,
    pub(super) at: Position,
}

/// Why a file is not one document of YAML.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) at: Position,
    pub(super) why: String,
}

/// A key that hides an earlier one.
#[derive(Debug)]
pub(super) struct Twice {
    pub(super) name: String,
    pub(super) first: Position,
    pub(super) second: Position,
}

impl From<Marker> for Position {
    fn from(marker: Marker) -> Self {
        Self {
            line: marker.line(),
            column: marker.col() + 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl From<ScanError> for Broken {
    fn from(error: ScanError) -> Self {
        Self::at(*error.marker(), error.info())
    }
}

impl Broken {
    fn at(place: impl Into<Position>, why: impl Into<String>) -> Self {
        Self {
            at: place.into(),
            why: why.into(),
        }
    }
}

/// Reads one document.
pub(super) fn read(text: &str) -> Result<Document, Broken> {
    let mut tree = Tree {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        twice: Vec::new(),
        texts: Vec::new(),
    };
    let root = tree.document()?;
    Ok(Document {
        root,
        twice: tree.twice,
        tabs: tabs::refused(text, &tree.texts),
    })
}

struct Tree<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: HashMap<usize, Arc<Node>>,
    twice: Vec<Twice>,
    texts: Vec<Text>,
}

impl<'t> Tree<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Broken> {
        let end = || Broken::at(Marker::default(), "the file ends too early");
        Ok(self.parser.next_event().ok_or_else(end)??)
    }

    fn document(&mut self) -> Result<Arc<Node>, Broken> {
        let mut root = None;
        loop {
            match self.next()? {
                (Event::StreamEnd, span) => {
                    return root.ok_or_else(|| Broken::at(span.start, "the file is empty"));
                }
                (Event::DocumentStart(_), span) if root.is_some() => {
                    let why =
                        "a second document begins here: keep one, without a line `---` between";
                    return Err(Broken::at(span.start, why));
                }
                (Event::DocumentStart(_), _) => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span, 0)?);
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Arc<Node>, Broken> {
        let at = Position::from(span.start);
        if depth > DEEPEST {
            return Err(Broken::at(at, "it is nested too deeply"));
        }
        let (anchor, kind) = match event {
            Event::Alias(anchor) => return self.aliased(anchor, at),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = is_plain(style, tag.as_deref(), at)?;
                self.texts.extend(Text::of(style, span));
                let text = text.into_owned();
                (anchor, Kind::Scalar(Scalar { text, plain }))
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), at)?;
                (anchor, self.list(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), at)?;
                (anchor, self.map(depth)?)
            }
            _ => return Err(Broken::at(at, "a value is missing here")),
        };
        let node = Arc::new(Node { at, kind });
        if anchor > 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        Ok(node)
    }

    fn aliased(&self, anchor: usize, at: Position) -> Result<Arc<Node>, Broken> {
        let known = self.anchors.get(&anchor).cloned();
        known.ok_or_else(|| Broken::at(at, "this alias names a part that contains it"))
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Broken> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Kind::List(list)),
                (event, span) => list.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Broken> {
        let mut own: Vec<(Key, Arc<Node>)> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => break,
                (event, span) => key(&*self.node(event, span, depth + 1)?)?,
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if key.plain && key.name == "<<" {
                merge(&value, &mut merged)?;
                continue;
            }
            // The last one counts, as in Python, but in the place of the first.
            match own.iter_mut().find(|(known, _)| known.name == key.name) {
                None => own.push((key, value)),
                Some(earlier) => {
                    self.twice.push(Twice {
                        name: key.name.clone(),
                        first: earlier.0.at,
                        second: key.at,
                    });
                    *earlier = (key, value);
                }
            }
        }
        for (key, value) in merged {
            if !own.iter().any(|(known, _)| known.name == key.name) {
                own.push((key, value));
            }
        }
        Ok(Kind::Map(own))
    }
}

fn key(node: &Node) -> Result<Key, Broken> {
    match &node.kind {
        Kind::Scalar(Scalar { text, plain }) => Ok(Key {
            name: text.clone(),
            plain: *plain,
            at: node.at,
        }),
        _ => Err(Broken::at(node.at, "a key must be a single word")),
    }
}

/// Takes over the members of the map, or of the maps, that a key `<<` names.
fn merge(from: &Node, into: &mut Vec<(Key, Arc<Node>)>) -> Result<(), Broken> {
    match &from.kind {
        Kind::Map(members) => {
            for (key, value) in members {
                let key = Key {
                    name: key.name.clone(),
                    ..*key
                };
                into.push((key, Arc::clone(value)));
            }
            Ok(())
        }
        Kind::List(maps) if maps.iter().all(|map| matches!(map.kind, Kind::Map(_))) => {
            maps.iter().try_for_each(|map| merge(map, into))
        }
        _ => {
            let why =
                "`<<` takes over the members of a mapping: name one, for example `<<: *defaults`";
            Err(Broken::at(from.at, why))
        }
    }
}

/// Whether a scalar may mean something else than its text.
fn is_plain(style: ScalarStyle, tag: Option<&Tag>, at: Position) -> Result<bool, Broken> {
    check_tag(tag, at)?;
    Ok(match tag {
        Some(tag) => tag.is_yaml_core_schema() && tag.suffix != "str",
        None => style == ScalarStyle::Plain,
    })
}

/// Python's safe loader refuses tags of an application's own; so do we.
fn check_tag(tag: Option<&Tag>, at: Position) -> Result<(), Broken> {
    match tag {
        Some(tag) if !is_known(tag) => {
            let why = format!("the tag `{tag}` is not known here: leave it out");
            Err(Broken::at(at, why))
        }
        _ => Ok(()),
    }
}

/// A tag of YAML itself, or `!`, which only says that a word is text.
fn is_known(tag: &Tag) -> bool {
    let known = ["str", "int", "float", "bool", "null", "map", "seq"];
    let is_yaml = tag.is_yaml_core_schema() && known.contains(&&*tag.suffix);
    is_yaml || tag.handle.len() + tag.suffix.len() <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree in one line: plain scalars as they are, quoted ones in quotes.
    fn show(node: &Node) -> String {
        match &node.kind {
            Kind::Scalar(Scalar { text, plain: true }) => text.clone(),
            Kind::Scalar(Scalar { text, .. }) => format!("{text:?}"),
            Kind::List(list) => {
                let shown: Vec<_> = list.iter().map(|node| show(node)).collect();
                format!("[{}]", shown.join(" "))
            }
            Kind::Map(map) => {
                let shown = map
                    .iter()
                    .map(|(key, value)| format!("{}={}", key.name, show(value)));
                format!("{{{}}}", shown.collect::<Vec<_>>().join(" "))
            }
        }
    }

    fn check(text: &str, expected: &str) {
        let document = read(text).unwrap_or_else(|broken| panic!("{text}: {broken:?}"));
        assert_eq!(show(&document.root), expected, "{text}");
    }

    fn check_broken(text: &str, at: (usize, usize), mentions: &str) {
        let broken = read(text).unwrap_err();
        assert_eq!((broken.at.line, broken.at.column), at, "{text}: {broken:?}");
        assert!(broken.why.contains(mentions), "{text}: {broken:?}");
    }

    #[test]
    fn a_document_becomes_a_tree() {
        check("a: 1\nb: '2'\nc: [x, \"y\"]\n", r#"{a=1 b="2" c=[x "y"]}"#);
        check("---\na:\n  b:\n", "{a={b=}}");
        check("a: |\n  text\n", "{a=\"text\\n\"}");
        check("a: !!str 1\nb: !!int '1'\n", r#"{a="1" b=1}"#);
    }

    #[test]
    fn aliases_and_merge_keys_are_carried_out() {
        check("a: &x {p: 1}\nb: *x\n", "{a={p=1} b={p=1}}");
        check("&root {a: 1}\n", "{a=1}");
        check(
            "a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\n",
            "{a={p=1 q=2} b={q=3 p=1}}",
        );
        check(
            "a: &x {p: 1}\nb: &y {p: 2, q: 2}\nc:\n  <<: [*x, *y]\n",
            "{a={p=1} b={p=2 q=2} c={p=1 q=2}}",
        );
    }

    #[test]
    fn a_key_that_is_there_twice_is_told_and_the_last_counts() {
        let Document { root, twice, .. } = read("a: 1\nb: 2\na: 3\n").unwrap();
        assert_eq!(show(&root), "{a=3 b=2}");
        let [
            Twice {
                name,
                first,
                second,
            },
        ] = &twice[..]
        else {
            panic!("{twice:?}");
        };
        assert_eq!((&**name, first.line, second.line), ("a", 1, 3));
    }

    #[test]
    fn what_is_no_document_says_where() {
        check_broken("", (1, 1), "empty");
        check_broken("a: [1\n", (2, 1), "");
        check_broken("a: *x\n", (1, 4), "");
        check_broken("a: 1\n---\nb: 2\n", (2, 1), "second document");
        check_broken("a: &x [*x]\n", (1, 8), "contains it");
        check_broken("? [a]\n: 1\n", (1, 3), "single word");
        check_broken("a: !!python/object:os.system x\n", (1, 4), "tag");
        check_broken("<<: 1\n", (1, 5), "mapping");
        let deep = "[".repeat(200);
        check_broken(&deep, (1, 66), "deeply");
    }
}
