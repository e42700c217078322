//! avalanchego's own ways to set things, mapped onto the settings of this daemon: flags on the command line, variables
//! `AVAGO_...`, and JSON files. A flag that the reference does not have is an error; one that has no effect here is named
//! in a warning. Mirrors `config/viper.go`.

use std::{ffi::OsString, path::Path};

use serde_json::Value;
use shared_vendor::{
    config::{self, Entry, Form, Origin, Source},
    exit::{self, Report},
};

use super::{
    Network,
    flags::{Effect, FLAGS, Flag, Kind},
    parse_go_duration,
};

/// What an operator is told of a flag without effect.
#[must_use]
pub fn warning(name: &str) -> String {
    format!("the flag `{name}` of avalanchego has no effect here")
}

/// Turns flags of avalanchego into flags of this daemon: `--config-file` is a configuration file in the native format,
/// `--network-id` chooses the network as well, and what has no effect is collected under `--ignored`.
#[must_use]
pub fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
    let mut rewritten = Vec::with_capacity(args.len());
    let mut rest = args.into_iter().peekable();
    while let Some(arg) = rest.next() {
        let text = arg.to_string_lossy().into_owned();
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text.as_str(), None),
        };
        let Some(flag) = name.strip_prefix("--").and_then(Flag::find) else {
            rewritten.push(arg);
            continue;
        };
        let mut value_of = |value: Option<String>| {
            value.or_else(|| {
                if flag.kind == Kind::Bool {
                    return None;
                }
                rest.next_if(|next| !next.to_string_lossy().starts_with("--"))
                    .map(|next| next.to_string_lossy().into_owned())
            })
        };
        match (flag.name, flag.effect) {
            ("config-file", _) => {
                let file = value_of(value).unwrap_or_default();
                rewritten.extend(["--config", &file, "--config-format", NAME].map(OsString::from));
            }
            ("network-id", _) => {
                let id = value_of(value).unwrap_or_default();
                if let Some(network) = Network::parse(&id) {
                    rewritten.push(format!("--network={}", network.name).into());
                }
                rewritten.push(format!("--network-id={id}").into());
            }
            (name, Effect::Unused) => {
                let value = value_of(value).map(|value| format!("={value}")).unwrap_or_default();
                rewritten.push(format!("--ignored={name}{value}").into());
            }
            _ => rewritten.push(arg),
        }
    }
    rewritten
}

/// Names of flags without effect that variables set.
#[must_use]
pub fn ignored_variables(env: impl Iterator<Item = OsString>) -> Vec<&'static str> {
    let set: std::collections::BTreeSet<_> = env.collect();
    FLAGS
        .iter()
        .filter(|flag| flag.effect == Effect::Unused && set.contains(std::ffi::OsStr::new(flag.env)))
        .map(|flag| flag.name)
        .collect()
}

/// True when a text is a value of a flag's type.
#[must_use]
pub fn is_valid(kind: Kind, text: &str) -> bool {
    match kind {
        Kind::Bool => matches!(text, "true" | "false" | "1" | "0" | "t" | "f" | "T" | "F" | "True" | "False"),
        Kind::Int => text.parse::<i64>().is_ok(),
        Kind::Uint | Kind::Uint64 => text.parse::<u64>().is_ok(),
        Kind::Float => text.parse::<f64>().is_ok(),
        Kind::Duration => parse_go_duration(text).is_some(),
        Kind::Text | Kind::Texts => true,
        Kind::Ints => text.split(',').all(|part| part.trim().parse::<i64>().is_ok()),
        Kind::Map => text.split(',').all(|part| part.is_empty() || part.contains('=')),
    }
}

/// Checks what was collected under `--ignored`, and answers the names.
///
/// # Errors
/// A name that avalanchego does not have, or a value of another type.
pub fn check_ignored(ignored: &[String]) -> Result<Vec<&'static str>, Report> {
    let mut names = Vec::new();
    for text in ignored {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text.as_str(), None),
        };
        let flag = Flag::find(name).ok_or_else(|| unknown(name, "flag --ignored"))?;
        if let Some(value) = value.filter(|value| !is_valid(flag.kind, value)) {
            return Err(bad_value(flag, value, &format!("flag --{name}")));
        }
        names.push(flag.name);
    }
    Ok(names)
}

fn unknown(name: &str, at: &str) -> Report {
    let report = Report::new(exit::UNKNOWN_KEY, format!("unknown configuration key `{name}`")).at(at);
    match config::nearest(name, FLAGS.iter().map(|flag| flag.name)) {
        Some(near) => report.advice(format!("did you mean `{near}`? Correct or remove it")),
        None => report.advice("remove it"),
    }
}

fn bad_value(flag: &Flag, value: &str, at: &str) -> Report {
    let name = flag.name;
    Report::new(exit::BAD_VALUE, format!("`{name}` = `{value}` is not valid: expected {:?}", flag.kind))
        .at(at)
        .advice("correct the value")
}

/// Name of the format.
pub const NAME: &str = "avalanchego";

/// avalanchego's JSON files: an object of flags.
#[derive(Debug, Clone, Copy)]
pub struct Native;

