//! One WebSocket connection: reads calls, writes answers and notifications, keeps the line alive, closes it when the
//! client does not keep up.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::ws::{CloseFrame, Message, WebSocket, close_code},
};
use tokio::{sync::mpsc, task::JoinSet};

use super::{Service, Session, server::Busy};
use crate::{http::Access, tasks::Stop};

/// A ping goes out after this time; a line on which nothing came in between two of them is dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

type Answer = Pin<Box<dyn Future<Output = Result<Option<Vec<u8>>, Busy>> + Send>>;

/// Serves the connection until the client leaves, lags or is silent, or the node stops.
pub(super) async fn serve<C: Send + Sync + 'static>(
    mut socket: WebSocket,
    service: Arc<Service<C>>,
    access: Access,
    stop: Stop,
) {
    let (session, mut unsent) = service.session();
    // Dropped with this function, which ends the feeds.
    let mut feeds = JoinSet::new();
    let farewell = exchange(&mut socket, &service, access, &session, &mut unsent, &mut feeds, &stop).await;
    if let Some((code, reason)) = farewell {
        let frame = CloseFrame { code, reason: reason.into() };
        let _ = tokio::time::timeout(Duration::from_secs(1), socket.send(Message::Close(Some(frame)))).await;
    }
}

/// Returns with what the client is to be told, if it still listens.
async fn exchange<C: Send + Sync + 'static>(
    socket: &mut WebSocket,
    service: &Arc<Service<C>>,
    access: Access,
    session: &Session,
    unsent: &mut mpsc::Receiver<String>,
    feeds: &mut JoinSet<()>,
    stop: &Stop,
) -> Option<(u16, &'static str)> {
    let mut running: Option<Answer> = None;
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    let mut heard = true;
    loop {
        tokio::select! {
            () = stop.wait() => return Some((close_code::AWAY, "the node stops")),
            () = session.lagging() => {
                if let Some(last) = service.lagging_notice() {
                    socket.send(Message::Text(last.to_string().into())).await.ok()?;
                }
                return Some((close_code::AGAIN, "too slow"));
            }
            // One call at a time: the next is read when this one is answered.
            message = socket.recv(), if running.is_none() => {
                heard = true;
                match message? {
                    Ok(Message::Text(text)) => running = Some(start(service, text.into(), access, session)),
                    Ok(Message::Binary(bytes)) => running = Some(start(service, bytes, access, session)),
                    Ok(Message::Ping(_) | Message::Pong(_)) => {}
                    Ok(Message::Close(_)) => return None,
                    Err(err) => {
                        let too_long = err.to_string().contains("too long");
                        return too_long.then_some((close_code::SIZE, "message too long"));
                    }
                }
            }
            answer = answered(&mut running), if running.is_some() => {
                running = None;
                match answer {
                    Ok(Some(bytes)) => {
                        let text = String::from_utf8(bytes).ok()?;
                        socket.send(Message::Text(text.into())).await.ok()?;
                    }
                    Ok(None) => {}
                    Err(busy) => {
                        tracing::debug!(%busy, "a connection is closed");
                        return Some((close_code::AGAIN, "Work queue depth exceeded"));
                    }
                }
                session.start(feeds);
            }
            Some(text) = unsent.recv() => socket.send(Message::Text(text.into())).await.ok()?,
            Some(_ended) = feeds.join_next() => {}
            _ = heartbeat.tick() => {
                if !heard && running.is_none() {
                    return None;
                }
                heard = false;
                socket.send(Message::Ping(Bytes::new())).await.ok()?;
            }
        }
    }
}

fn start<C: Send + Sync + 'static>(
    service: &Arc<Service<C>>,
    body: Bytes,
    access: Access,
    session: &Session,
) -> Answer {
    let (service, session) = (Arc::clone(service), session.clone());
    Box::pin(async move { service.handle_in(&body, access, Some(&session)).await })
}

async fn answered(running: &mut Option<Answer>) -> Result<Option<Vec<u8>>, Busy> {
    match running {
        Some(answer) => answer.await,
        None => std::future::pending().await,
    }
}
