//! `pos-node`: a proof-of-stake node.

use std::process::ExitCode;

fn main() -> ExitCode {
    shared_vendor::app::main::<pos_node::cli::PosNode>()
}
