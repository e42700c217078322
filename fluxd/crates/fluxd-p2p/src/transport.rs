//! The only file with sockets: accepts and dials, feeds one [`Peer`] per connection and carries out its effects.
//! Decides nothing about the protocol; it enforces how many connections there are, and bans.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use shared_vendor::{
    clock::{Clock, Time},
    machine::Machine,
    tasks::{Stage, Stop, Tasks},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    bans::{Bans, Subnet},
    frame::{self, Next},
    message::Message,
    peer::{Effect, End, Input, Local, Numbers, Peer, Remote},
    sync::PeerKey,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause after a failed accept (out of file descriptors, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
const COMMAND_QUEUE: usize = 64;
/// Messages that wait for the socket; a peer that takes nothing stops its own service.
const WRITE_QUEUE: usize = 16;
const READ_BYTES: usize = 64 * 1024;
/// Connections from one address, loopback exempt.
const MAX_PER_ADDRESS: usize = 8;

/// Who wanted a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The peer dialled us.
    Inbound,
    /// We dialled an address from the table.
    Outbound,
    /// An operator named the address.
    Manual,
    /// A trial: it ends with the handshake.
    Feeler,
}

/// What a connection tells the node.
#[derive(Debug)]
pub enum Event {
    /// The handshake is done.
    Ready(Connection),
    /// A message that the node answers.
    Message(PeerKey, Message),
    /// An offence of a peer: why.
    Offence(PeerKey, &'static str),
    /// A connection is gone, ready or not.
    Closed {
        /// Its number.
        key: PeerKey,
        /// Where.
        address: SocketAddr,
        /// Who wanted it.
        kind: Kind,
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
    pub key: PeerKey,
    /// The other end.
    pub address: SocketAddr,
    /// Who wanted it.
    pub kind: Kind,
    /// Who is there.
    pub remote: Remote,
    /// An operator trusts it.
    pub trusted: bool,
    /// Orders to the connection.
    pub commands: mpsc::Sender<Input>,
    /// Numbers that operators see.
    pub stats: Arc<Stats>,
}

/// Numbers of one connection.
#[derive(Debug, Default)]
pub struct Stats {
    /// When it began, Unix seconds.
    pub since: AtomicI64,
    /// Last byte written, Unix seconds; 0 for never.
    pub last_send: AtomicI64,
    /// Last byte read, Unix seconds; 0 for never.
    pub last_receive: AtomicI64,
    /// Bytes written.
    pub sent: AtomicU64,
    /// Bytes read.
    pub received: AtomicU64,
    /// Numbers of the state machine.
    pub numbers: Mutex<Numbers>,
}

/// Bytes and messages of all connections.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Bytes read from sockets.
    pub received: AtomicU64,
    /// Bytes written to sockets.
    pub sent: AtomicU64,
}

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// In both directions together.
    pub total: usize,
    /// That peers opened.
    pub inbound: usize,
}

