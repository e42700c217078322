//! `fluxd`: a Flux full node.

use std::process::ExitCode;

fn main() -> ExitCode {
    shared_vendor::app::main::<fluxd::cli::Fluxd>()
}
