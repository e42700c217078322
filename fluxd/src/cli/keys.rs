//! Verbs about keys: what a seed leads to, and the notes that a viewing key opens in the stored chain. Seeds and keys are
//! read from stdin, where no list of processes shows them.

use std::io::Read;

use fluxd_chainstate::{ChainError, ChainState};
use fluxd_consensus::{params::Params, upgrades::Upgrade};
use fluxd_keys::{
    account_path,
    notes::{FoundNote, Scanner},
    sapling::{self, SpendingKey, ViewingKey},
    transparent::{self, ExtendedKey},
};
use fluxd_primitives::AddressFormat;
use serde_json::{Value, json};
use shared_vendor::{
    cli,
    exit::{self, Report},
    hex,
};
use zip32::Scope;

/// Bytes of a seed.
const SEED_BYTES: std::ops::RangeInclusive<usize> = 16..=64;

/// Prints the account of the seed that stdin holds in hexadecimal.
pub(super) fn derive(params: &Params, account: u32, count: usize, secrets: bool) -> Result<(), Report> {
    let text = input()?;
    let seed = hex::decode(&text).ok().filter(|seed| SEED_BYTES.contains(&seed.len()));
    let seed = seed.ok_or_else(|| wrong("stdin holds no seed of 16 to 64 bytes in hexadecimal"))?;
    let shown = describe(&seed, params, account, count, secrets);
    show(&shown.ok_or_else(|| wrong("this seed has no such account"))?)
}

/// Prints the notes of the viewing key that stdin holds.
pub(super) fn notes(chain: &ChainState) -> Result<(), Report> {
    let format = &chain.params().addresses;
    let key = ViewingKey::decode(&input()?, format)
        .ok_or_else(|| wrong("stdin holds no Sapling viewing key of this network"))?;
    let mut scanner = Scanner::new(&key.opening_keys());
    scan(chain, &mut scanner).map_err(|err| crate::node::chain_report(&err))?;
    let notes: Vec<Value> = scanner.found().iter().map(|note| describe_note(note, format)).collect();
    show(&json!({ "height": chain.tip().height, "notes": notes }))
}

fn scan(chain: &ChainState, scanner: &mut Scanner) -> Result<(), ChainError> {
    let (index, reader) = (chain.index(), chain.reader());
    let Some(first) = chain.params().upgrades.height(Upgrade::Acadia) else { return Ok(()) };
    for height in first..=index.height() {
        let Some(id) = index.at_height(height) else { break };
        let block = reader.block(&index.entry(id).hash())?;
        for tx in &block.transactions {
            scanner.see(tx, height);
        }
    }
    Ok(())
}

fn describe(seed: &[u8], params: &Params, account: u32, count: usize, secrets: bool) -> Option<Value> {
    let (format, coin) = (&params.addresses, params.bip44_coin);
    let key = ExtendedKey::master(seed)?.descend(&account_path(transparent::PURPOSE, coin, account))?;
    let receiving = key.child(0)?;
    let transparent: Option<Vec<Value>> = (0..u32::try_from(count).ok()?)
        .map(|number| {
            let key = receiving.child(number)?;
            let mut out = json!({ "address": key.address().encode(format) });
            if secrets {
                out["key"] = key.secret_text().encode(format).into();
            }
            Some(out)
        })
        .collect();
    let spending = SpendingKey::master(seed)?.descend(&account_path(sapling::PURPOSE, coin, account))?;
    let viewing = spending.viewing_key()?;
    let addresses: Option<Vec<String>> =
        viewing.addresses().take(count).map(|address| sapling::encode_address(&address, format)).collect();
    let mut out = json!({
        "transparent": {
            "path": format!("m/44'/{coin}'/{account}'/0"),
            "public_key": key.encode_public(format),
            "addresses": transparent?,
        },
        "sapling": {
            "path": format!("m/32'/{coin}'/{account}'"),
            "viewing_key": viewing.encode(format)?,
            "addresses": addresses?,
        },
    });
    if secrets {
        out["transparent"]["private_key"] = key.encode_secret(format).into();
        out["sapling"]["spending_key"] = spending.encode(format)?.into();
    }
    Some(out)
}

fn describe_note(note: &FoundNote, format: &AddressFormat) -> Value {
    // The memo without the zeros behind it.
    let memo = note.open.memo.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
    json!({
        "txid": note.txid.to_string(),
        "output": note.output,
        "height": note.height,
        "value": note.open.value().to_string(),
        "address": sapling::encode_address(&note.open.address, format),
        "change": note.scope == Scope::Internal,
        "memo": hex::encode(note.open.memo.get(..memo).unwrap_or_default()),
        "spent": note.spent.map(|txid| txid.to_string()),
    })
}

fn input() -> Result<String, Report> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(4096)
        .read_to_string(&mut text)
        .map_err(|err| Report::new(exit::IO_ERROR, "cannot read stdin").because(&err))?;
    Ok(text.trim().to_owned())
}

fn wrong(what: &str) -> Report {
    Report::new(exit::BAD_USAGE, what)
}

fn show(value: &Value) -> Result<(), Report> {
    cli::print(&format!("{value:#}\n"))
}

#[cfg(test)]
mod tests {
    use fluxd_consensus::params::Network;

    use super::*;

    /// The wallet of the C++ node, given these private keys, names the same addresses.
    #[test]
    fn addresses_of_a_seed_are_those_of_the_reference() {
        let seed: Vec<u8> = (0..32).collect();
        let shown = describe(&seed, &Params::of(Network::Regtest), 0, 1, false).expect("an account");
        assert_eq!(shown["transparent"]["addresses"][0]["address"], "tmQqjg2hqn5XMK9v1wtueg1CpzGbgTNGZQu");
        assert_eq!(
            shown["sapling"]["addresses"][0],
            "zregtestsapling1wtcy0nkfjr95rge54hewtezgghqdzgw9c3mvfwh5vy4rw97ktl3h4uxgrmrydny089qaqs57989"
        );
        assert!(!shown.to_string().contains("secret-extended-key"), "private keys are shown when asked for");
    }
}
