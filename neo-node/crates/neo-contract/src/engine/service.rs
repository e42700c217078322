//! The table of interop services: names, prices, flags, and the conversions of their arguments. Mirrors
//! `InteropDescriptor.cs` and the registrations in `ApplicationEngine.*.cs`.

use neo_base::account::interop_id;
use neo_vm::{Fault, Result, StackItem};

use super::{
    ApplicationEngine, Store, Trigger, account, call, charge_execution, require, runtime, storage, witness,
};
use crate::{
    flags::CallFlags,
    hardfork::Hardfork::{self, Faun},
    native,
};

/// An interop service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// Name, from which its number comes.
    pub name: &'static str,
    /// Price, to be multiplied by the execution fee factor; services may charge more on their own.
    pub price: u32,
    /// What the calling script must be allowed to do.
    pub flags: CallFlags,
    /// The fork that brings it.
    pub since: Option<Hardfork>,
}

const fn service(name: &'static str, price: u32, flags: CallFlags) -> Service {
    Service { name, price, flags, since: None }
}

impl Service {
    const fn since(self, fork: Hardfork) -> Self {
        Self { since: Some(fork), ..self }
    }
}

const NONE: CallFlags = CallFlags::NONE;
const READ: CallFlags = CallFlags::READ_STATES;
const WRITE: CallFlags = CallFlags::WRITE_STATES;
const NOTIFY: CallFlags = CallFlags::ALLOW_NOTIFY;

/// All services.
pub const SERVICES: &[Service] = &[
    service("System.Contract.Call", 1 << 15, CallFlags::READ_ONLY),
    service("System.Contract.CallNative", 0, NONE),
    service("System.Contract.GetCallFlags", 1 << 10, NONE),
    service("System.Contract.CreateStandardAccount", 0, NONE),
    service("System.Contract.CreateMultisigAccount", 0, NONE),
    service("System.Contract.NativeOnPersist", 0, CallFlags::STATES),
    service("System.Contract.NativePostPersist", 0, CallFlags::STATES),
    service("System.Crypto.CheckSig", 1 << 15, NONE),
    service("System.Crypto.CheckMultisig", 0, NONE),
    service("System.Iterator.Next", 1 << 15, NONE),
    service("System.Iterator.Value", 1 << 4, NONE),
    service("System.Runtime.Platform", 1 << 3, NONE),
    service("System.Runtime.GetNetwork", 1 << 3, NONE),
    service("System.Runtime.GetAddressVersion", 1 << 3, NONE),
    service("System.Runtime.GetTrigger", 1 << 3, NONE),
    service("System.Runtime.GetTime", 1 << 3, NONE),
    service("System.Runtime.GetScriptContainer", 1 << 3, NONE),
    service("System.Runtime.GetExecutingScriptHash", 1 << 4, NONE),
    service("System.Runtime.GetCallingScriptHash", 1 << 4, NONE),
    service("System.Runtime.GetEntryScriptHash", 1 << 4, NONE),
    service("System.Runtime.LoadScript", 1 << 15, CallFlags::ALLOW_CALL),
    service("System.Runtime.CheckWitness", 1 << 10, NONE),
    service("System.Runtime.GetInvocationCounter", 1 << 4, NONE),
    service("System.Runtime.GetRandom", 0, NONE),
    service("System.Runtime.Log", 1 << 15, NOTIFY),
    service("System.Runtime.Notify", 1 << 15, NOTIFY),
    service("System.Runtime.GetNotifications", 1 << 12, NONE),
    service("System.Runtime.GasLeft", 1 << 4, NONE),
    service("System.Runtime.BurnGas", 1 << 4, NONE),
    service("System.Runtime.CurrentSigners", 1 << 4, NONE),
    service("System.Storage.GetContext", 1 << 4, READ),
    service("System.Storage.GetReadOnlyContext", 1 << 4, READ),
    service("System.Storage.AsReadOnly", 1 << 4, READ),
    service("System.Storage.Get", 1 << 15, READ),
    service("System.Storage.Find", 1 << 15, READ),
    service("System.Storage.Put", 1 << 15, WRITE),
    service("System.Storage.Delete", 1 << 15, WRITE),
    service("System.Storage.Local.Get", 1 << 15, READ).since(Faun),
    service("System.Storage.Local.Find", 1 << 15, READ).since(Faun),
    service("System.Storage.Local.Put", 1 << 15, WRITE).since(Faun),
    service("System.Storage.Local.Delete", 1 << 15, WRITE).since(Faun),
];

