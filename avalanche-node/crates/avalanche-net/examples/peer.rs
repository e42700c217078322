//! Joins a network as a peer for a while and reports, in one JSON object, what it saw. It keeps connections and gossips
//! addresses; it takes no part in consensus. For tests beside other implementations.
//!
//! `peer NETWORK_ID LISTEN SECONDS IDENTITY NODE..`: IDENTITY is `new` or `CERT,KEY,SIGNER` (PEM, PEM, 32 bytes), NODE is
//! `NodeID-..@ADDRESS` for a validator to dial and `NodeID-..` for one to be learned of by gossip.

use std::{collections::BTreeMap, error::Error, io::Write as _, net::SocketAddr, time::Duration};

use avalanche_crypto::bls;
use avalanche_ids::{Id, NodeId};
use avalanche_net::{
    peer::Settings,
    throttle::Limits,
    tls::Identity,
    transport::{Config, Event, Network},
};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::json;
use shared_vendor::tasks::Tasks;
use tokio::{net::TcpListener, sync::mpsc, time::Instant};

const EXPIRES: u16 = 2126;
/// Granite's time on networks that set none: 2020-12-05 05:00 UTC.
const GRANITE: u64 = 1_607_144_400;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [network_id, listen, seconds, identity, nodes @ ..] = args.as_slice() else {
        return Err("usage: peer NETWORK_ID LISTEN SECONDS IDENTITY NODE..".into());
    };
    let (identity, bls) = load(identity)?;
    let me = identity.certificate().node_id();
    let listener = TcpListener::bind(listen).await?;
    let config = Config {
        identity,
        bls,
        public_address: listener.local_addr()?,
        settings: Settings { network_id: network_id.parse()?, upgrade_time: GRANITE },
        subnets: Vec::new(),
        all_subnets: false,
        max_connections: 64,
        limits: Limits::default(),
    };
    let (events, mut received) = mpsc::channel(256);
    let network = Network::start(config, listener, events, Tasks::new(tokio::runtime::Handle::current()))?;
    for node in nodes {
        let (id, address) = node.split_once('@').map_or((node.as_str(), None), |(id, at)| (id, Some(at)));
        let id: NodeId = id.parse()?;
        network.validator_added(Id::EMPTY, id, None);
        if let Some(address) = address {
            network.track(id, address.parse::<SocketAddr>()?);
        }
    }

    let (mut connects, mut disconnects) = (BTreeMap::new(), Vec::new());
    let mut messages: BTreeMap<NodeId, u64> = BTreeMap::new();
    let end = Instant::now() + Duration::from_secs(seconds.parse()?);
    while let Ok(Some(event)) = tokio::time::timeout_at(end, received.recv()).await {
        match event {
            Event::Connected(node, info) => {
                network.set_uptime(node, 100); // it has been up for all the time that we know it
                connects.insert(node, (Instant::now(), info));
            }
            Event::Message(node, ..) => *messages.entry(node).or_default() += 1,
            Event::Failed(..) | Event::Malformed(..) => {}
            Event::Disconnected(node, reason) => {
                disconnects.push(json!([node.to_string(), format!("{reason:?}")]))
            }
        }
    }
    let peers: BTreeMap<String, _> = network
        .peers()
        .into_iter()
        .filter_map(|(node, vitals)| {
            let (since, info) = connects.get(&node)?;
            let (version, client) = (info.version, &info.client);
            let value = json!({
                "inbound": vitals.inbound,
                "seconds": since.elapsed().as_secs(),
                "client": format!("{client}/{}.{}.{}", version.major, version.minor, version.patch),
                "pongs": vitals.pongs,
                "roundTripMicros": vitals.round_trip.map(|time| time.as_micros().to_string()),
                "observedUptime": vitals.observed_uptime,
                "addresses": vitals.addresses,
                "malformed": vitals.malformed,
                "chainMessages": messages.get(&node).copied().unwrap_or_default(),
            });
            Some((node.to_string(), value))
        })
        .collect();
    let report = json!({ "node": me.to_string(), "peers": peers, "disconnects": disconnects });
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

fn load(identity: &str) -> Result<(Identity, bls::SecretKey), Box<dyn Error>> {
    let random = SystemRandom::new();
    if identity == "new" {
        let mut secret = [0; 32];
        random.fill(&mut secret).map_err(|_| "no randomness")?;
        secret[0] = 0; // below the order of the group
        return Ok((Identity::generate(EXPIRES, &random)?, bls::SecretKey::from_bytes(&secret)?));
    }
    let mut files = identity.split(',');
    let mut next = || files.next().ok_or("IDENTITY is `new` or CERT,KEY,SIGNER");
    let certificate = CertificateDer::from_pem_file(next()?)?;
    let key = PrivateKeyDer::from_pem_file(next()?)?;
    let signer = std::fs::read(next()?)?;
    let signer = <[u8; 32]>::try_from(signer.as_slice())?;
    let identity = Identity::from_der(&certificate, key.secret_der(), &random)?;
    Ok((identity, bls::SecretKey::from_bytes(&signer)?))
}
