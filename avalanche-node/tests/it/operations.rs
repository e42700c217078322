//! What operators are given: every metric of the dashboard and the alerts exists, and the example of a configuration is the
//! one that the daemon prints.

use shared_vendor::testing::{
    metrics,
    node::{self, TempDir},
};

use crate::daemon::{BINARY, logged, make, start, wait_for_height};

#[test]
fn every_metric_of_dashboard_and_alerts_is_exported() {
    let dir = TempDir::new();
    make(dir.path());
    let (node, address) = start(dir.path());
    let ops = logged(&node, "ops");
    // metrics of calls are there from the first one on
    wait_for_height(&address, 0);
    let used = [include_str!("../../ops/grafana.json"), include_str!("../../ops/alerts.yml")];
    metrics::assert_exported(ops, "avalanche_", &used);
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
