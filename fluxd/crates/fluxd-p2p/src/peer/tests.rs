use rand::SeedableRng;

use super::*;
use crate::message::address::TimedAddress;

fn local(nonce: u64) -> Local {
    Local {
        services: NODE_NETWORK,
        user_agent: "/Flux:1/".into(),
        height: 7,
        nonce,
        least_version: 170_020,
        time: 1000,
        address: NetAddress::default(),
        relay: true,
    }
}

fn there() -> SocketAddr {
    "10.0.0.1:1".parse().unwrap()
}

fn peer(inbound: bool) -> (Peer, Vec<Effect>) {
    let mut out = Vec::new();
    let peer = Peer::start(Time::ZERO, local(5), inbound, there(), StdRng::seed_from_u64(1), &mut out);
    (peer, out)
}

fn give(peer: &mut Peer, now: Time, message: &Message) -> Vec<Effect> {
    let mut out = Vec::new();
    let frame = Frame { command: message.command().to_owned(), payload: message.encode() };
    peer.step(now, Input::Frame(frame), &mut out);
    out
}

fn version(number: i32, nonce: u64) -> Message {
    Message::Version(Version {
        version: number,
        services: 1,
        time: 1010,
        receiver: NetAddress::default(),
        sender: NetAddress::default(),
        nonce,
        user_agent: "/Magic\u{1b}Bean/".into(),
        height: 3,
        relay: true,
    })
}

fn sent(out: &[Effect]) -> Vec<&str> {
    out.iter()
        .filter_map(|one| if let Effect::Send(command, _) = one { Some(command.as_str()) } else { None })
        .collect()
}

fn ready(inbound: bool) -> Peer {
    let (mut peer, _) = peer(inbound);
    give(&mut peer, Time::ZERO, &version(170_021, 9));
    give(&mut peer, Time::ZERO, &Message::Verack);
    assert!(peer.ready);
    peer
}

#[test]
fn who_dials_speaks_first_and_asks_for_addresses() {
    let (mut dialled, out) = peer(false);
    assert_eq!(sent(&out), ["version"]);
    let out = give(&mut dialled, Time::ZERO, &version(170_021, 9));
    assert_eq!(sent(&out), ["verack", "getaddr"]);
    let out = give(&mut dialled, Time::ZERO, &Message::Verack);
    assert_eq!(sent(&out), ["sendheaders", "sendcmpct"]);
    let Some(Effect::Ready(remote)) = out.last() else { unreachable!("{out:?}") };
    assert_eq!((remote.user_agent.as_str(), remote.time_offset), ("/MagicBean/", 10));

    let (mut accepted, out) = peer(true);
    assert!(out.is_empty());
    assert_eq!(sent(&give(&mut accepted, Time::ZERO, &version(170_020, 9))), ["version", "verack"]);
    assert_eq!(sent(&give(&mut accepted, Time::ZERO, &Message::Verack)), [""; 0]);
}

#[test]
fn old_peers_and_ourselves_are_parted_from() {
    let (mut old, _) = peer(true);
    let out = give(&mut old, Time::ZERO, &version(170_019, 9));
    assert_eq!((sent(&out), out.last()), (vec!["reject"], Some(&Effect::End(End::Obsolete))));
    let (mut mirror, _) = peer(true);
    assert_eq!(give(&mut mirror, Time::ZERO, &version(170_021, 5)), [Effect::End(End::Ourselves)]);
    let mut later = ready(true);
    let mut out = Vec::new();
    later.step(Time::ZERO, Input::Require(170_022), &mut out);
    assert_eq!(out, [Effect::End(End::Obsolete)]);
}

#[test]
fn a_handshake_that_hangs_and_a_peer_that_falls_silent_end() {
    let mut out = Vec::new();
    let (mut silent, _) = peer(true);
    let at = silent.deadline().unwrap();
    silent.step(at, Input::Tick, &mut out);
    assert_eq!(out, [Effect::End(End::Handshake)]);

    let mut silent = ready(true);
    let mut pings = 0;
    loop {
        out.clear();
        let at = silent.deadline().unwrap();
        silent.step(at, Input::Tick, &mut out);
        match out.as_slice() {
            [Effect::End(End::Silent)] => break assert_eq!(at, Time::from_millis(360_000)),
            [Effect::Send(command, _)] if command == "ping" => pings += 1,
            [] => {}
            other => unreachable!("{other:?}"),
        }
    }
    assert_eq!((pings, silent.deadline()), (1, None));
}

#[test]
fn a_pong_with_the_right_nonce_measures_the_way() {
    let mut peer = ready(false);
    let mut out = Vec::new();
    peer.step(Time::from_millis(10), Input::Ping, &mut out);
    let Some(Effect::Send(_, payload)) = out.pop() else { unreachable!() };
    let nonce = u64::from_le_bytes(payload.try_into().unwrap());
    give(&mut peer, Time::from_millis(40), &Message::Pong(Some(nonce ^ 1)));
    assert_eq!((peer.numbers().ping, peer.numbers().ping_sent), (None, Some(Time::from_millis(10))));
    give(&mut peer, Time::from_millis(60), &Message::Pong(Some(nonce)));
    assert_eq!((peer.numbers().ping, peer.numbers().ping_sent), (Some(Duration::from_millis(50)), None));
    let asked = Message::Ping(Some(4));
    assert_eq!(give(&mut peer, Time::ZERO, &asked), [Effect::Deliver(asked)], "the node answers in its turn");
}

#[test]
fn addresses_above_one_in_ten_seconds_are_dropped_unless_we_asked() {
    let address = TimedAddress { time: 1, address: NetAddress::new(1, there()) };
    let many = Message::Addr(vec![address; 600]);
    let taken = |out: Vec<Effect>| match out.as_slice() {
        [Effect::Deliver(Message::Addr(addresses))] => addresses.len(),
        other => unreachable!("{other:?}"),
    };
    let mut uninvited = ready(true);
    assert_eq!(taken(give(&mut uninvited, Time::ZERO, &many)), 1);
    assert_eq!(taken(give(&mut uninvited, Time::from_millis(100_000), &many)), 10);
    assert_eq!(uninvited.numbers().addresses_dropped, 599 + 590);
    let mut asked = ready(false);
    assert_eq!(taken(give(&mut asked, Time::ZERO, &many)), 600);
    assert_eq!(taken(give(&mut asked, Time::ZERO, &many)), 401);
}

#[test]
fn offences_add_up_to_the_end() {
    let mut peer = ready(true);
    let frame = || Frame { command: "inv".into(), payload: vec![5, 1] };
    let mut out = Vec::new();
    for round in 1..=10 {
        out.clear();
        peer.step(Time::ZERO, Input::Frame(frame()), &mut out);
        assert!(out.contains(&Effect::Offence(round * 10, "malformed message")), "{out:?}");
    }
    assert_eq!(out.last(), Some(&Effect::End(End::Misbehaved)));
    assert!(give(&mut peer, Time::ZERO, &Message::Ping(Some(1))).is_empty());

    let (mut rude, _) = self::peer(true);
    assert_eq!(give(&mut rude, Time::ZERO, &Message::Verack), [Effect::Offence(1, "message before version")]);
}