/// The service with this number.
fn find(id: u32) -> Option<&'static Service> {
    static IDS: std::sync::LazyLock<std::collections::HashMap<u32, &'static Service>> =
        std::sync::LazyLock::new(|| {
            SERVICES.iter().map(|service| (interop_id(service.name), service)).collect()
        });
    IDS.get(&id).copied()
}

/// Runs the service with this number.
pub(super) fn run<S: Store>(engine: &mut ApplicationEngine<S>, id: u32) -> Result<()> {
    let service = find(id).filter(|service| service.since.is_none_or(|fork| engine.host.is_active(fork)));
    let service = service.ok_or(Fault::UnknownSyscall(id))?;
    require(engine, service.flags)?;
    charge_execution(engine, service.price.into())?;
    match service.name {
        "System.Contract.Call" => call::call(engine),
        "System.Contract.CallNative" => call::call_native(engine),
        "System.Contract.GetCallFlags" => call::get_call_flags(engine),
        "System.Contract.CreateStandardAccount" => account::create_standard(engine),
        "System.Contract.CreateMultisigAccount" => account::create_multisig(engine),
        "System.Contract.NativeOnPersist" => native::persist::run(engine, Trigger::OnPersist),
        "System.Contract.NativePostPersist" => native::persist::run(engine, Trigger::PostPersist),
        "System.Crypto.CheckSig" => account::check_sig(engine),
        "System.Crypto.CheckMultisig" => account::check_multisig(engine),
        "System.Iterator.Next" => storage::iterator_next(engine),
        "System.Iterator.Value" => storage::iterator_value(engine),
        "System.Runtime.LoadScript" => call::load_dynamic(engine),
        "System.Runtime.CheckWitness" => witness::check_witness(engine),
        "System.Storage.GetContext" => storage::get_context(engine),
        "System.Storage.GetReadOnlyContext" => storage::get_read_only_context(engine),
        "System.Storage.AsReadOnly" => storage::as_read_only(engine),
        "System.Storage.Get" => storage::get(engine),
        "System.Storage.Find" => storage::find(engine),
        "System.Storage.Put" => storage::put(engine),
        "System.Storage.Delete" => storage::delete(engine),
        "System.Storage.Local.Get" => storage::get_local(engine),
        "System.Storage.Local.Find" => storage::find_local(engine),
        "System.Storage.Local.Put" => storage::put_local(engine),
        "System.Storage.Local.Delete" => storage::delete_local(engine),
        name => runtime::run(engine, name),
    }
}

/// Pops a number of 8 bits without sign.
pub(super) fn pop_byte<S: Store>(engine: &mut ApplicationEngine<S>) -> Result<u8> {
    let value = engine.pop_int()?.to_u64().and_then(|value| u8::try_from(value).ok());
    value.ok_or(Fault::OutOfRange)
}

/// Pops strict UTF-8.
pub(super) fn pop_text<S: Store>(engine: &mut ApplicationEngine<S>) -> Result<String> {
    String::from_utf8(engine.pop_bytes()?).map_err(|_| Fault::NotText)
}

/// Pops an array or struct: its elements.
pub(super) fn pop_list<S: Store>(engine: &mut ApplicationEngine<S>) -> Result<(StackItem, Vec<StackItem>)> {
    let item = engine.pop()?;
    match item {
        StackItem::Array(id) | StackItem::Struct(id) => Ok((item, engine.heap.list(id).to_vec())),
        other => Err(Fault::InvalidType(other.item_type())),
    }
}

/// Pops an array of bytes, or a number and as many items below it.
pub(super) fn pop_byte_strings<S: Store>(engine: &mut ApplicationEngine<S>) -> Result<Vec<Vec<u8>>> {
    let item = engine.pop()?;
    if let StackItem::Array(id) | StackItem::Struct(id) = item {
        return engine.heap.list(id).iter().map(|item| engine.heap.bytes_of(item)).collect();
    }
    let count = item.to_int()?.to_i32().and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|count| *count <= 2048).ok_or(Fault::OutOfRange)?;
    (0..count).map(|_| engine.pop_bytes()).collect()
}
