//! Messages between peers, signed addresses, and the rules of the handshake.

use avalanche_crypto::{bls, staking::Certificate};
use avalanche_net::{
    frame,
    handshake::{self, Context, HandshakeError},
    message,
    signed_ip::{UnsignedIp, gossip_id},
};
use avalanche_proto::p2p::{self, Envelope};
use prost::Message as _;
use ring::rand::SystemRandom;
use serde::Deserialize;
use serde_json::Value;
use shared_vendor::{
    hex,
    testing::vectors::{Cases, Claim, File},
};

use crate::{
    Shape,
    basics::{self, array, base64, bytes, id, pem_body},
};

pub(crate) fn claim(file: &File<'_>, shape: &Shape) -> Option<Claim> {
    if shape.is_list_of(&["op", "message", "frame", "fields"]) {
        Some(Claim::Run(messages))
    } else if shape.has(&["input_fields", "hex_frame"]) {
        Some(Claim::Run(oracle_message))
    } else if shape.is_list_of(&["staker", "preimage", "tls_signature"]) {
        Some(Claim::Run(signed_ips))
    } else if shape.has(&["as16_hex", "bytes_hex"]) && file.path.starts_with("go-oracle/") {
        Some(Claim::Run(oracle_ip))
    } else {
        None
    }
}

#[derive(Deserialize)]
struct Message {
    op: String,
    message: String,
    frame: String,
    zstd_wrapped_example: String,
    fields: Value,
}

fn messages(file: &File<'_>, cases: &mut Cases) {
    let vectors: Vec<Message> = file.parse();
    for vector in &vectors {
        let plain = bytes(&vector.message);
        let body = match message::decode(&plain) {
            Ok(body) => body,
            Err(error) => {
                cases.fail(&vector.op, &error, &"a message");
                continue;
            }
        };
        let case = |what: &str| format!("{} {what}", vector.op);
        let again = Envelope { body: Some(body.clone()) }.encode_to_vec();
        cases.equal(case("encoding"), &hex::encode(&again), &vector.message);
        cases.equal(case("frame"), &frame::encode(&again).map(hex::encode), &Ok(vector.frame.clone()));
        cases.equal(
            case("split"),
            &frame::split(&bytes(&vector.frame)),
            &Ok(Some((plain.as_slice(), &[][..]))),
        );
        let unwrapped = message::decode(&bytes(&vector.zstd_wrapped_example)).ok();
        cases.equal(case("compressed"), &unwrapped.as_ref(), &Some(&body));
        let sent = message::decode(&message::encode(body.clone())).ok();
        cases.equal(case("as sent"), &sent.as_ref(), &Some(&body));
        // Every field value of the vector must appear in what was decoded: numbers in the debug form, bytes likewise.
        let shown = format!("{body:?}");
        field_values(&vector.fields, &mut |value| {
            cases.check(case("field"), shown.contains(&value), || format!("{value} not in {shown}"));
        });
    }
}

/// Calls `seen` with the debug form of each number, bytes and text of a protobuf JSON value.
fn field_values(value: &Value, seen: &mut impl FnMut(String)) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("name" | "error_message", Value::String(text)) => seen(format!("{name}: {text:?}")),
                    ("engine_type", _) => seen("engine_type: Chain".to_owned()),
                    (_, Value::String(text)) if text.parse::<u64>().is_ok() => {
                        seen(format!("{name}: {text}"))
                    }
                    (_, Value::String(text)) => seen(format!("{name}: {:?}", base64(text))),
                    (_, Value::Number(number)) => seen(format!("{name}: {number}")),
                    (_, Value::Bool(flag)) => seen(format!("{name}: {flag}")),
                    (_, nested) => field_values(nested, seen),
                }
            }
        }
        Value::Array(values) => {
            for value in values {
                match value {
                    Value::String(text) if text.parse::<u64>().is_ok() => seen(text.clone()),
                    Value::String(text) => seen(format!("{:?}", base64(text))),
                    nested => field_values(nested, seen),
                }
            }
        }
        _ => {}
    }
}

