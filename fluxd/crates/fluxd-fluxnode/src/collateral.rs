//! Whether a coin may be the collateral of a fluxnode transaction, and whether whoever starts a node owns it. Mirrors
//! `CCoinsViewCache::CheckFluxnodeTxInput` and the START half of `ContextualCheckTransaction`.

use fluxd_primitives::{
    Address, Amount, PublicKey, Script,
    transaction::fluxnode::{Owner, Start},
};
use fluxd_script::{Standard, instruction, standard::script_id};

use crate::{
    message::sound_claim,
    rules::{MIN_CONFIRMATIONS, NodeRules, Tier},
};

/// An unspent output, as the chain state knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coin<'a> {
    /// Its value.
    pub value: Amount,
    /// Its locking script.
    pub script_pubkey: &'a Script,
    /// Height of the block that created it.
    pub height: u32,
}

/// Why a coin is not a collateral for a transaction; `Display` is the text of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CollateralError {
    /// Fewer than 100 blocks old.
    #[error("Minimum height requirement not met")]
    TooYoung,
    /// No tier has this value at this height.
    #[error("Couldn't get coin tier from amount")]
    NoTier,
    /// The foundation's key before the halving.
    #[error("Using P2SH collateral key before it is active")]
    FoundationKeyTooEarly,
    /// The foundation's key from version 6 on.
    #[error("Old Style P2SH Nodes is no longer available. Please use new transaction version 6 style.")]
    FoundationKeyTooLate,
    /// A script that names no single owner.
    #[error("fluxnode-tx-failed-to-extract-destination")]
    NoDestination,
    /// A normal version 6 START of another coin than P2PKH.
    #[error("fluxnode-tx-normal-version-not-p2pkh-script")]
    NotPubkeyHash,
    /// A P2SH version 6 START of another coin than P2SH.
    #[error("fluxnode-tx-p2sh-version-not-p2sh-script")]
    NotScriptHash,
    /// Another redeem script than the coin's.
    #[error("fluxnode-tx-p2shnodes-destinations-didn't-match")]
    OtherRedeemScript,
    /// A P2SH coin claimed by a key that is not the foundation's.
    #[error("fluxnode-tx-p2sh-publickeys-didn't-match")]
    NotFoundationKey,
    /// Another key than the coin's.
    #[error("fluxnode-tx-destinations-didn't-match")]
    OtherKey,
}

/// Checks age and value of the coin behind a START or CONFIRM and returns its tier. `owner_key` is the collateral key of
/// a START, `foundation_keys` are the keys that once stood for P2SH collateral.
///
/// # Errors
/// Too young, of no tier, or the foundation's key outside its era.
pub fn tier_of_coin(
    rules: &NodeRules,
    height: u32,
    coin: &Coin<'_>,
    owner_key: Option<&PublicKey>,
    foundation_keys: &[PublicKey],
) -> Result<Tier, CollateralError> {
    if height.saturating_sub(coin.height) < MIN_CONFIRMATIONS {
        return Err(CollateralError::TooYoung);
    }
    let tier = rules.tier_of(height, coin.value).ok_or(CollateralError::NoTier)?;
    if owner_key.is_some_and(|key| foundation_keys.contains(key)) {
        if !rules.is_halving_active(height) {
            return Err(CollateralError::FoundationKeyTooEarly);
        }
        if rules.is_p2sh_nodes_active(height) {
            return Err(CollateralError::FoundationKeyTooLate);
        }
    }
    Ok(tier)
}

/// Checks that a START claims a coin by its own key or script. `foundation_key` is the foundation's key at the START's
/// time.
///
/// # Errors
/// The coin belongs to someone else.
pub fn check_owner(
    start: &Start,
    coin: &Coin<'_>,
    foundation_key: Option<&PublicKey>,
) -> Result<(), CollateralError> {
    let script = &coin.script_pubkey.0;
    let destination =
        Standard::of(script).and_then(|script| script.address()).ok_or(CollateralError::NoDestination)?;
    let owner = sound_claim(start).map(|claim| &claim.owner);
    if start.inner_version.is_some() {
        match owner {
            Some(Owner::Key(_)) if instruction::pubkey_hash(script).is_none() => {
                return Err(CollateralError::NotPubkeyHash);
            }
            Some(Owner::RedeemScript(_)) if instruction::script_hash(script).is_none() => {
                return Err(CollateralError::NotScriptHash);
            }
            _ => {}
        }
    }
    match (owner, instruction::script_hash(script)) {
        (Some(Owner::RedeemScript(redeem)), Some(hash)) if script_id(&redeem.0) == hash => Ok(()),
        (Some(Owner::RedeemScript(_)), Some(_)) => Err(CollateralError::OtherRedeemScript),
        (Some(Owner::Key(key)), Some(_)) if foundation_key == Some(key) => Ok(()),
        (_, Some(_)) => Err(CollateralError::NotFoundationKey),
        (Some(Owner::Key(key)), None) if destination == Address::PubkeyHash(key.id()) => Ok(()),
        (_, None) => Err(CollateralError::OtherKey),
    }
}

