//! `rustock`: not built yet.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
