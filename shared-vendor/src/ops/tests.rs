use std::io::{Read, Write};

use super::*;
use crate::clock::ManualClock;

fn start() -> (Server, State, ManualClock) {
    let clock = ManualClock::default();
    let state = State {
        status: StatusCell::default(),
        registry: Registry::new("demo"),
        openrpc: Arc::default(),
        clock: Arc::new(clock.clone()),
        log: Recent::default(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (Server::start(listener, Guard::default(), state.clone()).unwrap(), state, clock)
}

fn get(server: &Server, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn status_of(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[test]
fn ready_only_when_synced_with_a_peer() {
    let (server, state, clock) = start();
    assert_eq!(status_of(&get(&server, "/startupz")), "503");
    let starting = get(&server, "/readyz");
    assert!(starting.starts_with("HTTP/1.1 503") && starting.contains("retry-after: 5"), "{starting}");
    state.status.update(clock.now(), |status| {
        status.phase = Phase::Synced;
        status.peers_out = 1;
    });
    assert_eq!(status_of(&get(&server, "/startupz")), "200");
    assert_eq!(status_of(&get(&server, "/ready")), "200");
    assert!(get(&server, "/healthz").contains("\"healthy\":true"));
    server.stop();
}

#[test]
fn a_loop_that_stops_ticking_is_not_alive() {
    let (server, state, clock) = start();
    let beat = state.status.beat("sync", clock.now());
    clock.advance(Duration::from_secs(61));
    let answer = get(&server, "/livez");
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("stuck: sync"), "{answer}");
    beat.tick(clock.now());
    assert_eq!(status_of(&get(&server, "/livez")), "200");
    server.stop();
}

#[test]
fn the_page_escapes_what_it_shows_and_forbids_scripts() {
    let (server, state, clock) = start();
    state.status.update(clock.now(), |status| {
        status.daemon = "demo";
        status.sentence = "<script>alert('x')</script>".to_owned();
        status.sections.push(Section {
            title: "Peers".into(),
            columns: vec!["a&b".into()],
            rows: vec![vec!["\u{1b}[2J".into()]],
        });
    });
    let page = get(&server, "/");
    assert!(page.contains("content-security-policy: default-src 'none'"), "{page}");
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script"));
    assert!(page.contains("a&amp;b") && !page.contains('\u{1b}'));
    assert_eq!(status_of(&get(&server, "/../etc/passwd")), "404");
    server.stop();
}

#[test]
fn metrics_have_the_content_type_of_the_text_format() {
    let (server, state, _) = start();
    state.registry.counter("things_total", "Things").inc();
    let answer = get(&server, "/metrics");
    assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{answer}");
    assert!(answer.contains("demo_things_total 1"));
    server.stop();
}
