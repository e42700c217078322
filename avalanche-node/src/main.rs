//! `avalanche-node`: a node of Avalanche's primary network.

use std::process::ExitCode;

fn main() -> ExitCode {
    shared_vendor::app::main::<avalanche_node::cli::AvalancheNode>()
}
