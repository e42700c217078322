//! The vector ledger: every file of a chain's vector folder is either run, or listed as not run with a reason, or it
//! is a failure. Each chain's `tests/vectors.rs` (a target without harness) is one call of [`run`].
//!
//! Files come from `$VECTORS_DIR/<chain>`; where the variable is not set, `../../shared/vectors/<chain>` beside the
//! chain's folder. An absent folder is one line `skipped: no vectors` and success.

#![allow(clippy::print_stdout, clippy::panic)] // its output is the report; a malformed vector is a failed case

use std::{
    fmt::Debug,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// One file handed to a runner.
#[derive(Debug)]
pub struct File<'a> {
    /// Path below the chain's folder, with `/`.
    pub path: &'a str,
    /// Where the file is.
    pub location: &'a Path,
    /// What it holds.
    pub bytes: &'a [u8],
}

impl File<'_> {
    /// The chain's vector folder, for runners that need a sibling file.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.location.ancestors().nth(self.path.split('/').count()).map(Path::to_path_buf).unwrap_or_default()
    }

    /// The file as text.
    ///
    /// # Panics
    /// It is not UTF-8; the ledger turns the panic into a failed case.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.bytes).expect("vector file is UTF-8 text")
    }

    /// The file as JSON of any shape.
    ///
    /// # Panics
    /// It is not JSON; the ledger turns the panic into a failed case.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.bytes).expect("vector file is JSON")
    }

    /// The file as JSON of a known type.
    ///
    /// # Panics
    /// It has another shape; the ledger turns the panic into a failed case.
    #[must_use]
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_slice(self.bytes).unwrap_or_else(|err| panic!("{}: {err}", self.path))
    }
}

/// Results of the cases of one file.
#[derive(Debug, Default)]
pub struct Cases {
    passed: usize,
    skipped: usize,
    failures: Vec<String>,
}

impl Cases {
    /// Counts one case: it passes when both values are equal.
    pub fn equal<T: PartialEq + Debug>(&mut self, name: impl AsRef<str>, actual: &T, expected: &T) {
        if actual == expected {
            self.passed += 1;
        } else {
            self.fail(name, actual, expected);
        }
    }

    /// Counts one case: it passes when `ok`; `detail` says what was seen otherwise.
    pub fn check(&mut self, name: impl AsRef<str>, ok: bool, detail: impl FnOnce() -> String) {
        if ok {
            self.passed += 1;
        } else {
            self.failures.push(format!("{}: {}", name.as_ref(), detail()));
        }
    }

    /// Counts one failed case and keeps both values for the report.
    pub fn fail(&mut self, name: impl AsRef<str>, actual: &dyn Debug, expected: &dyn Debug) {
        self.failures
            .push(format!("{}\n      actual   {actual:?}\n      expected {expected:?}", name.as_ref()));
    }

    /// Counts one case that was not run; say why in the name.
    pub fn skip(&mut self, _name_and_reason: impl AsRef<str>) {
        self.skipped += 1;
    }

    /// Runs one case: it fails with the message when `case` panics or returns an error, so that a bad vector cannot
    /// hide the ones after it.
    pub fn case(&mut self, name: impl AsRef<str>, case: impl FnOnce() -> Result<(), String>) {
        match catch_unwind(AssertUnwindSafe(case)) {
            Ok(Ok(())) => self.passed += 1,
            Ok(Err(message)) => self.failures.push(format!("{}: {message}", name.as_ref())),
            Err(panic) => self.failures.push(format!("{}: panic: {}", name.as_ref(), panic_text(&*panic))),
        }
    }
}

/// What a chain does with a file.
#[derive(Debug)]
pub enum Claim {
    /// The file is run by this function.
    Run(fn(&File<'_>, &mut Cases)),
    /// The file is deliberately not run; the reason is printed.
    NotRun(&'static str),
}

/// Runs every file of the chain's vector folder and prints one line per file, the failures, and the totals.
/// `claim` looks at folder, name and shape; `None` means that no runner knows the file, which is a failure.
///
/// `README.md` and Python helpers (`*.py`) describe vectors and are left out. One argument narrows the run to paths
/// that contain it.
#[must_use]
pub fn run(chain: &str, manifest_dir: &str, claim: impl Fn(&File<'_>) -> Option<Claim>) -> ExitCode {
    let root = match std::env::var_os("VECTORS_DIR") {
        Some(dir) => PathBuf::from(dir).join(chain),
        None => Path::new(manifest_dir).join("../../shared/vectors").join(chain),
    };
    if !root.is_dir() {
        println!("{chain}: skipped: no vectors");
        return ExitCode::SUCCESS;
    }
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    std::panic::set_hook(Box::new(|_| {})); // a panic in a case is reported as that case's failure
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for path in files_below(&root) {
        if !path.contains(&filter) {
            continue;
        }
        let location = root.join(&path);
        let mut cases = Cases::default();
        match fs::read(&location) {
            Err(err) => cases.failures.push(format!("cannot be read: {err}")),
            Ok(bytes) => {
                let file = File { path: &path, location: &location, bytes: &bytes };
                match claim(&file) {
                    None => cases.failures.push("no runner claims this file".into()),
                    Some(Claim::NotRun(reason)) => {
                        println!("{chain} {path} not run: {reason}");
                        skipped += 1;
                        continue;
                    }
                    Some(Claim::Run(runner)) => {
                        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| runner(&file, &mut cases))) {
                            cases.failures.push(format!("runner: panic: {}", panic_text(&*panic)));
                        }
                        if cases.passed + cases.failures.len() + cases.skipped == 0 {
                            cases.failures.push("the file holds no case".into());
                        }
                    }
                }
            }
        }
        println!("{chain} {path} {}/{}", cases.passed, cases.passed + cases.failures.len());
        for failure in cases.failures.iter().take(20) {
            println!("    FAILED {failure}");
        }
        if cases.failures.len() > 20 {
            println!("    ... and {} more", cases.failures.len() - 20);
        }
        passed += cases.passed;
        failed += cases.failures.len();
        skipped += cases.skipped;
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn files_below(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let described = path.file_name().is_some_and(|name| name == "README.md")
                || path.extension().is_some_and(|ext| ext == "py");
            if path.is_dir() {
                folders.push(path);
            } else if !described && let Ok(below) = path.strip_prefix(root) {
                found.push(below.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (None, Some(text)) => (*text).to_owned(),
        (None, None) => "no message".to_owned(),
    }
}
