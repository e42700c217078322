//! What operators and users see: metrics of dashboard and alerts exist, the table of methods is complete.

use std::collections::BTreeSet;

use shared_vendor::testing::{metrics, node::TempDir};

use crate::devnet::{genesis, rpc, start};

#[test]
fn every_metric_of_dashboard_and_alerts_is_exported() {
    let home = TempDir::new();
    let genesis = genesis(home.path(), 1);
    let mut node = start(home.path(), "a", &genesis, "0..1", &[]);
    // Methods have a series each from their first call on.
    rpc(node.address("rpc"), "node_version", &serde_json::json!([]));
    let used = [include_str!("../../ops/grafana.json"), include_str!("../../ops/alerts.yml")];
    metrics::assert_exported(node.address("ops"), "pos_", &used);
    assert_eq!(node.signal("TERM").exit_code(), 0);
}

#[test]
fn the_table_lists_every_method_that_is_served() {
    let readme = include_str!("../../README.md");
    let table = readme.split("| RPC method |").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let listed: BTreeSet<&str> = table.split('`').skip(1).step_by(2).collect();
    let methods = pos_node::api::methods();
    let served: BTreeSet<&str> = methods.names().collect();
    assert_eq!(listed, served);
}
