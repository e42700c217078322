//! `neo-node`: a Neo N3 full node.

use std::process::ExitCode;

fn main() -> ExitCode {
    shared_vendor::app::main::<neo_node::cli::NeoNode>()
}
