//! Runs calls: access, limits, time, metrics; and mounts them on an axum router.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State, WebSocketUpgrade},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::Value;
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};

use super::{
    Dialect, Error, Limits, Methods, Params, Session,
    envelope::{self, Call, Incoming},
    socket,
};
use crate::{
    http::{self, Access, Guard, Refusal},
    metrics::{Counter, Gauge, Histogram, Labelled, Registry},
    tasks::Stop,
};

/// The methods with their context: everything but the transport.
pub struct Service<C> {
    methods: Methods<C>,
    ctx: Arc<C>,
    dialect: Dialect,
    limits: Limits,
    running: Semaphore,
    sockets: Arc<Semaphore>,
    metrics: Metrics,
}

struct Metrics {
    requests: Labelled<Counter>,
    durations: Labelled<Histogram>,
    rejected: Labelled<Counter>,
    queue: Gauge,
    connections: Labelled<Gauge>,
}

impl<C: Send + Sync + 'static> Service<C> {
    /// Puts the parts together and registers the `rpc_*` metrics.
    ///
    /// # Panics
    /// The metrics are registered already: one service per registry.
    #[must_use]
    pub fn new(
        methods: Methods<C>,
        ctx: Arc<C>,
        dialect: Dialect,
        limits: Limits,
        registry: &Registry,
    ) -> Arc<Self> {
        let metrics = Metrics {
            requests: registry.counters("rpc_requests_total", &["method", "outcome"], "RPC calls"),
            durations: registry.durations("rpc_request_duration_seconds", &["method"], "Time of RPC calls"),
            rejected: registry.counters(
                "rpc_rejected_total",
                &["reason"],
                "RPC requests refused before they ran",
            ),
            queue: registry.gauge("rpc_queue_depth", "RPC requests waiting for their turn"),
            connections: registry.gauges("rpc_connections", &["kind"], "Open RPC connections that stay"),
        };
        let running = Semaphore::new(limits.running);
        let sockets = Arc::new(Semaphore::new(limits.sockets));
        Arc::new(Self { methods, ctx, dialect, limits, running, sockets, metrics })
    }

    /// Answers one body; `None` when it held notifications only.
    ///
    /// # Errors
    /// [`Busy`]: too many requests wait already.
    pub async fn handle(&self, body: &[u8], access: Access) -> Result<Option<Vec<u8>>, Busy> {
        self.handle_in(body, access, None).await
    }

    /// As [`Self::handle`], for calls that came over a connection that stays.
    pub(super) async fn handle_in(
        &self,
        body: &[u8],
        access: Access,
        session: Option<&Session>,
    ) -> Result<Option<Vec<u8>>, Busy> {
        let _turn = self.turn().await?;
        let reply = match envelope::read(body, &self.limits, &self.dialect) {
            Err(refused) => {
                self.metrics.rejected.with(&["malformed"]).inc();
                Some(refused)
            }
            Ok(Incoming::One(request)) => self.answer(request, access, session).await,
            Ok(Incoming::Many(requests)) if requests.is_empty() => {
                Some(envelope::answer(Value::Null, Err((self.dialect.invalid_request)())))
            }
            Ok(Incoming::Many(requests)) => {
                let mut answers = Vec::with_capacity(requests.len());
                for request in requests {
                    answers.extend(self.answer(request, access, session).await);
                }
                (!answers.is_empty()).then_some(Value::Array(answers))
            }
        };
        Ok(reply.map(|reply| self.bounded(&reply)))
    }

    /// The table, for `rpc.discover` and the ops server.
    #[must_use]
    pub fn methods(&self) -> &Methods<C> {
        &self.methods
    }

    /// A new session within the limits, and the end its socket reads.
    pub(super) fn session(&self) -> (Session, mpsc::Receiver<String>) {
        Session::open(self.limits.subscriptions, self.limits.unsent)
    }

    /// What a client that lags is told last.
    pub(super) fn lagging_notice(&self) -> Option<Value> {
        (self.dialect.lagging)()
    }

    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Busy> {
        if let Ok(turn) = self.running.try_acquire() {
            return Ok(turn);
        }
        if self.metrics.queue.get() >= f64::from(u32::try_from(self.limits.queue).unwrap_or(u32::MAX)) {
            self.metrics.rejected.with(&["busy"]).inc();
            return Err(Busy);
        }
        let waiting = Waiting::enter(&self.metrics.queue);
        let turn = self.running.acquire().await.map_err(|_| Busy);
        drop(waiting);
        turn
    }

    async fn answer(
        &self,
        request: envelope::Request,
        access: Access,
        session: Option<&Session>,
    ) -> Option<Value> {
        match request {
            envelope::Request::Invalid { id, error } => {
                self.metrics.rejected.with(&["malformed"]).inc();
                Some(envelope::answer(id, Err(error)))
            }
            envelope::Request::Call(Call { method, params, id }) => {
                let result = self.call(&method, params, access, session).await;
                id.map(|id| envelope::answer(id, result))
            }
        }
    }

    async fn call(
        &self,
        name: &str,
        params: Option<Value>,
        access: Access,
        session: Option<&Session>,
    ) -> Result<Value, Error> {
        let Some(method) = self.methods.find(name) else {
            self.metrics.requests.with(&["unknown", "error"]).inc();
            return Err((self.dialect.method_not_found)(name));
        };
        let started = Instant::now();
        let result = match (method.spec.access, access) {
            (Access::Full, Access::Open) => Err((self.dialect.forbidden)(name)),
            _ if method.needs_session && session.is_none() => Err((self.dialect.no_session)(name)),
            _ => match Params::read(params, method.spec.params) {
                Err(error) => Err(error),
                Ok(params) => {
                    let running = (method.handler)(Arc::clone(&self.ctx), session.cloned(), params);
                    tokio::time::timeout(self.limits.timeout, running)
                        .await
                        .unwrap_or_else(|_| Err(Error::new(-32002, "request timed out")))
                }
            },
        };
        let outcome = if result.is_ok() { "ok" } else { "error" };
        self.metrics.requests.with(&[method.spec.name, outcome]).inc();
        self.metrics.durations.with(&[method.spec.name]).observe(started.elapsed().as_secs_f64());
        result
    }

    fn bounded(&self, reply: &Value) -> Vec<u8> {
        let bytes = reply.to_string().into_bytes();
        if bytes.len() <= self.limits.reply_bytes {
            return bytes;
        }
        let id = reply.get("id").cloned().unwrap_or_default();
        let error = Error::new(-32003, "response too large");
        envelope::answer(id, Err(error)).to_string().into_bytes()
    }
}

