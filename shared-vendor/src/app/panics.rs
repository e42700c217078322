//! A panic anywhere, in a task, in a thread of a pool or in `main`, ends the process with 70 and a report id.

use std::{
    any::Any,
    backtrace::Backtrace,
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    sync::OnceLock,
};

use parking_lot::Mutex;

use crate::{
    clock::{Clock, SystemClock},
    exit::{self, Report},
    tasks::Tasks,
};

/// The set that is stopped by a panic in a thread that no task owns.
static TASKS: OnceLock<Tasks> = OnceLock::new();

/// Id of the first panic, for the report.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

/// Writes place, message, id and backtrace to stderr, and tells the tasks.
pub(super) fn install() {
    std::panic::set_hook(Box::new(|info| {
        let text = info.payload_as_str().unwrap_or("no message");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let mut hash = DefaultHasher::new();
        (text, &place, std::process::id(), SystemClock::default().wall()).hash(&mut hash);
        let id = format!("{:08x}", hash.finish() & 0xffff_ffff);
        let id = FIRST.lock().get_or_insert(id).clone();
        tracing::error!(target: "app", id, place, code = exit::PANIC.id, "internal error: {text}");
        let _ = writeln!(std::io::stderr(), "backtrace {id}\n{}", Backtrace::force_capture());
        if let Some(tasks) = TASKS.get() {
            tasks.fail(described(&format!("at {place}"), text));
        }
    }));
}

/// From now on a panic stops these tasks.
pub(super) fn watch(tasks: &Tasks) {
    let _ = TASKS.set(tasks.clone());
}

/// The report for a panic that was caught.
pub(super) fn report(task: &str, payload: &(dyn Any + Send)) -> Report {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    described(&format!("in {task}"), text.unwrap_or("no message"))
}

fn described(place: &str, text: &str) -> Report {
    let id = FIRST.lock().clone().unwrap_or_default();
    Report::new(exit::PANIC, format!("internal error {place}: {text}"))
        .at(format!("report id {id}"))
        .state("everything committed before is safe on disk")
        .advice("start again; if it comes back, report the id and the log lines before it")
}
