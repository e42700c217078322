//! Every task has a name, a stage and a stop signal. The first failure stops all and is the exit cause; a stop drains
//! the stages in order, so that the store closes after those who write to it.

#![allow(clippy::disallowed_methods)] // the one place that spawns

use std::{
    any::Any,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::watch, task::AbortHandle};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::exit::{self, Report};

/// When a task is told to stop. Within a stage all stop together; a stage is told when the one before it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Whoever brings work in: listeners, peers, RPC.
    Serve,
    /// Whoever does it: sync, verification, timers.
    Work,
    /// Whoever keeps it: the store's writer.
    Store,
}

const STAGES: [Stage; 3] = [Stage::Serve, Stage::Work, Stage::Store];

/// Tells a task to end. Clones are the same signal.
#[derive(Clone, Debug)]
pub struct Stop(CancellationToken);

impl Stop {
    /// A signal that nobody gives, for tests and tools.
    #[must_use]
    pub fn never() -> Self {
        Self(CancellationToken::new())
    }

    /// Ends when it is time to stop.
    pub async fn wait(&self) {
        self.0.cancelled().await;
    }

    /// Gives the signal, for whoever owns a part of the process by itself.
    pub fn set(&self) {
        self.0.cancel();
    }

    /// Whether it is time to stop, for loops that do not await.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// All tasks of the process. Clones are the same set.
#[derive(Clone, Debug)]
pub struct Tasks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    runtime: Handle,
    stops: [CancellationToken; 3],
    running: Mutex<BTreeMap<u64, Running>>,
    next: Mutex<u64>,
    failure: watch::Sender<Option<Report>>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Running {
    name: String,
    stage: Stage,
    abort: Option<AbortHandle>,
}

impl Tasks {
    /// An empty set whose tasks run on `runtime`.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        let stops = std::array::from_fn(|_| CancellationToken::new());
        let (failure, _) = watch::channel(None);
        let (changed, _) = watch::channel(());
        Self(Arc::new(Inner {
            runtime,
            stops,
            running: Mutex::default(),
            next: Mutex::default(),
            failure,
            changed,
        }))
    }

    /// The signal of the first stage: set as soon as the process stops.
    #[must_use]
    pub fn stop(&self) -> Stop {
        Stop(self.0.stops[0].clone())
    }

    /// Runs a task of the stage [`Stage::Work`]. See [`Self::spawn_in`].
    pub fn spawn<F>(&self, name: impl Into<String>, task: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = Result<(), Report>> + Send + 'static,
    {
        self.spawn_in(Stage::Work, name, task);
    }

    /// Runs a task. It ends soon after its [`Stop`] is set; an error or a panic stops the whole process.
    pub fn spawn_in<F>(&self, stage: Stage, name: impl Into<String>, task: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = Result<(), Report>> + Send + 'static,
    {
        let entry = self.enter(stage, name.into());
        let id = entry.id;
        let task = task(Stop(self.0.stops[stage as usize].clone()));
        let abort =
            self.0.runtime.spawn(async move { entry.end(CatchPanic(Box::pin(task)).await) }).abort_handle();
        if let Some(running) = self.0.running.lock().get_mut(&id) {
            running.abort = Some(abort);
        }
    }

    /// Runs blocking work (a store's writer, a long computation) on a thread of its own, with the same rules. It must
    /// look at its [`Stop`] or end when its channel closes: a thread cannot be aborted.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn spawn_thread<F>(&self, stage: Stage, name: impl Into<String>, work: F) -> std::io::Result<()>
    where
        F: FnOnce(Stop) -> Result<(), Report> + Send + 'static,
    {
        let name = name.into();
        let entry = self.enter(stage, name.clone());
        let stop = Stop(self.0.stops[stage as usize].clone());
        let short: String = name.chars().take(15).collect();
        std::thread::Builder::new().name(short).spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(|| work(stop)));
            entry.end(result);
        })?;
        Ok(())
    }

    /// Stops the process with this cause, unless another came first.
    pub fn fail(&self, cause: Report) {
        self.0.failure.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(cause);
            is_first
        });
    }

    /// Ends when a task has failed, with the cause of the first failure.
    pub async fn failed(&self) -> Report {
        let mut failure = self.0.failure.subscribe();
        match failure.wait_for(Option::is_some).await {
            Ok(cause) => cause.clone().unwrap_or_else(|| Report::new(exit::UNEXPECTED, "a task failed")),
            Err(_) => std::future::pending().await,
        }
    }

    /// Names of the tasks that run now, for a state summary.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.running.lock().values().map(|running| running.name.clone()).collect()
    }

    /// Stops stage after stage and waits for each, all within `deadline`. What is left then is aborted and named.
    pub async fn drain(&self, deadline: Duration) -> Vec<String> {
        let in_order = async {
            for stage in STAGES {
                self.0.stops[stage as usize].cancel();
                let mut changed = self.0.changed.subscribe();
                while self.0.running.lock().values().any(|running| running.stage == stage) {
                    if changed.changed().await.is_err() {
                        return;
                    }
                }
                debug!("stage {stage:?} has stopped");
            }
        };
        let _ = tokio::time::timeout(deadline, in_order).await;
        self.0.stops.iter().for_each(CancellationToken::cancel);
        let left = std::mem::take(&mut *self.0.running.lock());
        for running in left.values() {
            warn!(task = running.name, "a task did not stop in time and is aborted");
            running.abort.iter().for_each(AbortHandle::abort);
        }
        left.into_values().map(|running| running.name).collect()
    }

    fn enter(&self, stage: Stage, name: String) -> Entry {
        let id = {
            let mut next = self.0.next.lock();
            *next += 1;
            *next
        };
        self.0.running.lock().insert(id, Running { name: name.clone(), stage, abort: None });
        Entry { tasks: self.clone(), id, name }
    }
}

