//! Reading JSON. Mirrors `JToken.Parse`: RFC 8259, comments skipped, no trailing commas, no repeated names.

use indexmap::IndexMap;

use super::Json;

/// Why bytes are not the JSON that the reference reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON at this offset.
    #[error("not JSON at offset {0}")]
    Syntax(usize),
    /// Nested too deep at this offset.
    #[error("nested too deep at offset {0}")]
    TooDeep(usize),
    /// A name occurs twice in an object.
    #[error("a name is repeated before offset {0}")]
    RepeatedName(usize),
    /// A number beyond the range of doubles.
    #[error("number out of range before offset {0}")]
    Number(usize),
}

type Result<T> = std::result::Result<T, JsonError>;

pub(super) fn parse(bytes: &[u8], depth: usize) -> Result<Json> {
    let mut parser = Parser { bytes, at: 0 };
    parser.space()?;
    let value = parser.value(depth)?;
    parser.space()?;
    if parser.at == bytes.len() { Ok(value) } else { parser.fail() }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Result<Json> {
        match self.peek() {
            Some(b'{') => self.object(self.deeper(depth)?),
            Some(b'[') => self.array(self.deeper(depth)?),
            Some(b'"') => self.text().map(Json::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ if self.take(b"true") => Ok(Json::Bool(true)),
            _ if self.take(b"false") => Ok(Json::Bool(false)),
            _ if self.take(b"null") => Ok(Json::Null),
            _ => self.fail(),
        }
    }

    fn deeper(&self, depth: usize) -> Result<usize> {
        depth.checked_sub(1).ok_or(JsonError::TooDeep(self.at))
    }

    fn object(&mut self, depth: usize) -> Result<Json> {
        let mut members = IndexMap::new();
        self.at += 1;
        self.space()?;
        if self.take(b"}") {
            return Ok(Json::Object(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return self.fail();
            }
            let name = self.text()?;
            if members.contains_key(&name) {
                return Err(JsonError::RepeatedName(self.at));
            }
            self.space()?;
            self.expect(b':')?;
            self.space()?;
            let value = self.value(depth)?;
            members.insert(name, value);
            self.space()?;
            if self.take(b"}") {
                return Ok(Json::Object(members));
            }
            self.expect(b',')?;
            self.space()?;
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json> {
        let mut items = Vec::new();
        self.at += 1;
        self.space()?;
        if self.take(b"]") {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.space()?;
            if self.take(b"]") {
                return Ok(Json::Array(items));
            }
            self.expect(b',')?;
            self.space()?;
        }
    }

    fn text(&mut self) -> Result<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let run = self.rest().iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count();
            let plain = self.rest().get(..run).unwrap_or_default();
            out.push_str(std::str::from_utf8(plain).map_err(|_| JsonError::Syntax(self.at))?);
            self.at += run;
            if self.take(b"\"") {
                return Ok(out);
            }
            self.expect(b'\\')?;
            out.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char> {
        let escaped = self.peek().ok_or(JsonError::Syntax(self.at))?;
        self.at += 1;
        Ok(match escaped {
            b'"' | b'\\' | b'/' => escaped.into(),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                let mut units = vec![first];
                if (0xd800..0xdc00).contains(&first) && self.take(b"\\u") {
                    units.push(self.unit()?);
                }
                let mut decoded = char::decode_utf16(units);
                match (decoded.next(), decoded.next()) {
                    (Some(Ok(character)), None) => character,
                    _ => return self.fail(),
                }
            }
            _ => return self.fail(),
        })
    }

    fn unit(&mut self) -> Result<u16> {
        let digits = self.rest().get(..4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or(JsonError::Syntax(self.at))?;
        self.at += 4;
        Ok(unit)
    }

    fn number(&mut self) -> Result<Json> {
        let start = self.at;
        self.take(b"-");
        if !self.take(b"0") {
            self.digits()?;
        }
        if self.take(b".") {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if !self.take(b"+") {
                self.take(b"-");
            }
            self.digits()?;
        }
        let text = self.bytes.get(start..self.at).and_then(|text| std::str::from_utf8(text).ok());
        let number = text.and_then(|text| text.parse::<f64>().ok()).filter(|number| number.is_finite());
        number.map(Json::Number).ok_or(JsonError::Number(self.at))
    }

    fn digits(&mut self) -> Result<()> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { self.fail() } else { Ok(()) }
    }

    /// Skips white space and comments.
    fn space(&mut self) -> Result<()> {
        loop {
            match self.rest() {
                [b' ' | b'\t' | b'\r' | b'\n', ..] => self.at += 1,
                [b'/', b'/', rest @ ..] => {
                    let len = rest.iter().take_while(|byte| !matches!(byte, b'\n' | b'\r')).count();
                    self.at = self.at.saturating_add(2).saturating_add(len);
                }
                [b'/', b'*', rest @ ..] => {
                    let len =
                        rest.windows(2).position(|pair| pair == b"*/").ok_or(JsonError::Syntax(self.at))?;
                    self.at = self.at.saturating_add(4).saturating_add(len);
                }
                _ => return Ok(()),
            }
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn take(&mut self, token: &[u8]) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.take(&[byte]) { Ok(()) } else { self.fail() }
    }

    fn fail<T>(&self) -> Result<T> {
        Err(JsonError::Syntax(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> Option<String> {
        parse(text.as_bytes(), 3).ok().map(|json| json.to_string())
    }

    #[test]
    fn what_the_reference_reads_is_read() {
        for (text, expected) in [
            (" {\"b\":1,\"a\":[true,null]} ", "{\"b\":1,\"a\":[true,null]}"),
            ("// note\n[/* one */1/**/]", "[1]"),
            ("\"\\ud83d\\ude00\\/\"", "\"\\uD83D\\uDE00/\""),
            ("-0", "-0"),
            ("1e2", "100"),
            ("[[[]]]", "[[[]]]"),
        ] {
            assert_eq!(written(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_the_reference_refuses_is_refused() {
        for text in [
            "",
            "[1,]",
            "{\"a\":1,\"a\":2}",
            "[[[[]]]]",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud800\\u0041\"",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "1e999",
            "nul",
            "1 2",
            "'a'",
            "\"\n\"",
            "\"\\x\"",
            "/* open",
            "{a:1}",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
        assert!(parse(b"\"\xff\"", 3).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_written_values_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(json) = parse(&bytes, 8) {
                prop_assert_eq!(parse(json.to_string().as_bytes(), 8), Ok(json));
            }
        }
    }
}
