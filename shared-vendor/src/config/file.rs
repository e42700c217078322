//! The file layer: TOML, or a native format that a daemon maps onto the same keys.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{Entry, Form, Origin};
use crate::exit::{self, Report};

/// A file format: turns text into keys and values with their lines. It judges syntax, never meaning.
pub trait Source: Sync {
    /// Name for `--config-format`.
    fn name(&self) -> &'static str;

    /// Whether the file's name says it is of this format.
    fn matches(&self, path: &Path) -> bool;

    /// The entries of a file, with keys of the daemon's table. A key of the native format that this daemon knows but
    /// does not implement goes to `warnings`, never into silence.
    ///
    /// # Errors
    /// Bad syntax, or a key that the native format does not have.
    fn read(&self, path: &Path, text: &str) -> Result<Read, Report>;
}

/// What a [`Source`] found.
#[derive(Debug, Default)]
pub struct Read {
    /// Values, in file order.
    pub entries: Vec<Entry>,
    /// Known keys without effect here, one line each.
    pub warnings: Vec<String>,
}

/// The format of our own files: sections are the part of a key before the dot.
#[derive(Clone, Copy, Debug)]
pub struct Toml;

impl Source for Toml {
    fn name(&self) -> &'static str {
        "toml"
    }

    fn matches(&self, path: &Path) -> bool {
        path.extension().is_some_and(|ext| ext == "toml")
    }

    fn read(&self, path: &Path, text: &str) -> Result<Read, Report> {
        let line_of =
            |offset: usize| text[..offset.min(text.len())].bytes().filter(|byte| *byte == b'\n').count() + 1;
        let table = DeTable::parse(text).map_err(|err| {
            let line = err.span().map_or(1, |span| line_of(span.start));
            let code = if err.message().contains("duplicate key") {
                exit::DUPLICATE_KEY
            } else {
                exit::CONFIG_SYNTAX
            };
            let named = err
                .span()
                .and_then(|span| text.get(span))
                .filter(|name| !name.contains('\n'))
                .unwrap_or_default();
            Report::new(code, format!("{} near `{named}`", err.message()))
                .at(format!("file {}:{line}", path.display()))
        })?;
        let mut read = Read::default();
        walk("", table.get_ref(), &mut |key, at, texts, form| {
            let origin = Origin::File(path.to_path_buf(), line_of(at));
            read.entries.push(Entry { key, texts, form, origin });
        });
        Ok(read)
    }
}

fn walk(prefix: &str, table: &DeTable<'_>, put: &mut impl FnMut(String, usize, Vec<String>, Form)) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{prefix}.{}", name.get_ref())
        };
        match value.get_ref() {
            DeValue::Table(inner) => walk(&key, inner, put),
            DeValue::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| scalar(item.get_ref())).collect();
                let form = match items.first() {
                    None => Form::Plain,
                    Some((_, form)) if items.iter().all(|(_, other)| other == form) => *form,
                    Some(_) => Form::Other,
                };
                put(key, name.span().start, items.into_iter().map(|(text, _)| text).collect(), form);
            }
            single => {
                let (text, form) = scalar(single);
                put(key, name.span().start, vec![text], form);
            }
        }
    }
}

fn scalar(value: &DeValue<'_>) -> (String, Form) {
    match value {
        DeValue::String(text) => (text.to_string(), Form::Text),
        DeValue::Integer(number) if number.radix() == 10 => (number.as_str().to_owned(), Form::Integer),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(value) => (value.to_string(), Form::Integer),
            Err(_) => (number.as_str().to_owned(), Form::Other),
        },
        DeValue::Boolean(flag) => (flag.to_string(), Form::Boolean),
        DeValue::Float(number) => (number.as_str().to_owned(), Form::Other),
        DeValue::Datetime(time) => (time.to_string(), Form::Other),
        DeValue::Array(_) | DeValue::Table(_) => ("a nested list".to_owned(), Form::Other),
    }
}

/// Reads a file in the format that `--config-format` names, or else its own name, or else TOML.
pub(super) fn read(path: &Path, format: Option<&str>, sources: &[&dyn Source]) -> Result<Read, Report> {
    let all: Vec<&dyn Source> = sources.iter().copied().chain([&Toml as &dyn Source]).collect();
    let source = match format {
        Some(name) => *all.iter().find(|source| source.name() == name).ok_or_else(|| {
            let known: Vec<_> = all.iter().map(|source| source.name()).collect();
            Report::new(exit::BAD_VALUE, format!("unknown configuration format `{name}`"))
                .at("flag --config-format")
                .advice(format!("use one of {}", known.join(", ")))
        })?,
        None => all.iter().find(|source| source.matches(path)).copied().unwrap_or(&Toml),
    };
    let text = fs::read_to_string(path).map_err(|err| {
        Report::new(exit::CONFIG_FILE, "cannot read the configuration file")
            .at(path.display().to_string())
            .because(&err)
            .advice("name an existing file with --config, or leave the option out")
    })?;
    source.read(path, &text)
}

/// The first default file that exists: `$XDG_CONFIG_HOME/<daemon>/<daemon>.toml` (or under `~/.config`), then
/// `/etc/<daemon>/<daemon>.toml`.
pub(super) fn default_path(daemon: &str, env: &[(OsString, OsString)]) -> Option<PathBuf> {
    let var = |name: &str| {
        env.iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| PathBuf::from(value))
    };
    let home = var("XDG_CONFIG_HOME").or_else(|| Some(var("HOME")?.join(".config")));
    home.into_iter()
        .chain([PathBuf::from("/etc")])
        .map(|base| base.join(daemon).join(format!("{daemon}.toml")))
        .find(|path| path.is_file())
}
