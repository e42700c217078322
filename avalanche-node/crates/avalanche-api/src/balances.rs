//! `platform.getBalance`: what addresses own, by what they can do with it now.

use std::collections::{BTreeMap, BTreeSet};

use avalanche_ids::{Id, ShortId};
use platformvm::fx::{LockOut, LockedOutput, Output};
use serde_json::{Map, Value, json};
use shared_vendor::rpc::{Error, ParamDoc};

use crate::{
    Context,
    args::{Args, doc},
    format::number,
    utxos::{MAX_PAGE, stored},
};

pub(crate) const DOCS: &[ParamDoc] = &[doc("addresses", "owners")];

type Sums = BTreeMap<Id, u64>;

fn add(sums: &mut Sums, asset: Id, amount: u64) {
    let sum = sums.entry(asset).or_default();
    *sum = sum.saturating_add(amount);
}

fn object(sums: &Sums) -> Value {
    Value::Object(sums.iter().map(|(asset, sum)| (asset.to_string(), number(*sum))).collect::<Map<_, _>>())
}

/// All UTXOs of some owners.
pub(crate) fn all_utxos(
    context: &Context,
    owners: &BTreeSet<ShortId>,
) -> Result<Vec<platformvm::fx::Utxo>, Error> {
    let (mut utxos, mut start) = (Vec::new(), None);
    loop {
        let page = context.platform.read(|state| state.utxos_of(owners, start, MAX_PAGE)).map_err(stored)?;
        let full = page.utxos.len() >= MAX_PAGE;
        utxos.extend(page.utxos);
        if !full {
            return Ok(utxos);
        }
        start = Some(page.end);
    }
}

pub(crate) fn balance(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let addresses = args.texts("addresses")?;
    let owners = addresses
        .into_iter()
        .map(|text| context.owner(Id::EMPTY, text))
        .collect::<Result<BTreeSet<_>, _>>()?;
    let now = context.clock.wall().as_secs();
    let [mut unlocked, mut stakeable, mut not_stakeable] = [Sums::new(), Sums::new(), Sums::new()];
    let mut ids = Vec::new();
    for utxo in all_utxos(context, &owners)? {
        let sums = match &utxo.out {
            Output::Transfer(out) if out.owners.locktime <= now => &mut unlocked,
            Output::Transfer(_) => &mut not_stakeable,
            Output::Locked(LockOut { out: LockedOutput::Transfer(out), .. }) if out.owners.locktime > now => {
                &mut not_stakeable
            }
            Output::Locked(lock) if lock.locktime <= now => &mut unlocked,
            Output::Locked(_) => &mut stakeable,
        };
        add(sums, utxo.asset_id, utxo.out.transfer().amount);
        ids.push(json!({ "txID": utxo.id.tx_id.to_string(), "outputIndex": utxo.id.output_index }));
    }
    let mut total = Sums::new();
    for (asset, sum) in [&stakeable, &not_stakeable, &unlocked].into_iter().flatten() {
        add(&mut total, *asset, *sum);
    }
    let avax = context.platform.config().avax_asset_id;
    let of = |sums: &Sums| number(sums.get(&avax).copied().unwrap_or_default());
    Ok(json!({
        "balance": of(&total),
        "unlocked": of(&unlocked),
        "lockedStakeable": of(&stakeable),
        "lockedNotStakeable": of(&not_stakeable),
        "balances": object(&total),
        "unlockeds": object(&unlocked),
        "lockedStakeables": object(&stakeable),
        "lockedNotStakeables": object(&not_stakeable),
        "utxoIDs": if ids.is_empty() { Value::Null } else { Value::Array(ids) },
    }))
}
