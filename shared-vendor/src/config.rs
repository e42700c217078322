//! Configuration in layers: default < network < profile < file < environment < flag. Each value keeps where it came
//! from. A daemon states each key once, with its help and default, in [`settings!`](crate::settings); the struct, the
//! flags, the environment names, `config show` and `config default` all come from that table.
//!
//! This module opens no port and no database: everything wrong is found before anything is touched.

mod env;
mod file;
mod setting;
mod show;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt::{self, Display},
    path::{Path, PathBuf},
};

pub use file::{Read, Source, Toml};
pub use setting::{Kind, Listen, Literal, Setting, Size, parse_duration, parse_size};
pub use show::{default_file, show, show_json};

use crate::exit::{self, Report};

/// One key of the configuration: written once, in [`settings!`](crate::settings).
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Dotted path, `rpc.addr`: the part before the dot is the section of the file.
    pub name: &'static str,
    /// Help, one line per element; the first is the short help.
    pub help: &'static [&'static str],
    /// Built-in default as it would be typed; `None` leaves the setting unset (or an empty list).
    pub default: Option<&'static str>,
    /// Type, for messages and literals.
    pub kind: Kind,
    /// Whether texts are valid for the type; the error says what is expected.
    pub check: fn(&[String]) -> Result<(), String>,
    /// Former names: they work, with one warning.
    pub was: &'static [&'static str],
}

impl Key {
    /// `--rpc-addr` without the dashes.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace('.', "-")
    }

    /// `RUSTOCK_RPC_ADDR` for the prefix `RUSTOCK`.
    #[must_use]
    pub fn env(&self, prefix: &str) -> String {
        format!("{prefix}_{}", self.name.replace(['.', '-'], "_").to_ascii_uppercase())
    }
}

/// A struct filled from the layers. Implemented by [`settings!`](crate::settings).
pub trait Settings: Sized + std::fmt::Debug + Send + Sync + 'static {
    /// Its keys, in the order of the struct.
    const KEYS: &'static [Key];

    /// Typed values.
    ///
    /// # Errors
    /// A required key has no value. Wrong values were refused when their layer was applied.
    fn from_values(values: &Values) -> Result<Self, Report>;
}

/// Declares a configuration struct and its table of keys in one place.
///
/// ```
/// shared_vendor::settings! {
///     /// What the cache can be told.
///     pub struct Cache {
///         /// Memory for recent blocks.
///         cache_size: shared_vendor::config::Size = ["cache.size", "64MiB"],
///         /// Where to spill. Unset: never.
///         cache_dir: Option<std::path::PathBuf> = ["cache.dir"; was "spill.dir"],
///     }
/// }
/// # fn main() { use shared_vendor::config::Settings; assert_eq!(Cache::KEYS[1].was, ["spill.dir"]); }
/// ```
#[macro_export]
macro_rules! settings {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[doc = $doc:literal])+ $field:ident : $ty:ty = [$key:literal $(, $default:literal)? $(; was $($was:literal),+)?]),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        $vis struct $name { $($(#[doc = $doc])+ pub $field: $ty,)* }

        impl $crate::config::Settings for $name {
            const KEYS: &'static [$crate::config::Key] = &[$($crate::config::Key {
                name: $key,
                help: &[$($doc),+],
                default: $crate::settings!(@default $($default)?),
                kind: <$ty as $crate::config::Setting>::KIND,
                check: |texts| <$ty as $crate::config::Setting>::parse(texts).map(drop),
                was: &[$($($was),+)?],
            }),*];

            fn from_values(values: &$crate::config::Values) -> Result<Self, $crate::exit::Report> {
                let _ = values;
                Ok(Self { $($field: values.get($key)?),* })
            }
        }
    };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The default of the chosen network.
    Network(String),
    /// The chosen profile.
    Profile(String),
    /// A line of a file, counted from 1.
    File(PathBuf, usize),
    /// An environment variable.
    Env(String),
    /// The file that a `_FILE` variable names.
    EnvFile(String, PathBuf),
    /// A command-line option, with its dashes.
    Flag(String),
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Network(name) => write!(f, "network {name}"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::File(path, line) => write!(f, "file {}:{line}", path.display()),
            Self::Env(name) => write!(f, "env {name}"),
            Self::EnvFile(name, path) => write!(f, "env {name} ({})", path.display()),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// How a value was written, where the format tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Untyped text: environment, flags, most native formats.
    Plain,
    /// A quoted string.
    Text,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// Anything else: no key accepts it.
    Other,
}

/// One value of one layer, before it is checked.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Dotted key.
    pub key: String,
    /// One text, or one per element of a list.
    pub texts: Vec<String>,
    /// How the elements were written.
    pub form: Form,
    /// Where.
    pub origin: Origin,
}

impl Entry {
    /// An untyped value.
    pub fn plain(key: impl Into<String>, text: impl Into<String>, origin: Origin) -> Self {
        Self { key: key.into(), texts: vec![text.into()], form: Form::Plain, origin }
    }
}

