//! State sync before there is a chain: carries the machine's questions to the transport until everything is here.

use std::{collections::BTreeMap, time::Duration};

use shared_vendor::{
    app::{Context, Daemon},
    exit::{self, Report},
    machine::Machine as _,
};
use tokio::sync::mpsc;

use crate::{
    config::Config,
    consensus::chain::checkpoint::Anchor,
    network::{
        gossip::{Reason, Verdict},
        request::{Answer, Code, Request},
        transport::{Command, Event, Info},
    },
    sync::state::{Effect, Got, Input, Manifest, StateSync, Want},
    types::{operation::Checkpoint, params::Config as ChainConfig},
};

const TICK: Duration = Duration::from_secs(1);
/// A line for the operator this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Fetches the state of a checkpoint. Peers that connect meanwhile are left in `peers`.
///
/// # Errors
/// The process is stopping.
pub(super) async fn fetch<D: Daemon<Config = Config>>(
    ctx: &Context<D>,
    config: &ChainConfig,
    checkpoint: Checkpoint,
    commands: &mpsc::Sender<Command>,
    events: &mut mpsc::Receiver<Event>,
    peers: &mut BTreeMap<u64, Info>,
) -> Result<Anchor, Report> {
    tracing::info!(target: "sync", epoch = checkpoint.epoch, root = %checkpoint.root, "fetching the state of a checkpoint");
    let stop = ctx.tasks.stop();
    let mut machine = StateSync::new(config.params.clone(), checkpoint);
    let mut asked: BTreeMap<u64, u64> = BTreeMap::new();
    let mut next_ask = 1 << 62; // apart from the numbers of the node that follows
    let mut last_line = ctx.clock.now();
    loop {
        let input = tokio::select! {
            () = stop.wait() => {
                return Err(Report::new(exit::UNEXPECTED, "stopped before the checkpoint's state was here"));
            }
            () = tokio::time::sleep(TICK) => Some(Input::Tick),
            event = events.recv() => match event {
                Some(event) => on_event(event, commands, peers, &mut asked),
                None => return Err(Report::new(exit::UNEXPECTED, "the network has ended")),
            },
        };
        let Some(input) = input else { continue };
        let now = ctx.clock.now();
        let mut effects = Vec::new();
        tokio::task::block_in_place(|| machine.step(now, input, &mut effects));
        for effect in effects {
            match effect {
                Effect::Ask(peer, want) => {
                    next_ask += 1;
                    asked.insert(next_ask, peer);
                    let _ = commands.try_send(Command::Ask { peer, ask: next_ask, request: request(want) });
                }
                Effect::Blame(peer) => {
                    tracing::warn!(target: "sync", peer, "a peer sent a state that is not the checkpoint's");
                    let _ = commands.try_send(Command::Part(peer, true));
                }
                Effect::Done(anchor) => {
                    tracing::info!(target: "sync", entries = anchor.entries.len(), "the state of the checkpoint is here");
                    return Ok(*anchor);
                }
            }
        }
        if now.since(last_line) >= LINE_EVERY {
            last_line = now;
            tracing::info!(target: "sync", entries = machine.entries(), peers = peers.len(), "fetching state");
        }
    }
}

/// What the machine is told of an event. Everything else waits for the node: gossip is ignored, requests are refused.
fn on_event(
    event: Event,
    commands: &mpsc::Sender<Command>,
    peers: &mut BTreeMap<u64, Info>,
    asked: &mut BTreeMap<u64, u64>,
) -> Option<Input> {
    match event {
        Event::Connected(info) => {
            let number = info.number;
            peers.insert(number, info);
            Some(Input::Connected(number))
        }
        Event::Gone(peer) => {
            peers.remove(&peer);
            Some(Input::Gone(peer))
        }
        Event::Agent(peer, agent) => {
            if let Some(info) = peers.get_mut(&peer) {
                info.agent = agent;
            }
            None
        }
        Event::Gossip { handle, .. } => {
            let _ = commands.try_send(Command::Verdict(handle, Verdict::Ignore(Reason::BlockParentUnknown)));
            None
        }
        Event::Asked { handle, .. } => {
            let _ = commands.try_send(Command::Answer(handle, Answer::Failed(Code::Unavailable)));
            None
        }
        Event::Answered { ask, answer } => {
            let peer = asked.remove(&ask)?;
            let got = match answer {
                Some(Answer::Manifest(manifest)) => Some(Got::Manifest(Box::new(Manifest {
                    checkpoint: manifest.checkpoint,
                    block: manifest.block,
                    app_root: manifest.app_root,
                }))),
                Some(Answer::ConsensusState(bytes)) => Some(Got::Consensus(bytes)),
                Some(Answer::StateChunk(piece)) => Some(Got::Piece(piece)),
                _ => None,
            };
            Some(Input::Answered(peer, got))
        }
        Event::Listening(_) | Event::Malformed(_) => None,
    }
}

const fn request(want: Want) -> Request {
    match want {
        Want::Manifest(epoch) => Request::StateManifest(epoch),
        Want::Consensus(root) => Request::ConsensusState(root),
        Want::Piece { app_root, start, max_bytes } => Request::StateChunk { app_root, start, max_bytes },
    }
}
