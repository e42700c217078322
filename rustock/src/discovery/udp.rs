//! The UDP socket of discovery: carries datagrams between the network and the [`Explorer`]. Decides nothing.

use std::{net::SocketAddr, sync::Arc};

use shared_vendor::{clock::Clock, machine::Machine, tasks::Stop};
use tokio::{net::UdpSocket, sync::mpsc};

use super::{Effect, Explorer, Input, Known, packet::MAX_PACKET_BYTES};
use crate::rlpx::NodeId;

/// What discovery tells the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// This node has answered and may be dialled.
    Found(Known),
    /// This node has stopped answering.
    Lost(NodeId),
}

/// Runs discovery until told to stop.
pub async fn run(
    mut explorer: Explorer,
    socket: UdpSocket,
    boot: Vec<SocketAddr>,
    events: mpsc::Sender<Event>,
    clock: Arc<dyn Clock>,
    stop: Stop,
) {
    let mut buffer = vec![0; MAX_PACKET_BYTES];
    let mut effects = Vec::new();
    let mut input = Input::Boot(boot);
    loop {
        explorer.step(clock.now(), input, &mut effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Send(to, packet) => {
                    if let Err(err) = socket.send_to(&packet, for_socket(&socket, to)).await {
                        tracing::debug!(%to, error = %err, "datagram not sent");
                    }
                }
                Effect::Found(node) => drop(events.try_send(Event::Found(node))),
                Effect::Lost(id) => drop(events.try_send(Event::Lost(id))),
            }
        }
        let wait = explorer.deadline().map(|deadline| deadline.since(clock.now())).unwrap_or_default();
        input = tokio::select! {
            () = stop.wait() => return,
            () = tokio::time::sleep(wait) => Input::Tick,
            // An error here is an earlier datagram that met a closed port.
            received = socket.recv_from(&mut buffer) => match received {
                Ok((length, from)) => {
                    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                    Input::Datagram(from, buffer.get(..length).unwrap_or_default().to_vec())
                }
                Err(_) => Input::Tick,
            },
        };
    }
}

/// A socket of both families takes IPv4 addresses in their mapped form only.
fn for_socket(socket: &UdpSocket, to: SocketAddr) -> SocketAddr {
    match (socket.local_addr(), to) {
        (Ok(SocketAddr::V6(_)), SocketAddr::V4(to)) => {
            SocketAddr::new(to.ip().to_ipv6_mapped().into(), to.port())
        }
        _ => to,
    }
}
