//! Native contracts as they appear on the chain: hash, executable file and manifest at each height.
//!
//! Of their methods those of StdLib ([`std_lib`]) and CryptoLib ([`crypto_lib`]) are here; the others are not built. Mirrors `Native/NativeContract.cs` and the attributes of its subclasses.

pub mod crypto_lib;
pub mod std_lib;
mod table;

use neo_base::{UInt160, account::interop_id};
use neo_vm::{Result, StackItem};

use crate::{
    engine::{ApplicationEngine, EngineError, Store},
    flags::CallFlags,
    hardfork::{Hardfork, Hardforks},
    json::Json,
    manifest::{Abi, Event, Manifest, Method as AbiMethod, Parameter, ParameterType, Permission, Target},
    nef::Nef,
    state::{ContractState, contract_hash},
};

pub use table::NATIVES;

/// Bytes of the script of one method: push the version, call, return.
const METHOD_SIZE: i32 = 7;

/// A native contract: everything it has ever declared.
#[derive(Debug)]
pub struct Native {
    /// Number, from -1 down.
    pub id: i32,
    /// Name.
    pub name: &'static str,
    /// The fork that brings it; `None`: there from the first block.
    pub since: Option<Hardfork>,
    /// Methods in groups, each group in any order.
    pub methods: &'static [&'static [Method]],
    /// Events in order.
    pub events: &'static [NativeEvent],
    /// Standards and the fork from which they replace those before.
    pub standards: &'static [(Option<Hardfork>, &'static [&'static str])],
}

/// A method of a native contract.
#[derive(Debug, Clone, Copy)]
pub struct Method {
    /// Name.
    pub name: &'static str,
    /// Names and types of the parameters.
    pub parameters: &'static [(&'static str, ParameterType)],
    /// Type of the result.
    pub returns: ParameterType,
    /// What a call must be allowed to do.
    pub flags: CallFlags,
    /// Price, to be multiplied by the execution fee factor.
    pub cpu_fee: u32,
    /// Price, to be multiplied by the storage price.
    pub storage_fee: u32,
    /// The fork that brings it.
    pub since: Option<Hardfork>,
    /// The fork that ends it.
    pub until: Option<Hardfork>,
}

/// An event of a native contract.
#[derive(Debug, Clone, Copy)]
pub struct NativeEvent {
    /// Name.
    pub name: &'static str,
    /// Names and types of the parameters.
    pub parameters: &'static [(&'static str, ParameterType)],
    /// The fork that brings it.
    pub since: Option<Hardfork>,
    /// The fork that ends it.
    pub until: Option<Hardfork>,
}

impl Native {
    /// Hash of the contract.
    #[must_use]
    pub fn hash(&self) -> UInt160 {
        contract_hash(&UInt160::ZERO, 0, self.name)
    }

    /// True when the contract exists in the block of this height.
    #[must_use]
    pub fn is_active(&self, forks: &Hardforks, height: u32) -> bool {
        self.since.is_none_or(|fork| forks.is_active(fork, height))
    }

