//! An HTTP listener that survives slow, silent and greedy clients, with an axum router inside. `axum::serve` closes none
//! of them, so the accept loop is our own: connections in total and per address are bounded, hyper ends slow headers and
//! idle keep-alive, stalled writes end the connection. [`Guard`] decides who may ask at all.

mod guard;
mod stall;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::{ConnectInfo, Request},
    http::StatusCode,
};
use http_body_util::{BodyExt, Limited};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use parking_lot::Mutex;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

pub use guard::{Access, Credential, Guard, Refusal};
use stall::StallGuard;

use crate::tasks::Stop;

/// Limits of one listener. Zero is not "unlimited": it refuses everything.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections in total.
    pub connections: usize,
    /// Open connections per address; loopback is exempt.
    pub connections_per_ip: usize,
    /// Time for a request's headers, and for a kept connection to send the next request.
    pub header_timeout: Duration,
    /// Time for a request's body.
    pub body_timeout: Duration,
    /// Time a write may make no progress.
    pub write_timeout: Duration,
    /// Size of a request's line and headers, at least 8 KiB.
    pub header_bytes: usize,
    /// Size of a request's body.
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_per_ip: 64,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            header_bytes: 16 * 1024,
            body_bytes: 5 * 1024 * 1024,
        }
    }
}

/// Serves `router` until `stop`; then takes no new connection, lets running requests finish for two seconds, and
/// returns. Handlers find the client's address as `ConnectInfo<SocketAddr>`.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: Stop) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let per_ip = Arc::new(PerIp::default());
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.wait() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(err) => {
                // Out of file descriptors, or the client left at once: neither ends the service.
                tracing::debug!(%err, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            connections.spawn(refuse(stream, StatusCode::SERVICE_UNAVAILABLE));
            continue;
        };
        let Some(address) = per_ip.enter(peer.ip(), limits.connections_per_ip) else {
            connections.spawn(refuse(stream, StatusCode::TOO_MANY_REQUESTS));
            continue;
        };
        let router = router.clone();
        let limits = limits.clone();
        let stop = stop.clone();
        connections.spawn(async move {
            let _held = (slot, address);
            connection(stream, peer, router, &limits, stop).await;
        });
    }
    connections.close();
    let _ = tokio::time::timeout(Duration::from_secs(2), connections.wait()).await;
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, limits: &Limits, stop: Stop) {
    let _ = stream.set_nodelay(true);
    let service = router.map_request(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.map(Body::new)
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes.max(8 * 1024));
    let io = TokioIo::new(StallGuard::new(stream, limits.write_timeout));
    let served = builder.serve_connection(io, TowerToHyperService::new(service)).with_upgrades();
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.wait() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(err) = ended {
        tracing::trace!(%peer, %err, "connection ended");
    }
}

/// Answers with a bare status line and closes: the cheapest way to say no.
async fn refuse(mut stream: TcpStream, status: StatusCode) {
    let text = format!(
        "HTTP/1.1 {} {}\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default()
    );
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(text.as_bytes())).await;
}

/// Reads a request's body within the limits.
///
/// # Errors
/// 413 when it is too large (without reading on), 408 when it is too slow, 400 when the client broke off.
pub async fn read_body(body: Body, limits: &Limits) -> Result<Bytes, StatusCode> {
    // What the client announces is believed: it is told before it sends.
    if body.size_hint().lower() > u64::try_from(limits.body_bytes).unwrap_or(u64::MAX) {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let limited = Limited::new(body, limits.body_bytes);
    match tokio::time::timeout(limits.body_timeout, limited.collect()).await {
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(err)) if err.is::<http_body_util::LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
    }
}

/// Open connections by address.
#[derive(Debug, Default)]
struct PerIp {
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl PerIp {
    fn enter(self: &Arc<Self>, ip: IpAddr, limit: usize) -> Option<Entered> {
        let ip = ip.to_canonical();
        if !ip.is_loopback() {
            let mut open = self.open.lock();
            let count = open.entry(ip).or_default();
            if *count >= limit {
                return None;
            }
            *count = count.saturating_add(1);
        }
        Some(Entered { all: Arc::clone(self), ip })
    }
}

/// One connection of an address; leaves when dropped.
struct Entered {
    all: Arc<PerIp>,
    ip: IpAddr,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut open = self.all.open.lock();
        if let Some(count) = open.get_mut(&self.ip) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests;
