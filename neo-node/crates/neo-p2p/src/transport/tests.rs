use shared_vendor::clock::SystemClock;
use tokio::runtime::Handle;

use super::*;
use crate::payload::{Hashes, InventoryKind};

async fn hub(nonce: u32, limits: Limits) -> (Arc<Hub>, mpsc::Receiver<Event>, SocketAddr) {
    let (send, events) = mpsc::channel(100);
    let local = Local {
        network: 5,
        nonce,
        user_agent: "/test/".to_owned(),
        port: 1,
        compression: true,
        epoch: 1_700_000_000,
    };
    let tasks = Tasks::new(Handle::current());
    let hub = Hub::new(local, limits, send, Arc::new(SystemClock::default()), tasks.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listening = Arc::clone(&hub);
    tasks.spawn("listen", move |stop| async move {
        listening.listen(listener, stop).await;
        Ok(())
    });
    (hub, events, address)
}

const ROOM: Limits = Limits { total: 10, per_address: 3 };

#[tokio::test]
async fn two_hubs_connect_and_carry_messages() {
    let (_one, mut heard, address) = hub(1, ROOM).await;
    let (two, mut events, _) = hub(2, ROOM).await;
    two.dial(address);
    let Some(Event::Ready(ours)) = events.recv().await else { panic!("no connection") };
    let Some(Event::Ready(theirs)) = heard.recv().await else { panic!("no connection") };
    assert!(!ours.inbound && theirs.inbound && theirs.version.nonce == 2);
    let hashes = Hashes { kind: InventoryKind::Block, hashes: vec![neo_base::UInt256([4; 32])] };
    assert!(ours.orders.give(Input::Send(Message::Inventory(Box::new(hashes)))));
    let Some(Event::Message(id, Message::Inventory(_))) = heard.recv().await else { panic!("no message") };
    assert_eq!(id, theirs.id);
    assert!(ours.orders.give(Input::Close(End::Misbehaved)));
    assert!(matches!(events.recv().await, Some(Event::Closed { end: End::Misbehaved, was_ready: true, .. })));
    assert!(matches!(heard.recv().await, Some(Event::Closed { end: End::Closed, .. })));
    // A second dial to a node that is connected ends; to oneself too.
    two.dial(address);
    let Some(Event::Ready(_)) = events.recv().await else { panic!("no connection") };
    two.dial(address);
    assert!(matches!(events.recv().await, Some(Event::Closed { end: End::Duplicate | End::Closed, .. })));
}

#[tokio::test]
async fn bytes_that_are_no_message_end_the_connection() {
    let (_hub, mut events, address) = hub(1, ROOM).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[0, 0x2c, 0xff, 255, 255, 255, 255, 255, 255, 255, 255]).await.unwrap();
    assert!(matches!(events.recv().await, Some(Event::Closed { end: End::Malformed, was_ready: false, .. })));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut flood = vec![0, 0x2c, 0xfe, 0, 0, 0, 1];
    flood.resize(MAX_EARLY_BYTES + 100, 0);
    stream.write_all(&flood).await.unwrap();
    assert!(matches!(events.recv().await, Some(Event::Closed { end: End::Malformed, .. })));
}

#[tokio::test]
async fn connections_above_the_limit_are_closed() {
    let (_hub, mut events, address) = hub(1, Limits { total: 1, per_address: 3 }).await;
    let first = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    let mut greeting = [0; 1];
    assert_eq!(second.read(&mut greeting).await.unwrap_or_default(), 0, "closed without a word");
    drop(first);
    assert!(matches!(events.recv().await, Some(Event::Closed { end: End::Closed | End::Socket, .. })));
}
