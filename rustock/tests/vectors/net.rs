//! Runners for what travels between nodes: handshakes, frames, compression.

use rustock::rlpx::{
    Ack, Auth, FrameCodec, Initiator, Message, NodeId, NodeKey, Reassembly, Responder, Secrets, Transcript,
    snappy,
};
use rustock::{
    discovery::packet,
    wire::{p2p, rsk},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use shared_vendor::{
    hex,
    testing::vectors::{Cases, Claim, File},
};

/// Claims the files of this area by folder and shape.
pub fn claim(file: &File<'_>) -> Option<Claim> {
    let (folder, _) = file.path.split_once('/')?;
    let json: Value = serde_json::from_slice(file.bytes).ok()?;
    match folder {
        "rlpx" if json.get("handshake").is_some() && json.get("frames").is_some() => {
            Some(Claim::Run(session))
        }
        "rlpx" if json.get("nonces").is_some() && json.get("tests").is_some() => Some(Claim::Run(eip8)),
        "rlpx" if json.pointer("/0/compressed").is_some() => Some(Claim::Run(snappy_blocks)),
        "discovery" if json.get("packets").is_some() => Some(Claim::Run(discovery)),
        "snap" => Some(Claim::Run(messages)),
        _ => None,
    }
}

type Outcome<T> = Result<T, String>;

fn text<'a>(value: &'a Value, name: &str) -> Outcome<&'a str> {
    value.get(name).and_then(Value::as_str).ok_or_else(|| format!("no text field {name}"))
}

fn bytes(value: &Value, name: &str) -> Outcome<Vec<u8>> {
    hex::decode(text(value, name)?).map_err(|err| format!("{name}: {err}"))
}

fn array<const N: usize>(value: &Value, name: &str) -> Outcome<[u8; N]> {
    hex::decode_array(text(value, name)?).map_err(|err| format!("{name}: {err}"))
}

fn key(value: &Value, name: &str) -> Outcome<NodeKey> {
    NodeKey::from_bytes(array(value, name)?).map_err(|err| format!("{name}: {err}"))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, actual: &T, expected: &T) -> Outcome<()> {
    if actual == expected {
        Ok(())
    } else {
        Err(format!("{what}\n      actual   {actual:02x?}\n      expected {expected:02x?}"))
    }
}

fn show(err: impl std::fmt::Display) -> String {
    err.to_string()
}

/// A captured session: derive the secrets from the keys, decrypt what came in, re-create what went out.
fn session(file: &File<'_>, cases: &mut Cases) {
    let json = file.json();
    let mut codec = None;
    cases.case("handshake", || {
        codec = Some(session_handshake(&json)?);
        Ok(())
    });
    let Some(mut codec) = codec else { return };
    let mut chunks = Reassembly::default();
    let mut open_payload: Option<Vec<u8>> = None;
    for (index, frame) in json["frames"].as_array().into_iter().flatten().enumerate() {
        let name = format!("frame {index} {}", frame["dir"]);
        cases.case(name, || session_frame(frame, &mut codec, &mut chunks, &mut open_payload));
    }
    cases.check("no message is left half-received", open_payload.is_none(), || "chunks are missing".into());
}

fn session_handshake(json: &Value) -> Outcome<FrameCodec> {
    let shake = &json["handshake"];
    let responder = key(json, "recipient_static_private")?;
    let initiator = key(shake, "initiator_static")?;
    let ephemeral = key(shake, "initiator_ephemeral")?;
    let nonce = array(shake, "initiator_nonce")?;
    let (auth, ack) = (bytes(shake, "auth")?, bytes(shake, "ack")?);

    let seen = Auth::open(&responder, &auth).map_err(show)?;
    same("auth", &seen, &Auth { remote: initiator.id(), ephemeral: ephemeral.id(), nonce })?;
    same("responder", &responder.id(), &NodeId(array(shake, "recipient_static_pub")?))?;
    let answered = Ack::open(&initiator, &ack).map_err(show)?;
    let expected = Ack {
        ephemeral: NodeId(array(shake, "recipient_ephemeral_pub")?),
        nonce: array(shake, "recipient_nonce")?,
    };
    same("ack", &answered, &expected)?;

    let mut machine = Initiator::resume(initiator, responder.id(), ephemeral, nonce, auth);
    let mut rest = ack.as_slice();
    loop {
        let (now, later) = rest.split_at_checked(machine.needed()).ok_or("ack is cut short")?;
        rest = later;
        if let Some(outcome) = machine.advance(now).map_err(show)? {
            same("aes secret", &outcome.secrets.aes, &array(shake, "aes_secret")?)?;
            same("mac secret", &outcome.secrets.mac, &array(shake, "mac_secret")?)?;
            return Ok(FrameCodec::new(outcome.secrets));
        }
    }
}

