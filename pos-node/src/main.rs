//! `pos-node`: the daemon's command line is not built yet; the library is.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
