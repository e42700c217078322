//! The only file with TCP sockets: accepts and dials, feeds one [`Peer`] for each connection and carries out its
//! effects. Decides nothing about the protocol; it enforces how many connections there are.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use shared_vendor::{
    clock::{Clock, Time},
    machine::Machine,
    tasks::{Stage, Stop, Tasks},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    sync::mpsc,
    time::timeout,
};

use crate::{
    frame::{Frame, FrameError},
    message::{Message, MessageError},
    payload::Version,
    peer::{Effect, End, Input, Local, Peer},
    sync::PeerId,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause after a failed accept (out of file descriptors, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Orders that wait for a connection.
const COMMAND_QUEUE: usize = 2_048;
/// Bytes asked of the socket at once.
const READ_BYTES: usize = 64 * 1024;
/// Nothing before the end of the handshake is longer.
const MAX_EARLY_BYTES: usize = 40 * 1024;

/// What a connection tells the node.
#[derive(Debug)]
pub enum Event {
    /// The handshake is done.
    Ready(Connection),
    /// A message of the protocol.
    Message(PeerId, Message),
    /// A connection is gone, ready or not.
    Closed {
        /// Its number.
        id: PeerId,
        /// The other end.
        address: SocketAddr,
        /// The peer dialled us.
        inbound: bool,
        /// The handshake had been done.
        was_ready: bool,
        /// Why.
        end: End,
    },
}

/// A ready connection.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Its number, for as long as the process lives.
    pub id: PeerId,
    /// The other end.
    pub address: SocketAddr,
    /// The peer dialled us.
    pub inbound: bool,
    /// What the peer says of itself.
    pub version: Version,
    /// Orders to the connection.
    pub orders: Orders,
}

/// The way to a connection. An order is dropped when too many wait.
#[derive(Debug, Clone)]
pub struct Orders(mpsc::Sender<Input>);

impl Orders {
    /// Gives an order; false when the connection is gone or takes too little.
    #[must_use]
    pub fn give(&self, order: Input) -> bool {
        self.0.try_send(order).is_ok()
    }

    /// Gives an order as soon as there is room, for answers made on a blocking thread; false when the connection is gone.
    #[must_use]
    pub fn give_blocking(&self, order: Input) -> bool {
        self.0.blocking_send(order).is_ok()
    }
}

/// Bytes and messages exchanged with all peers.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Bytes read from sockets.
    pub bytes_in: AtomicU64,
    /// Bytes written to sockets.
    pub bytes_out: AtomicU64,
    /// Messages read.
    pub messages_in: AtomicU64,
    /// Messages written.
    pub messages_out: AtomicU64,
}

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// In both directions together.
    pub total: usize,
    /// From or to one address, loopback exempt.
    pub per_address: usize,
}

/// What all connections share.
pub struct Hub {
    local: Local,
    height: AtomicU32,
    events: mpsc::Sender<Event>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    open: Mutex<Open>,
    /// Counters for metrics.
    pub traffic: Traffic,
}

#[derive(Debug, Default)]
struct Open {
    last: PeerId,
    /// Address of every connection, handshake included.
    addresses: BTreeMap<PeerId, IpAddr>,
    /// Nonces of the nodes at the other end.
    nonces: BTreeMap<u32, PeerId>,
}

impl Hub {
    /// A hub without connections; their events go to `events`.
    #[must_use]
    pub fn new(
        local: Local,
        limits: Limits,
        events: mpsc::Sender<Event>,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
    ) -> Arc<Self> {
        let (height, open, traffic) = (AtomicU32::new(0), Mutex::default(), Traffic::default());
        Arc::new(Self { local, height, events, limits, clock, tasks, open, traffic })
    }

    /// The height to tell of from now on.
    pub fn set_height(&self, height: u32) {
        self.height.store(height, Ordering::Relaxed);
    }

