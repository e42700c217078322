//! The operations server: health, metrics, status page. It has its own thread and runtime, so that it answers while the
//! daemon is busy, and it only reads: the daemon writes what it knows into a [`StatusCell`].

pub(crate) mod page;
mod status;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, OnceLock},
    thread::JoinHandle,
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State as Shared},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

pub use status::{Beat, Check, Phase, Section, Status, StatusCell, Warning};

use crate::{
    clock::Clock,
    http::{self, Guard},
    log::Recent,
    metrics::Registry,
    tasks::Stop,
};

/// What the server shows. Clones share everything.
#[derive(Clone)]
pub struct State {
    /// What the daemon knows of itself.
    pub status: StatusCell,
    /// Its metrics.
    pub registry: Registry,
    /// The OpenRPC document; empty until the daemon has set it.
    pub openrpc: Arc<OnceLock<Value>>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// The newest lines of the log.
    pub log: Recent,
}

/// The running server. Dropping it leaves it running; [`Server::stop`] ends it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Stop,
    thread: JoinHandle<()>,
}

impl Server {
    /// Starts to serve on a bound listener.
    ///
    /// # Errors
    /// The runtime or the thread could not be made.
    pub fn start(listener: TcpListener, guard: Guard, state: State) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = Stop::never();
        let until = stop.clone();
        let limits = http::Limits { connections: 64, body_bytes: 0, ..http::Limits::default() };
        let thread = std::thread::Builder::new().name("ops".to_owned()).spawn(move || {
            runtime.block_on(async move {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => http::serve(listener, router(guard, state), limits, until).await,
                    Err(err) => tracing::error!(%err, "the operations server cannot listen"),
                }
            });
            runtime.shutdown_timeout(Duration::from_millis(200));
        })?;
        Ok(Self { address, stop, thread })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it and waits for its thread.
    pub fn stop(self) {
        self.stop.set();
        let _ = self.thread.join();
    }
}

/// Every path of the server; anything else is 404, any method but GET is 405.
fn router(guard: Guard, state: State) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/healthy", get(livez))
        .route("/readyz", get(readyz))
        .route("/ready", get(readyz))
        .route("/healthz", get(healthz))
        .route("/health", get(healthz))
        .route("/startupz", get(startupz))
        .route("/metrics", get(metrics))
        .route("/log", get(log))
        .route(
            "/status.json",
            get(|Shared(state): Shared<State>| async move { json_body(&json!(state.status.read())) }),
        )
        .route("/", get(page))
        .route("/status", get(page))
        .route("/version", get(version))
        .route("/openrpc.json", get(openrpc))
        .layer(middleware::from_fn_with_state(Arc::new(guard), guarded))
        .with_state(state)
}

async fn guarded(
    Shared(guard): Shared<Arc<Guard>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if let Err(refusal) = guard.check(request.headers(), client.ip()) {
        return (refusal.status(), refusal.to_string()).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, page::CONTENT_SECURITY_POLICY),
    ] {
        headers.insert::<HeaderName>(name, HeaderValue::from_static(value));
    }
    response
}

async fn livez(Shared(state): Shared<State>) -> Response {
    match state.status.stuck(state.clock.now()) {
        stuck if stuck.is_empty() => "ok\n".into_response(),
        stuck => (StatusCode::SERVICE_UNAVAILABLE, format!("stuck: {}\n", stuck.join(", "))).into_response(),
    }
}

async fn readyz(Shared(state): Shared<State>) -> Response {
    let failing: Vec<String> = state
        .status
        .checks(state.clock.now())
        .into_iter()
        .filter(|check| !check.ok)
        .map(|check| format!("{}: {}\n", check.name, check.message))
        .collect();
    if failing.is_empty() { "ready\n".into_response() } else { unavailable(failing.concat()) }
}

async fn healthz(Shared(state): Shared<State>) -> Response {
    let checks = state.status.checks(state.clock.now());
    let healthy = checks.iter().all(|check| check.ok);
    json_body(&json!({ "healthy": healthy, "checks": checks }))
}

async fn startupz(Shared(state): Shared<State>) -> Response {
    match state.status.read().phase {
        Phase::Starting => unavailable("starting\n".to_owned()),
        _ => "started\n".into_response(),
    }
}

async fn metrics(Shared(state): Shared<State>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.registry.encode())
        .into_response()
}

/// The newest lines, for this machine only: they name peers.
async fn log(Shared(state): Shared<State>, ConnectInfo(client): ConnectInfo<SocketAddr>) -> Response {
    if client.ip().to_canonical().is_loopback() {
        state.log.text().into_response()
    } else {
        StatusCode::FORBIDDEN.into_response()
    }
}

async fn page(Shared(state): Shared<State>) -> Html<String> {
    Html(page::render(&state.status.read(), &state.status.history()))
}

async fn version(Shared(state): Shared<State>) -> Response {
    let status = state.status.read();
    json_body(&json!({ "name": status.daemon, "version": status.version, "commit": status.commit }))
}

async fn openrpc(Shared(state): Shared<State>) -> Response {
    match state.openrpc.get() {
        Some(document) => json_body(document),
        None => unavailable("starting\n".to_owned()),
    }
}

fn json_body(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn unavailable(text: String) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], text).into_response()
}

#[cfg(test)]
mod tests;
