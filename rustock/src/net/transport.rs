//! The only file with TCP sockets: accepts and dials, runs the handshake, feeds one [`Peer`] per connection and carries
//! out its effects. Decides nothing about the protocol; it enforces how many connections there are.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use rand::{SeedableRng, rngs::StdRng};
use shared_vendor::{
    clock::{Clock, Time},
    machine::Machine,
    tasks::{Stage, Stop, Tasks},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    peer::{Effect, End, Input, Local, Peer},
    score::{Block, Event as ScoreEvent},
};
use crate::{
    rlpx::{Entropy, FrameCodec, Initiator, NodeId, NodeKey, Opener, Outcome, Reassembly, Responder, Sealer},
    wire::{
        p2p::{self, Reason},
        rsk::{ChainStatus, Message, Status},
    },
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause after a failed accept (out of file descriptors, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
const COMMAND_QUEUE: usize = 256;
/// Bytes asked of the socket at once.
const READ_BYTES: usize = 64 * 1024;
/// A frame before both handshakes are done is never longer.
const MAX_EARLY_FRAME: usize = 64 * 1024;
/// Connections from one address, loopback exempt.
const MAX_PER_ADDRESS: usize = 8;
/// Part of the places for those who dial us that one neighbourhood gets, loopback exempt.
const NEIGHBOURHOOD_SHARE: usize = 4;

/// What a connection tells the node.
#[derive(Debug)]
pub enum Event {
    /// Both handshakes are done.
    Ready(Connection),
    /// A message of the protocol.
    Message(u64, Message),
    /// Something to remember about a peer.
    Score(NodeId, IpAddr, ScoreEvent),
    /// So long took a peer to answer a ping.
    Latency(u64, Duration),
    /// A connection is gone, ready or not.
    Closed {
        /// Its number.
        key: u64,
        /// Who was at the other end, if it came so far.
        remote: Option<NodeId>,
        /// Where.
        address: SocketAddr,
        /// It had been ready.
        was_ready: bool,
        /// Why.
        reason: Reason,
    },
}

/// A ready connection.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Its number, for as long as the process lives.
    pub key: u64,
    /// Who is at the other end.
    pub remote: NodeId,
    /// Where.
    pub address: SocketAddr,
    /// The peer dialled us.
    pub inbound: bool,
    /// Name of its program; untrusted text.
    pub client: String,
    /// Its chain at the start.
    pub status: ChainStatus,
    /// Orders to the connection.
    pub commands: mpsc::Sender<Command>,
}

/// An order to a connection.
#[derive(Debug, Clone)]
pub enum Command {
    /// Send a message; dropped when the peer takes too little.
    Send(Message),
    /// Tell the peer why, and close.
    Close(Reason),
}

/// Bytes and messages exchanged with all peers.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Bytes read from sockets.
    pub bytes_in: AtomicU64,
    /// Bytes written to sockets.
    pub bytes_out: AtomicU64,
    /// Frames decrypted.
    pub frames_in: AtomicU64,
    /// Frames encrypted.
    pub frames_out: AtomicU64,
}

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// In both directions together.
    pub total: usize,
    /// That peers opened.
    pub inbound: usize,
}

/// What all connections share.
pub struct Hub {
    key: NodeKey,
    local: Local,
    best: watch::Receiver<Status>,
    events: mpsc::Sender<Event>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    random: Mutex<StdRng>,
    open: Mutex<Open>,
    /// Counters for metrics.
    pub traffic: Traffic,
}

#[derive(Debug, Default)]
struct Open {
    last_key: u64,
    /// Direction and address of every connection, handshake included.
    all: BTreeMap<u64, (bool, IpAddr)>,
    /// Connections whose other end is known: number, whether it is the one to keep, and how to end it.
    by_id: BTreeMap<NodeId, (u64, bool, CancellationToken)>,
}

/// What a hub is made of.
pub struct Parts {
    /// Our key.
    pub key: NodeKey,
    /// What we say of ourselves.
    pub local: Local,
    /// Our best block, for Hello's status.
    pub best: watch::Receiver<Status>,
    /// Where events go.
    pub events: mpsc::Sender<Event>,
    /// How many connections there may be.
    pub limits: Limits,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where connections run.
    pub tasks: Tasks,
    /// Randomness of handshakes.
    pub random: StdRng,
}

