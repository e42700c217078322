//! Executable files, manifests and the declarations of native contracts at every hardfork, as JSON and as stored.

use neo_base::codec::Wire;
use neo_contract::{
    ContractState, Hardfork, Hardforks, Manifest, Nef,
    native::{NATIVES, Native},
};
use neo_vm::Heap;
use serde_json::Value;
use shared_vendor::testing::vectors::{Cases, Claim, File};

use super::core_vectors::{base64, same};

pub(crate) fn claim(file: &File<'_>) -> Option<Claim> {
    if file.path.ends_with(".nef") {
        return Some(Claim::Run(nef));
    }
    if file.path.ends_with(".manifest.json") {
        return Some(Claim::Run(manifest));
    }
    if !file.path.ends_with(".json") {
        return None;
    }
    let json = file.json();
    let first = json.as_object()?.values().next()?;
    if first.get("nef").is_some() && first.get("updatecounter").is_some() {
        Some(Claim::Run(states_by_name))
    } else if first.get("nativecontracts").is_some() && first.get("storage0").is_some() {
        Some(Claim::Run(genesis_by_hardfork))
    } else if json.get("nativecontracts").is_some() && json.get("genesis_raw").is_some() {
        Some(Claim::Run(genesis))
    } else {
        None
    }
}

fn nef(file: &File<'_>, cases: &mut Cases) {
    cases.case("executable file", || {
        // files of preview releases kept a version behind the name of the compiler; the format since requires zeros
        let compiler = file.bytes.get(4..68).ok_or("too short")?;
        let mut padding = compiler.iter().skip_while(|byte| **byte != 0);
        if padding.any(|byte| *byte != 0) {
            return same("read", &Nef::from_bytes(file.bytes).is_ok(), &false);
        }
        let nef = Nef::from_bytes(file.bytes).map_err(|err| err.to_string())?;
        same("written again", &nef.to_bytes().as_slice(), &file.bytes)?;
        let mut broken = file.bytes.to_vec();
        *broken.last_mut().ok_or("no bytes")? ^= 1;
        same("with another checksum", &Nef::from_bytes(&broken).is_err(), &true)
    });
}

fn manifest(file: &File<'_>, cases: &mut Cases) {
    cases.case("manifest", || {
        let manifest = Manifest::parse(file.bytes).map_err(|err| err.to_string())?;
        let written = manifest.to_json().to_string();
        same("read again", &Manifest::parse(written.as_bytes()), &Ok(manifest.clone()))?;
        let written: Value = serde_json::from_str(&written).map_err(|err| err.to_string())?;
        let mut expected = file.json();
        drop_unknown(&mut expected);
        let members = expected.as_object_mut().ok_or("no object")?;
        members.entry("groups").or_insert_with(|| Value::Array(Vec::new()));
        same("as JSON", &written, &expected)?;
        let mut heap = Heap::default();
        let item = manifest.to_item(&mut heap);
        let read = Manifest::from_item(&heap, &item).map_err(|err| err.to_string())?;
        same("through a stack item", &read, &manifest)
    });
}

/// Drops what compilers add and the reference does not keep. What is in `extra` stays.
fn drop_unknown(json: &mut Value) {
    const KNOWN: &str = "name groups pubkey signature features supportedstandards abi methods parameters type \
                         returntype offset safe events permissions contract trusts extra";
    match json {
        Value::Array(items) => items.iter_mut().for_each(drop_unknown),
        Value::Object(members) => {
            members.retain(|name, _| KNOWN.split_whitespace().any(|known| known == name));
            members
                .iter_mut()
                .filter(|(name, _)| *name != "extra")
                .for_each(|(_, value)| drop_unknown(value));
        }
        _ => {}
    }
}

/// State of each native contract with every fork active.
fn states_by_name(file: &File<'_>, cases: &mut Cases) {
    let forks = Hardforks::new(&[]).expect("no configuration is valid");
    for (name, expected) in file.json().as_object().into_iter().flatten() {
        cases.case(name, || {
            let native =
                NATIVES.iter().find(|native| native.name == name).ok_or("no such native contract")?;
            json_equal(native, &native.state_at(&forks, 0), expected)
        });
    }
}

/// For each network the forks that are active from block 0, the native contracts and the whole storage after it.
fn genesis_by_hardfork(file: &File<'_>, cases: &mut Cases) {
    for (name, network) in file.json().as_object().into_iter().flatten() {
        let active = network["active_from_block_0"].as_array().map_or(0, Vec::len);
        let heights = Hardfork::ALL.into_iter().enumerate();
        let heights: Vec<_> = heights.map(|(at, fork)| (fork, if at < active { 0 } else { 1000 })).collect();
        genesis_network(name, &heights, network, &network["storage0"], cases);
    }
}

/// A public network, whose forks come later.
fn genesis(file: &File<'_>, cases: &mut Cases) {
    let heights: Vec<_> = Hardfork::ALL.into_iter().map(|fork| (fork, 1000)).collect();
    let network = file.json();
    genesis_network("natives", &heights, &network, &network["storage"], cases);
}

fn genesis_network(
    name: &str,
    heights: &[(Hardfork, u32)],
    network: &Value,
    storage: &Value,
    cases: &mut Cases,
) {
    let forks = Hardforks::new(heights).expect("heights do not fall");
    let expected = network["nativecontracts"].as_array().cloned().unwrap_or_default();
    let active: Vec<_> = NATIVES.iter().filter(|native| native.is_active(&forks, 0)).collect();
    cases.equal(format!("{name}: number of native contracts"), &active.len(), &expected.len());
    for (native, expected) in active.iter().zip(&expected) {
        let state = native.state_at(&forks, 0);
        cases.case(format!("{name}: {}", native.name), || json_equal(native, &state, expected));
        cases.case(format!("{name}: {} in storage", native.name), || {
            let management = &storage["-1"];
            let entries = management.get("results").unwrap_or(management).as_array().ok_or("no storage")?;
            let key = [&[8], &state.hash.0[..]].concat();
            let stored = entries.iter().find_map(|entry| {
                let found = base64(entry["key"].as_str()?).ok()?;
                (found == key).then(|| base64(entry["value"].as_str()?).ok()).flatten()
            });
            let stored = stored.ok_or("not stored")?;
            same("stored bytes", &state.to_storage(), &Ok(stored.clone()))?;
            let read = ContractState::from_storage(&stored).map_err(|err| err.to_string())?;
            same("read again", &read, &state)
        });
    }
}

fn json_equal(native: &Native, state: &ContractState, expected: &Value) -> Result<(), String> {
    let actual: Value = serde_json::from_str(&state.to_json().to_string()).map_err(|err| err.to_string())?;
    for member in ["id", "hash", "updatecounter"] {
        same(member, &actual[member], &expected[member])?;
    }
    for member in ["methods", "events"] {
        let (actual, expected) = (&actual["manifest"]["abi"][member], &expected["manifest"]["abi"][member]);
        let pairs = actual.as_array().into_iter().flatten().zip(expected.as_array().into_iter().flatten());
        for (actual, expected) in pairs {
            same(native.name, actual, expected)?;
        }
    }
    same("whole state", &actual, expected)
}
