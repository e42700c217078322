//! `config show`, `config show --json`, `config default`.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

use super::{Key, Kind, Literal, Values};

/// `key = value`, one a line in the order of the table; with `origins`, each followed by where it came from.
#[must_use]
pub fn show(values: &Values, origins: bool) -> String {
    let mut text = String::new();
    for key in &values.keys {
        let Some(value) = values.values.get(key.name) else { continue };
        let shown = literal(key.kind, &value.texts);
        let _ = match origins {
            true => writeln!(text, "{} = {shown}   # {}", key.name, value.origin),
            false => writeln!(text, "{} = {shown}", key.name),
        };
    }
    text
}

/// The same as one JSON document: `{"key": {"value": .., "origin": ".."}}`.
#[must_use]
pub fn show_json(values: &Values) -> Json {
    let mut all = Map::new();
    for key in &values.keys {
        let Some(value) = values.values.get(key.name) else { continue };
        let one = |text: &String| match key.kind {
            Kind { secret: true, .. } => Json::from("***"),
            Kind { literal: Literal::Boolean, .. } => Json::from(text == "true"),
            Kind { literal: Literal::Integer, .. } => {
                text.parse::<u64>().map_or_else(|_| text.as_str().into(), Json::from)
            }
            _ => Json::from(text.as_str()),
        };
        let shown = if key.kind.list {
            value.texts.iter().map(one).collect()
        } else {
            value.texts.first().map_or(Json::Null, one)
        };
        all.insert(key.name.to_owned(), json!({ "value": shown, "origin": value.origin.to_string() }));
    }
    Json::Object(all)
}

/// A configuration file with every key, its help and its default, all commented out.
#[must_use]
pub fn default_file(daemon: &str, prefix: &str, defaults: &Values) -> String {
    let mut text = format!(
        "# Configuration of {daemon}. Every key with its default; remove the `#` before a key to change it.\n\
         # Order of precedence: flag, environment ({prefix}_...), this file, profile, default.\n"
    );
    let mut section = "";
    for key in defaults.keys.iter().filter(|key| !key.name.contains('.')) {
        describe(&mut text, key, key.name, defaults);
    }
    let mut nested: Vec<_> =
        defaults.keys.iter().filter_map(|key| Some((key.name.split_once('.')?, key))).collect();
    let order: Vec<&str> = nested.iter().map(|((section, _), _)| *section).collect();
    nested.sort_by_key(|((section, _), _)| order.iter().position(|first| first == section));
    for ((head, leaf), key) in nested {
        if head != section {
            let _ = writeln!(text, "\n[{head}]");
            section = head;
        }
        describe(&mut text, key, leaf, defaults);
    }
    text
}

fn describe(text: &mut String, key: &Key, leaf: &str, defaults: &Values) {
    text.push('\n');
    for line in key.help {
        let _ = writeln!(text, "# {}", line.trim());
    }
    let shown = match defaults.values.get(key.name) {
        Some(value) => literal(key.kind, &value.texts),
        None if key.kind.list => "[]".to_owned(),
        None => "\"\"".to_owned(),
    };
    let _ = writeln!(text, "#{leaf} = {shown}");
}

/// A value as TOML writes it.
fn literal(kind: Kind, texts: &[String]) -> String {
    let one = |text: &String| match kind {
        Kind { secret: true, .. } => "\"***\"".to_owned(),
        Kind { literal: Literal::Integer | Literal::Boolean, .. } if !text.is_empty() => text.clone(),
        _ => format!("{text:?}"),
    };
    if kind.list {
        format!("[{}]", texts.iter().map(one).collect::<Vec<_>>().join(", "))
    } else {
        texts.first().map(one).unwrap_or_default()
    }
}