impl Hub {
    /// A hub without connections.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { key, local, best, events, limits, clock, tasks, random } = parts;
        let (random, open) = (Mutex::new(random), Mutex::default());
        Arc::new(Self {
            key,
            local,
            best,
            events,
            limits,
            clock,
            tasks,
            random,
            open,
            traffic: Traffic::default(),
        })
    }

    /// Takes connections until told to stop. Whoever comes above a limit is closed without a word.
    pub async fn listen(self: Arc<Self>, listener: TcpListener, stop: Stop) {
        loop {
            let accepted = tokio::select! {
                () = stop.wait() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    if let Some(place) = self.enter(true, address) {
                        let hub = Arc::clone(&self);
                        self.tasks.spawn_in(Stage::Serve, format!("peer-{}", place.key), |stop| async move {
                            hub.run(stream, address, None, place, stop).await;
                            Ok(())
                        });
                    }
                }
                Err(err) => {
                    tracing::warn!(error = %err, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Dials a node in a task of its own. Does nothing when it is connected already or the places are taken.
    pub fn dial(self: &Arc<Self>, remote: NodeId, address: SocketAddr) {
        if remote == self.local.id || self.is_connected(&remote) {
            return;
        }
        let Some(place) = self.enter(false, address) else { return };
        let hub = Arc::clone(self);
        self.tasks.spawn_in(Stage::Serve, format!("peer-{}", place.key), |stop| async move {
            match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => hub.run(stream, address, Some(remote), place, stop).await,
                _ => {
                    let (key, reason) = (place.key, Reason::TCP_ERROR);
                    let closed =
                        Event::Closed { key, remote: Some(remote), address, was_ready: false, reason };
                    let _ = hub.events.send(closed).await;
                }
            }
            Ok(())
        });
    }

    /// True when a connection to this node has passed the encrypted handshake.
    #[must_use]
    pub fn is_connected(&self, remote: &NodeId) -> bool {
        self.open.lock().by_id.contains_key(remote)
    }

    /// Connections of one direction, handshakes included.
    #[must_use]
    pub fn count(&self, inbound: bool) -> usize {
        self.open.lock().all.values().filter(|(direction, _)| *direction == inbound).count()
    }

    fn enter(self: &Arc<Self>, inbound: bool, address: SocketAddr) -> Option<Place> {
        let ip = address.ip().to_canonical();
        let mut open = self.open.lock();
        let of_direction = open.all.values().filter(|(direction, _)| *direction && inbound).count();
        let of_address = open.all.values().filter(|(_, other)| *other == ip).count();
        let near = Block::neighbourhood(ip);
        let of_neighbourhood = open
            .all
            .values()
            .filter(|(direction, other)| *direction && inbound && Block::neighbourhood(*other) == near);
        let share = (self.limits.inbound / NEIGHBOURHOOD_SHARE).max(1);
        let crowded =
            !ip.is_loopback() && (of_address >= MAX_PER_ADDRESS || of_neighbourhood.count() >= share);
        if open.all.len() >= self.limits.total || of_direction >= self.limits.inbound || crowded {
            return None;
        }
        open.last_key = open.last_key.wrapping_add(1);
        let key = open.last_key;
        open.all.insert(key, (inbound, ip));
        Some(Place { hub: Arc::clone(self), key })
    }

    /// Makes a connection the only one to `remote`. When both ends dial at once, both keep the connection that the
    /// smaller id has opened, so that not both are closed.
    fn claim(&self, key: u64, remote: NodeId, inbound: bool) -> Option<CancellationToken> {
        let kept = inbound == (remote < self.local.id);
        let token = CancellationToken::new();
        let mut open = self.open.lock();
        match open.by_id.get(&remote) {
            Some((_, other_is_kept, _)) if *other_is_kept || !kept => return None,
            Some((_, _, other)) => other.cancel(),
            None => {}
        }
        open.by_id.insert(remote, (key, kept, token.clone()));
        Some(token)
    }

    async fn run(
        self: &Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        expected: Option<NodeId>,
        place: Place,
        stop: Stop,
    ) {
        let key = place.key;
        let _ = stream.set_nodelay(true);
        let (mut reader, mut writer) = stream.into_split();
        let shaken = timeout(HANDSHAKE_TIMEOUT, self.shake_hands(&mut reader, &mut writer, expected)).await;
        let (remote, was_ready, reason) = match shaken {
            Ok(Ok(outcome)) => {
                let remote = outcome.remote;
                let link =
                    Link::new(Arc::clone(self), key, address, expected.is_none(), outcome, reader, writer);
                let (was_ready, reason) = link.converse(stop).await;
                (Some(remote), was_ready, reason)
            }
            Ok(Err(())) => (expected, false, Reason::BAD_PROTOCOL),
            Err(_) => (expected, false, Reason::TCP_ERROR),
        };
        drop(place);
        tracing::debug!(%address, %reason, was_ready, "connection closed");
        let _ = self.events.send(Event::Closed { key, remote, address, was_ready, reason }).await;
    }

    async fn shake_hands(
        &self,
        reader: &mut OwnedReadHalf,
        writer: &mut OwnedWriteHalf,
        expected: Option<NodeId>,
    ) -> Result<Outcome, ()> {
        let entropy = Entropy::draw(&mut *self.random.lock());
        let mut buffer = Vec::new();
        let mut read = async |needed: usize| {
            buffer.resize(needed, 0);
            reader.read_exact(&mut buffer).await.map_err(drop)?;
            Ok(std::mem::take(&mut buffer))
        };
        if let Some(remote) = expected {
            let (mut machine, auth) = Initiator::new(self.key.clone(), remote, entropy).map_err(drop)?;
            writer.write_all(&auth).await.map_err(drop)?;
            loop {
                let bytes = read(machine.needed()).await?;
                if let Some(outcome) = machine.advance(&bytes).map_err(drop)? {
                    return Ok(outcome);
                }
            }
        }
        let mut machine = Responder::new(self.key.clone(), entropy);
        loop {
            let bytes = read(machine.needed()).await?;
            if let Some(outcome) = machine.advance(&bytes).map_err(drop)? {
                writer.write_all(&outcome.reply).await.map_err(drop)?;
                return Ok(outcome);
            }
        }
    }
}

/// A place among the connections, given back however the connection ends.
struct Place {
    hub: Arc<Hub>,
    key: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.hub.open.lock();
        open.all.remove(&self.key);
        open.by_id.retain(|_, (key, _, _)| *key != self.key);
    }
}

/// One connection after the encrypted handshake.
struct Link {
    hub: Arc<Hub>,
    key: u64,
    address: SocketAddr,
    inbound: bool,
    remote: NodeId,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    sealer: Sealer,
    opener: Opener,
    chunks: Reassembly,
    buffer: BytesMut,
    ready: bool,
}

impl Link {
    fn new(
        hub: Arc<Hub>,
        key: u64,
        address: SocketAddr,
        inbound: bool,
        outcome: Outcome,
        reader: OwnedReadHalf,
        writer: OwnedWriteHalf,
    ) -> Self {
        let (sealer, opener) = FrameCodec::new(outcome.secrets).split();
        let (chunks, buffer) = (Reassembly::default(), BytesMut::new());
        let remote = outcome.remote;
        Self {
            hub,
            key,
            address,
            inbound,
            remote,
            reader,
            writer,
            sealer,
            opener,
            chunks,
            buffer,
            ready: false,
        }
    }

    async fn converse(mut self, stop: Stop) -> (bool, Reason) {
        let Some(replaced) = self.hub.claim(self.key, self.remote, self.inbound) else {
            let _ = self.write(p2p::code::DISCONNECT, &Reason::DUPLICATE_PEER.encode()).await;
            return (false, Reason::DUPLICATE_PEER);
        };
        let clock = Arc::clone(&self.hub.clock);
        let (commands, mut orders) = mpsc::channel(COMMAND_QUEUE);
        let mut effects = Vec::new();
        let best = *self.hub.best.borrow();
        let local = self.hub.local.clone();
        let mut peer = Peer::start(clock.now(), local, self.remote, !self.inbound, best, &mut effects);
        loop {
            for effect in effects.drain(..) {
                if let Some(reason) = self.perform(effect, &commands).await {
                    return (self.ready, reason);
                }
            }
            let input = match self.next_frame() {
                Ok(Some(frame)) => Input::Received(frame),
                Err(()) => Input::Close(Reason::BAD_PROTOCOL),
                Ok(None) => {
                    self.buffer.reserve(READ_BYTES);
                    tokio::select! {
                        () = stop.wait() => Input::Close(Reason::PEER_QUITTING),
                        () = replaced.cancelled() => Input::Close(Reason::DUPLICATE_PEER),
                        () = sleep_until(&*clock, peer.deadline()) => Input::Tick,
                        Some(command) = orders.recv() => match command {
                            Command::Send(message) => Input::Send(message),
                            Command::Close(reason) => Input::Close(reason),
                        },
                        read = self.reader.read_buf(&mut self.buffer) => match read {
                            Ok(0) | Err(_) => return (self.ready, Reason::TCP_ERROR),
                            Ok(count) => {
                                add(&self.hub.traffic.bytes_in, count);
                                continue;
                            }
                        },
                    }
                }
            };
            peer.step(clock.now(), input, &mut effects);
        }
    }

    /// The next whole message that lies in the buffer.
    fn next_frame(&mut self) -> Result<Option<crate::rlpx::Message>, ()> {
        loop {
            let needed = self.opener.needed();
            if !self.ready && needed > MAX_EARLY_FRAME {
                return Err(());
            }
            let Some(bytes) = self.buffer.get(..needed) else { return Ok(None) };
            let frame = self.opener.advance(bytes).map_err(|err| {
                tracing::debug!(address = %self.address, error = %err, "frame refused");
            })?;
            self.buffer.advance(needed);
            let Some(frame) = frame else { continue };
            add(&self.hub.traffic.frames_in, 1);
            if let Some(message) = self.chunks.push(frame).map_err(drop)? {
                return Ok(Some(message));
            }
        }
    }

    /// Carries out one effect; a reason ends the connection.
    async fn perform(&mut self, effect: Effect, commands: &mpsc::Sender<Command>) -> Option<Reason> {
        let event = match effect {
            Effect::Send { code, payload } => {
                return self.write(code, &payload).await.err().map(|()| Reason::TCP_ERROR);
            }
            Effect::End(how) => {
                let _ = timeout(WRITE_TIMEOUT, self.writer.shutdown()).await;
                if let End::Theirs(reason) = how {
                    tracing::debug!(address = %self.address, %reason, "peer disconnects");
                }
                return Some(how.reason());
            }
            Effect::Ready { client, status } => {
                self.ready = true;
                let (key, remote, address, inbound) = (self.key, self.remote, self.address, self.inbound);
                let commands = commands.clone();
                Event::Ready(Connection { key, remote, address, inbound, client, status, commands })
            }
            Effect::Deliver(message) => Event::Message(self.key, message),
            Effect::Score(event) => Event::Score(self.remote, self.address.ip().to_canonical(), event),
            Effect::Latency(latency) => Event::Latency(self.key, latency),
        };
        // The node takes events until it stops, and then every connection is told to close.
        self.hub.events.send(event).await.err().map(|_| Reason::PEER_QUITTING)
    }

    async fn write(&mut self, code: u8, payload: &[u8]) -> Result<(), ()> {
        let wire = self.sealer.seal(code, payload).map_err(drop)?;
        timeout(WRITE_TIMEOUT, self.writer.write_all(&wire)).await.map_err(drop)?.map_err(drop)?;
        add(&self.hub.traffic.bytes_out, wire.len());
        add(&self.hub.traffic.frames_out, 1);
        Ok(())
    }
}

fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(u64::try_from(amount).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Waits for a time; for ever when there is none.
pub async fn sleep_until(clock: &dyn Clock, deadline: Option<Time>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline.since(clock.now())).await,
        None => std::future::pending().await,
    }
}

/// A generator seeded by the operating system, for [`Parts::random`].
#[must_use]
pub fn system_random() -> StdRng {
    StdRng::from_rng(&mut rand::make_rng::<StdRng>())
}
