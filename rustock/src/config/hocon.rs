//! Reads HOCON as configuration files of the reference use it: objects, lists, quoted and plain values, comments. Later
//! values win and objects merge. Substitutions, includes and appending are refused. Knows no key by name.

use std::collections::BTreeMap;

/// Deeper nesting is refused.
const MOST_DEPTH: usize = 32;

/// A value at the end of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    /// Texts, or objects as paths and texts.
    List(Vec<Element>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Element {
    Text(String),
    Object(BTreeMap<String, String>),
}

/// What is wrong, and in which line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) what: String,
}

/// Values by their dotted path, with the line they stand in.
pub(super) type Document = BTreeMap<String, (Value, usize)>;

/// Reads a whole file.
pub(super) fn read(text: &str) -> Result<Document, SyntaxError> {
    let mut parser = Parser { rest: text.trim_start_matches('\u{feff}'), line: 1 };
    let mut document = Document::new();
    parser.blank(true);
    let braces = parser.take('{');
    parser.members("", braces, &mut document, 0)?;
    parser.blank(true);
    if parser.rest.is_empty() { Ok(document) } else { parser.fail("text after the end") }
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Parser<'a> {
    fn fail<T>(&self, what: &str) -> Result<T, SyntaxError> {
        Err(SyntaxError { line: self.line, what: what.to_owned() })
    }

    fn advance(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.line = self.line.saturating_add(taken.matches('\n').count());
        self.rest = rest;
        taken
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.rest.starts_with(c);
        if found {
            self.advance(c.len_utf8());
        }
        found
    }

    /// Passes over spaces and comments, and line ends if `lines`. Tells whether a line ended.
    fn blank(&mut self, lines: bool) -> bool {
        let begun = self.line;
        loop {
            let space = self.rest.find(|c: char| !c.is_whitespace() || (c == '\n' && !lines));
            self.advance(space.unwrap_or(self.rest.len()));
            if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else {
                return self.line > begun;
            }
        }
    }

    /// Members of an object up to its brace, or to the end of the file.
    fn members(
        &mut self,
        prefix: &str,
        braces: bool,
        out: &mut Document,
        depth: usize,
    ) -> Result<(), SyntaxError> {
        if depth > MOST_DEPTH {
            return self.fail("objects are nested too deep");
        }
        loop {
            self.blank(true);
            while self.take(',') {
                self.blank(true);
            }
            if braces && self.take('}') {
                return Ok(());
            }
            if self.rest.is_empty() {
                return if braces { self.fail("an object is not closed") } else { Ok(()) };
            }
            let line = self.line;
            let name = self.key()?;
            let path = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            self.blank(false);
            if self.rest.starts_with("+=") {
                return self.fail("appending with += is not supported");
            }
            let assigned = self.take('=') || self.take(':');
            self.blank(assigned);
            if self.take('{') {
                self.members(&path, true, out, depth.saturating_add(1))?;
            } else if !assigned {
                return self.fail("expected =, : or { after a key");
            } else {
                let value = self.value(depth)?;
                // A value replaces what an object had put below the same path.
                let below = format!("{path}.");
                out.retain(|other, _| !other.starts_with(&below));
                out.insert(path, (value, line));
            }
            let ended = self.blank(true);
            if !(ended || self.rest.is_empty() || self.rest.starts_with([',', '}'])) {
                return self.fail("expected a comma or a new line");
            }
        }
    }

    /// A dotted path, in which parts may be quoted.
    fn key(&mut self) -> Result<String, SyntaxError> {
        let mut key = String::new();
        loop {
            let part = if self.rest.starts_with('"') {
                self.quoted()?
            } else {
                let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.<>".contains(c)));
                self.advance(end.unwrap_or(self.rest.len())).to_owned()
            };
            if part.is_empty() {
                break;
            }
            key.push_str(&part);
        }
        if key == "include" && self.rest.trim_start().starts_with(['"', 'f', 'u', 'c']) {
            return self.fail("include is not supported: name one file");
        }
        if key.is_empty() { self.fail("expected a key") } else { Ok(key) }
    }

    fn value(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        if self.take('[') { self.list(depth).map(Value::List) } else { self.text().map(Value::Text) }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Element>, SyntaxError> {
        let mut list = Vec::new();
        loop {
            self.blank(true);
            while self.take(',') {
                self.blank(true);
            }
            if self.take(']') {
                return Ok(list);
            }
            if self.rest.is_empty() {
                return self.fail("a list is not closed");
            }
            if self.take('{') {
                let mut object = Document::new();
                self.members("", true, &mut object, depth.saturating_add(1))?;
                let texts = object.into_iter().filter_map(|(path, (value, _))| match value {
                    Value::Text(text) => Some((path, text)),
                    Value::List(_) => None,
                });
                list.push(Element::Object(texts.collect()));
            } else {
                list.push(Element::Text(self.text()?));
            }
        }
    }

    /// One scalar: quoted, or plain up to what ends it.
    fn text(&mut self) -> Result<String, SyntaxError> {
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        let ends = |(at, c): (usize, char)| {
            (",}]#\n{[\"".contains(c) || self.rest.get(at..).is_some_and(|rest| rest.starts_with("//")))
                .then_some(at)
        };
        let end = self.rest.char_indices().find_map(ends).unwrap_or(self.rest.len());
        let text = self.advance(end).trim().to_owned();
        if text.contains("${") || self.rest.starts_with('{') && text.ends_with('$') {
            return self.fail("substitutions are not supported: write the value");
        }
        if text.is_empty() { self.fail("expected a value") } else { Ok(text) }
    }

    fn quoted(&mut self) -> Result<String, SyntaxError> {
        if let Some(rest) = self.rest.strip_prefix("\"\"\"") {
            let Some(end) = rest.find("\"\"\"") else { return self.fail("a text is not closed") };
            let text = rest.get(..end).unwrap_or_default().to_owned();
            self.advance(end.saturating_add(6));
            return Ok(text);
        }
        self.take('"');
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.advance(at.saturating_add(1));
                    return Ok(text);
                }
                '\n' => break,
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, c @ ('"' | '\\' | '/'))) => text.push(c),
                    _ => return self.fail("an escape that is not known"),
                },
                c => text.push(c),
            }
        }
        self.fail("a text is not closed")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(document: &Document, path: &str) -> Option<String> {
        match document.get(path)? {
            (Value::Text(text), _) => Some(text.clone()),
            (Value::List(_), _) => None,
        }
    }

    #[test]
    fn paths_objects_comments_and_later_values() {
        let document = read(
            "# first\npeer.port = 1 // not this\npeer { port: 50501, discovery.enabled = true }\n\
             \"a b\".c = \"x # y\"\ndatabase { dir = /var/lib/rsk }\nlist = [ \"a\", b\n c ]\npeer.active = [ { ip = 127.0.0.1, port = 5 } ]\n",
        )
        .unwrap();
        assert_eq!(text(&document, "peer.port").as_deref(), Some("50501"));
        assert_eq!(text(&document, "peer.discovery.enabled").as_deref(), Some("true"));
        assert_eq!(text(&document, "a b.c").as_deref(), Some("x # y"));
        assert_eq!(text(&document, "database.dir").as_deref(), Some("/var/lib/rsk"));
        let texts = ["a", "b", "c"].map(|text| Element::Text(text.to_owned()));
        assert_eq!(document["list"], (Value::List(texts.to_vec()), 6));
        let object =
            [("ip", "127.0.0.1"), ("port", "5")].map(|(key, text)| (key.to_owned(), text.to_owned()));
        assert_eq!(document["peer.active"].0, Value::List(vec![Element::Object(object.into())]));
        assert_eq!(read("{ a = 1 }").unwrap().len(), 1);
    }

    #[test]
    fn what_is_not_read_is_refused_with_its_line() {
        for (text, line) in [
            ("a = 1\nb = ${a}", 2),
            ("a = 1\n\nb += 2", 3),
            ("include \"other.conf\"", 1),
            ("a {\n b = 1\n", 3),
            ("a = [1, 2", 1),
            ("a = \"x", 1),
            ("a 1", 1),
        ] {
            assert_eq!(read(text).map_err(|err| err.line), Err(line), "{text}");
        }
        assert!(read(&"a {".repeat(100)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-c\\.=:{}\\[\\],\"#/$\\\\ \n]{0,60}") {
            let _ = read(&text);
        }
    }
}
