//! What NEO and GAS have in common: balances, transfers, minting, burning. Mirrors `FungibleToken.cs` and `GasToken.cs`.

use neo_base::{Int, UInt160};
use neo_vm::{Result, StackItem};

use super::{
    ContractId, Step, Vm, management, neo,
    rows::{self, Fields, Key, Read},
};
use crate::engine::{
    Application, EngineError, Store, call_from_native, calling_script, has_agreed, send_notification,
};

const TOTAL_SUPPLY: u8 = 11;
const ACCOUNT: u8 = 20;

/// One of the two tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Neo,
    Gas,
}

/// An account of a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// What it owns, in the smallest unit.
    pub balance: Int,
    /// NEO only: height up to which its GAS has been paid.
    pub balance_height: u32,
    /// NEO only: the candidate it votes for.
    pub vote: Option<Key>,
    /// NEO only: reward per vote of that candidate when it was last paid.
    pub last_gas_per_vote: Int,
}

impl Token {
    pub(super) fn id(self) -> i32 {
        match self {
            Self::Neo => ContractId::NEO,
            Self::Gas => ContractId::GAS,
        }
    }

    pub(super) fn hash(self) -> UInt160 {
        super::hash_of(self.id())
    }

    fn key(self, account: &UInt160) -> Vec<u8> {
        rows::key(self.id(), ACCOUNT, &[&account.0])
    }

    /// An account, if it owns anything.
    pub(super) fn account<S: Store + ?Sized>(self, store: &S, account: &UInt160) -> Read<Option<Account>> {
        let Some(fields) = rows::list(store, &self.key(account))? else { return Ok(None) };
        let balance = fields.int(0)?;
        if self == Self::Gas {
            return Ok(Some(Account { balance, ..Account::default() }));
        }
        let height = fields.int(1)?.to_u64().and_then(|height| u32::try_from(height).ok());
        Ok(Some(Account {
            balance,
            balance_height: height.ok_or(EngineError::State("height of an account"))?,
            vote: fields.key_or_null(2)?,
            last_gas_per_vote: fields.int(3)?,
        }))
    }

    pub(super) fn put<S: Store>(self, host: &mut Application<S>, account: &UInt160, state: &Account) {
        let mut fields = vec![StackItem::Integer(state.balance.clone())];
        if self == Self::Neo {
            fields.push(StackItem::int(state.balance_height));
            fields.push(rows::key_item(state.vote.as_ref()));
            fields.push(StackItem::Integer(state.last_gas_per_vote.clone()));
        }
        host.write(self.key(account), Some(rows::encode_struct(&fields)));
    }

    /// All that exists.
    pub(super) fn total_supply<S: Store + ?Sized>(self, store: &S) -> Read<Int> {
        match self {
            Self::Neo => Ok(Int::from(neo::TOTAL_AMOUNT)),
            Self::Gas => {
                Ok(rows::number_or_none(store, &rows::key(self.id(), TOTAL_SUPPLY, &[]))?.unwrap_or_default())
            }
        }
    }

    fn add_supply<S: Store>(self, host: &mut Application<S>, amount: &Int) -> Result<()> {
        let key = rows::key(self.id(), TOTAL_SUPPLY, &[]);
        let supply = rows::number_or_none(host, &key)?.unwrap_or_default().add(amount);
        host.write(key, Some(supply.to_bytes().into()));
        Ok(())
    }

    fn balance_changing<S: Store>(
        self,
        engine: &mut Vm<S>,
        account: &UInt160,
        state: &mut Account,
        change: &Int,
    ) -> Result<Option<Step>> {
        match self {
            Self::Gas => Ok(None),
            Self::Neo => neo::balance_changing(engine, account, state, change),
        }
    }

    /// Makes tokens. With `pays`, a contract that gets them is told.
    pub(super) fn mint<S: Store>(
        self,
        engine: &mut Vm<S>,
        account: &UInt160,
        amount: &Int,
        pays: bool,
    ) -> Result<()> {
        check_sign(amount)?;
        if amount.is_zero() {
            return Ok(());
        }
        let mut state = self.account(&engine.host, account)?.unwrap_or_default();
        let rewards = self.balance_changing(engine, account, &mut state, amount)?;
        state.balance = state.balance.add(amount);
        self.put(&mut engine.host, account, &state);
        self.add_supply(&mut engine.host, amount)?;
        self.transferred(engine, (None, Some(*account)), amount, &StackItem::Null, pays)?;
        super::push_steps(engine, rewards);
        Ok(())
    }