#[cfg(test)]
mod tests {
    use fluxd_primitives::{COIN, OutPoint, transaction::fluxnode::Claim};
    use fluxd_script::instruction::pay_to;

    use super::*;
    use crate::rules::tests::MAIN;

    fn key(number: u8) -> PublicKey {
        PublicKey::from_serialized(&[&[2][..], &[number; 32]].concat())
    }

    fn start(inner_version: Option<i32>, owner: Owner) -> Start {
        let claim =
            Claim { collateral: OutPoint::NULL, owner, node_key: key(9), sig_time: 0, signature: Vec::new() };
        Start { inner_version, claim: Some(claim), delegates: None }
    }

    fn own(start: &Start, script_pubkey: &Script) -> Result<(), CollateralError> {
        let coin = Coin { value: Amount::ZERO, script_pubkey, height: 0 };
        check_owner(start, &coin, Some(&key(7)))
    }

    #[test]
    fn a_coin_must_be_old_enough_and_of_a_tier() {
        let script = Script::default();
        let coin = |coins: i64| Coin {
            value: Amount::from_zat(coins * COIN),
            script_pubkey: &script,
            height: 1_000_000,
        };
        let tier = |height, coins| tier_of_coin(&MAIN, height, &coin(coins), None, &[]);
        assert_eq!(tier(1_000_099, 10_000), Err(CollateralError::TooYoung));
        assert_eq!(tier(1_000_100, 10_000), Ok(Tier::Cumulus));
        assert_eq!(tier(1_000_100, 10_001), Err(CollateralError::NoTier));
        let foundation = |height| tier_of_coin(&MAIN, height, &coin(100_000), Some(&key(7)), &[key(7)]);
        assert_eq!(foundation(1_076_531), Err(CollateralError::FoundationKeyTooEarly));
        assert_eq!(foundation(1_076_532), Ok(Tier::Stratus));
        let late = tier_of_coin(&MAIN, 1_549_500, &coin(40_000), Some(&key(7)), &[key(7)]);
        assert_eq!(late, Err(CollateralError::FoundationKeyTooLate));
    }

    #[test]
    fn a_start_must_claim_its_own_coin() {
        let redeem = Script(vec![1]);
        let own_p2pkh = pay_to(&Address::PubkeyHash(key(1).id()));
        let own_p2sh = pay_to(&Address::ScriptHash(script_id(&redeem.0)));
        let own_p2pk = Script([&[33][..], key(1).as_bytes(), &[fluxd_script::opcode::CHECKSIG]].concat());
        let (by_key, by_script) = (Owner::Key(key(1)), Owner::RedeemScript(redeem));

        assert_eq!(own(&start(None, by_key.clone()), &own_p2pkh), Ok(()));
        assert_eq!(own(&start(None, by_key.clone()), &own_p2pk), Ok(()), "version 5 takes a plain key");
        assert_eq!(own(&start(Some(1), by_key.clone()), &own_p2pk), Err(CollateralError::NotPubkeyHash));
        assert_eq!(own(&start(None, Owner::Key(key(2))), &own_p2pkh), Err(CollateralError::OtherKey));
        assert_eq!(own(&start(None, by_key.clone()), &own_p2sh), Err(CollateralError::NotFoundationKey));
        assert_eq!(own(&start(None, Owner::Key(key(7))), &own_p2sh), Ok(()), "the foundation may");
        assert_eq!(own(&start(Some(1), by_key), &own_p2sh), Err(CollateralError::NotPubkeyHash));
        assert_eq!(own(&start(Some(2), by_script.clone()), &own_p2sh), Ok(()));
        assert_eq!(own(&start(Some(2), by_script.clone()), &own_p2pkh), Err(CollateralError::NotScriptHash));
        assert_eq!(own(&start(Some(3), by_script), &own_p2sh), Err(CollateralError::NotFoundationKey));
        let other = Owner::RedeemScript(Script(vec![2]));
        assert_eq!(own(&start(Some(2), other), &own_p2sh), Err(CollateralError::OtherRedeemScript));
        let data = Script(vec![fluxd_script::opcode::RETURN]);
        assert_eq!(own(&start(None, Owner::Key(key(1))), &data), Err(CollateralError::NoDestination));
    }
}
