//! What operators are given: every metric of the dashboard and the alerts exists, and the example of a configuration is the
//! one that the daemon prints.

use std::collections::BTreeSet;

use shared_vendor::testing::node::{self, TempDir};

use crate::daemon::{BINARY, logged, make, start, wait_for_height};

fn metric_names(text: &str) -> BTreeSet<String> {
    let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.split(|c| !part(c))
        .filter(|word| word.starts_with("avalanche_") || word.starts_with("process_"))
        .map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect()
}

#[test]
fn every_metric_of_dashboard_and_alerts_is_exported() {
    let dir = TempDir::new();
    make(dir.path());
    let (node, address) = start(dir.path());
    let ops = logged(&node, "ops");
    // metrics of calls are there from the first one on
    wait_for_height(&address, 0);
    let page =
        ureq::get(format!("http://{ops}/metrics")).call().unwrap().body_mut().read_to_string().unwrap();
    let exported: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned))
        .collect();
    let used = [include_str!("../../ops/grafana.json"), include_str!("../../ops/alerts.yml")];
    let missing: Vec<_> =
        used.iter().flat_map(|text| metric_names(text)).filter(|name| !exported.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?} are not among {exported:?}");
}

#[test]
fn the_example_of_a_configuration_is_what_the_daemon_prints() {
    let dir = TempDir::new();
    let printed = node::run(BINARY, dir.path(), &["config", "default"]);
    assert!(printed.status.success());
    let example = include_str!("../../ops/config.example.toml");
    let home = dir.path().display().to_string();
    assert_eq!(String::from_utf8_lossy(&printed.stdout).replace(&home, "~"), example);
}