/// Counts messages: direction (`in`, `out`) and command.
pub type CountMessage = Box<dyn Fn(&'static str, &str) + Send + Sync>;

/// What a hub is made of.
pub struct Parts {
    /// Magic of the network.
    pub magic: [u8; 4],
    /// What we say of ourselves; the time is filled in.
    pub local: watch::Receiver<Local>,
    /// Where events go.
    pub events: mpsc::Sender<Event>,
    /// How many connections there may be.
    pub limits: Limits,
    /// Who is banned, shared with RPC.
    pub bans: Arc<Mutex<Bans>>,
    /// Networks whose peers are neither punished nor limited when they dial us (`-whitelist`).
    pub trusted: Vec<Subnet>,
    /// Length of a ban for misbehaviour, seconds.
    pub ban_seconds: i64,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where connections run.
    pub tasks: Tasks,
    /// Randomness of nonces.
    pub random: Mutex<StdRng>,
    /// Counts messages.
    pub count: CountMessage,
}

/// What all connections share.
pub struct Hub {
    parts: Parts,
    open: Mutex<Open>,
    /// Counters for metrics.
    pub traffic: Traffic,
}

#[derive(Debug, Default)]
struct Open {
    last_key: PeerKey,
    all: BTreeMap<PeerKey, (Kind, SocketAddr)>,
    off: bool,
}

impl Hub {
    /// A hub without connections.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self { parts, open: Mutex::default(), traffic: Traffic::default() })
    }

    /// Takes connections until told to stop. Whoever is banned or comes above a limit is closed without a word.
    pub async fn listen(self: Arc<Self>, listener: TcpListener, stop: Stop) {
        loop {
            let accepted = tokio::select! {
                () = stop.wait() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                    if let Some(place) = self.enter(Kind::Inbound, address) {
                        self.spawn(place, address, Kind::Inbound, Some(stream));
                    }
                }
                Err(err) => {
                    tracing::warn!(error = %err, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Dials an address in a task of its own. False when it is banned, connected already, or the places are taken.
    pub fn dial(self: &Arc<Self>, address: SocketAddr, kind: Kind) -> bool {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        match self.enter(kind, address) {
            Some(place) => {
                self.spawn(place, address, kind, None);
                true
            }
            None => false,
        }
    }

    /// Whether there is a connection, or the attempt at one, to this address.
    #[must_use]
    pub fn is_connected(&self, address: SocketAddr) -> bool {
        self.open.lock().all.values().any(|(_, other)| *other == address)
    }

    /// Connections of one kind, handshakes included.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.open.lock().all.values().filter(|(other, _)| *other == kind).count()
    }

    /// Switches the network off or on: while off nobody is taken or dialled. Open connections are the node's to close.
    pub fn set_off(&self, off: bool) {
        self.open.lock().off = off;
    }

    fn enter(self: &Arc<Self>, kind: Kind, address: SocketAddr) -> Option<Place> {
        let ip = address.ip();
        let limits = self.parts.limits;
        let welcome = kind == Kind::Manual || self.trusts(kind, ip);
        if !welcome && self.parts.bans.lock().is_banned(ip, self.now()) {
            return None;
        }
        let mut open = self.open.lock();
        let inbound = open.all.values().filter(|(kind, _)| *kind == Kind::Inbound).count();
        let of_address = open.all.values().filter(|(_, other)| other.ip() == ip).count();
        let refused = match kind {
            Kind::Inbound => {
                inbound >= limits.inbound || (!ip.is_loopback() && of_address >= MAX_PER_ADDRESS)
            }
            _ => open.all.values().any(|(_, other)| *other == address),
        };
        if open.off || refused || (kind != Kind::Manual && open.all.len() >= limits.total) {
            return None;
        }
        open.last_key = open.last_key.wrapping_add(1);
        let key = open.last_key;
        open.all.insert(key, (kind, address));
        Some(Place { hub: Arc::clone(self), key })
    }

    fn spawn(self: &Arc<Self>, place: Place, address: SocketAddr, kind: Kind, stream: Option<TcpStream>) {
        let hub = Arc::clone(self);
        self.parts.tasks.spawn_in(Stage::Serve, format!("peer-{}", place.key), move |stop| async move {
            let key = place.key;
            let stream = match stream {
                Some(stream) => Some(stream),
                None => match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                    Ok(Ok(stream)) => Some(stream),
                    _ => None,
                },
            };
            let (was_ready, end) = match stream {
                Some(stream) => Link::run(Arc::clone(&hub), stream, key, address, kind, &stop).await,
                None => (false, End::Closed),
            };
            drop(place);
            tracing::debug!(peer = key, %address, reason = end.name(), was_ready, "connection closed");
            if end == End::Misbehaved {
                hub.ban(address.ip());
            }
            let closed = Event::Closed { key, address, kind, was_ready, end };
            tokio::select! {
                _ = hub.parts.events.send(closed) => {}
                () = stop.wait() => {}
            }
            Ok(())
        });
    }

    /// Everything on this machine shares its loopback address, so that is never banned.
    fn ban(&self, ip: IpAddr) {
        if !ip.is_loopback() {
            let until = self.now().saturating_add(self.parts.ban_seconds);
            self.parts.bans.lock().ban(Subnet::single(ip), until);
        }
    }

    fn trusts(&self, kind: Kind, ip: IpAddr) -> bool {
        kind == Kind::Inbound && self.parts.trusted.iter().any(|subnet| subnet.contains(ip))
    }

    fn now(&self) -> i64 {
        i64::try_from(self.parts.clock.wall().as_secs()).unwrap_or(i64::MAX)
    }
}

/// A place among the connections, given back however the connection ends.
struct Place {
    hub: Arc<Hub>,
    key: PeerKey,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.open.lock().all.remove(&self.key);
    }
}

/// One connection.
struct Link {
    hub: Arc<Hub>,
    key: PeerKey,
    address: SocketAddr,
    kind: Kind,
    stats: Arc<Stats>,
    commands: mpsc::Sender<Input>,
    writer: mpsc::Sender<Vec<u8>>,
    ready: bool,
}

impl Link {
    async fn run(
        hub: Arc<Hub>,
        stream: TcpStream,
        key: PeerKey,
        address: SocketAddr,
        kind: Kind,
        stop: &Stop,
    ) -> (bool, End) {
        let _ = stream.set_nodelay(true);
        let (reader, write_half) = stream.into_split();
        let (writer, queue) = mpsc::channel(WRITE_QUEUE);
        let (commands, orders) = mpsc::channel(COMMAND_QUEUE);
        let stats = Arc::new(Stats::default());
        stats.since.store(hub.now(), Ordering::Relaxed);
        let mut link =
            Self { hub, key, address, kind, stats: Arc::clone(&stats), commands, writer, ready: false };
        let mut writing = std::pin::pin!(write(Arc::clone(&link.hub), write_half, queue, stats));
        let end = tokio::select! {
            () = &mut writing => None,
            end = link.converse(reader, orders, stop) => Some(end),
        };
        let ready = link.ready;
        drop(link); // closes the queue: what is in it is still written
        if end.is_some() {
            let _ = timeout(Duration::from_secs(1), writing).await;
        }
        (ready, end.unwrap_or(End::Slow))
    }

    async fn converse(
        &mut self,
        mut reader: tokio::net::tcp::OwnedReadHalf,
        mut orders: mpsc::Receiver<Input>,
        stop: &Stop,
    ) -> End {
        let clock = Arc::clone(&self.hub.parts.clock);
        let local = Local { time: self.hub.now(), ..self.hub.parts.local.borrow().clone() };
        let random = StdRng::seed_from_u64(self.hub.parts.random.lock().random());
        let mut effects = Vec::new();
        let inbound = self.kind == Kind::Inbound;
        let mut peer = Peer::start(clock.now(), local, inbound, self.address, random, &mut effects);
        if self.hub.trusts(self.kind, self.address.ip()) {
            peer.trust();
        }
        let mut buffer = BytesMut::new();
        loop {
            for effect in effects.drain(..) {
                if let Some(end) = self.perform(effect).await {
                    return end;
                }
            }
            *self.stats.numbers.lock() = peer.numbers();
            let input = match self.next_frame(&mut buffer) {
                Ok(Some(frame)) => Input::Frame(frame),
                Err(()) => return End::Protocol,
                Ok(None) => {
                    buffer.reserve(READ_BYTES);
                    tokio::select! {
                        () = stop.wait() => return End::Stopping,
                        () = sleep_until(&*clock, peer.deadline()) => Input::Tick,
                        Some(order) = orders.recv() => order,
                        read = reader.read_buf(&mut buffer) => match read {
                            Ok(0) | Err(_) => return End::Closed,
                            Ok(count) => {
                                add(&self.hub.traffic.received, count);
                                add(&self.stats.received, count);
                                self.stats.last_receive.store(self.hub.now(), Ordering::Relaxed);
                                continue;
                            }
                        },
                    }
                }
            };
            peer.step(clock.now(), input, &mut effects);
        }
    }

    fn next_frame(&self, buffer: &mut BytesMut) -> Result<Option<frame::Frame>, ()> {
        loop {
            match frame::next(self.hub.parts.magic, buffer) {
                Ok(Next::Incomplete) => return Ok(None),
                Ok(Next::Dropped(length)) => buffer.advance(length),
                Ok(Next::Frame(frame, length)) => {
                    buffer.advance(length);
                    (self.hub.parts.count)("in", &frame.command);
                    return Ok(Some(frame));
                }
                Err(err) => {
                    tracing::debug!(peer = self.key, %err, "bytes that are no message");
                    return Err(());
                }
            }
        }
    }

    async fn perform(&mut self, effect: Effect) -> Option<End> {
        match effect {
            Effect::Send(command, payload) => {
                (self.hub.parts.count)("out", &command);
                let bytes = frame::encode(self.hub.parts.magic, &command, &payload);
                return match timeout(WRITE_TIMEOUT, self.writer.send(bytes)).await {
                    Ok(Ok(())) => None,
                    _ => Some(End::Slow),
                };
            }
            Effect::Ready(remote) => {
                self.ready = true;
                let connection = Connection {
                    key: self.key,
                    address: self.address,
                    kind: self.kind,
                    remote,
                    trusted: self.hub.trusts(self.kind, self.address.ip()),
                    commands: self.commands.clone(),
                    stats: Arc::clone(&self.stats),
                };
                let _ = self.hub.parts.events.send(Event::Ready(connection)).await;
                if self.kind == Kind::Feeler {
                    return Some(End::Feeler);
                }
            }
            Effect::Deliver(message) => {
                let _ = self.hub.parts.events.send(Event::Message(self.key, message)).await;
            }
            Effect::Offence(total, reason) => {
                tracing::debug!(peer = self.key, total, reason, "misbehaving");
                let _ = self.hub.parts.events.send(Event::Offence(self.key, reason)).await;
            }
            Effect::End(end) => return Some(end),
        }
        None
    }
}

/// Writes what is queued until the queue is closed; ends early when the peer takes nothing.
async fn write(
    hub: Arc<Hub>,
    mut half: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Vec<u8>>,
    stats: Arc<Stats>,
) {
    while let Some(bytes) = queue.recv().await {
        match timeout(WRITE_TIMEOUT, half.write_all(&bytes)).await {
            Ok(Ok(())) => {
                add(&hub.traffic.sent, bytes.len());
                add(&stats.sent, bytes.len());
                stats.last_send.store(hub.now(), Ordering::Relaxed);
            }
            _ => return,
        }
    }
}

async fn sleep_until(clock: &dyn Clock, deadline: Option<Time>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline.since(clock.now())).await,
        None => std::future::pending().await,
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
}