#[derive(Clone, Debug)]
struct Value {
    texts: Vec<String>,
    origin: Origin,
}

/// The effective values and the table they belong to.
#[derive(Clone, Debug, Default)]
pub struct Values {
    keys: Vec<Key>,
    values: BTreeMap<&'static str, Value>,
    /// Files that were read, in order.
    pub files: Vec<PathBuf>,
    /// Things an operator should know once: renamed keys, known keys that are not implemented.
    pub warnings: Vec<String>,
}

impl Values {
    /// The built-in defaults of `keys`.
    #[must_use]
    pub fn new(keys: Vec<Key>) -> Self {
        let mut values = Self { keys, ..Self::default() };
        for key in values.keys.clone() {
            if let Some(default) = key.default {
                values
                    .values
                    .insert(key.name, Value { texts: split(&key, default), origin: Origin::Default });
            }
        }
        values
    }

    /// The typed value of a key.
    ///
    /// # Errors
    /// The text is not of the type, or a required key is unset.
    pub fn get<T: Setting>(&self, key: &str) -> Result<T, Report> {
        let Some(value) = self.values.get(key) else {
            return T::unset()
                .ok_or_else(|| Report::new(exit::BAD_VALUE, format!("the setting `{key}` has no value")));
        };
        T::parse(&value.texts).map_err(|expected| bad_value(key, &value.texts, &expected, &value.origin))
    }

    /// Where the value of a key came from.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.values.get(key).map(|value| &value.origin)
    }

    /// The text of a single-valued key.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key)?.texts.first().map(String::as_str)
    }

    /// The keys whose values differ.
    pub fn changed<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'static str> + 'a {
        let texts = |values: &'a Self, key: &Key| values.values.get(key.name).map(|value| &value.texts);
        let keys = self.keys.iter().filter(move |key| texts(self, key) != texts(other, key));
        keys.map(|key| key.name)
    }

    /// The texts of the secret keys, for who must keep them out of other texts.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let keys = self.keys.iter().filter(|key| key.kind.secret);
        keys.filter_map(|key| self.values.get(key.name)).flat_map(|value| &value.texts).map(String::as_str)
    }

    /// Puts a layer over what is there. Lists of untyped formats may be given by repetition.
    ///
    /// # Errors
    /// An unknown key, a wrong type, or a key given twice in one file.
    pub fn apply(&mut self, layer: Vec<Entry>) -> Result<(), Report> {
        let mut seen: BTreeMap<&'static str, Origin> = BTreeMap::new();
        for entry in layer {
            let key = self.find(&entry)?;
            let first = seen.insert(key.name, entry.origin.clone());
            if let (Some(first), false) = (&first, key.kind.list && entry.form == Form::Plain) {
                let what = format!("the key `{}` is given twice", key.name);
                return Err(
                    Report::new(exit::DUPLICATE_KEY, what).at(format!("{first} and {}", entry.origin))
                );
            }
            let mut texts: Vec<String> = match entry.form {
                Form::Plain => entry.texts.iter().flat_map(|text| split(&key, text)).collect(),
                _ => entry.texts,
            };
            let empty = matches!(&texts[..], [text] if text.is_empty());
            let typed = entry.form == Form::Plain || empty || key.kind.literal.accepts(entry.form);
            if !typed || (!key.kind.list && texts.len() != 1) {
                return Err(bad_value(key.name, &texts, key.kind.name, &entry.origin));
            }
            (key.check)(&texts).map_err(|expected| bad_value(key.name, &texts, &expected, &entry.origin))?;
            if let (Some(_), Some(earlier)) = (first, self.values.get_mut(key.name)) {
                texts.splice(0..0, std::mem::take(&mut earlier.texts));
            }
            self.values.insert(key.name, Value { texts, origin: entry.origin });
        }
        Ok(())
    }

    /// Adds `instance * 100` to the port of every listening address and the number to the data directory.
    fn shift(&mut self, instance: u16) -> Result<(), Report> {
        for key in self.keys.iter().filter(|key| key.kind.listen) {
            let Some(value) = self.values.get_mut(key.name) else { continue };
            for text in &mut value.texts {
                let listen = Listen::parse(std::slice::from_ref(text)).map_err(|expected| {
                    bad_value(key.name, std::slice::from_ref(text), &expected, &value.origin)
                })?;
                let shifted = listen.shifted(instance).ok_or_else(|| {
                    Report::new(
                        exit::BAD_VALUE,
                        format!("instance {instance} moves `{}` {text} above port 65535", key.name),
                    )
                })?;
                *text = shifted.to_string();
            }
        }
        if let Some(value) = self.values.get_mut("data-dir") {
            for text in &mut value.texts {
                *text = format!("{}-{instance}", text.trim_end_matches('/'));
            }
        }
        Ok(())
    }

    fn find(&mut self, entry: &Entry) -> Result<Key, Report> {
        if let Some(key) = self.keys.iter().find(|key| key.name == entry.key) {
            return Ok(*key);
        }
        if let Some(key) = self.keys.iter().find(|key| key.was.contains(&entry.key.as_str())) {
            let warning = format!("{}: the key `{}` is now called `{}`", entry.origin, entry.key, key.name);
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
            return Ok(*key);
        }
        let report = Report::new(exit::UNKNOWN_KEY, format!("unknown configuration key `{}`", entry.key))
            .at(entry.origin.to_string());
        Err(match nearest(&entry.key, self.keys.iter().map(|key| key.name)) {
            Some(name) => report.advice(format!("did you mean `{name}`? Correct or remove it")),
            None => report.advice("remove it"),
        })
    }
}