impl Source for Native {
    fn name(&self) -> &'static str {
        NAME
    }

    fn matches(&self, path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "json")
    }

    fn read(&self, path: &Path, text: &str) -> Result<config::Read, Report> {
        let at = |line: usize| format!("file {}:{line}", path.display());
        let parsed: Value = serde_json::from_str(text).map_err(|err| {
            Report::new(exit::CONFIG_SYNTAX, "the file is not JSON").at(at(err.line())).because(&err)
        })?;
        let object = parsed
            .as_object()
            .ok_or_else(|| Report::new(exit::CONFIG_SYNTAX, "the file is not a JSON object").at(at(1)))?;
        let mut read = config::Read::default();
        for (name, value) in object {
            let quoted = format!("\"{name}\"");
            let line = text.lines().position(|line| line.contains(&quoted)).map_or(1, |line| line + 1);
            let flag = Flag::find(name).ok_or_else(|| unknown(name, &at(line)))?;
            let words = words(value).ok_or_else(|| bad_value(flag, &value.to_string(), &at(line)))?;
            if let Some(word) = words.iter().find(|word| !is_valid(flag.kind, word)) {
                return Err(bad_value(flag, word, &at(line)));
            }
            let origin = Origin::File(path.to_path_buf(), line);
            let entry = |key: &str| Entry {
                key: key.to_owned(),
                texts: words.clone(),
                form: Form::Plain,
                origin: origin.clone(),
            };
            match (flag.effect, flag.name) {
                (Effect::Unused, _) => read.warnings.push(format!("{}: {}", at(line), warning(name))),
                (_, "log-level" | "log-format") => read.entries.push(entry(&name.replace('-', "."))),
                (_, "network-id") => {
                    if let Some(network) = words.first().and_then(|word| Network::parse(word)) {
                        read.entries.push(Entry { texts: vec![network.name.to_owned()], ..entry("network") });
                    }
                    read.entries.push(entry(name));
                }
                (Effect::Frame, "config-file" | "version") => {
                    return Err(unknown(name, &at(line)).advice("it is meant for the command line"));
                }
                _ => read.entries.push(entry(name)),
            }
        }
        Ok(read)
    }
}

fn words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Number(number) => Some(vec![number.to_string()]),
        Value::Bool(flag) => Some(vec![flag.to_string()]),
        Value::Array(items) => {
            let words: Option<Vec<_>> = items.iter().map(words).collect();
            Some(vec![words?.concat().join(",")])
        }
        Value::Null | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> Vec<OsString> {
        words.iter().map(|word| OsString::from(*word)).collect()
    }

    #[test]
    fn flags_of_the_reference_become_settings_or_are_collected() {
        let given =
            ["node", "--network-id=54321", "--fd-limit", "8192", "--http-port", "1", "--db-read-only"];
        let expected = [
            "node",
            "--network=custom",
            "--network-id=54321",
            "--ignored=fd-limit=8192",
            "--http-port",
            "1",
            "--ignored=db-read-only",
        ];
        assert_eq!(rewrite(args(&given)), args(&expected));
        let expected = args(&["node", "--config", "a.json", "--config-format", "avalanchego"]);
        assert_eq!(rewrite(args(&["node", "--config-file=a.json"])), expected);
        assert_eq!(rewrite(args(&["node", "--no-such=1"])), args(&["node", "--no-such=1"]));
    }

    #[test]
    fn a_file_is_read_checked_and_its_unused_keys_are_named() {
        let read = |text: &str| Native.read(Path::new("x.json"), text);
        let good = read(r#"{"network-id": "fuji", "http-port": 9652, "tracing-sample-rate": 0.5}"#).unwrap();
        let keys: Vec<_> =
            good.entries.iter().map(|entry| (entry.key.as_str(), entry.texts[0].as_str())).collect();
        assert_eq!(keys, [("network", "fuji"), ("network-id", "fuji"), ("http-port", "9652")]);
        assert_eq!(good.warnings.len(), 1);
        assert!(good.warnings[0].contains("tracing-sample-rate"));
        assert!(read(r#"{"http-prot": 1}"#).unwrap_err().render("x", false).contains("http-port"));
        for bad in ["{", "[]", r#"{"http-port": "many"}"#, r#"{"db-type": {}}"#, r#"{"fd-limit": -1}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ignored_flags_are_checked_as_well() {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            check_ignored(&texts(&["fd-limit=1", "db-read-only"])).unwrap(),
            ["fd-limit", "db-read-only"]
        );
        assert!(check_ignored(&texts(&["fd-limit=x"])).is_err());
        assert!(check_ignored(&texts(&["nonsense"])).is_err());
    }

    #[test]
    fn the_table_is_ordered_and_used_flags_are_settings() {
        use shared_vendor::config::Settings as _;
        assert!(FLAGS.is_sorted_by_key(|flag| flag.name));
        assert_eq!(FLAGS.len(), 207);
        for flag in FLAGS {
            let is_setting = super::super::Config::KEYS.iter().any(|key| key.name == flag.name);
            assert_eq!(is_setting, flag.effect == Effect::Used, "{}", flag.name);
        }
    }
}