/// Too many requests wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Work queue depth exceeded")]
pub struct Busy;

struct Waiting<'a>(&'a Gauge);

impl<'a> Waiting<'a> {
    fn enter(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A service behind HTTP.
pub struct Server<C> {
    /// The methods.
    pub service: Arc<Service<C>>,
    /// Who may ask.
    pub guard: Guard,
    /// Size and time of bodies.
    pub http: http::Limits,
}

impl<C: Send + Sync + 'static> Server<C> {
    /// A router that answers POST on each of `paths`. Give it to [`http::serve`].
    pub fn router(self, paths: &[&str]) -> Router {
        self.router_with_sockets(paths, &[], Stop::never())
    }

    /// As [`Self::router`], and WebSocket connections on each of `sockets` until `stop`.
    pub fn router_with_sockets(self, paths: &[&str], sockets: &[&str], stop: Stop) -> Router {
        let state = Arc::new(Shared { server: self, stop });
        let calls = paths.iter().fold(Router::new(), |router, path| {
            router.route(path, post(answer::<C>).options(preflight::<C>))
        });
        sockets.iter().fold(calls, |router, path| router.route(path, get(upgrade::<C>))).with_state(state)
    }
}

struct Shared<C> {
    server: Server<C>,
    stop: Stop,
}

impl<C> Shared<C> {
    /// The guard's verdict on a request, or the answer that refuses it.
    async fn check(&self, headers: &HeaderMap, client: SocketAddr) -> Result<Access, Response> {
        match self.server.guard.check(headers, client.ip()) {
            Ok(access) => Ok(access),
            Err(refusal) => {
                self.server.service.metrics.rejected.with(&["guard"]).inc();
                if refusal == Refusal::Credentials {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                Err((refusal.status(), refusal.to_string()).into_response())
            }
        }
    }
}

async fn answer<C: Send + Sync + 'static>(
    State(shared): State<Arc<Shared<C>>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let access = match shared.check(request.headers(), client).await {
        Ok(access) => access,
        Err(refused) => return refused,
    };
    let body = match http::read_body(request.into_body(), &shared.server.http).await {
        Ok(body) => body,
        Err(status) => return status.into_response(),
    };
    let mut response = match shared.server.service.handle(&body, access).await {
        Ok(Some(reply)) => ([(header::CONTENT_TYPE, "application/json")], reply).into_response(),
        Ok(None) => StatusCode::OK.into_response(),
        Err(busy) => {
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], busy.to_string()).into_response()
        }
    };
    if let Some(origin) = origin {
        // Only listed origins come this far.
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}

/// What a web page's browser asks before it sends JSON.
async fn preflight<C: Send + Sync + 'static>(
    State(shared): State<Arc<Shared<C>>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    if let Err(refused) = shared.check(&headers, client).await {
        return refused;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(origin) = headers.get(header::ORIGIN) {
        let allowed = [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
            (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST")),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type, authorization")),
            (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600")),
        ];
        response.headers_mut().extend(allowed);
    }
    response
}

async fn upgrade<C: Send + Sync + 'static>(
    State(shared): State<Arc<Shared<C>>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let access = match shared.check(&headers, client).await {
        Ok(access) => access,
        Err(refused) => return refused,
    };
    let service = Arc::clone(&shared.server.service);
    let Ok(slot) = Arc::clone(&service.sockets).try_acquire_owned() else {
        service.metrics.rejected.with(&["sockets"]).inc();
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")]).into_response();
    };
    let bytes = shared.server.http.body_bytes;
    upgrade.max_message_size(bytes).max_frame_size(bytes).on_upgrade(async move |socket| {
        let open = service.metrics.connections.with(&["ws"]);
        open.inc();
        socket::serve(socket, service, access, shared.stop.clone()).await;
        open.dec();
        drop(slot);
    })
}