fn session_frame(
    frame: &Value,
    codec: &mut FrameCodec,
    chunks: &mut Reassembly,
    open_payload: &mut Option<Vec<u8>>,
) -> Outcome<()> {
    let (wire, payload) = (bytes(frame, "wire")?, bytes(frame, "payload")?);
    let code = u8::try_from(frame["code"].as_u64().ok_or("no code")?).map_err(show)?;
    if text(frame, "dir")? == "out" {
        decodes_and_encodes_alike(Message { code, payload: payload.clone() })?;
        return same("wire", &codec.seal(code, &payload).map_err(show)?, &wire);
    }
    let (header, body) = wire.split_at_checked(codec.needed()).ok_or("header is cut short")?;
    same("frame after its header", &codec.advance(header).map_err(show)?, &None)?;
    same("needed body", &codec.needed(), &body.len())?;
    let opened = codec.advance(body).map_err(show)?.ok_or("no frame after its body")?;
    same("code", &opened.code, &code)?;
    same("payload", &opened.payload, &payload)?;
    same("header-data", &opened.header_data, &array(frame, "header_data")?)?;
    let whole = open_payload.get_or_insert_default();
    whole.extend_from_slice(&payload);
    if let Some(message) = chunks.push(opened).map_err(show)? {
        same("reassembled", &message, &Message { code, payload: std::mem::take(whole) })?;
        *open_payload = None;
        decodes_and_encodes_alike(message)?;
    }
    Ok(())
}

/// What a peer said decodes, and encodes to the bytes it sent.
fn decodes_and_encodes_alike(message: Message) -> Outcome<()> {
    let payload = message.payload;
    let again = match message.code {
        p2p::code::HELLO => p2p::Hello::decode(&payload).map_err(show)?.encode(),
        p2p::code::DISCONNECT => p2p::Reason::decode(&payload).encode(),
        rsk::CHAIN_STATUS => rsk::ChainStatus::decode(&payload).map_err(show)?.encode(),
        rsk::RSK_MESSAGE => rsk::Message::decode(&payload.clone().into()).map_err(show)?.encode(),
        _ => p2p::EMPTY_LIST.to_vec(),
    };
    same("encoding", &again, &payload)
}

/// The packets of EIP-8: A initiates, B responds.
fn eip8(file: &File<'_>, cases: &mut Cases) {
    let json = file.json();
    for test in json["tests"].as_array().into_iter().flatten() {
        cases.case(test["test"].to_string(), || eip8_case(&json, test));
    }
}

fn eip8_case(json: &Value, test: &Value) -> Outcome<()> {
    let (keys, nonces, packets) = (&json["keys"], &json["nonces"], &test["packets"]);
    let (a, b) = (key(keys, "keyA")?, key(keys, "keyB")?);
    let (ephemeral_a, ephemeral_b) = (key(keys, "ephemeralKeyA")?, key(keys, "ephemeralKeyB")?);
    let (nonce_a, nonce_b) = (array(nonces, "nonceA")?, array(nonces, "nonceB")?);
    let from_a = Auth { remote: a.id(), ephemeral: ephemeral_a.id(), nonce: nonce_a };
    let from_b = Ack { ephemeral: ephemeral_b.id(), nonce: nonce_b };

    for (name, packet) in packets.as_object().into_iter().flatten() {
        let packet = packet.as_str().and_then(|text| hex::decode(text).ok()).ok_or("packet is no hex")?;
        match (Auth::open(&b, &packet), Ack::open(&a, &packet)) {
            (Ok(auth), _) => {
                same(name, &auth, &from_a)?;
                responder_accepts(&b, &packet)?;
            }
            (_, Ok(ack)) => same(name, &ack, &from_b)?,
            (Err(auth), Err(ack)) => return Err(format!("{name}: as auth: {auth}; as ack: {ack}")),
        }
    }
    if test["asserts"].as_array().is_none_or(Vec::is_empty) {
        return Ok(());
    }
    let (auth, ack) = (bytes(packets, "authInitiateData")?, bytes(packets, "authResponseData")?);
    let transcript =
        Transcript { initiator_nonce: nonce_a, responder_nonce: nonce_b, auth: &auth, ack: &ack };
    let agreed = ephemeral_b.agree(&ephemeral_a.id()).map_err(show)?;
    let mut secrets = Secrets::derive(&agreed, &transcript, false);
    secrets.ingress.update(b"foo");
    for assert in test["asserts"].as_array().into_iter().flatten() {
        let actual = match text(assert, "of")? {
            of if of.ends_with(".aes") => secrets.aes,
            of if of.ends_with(".mac") => secrets.mac,
            "fooHash" => secrets.ingress.digest(),
            of => return Err(format!("unknown value {of}")),
        };
        same(text(assert, "of")?, &actual, &array(assert, "expect")?)?;
    }
    Ok(())
}