/// Removes a task from the set however it ends.
struct Entry {
    tasks: Tasks,
    id: u64,
    name: String,
}

impl Entry {
    fn end(self, result: Result<Result<(), Report>, Box<dyn Any + Send>>) {
        match result {
            Ok(Ok(())) => {}
            Ok(Err(report)) => self.tasks.fail(report),
            Err(panic) => self.tasks.fail(panic_report(&self.name, &*panic)),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.tasks.0.running.lock().remove(&self.id);
        self.tasks.0.changed.send_replace(());
    }
}

/// What a panic of the named task looks like to an operator.
#[must_use]
pub fn panic_report(task: &str, payload: &(dyn Any + Send)) -> Report {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    Report::new(exit::PANIC, format!("internal error in {task}: {text}"))
        .state("everything committed before is safe on disk")
        .advice("start again; if it comes back, report the id and the log lines before it")
}

/// A future whose panics are values.
struct CatchPanic<F>(Pin<Box<F>>);

impl<F: Future> Future for CatchPanic<F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn tasks() -> Tasks {
        Tasks::new(Handle::current())
    }

    #[tokio::test]
    async fn stages_stop_one_after_the_other() {
        let tasks = tasks();
        let order = Arc::new(Mutex::new(Vec::new()));
        for (stage, name) in [(Stage::Store, "store"), (Stage::Serve, "rpc"), (Stage::Work, "sync")] {
            let order = Arc::clone(&order);
            tasks.spawn_in(stage, name, |stop| async move {
                stop.wait().await;
                tokio::task::yield_now().await;
                order.lock().push(name);
                Ok(())
            });
        }
        assert_eq!(tasks.names(), ["store", "rpc", "sync"]);
        assert!(tasks.drain(Duration::from_secs(60)).await.is_empty());
        assert_eq!(*order.lock(), ["rpc", "sync", "store"]);
    }

    #[tokio::test]
    async fn the_first_failure_is_the_cause() {
        let tasks = tasks();
        tasks.fail(Report::new(exit::IO_ERROR, "first"));
        tasks.spawn("late", |_| async { Err(Report::new(exit::UNEXPECTED, "second")) });
        tasks.drain(Duration::from_secs(60)).await;
        assert_eq!(tasks.failed().await.exit(), Exit::Io);
    }

    #[tokio::test]
    async fn a_panic_of_a_task_or_thread_is_an_internal_error() {
        for threaded in [false, true] {
            let tasks = tasks();
            if threaded {
                tasks.spawn_thread(Stage::Work, "thread", |_| panic!("broken")).unwrap();
            } else {
                tasks.spawn("task", |_| async { panic!("broken") });
            }
            let cause = tasks.failed().await;
            assert_eq!(cause.exit(), Exit::Internal);
            assert!(cause.to_string().contains("broken"));
        }
    }

    #[tokio::test]
    async fn who_does_not_stop_in_time_is_aborted_and_named() {
        let tasks = tasks();
        tasks.spawn("deaf", |_| std::future::pending());
        assert_eq!(tasks.drain(Duration::from_millis(10)).await, ["deaf"]);
    }
}
