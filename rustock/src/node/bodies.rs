//! Bodies for clients: looks in what was fetched lately, else has them fetched, checks them and answers whoever waits.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use shared_vendor::{clock::Time, machine::Machine};
use tokio::sync::oneshot;

use crate::{
    params::Params,
    rpc::BodyRequest,
    sync::{
        PeerKey,
        bodies::{Bodies, Effect},
    },
    types::{BlockHash, Header},
    verify::{Body, verify_body},
    wire::rsk::{BlockId, Message},
};

pub(super) use crate::sync::bodies::Input;

/// Bodies that are kept.
const KEPT: usize = 128;

/// What the node is to do.
pub(super) enum Out {
    Send(PeerKey, Message),
    /// The peer sent a body that is not the block's.
    Fault(PeerKey),
}

type Waiting = (Header, Vec<oneshot::Sender<Option<Arc<Body>>>>);

/// The machine with its clients and its cache.
pub(super) struct BodyDesk {
    params: Params,
    machine: Bodies,
    waiting: BTreeMap<BlockHash, Waiting>,
    kept: VecDeque<(BlockHash, Arc<Body>)>,
}

impl BodyDesk {
    pub(super) fn new(params: Params) -> Self {
        Self { params, machine: Bodies::default(), waiting: BTreeMap::new(), kept: VecDeque::new() }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.machine.deadline()
    }

    pub(super) fn want(&mut self, now: Time, request: BodyRequest) -> Vec<Out> {
        let BodyRequest { header, reply } = request;
        let hash = header.hash();
        if let Some((_, body)) = self.kept.iter().find(|(kept, _)| *kept == hash) {
            let _ = reply.send(Some(Arc::clone(body)));
            return Vec::new();
        }
        let block = BlockId { hash, number: header.number() };
        self.waiting.entry(hash).or_insert_with(|| (header, Vec::new())).1.push(reply);
        self.step(now, Input::Want(block))
    }

    /// Feeds the machine. Checking hashes a few hundred transactions at most, so it is done here.
    pub(super) fn step(&mut self, now: Time, input: Input) -> Vec<Out> {
        let mut outs = Vec::new();
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut effects = Vec::new();
            self.machine.step(now, input, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Send(peer, message) => outs.push(Out::Send(peer, message)),
                    Effect::Fault(peer) => outs.push(Out::Fault(peer)),
                    Effect::GiveUp(hash) => self.answer(&hash, None),
                    Effect::Check { hash, peer, transactions, uncles, extension } => {
                        let Some((header, _)) = self.waiting.get(&hash) else { continue };
                        let body =
                            verify_body(&self.params, header, transactions, uncles, extension.as_deref());
                        if let Err(error) = &body {
                            tracing::warn!(target: "sync", peer, %hash, %error, "body refused");
                        }
                        inputs.push(Input::Checked(hash, peer, body.is_ok()));
                        if let Ok(body) = body {
                            self.answer(&hash, Some(&Arc::new(body)));
                        }
                    }
                }
            }
        }
        outs
    }

    fn answer(&mut self, hash: &BlockHash, body: Option<&Arc<Body>>) {
        if let Some(body) = body {
            self.kept.push_back((*hash, Arc::clone(body)));
            if self.kept.len() > KEPT {
                self.kept.pop_front();
            }
        }
        for reply in self.waiting.remove(hash).map(|(_, replies)| replies).unwrap_or_default() {
            let _ = reply.send(body.cloned());
        }
    }
}
