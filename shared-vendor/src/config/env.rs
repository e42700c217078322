//! The environment layer: every variable with the daemon's prefix must be known.

use std::{ffi::OsString, fs, path::PathBuf};

use super::{Entry, Origin, Plan, nearest};
use crate::exit::{self, Report};

pub(super) struct FromEnv {
    pub(super) entries: Vec<Entry>,
    /// `<PREFIX>_CONFIG`: the file to read.
    pub(super) config: Option<PathBuf>,
}

pub(super) fn read(plan: &Plan<'_>, env: &[(OsString, OsString)]) -> Result<FromEnv, Report> {
    let start = format!("{}_", plan.prefix);
    let config_name = format!("{start}CONFIG");
    let names: Vec<(String, &'static str)> =
        plan.keys.iter().map(|key| (key.env(plan.prefix), key.name)).collect();
    let mut found = FromEnv { entries: Vec::new(), config: None };
    let mut ours: Vec<_> =
        env.iter().filter(|(name, _)| name.to_string_lossy().starts_with(&start)).collect();
    ours.sort();
    for (name, value) in ours {
        let name = name.to_string_lossy().into_owned();
        let Some(value) = value.to_str() else {
            return Err(Report::new(exit::BAD_VALUE, format!("the value of {name} is not UTF-8 text"))
                .at(format!("env {name}")));
        };
        if name == config_name {
            found.config = Some(PathBuf::from(value));
        } else if let Some((_, key)) = names.iter().find(|(known, _)| *known == name) {
            found.entries.push(Entry::plain(*key, value, Origin::Env(name)));
        } else if let Some((_, key)) =
            name.strip_suffix("_FILE").and_then(|stem| names.iter().find(|(known, _)| known == stem))
        {
            let text = fs::read_to_string(value).map_err(|err| {
                Report::new(exit::BAD_VALUE, format!("cannot read the file that {name} names"))
                    .at(value)
                    .because(&err)
            })?;
            found.entries.push(Entry::plain(*key, text.trim_end(), Origin::EnvFile(name, value.into())));
        } else if !plan.foreign_env.contains(&name.as_str()) {
            let report = Report::new(exit::UNKNOWN_ENV, format!("unknown environment variable {name}"))
                .at(format!("env {name}"));
            let known = names.iter().map(|(known, _)| known.as_str()).chain([config_name.as_str()]);
            return Err(match nearest(&name, known) {
                Some(near) => report.advice(format!("did you mean {near}? Rename or unset it")),
                None => report.advice("unset it"),
            });
        }
    }
    Ok(found)
}