    /// Destroys tokens of an account that has them.
    pub(super) fn burn<S: Store>(self, engine: &mut Vm<S>, account: &UInt160, amount: &Int) -> Result<()> {
        check_sign(amount)?;
        if amount.is_zero() {
            return Ok(());
        }
        let state = self.account(&engine.host, account)?;
        let mut state = state.filter(|state| state.balance >= *amount).ok_or(TOO_LITTLE)?;
        let negative = amount.neg();
        let rewards = self.balance_changing(engine, account, &mut state, &negative)?;
        self.take(engine, account, &mut state, amount);
        self.add_supply(&mut engine.host, &negative)?;
        self.transferred(engine, (Some(*account), None), amount, &StackItem::Null, false)?;
        super::push_steps(engine, rewards);
        Ok(())
    }

    fn take<S: Store>(self, engine: &mut Vm<S>, account: &UInt160, state: &mut Account, amount: &Int) {
        if state.balance == *amount {
            engine.host.write(self.key(account), None);
        } else {
            state.balance = state.balance.sub(amount);
            self.put(&mut engine.host, account, state);
        }
    }

    /// The method `transfer`.
    pub(super) fn transfer<S: Store>(
        self,
        engine: &mut Vm<S>,
        (from, to): (UInt160, UInt160),
        amount: &Int,
        data: &StackItem,
    ) -> Result<bool> {
        check_sign(amount)?;
        if calling_script(engine) != Some(from) && !has_agreed(engine, &from)? {
            return Ok(false);
        }
        let state = self.account(&engine.host, &from)?;
        let mut rewards = Vec::new();
        if amount.is_zero() {
            if let Some(mut state) = state {
                rewards.extend(self.balance_changing(engine, &from, &mut state, amount)?);
                self.put(&mut engine.host, &from, &state);
            }
        } else {
            let Some(mut state) = state.filter(|state| state.balance >= *amount) else { return Ok(false) };
            if from == to {
                rewards.extend(self.balance_changing(engine, &from, &mut state, &Int::default())?);
                self.put(&mut engine.host, &from, &state);
            } else {
                rewards.extend(self.balance_changing(engine, &from, &mut state, &amount.neg())?);
                self.take(engine, &from, &mut state, amount);
                let mut state = self.account(&engine.host, &to)?.unwrap_or_default();
                rewards.extend(self.balance_changing(engine, &to, &mut state, amount)?);
                state.balance = state.balance.add(amount);
                self.put(&mut engine.host, &to, &state);
            }
        }
        self.transferred(engine, (Some(from), Some(to)), amount, data, true)?;
        super::push_steps(engine, rewards);
        Ok(true)
    }

    /// Tells of a transfer, and calls a contract that received something.
    fn transferred<S: Store>(
        self,
        engine: &mut Vm<S>,
        (from, to): (Option<UInt160>, Option<UInt160>),
        amount: &Int,
        data: &StackItem,
        pays: bool,
    ) -> Result<()> {
        let account =
            |account: Option<UInt160>| account.map_or(StackItem::Null, |hash| StackItem::bytes(hash.0));
        let amount = super::integer(amount.clone())?;
        let state = engine.heap.new_array(vec![account(from), account(to), amount.clone()]);
        send_notification(engine, self.hash(), "Transfer".to_owned(), &state)?;
        let Some(receiver) = to.filter(|_| pays) else { return Ok(()) };
        if !management::is_contract(&engine.host, &receiver)? {
            return Ok(());
        }
        let arguments = vec![account(from), amount, data.clone()];
        call_from_native(engine, self.hash(), &receiver, "onNEP17Payment", false, arguments)
    }
}

const TOO_LITTLE: EngineError = EngineError::Argument("the account owns less");

fn check_sign(amount: &Int) -> Result<()> {
    if amount.is_negative() { Err(EngineError::Argument("a negative amount").into()) } else { Ok(()) }
}

/// GAS of an account, in datoshi.
///
/// # Errors
/// The store fails.
pub fn gas_balance<S: Store + ?Sized>(store: &S, account: &UInt160) -> Read<Int> {
    Ok(Token::Gas.account(store, account)?.map(|state| state.balance).unwrap_or_default())
}

/// The NEO account of an account, if it owns any.
///
/// # Errors
/// The store fails.
pub fn neo_account<S: Store + ?Sized>(store: &S, account: &UInt160) -> Read<Option<Account>> {
    Token::Neo.account(store, account)
}
