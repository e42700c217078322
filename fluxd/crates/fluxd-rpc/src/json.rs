//! The JSON of answers, written as the reference's UniValue writes it: members in the order they were pushed (also
//! twice the same), amounts with exactly eight decimals, reals with sixteen significant digits.

use std::fmt::Write;

use fluxd_primitives::Amount;
use serde_json::Value;

/// A value to answer with.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as its text.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// Members in order.
    Object(Vec<(String, Self)>),
}

impl Json {
    /// An empty object, to be filled with [`Self::push`].
    #[must_use]
    pub fn object() -> Self {
        Self::Object(Vec::new())
    }

    /// Adds a member; does nothing to other kinds of values.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<Self>) -> &mut Self {
        if let Self::Object(members) = self {
            members.push((name.into(), value.into()));
        }
        self
    }

    /// Adds a member to an object that is passed on.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Self>) -> Self {
        self.push(name, value);
        self
    }

    /// An amount with eight decimals.
    #[must_use]
    pub fn amount(amount: Amount) -> Self {
        Self::zat(amount.zat())
    }

    /// Zatoshi as an amount with eight decimals.
    #[must_use]
    pub fn zat(zat: i64) -> Self {
        let sign = if zat < 0 { "-" } else { "" };
        let all = zat.unsigned_abs();
        Self::Number(format!("{sign}{}.{:08}", all / 100_000_000, all % 100_000_000))
    }

    /// A real number with sixteen significant digits, without trailing zeros (`%.16g`).
    #[must_use]
    pub fn real(value: f64) -> Self {
        Self::Number(general(value, 16))
    }

    /// The text that goes over the wire, without spaces.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(text) => out.push_str(text),
            Self::Text(text) => quote(text, out),
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    quote(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            control if control < ' ' || control == '\u{7f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// `%.{digits}g` of C.
fn general(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    let scientific = format!("{value:.*e}", digits.saturating_sub(1));
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let limit = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.unsigned_abs());
    }
    let decimals = usize::try_from(limit.saturating_sub(1).saturating_sub(exponent)).unwrap_or_default();
    trimmed(&format!("{value:.decimals$}")).to_owned()
}

fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

macro_rules! whole {
    ($($ty:ty),*) => {$(
        impl From<$ty> for Json {
            fn from(value: $ty) -> Self {
                Self::Number(value.to_string())
            }
        }
    )*};
}

whole!(i8, u8, u16, i32, u32, i64, u64, usize);

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<Self>> for Json {
    fn from(value: Vec<Self>) -> Self {
        Self::List(value)
    }
}

/// An id of a request, echoed.
impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.to_string()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(members) => {
                Self::Object(members.iter().map(|(name, value)| (name.clone(), Self::from(value))).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_eight_decimals_and_reals_sixteen_digits() {
        assert_eq!(Json::zat(100_000_000).text(), "1.00000000");
        assert_eq!(Json::zat(-1).text(), "-0.00000001");
        for (value, text) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.3333333333333333"),
            (123_456_789.125, "123456789.125"),
            (1e-5, "1e-05"),
            (1.5e20, "1.5e+20"),
            (0.0, "0"),
            (15_258.789_062_5, "15258.7890625"),
        ] {
            assert_eq!(Json::real(value).text(), text);
        }
    }

    #[test]
    fn members_keep_their_order_and_texts_are_escaped() {
        let value = Json::object().with("b", 1_u32).with("a", "x\"\n\u{1}").with("b", Json::Null);
        assert_eq!(value.text(), r#"{"b":1,"a":"x\"\n\u0001","b":null}"#);
    }
}
