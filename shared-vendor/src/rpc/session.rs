//! A client that stays connected: its subscriptions and the bounded queue of what it still has to be told. Knows neither
//! sockets nor what the notifications of a chain look like.

use std::{collections::BTreeMap, pin::Pin, sync::Arc};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::Error;

/// The connection that a call came over. Clones are the same connection.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    queue: mpsc::Sender<String>,
    lagging: CancellationToken,
    subscriptions: Mutex<BTreeMap<u64, State>>,
    limit: usize,
}

enum State {
    /// Runs once the answer that tells its number has been sent.
    Waiting(Pin<Box<dyn Future<Output = ()> + Send>>),
    Running(AbortHandle),
}

/// The sending end of one subscription.
pub struct Feed {
    number: u64,
    queue: mpsc::Sender<String>,
    lagging: CancellationToken,
}

impl Session {
    /// A session that may hold `limit` subscriptions and `queued` unsent notifications, and the end the socket reads.
    pub(super) fn open(limit: usize, queued: usize) -> (Self, mpsc::Receiver<String>) {
        let (queue, unsent) = mpsc::channel(queued.max(1));
        let inner =
            Inner { queue, lagging: CancellationToken::new(), subscriptions: Mutex::default(), limit };
        (Self(Arc::new(inner)), unsent)
    }

    /// Runs `feed` from the moment the present call is answered until [`Self::unsubscribe`] or the client leaves.
    /// Returns its number: the smallest that is free on this connection, from 0.
    ///
    /// # Errors
    /// -32005 when the connection holds as many subscriptions as it may.
    pub fn subscribe<F>(&self, feed: impl FnOnce(Feed) -> F) -> Result<u64, Error>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut subscriptions = self.0.subscriptions.lock();
        if subscriptions.len() >= self.0.limit {
            let error = Error::new(-32005, "too many subscriptions on this connection");
            return Err(error.with_data(json!({ "limit": self.0.limit })));
        }
        let number = (0..).find(|number| !subscriptions.contains_key(number)).unwrap_or_default();
        let feed = feed(Feed { number, queue: self.0.queue.clone(), lagging: self.0.lagging.clone() });
        subscriptions.insert(number, State::Waiting(Box::pin(feed)));
        Ok(number)
    }

    /// Ends a subscription; false when there is none of that number.
    #[must_use]
    pub fn unsubscribe(&self, number: u64) -> bool {
        match self.0.subscriptions.lock().remove(&number) {
            Some(State::Running(feed)) => {
                feed.abort();
                true
            }
            Some(State::Waiting(_)) => true,
            None => false,
        }
    }

    /// How many subscriptions there are.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.0.subscriptions.lock().len()
    }

    /// Starts what waits; called after each answer.
    pub(super) fn start(&self, feeds: &mut JoinSet<()>) {
        for state in self.0.subscriptions.lock().values_mut() {
            if let State::Waiting(feed) = state {
                let feed = std::mem::replace(feed, Box::pin(std::future::ready(())));
                *state = State::Running(feeds.spawn(feed));
            }
        }
    }

    /// Ends when a notification found the queue full.
    pub(super) async fn lagging(&self) {
        self.0.lagging.cancelled().await;
    }
}

impl Feed {
    /// Number of the subscription.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Queues a notification. False when the client is gone or does not keep up: then the connection is closed with
    /// code 1013 and the feed should end.
    #[must_use]
    pub fn send(&self, notification: &Value) -> bool {
        if self.lagging.is_cancelled() {
            return false;
        }
        match self.queue.try_send(notification.to_string()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.lagging.cancel();
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}
