//! Drives the demo daemon (`examples/demo.rs`) from outside: exit codes, signals, precedence of settings.

mod command_line;
mod life;
mod support;

use std::{path::PathBuf, process::Output};

/// The demo's binary. `cargo test` builds it; `cargo test --test it` alone does not.
fn demo() -> PathBuf {
    let mut path = std::env::current_exe().expect("this test's own path");
    path.pop();
    path.pop();
    path.join("examples/demo")
}

/// Exit code, stdout and stderr as text.
fn parts(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}
