//! What is asked of peers: how much at once, how fast, and what becomes of the answers.

use std::{collections::BTreeSet, mem, time::Duration};

use shared_vendor::clock::Time;

use super::{Core, Effect, item};
use crate::{
    network::{
        limit::CONCURRENT,
        request::{Answer, Protocol, Request},
        score::Fault,
    },
    storage::Database,
    sync::range::{self, Peer},
    types::primitives::{List, Root, Slot},
};

/// Requests that are not answered by then have failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests that a peer's quota does not allow yet are tried again after this long.
const HOLD: Duration = Duration::from_millis(100);
/// A node that goes on so much later than it wanted was held up.
const OWN_DELAY: Duration = Duration::from_millis(500);
/// Requests under way to one peer.
const MAX_ASKED: usize = 64;

/// What a request was for.
#[derive(Debug, Clone)]
pub(super) enum Purpose {
    Status,
    Lookup(Root),
    Batch(Slot),
    Bodies(Root),
}

/// A request to a peer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) peer: Peer,
    protocol: Protocol,
    pub(super) purpose: Purpose,
    stage: Stage,
}

/// How far a request is.
#[derive(Debug)]
pub(super) enum Stage {
    /// It waits until fewer of its protocol are under way to the peer.
    Queued(Request),
    /// It is under way and has failed by then.
    Sent(Time),
}

impl Asked {
    /// When it has failed; never while it is queued.
    pub(super) const fn until(&self) -> Option<Time> {
        match self.stage {
            Stage::Sent(until) => Some(until),
            Stage::Queued(_) => None,
        }
    }
}

impl<D: Database> Core<D> {
    /// While this node itself did nothing, answers may have come that it has not looked at yet: nobody is late for that.
    pub(super) fn wait_longer(&mut self, behind: Duration) {
        if behind < OWN_DELAY {
            return;
        }
        for asked in self.asks.values_mut() {
            if let Stage::Sent(until) = &mut asked.stage {
                *until = until.after(behind);
            }
        }
    }

    pub(super) fn ask_status(&mut self, now: Time, peer: Peer, out: &mut Vec<Effect>) {
        let status = Request::Status(Box::new(self.status()));
        self.ask(now, peer, Purpose::Status, status, out);
    }

    pub(super) fn ask(
        &mut self,
        now: Time,
        peer: Peer,
        purpose: Purpose,
        request: Request,
        out: &mut Vec<Effect>,
    ) {
        let ask = self.next_ask;
        self.next_ask = self.next_ask.wrapping_add(1);
        let protocol = request.protocol();
        self.asks.insert(ask, Asked { peer, protocol, purpose, stage: Stage::Queued(request) });
        let asked = self.asks.values().filter(|asked| asked.peer == peer).count();
        if asked > MAX_ASKED {
            self.on_answer(now, ask, None, out);
        } else {
            self.send_queued(now, peer, protocol, out);
        }
    }

    /// Sends the next requests of a protocol to a peer, as many as may be under way.
    fn send_queued(&mut self, now: Time, peer: Peer, protocol: Protocol, out: &mut Vec<Effect>) {
        let of_protocol = |asked: &Asked| asked.peer == peer && asked.protocol == protocol;
        let is_sent = |asked: &&Asked| of_protocol(asked) && matches!(asked.stage, Stage::Sent(_));
        let under_way = self.asks.values().filter(is_sent).count();
        let queued = self
            .asks
            .iter_mut()
            .filter(|(_, asked)| of_protocol(asked) && matches!(asked.stage, Stage::Queued(_)))
            .take(CONCURRENT.saturating_sub(under_way));
        for (ask, asked) in queued {
            if let Stage::Queued(request) = mem::replace(&mut asked.stage, Stage::Sent(now.after(PATIENCE))) {
                out.push(Effect::Ask { peer, ask: *ask, request });
            }
        }
    }

    pub(super) fn on_answer(&mut self, now: Time, ask: u64, answer: Option<Answer>, out: &mut Vec<Effect>) {
        let Some(Asked { peer, protocol, purpose, .. }) = self.asks.remove(&ask) else { return };
        if self.peers.contains_key(&peer) {
            if answer.is_none() {
                out.push(Effect::Fault(peer, Fault::Timeout));
            }
            self.send_queued(now, peer, protocol, out);
        }
        match (purpose, answer) {
            (Purpose::Status, Some(Answer::Status(status))) => self.on_status(now, peer, &status, out),
            (Purpose::Status, _) => {}
            (Purpose::Lookup(root), answer) => self.on_found(now, peer, root, answer, out),
            (Purpose::Bodies(root), answer) => self.on_bodies(now, peer, root, answer, out),
            (Purpose::Batch(batch), answer) => {
                let blocks = match answer {
                    Some(Answer::Blocks(blocks)) => Some(blocks),
                    _ => None,
                };
                let cut = blocks.as_ref().is_some_and(|blocks| self.may_be_cut(blocks));
                let blocks = blocks.map(|blocks| blocks.into_iter().map(item).collect());
                self.range_step(now, range::Input::Blocks { batch, peer, blocks, cut }, out);
            }
        }
    }

    /// Asks for batches as fast as the quotas of peers allow.
    pub(super) fn ask_held(&mut self, now: Time, out: &mut Vec<Effect>) {
        for (peer, batch, request) in mem::take(&mut self.held) {
            // asked and sent again in the same moment: a little less than the quota is safe
            let paced = Time::from_nanos(now.as_nanos() / 4 * 3);
            if self.asking.take(paced, peer, &request) {
                self.ask(now, peer, Purpose::Batch(batch), request, out);
            } else {
                self.held.push_back((peer, batch, request));
            }
        }
        self.held_until = (!self.held.is_empty()).then(|| now.after(HOLD));
    }

    /// Asks for blocks that are looked for.
    pub(super) fn look(&mut self, now: Time, out: &mut Vec<Effect>) {
        let peers: BTreeSet<Peer> = self.peers.keys().copied().collect();
        for (peer, root) in self.lookups.due(now, &peers) {
            if let Some(roots) = List::new(vec![root]) {
                self.ask(now, peer, Purpose::Lookup(root), Request::BlocksByRoot(roots), out);
            }
        }
    }
}
