//! Bodies of the fuzz targets: what must hold for any bytes from outside. `fuzz/targets/` only calls these, and a test
//! below replays the seed corpora, so that every build checks them.

use neo_base::{
    codec::Wire,
    ledger::{Block, Extensible, Header, Transaction},
};
use neo_contract::{Json, Manifest, Nef, binary};
use neo_p2p::{frame::Frame, message::Message};
use neo_runtime::{StateRoot, state_root};
use neo_vm::{Engine, Era, Heap, NoHost, Script, State};

/// Name and body of a target.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 5] = [
    ("message", message),
    ("ledger", ledger),
    ("consensus", consensus),
    ("script", script),
    ("contract", contract),
];

/// Instructions that one run of a script may take.
const MAX_STEPS: usize = 20_000;

/// A message of a peer is refused, or reads the same when it is sent on.
pub fn message(bytes: &[u8]) {
    let Ok(Some((frame, length))) = Frame::decode(bytes) else { return };
    assert!(length <= bytes.len(), "a frame lies in the bytes");
    let Ok(message) = Message::decode(&frame) else { return };
    for compress in [false, true] {
        let sent = message.frame(compress).encode();
        let again = Frame::decode(&sent).map(|frame| frame.map(|(frame, _)| Message::decode(&frame)));
        assert_eq!(again, Ok(Some(Ok(message.clone()))), "a message survives the wire");
    }
}

/// Blocks, transactions, headers, payloads, roots and votes on them are refused, or read the same when they are written.
pub fn ledger(bytes: &[u8]) {
    fn stable<T: Wire + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<T> {
        let value = T::from_bytes(bytes).ok()?;
        let written = value.to_bytes();
        assert!(written.len() <= bytes.len(), "our form is the shortest");
        assert_eq!(T::from_bytes(&written).map(|again| again.to_bytes()), Ok(written), "our form is stable");
        Some(value)
    }
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 6 {
        0 => drop(stable::<Transaction>(bytes)),
        1 => drop(stable::<Header>(bytes)),
        2 => drop(stable::<Block>(bytes)),
        3 => drop(stable::<Extensible>(bytes)),
        4 => drop(stable::<StateRoot>(bytes)),
        _ => drop(stable::<state_root::message::Message>(bytes)),
    }
}

/// A message of consensus is refused, or reads the same when it is written.
pub fn consensus(bytes: &[u8]) {
    let Ok(message) = neo_consensus::Message::from_data(bytes) else { return };
    let written = message.to_bytes();
    assert_eq!(neo_consensus::Message::from_data(&written), Ok(message), "a message of consensus survives");
}

/// A script ends, or is stopped; its results can be written or are refused.
pub fn script(bytes: &[u8]) {
    let Some((era, bytes)) = bytes.split_first() else { return };
    let era = [Era::Genesis, Era::Echidna, Era::Gorgon].get(usize::from(era % 3)).copied();
    let script = Script::new(bytes.to_vec());
    let _ = script.check_strict();
    let mut engine = Engine::new(NoHost, era.unwrap_or(Era::Gorgon));
    if engine.load(script, None, 0, ()).is_err() {
        return;
    }
    for _ in 0..MAX_STEPS {
        if matches!(engine.state(), State::Halt | State::Fault) {
            break;
        }
        engine.step();
    }
    for item in engine.results() {
        let Ok(written) = binary::serialize(&engine.heap, item) else { continue };
        let mut heap = Heap::default();
        let again = binary::deserialize(&mut heap, &written).map(|item| binary::serialize(&heap, &item));
        assert_eq!(again, Ok(Ok(written)), "a serialised item reads back");
    }
}

/// Executable files, manifests, JSON and serialised items are refused, or read the same when they are written.
pub fn contract(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 4 {
        0 => {
            let Ok(nef) = Nef::from_bytes(bytes) else { return };
            assert_eq!(Nef::from_bytes(&nef.to_bytes()), Ok(nef), "an executable file survives");
        }
        1 => {
            let Ok(manifest) = Manifest::parse(bytes) else { return };
            let text = manifest.to_json().to_string();
            let again = Manifest::parse(text.as_bytes());
            assert!(again.is_ok_and(|again| again.to_json().to_string() == text), "a manifest survives");
        }
        2 => {
            let Ok(json) = Json::parse(bytes, 64) else { return };
            let text = json.to_string();
            let again = Json::parse(text.as_bytes(), 64);
            assert!(again.is_ok_and(|again| again.to_string() == text), "JSON survives");
        }
        _ => {
            let mut heap = Heap::default();
            let Ok(item) = binary::deserialize(&mut heap, bytes) else { return };
            let Ok(written) = binary::serialize(&heap, &item) else { return };
            let mut heap = Heap::default();
            let again = binary::deserialize(&mut heap, &written).map(|item| binary::serialize(&heap, &item));
            assert_eq!(again, Ok(Ok(written)), "a serialised item is stable");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A plain generator, so that a failure comes again.
    fn next(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn the_seed_corpora_and_what_is_near_them_pass() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        let mut random = 0x9e37_79b9_7f4a_7c15;
        for (name, body) in TARGETS {
            let seeds: Vec<_> = std::fs::read_dir(root.join(name)).unwrap().flatten().collect();
            assert!(!seeds.is_empty(), "{name} has seeds");
            for seed in seeds {
                let bytes = std::fs::read(seed.path()).unwrap();
                body(&bytes);
                for cut in 0..bytes.len() {
                    body(&bytes[..cut]);
                }
                for _ in 0..300 {
                    let mut changed = bytes.clone();
                    for _ in 0..=next(&mut random) % 3 {
                        let at = usize::try_from(next(&mut random)).unwrap() % changed.len();
                        changed[at] = next(&mut random).to_le_bytes()[0];
                    }
                    body(&changed);
                }
            }
        }
    }

    #[test]
    fn the_seeds_are_what_their_names_say() {
        let seed = |path: &str| {
            std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(path))
                .unwrap()
        };
        assert!(Nef::from_bytes(&seed("contract/nef")[1..]).is_ok());
        assert!(Manifest::parse(&seed("contract/manifest")[1..]).is_ok());
        assert!(Transaction::from_bytes(&seed("ledger/transaction")[1..]).is_ok());
        assert!(neo_consensus::Message::from_data(&seed("consensus/change_view")).is_ok());
        let ping = seed("message/ping");
        assert!(Message::decode(&Frame::decode(&ping).unwrap().unwrap().0).is_ok());
    }
}
