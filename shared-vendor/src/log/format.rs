//! One line of the log in each format. Values from outside are escaped, so that a peer can forge neither lines nor
//! fields.

use std::fmt::{Debug, Write as _};

use serde_json::Value;
use tracing::{
    Level,
    field::{Field, Visit},
};

use crate::{clock::Wall, exit::escape};

/// The format of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Text {
        colour: bool,
    },
    Json,
    /// Text without time, with the priority that journald reads.
    Journal,
}

/// Message and fields of an event, or fields of a span.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) message: String,
    list: Vec<(&'static str, String, bool)>,
}

impl Fields {
    /// Appends a field; a bare one is a number or a truth value.
    pub(super) fn push(&mut self, name: &'static str, value: String, bare: bool) {
        match name {
            "message" => self.message = value,
            _ => self.list.push((name, value, bare)),
        }
    }

    pub(super) fn extend(&mut self, outer: &Self) {
        for (name, value, bare) in &outer.list {
            if !self.list.iter().any(|(known, ..)| known == name) {
                self.list.push((name, value.clone(), *bare));
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.push(field.name(), format!("{value:?}"), false);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field.name(), value.to_owned(), false);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.push(field.name(), super::Chain(value).to_string(), false);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field.name(), value.to_string(), true);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field.name(), value.to_string(), true);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field.name(), value.to_string(), true);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field.name(), value.to_string(), value.is_finite());
    }
}

pub(super) struct Line<'a> {
    pub(super) time: Wall,
    pub(super) level: Level,
    pub(super) target: &'a str,
    pub(super) fields: &'a Fields,
}

impl Line<'_> {
    pub(super) fn render(&self, style: Style) -> String {
        match style {
            Style::Json => self.json(),
            Style::Journal => {
                let priority = match self.level {
                    Level::ERROR => 3,
                    Level::WARN => 4,
                    Level::INFO => 6,
                    Level::DEBUG | Level::TRACE => 7,
                };
                format!("<{priority}>{}", self.tail())
            }
            Style::Text { colour } => {
                let (on, off) = match self.level {
                    _ if !colour => ("", ""),
                    Level::ERROR => ("\u{1b}[31m", "\u{1b}[0m"),
                    Level::WARN => ("\u{1b}[33m", "\u{1b}[0m"),
                    _ => ("", ""),
                };
                format!("{} {on}{:<5}{off} {}", self.time, self.level, self.tail())
            }
        }
    }

    fn tail(&self) -> String {
        let mut text = format!("{}: {}", self.target, escape(&self.fields.message));
        for (name, value, bare) in &self.fields.list {
            let plain = *bare
                || !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '=');
            let _ = if plain { write!(text, " {name}={value}") } else { write!(text, " {name}={value:?}") };
        }
        text.push('\n');
        text
    }

    fn json(&self) -> String {
        let (level, message) = (self.level.as_str(), Value::from(self.fields.message.as_str()));
        let mut text = format!(
            "{{\"ts\":\"{}\",\"level\":\"{level}\",\"target\":{},\"msg\":{message}",
            self.time,
            Value::from(self.target)
        );
        for (name, value, bare) in &self.fields.list {
            let _ = if *bare {
                write!(text, ",\"{name}\":{value}")
            } else {
                write!(text, ",\"{name}\":{}", Value::from(value.as_str()))
            };
        }
        text.push_str("}\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(style: Style) -> String {
        let mut fields = Fields::default();
        fields.push("message", "headers 41.2%".into(), false);
        fields.push("height", "3629110".into(), true);
        fields.push("client", "evil\n2026 ERROR \u{1b}[2J".into(), false);
        let time = Wall::from_nanos(1_795_230_621_123_000_000);
        Line { time, level: Level::INFO, target: "sync", fields: &fields }.render(style)
    }

    #[test]
    fn text_is_time_level_target_message_and_fields() {
        assert_eq!(
            line(Style::Text { colour: false }),
            "2026-11-21T03:10:21.123Z INFO  sync: headers 41.2% height=3629110 client=\"evil\\n2026 ERROR \\u{1b}[2J\"\n"
        );
        assert!(line(Style::Journal).starts_with("<6>sync: headers"));
    }

    #[test]
    fn json_is_one_object_a_line_with_typed_numbers() {
        let text = line(Style::Json);
        assert_eq!(text.matches('\n').count(), 1);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["level"], &value["height"]), (&Value::from("INFO"), &Value::from(3_629_110)));
        assert_eq!(value["msg"], "headers 41.2%");
    }
}
