//! Transactions that wait travel from mempool to mempool: each is pushed once and now and then again, and what was missed is
//! pulled. A state machine: the mempool, the clock and the sending are elsewhere. Mirrors `network/p2p/gossip`.

use std::{collections::VecDeque, time::Duration};

use avalanche_ids::Id;
use avalanche_proto::sdk::{PullGossipRequest, PullGossipResponse, PushGossip};
use avalanche_utils::bloom::{self, Filter, Size};
use prost::Message;
use shared_vendor::clock::Wall;

use crate::chain::{AppError, AppMessage};

/// Number of the handler of transactions, which comes before every message.
const HANDLER: u8 = 0;
/// Bytes of transactions in a message.
const TARGET_LEN: usize = 20 * 1024;
const PUSH_EVERY: Duration = Duration::from_millis(500);
const PULL_EVERY: Duration = Duration::from_millis(1500);
const REGOSSIP_EVERY: Duration = Duration::from_secs(30);
const PUSH_VALIDATORS: usize = 100;
const REGOSSIP_VALIDATORS: usize = 10;
const FALSE_POSITIVES: f64 = 0.01;
const MAX_FALSE_POSITIVES: f64 = 0.05;
/// Longest salt of a filter, in bytes.
const MAX_SALT_LEN: usize = 32;

/// What is pushed when.
#[derive(Debug, Default)]
pub struct TxGossip {
    fresh: VecDeque<Id>,
    pushed: VecDeque<(Id, Wall)>,
    next_push: Wall,
    next_pull: Wall,
    requests: u32,
}

impl TxGossip {
    /// A transaction has come into the mempool.
    pub fn add(&mut self, id: Id) {
        self.fresh.push_back(id);
    }

    /// The messages that are due. `find` is the encoding of a transaction while it waits, `waiting` are all that wait.
    pub fn due(
        &mut self,
        now: Wall,
        find: impl Fn(&Id) -> Option<Vec<u8>>,
        waiting: impl Iterator<Item = Id>,
    ) -> Vec<AppMessage> {
        let mut messages = Vec::new();
        if now >= self.next_push {
            self.next_push = after(now, PUSH_EVERY);
            messages.extend(self.push(now, &find));
        }
        if now >= self.next_pull {
            self.next_pull = after(now, PULL_EVERY);
            messages.push(self.pull(now, waiting));
        }
        messages
    }

    fn push(&mut self, now: Wall, find: &impl Fn(&Id) -> Option<Vec<u8>>) -> Vec<AppMessage> {
        let mut messages = Vec::new();
        let (mut gossip, mut len, mut ids) = (Vec::new(), 0_usize, Vec::new());
        while len < TARGET_LEN
            && let Some(id) = self.fresh.pop_front()
        {
            let Some(bytes) = find(&id) else { continue };
            len = len.saturating_add(bytes.len());
            gossip.push(bytes);
            ids.push(id);
        }
        messages.extend(push_message(gossip, PUSH_VALIDATORS));
        let mut gossip = Vec::new();
        while len < TARGET_LEN
            && let Some((id, at)) = self.pushed.front().copied()
            && now >= after(at, REGOSSIP_EVERY)
        {
            self.pushed.pop_front();
            let Some(bytes) = find(&id) else { continue };
            len = len.saturating_add(bytes.len());
            gossip.push(bytes);
            ids.push(id);
        }
        messages.extend(push_message(gossip, REGOSSIP_VALIDATORS));
        self.pushed.extend(ids.into_iter().map(|id| (id, now)));
        messages
    }

    fn pull(&mut self, now: Wall, waiting: impl Iterator<Item = Id>) -> AppMessage {
        let request = self.requests;
        self.requests = self.requests.wrapping_add(1);
        let mut random =
            Id::hash_of(&[now.as_millis().to_be_bytes(), u64::from(request).to_be_bytes()].concat());
        let salt = random;
        let waiting: Vec<_> = waiting.collect();
        let size = Size::optimal(waiting.len(), FALSE_POSITIVES, MAX_FALSE_POSITIVES);
        let seeds = std::iter::repeat_with(|| {
            random = Id::hash_of(random.as_bytes());
            bloom::hash(random.as_bytes(), &[])
        });
        let filter = Filter::new(seeds.take(size.hashes).collect(), size.entries).map(|mut filter| {
            for id in waiting {
                filter.add(bloom::hash(id.as_bytes(), salt.as_bytes()));
            }
            filter.to_bytes()
        });
        let message =
            PullGossipRequest { salt: salt.as_bytes().to_vec(), filter: filter.unwrap_or_default() };
        AppMessage::Request { to: None, request, bytes: with_handler(&message) }
    }
}

