//! What the coinbase owes to fluxnodes and, with proof of node, to the development fund. Mirrors
//! `FluxnodeCache::CheckFluxnodePayout`.

use fluxd_fluxnode::{NodeState, Tier};
use fluxd_primitives::{Amount, OutPoint, Script, Transaction};

use crate::{params::Params, subsidy};

/// A payment that is missing from the coinbase; the reference has one reject reason for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayoutError {
    /// The node in front of a tier's queue is not paid its exact share.
    #[error("bad-txns-not-paying-correct-fluxnodes")]
    Node(Tier),
    /// No output that pays no node gives the development fund what is left of the subsidy.
    #[error("bad-txns-not-paying-correct-fluxnodes")]
    DevFund,
}

/// Checks the payments of the coinbase at a height against the node list before its block, and returns the nodes that
/// were paid. Below the first height of enforced payments nothing is owed.
///
/// Outputs may come in any order; one output pays one node. The share of a tier without nodes stays with the maker of
/// the block, or with the development fund.
///
/// # Errors
/// The payment that is missing.
pub fn check_payouts(
    params: &Params,
    height: u32,
    coinbase: &Transaction,
    nodes: &NodeState,
) -> Result<Vec<OutPoint>, PayoutError> {
    if height < params.node_payments_from {
        return Ok(Vec::new());
    }
    let mut owed: Vec<(Tier, OutPoint, Script, Amount)> = Vec::new();
    for tier in Tier::ALL {
        if let Some((outpoint, node)) = nodes.next_payee(tier) {
            owed.push((tier, *outpoint, node.payee(), subsidy::node_share(params, height, tier)));
        }
    }
    let shares: i64 = owed.iter().map(|(_, _, _, amount)| amount.zat()).sum();
    let rest = Amount::from_zat(subsidy::block_subsidy(params, height).zat() - shares);
    let dev_fund = params.funding_script(params.dev_fund);

    let mut paid = Vec::new();
    let mut dev_fund_paid = !params.pon.is_active(height);
    for output in &coinbase.outputs {
        let matched = owed
            .iter()
            .position(|(_, _, script, amount)| output.script_pubkey == *script && output.value == *amount);
        match matched {
            Some(index) => {
                let (_, outpoint, _, _) = owed.remove(index);
                paid.push(outpoint);
            }
            None => dev_fund_paid |= output.script_pubkey == dev_fund && output.value >= rest,
        }
    }
    if !dev_fund_paid {
        return Err(PayoutError::DevFund);
    }
    match owed.first() {
        Some((tier, _, _, _)) => Err(PayoutError::Node(*tier)),
        None => Ok(paid),
    }
}

#[cfg(test)]
mod tests {
    use fluxd_fluxnode::{BlockChanges, Node};
    use fluxd_primitives::{PublicKey, TxId, TxOut, transaction::fluxnode::Owner};

    use super::*;
    use crate::params::Network;

    const HEIGHT: u32 = 2_100_000;

    fn key(number: u8) -> PublicKey {
        PublicKey::from_serialized(&[&[2][..], &[number; 32]].concat())
    }

    fn one_cumulus_node() -> NodeState {
        let outpoint = OutPoint { txid: TxId([1; 32]), index: 0 };
        let node = Node {
            owner: Owner::Key(key(1)),
            collateral_script: None,
            node_key: key(2),
            tier: Tier::Cumulus,
            collateral: Amount::from_zat(1_000 * fluxd_primitives::COIN),
            added: 0,
            confirmed: 0,
            last_confirmed: 0,
            last_paid: 0,
            ip: Vec::new(),
        };
        let rules = Params::of(Network::Main).nodes;
        let mut state = NodeState::default();
        state.apply(
            &rules,
            HEIGHT - 2,
            BlockChanges { starts: vec![(outpoint, node)], ..BlockChanges::default() },
        );
        let confirms = vec![(outpoint, Vec::new())];
        state.apply(&rules, HEIGHT - 1, BlockChanges { confirms, ..BlockChanges::default() });
        state
    }

    fn coinbase(outputs: &[(Script, i64)]) -> Transaction {
        let outputs = outputs
            .iter()
            .map(|(script, zat)| TxOut { value: Amount::from_zat(*zat), script_pubkey: script.clone() })
            .collect();
        Transaction { outputs, ..Transaction::default() }
    }

    #[test]
    fn the_share_of_an_empty_tier_belongs_to_the_development_fund() {
        let params = Params::of(Network::Main);
        let nodes = one_cumulus_node();
        let (outpoint, node) = nodes.next_payee(Tier::Cumulus).expect("a node");
        let dev_fund = params.funding_script(params.dev_fund);
        let coin = fluxd_primitives::COIN;
        let check = |outputs: &[(Script, i64)]| check_payouts(&params, HEIGHT, &coinbase(outputs), &nodes);
        let payee = node.payee();
        assert_eq!(check(&[(dev_fund.clone(), 13 * coin), (payee.clone(), coin)]), Ok(vec![*outpoint]));
        assert_eq!(
            check(&[(dev_fund.clone(), 13 * coin - 1), (payee.clone(), coin)]),
            Err(PayoutError::DevFund)
        );
        assert_eq!(check(&[(dev_fund, 13 * coin), (payee, coin + 1)]), Err(PayoutError::Node(Tier::Cumulus)));
        assert_eq!(check_payouts(&params, 559_999, &coinbase(&[]), &nodes), Ok(Vec::new()));
    }

    #[test]
    fn an_output_that_pays_a_node_does_not_pay_the_development_fund_too() {
        let params = Params::of(Network::Main);
        let everything = 14 * fluxd_primitives::COIN;
        let dev_fund = params.funding_script(params.dev_fund);
        let empty = NodeState::default();
        assert_eq!(
            check_payouts(&params, HEIGHT, &coinbase(&[(dev_fund, everything)]), &empty),
            Ok(Vec::new())
        );
        assert_eq!(check_payouts(&params, HEIGHT, &coinbase(&[]), &empty), Err(PayoutError::DevFund));
    }
}
