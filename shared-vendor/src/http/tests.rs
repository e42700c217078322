use axum::routing::{get, post};
use tokio::io::AsyncReadExt;

use super::*;

async fn start(limits: Limits) -> (SocketAddr, Stop) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = Stop::never();
    let body_limits = limits.clone();
    let router = Router::new().route("/", get(|| async { "hello" })).route(
        "/size",
        post(move |request: Request| async move {
            match read_body(request.into_body(), &body_limits).await {
                Ok(bytes) => Ok(bytes.len().to_string()),
                Err(status) => Err(status),
            }
        }),
    );
    TaskTracker::new().spawn(serve(listener, router, limits, stop.clone()));
    (address, stop)
}

async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn serves_and_closes() {
    let (address, stop) = start(Limits::default()).await;
    let answer = exchange(address, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer}");
    stop.set();
}

#[tokio::test]
async fn a_silent_client_and_a_slow_header_are_closed_at_the_limit() {
    let limits = Limits { header_timeout: Duration::from_millis(100), ..Limits::default() };
    let (address, _stop) = start(limits).await;
    for half in [&b""[..], b"GET / HT"] {
        // Returns only because the server closes.
        let answer = tokio::time::timeout(Duration::from_secs(60), exchange(address, half)).await.unwrap();
        assert!(!answer.contains("200"), "{answer}");
    }
}

#[tokio::test]
async fn bodies_above_the_limit_are_413_and_slow_ones_408() {
    let limits = Limits { body_bytes: 10, body_timeout: Duration::from_millis(100), ..Limits::default() };
    let (address, _stop) = start(limits).await;
    let ask = |length: usize, body: &'static str| async move {
        let head = format!(
            "POST /size HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        exchange(address, head.as_bytes()).await
    };
    assert!(ask(10, "0123456789").await.ends_with("10"));
    assert!(ask(11, "0123456789a").await.starts_with("HTTP/1.1 413"));
    assert!(
        ask(11, "").await.starts_with("HTTP/1.1 413"),
        "refused by its announced length, before it comes"
    );
    let chunks = "POST /size HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n";
    assert!(
        exchange(address, chunks.as_bytes()).await.starts_with("HTTP/1.1 413"),
        "or when it has come so far"
    );
    assert!(ask(10, "012").await.starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn the_connection_above_the_limit_is_told_so() {
    let (address, _stop) = start(Limits { connections: 1, ..Limits::default() }).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut start_of_answer = [0; 15];
    first.read_exact(&mut start_of_answer).await.unwrap();
    assert!(exchange(address, b"").await.starts_with("HTTP/1.1 503"));
}

#[test]
fn addresses_are_counted_apart_and_loopback_is_exempt() {
    let all = Arc::new(PerIp::default());
    let far: IpAddr = "192.0.2.1".parse().unwrap();
    let first = all.enter(far, 1);
    assert!(first.is_some() && all.enter(far, 1).is_none());
    assert!(all.enter("192.0.2.2".parse().unwrap(), 1).is_some());
    assert!(all.enter("127.0.0.1".parse().unwrap(), 0).is_some());
    drop(first);
    assert!(all.enter(far, 1).is_some());
}