fn responder_accepts(key: &NodeKey, packet: &[u8]) -> Outcome<()> {
    use rand::{SeedableRng, rngs::StdRng};
    let entropy = rustock::rlpx::Entropy::draw(&mut StdRng::seed_from_u64(1));
    let mut responder = Responder::new(key.clone(), entropy);
    let mut rest = packet;
    loop {
        let (now, later) = rest.split_at_checked(responder.needed()).ok_or("auth is cut short")?;
        rest = later;
        if responder.advance(now).map_err(show)?.is_some() {
            return if rest.is_empty() { Ok(()) } else { Err("bytes are left over".into()) };
        }
    }
}

/// Raw Snappy blocks: digest and length of what they hold, or a refusal.
fn snappy_blocks(file: &File<'_>, cases: &mut Cases) {
    for block in file.json().as_array().into_iter().flatten() {
        cases.case(block["name"].to_string(), || {
            let raw = snappy::decompress(&bytes(block, "compressed")?);
            if block.get("expect").is_some() {
                return raw.map_or(Ok(()), |raw| Err(format!("accepted as {} bytes", raw.len())));
            }
            let raw = raw.map_err(show)?;
            same("digest", &<[u8; 32]>::from(Sha256::digest(&raw)), &array(block, "raw_sha256")?)?;
            same("length", &u64::try_from(raw.len()).ok(), &block["raw_len"].as_u64())?;
            let again =
                snappy::compress(&raw).and_then(|packed| snappy::decompress(&packed)).map_err(show)?;
            same("round trip", &again, &raw)
        });
    }
}

/// Snap messages: what was captured decodes, and encodes to the same bytes.
fn messages(file: &File<'_>, cases: &mut Cases) {
    for (name, payload) in file.json().as_object().into_iter().flatten() {
        cases.case(name, || {
            let payload: bytes::Bytes =
                payload.as_str().and_then(|text| hex::decode(text).ok()).ok_or("message is no hex")?.into();
            let message = rsk::Message::decode(&payload).map_err(show)?;
            same("message name", &message.name(), &"snap")?;
            same("encoding", &message.encode(), &payload.to_vec())
        });
    }
}

/// A captured discovery exchange: what came decodes with the right sender, and what went out is re-created.
fn discovery(file: &File<'_>, cases: &mut Cases) {
    let json = file.json();
    for (index, case) in json["packets"].as_array().into_iter().flatten().enumerate() {
        cases.case(format!("packet {index} {}", case["what"]), || {
            let ours = key(&json, "our_private_key")?;
            let network_id = json["network_id"].as_u64().ok_or("no network id")?;
            let bytes = bytes(case, "packet")?;
            let packet = packet::open(&bytes).map_err(show)?;
            same("network id", &packet.network_id, &Some(network_id))?;
            let kind = match packet.body {
                packet::Body::Ping(..) => "ping",
                packet::Body::Pong(..) => "pong",
                packet::Body::FindNode(_) => "findnode",
                packet::Body::Neighbors(_) => "neighbors",
            };
            same("kind", &kind, &text(case, "what")?)?;
            if text(case, "dir")? == "in" {
                return same("sender", &packet.sender, &NodeId(array(case, "node_id")?));
            }
            same("sender", &packet.sender, &ours.id())?;
            let again = packet::seal(&ours, &packet.message, network_id, &packet.body);
            // The hash and the signed part; a signature may differ where the nonce was chosen in another way.
            same("signed part", &again.get(97..), &bytes.get(97..))?;
            same("own packet", &packet::open(&again).map_err(show)?, &packet)
        });
    }
}
