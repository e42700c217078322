//! Alerts of the C++ node's own tests. They are those of its ancestor, signed with the key of Zcash; the key of Flux
//! must refuse them. What they must do is said by `src/test/alert_tests.cpp`.

use fluxd_consensus::{Network, Params};
use fluxd_p2p::{
    Message,
    alert::{Alert, Alerts, Refused, Warnings},
    message::version::PROTOCOL_VERSION,
};
use fluxd_primitives::{PublicKey, codec::Reader};
use shared_vendor::{
    hex,
    testing::vectors::{Cases, File},
};

/// The alert key of Zcash.
const SIGNED_WITH: &str = "04b7ecf0baa90495ceb4e4090f6b2fd37eec1e9c85fac68a487f3ce11589692e4a317479316ee814e066638e1db54e37a10689b70286e6315b1087b6615d179264";
/// When the tests take place.
const NOW: i64 = 11;
const ONE: &str = "/MagicBean:0.1.0/";
const TWO: &str = "/MagicBean:0.2.0/";
/// Number of an alert, version and program of a peer, whether it is meant (`AlertApplies`).
const MEANT: [(usize, i32, &str, bool); 17] = [
    (0, 1, "", true),
    (0, 999_001, "", true),
    (0, 1, "/MagicBean:11.11.11/", true),
    (1, 1, ONE, true),
    (1, 999_001, ONE, true),
    (2, 1, ONE, true),
    (2, 1, TWO, true),
    (0, -1, "", false),
    (0, 999_002, "", false),
    (1, 1, "", false),
    (1, 1, "MagicBean:0.1.0", false),
    (1, 1, "/MagicBean:0.1.0", false),
    (1, 1, "MagicBean:0.1.0/", false),
    (1, -1, ONE, false),
    (1, 999_002, ONE, false),
    (1, 1, TWO, false),
    (2, 1, "/MagicBean:0.3.0/", false),
];
/// What a shell is given for those that mean the node, one after the other (`AlertNotify`).
const NOTIFIED: [&str; 6] = [
    "Alert 1",
    "Alert 2, cancels 1",
    "Alert 2, cancels 1",
    "Alert 3, disables RPC",
    "Alert 4, reenables RPC",
    "Evil Alert; /bin/ls; echo ",
];
/// The alert that stops methods of RPC, and the one that ends that (`AlertDisablesRPC`).
const DISABLES: [(usize, &str); 2] = [(5, "RPC disabled"), (6, "")];

/// All messages of a file of them.
pub(crate) fn all(file: &File<'_>, cases: &mut Cases) {
    let messages = split(file.bytes);
    let key = PublicKey::from_serialized(&hex::decode(SIGNED_WITH).expect("a key"));
    let board = |key: &PublicKey| Alerts::new(key.clone(), PROTOCOL_VERSION, "/FluxRust:0.1.0/".to_owned());
    let mut alerts = Vec::new();
    for (number, (payload, signature)) in messages.iter().enumerate() {
        let message = Message::Alert(payload.clone(), signature.clone());
        let again = Message::decode(message.command(), &message.encode());
        cases.equal(format!("{number} as a message"), &again, &Ok(message));
        let alert = Alert::decode(payload).expect("an alert");
        cases.equal(format!("{number} again"), &hex::encode(alert.encode()), &hex::encode(payload));
        let signed = board(&key).accept(payload, signature, NOW).cloned();
        cases.equal(format!("{number} signature"), &signed, &Ok(alert.clone()));
        for network in [Network::Main, Network::Test, Network::Regtest] {
            let foreign = board(&Params::of(network).alert_key).accept(payload, signature, NOW).cloned();
            cases.equal(format!("{number} on {}", network.name()), &foreign, &Err(Refused::Signature));
        }
        let late = board(&key).accept(payload, signature, alert.expiration).cloned();
        cases.equal(format!("{number} when it has ended"), &late, &Err(Refused::Expired));
        alerts.push(alert);
    }
    for (number, version, agent, meant) in MEANT {
        let name = format!("{number} for {agent} {version}");
        cases.equal(name, &alerts[number].applies_to(version, agent, NOW), &meant);
    }

    let mut held = board(&key);
    let mut notified = Vec::new();
    for (payload, signature) in &messages {
        if let Ok(alert) = held.accept(payload, signature, NOW).cloned()
            && held.is_for_us(&alert, NOW)
        {
            notified.push(alert.safe_status());
        }
    }
    cases.equal("commands", &notified, &NOTIFIED.map(str::to_owned).to_vec());

    let mut held = board(&key);
    for (number, rpc) in DISABLES {
        let (payload, signature) = &messages[number];
        let taken = held.accept(payload, signature, NOW).map(|alert| alert.rpc_error.clone());
        cases.equal(format!("{number} for RPC"), &taken, &Ok(rpc.to_owned()));
        let warned = held.warnings(Warnings::default(), NOW).rpc;
        cases.equal(format!("RPC after {number}"), &warned, &rpc.to_owned());
    }
}

/// Messages one behind the other: signed part and signature, each with its length before it.
fn split(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut reader = Reader::new(bytes);
    let mut messages = Vec::new();
    while !reader.is_empty() {
        let mut part = || fluxd_primitives::codec::var_bytes(&mut reader).expect("a part");
        messages.push((part(), part()));
    }
    messages
}