/// A handshake with the vector's address passes; each broken rule has its error.
fn handshake_rules(vector: &SignedIp, file: &File<'_>, cases: &mut Cases) {
    let certificate = local_certificate(file, vector.staker);
    let secret = local_signer(file, vector.staker);
    let key = secret.public_key();
    let now = vector.timestamp;
    let good = p2p::Handshake {
        network_id: 12345,
        my_time: now,
        ip_addr: bytes(&vector.preimage)[..16].to_vec(),
        ip_port: u32::from(vector.port),
        ip_signing_time: vector.timestamp,
        ip_node_id_sig: bytes(&vector.tls_signature),
        ip_bls_sig: bytes(&vector.bls_pop_signature),
        client: Some(p2p::Client { major: 1, minor: 14, ..p2p::Client::default() }),
        tracked_subnets: vec![vec![7; 32]],
        known_peers: Some(p2p::BloomFilter { filter: vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0], salt: vec![0; 32] }),
        ..p2p::Handshake::default()
    };
    let context = Context {
        network_id: good.network_id,
        now,
        upgrade_time: 1_607_144_400,
        certificate: &certificate,
        validator_key: Some(&key),
    };
    let verdict = |change: &dyn Fn(&mut p2p::Handshake)| {
        let mut message = good.clone();
        change(&mut message);
        handshake::verify(&message, &context).map(|peer| peer.ip.address.port())
    };
    cases.equal("handshake", &verdict(&|_| {}), &Ok(vector.port));
    cases.equal("network", &verdict(&|m| m.network_id = 1), &Err(HandshakeError::Network(1)));
    cases.equal("late clock", &verdict(&|m| m.my_time = now + 61), &Err(HandshakeError::Clock(now + 61)));
    cases.equal("early clock", &verdict(&|m| m.my_time = now - 61), &Err(HandshakeError::Clock(now - 61)));
    let many = vec![vec![7; 32]; 17];
    cases.equal(
        "subnets",
        &verdict(&|m| m.tracked_subnets.clone_from(&many)),
        &Err(HandshakeError::TooManySubnets(17)),
    );
    cases.equal(
        "subnet",
        &verdict(&|m| m.tracked_subnets = vec![vec![7; 31]]),
        &Err(HandshakeError::SubnetId),
    );
    let empty = p2p::BloomFilter::default();
    let no_filter = verdict(&|m| m.known_peers = Some(empty.clone()));
    cases.check("empty filter", matches!(no_filter, Err(HandshakeError::KnownPeers(_))), || {
        format!("{no_filter:?}")
    });
    cases.equal("no known peers", &verdict(&|m| m.known_peers = None), &Ok(vector.port));
    let salted = verdict(&|m| {
        if let Some(known) = &mut m.known_peers {
            known.salt = vec![0; 33];
        }
    });
    cases.equal("salt", &salted, &Err(HandshakeError::Salt(33)));
    cases.equal("address", &verdict(&|m| m.ip_addr = vec![0; 5]), &Err(HandshakeError::Address(5)));
    cases.equal("short address", &verdict(&|m| m.ip_addr = m.ip_addr.split_off(12)), &Ok(vector.port));
    cases.equal("port", &verdict(&|m| m.ip_port = 65_536), &Err(HandshakeError::Port));
    cases.equal("wrapped port", &verdict(&|m| m.ip_port += 65_536), &Ok(vector.port));
    let signature = verdict(&|m| m.ip_node_id_sig[0] ^= 1);
    cases.check("TLS", matches!(signature, Err(HandshakeError::SignedIp(_))), || format!("{signature:?}"));
    let future = verdict(&|m| m.ip_signing_time = now + 61);
    cases.check("future", matches!(future, Err(HandshakeError::SignedIp(_))), || format!("{future:?}"));
    cases.equal("BLS", &verdict(&|m| m.ip_bls_sig.clear()), &Err(HandshakeError::BlsSignature));
    let other = secret.sign_possession(b"other").to_bytes().to_vec();
    cases.equal("BLS key", &verdict(&|m| m.ip_bls_sig.clone_from(&other)), &Err(HandshakeError::BlsKey));
    let old = verdict(&|m| m.client = None);
    cases.check("version", matches!(old, Err(HandshakeError::Version(_))), || format!("{old:?}"));
}

