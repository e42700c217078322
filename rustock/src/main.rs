//! `rustock`: a Rootstock light client.

use std::process::ExitCode;

fn main() -> ExitCode {
    shared_vendor::app::main::<rustock::cli::Rustock>()
}