fn bad_value(key: &str, texts: &[String], expected: &str, origin: &Origin) -> Report {
    let given = texts.join(",");
    Report::new(exit::BAD_VALUE, format!("`{key}` = `{given}` is not valid: expected {expected}"))
        .at(origin.to_string())
        .advice("correct the value")
}

/// Splits list texts at commas; other kinds keep their commas.
fn split(key: &Key, text: &str) -> Vec<String> {
    if !key.kind.list {
        return vec![text.to_owned()];
    }
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// What [`load`] needs to know about a daemon.
pub struct Plan<'a> {
    /// Name of the binary and of its default file.
    pub daemon: &'static str,
    /// Prefix of environment variables, without the underscore.
    pub prefix: &'static str,
    /// All keys: the frame's, then the daemon's.
    pub keys: Vec<Key>,
    /// Known networks; the first is the default.
    pub networks: &'a [&'static str],
    /// Defaults that depend on the network.
    pub network_defaults: fn(&str) -> Vec<(&'static str, String)>,
    /// Defaults of the profiles `low` and `high`.
    pub profile: fn(&str) -> Vec<(&'static str, String)>,
    /// Native formats beside TOML.
    pub sources: &'a [&'a dyn Source],
    /// Environment variables with the prefix that belong to someone else.
    pub foreign_env: &'a [&'static str],
}

/// Reads all layers. `flags` are the settings of the command line; `file` and `format` are `--config` and
/// `--config-format`; `env` is the whole environment.
///
/// # Errors
/// The first thing that is wrong in any layer, with its source and the nearest right name.
pub fn load(
    plan: &Plan<'_>,
    flags: Vec<Entry>,
    file: Option<&Path>,
    format: Option<&str>,
    env: &[(OsString, OsString)],
) -> Result<Values, Report> {
    let mut values = Values::new(plan.keys.clone());
    let from_env = env::read(plan, env)?;
    let named = file.map(Path::to_path_buf).or(from_env.config);
    let from_file = match named.or_else(|| file::default_path(plan.daemon, env)) {
        Some(path) => {
            let read = file::read(&path, format, plan.sources)?;
            values.files.push(path);
            values.warnings.extend(read.warnings);
            read.entries
        }
        None => Vec::new(),
    };
    let chosen = |key: &str| {
        let layers = [&flags, &from_env.entries, &from_file];
        layers
            .iter()
            .find_map(|layer| layer.iter().rev().find(|entry| entry.key == key)?.texts.first().cloned())
    };
    let known = plan.networks.iter().copied().collect::<BTreeSet<_>>();
    let network =
        chosen("network").unwrap_or_else(|| plan.networks.first().copied().unwrap_or_default().to_owned());
    let profile = chosen("profile").unwrap_or_else(|| "default".to_owned());
    let layer = |pairs: Vec<(&'static str, String)>, origin: Origin| {
        pairs.into_iter().map(|(key, text)| Entry::plain(key, text, origin.clone())).collect::<Vec<_>>()
    };
    values.apply(vec![Entry::plain("network", network.clone(), Origin::Default)])?;
    if known.contains(network.as_str()) {
        values.apply(layer((plan.network_defaults)(&network), Origin::Network(network.clone())))?;
    }
    values.apply(layer((plan.profile)(&profile), Origin::Profile(profile)))?;
    values.apply(from_file)?;
    values.apply(from_env.entries)?;
    values.apply(flags)?;
    if !known.contains(network.as_str()) {
        let origin = values.origin("network").map(ToString::to_string).unwrap_or_default();
        let list = plan.networks.join(", ");
        return Err(Report::new(
            exit::BAD_VALUE,
            format!("unknown network `{network}`: expected one of {list}"),
        )
        .at(origin));
    }
    let instance: u16 = values.get("instance")?;
    if instance > 0 {
        values.shift(instance)?;
    }
    Ok(values)
}

/// The name nearest to a misspelt one, if any is near enough to be meant: at most a third of its letters differ.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = wrong.chars().count().div_ceil(3).min(4);
    names
        .into_iter()
        .map(|name| (distance(wrong, name), name))
        .filter(|(cost, _)| *cost <= limit)
        .min_by_key(|(cost, _)| *cost)
        .map(|(_, name)| name)
}

/// Edits (insert, delete, replace, swap of neighbours) between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (rows[i][j] + usize::from(x != y)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(rows[i - 1][j - 1] + 1);
            }
            row.push(cost);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests;
