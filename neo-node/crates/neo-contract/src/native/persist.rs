//! What native contracts do before and after the transactions of a block. Mirrors `OnPersistAsync`, `PostPersistAsync`
//! and `InitializeAsync` of `NativeContract.cs` and its subclasses.

use std::sync::Arc;

use neo_base::{Int, ledger::Block};
use neo_vm::Result;

use super::{
    ContractId, NATIVES, Native, Vm, ledger, management, neo, notary, oracle, policy, rows::account_of,
    token::Token,
};
use crate::{
    engine::{EngineError, Store, Trigger},
    hardfork::Hardfork,
    settings,
};

/// Runs the service `System.Contract.NativeOnPersist` or `System.Contract.NativePostPersist`.
pub(crate) fn run<S: Store>(engine: &mut Vm<S>, trigger: Trigger) -> Result<()> {
    let environment = engine.host.environment();
    let block = environment.persisting.clone().filter(|_| environment.trigger == trigger);
    let block = block.ok_or(EngineError::Misplaced("only the node itself persists blocks"))?;
    let index = block.header.body().index;
    let forks = environment.settings.forks;
    for native in NATIVES.iter().filter(|native| native.is_active(&forks, index)) {
        if trigger == Trigger::OnPersist {
            on_persist(engine, native.id, &block)?;
        } else {
            post_persist(engine, native.id, &block)?;
        }
    }
    Ok(())
}

fn on_persist<S: Store>(engine: &mut Vm<S>, id: i32, block: &Arc<Block>) -> Result<()> {
    let index = block.header.body().index;
    match id {
        ContractId::MANAGEMENT => begin_forks(engine, index),
        ContractId::LEDGER => {
            ledger::on_persist(&mut engine.host, block);
            Ok(())
        }
        ContractId::NEO => neo::on_persist(engine, index),
        ContractId::GAS => collect_fees(engine, block),
        ContractId::NOTARY => notary::on_persist(engine, block),
        _ => Ok(()),
    }
}

fn post_persist<S: Store>(engine: &mut Vm<S>, id: i32, block: &Arc<Block>) -> Result<()> {
    match id {
        ContractId::LEDGER => {
            ledger::post_persist(&mut engine.host, block);
            Ok(())
        }
        ContractId::NEO => neo::post_persist(engine, block.header.body().index),
        ContractId::ORACLE => oracle::post_persist(engine, block),
        _ => Ok(()),
    }
}

/// Stores the native contracts that begin or change in this block.
fn begin_forks<S: Store>(engine: &mut Vm<S>, index: u32) -> Result<()> {
    let forks = engine.host.environment().settings.forks;
    for native in NATIVES.iter().filter(|native| native.is_initialised_in(&forks, index)) {
        let new = management::put_native(&mut engine.host, native.state_at(&forks, index))?;
        if new && native.since.is_none() {
            initialise(engine, native, None)?;
        }
        let beginning = native.forks().into_iter().filter(|fork| forks.height(*fork) == Some(index));
        for fork in beginning {
            initialise(engine, native, Some(fork))?;
        }
        management::notify(engine, if new { "Deploy" } else { "Update" }, &native.hash())?;
    }
    Ok(())
}

fn initialise<S: Store>(engine: &mut Vm<S>, native: &Native, fork: Option<Hardfork>) -> Result<()> {
    let first = fork == native.since;
    match native.id {
        ContractId::POLICY => policy::initialise(engine, fork),
        ContractId::MANAGEMENT if first => {
            management::initialise(&mut engine.host);
            Ok(())
        }
        ContractId::NEO if first => neo::initialise(engine),
        ContractId::GAS if first => {
            let settings = engine.host.environment().settings.clone();
            let holder = settings::bft_address(settings.standby_validators());
            Token::Gas.mint(engine, &holder, &Int::from(settings.initial_gas_distribution), false)
        }
        ContractId::ORACLE if first => {
            oracle::initialise(&mut engine.host);
            Ok(())
        }
        ContractId::NOTARY if first => {
            notary::initialise(&mut engine.host);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Burns the fees of the transactions, and gives the network fees to the primary of the block.
fn collect_fees<S: Store>(engine: &mut Vm<S>, block: &Block) -> Result<()> {
    let mut network = Int::default();
    for transaction in &block.transactions {
        let body = transaction.body();
        let fees = Int::from(i128::from(body.system_fee).saturating_add(body.network_fee.into()));
        Token::Gas.burn(engine, &body.sender(), &fees)?;
        network = network.add(&Int::from(body.network_fee));
        if let Some(keys) = notary::assisted(transaction) {
            let fee = Int::from(policy::notary_fee(&engine.host)?);
            network = network.sub(&Int::from(u32::from(keys).saturating_add(1)).mul(&fee));
        }
    }
    let settings = engine.host.environment().settings.clone();
    let validators = neo::next_validators(&engine.host, &settings)?;
    let primary = validators.get(usize::from(block.header.body().primary));
    let primary = primary.ok_or(EngineError::State("no such primary"))?;
    Token::Gas.mint(engine, &account_of(primary), &network, false)
}
