//! What the dashboard and the alerts of a daemon ask for, against what the daemon that runs exports.

#![allow(clippy::panic)] // a test's failure is a panic

use std::{collections::BTreeSet, fmt::Display};

use super::node::eventually;

/// Waits until the operations server at `ops` exports every metric that the texts name: each word that begins with
/// `prefix` or with `process_`. Some are there from the first event or the first sample on only, hence the wait.
///
/// # Panics
/// Some are not exported in time; they are named.
pub fn assert_exported(ops: impl Display, prefix: &str, texts: &[&str]) {
    let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let used: BTreeSet<&str> = texts
        .iter()
        .flat_map(|text| text.split(|c| !part(c)))
        .filter(|word| word.starts_with(prefix) || word.starts_with("process_"))
        .map(|word| word.trim_end_matches("_bucket"))
        .collect();
    assert!(!used.is_empty(), "no metric of {prefix} is named");
    let mut missing = None;
    let all = eventually(|| {
        let page =
            ureq::get(format!("http://{ops}/metrics")).call().ok()?.body_mut().read_to_string().ok()?;
        let exported: BTreeSet<&str> =
            page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let left: Vec<_> = used.difference(&exported).map(|name| (*name).to_owned()).collect();
        let none = left.is_empty();
        missing = Some(left);
        none.then_some(())
    });
    assert!(all.is_some(), "not exported at {ops}: {missing:?}");
}