/// The transactions of a push; None for something else.
#[must_use]
pub fn parse_push(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let [HANDLER, rest @ ..] = bytes else { return None };
    PushGossip::decode(rest).ok().map(|push| push.gossip)
}

/// The transactions of an answer to a pull.
#[must_use]
pub fn parse_answer(bytes: &[u8]) -> Vec<Vec<u8>> {
    PullGossipResponse::decode(bytes).map_or_else(|_| Vec::new(), |answer| answer.gossip)
}

/// The answer to a pull, from all transactions that wait.
///
/// # Errors
/// It is for another handler or malformed.
pub fn answer_pull<'a>(
    bytes: &[u8],
    waiting: impl Iterator<Item = (Id, &'a [u8])>,
) -> Result<Vec<u8>, AppError> {
    let error = |code, message: &str| AppError { code, message: message.to_owned() };
    let [HANDLER, rest @ ..] = bytes else { return Err(error(-2, "unregistered handler")) };
    let malformed = || error(-1, "unexpected error");
    let request = PullGossipRequest::decode(rest).map_err(|_| malformed())?;
    if request.salt.len() > MAX_SALT_LEN {
        return Err(malformed());
    }
    let filter = Filter::parse(&request.filter).map_err(|_| malformed())?;
    let (mut gossip, mut len) = (Vec::new(), 0_usize);
    for (id, bytes) in waiting {
        if len >= TARGET_LEN {
            break;
        }
        if !filter.contains(bloom::hash(id.as_bytes(), &request.salt)) {
            len = len.saturating_add(bytes.len());
            gossip.push(bytes.to_vec());
        }
    }
    Ok(PullGossipResponse { gossip }.encode_to_vec())
}

fn push_message(gossip: Vec<Vec<u8>>, validators: usize) -> Option<AppMessage> {
    if gossip.is_empty() {
        return None;
    }
    let bytes = with_handler(&PushGossip { gossip });
    Some(AppMessage::Gossip { validators, non_validators: 0, peers: 0, bytes })
}

fn with_handler(message: &impl Message) -> Vec<u8> {
    let mut bytes = vec![HANDLER];
    bytes.extend(message.encode_to_vec());
    bytes
}

fn after(at: Wall, delay: Duration) -> Wall {
    let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
    Wall::from_nanos(at.as_nanos().saturating_add(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tx(byte: u8) -> (Id, Vec<u8>) {
        let bytes = vec![byte; 100];
        (Id::hash_of(&bytes), bytes)
    }

    #[test]
    fn a_transaction_is_pushed_once_and_again_after_half_a_minute_while_it_waits() {
        let mut gossip = TxGossip::default();
        let (id, bytes) = tx(1);
        gossip.add(id);
        let mut due = |seconds, waits: bool| -> Vec<usize> {
            let find = |_: &Id| waits.then(|| bytes.clone());
            let messages = gossip.due(Wall::from_secs(seconds), find, std::iter::empty());
            let pushed = messages.into_iter().filter_map(|message| match message {
                AppMessage::Gossip { validators, bytes: sent, .. } => {
                    assert_eq!(parse_push(&sent), Some(vec![bytes.clone()]));
                    Some(validators)
                }
                AppMessage::Request { .. } => None,
            });
            pushed.collect()
        };
        assert_eq!(due(100, true), [PUSH_VALIDATORS]);
        assert_eq!(due(110, true), [0; 0]);
        assert_eq!(due(131, true), [REGOSSIP_VALIDATORS]);
        assert_eq!(due(162, false), [0; 0]);
    }

    #[test]
    fn a_pull_is_answered_with_what_the_filter_lacks() {
        let (known, missed) = (tx(1), tx(2));
        let mut gossip = TxGossip::default();
        let messages = gossip.due(Wall::from_secs(1), |_| None, [known.0].into_iter());
        let [AppMessage::Request { bytes, .. }] = messages.as_slice() else { panic!("no request") };
        let waiting = [&known, &missed].map(|(id, bytes)| (*id, bytes.as_slice()));
        let answer = answer_pull(bytes, waiting.into_iter()).unwrap();
        assert_eq!(parse_answer(&answer), [missed.1]);
        assert_eq!(answer_pull(&[7], std::iter::empty()).unwrap_err().code, -2);
        assert_eq!(answer_pull(&[0, 0xff], std::iter::empty()).unwrap_err().code, -1);
        assert_eq!(answer_pull(&[0], std::iter::empty()).unwrap_err().code, -1);
    }
}
