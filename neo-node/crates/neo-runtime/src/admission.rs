//! The way into the memory pool: a transaction is verified, taken, and announced. Many threads may submit at once; they verify
//! without the pool's lock, under which only what the others in the pool decide is checked again. Mirrors
//! `Blockchain.OnNewTransaction` and `TransactionRouter.cs`.

use std::{fmt, sync::Arc, time::Duration};

use neo_base::{UInt256, ledger::Transaction};
use neo_contract::engine::EngineError;
use parking_lot::{Mutex, MutexGuard};

use crate::{
    Ledger, LedgerView,
    execute::Executed,
    mempool::{Mempool, Others, PoolError, PoolEvent},
    verify::{self, Passed, VerifyError},
};

/// Told of each change of the pool, in order.
pub type Listener = Box<dyn Fn(&PoolEvent) + Send + Sync>;

/// What the pool says of a transaction before it is verified.
type Surveyed = Result<Others, PoolError<VerifyError>>;

/// How long a caller that must not wait waits for the pool.
const SHORT: Duration = Duration::from_micros(500);

/// The pool with the ledger that judges.
pub struct Admission {
    ledger: Arc<Ledger>,
    pool: Mutex<Mempool>,
    listener: Listener,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl Admission {
    /// An empty pool over a ledger.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, listener: Listener) -> Self {
        let capacity = ledger.settings().memory_pool_max_transactions;
        let pool = Mutex::new(Mempool::new(capacity, ledger.height()));
        Self { ledger, pool, listener }
    }

    /// Verifies a transaction and takes it into the pool.
    ///
    /// # Errors
    /// It is invalid, known, in conflict with others, or pays too little for a full pool.
    pub fn submit(&self, tx: Arc<Transaction>) -> Result<(), PoolError<VerifyError>> {
        let surveyed = self.lock().survey(&tx);
        let passed = self.judge(&tx, surveyed)?;
        self.take(tx, &passed, self.lock())
    }

    /// The same for callers that must not wait. `None`: nothing was done, because to verify the transaction may take
    /// long, or the pool is busy.
    pub fn submit_at_once(&self, tx: &Arc<Transaction>) -> Option<Result<(), PoolError<VerifyError>>> {
        if !verify::is_quick(tx) {
            return None;
        }
        let surveyed = self.pool.try_lock_for(SHORT)?.survey(tx);
        let passed = match self.judge(tx, surveyed) {
            Ok(passed) => passed,
            Err(err) => return Some(Err(err)),
        };
        let pool = self.pool.try_lock_for(SHORT)?;
        Some(self.take(tx.clone(), &passed, pool))
    }

    /// Verifies a transaction without the pool's lock, in the order of the reference. What the pool has said of it counts when it is
    /// known to be well formed.
    fn judge(&self, tx: &Arc<Transaction>, surveyed: Surveyed) -> Result<Passed, PoolError<VerifyError>> {
        if matches!(surveyed, Err(PoolError::AlreadyInPool)) {
            return Err(PoolError::AlreadyInPool);
        }
        let settings = self.ledger.settings();
        let view = self.view().map_err(PoolError::Invalid)?;
        verify::check_new(settings, &view, tx).map_err(PoolError::Invalid)?;
        verify::check_stateless(settings, tx).map_err(PoolError::Invalid)?;
        verify::verify_stateful(settings, &view, tx, surveyed?).map_err(PoolError::Invalid)
    }

    fn view(&self) -> Result<LedgerView<'_>, VerifyError> {
        self.ledger.view().map_err(|err| EngineError::Store(err.into()).into())
    }

    /// Takes a transaction that was verified a moment ago. When a block has come meanwhile it is verified again.
    fn take(
        &self,
        tx: Arc<Transaction>,
        passed: &Passed,
        mut pool: MutexGuard<'_, Mempool>,
    ) -> Result<(), PoolError<VerifyError>> {
        let mut events = Vec::new();
        let is_current = pool.height() == passed.height();
        let judge = |tx: &Arc<Transaction>, others| {
            if is_current {
                return passed.beside(others);
            }
            verify::verify_in_block(self.ledger.settings(), &self.view()?, tx, others).map(drop)
        };
        let result = pool.add(tx, judge, &mut events);
        self.tell(&events);
        result
    }

    /// A block was added: what it holds leaves, and the best of the rest are verified again, as many as a block can
    /// hold and as long as `go_on` says.
    pub fn on_block(&self, executed: &Executed, go_on: impl FnMut() -> bool) {
        let mut events = Vec::new();
        let mut pool = self.lock();
        let block = &executed.block;
        pool.on_block(block.header.body().index, &block.transactions, &mut events);
        let most = usize::try_from(self.ledger.settings().max_transactions_per_block).unwrap_or(usize::MAX);
        self.reverify(&mut pool, most, go_on, &mut events);
        self.tell(&events);
    }

    /// Verifies some more of what waits, while nothing else is to be done. Returns how many are left.
    pub fn on_idle(&self, count: usize, go_on: impl FnMut() -> bool) -> usize {
        let mut events = Vec::new();
        let mut pool = self.lock();
        let left = self.reverify(&mut pool, count, go_on, &mut events);
        self.tell(&events);
        left
    }

    fn reverify(
        &self,
        pool: &mut Mempool,
        count: usize,
        go_on: impl FnMut() -> bool,
        events: &mut Vec<PoolEvent>,
    ) -> usize {
        let Ok(view) = self.ledger.view() else { return 0 };
        let judge = |tx: &Arc<Transaction>, others| {
            verify::verify_in_block(self.ledger.settings(), &view, tx, others).map(drop)
        };
        pool.reverify(count, judge, go_on, events)
    }

    /// A transaction of the pool.
    #[must_use]
    pub fn get(&self, hash: &UInt256) -> Option<Arc<Transaction>> {
        self.lock().get(hash)
    }

    /// The best verified transactions.
    #[must_use]
    pub fn best(&self, limit: usize) -> Vec<Arc<Transaction>> {
        self.lock().best(limit)
    }

    /// Hashes of verified and unverified transactions, best first.
    #[must_use]
    pub fn hashes(&self) -> (Vec<UInt256>, Vec<UInt256>) {
        self.lock().hashes()
    }

    /// Transactions in the pool, and their bytes.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let pool = self.lock();
        (pool.len(), pool.bytes())
    }

    fn lock(&self) -> MutexGuard<'_, Mempool> {
        self.pool.lock()
    }

    fn tell(&self, events: &[PoolEvent]) {
        events.iter().for_each(|event| (self.listener)(event));
    }
}

#[cfg(test)]
mod tests;
