//! Writing JSON. Mirrors `Utf8JsonWriter` with its default encoder and the shortest form of doubles in .NET.

use std::fmt::{self, Display, Write};

use super::Json;

/// Compact text, all of it ASCII.
impl Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => Display::fmt(value, f),
            Self::Number(value) => f.write_str(&format_number(*value)),
            Self::Text(text) => write_text(f, text),
            Self::Array(items) => {
                f.write_char('[')?;
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        f.write_char(',')?;
                    }
                    Display::fmt(item, f)?;
                }
                f.write_char(']')
            }
            Self::Object(members) => {
                f.write_char('{')?;
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        f.write_char(',')?;
                    }
                    write_text(f, name)?;
                    f.write_char(':')?;
                    Display::fmt(value, f)?;
                }
                f.write_char('}')
            }
        }
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '\\' => f.write_str("\\\\")?,
            '\u{8}' => f.write_str("\\b")?,
            '\t' => f.write_str("\\t")?,
            '\n' => f.write_str("\\n")?,
            '\u{c}' => f.write_str("\\f")?,
            '\r' => f.write_str("\\r")?,
            '"' | '&' | '\'' | '+' | '<' | '>' | '`' => write!(f, "\\u{:04X}", u32::from(character))?,
            ' '..='~' => f.write_char(character)?,
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(f, "\\u{unit:04X}")?;
                }
            }
        }
    }
    f.write_char('"')
}

/// The shortest text that reads back as the same double: digits in full up to 15 places or as many as there are
/// digits, otherwise scientific with at least two digits of exponent.
#[must_use]
pub fn format_number(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // the decimal point stands behind this many digits
    let point = exponent.saturating_add(1);
    if digits == "0" {
        return format!("{sign}0");
    }
    if point > count.max(15) || point < -3 {
        let (first, rest) = digits.split_at(1);
        let fraction = if rest.is_empty() { String::new() } else { format!(".{rest}") };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{fraction}E{exponent_sign}{:02}", exponent.unsigned_abs());
    }
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
    if point <= 0 {
        format!("{sign}0.{}{digits}", zeros(point.saturating_neg()))
    } else if point >= count {
        format!("{sign}{digits}{}", zeros(point.saturating_sub(count)))
    } else {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or_default());
        format!("{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_form_of_dotnet() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (123.25, "123.25"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (1e14, "100000000000000"),
            (1e15, "1E+15"),
            (1.5e15, "1.5E+15"),
            (123_456_789_012_345_680.0, "1.2345678901234568E+17"),
            (0.0001, "0.0001"),
            (0.000_01, "1E-05"),
            (1.25e-7, "1.25E-07"),
            (1e300, "1E+300"),
        ] {
            assert_eq!(format_number(value), text);
        }
    }

    #[test]
    fn text_is_escaped_as_dotnet_does() {
        let text = Json::text("a\"<>&'+`/\\\u{7f}\u{1}\n\u{e9}\u{1f600}");
        let written = "\"a\\u0022\\u003C\\u003E\\u0026\\u0027\\u002B\\u0060/\\\\\\u007F\\u0001\\n\\u00E9\\uD83D\\uDE00\"";
        assert_eq!(text.to_string(), written);
    }
}