    /// The methods at this height in the order of their scripts: by name, then by number of parameters.
    #[must_use]
    pub fn methods_at(&self, forks: &Hardforks, height: u32) -> Vec<&'static Method> {
        let methods = self.methods.iter().flat_map(|group| group.iter());
        let mut active: Vec<_> =
            methods.filter(|method| in_force(method.since, method.until, forks, height)).collect();
        active.sort_by_key(|method| (method.name, method.parameters.len()));
        active
    }

    /// The method whose script, at this height, calls native code at this position.
    pub(crate) fn method_at_offset(
        &self,
        forks: &Hardforks,
        height: u32,
        position: usize,
    ) -> Option<&'static Method> {
        let offset = script_offset(position);
        if offset % METHOD_SIZE != 0 {
            return None;
        }
        self.methods_at(forks, height).get(usize::try_from(offset / METHOD_SIZE).ok()?).copied()
    }

    /// True when a fork that changes something about this contract begins in the block of this height, or the
    /// contract itself begins there: the block that stores its state anew.
    #[must_use]
    pub fn is_initialised_in(&self, forks: &Hardforks, height: u32) -> bool {
        let methods = self.methods.iter().flat_map(|group| group.iter()).flat_map(|m| [m.since, m.until]);
        let events = self.events.iter().flat_map(|event| [event.since, event.until]);
        let used = methods.chain(events).chain([self.since]).flatten();
        used.into_iter().any(|fork| forks.height(fork) == Some(height))
            || (height == 0 && self.since.is_none())
    }

    /// The contract as it is stored at this height; the update counter is left at 0.
    #[must_use]
    pub fn state_at(&self, forks: &Hardforks, height: u32) -> ContractState {
        let methods = self.methods_at(forks, height);
        let call = interop_id("System.Contract.CallNative").to_le_bytes();
        let script = methods.iter().flat_map(|_| [&[0x10, 0x41], &call[..], &[0x40]].concat()).collect();
        let declared = methods.iter().zip((0..).step_by(usize::try_from(METHOD_SIZE).unwrap_or(1)));
        let methods = declared.map(|(method, offset)| AbiMethod {
            name: method.name.to_owned(),
            parameters: parameters(method.parameters),
            return_type: method.returns,
            offset,
            safe: CallFlags::READ_ONLY.contains(method.flags),
        });
        let events = self.events.iter().filter(|event| in_force(event.since, event.until, forks, height));
        let events = events
            .map(|event| Event { name: event.name.to_owned(), parameters: parameters(event.parameters) });
        let abi = Abi { methods: methods.collect(), events: events.collect() };
        let standards = self.standards.iter().rev().find(|(since, _)| in_force(*since, None, forks, height));
        let manifest = Manifest {
            name: self.name.to_owned(),
            groups: Vec::new(),
            supported_standards: standards
                .into_iter()
                .flat_map(|(_, names)| names.iter())
                .map(ToString::to_string)
                .collect(),
            abi,
            permissions: vec![Permission { contract: Target::Any, methods: None }],
            trusts: Some(Vec::new()),
            extra: Json::Null,
        };
        let nef = Nef::new("neo-core-v3.0", "", Vec::new(), script);
        ContractState { id: self.id, update_counter: 0, hash: self.hash(), nef, manifest }
    }
}

/// Runs a method with the arguments that lie on the stack, and puts its result there in their stead. Flags and price
/// have been checked.
pub(crate) fn run<S: Store>(
    engine: &mut ApplicationEngine<S>,
    native: &'static Native,
    method: &'static Method,
) -> Result<()> {
    let arguments = (0..method.parameters.len()).map(|depth| engine.peek(depth).cloned());
    let arguments = arguments.collect::<Result<Vec<_>>>()?;
    let result = invoke(engine, native, method, &arguments)?;
    for _ in &arguments {
        engine.pop()?;
    }
    engine.push(result);
    Ok(())
}

fn invoke<S: Store>(
    engine: &mut ApplicationEngine<S>,
    native: &'static Native,
    method: &'static Method,
    arguments: &[StackItem],
) -> Result<StackItem> {
    let failed = match (native.name, method.name) {
        ("StdLib", name) if name != "strLen" => {
            let exact_numbers = !engine.host.is_active(Hardfork::Basilisk);
            match std_lib::invoke(&mut engine.heap, method, arguments, exact_numbers) {
                Ok(item) => return Ok(item),
                Err(err) => EngineError::Native(err.into()),
            }
        }
        ("CryptoLib", _) => match crypto_lib::invoke(&engine.heap, method, arguments) {
            Ok(item) => return Ok(item),
            Err(err) => EngineError::Native(err.into()),
        },
        _ => EngineError::NotBuilt { contract: native.name, method: method.name },
    };
    Err(failed.into())
}

/// Offset in the script of a native contract at which the method begins whose call is executed at `position`.
pub(crate) fn script_offset(position: usize) -> i32 {
    i32::try_from(position).unwrap_or(i32::MAX).saturating_sub(1)
}

fn in_force(since: Option<Hardfork>, until: Option<Hardfork>, forks: &Hardforks, height: u32) -> bool {
    since.is_none_or(|fork| forks.is_active(fork, height))
        && until.is_none_or(|fork| !forks.is_active(fork, height))
}

fn parameters(declared: &[(&str, ParameterType)]) -> Vec<Parameter> {
    declared.iter().map(|(name, kind)| Parameter { name: (*name).to_owned(), kind: *kind }).collect()
}
