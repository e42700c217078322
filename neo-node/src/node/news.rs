//! Transactions that have come into the pool and that the peers must hear of. They are gathered for a moment, so that thousands a
//! second wake the network a few times only, as neo-go does (`pkg/network/server.go`).

use std::{mem, sync::Arc, time::Duration};

use neo_base::ledger::Transaction;
use shared_vendor::{
    app::{Context, Daemon},
    tasks::Stage,
};
use tokio::sync::{Notify, mpsc};

use super::network::Order;
use crate::config::Config;

/// How long transactions are gathered.
const MOMENT: Duration = Duration::from_millis(20);

/// Most transactions that wait. Peers hear of more from others, or when they are announced again.
const MOST: usize = 4_096;

/// What has come since the peers were told last.
#[derive(Debug, Default)]
pub(super) struct News {
    waiting: std::sync::Mutex<Vec<Arc<Transaction>>>,
    came: Notify,
}

impl News {
    /// One more.
    pub(super) fn add(&self, tx: Arc<Transaction>) {
        let mut waiting = self.lock();
        if waiting.len() < MOST {
            waiting.push(tx);
        }
        let is_first = waiting.len() == 1;
        drop(waiting);
        if is_first {
            self.came.notify_one();
        }
    }

    /// Waits for the first one, then a moment for others.
    async fn next(&self) -> Vec<Arc<Transaction>> {
        self.came.notified().await;
        tokio::time::sleep(MOMENT).await;
        mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Transaction>>> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Starts the task that tells the network.
pub(super) fn spawn<D: Daemon<Config = Config>>(
    ctx: &Context<D>,
    news: Arc<News>,
    network: mpsc::Sender<Order>,
) {
    ctx.tasks.spawn_in(Stage::Serve, "announcements", |stop| async move {
        loop {
            let transactions = tokio::select! {
                () = stop.wait() => return Ok(()),
                transactions = news.next() => transactions,
            };
            if network.send(Order::Announce(transactions)).await.is_err() {
                return Ok(());
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use neo_base::ledger::{Scopes, Signer, TransactionBody};

    use super::*;

    #[tokio::test]
    async fn what_comes_within_a_moment_is_told_together_and_nothing_is_lost() {
        let news = News::default();
        let give = async {
            for nonce in 0..100 {
                let signers = vec![Signer::new(neo_base::UInt160([1; 20]), Scopes::NONE)];
                let body = TransactionBody {
                    nonce,
                    system_fee: 0,
                    network_fee: 0,
                    valid_until_block: 1,
                    signers,
                    attributes: Vec::new(),
                    script: vec![0x11],
                };
                news.add(Arc::new(Transaction::new(body, Vec::new())));
                if nonce % 10 == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        let hear = async {
            let (mut seen, mut times) = (Vec::new(), 0);
            while seen.len() < 100 {
                seen.extend(news.next().await.iter().map(|tx| tx.body().nonce));
                times += 1;
            }
            (seen, times)
        };
        let ((), (seen, times)) = tokio::join!(give, hear);
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert!(times < 50, "{times}");
    }
}
