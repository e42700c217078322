//! A bounded pool of threads for CPU-heavy jobs (proofs, signatures, scripts). Whoever submits learns that it is full
//! and decides: wait, or drop. Jobs know nothing of tokio.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

type Job = Box<dyn FnOnce() + Send>;

/// Threads and the queue before them. Dropping it lets queued jobs finish.
#[derive(Debug)]
pub struct Pool {
    queue: Option<SyncSender<Job>>,
    slots: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

/// The queue is full: the caller produces faster than the threads work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the worker pool is full")]
pub struct Full;

/// The job ended without an answer: it panicked, which also ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job ended without an answer")]
pub struct Lost;

impl Pool {
    /// `threads` workers (at least one) and room for `capacity` jobs that wait or run.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn new(name: &str, threads: usize, capacity: usize) -> io::Result<Self> {
        let capacity = capacity.max(1);
        let (queue, jobs) = sync_channel::<Job>(capacity);
        let jobs = Arc::new(Mutex::new(jobs));
        let threads = (0..threads.max(1)).map(|number| {
            let jobs = Arc::clone(&jobs);
            std::thread::Builder::new().name(format!("{name}-{number}")).spawn(move || work(&jobs))
        });
        Ok(Self {
            queue: Some(queue),
            slots: Arc::new(Semaphore::new(capacity)),
            waiting: Arc::default(),
            threads: threads.collect::<io::Result<_>>()?,
        })
    }

    /// Jobs that wait or run: the metric `queue_depth`.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Does the job when a thread is free, waiting first for room in the queue: the caller slows down with the pool.
    ///
    /// # Errors
    /// The job panicked.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Lost> {
        let permit = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| Lost)?;
        self.submit(permit, job).await.map_err(|_| Lost)
    }

    /// Queues the job if there is room, and hands back where its answer will come.
    ///
    /// # Errors
    /// There is none.
    pub fn try_run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<oneshot::Receiver<T>, Full> {
        let permit = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| Full)?;
        Ok(self.submit(permit, job))
    }

    fn submit<T: Send + 'static>(
        &self,
        permit: tokio::sync::OwnedSemaphorePermit,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (answer, receive) = oneshot::channel();
        let counted = Counted::new(&self.waiting);
        let job: Job = Box::new(move || {
            let result = job();
            drop((permit, counted));
            let _ = answer.send(result); // nobody may want it any more
        });
        // The permits are as many as the places, so the queue is never full here.
        if let Some(Err(TrySendError::Full(job) | TrySendError::Disconnected(job))) =
            self.queue.as_ref().map(|queue| queue.try_send(job))
        {
            drop(job);
        }
        receive
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // its panic has been reported by the hook
        }
    }
}

struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_come_back_and_a_full_pool_says_so() {
        let pool = Pool::new("test", 1, 2).unwrap();
        let (release, held) = sync_channel::<()>(0);
        let first = pool.try_run(move || held.recv().is_ok()).unwrap();
        let second = pool.try_run(|| 7).unwrap();
        assert_eq!(pool.try_run(|| 8).unwrap_err(), Full);
        assert_eq!(pool.depth(), 2);
        release.send(()).unwrap();
        assert!(first.await.unwrap());
        assert_eq!(second.await.unwrap(), 7);
        assert_eq!(pool.run(|| 9).await, Ok(9));
        assert_eq!(pool.depth(), 0);
    }

    #[tokio::test]
    async fn queued_jobs_finish_before_the_pool_is_gone() {
        let pool = Pool::new("test", 2, 64).unwrap();
        let answers: Vec<_> = (0..64).map(|i| pool.try_run(move || i).unwrap()).collect();
        drop(pool);
        for (i, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.await, Ok(i));
        }
    }
}
