//! Iterators that invocations have returned, kept until they are read, ended or forgotten. What they will give is read
//! when the invocation ends, so a session holds values and no state of the chain. Mirrors `Session.cs`.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;
use serde_json::Value;
use shared_vendor::clock::Time;

/// Sessions that are kept; the oldest goes first.
const MAX_SESSIONS: usize = 200;

/// Items of one iterator that are kept.
pub const MAX_KEPT: usize = 10_000;

#[derive(Debug)]
struct Session {
    used: Time,
    /// What is left of each iterator, the next item last.
    iterators: BTreeMap<String, Vec<Value>>,
}

/// The sessions of a node.
#[derive(Debug)]
pub struct Sessions {
    life: Duration,
    open: Mutex<BTreeMap<String, Session>>,
    /// Makes ids that nobody can guess.
    seed: [u8; 32],
    drawn: Mutex<u64>,
}

/// Why an iterator cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionError {
    /// No such session.
    Session,
    /// No such iterator in it.
    Iterator,
}

impl Sessions {
    /// No sessions yet; unused ones live for `life`. The seed must be random.
    #[must_use]
    pub fn new(life: Duration, seed: [u8; 32]) -> Self {
        Self { life, open: Mutex::default(), seed, drawn: Mutex::default() }
    }

    /// A new id, in the form of a UUID of random bytes.
    #[must_use]
    pub fn id(&self) -> String {
        let mut drawn = self.drawn.lock();
        *drawn = drawn.wrapping_add(1);
        let hash = neo_crypto::hash::sha256(&[&self.seed[..], &drawn.to_le_bytes()].concat());
        let hex = shared_vendor::hex::encode(hash);
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
    }

    /// Keeps the iterators of an invocation; returns the id of the session.
    pub fn open(&self, now: Time, iterators: BTreeMap<String, Vec<Value>>) -> String {
        let id = self.id();
        let mut open = self.open.lock();
        open.retain(|_, session| now.since(session.used) < self.life);
        if open.len() >= MAX_SESSIONS
            && let Some(oldest) =
                open.iter().min_by_key(|(_, session)| session.used).map(|(id, _)| id.clone())
        {
            open.remove(&oldest);
        }
        let iterators = iterators.into_iter().map(|(id, mut items)| {
            items.reverse();
            (id, items)
        });
        open.insert(id.clone(), Session { used: now, iterators: iterators.collect() });
        id
    }

    /// The next items of an iterator.
    ///
    /// # Errors
    /// There is no such session or iterator.
    pub fn traverse(
        &self,
        now: Time,
        session: &str,
        iterator: &str,
        count: usize,
    ) -> Result<Vec<Value>, SessionError> {
        let mut open = self.open.lock();
        open.retain(|_, session| now.since(session.used) < self.life);
        let session = open.get_mut(session).ok_or(SessionError::Session)?;
        session.used = now;
        let items = session.iterators.get_mut(iterator).ok_or(SessionError::Iterator)?;
        let rest = items.len().saturating_sub(count);
        Ok(items.split_off(rest).into_iter().rev().collect())
    }

    /// Ends a session; false when there is none.
    #[must_use]
    pub fn end(&self, session: &str) -> bool {
        self.open.lock().remove(session).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_order_until_the_session_is_old_or_ended() {
        let sessions = Sessions::new(Duration::from_secs(60), [7; 32]);
        let items = || BTreeMap::from([("i".to_owned(), (1..=5).map(Value::from).collect())]);
        let (now, id) = (Time::ZERO, sessions.open(Time::ZERO, items()));
        assert_eq!(sessions.traverse(now, &id, "i", 2), Ok(vec![1.into(), 2.into()]));
        assert_eq!(sessions.traverse(now, &id, "i", 9), Ok(vec![3.into(), 4.into(), 5.into()]));
        assert_eq!(sessions.traverse(now, &id, "i", 9), Ok(vec![]));
        assert_eq!(sessions.traverse(now, &id, "j", 9), Err(SessionError::Iterator));
        assert!(sessions.end(&id) && !sessions.end(&id));
        let id = sessions.open(now, items());
        let later = now.after(Duration::from_secs(61));
        assert_eq!(sessions.traverse(later, &id, "i", 1), Err(SessionError::Session));
        let open: Vec<_> = (0..300).map(|second| sessions.open(Time::from_millis(second), items())).collect();
        assert_eq!(
            sessions.traverse(now, &open[0], "i", 1),
            Err(SessionError::Session),
            "the oldest gave way"
        );
        assert_eq!(open[299].len(), 36);
    }
}
