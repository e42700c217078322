//! Runs every file of `$VECTORS_DIR/avalanche-node` (see `shared_vendor::testing::vectors`). Files are claimed by
//! folder and by the shape of their JSON; one module per area.

#![allow(clippy::panic)] // a malformed vector is a failed case

use shared_vendor::testing::vectors::{self, Claim, File};

#[path = "vectors/api.rs"]
mod api;
#[path = "vectors/basics.rs"]
mod basics;
#[path = "vectors/chains.rs"]
mod chains;
#[path = "vectors/configuration.rs"]
mod configuration;
#[path = "vectors/consensus.rs"]
mod consensus;
#[path = "vectors/economy.rs"]
mod economy;
#[path = "vectors/index.rs"]
mod index;
#[path = "vectors/network.rs"]
mod network;
#[path = "vectors/proposers.rs"]
mod proposers;
#[path = "vectors/storage.rs"]
mod storage;

fn main() -> std::process::ExitCode {
    vectors::run("avalanche-node", env!("CARGO_MANIFEST_DIR"), claim)
}

fn claim(file: &File<'_>) -> Option<Claim> {
    let shape = Shape::of(file);
    [
        api::claim,
        basics::claim,
        chains::claim,
        configuration::claim,
        consensus::claim,
        economy::claim,
        index::claim,
        network::claim,
        proposers::claim,
        storage::claim,
    ]
    .into_iter()
    .find_map(|area| area(file, &shape))
}

/// The keys of a JSON file, or of the first element of an array.
#[derive(Debug, Default)]
struct Shape {
    keys: Vec<String>,
    is_array: bool,
}

impl Shape {
    fn of(file: &File<'_>) -> Self {
        let json = if file.path.ends_with(".json") { file.json() } else { serde_json::Value::Null };
        let is_array = json.is_array();
        let object = json.get(0).unwrap_or(&json).as_object();
        Self { keys: object.into_iter().flat_map(|object| object.keys().cloned()).collect(), is_array }
    }

    fn has(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| self.keys.iter().any(|found| found == key))
    }

    fn is_list_of(&self, keys: &[&str]) -> bool {
        self.is_array && self.has(keys)
    }
}
