//! Transfers of the test key that everybody knows, to keep a local network busy: each moves its largest output to itself.

use std::collections::BTreeSet;

use avalanche_crypto::secp256k1::PrivateKey;
use avalanche_ids::{Id, ShortId};
use avalanche_vm::secp256k1fx;
use platformvm::{
    fx::{BaseTx, Credential, Input, Output, TransferableInput, TransferableOutput},
    txs::{NamedTx, Tx, UnsignedTx},
    vm::PlatformVm,
};
use shared_vendor::{
    clock::Wall,
    exit::{self, Report},
    log,
};

/// The key `ewoq...` of the reference's documentation: known to all, so its coins are worth nothing.
const TEST_KEY: [u8; 32] = [
    0x56, 0x28, 0x9e, 0x99, 0xc9, 0x4b, 0x69, 0x12, 0xbf, 0xc1, 0x2a, 0xdc, 0x09, 0x3c, 0x9b, 0x51, 0x12,
    0x4f, 0x0d, 0xc5, 0x4a, 0xc7, 0xa7, 0x66, 0xb2, 0xbc, 0x5c, 0xcf, 0x55, 0x8d, 0x80, 0x27,
];
/// What a transfer burns, more than its fee.
const FEE: u64 = 100_000;
/// Outputs looked at.
const LOOKED_AT: usize = 256;

fn key() -> Result<PrivateKey, Report> {
    PrivateKey::from_bytes(TEST_KEY)
        .map_err(|err| Report::new(exit::UNEXPECTED, "the test key is not usable").because(&err))
}

/// Who owns the coins.
///
/// # Errors
/// None that can happen: the key is a constant.
pub fn owner() -> Result<ShortId, Report> {
    Ok(key()?.public_key().address())
}

/// Hands a transfer to the P-chain. Answers nothing when there is nothing to move, or the last one still waits.
///
/// # Errors
/// None that can happen: the key is a constant.
pub fn issue(platform: &PlatformVm, now: Wall) -> Result<Option<Id>, Report> {
    let key = key()?;
    let owners = BTreeSet::from([key.public_key().address()]);
    let page = platform.read(|state| state.utxos_of(&owners, None, LOOKED_AT));
    let spendable =
        page.map(|page| page.utxos).unwrap_or_default().into_iter().filter_map(|utxo| match utxo.out {
            Output::Transfer(out) if out.owners.locktime == 0 && out.owners.addrs.len() == 1 => {
                Some((out.amount, utxo.id, utxo.asset_id, out.owners))
            }
            _ => None,
        });
    let Some((amount, utxo_id, asset_id, owners)) = spendable.max_by_key(|(amount, ..)| *amount) else {
        return Ok(None);
    };
    let Some(left) = amount.checked_sub(FEE).filter(|left| *left > 0) else { return Ok(None) };
    let input = secp256k1fx::TransferInput { amount, input: secp256k1fx::Input { sig_indices: vec![0] } };
    let out = secp256k1fx::TransferOutput { amount: left, owners };
    let base = BaseTx {
        network_id: platform.config().network_id,
        blockchain_id: Id::EMPTY,
        outs: vec![TransferableOutput { asset_id, out: Output::Transfer(out) }],
        ins: vec![TransferableInput { utxo_id, asset_id, input: Input::Transfer(input) }],
        memo: Vec::new(),
    };
    let mut tx = Tx { unsigned: UnsignedTx::Base(Box::new(base)), credentials: Vec::new() };
    let sigs = vec![key.sign(&tx.signing_hash())];
    tx.credentials.push(Credential::Secp256k1(secp256k1fx::Credential { sigs }));
    match platform.issue(NamedTx::new(tx), now) {
        Ok(id) => Ok(Some(id)),
        Err(err) => {
            tracing::debug!(target: "transfers", reason = %log::Chain(&err), "transfer not taken");
            Ok(None)
        }
    }
}