    /// What we say of ourselves.
    #[must_use]
    pub fn local(&self) -> &Local {
        &self.local
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
                    if let Some(id) = self.enter(address) {
                        let hub = Arc::clone(&self);
                        self.tasks.spawn_in(Stage::Serve, format!("peer-{id}"), move |stop| async move {
                            hub.run(stream, address, true, id, stop).await;
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

    /// Dials an address in a task of its own; the end is an event in any case.
    pub fn dial(self: &Arc<Self>, address: SocketAddr) {
        let hub = Arc::clone(self);
        let id = self.enter(address);
        let name = format!("peer-{}", id.unwrap_or_default());
        self.tasks.spawn_in(Stage::Serve, name, move |stop| async move {
            let Some(id) = id else {
                hub.tell_closed(0, address, false, false, End::Crowded).await;
                return Ok(());
            };
            match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => hub.run(stream, address, false, id, stop).await,
                _ => {
                    hub.leave(id);
                    hub.tell_closed(id, address, false, false, End::Socket).await;
                }
            }
            Ok(())
        });
    }

    fn enter(&self, address: SocketAddr) -> Option<PeerId> {
        let ip = address.ip().to_canonical();
        let mut open = self.open.lock();
        let of_address = open.addresses.values().filter(|other| **other == ip).count();
        let crowded = !ip.is_loopback() && of_address >= self.limits.per_address;
        if open.addresses.len() >= self.limits.total || crowded {
            return None;
        }
        open.last = open.last.wrapping_add(1);
        let id = open.last;
        open.addresses.insert(id, ip);
        Some(id)
    }

    fn leave(&self, id: PeerId) {
        let mut open = self.open.lock();
        open.addresses.remove(&id);
        open.nonces.retain(|_, other| *other != id);
    }

    /// Makes a connection the only one to its node.
    fn claim(&self, nonce: u32, id: PeerId) -> bool {
        *self.open.lock().nonces.entry(nonce).or_insert(id) == id
    }

    async fn tell_closed(&self, id: PeerId, address: SocketAddr, inbound: bool, was_ready: bool, end: End) {
        let _ = self.events.send(Event::Closed { id, address, inbound, was_ready, end }).await;
    }

    async fn run(
        self: &Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        inbound: bool,
        id: PeerId,
        stop: Stop,
    ) {
        let _ = stream.set_nodelay(true);
        let (mut reader, writer) = stream.into_split();
        let now = self.clock.now();
        let mut effects = Vec::new();
        let peer = Peer::start(now, self.local.clone(), self.height.load(Ordering::Relaxed), &mut effects);
        let (orders, mut inbox) = mpsc::channel(COMMAND_QUEUE);
        let mut link =
            Link { hub: self, id, address, inbound, peer, writer, orders: Orders(orders), was_ready: false };
        let mut buffer = BytesMut::new();
        let mut end = link.perform(&mut effects).await;
        while end.is_none() {
            let deadline = link.peer.deadline();
            tokio::select! {
                biased;
                () = stop.wait() => end = Some(End::Stopping),
                () = until(&*self.clock, deadline) => link.step(Input::Tick, &mut effects),
                order = inbox.recv() => match order {
                    Some(order) => link.step(order, &mut effects),
                    None => end = Some(End::Stopping),
                },
                read = read_some(&mut reader, &mut buffer) => match read {
                    Ok(0) => end = Some(End::Closed),
                    Err(_) => end = Some(End::Socket),
                    Ok(count) => {
                        add(&self.traffic.bytes_in, count);
                        end = link.consume(&mut buffer, &mut effects).await;
                    }
                },
            }
            end = match link.perform(&mut effects).await {
                Some(from_peer) => Some(end.unwrap_or(from_peer)),
                None => end,
            };
        }
        let was_ready = link.was_ready;
        self.leave(id);
        let end = end.unwrap_or(End::Closed);
        tracing::debug!(%address, end = end.as_str(), was_ready, "connection closed");
        self.tell_closed(id, address, inbound, was_ready, end).await;
    }
}

/// One connection at work.
struct Link<'a> {
    hub: &'a Arc<Hub>,
    id: PeerId,
    address: SocketAddr,
    inbound: bool,
    peer: Peer,
    writer: OwnedWriteHalf,
    orders: Orders,
    was_ready: bool,
}

impl Link<'_> {
    fn step(&mut self, input: Input, effects: &mut Vec<Effect>) {
        self.peer.step(self.hub.clock.now(), input, effects);
    }

    /// Takes all whole messages out of the buffer.
    async fn consume(&mut self, buffer: &mut BytesMut, effects: &mut Vec<Effect>) -> Option<End> {
        loop {
            let (message, length) = match Frame::decode(buffer) {
                Ok(Some((frame, length))) => (Message::decode(&frame), length),
                Ok(None) if !self.peer.is_running() && buffer.len() > MAX_EARLY_BYTES => {
                    (Err(MessageError::Frame(early(buffer.len()))), 0)
                }
                Ok(None) => return None,
                Err(err) => (Err(MessageError::Frame(err)), 0),
            };
            buffer.advance(length);
            add(&self.hub.traffic.messages_in, 1);
            match message {
                Ok(message) => self.step(Input::Received(message), effects),
                Err(err) => {
                    tracing::debug!(address = %self.address, error = %err, "malformed message");
                    self.step(Input::Malformed(err), effects);
                }
            }
            if let Some(end) = self.perform(effects).await {
                return Some(end);
            }
        }
    }

    async fn perform(&mut self, effects: &mut Vec<Effect>) -> Option<End> {
        for effect in effects.drain(..) {
            match effect {
                Effect::Send(message) => {
                    let bytes = message.frame(self.peer.compresses()).encode();
                    match timeout(WRITE_TIMEOUT, self.writer.write_all(&bytes)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return Some(End::Socket),
                        Err(_) => return Some(End::Slow),
                    }
                    add(&self.hub.traffic.bytes_out, bytes.len());
                    add(&self.hub.traffic.messages_out, 1);
                }
                Effect::Ready(version) => {
                    if !self.hub.claim(version.nonce, self.id) {
                        return Some(End::Duplicate);
                    }
                    self.was_ready = true;
                    let (id, address, inbound) = (self.id, self.address, self.inbound);
                    let orders = self.orders.clone();
                    let connection = Connection { id, address, inbound, version: *version, orders };
                    let _ = self.hub.events.send(Event::Ready(connection)).await;
                }
                Effect::Deliver(message) => {
                    let _ = self.hub.events.send(Event::Message(self.id, message)).await;
                }
                Effect::End(end) => return Some(end),
            }
        }
        None
    }
}

fn early(length: usize) -> FrameError {
    FrameError::TooLong(u64::try_from(length).unwrap_or(u64::MAX))
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(u64::try_from(count).unwrap_or_default(), Ordering::Relaxed);
}

async fn read_some(
    reader: &mut tokio::net::tcp::OwnedReadHalf,
    buffer: &mut BytesMut,
) -> std::io::Result<usize> {
    buffer.reserve(READ_BYTES);
    reader.read_buf(buffer).await
}

async fn until(clock: &dyn Clock, deadline: Option<Time>) {
    let Some(deadline) = deadline else { return std::future::pending().await };
    loop {
        let left = deadline.since(clock.now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left).await;
    }
}

#[cfg(test)]
mod tests;
