//! Sockets: accepts and dials connections, upgrades them to TLS, moves frames between them and the state machines.
//! Protocol decisions are made in `peer` and `hub`. Every read, write, dial and upgrade has a time limit, every queue a
//! bound. Mirrors the goroutines of `network/network.go` and `network/peer/peer.go`.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use avalanche_crypto::{
    bls,
    staking::{Certificate, CertificateError, KeyError},
};
use avalanche_ids::{Id, NodeId};
use avalanche_proto::p2p::Body;
use parking_lot::Mutex;
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::ServerName;
use shared_vendor::{
    clock::{Clock, SystemClock, Time},
    limit::TokenBucket,
    machine::Machine as _,
    tasks::{Stage, Stop, Tasks},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{
    frame,
    gossip::{ClaimedIp, Tracker},
    handshake::{Announcement, MAX_CLOCK_DIFFERENCE, PeerInfo},
    hub::{Action, Hub, Refused},
    message::{self, MessageError},
    peer::{Effect, Input, MAX_SILENCE, Peer, Reason, Settings},
    signed_ip::{SignedIp, UnsignedIp},
    throttle::{Budget, Held, Limits, Room, cpu_budget},
    tls::Identity,
};

/// Longest TLS upgrade.
pub const UPGRADE_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest TCP dial.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections accepted per second.
pub const ACCEPTS_PER_SECOND: u32 = 256;
/// Time between two upgrades for the same address; loopback is exempt.
pub const UPGRADE_COOLDOWN: Duration = Duration::from_secs(10);

const TIMER_PERIOD: Duration = Duration::from_millis(250);
const INPUT_QUEUE: usize = 256;
const OUTPUT_QUEUE: usize = 256;
const MAX_UPGRADES_REMEMBERED: usize = 4096;

/// Why the network does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No randomness.
    #[error("randomness")]
    Random(#[from] KeyError),
}

/// Why a connection never became a peer.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// TCP or TLS failed.
    #[error("connection")]
    Io(#[from] io::Error),
    /// The peer took too long.
    #[error("no answer in time")]
    Timeout,
    /// No staking certificate.
    #[error("certificate")]
    Certificate(#[from] CertificateError),
    /// Not wanted.
    #[error("refused")]
    Refused(#[from] Refused),
    /// It broke a rule before its handshake was over.
    #[error("before the handshake was over")]
    Handshake(#[source] Reason),
}

/// How this node appears on the network.
#[derive(Debug)]
pub struct Config {
    /// Certificate and key.
    pub identity: Identity,
    /// Signs our address.
    pub bls: bls::SecretKey,
    /// Where others reach us.
    pub public_address: SocketAddr,
    /// The network.
    pub settings: Settings,
    /// Subnets tracked beside the primary network; at most 16.
    pub subnets: Vec<Id>,
    /// True to know peers of all subnets.
    pub all_subnets: bool,
    /// Most connections at a time.
    pub max_connections: usize,
    /// How much of peers is read.
    pub limits: Limits,
}

/// What the network tells. Connected and Disconnected come in pairs for each node.
#[derive(Debug)]
pub enum Event {
    /// A handshake is over in both directions.
    Connected(NodeId, Box<PeerInfo>),
    /// A message of a chain, with the room it takes until it is dropped.
    Message(NodeId, Box<Body>, Held),
    /// A connected peer is gone.
    Disconnected(NodeId, Reason),
    /// A connection ended that never became a peer. Lost when too many of these wait.
    Failed(SocketAddr, ConnectError),
    /// A connected peer sent the first message of its connection that cannot be read.
    Malformed(NodeId, MessageError),
}

/// What is observed of a connected peer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Vitals {
    /// Our uptime as the peer sees it, in percent.
    pub observed_uptime: u32,
    /// Between a ping and its pong, once there was one.
    pub round_trip: Option<Duration>,
    /// Pings that were answered.
    pub pongs: u64,
    /// Addresses it told, news or not.
    pub addresses: u64,
    /// True when the peer opened the connection.
    pub inbound: bool,
    /// Messages that could not be read.
    pub malformed: u64,
}

struct Link {
    inputs: mpsc::Sender<Input>,
    cpu: Arc<Mutex<Budget>>,
    vitals: Vitals,
}

struct Shared {
    identity: Identity,
    announcement: Announcement,
    settings: Settings,
    limits: Limits,
    room: Room,
    hub: Mutex<Hub>,
    links: Mutex<BTreeMap<NodeId, Link>>,
    validator_keys: Mutex<BTreeMap<NodeId, bls::PublicKey>>,
    events: mpsc::Sender<Event>,
    clock: SystemClock,
    tasks: Tasks,
    stop: Stop,
}

/// A running network. Dropping it closes everything.
pub struct Network {
    shared: Arc<Shared>,
}

impl Drop for Network {
    fn drop(&mut self) {
        self.shared.stop.set();
    }
}

impl Network {
    /// Serves a listener and starts the timers. Events must be taken, or all peers wait.
    ///
    /// # Errors
    /// As [`StartError`] says.
    pub fn start(
        config: Config,
        listener: TcpListener,
        events: mpsc::Sender<Event>,
        tasks: Tasks,
    ) -> Result<Self, StartError> {
        let (random, clock) = (SystemRandom::new(), SystemClock::default());
        let ip = UnsignedIp { address: config.public_address, timestamp: clock.wall().as_secs() };
        let signed_ip = SignedIp::sign(ip, config.identity.key(), &config.bls, &random)?;
        let mut seeds = [[0; 32]; 2];
        for seed in &mut seeds {
            random.fill(seed).map_err(|_| KeyError::Signing)?;
        }
        let me = config.identity.certificate().node_id();
        let tracker = Tracker::new(config.subnets.iter().copied().collect(), config.all_subnets, seeds[0]);
        let shared = Arc::new(Shared {
            announcement: Announcement {
                network_id: config.settings.network_id,
                upgrade_time: config.settings.upgrade_time,
                signed_ip,
                tracked_subnets: config.subnets,
                all_subnets: config.all_subnets,
            },
            identity: config.identity,
            settings: config.settings,
            limits: config.limits,
            room: Room::new(config.limits),
            hub: Mutex::new(Hub::new(me, config.max_connections, tracker, seeds[1], clock.now())),
            links: Mutex::default(),
            validator_keys: Mutex::default(),
            events,
            clock,
            tasks,
            stop: Stop::never(),
        });
        shared.spawn("accept", accept(Arc::clone(&shared), listener));
        shared.spawn("timers", timers(Arc::clone(&shared)));
        Ok(Self { shared })
    }

    /// Keeps a connection to this node, opened by us or by it.
    pub fn track(&self, node: NodeId, address: SocketAddr) {
        self.shared.hub.lock().track_by_hand(node, address, self.shared.clock.now());
    }

    /// A node validates a subnet; the key counts for the primary network only.
    pub fn validator_added(&self, subnet: Id, node: NodeId, key: Option<bls::PublicKey>) {
        self.shared.hub.lock().tracker().validator_added(subnet, node);
        if let Some(key) = key.filter(|_| subnet == Id::EMPTY) {
            self.shared.validator_keys.lock().insert(node, key);
            self.input(node, Input::ValidatorKey(Some(key)));
        }
    }

    /// A node validates a subnet no longer.
    pub fn validator_removed(&self, subnet: Id, node: NodeId) {
        self.shared.hub.lock().tracker().validator_removed(subnet, node);
        if subnet == Id::EMPTY {
            self.shared.validator_keys.lock().remove(&node);
            self.input(node, Input::ValidatorKey(None));
        }
    }

    /// A peer's uptime as we see it, in percent, for the next ping.
    pub fn set_uptime(&self, node: NodeId, percent: u32) {
        self.input(node, Input::Uptime(percent));
    }

    /// Sends a message of a chain; false when it certainly does not arrive: no such peer, or its queue is full.
    pub fn send(&self, node: NodeId, body: Body) -> bool {
        self.input(node, Input::Send(body))
    }

    /// A message of a peer took this long to work on; more of it is read when that is within its share.
    pub fn charge(&self, node: NodeId, spent: Duration) {
        if let Some(link) = self.shared.links.lock().get(&node) {
            let nanos = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
            link.cpu.lock().charge(nanos, self.shared.clock.now());
        }
    }

    /// Connected peers.
    #[must_use]
    pub fn peers(&self) -> BTreeMap<NodeId, Vitals> {
        self.shared.links.lock().iter().map(|(node, link)| (*node, link.vitals)).collect()
    }

    fn input(&self, node: NodeId, input: Input) -> bool {
        self.shared.links.lock().get(&node).is_some_and(|link| link.inputs.try_send(input).is_ok())
    }
}

impl Shared {
    /// Tells of a connection that never became a peer, unless it just ended: of two that meet by chance one always does.
    fn ended(&self, address: SocketAddr, end: Result<(), ConnectError>) {
        let Err(error) = end else { return };
        let just_ended = match &error {
            ConnectError::Refused(_) => true,
            ConnectError::Io(error) | ConnectError::Handshake(Reason::Io(error)) => {
                error.kind() != io::ErrorKind::InvalidData
            }
            ConnectError::Timeout | ConnectError::Certificate(_) | ConnectError::Handshake(_) => false,
        };
        if !just_ended {
            drop(self.events.try_send(Event::Failed(address, error)));
        }
    }

    /// A task that ends with the network or the process, whichever stops first.
    fn spawn(&self, name: &str, work: impl Future<Output = ()> + Send + 'static) {
        let network = self.stop.clone();
        self.tasks.spawn_in(Stage::Serve, format!("p2p-{name}"), |process| async move {
            tokio::select! {
                () = process.wait() => {}
                () = network.wait() => {}
                () = work => {}
            }
            Ok(())
        });
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let since_start = |shared: &Shared| shared.clock.now().since(Time::ZERO);
    let mut rate = TokenBucket::new(ACCEPTS_PER_SECOND, ACCEPTS_PER_SECOND, since_start(&shared));
    let mut upgrades: BTreeMap<IpAddr, Time> = BTreeMap::new();
    loop {
        while !rate.take(1, since_start(&shared)) {
            sleep(Duration::from_millis(4)).await;
        }
        let Ok((stream, from)) = listener.accept().await else {
            sleep(TIMER_PERIOD).await; // out of file descriptors, most likely
            continue;
        };
        let (now, ip) = (shared.clock.now(), from.ip().to_canonical());
        upgrades.retain(|_, at| now < at.after(UPGRADE_COOLDOWN));
        if !ip.is_loopback() {
            if upgrades.contains_key(&ip) || upgrades.len() >= MAX_UPGRADES_REMEMBERED {
                continue;
            }
            upgrades.insert(ip, now);
        }
        let own = Arc::clone(&shared);
        shared.spawn(&format!("from-{from}"), async move {
            own.ended(from, serve(&own, stream, true).await);
        });
    }
}

async fn timers(shared: Arc<Shared>) {
    loop {
        let actions = shared.hub.lock().due(shared.clock.now());
        for action in actions {
            match action {
                Action::Dial(node, address) => {
                    let own = Arc::clone(&shared);
                    shared.spawn(&format!("to-{node}"), async move {
                        if let Ok(Ok(stream)) = timeout(DIAL_TIMEOUT, TcpStream::connect(address)).await {
                            own.ended(address, serve(&own, stream, false).await);
                        }
                        own.hub.lock().dialled(node, own.clock.now());
                    });
                }
                Action::AskPeers(node) => {
                    let known = shared.hub.lock().tracker().known_peers();
                    let question = Input::AskPeers(known, shared.announcement.all_subnets);
                    if let Some(link) = shared.links.lock().get(&node) {
                        drop(link.inputs.try_send(question));
                    }
                }
            }
        }
        sleep(TIMER_PERIOD).await;
    }
}

/// Upgrades a connection and serves it until it ends.
async fn serve(shared: &Arc<Shared>, stream: TcpStream, inbound: bool) -> Result<(), ConnectError> {
    stream.set_nodelay(true)?;
    let elapsed = |_| ConnectError::Timeout;
    if inbound {
        let upgrade = TlsAcceptor::from(shared.identity.server()).accept(stream);
        let stream = timeout(UPGRADE_TIMEOUT, upgrade).await.map_err(elapsed)??;
        let certificate = peer_certificate(stream.get_ref().1.peer_certificates())?;
        converse(shared, stream, certificate, inbound).await
    } else {
        let name = ServerName::from(stream.peer_addr()?.ip());
        let upgrade = TlsConnector::from(shared.identity.client()).connect(name, stream);
        let stream = timeout(UPGRADE_TIMEOUT, upgrade).await.map_err(elapsed)??;
        let certificate = peer_certificate(stream.get_ref().1.peer_certificates())?;
        converse(shared, stream, certificate, inbound).await
    }
}

fn peer_certificate(
    chain: Option<&[rustls::pki_types::CertificateDer<'_>]>,
) -> Result<Certificate, CertificateError> {
    let leaf = chain.and_then(<[_]>::first).ok_or(CertificateError::Malformed("certificate"))?;
    Certificate::parse(leaf)
}

/// Runs the state machine of one peer between its reader and its writer. The first of the three to end ends all.
async fn converse(
    shared: &Arc<Shared>,
    stream: impl AsyncRead + AsyncWrite,
    certificate: Certificate,
    inbound: bool,
) -> Result<(), ConnectError> {
    let node = certificate.node_id();
    let (known, validates) = {
        let mut hub = shared.hub.lock();
        hub.admit(node)?;
        (hub.tracker().known_peers(), hub.tracker().knows(node))
    };
    let _entered = Entered { shared, node };
    let hello = shared.announcement.message(shared.clock.wall().as_secs(), known);
    let key = shared.validator_keys.lock().get(&node).copied();
    let peer = Peer::new(shared.settings, certificate.clone(), key, hello, shared.clock.now());
    let (from_peer, to_peer) = tokio::io::split(stream);
    let cpu = Arc::new(Mutex::new(cpu_budget(&shared.limits, validates, shared.clock.now())));
    let (frames, received) = mpsc::channel(1);
    let (outputs, queue) = mpsc::channel(OUTPUT_QUEUE);
    let (inputs, commands) = mpsc::channel(INPUT_QUEUE);
    let reader = Reader { shared, node, validates, cpu: Arc::clone(&cpu) };
    let mut session =
        Session { shared, peer, certificate, outputs, inputs, cpu, is_connected: false, inbound };
    let reason = tokio::select! {
        reason = reader.run(from_peer, frames) => reason,
        reason = write(to_peer, queue) => reason,
        reason = session.run(received, commands) => reason,
    };
    shared.links.lock().remove(&node);
    if session.is_connected {
        drop(shared.events.send(Event::Disconnected(node, reason)).await);
        return Ok(());
    }
    match reason {
        Reason::Closed => Ok(()),
        reason => Err(ConnectError::Handshake(reason)),
    }
}

/// Takes a connection off the hub's books, whatever way its task ends.
struct Entered<'a> {
    shared: &'a Shared,
    node: NodeId,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.shared.links.lock().remove(&self.node);
        self.shared.room.forget(self.node);
        self.shared.hub.lock().gone(self.node, self.shared.clock.now());
    }
}

/// A frame's content and the room it takes.
type Frame = (Vec<u8>, Held);

/// Reads what the limits allow.
struct Reader<'a> {
    shared: &'a Shared,
    node: NodeId,
    validates: bool,
    cpu: Arc<Mutex<Budget>>,
}

impl Reader<'_> {
    async fn run(self, stream: impl AsyncRead + Unpin, frames: mpsc::Sender<Frame>) -> Reason {
        let (limits, now) = (&self.shared.limits, self.shared.clock.now());
        let mut stream = BufReader::new(stream);
        let mut bandwidth = Budget::new(limits.refill_per_second, limits.burst, now);
        loop {
            match self.frame(&mut stream, &mut bandwidth).await {
                Ok(frame) => {
                    if frames.send(frame).await.is_err() {
                        return Reason::Closed;
                    }
                }
                Err(reason) => return reason,
            }
        }
    }

    /// Memory grows with what arrives, not with what the length promises.
    async fn frame(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        bandwidth: &mut Budget,
    ) -> Result<Frame, Reason> {
        let silent = |_| Reason::Silent;
        let clock = &self.shared.clock;
        let mut prefix = [0; frame::LENGTH_LEN];
        timeout(MAX_SILENCE, stream.read_exact(&mut prefix)).await.map_err(silent)??;
        let len = frame::message_len(prefix)?;
        let wait = bandwidth.reserve(u64::try_from(len).unwrap_or(u64::MAX), clock.now());
        let wait = wait.max(self.cpu.lock().wait(clock.now()));
        if !wait.is_zero() {
            sleep(wait).await;
        }
        let held = self.shared.room.take(self.node, self.validates, len).await;
        let mut bytes = Vec::new();
        let mut content = stream.take(u64::try_from(len).unwrap_or(u64::MAX));
        timeout(MAX_SILENCE, content.read_to_end(&mut bytes)).await.map_err(silent)??;
        if bytes.len() < len {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        // What is compressed takes the room of what comes out of it.
        match message::decompressed_len(&bytes) {
            Some(plain) if plain > len => {
                drop(held);
                Ok((bytes, self.shared.room.take(self.node, self.validates, plain).await))
            }
            _ => Ok((bytes, held)),
        }
    }
}

async fn write(mut stream: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Body>) -> Reason {
    while let Some(body) = queue.recv().await {
        let sent = async {
            stream.write_all(&frame::encode(&message::encode(body))?).await?;
            Ok::<_, Reason>(stream.flush().await?)
        };
        match timeout(MAX_SILENCE, sent).await {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => return reason,
            Err(_) => return Reason::Silent,
        }
    }
    Reason::Closed
}

struct Session<'a> {
    shared: &'a Arc<Shared>,
    peer: Peer,
    certificate: Certificate,
    outputs: mpsc::Sender<Body>,
    inputs: mpsc::Sender<Input>,
    cpu: Arc<Mutex<Budget>>,
    is_connected: bool,
    inbound: bool,
}

impl Session<'_> {
    async fn run(
        &mut self,
        mut frames: mpsc::Receiver<Frame>,
        mut commands: mpsc::Receiver<Input>,
    ) -> Reason {
        let (mut input, mut held) = (Input::Tick, Held::default());
        loop {
            if let Err(reason) = self.step(input, held).await {
                return reason;
            }
            let wait = self.peer.deadline().map_or(MAX_SILENCE, |at| at.since(self.shared.clock.now()));
            (input, held) = tokio::select! {
                Some((bytes, held)) = frames.recv() => {
                    (Input::Received(bytes, self.shared.clock.wall().as_secs()), held)
                }
                Some(command) = commands.recv() => (command, Held::default()),
                () = sleep(wait) => (Input::Tick, Held::default()),
            };
        }
    }

    /// One input with all effects that come of it.
    async fn step(&mut self, input: Input, mut held: Held) -> Result<(), Reason> {
        let (node, shared) = (self.certificate.node_id(), self.shared);
        let mut effects = Vec::new();
        let mut next = Some(input);
        while let Some(input) = next.take() {
            self.peer.step(shared.clock.now(), input, &mut effects);
            for effect in effects.drain(..) {
                match effect {
                    Effect::Send(body) => drop(self.outputs.try_send(body)), // a full queue loses it
                    Effect::TellPeers(wanted) => {
                        next = Some(Input::Peers(shared.hub.lock().tracker().answer(node, &wanted)));
                    }
                    Effect::Connected(info) => self.connected(info).await,
                    Effect::Discovered(claims) => {
                        self.count_addresses(claims.len());
                        let max = shared.clock.wall().as_secs().saturating_add(MAX_CLOCK_DIFFERENCE);
                        shared.hub.lock().discovered(claims, max, shared.clock.now())?;
                    }
                    Effect::Deliver(body) => {
                        let event = Event::Message(node, Box::new(body), std::mem::take(&mut held));
                        drop(shared.events.send(event).await);
                    }
                    Effect::Malformed(error) => {
                        drop(shared.events.try_send(Event::Malformed(node, error)));
                    }
                    Effect::Disconnect(reason) => return Err(reason),
                }
            }
        }
        self.update_vitals();
        Ok(())
    }

    async fn connected(&mut self, info: Box<PeerInfo>) {
        let claim = ClaimedIp::new(self.certificate.clone(), info.ip, info.tls_signature.clone());
        let node = claim.node;
        self.shared.hub.lock().connected(claim, info.tracked_subnets.clone());
        let vitals = Vitals { inbound: self.inbound, ..Vitals::default() };
        self.shared
            .links
            .lock()
            .insert(node, Link { inputs: self.inputs.clone(), cpu: Arc::clone(&self.cpu), vitals });
        self.is_connected = true;
        drop(self.shared.events.send(Event::Connected(node, info)).await);
    }

    fn count_addresses(&self, count: usize) {
        if let Some(link) = self.shared.links.lock().get_mut(&self.certificate.node_id()) {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            link.vitals.addresses = link.vitals.addresses.saturating_add(count);
        }
    }

    fn update_vitals(&self) {
        if let Some(link) = self.shared.links.lock().get_mut(&self.certificate.node_id()) {
            link.vitals.observed_uptime = self.peer.observed_uptime();
            link.vitals.round_trip = self.peer.round_trip();
            link.vitals.pongs = self.peer.pongs();
            link.vitals.malformed = self.peer.malformed();
        }
    }
}

#[cfg(test)]
mod tests;
