//! Work that waits for blocks. A job runs when each block it depends on has been issued or given up.
//! Mirrors `snow/engine/snowman/job/scheduler.go`, but hands runnable jobs out instead of calling them.

use std::collections::HashMap;

use avalanche_ids::Id;

/// Jobs by what they wait for.
#[derive(Debug)]
pub struct Jobs<J> {
    waiting: HashMap<Id, Vec<u64>>,
    jobs: HashMap<u64, Waiting<J>>,
    next: u64,
}

#[derive(Debug)]
struct Waiting<J> {
    job: J,
    unresolved: usize,
    abandoned: bool,
}

impl<J> Default for Jobs<J> {
    fn default() -> Self {
        Self { waiting: HashMap::new(), jobs: HashMap::new(), next: 0 }
    }
}

impl<J> Jobs<J> {
    /// Blocks that are waited for.
    #[must_use]
    pub fn dependencies(&self) -> usize {
        self.waiting.len()
    }

    /// Keeps a job until all `dependencies` are resolved; there must be at least one.
    pub fn wait(&mut self, job: J, dependencies: &[Id]) {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        for id in dependencies {
            self.waiting.entry(*id).or_default().push(number);
        }
        self.jobs.insert(number, Waiting { job, unresolved: dependencies.len(), abandoned: false });
    }

    /// A block was issued, or given up. Answers the jobs that can run now, in the order they came, and whether something
    /// they waited for was given up.
    pub fn resolve(&mut self, id: Id, abandoned: bool) -> Vec<(J, bool)> {
        let mut ready = Vec::new();
        for number in self.waiting.remove(&id).unwrap_or_default() {
            let Some(job) = self.jobs.get_mut(&number) else { continue };
            job.abandoned |= abandoned;
            job.unresolved = job.unresolved.saturating_sub(1);
            if job.unresolved == 0
                && let Some(done) = self.jobs.remove(&number)
            {
                ready.push((done.job, done.abandoned));
            }
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_runs_when_the_last_of_its_blocks_is_resolved_and_knows_if_one_was_given_up() {
        let (a, b) = (Id([1; 32]), Id([2; 32]));
        let mut jobs = Jobs::default();
        jobs.wait("both", &[a, b]);
        jobs.wait("one", &[b]);
        assert_eq!(jobs.resolve(a, true), []);
        assert_eq!(jobs.dependencies(), 1);
        assert_eq!(jobs.resolve(b, false), [("both", true), ("one", false)]);
        assert_eq!((jobs.resolve(b, false), jobs.dependencies()), (vec![], 0));
    }
}