fn local_certificate(file: &File<'_>, staker: usize) -> Certificate {
    let path = file.root().join(format!("staking_local/staker{staker}.crt"));
    Certificate::parse(&pem_body(&std::fs::read_to_string(path).expect("a certificate file")))
        .expect("a certificate")
}

fn local_signer(file: &File<'_>, staker: usize) -> bls::SecretKey {
    let path = file.root().join(format!("staking_local/signer{staker}.key"));
    let secret = std::fs::read(path).expect("a key file");
    bls::SecretKey::from_bytes(&secret.try_into().expect("32 bytes")).expect("a key")
}

fn oracle_message(file: &File<'_>, cases: &mut Cases) {
    let json = file.json();
    let framed = bytes(json["hex_frame"].as_str().expect("a text"));
    let plain = match frame::split(&framed) {
        Ok(Some((plain, []))) => plain,
        other => return cases.fail("frame", &other, &"one message"),
    };
    let body = match message::decode(plain) {
        Ok(body) => body,
        Err(error) => return cases.fail("message", &error, &"a message"),
    };
    let shown = format!("{body:?}");
    cases.equal("encoding", &hex::encode(Envelope { body: Some(body) }.encode_to_vec()), &hex::encode(plain));
    for (name, value) in json["input_fields"].as_object().expect("fields") {
        let expected = match value {
            Value::String(text) => format!("{:?}", bytes(text)),
            Value::Number(number) => format!("{name}: {number}"),
            Value::Bool(flag) => format!("{name}: {flag}"),
            Value::Array(values) if values.iter().all(Value::is_number) => {
                format!("{name}: {:?}", values.iter().filter_map(Value::as_u64).collect::<Vec<_>>())
            }
            _ => continue,
        };
        cases.check(name, shown.contains(&expected), || format!("{expected} not in {shown}"));
    }
}

#[derive(Deserialize)]
struct SignedIp {
    staker: usize,
    ip: String,
    port: u16,
    timestamp: u64,
    preimage: String,
    tls_signature: String,
    bls_pop_signature: String,
    gossip_id: String,
}

fn signed_ips(file: &File<'_>, cases: &mut Cases) {
    let vectors: Vec<SignedIp> = file.parse();
    let v4 = |vector: &&SignedIp| vector.ip.contains('.');
    if let Some(vector) = vectors.iter().find(v4) {
        handshake_rules(vector, file, cases);
    }
    for vector in vectors {
        let address = (vector.ip.parse::<std::net::IpAddr>().expect("an address"), vector.port).into();
        let ip = UnsignedIp { address, timestamp: vector.timestamp };
        cases.equal("preimage", &hex::encode(ip.preimage()), &vector.preimage);
        let certificate = local_certificate(file, vector.staker);
        let signature = bytes(&vector.tls_signature);
        let signed =
            basics::local_key(&file.root(), vector.staker).sign(&ip.preimage(), &SystemRandom::new());
        cases.equal("TLS signature made", &signed.map(hex::encode), &Ok(vector.tls_signature.clone()));
        cases.equal("TLS signature", &ip.verify_tls(&certificate, &signature, vector.timestamp), &Ok(()));
        cases.check(
            "future",
            ip.verify_tls(&certificate, &signature, vector.timestamp - 1).is_err(),
            String::new,
        );
        let key = local_signer(file, vector.staker);
        cases.equal("BLS signature", &hex::encode(ip.sign_bls(&key).to_bytes()), &vector.bls_pop_signature);
        let signature = bls::Signature::from_bytes(&array(&vector.bls_pop_signature)).expect("a signature");
        cases.check("BLS verifies", ip.verify_bls(&key.public_key(), &signature), String::new);
        cases.equal("gossip id", &gossip_id(certificate.node_id(), vector.timestamp), &id(&vector.gossip_id));
    }
}

fn oracle_ip(file: &File<'_>, cases: &mut Cases) {
    #[derive(Deserialize)]
    struct Vector {
        ip: std::net::IpAddr,
        port: u16,
        timestamp: u64,
        bytes_hex: String,
    }
    let vector: Vector = file.parse();
    let ip = UnsignedIp { address: (vector.ip, vector.port).into(), timestamp: vector.timestamp };
    cases.equal("preimage", &hex::encode(ip.preimage()), &vector.bytes_hex);
}
