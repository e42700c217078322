//! Everything an engine sends goes through here: requests are entered into the timeouts, requests to ourselves come back
//! as messages, and requests to nodes that are benched or gone fail at once. Mirrors `snow/networking/sender/sender.go`.

use std::collections::{BTreeSet, VecDeque};

use avalanche_ids::NodeId;
use rand::{RngExt, rngs::StdRng};
use shared_vendor::clock::Time;

use super::{
    bench::Bench,
    timeouts::{Key, Timeouts},
    validators::Validators,
};
use crate::message::{Answer, Content, Message};

/// What happens without the network.
#[derive(Debug)]
pub enum Local {
    /// A message of ours to ourselves.
    Message(Message),
    /// An answer will not come.
    Failed(Key),
}

/// The way out, and what is known of those outside.
#[derive(Debug)]
pub struct Outbox {
    /// This node.
    pub me: NodeId,
    /// Those who decide.
    pub validators: Validators,
    /// Who can be reached, this node included.
    pub connected: BTreeSet<NodeId>,
    /// Answers that are waited for.
    pub timeouts: Timeouts,
    /// Who is not asked.
    pub bench: Bench,
    /// Randomness of samples.
    pub random: StdRng,
    /// Time of this step.
    pub now: Time,
    /// Messages to be sent.
    pub sent: Vec<(NodeId, Message)>,
    /// What is to be handled before the step ends.
    pub local: VecDeque<Local>,
    request: u32,
}

impl Outbox {
    /// A way out for `me`, connected to nobody but itself.
    #[must_use]
    pub fn new(me: NodeId, timeouts: Timeouts, bench: Bench, random: StdRng) -> Self {
        Self {
            me,
            validators: Validators::default(),
            connected: BTreeSet::from([me]),
            timeouts,
            bench,
            random,
            now: Time::ZERO,
            sent: Vec::new(),
            local: VecDeque::new(),
            request: 0,
        }
    }

    /// A number that no request had before.
    pub const fn next_request(&mut self) -> u32 {
        self.request = self.request.wrapping_add(1);
        self.request
    }

    /// Asks nodes.
    pub fn ask(&mut self, nodes: impl IntoIterator<Item = NodeId>, request: u32, content: &Content) {
        let Some(answer) = content.awaits() else { return };
        for node in nodes {
            let key = Key { node, request, answer };
            let message = Message { request, content: content.clone() };
            if node == self.me {
                self.timeouts.expect(key, self.now);
                self.local.push_back(Local::Message(message));
            } else if self.bench.is_benched(node) || !self.connected.contains(&node) {
                self.local.push_back(Local::Failed(key));
            } else {
                self.timeouts.expect(key, self.now);
                self.sent.push((node, message));
            }
        }
    }

    /// Waits for an answer that certainly does not come: a way to try again later.
    pub fn wait_in_vain(&mut self, request: u32, answer: Answer) {
        self.timeouts.expect(Key { node: self.me, request, answer }, self.now);
    }

    /// Answers a node.
    pub fn answer(&mut self, node: NodeId, request: u32, content: Content) {
        let message = Message { request, content };
        if node == self.me {
            self.local.push_back(Local::Message(message));
        } else {
            self.sent.push((node, message));
        }
    }

    /// The part of the stake that is connected, 0.0 to 1.0; nothing of nothing is 1.0.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // compared with a ratio of small numbers
    pub fn connected_part(&self) -> f64 {
        match self.validators.total() {
            0 => 1.0,
            total => self.validators.weight_of(&self.connected) as f64 / total as f64,
        }
    }

    /// One of the connected validators but ourselves, each equally likely.
    pub fn any_validator(&mut self) -> Option<NodeId> {
        let candidates: Vec<_> = self
            .connected
            .iter()
            .filter(|node| **node != self.me && self.validators.weight(**node) > 0)
            .copied()
            .collect();
        self.pick(&candidates)
    }

    /// One of these, each equally likely.
    pub fn pick(&mut self, nodes: &[NodeId]) -> Option<NodeId> {
        if nodes.is_empty() {
            return None;
        }
        nodes.get(self.random.random_range(0..nodes.len())).copied()
    }
}
