//! The configuration files of other nodes: `config.json` with the plugin files `RpcServer.json` and `DBFTPlugin.json` of
//! the C# node, and the YAML of neo-go. Each known name is mapped onto a setting of ours, and nothing else: names without
//! a counterpart become warnings.

use std::path::Path;

use serde_json::Value;
use shared_vendor::{
    config::{Entry, Origin, Read, Source, parse_duration},
    exit::{self, Report},
};

/// `config.json`, `RpcServer.json`, `DBFTPlugin.json`, `StateService.json` and `TokensTracker.json`
/// of the C# node.
#[derive(Debug, Clone, Copy)]
pub struct CSharp;

/// `protocol.NAME.yml` of neo-go.
#[derive(Debug, Clone, Copy)]
pub struct NeoGo;

impl Source for CSharp {
    fn name(&self) -> &'static str {
        "csharp"
    }

    fn matches(&self, path: &Path) -> bool {
        path.extension().is_some_and(|ext| ext == "json")
    }

    fn read(&self, path: &Path, text: &str) -> Result<Read, Report> {
        let root: Value = serde_json::from_str(text).map_err(|err| syntax(path, &err, err.line()))?;
        Ok(walk(path, text, &root, CSHARP))
    }
}

impl Source for NeoGo {
    fn name(&self) -> &'static str {
        "neo-go"
    }

    fn matches(&self, path: &Path) -> bool {
        path.extension().is_some_and(|ext| ext == "yml" || ext == "yaml")
    }

    fn read(&self, path: &Path, text: &str) -> Result<Read, Report> {
        let root: Value = serde_yaml_ng::from_str(text)
            .map_err(|err| syntax(path, &err, err.location().map_or(1, |place| place.line())))?;
        Ok(walk(path, text, &root, NEO_GO))
    }
}

fn syntax(path: &Path, err: &dyn std::error::Error, line: usize) -> Report {
    Report::new(exit::CONFIG_SYNTAX, err.to_string()).at(format!("file {}:{line}", path.display()))
}

/// How a value of another node becomes ours.
#[derive(Clone, Copy)]
enum Turn {
    /// As it is; lists item by item.
    Plain,
    /// A magic number: the setting, and the network's name.
    Magic,
    /// Milliseconds.
    Millis,
    /// A duration in Go's spelling.
    GoDuration,
    /// Whole GAS.
    Gas,
    /// A map of names and heights.
    Forks,
    /// A port of all addresses.
    Port,
    /// A port of loopback.
    LocalPort,
    /// A list of addresses to listen on, of which the first is taken.
    Listen,
    /// A path beside the configuration file.
    Path,
    /// Known and without effect here, in silence: it says what this node always does.
    Nothing,
}

/// Place in the other file, our key, how the value is turned.
type Row = (&'static str, &'static str, Turn);

const CSHARP: &[Row] = &[
    ("ProtocolConfiguration.Network", "protocol.magic", Turn::Magic),
    ("ProtocolConfiguration.AddressVersion", "protocol.address-version", Turn::Plain),
    ("ProtocolConfiguration.MillisecondsPerBlock", "protocol.block-time", Turn::Millis),
    ("ProtocolConfiguration.MaxTransactionsPerBlock", "protocol.max-transactions-per-block", Turn::Plain),
    (
        "ProtocolConfiguration.MaxValidUntilBlockIncrement",
        "protocol.max-valid-until-block-increment",
        Turn::Plain,
    ),
    ("ProtocolConfiguration.MaxTraceableBlocks", "protocol.max-traceable-blocks", Turn::Plain),
    ("ProtocolConfiguration.MemoryPoolMaxTransactions", "mempool.size", Turn::Plain),
    ("ProtocolConfiguration.InitialGasDistribution", "protocol.initial-gas-distribution", Turn::Plain),
    ("ProtocolConfiguration.ValidatorsCount", "protocol.validators-count", Turn::Plain),
    ("ProtocolConfiguration.StandbyCommittee", "protocol.standby-committee", Turn::Plain),
    ("ProtocolConfiguration.SeedList", "p2p.seeds", Turn::Plain),
    ("ProtocolConfiguration.Hardforks", "protocol.hardforks", Turn::Forks),
    ("ApplicationConfiguration.P2P.Port", "p2p.addr", Turn::Port),
    ("ApplicationConfiguration.P2P.EnableCompression", "p2p.compression", Turn::Plain),
    ("ApplicationConfiguration.P2P.MinDesiredConnections", "p2p.min", Turn::Plain),
    ("ApplicationConfiguration.P2P.MaxConnections", "peers.max", Turn::Plain),
    ("ApplicationConfiguration.P2P.MaxConnectionsPerAddress", "p2p.max-per-address", Turn::Plain),
    ("ApplicationConfiguration.UnlockWallet.Path", "consensus.wallet", Turn::Path),
    ("ApplicationConfiguration.UnlockWallet.Password", "consensus.password", Turn::Plain),
    ("ApplicationConfiguration.UnlockWallet.IsActive", "", Turn::Nothing),
    ("PluginConfiguration.EnabledTrackers", "tokens.trackers", Turn::Plain),
    ("PluginConfiguration.TrackHistory", "tokens.history", Turn::Plain),
    ("PluginConfiguration.MaxResults", "tokens.max-results", Turn::Plain),
    ("PluginConfiguration.AutoVerify", "state.auto-verify", Turn::Plain),
    ("PluginConfiguration.MaxBlockSize", "consensus.max-block-size", Turn::Plain),
    ("PluginConfiguration.MaxBlockSystemFee", "consensus.max-block-system-fee", Turn::Plain),
    ("PluginConfiguration.Servers.Port", "rpc.addr", Turn::LocalPort),
    ("PluginConfiguration.Servers.MaxGasInvoke", "rpc.max-gas-invoke", Turn::Gas),
    ("PluginConfiguration.Servers.MaxIteratorResultItems", "rpc.max-iterator-items", Turn::Plain),
    ("PluginConfiguration.Servers.SessionEnabled", "rpc.sessions", Turn::Plain),
    ("PluginConfiguration.Servers.FindStoragePageSize", "rpc.max-find-items", Turn::Plain),
];

const NEO_GO: &[Row] = &[
    ("ProtocolConfiguration.Magic", "protocol.magic", Turn::Magic),
    ("ProtocolConfiguration.TimePerBlock", "protocol.block-time", Turn::GoDuration),
    ("ProtocolConfiguration.Genesis.TimePerBlock", "", Turn::Nothing),
    ("ProtocolConfiguration.Genesis.MaxTraceableBlocks", "", Turn::Nothing),
    ("ProtocolConfiguration.Genesis.MaxValidUntilBlockIncrement", "", Turn::Nothing),
    ("ProtocolConfiguration.MaxTransactionsPerBlock", "protocol.max-transactions-per-block", Turn::Plain),
    (
        "ProtocolConfiguration.MaxValidUntilBlockIncrement",
        "protocol.max-valid-until-block-increment",
        Turn::Plain,
    ),
    ("ProtocolConfiguration.MaxTraceableBlocks", "protocol.max-traceable-blocks", Turn::Plain),
    ("ProtocolConfiguration.MemPoolSize", "mempool.size", Turn::Plain),
    ("ProtocolConfiguration.InitialGASSupply", "protocol.initial-gas-distribution", Turn::Gas),
    ("ProtocolConfiguration.ValidatorsCount", "protocol.validators-count", Turn::Plain),
    ("ProtocolConfiguration.StandbyCommittee", "protocol.standby-committee", Turn::Plain),
    ("ProtocolConfiguration.SeedList", "p2p.seeds", Turn::Plain),
    ("ProtocolConfiguration.Hardforks", "protocol.hardforks", Turn::Forks),
    ("ProtocolConfiguration.VerifyTransactions", "", Turn::Nothing),
    ("ApplicationConfiguration.P2P.Addresses", "p2p.addr", Turn::Listen),
    ("ApplicationConfiguration.P2P.MinPeers", "p2p.min", Turn::Plain),
    ("ApplicationConfiguration.P2P.MaxPeers", "peers.max", Turn::Plain),
    ("ApplicationConfiguration.RPC.Addresses", "rpc.addr", Turn::Listen),
    ("ApplicationConfiguration.RPC.MaxGasInvoke", "rpc.max-gas-invoke", Turn::Gas),
    ("ApplicationConfiguration.RPC.MaxIteratorResultItems", "rpc.max-iterator-items", Turn::Plain),
    ("ApplicationConfiguration.RPC.MaxFindResultItems", "rpc.max-find-items", Turn::Plain),
    ("ApplicationConfiguration.RPC.SessionEnabled", "rpc.sessions", Turn::Plain),
    ("ApplicationConfiguration.RPC.SessionLifetime", "rpc.session-lifetime", Turn::GoDuration),
    ("ApplicationConfiguration.Consensus.UnlockWallet.Path", "consensus.wallet", Turn::Path),
    ("ApplicationConfiguration.Consensus.UnlockWallet.Password", "consensus.password", Turn::Plain),
    ("ApplicationConfiguration.Consensus.Enabled", "", Turn::Nothing),
    ("ApplicationConfiguration.StateRoot.UnlockWallet.Path", "state.wallet", Turn::Path),
    ("ApplicationConfiguration.StateRoot.UnlockWallet.Password", "state.password", Turn::Plain),
    ("ApplicationConfiguration.StateRoot.Enabled", "", Turn::Nothing),
];

/// Sections that another node's switch turns off: the switch and what it governs.
const SWITCHES: &[(&str, &str)] = &[
    ("ApplicationConfiguration.StateRoot.Enabled", "ApplicationConfiguration.StateRoot.UnlockWallet"),
    ("ApplicationConfiguration.Consensus.Enabled", "ApplicationConfiguration.Consensus.UnlockWallet"),
    ("ApplicationConfiguration.UnlockWallet.IsActive", "ApplicationConfiguration.UnlockWallet"),
];

/// Things that chains made with them would not agree with us on.
const UNSUPPORTED: &[&str] =
    &["ProtocolConfiguration.P2PSigExtensions", "ProtocolConfiguration.StateRootInHeader"];

fn walk(path: &Path, text: &str, root: &Value, rows: &[Row]) -> Read {
    let mut read = Read::default();
    let off: Vec<&str> = SWITCHES
        .iter()
        .filter(|(switch, _)| find(root, switch).and_then(Value::as_bool) == Some(false))
        .map(|(_, section)| *section)
        .collect();
    leaves("", root, &mut |place, value| {
        if off.iter().any(|section| place.starts_with(section)) {
            return;
        }
        let row = rows.iter().find(|(known, ..)| place == *known || inside_map(known, rows, place));
        let Some((_, key, turn)) = row else {
            if !value.is_null() && value.as_bool() != Some(false) {
                read.warnings.push(format!("{}: {place} has no effect here", path.display()));
            }
            return;
        };
        let leaf = place.rsplit('.').next().unwrap_or(place);
        let origin = Origin::File(path.to_path_buf(), line_of(text, leaf));
        push(&mut read, path, key, *turn, (leaf, value), &origin);
    });
    for place in UNSUPPORTED.iter().filter(|place| find(root, place).and_then(Value::as_bool) == Some(true)) {
        read.warnings
            .push(format!("{}: {place} is an extension that this node does not have", path.display()));
    }
    read
}

/// A member of a map that one row stands for.
fn inside_map(known: &str, rows: &[Row], place: &str) -> bool {
    let is_map = rows.iter().any(|(row, _, turn)| *row == known && matches!(turn, Turn::Forks));
    is_map && place.strip_prefix(known).is_some_and(|rest| rest.starts_with('.'))
}

fn push(read: &mut Read, path: &Path, key: &str, turn: Turn, (leaf, value): (&str, &Value), origin: &Origin) {
    let texts = texts(value);
    let first = texts.first().cloned().unwrap_or_default();
    let mut put = |key: &str, texts: Vec<String>| {
        // Members of a map become one list.
        if let Some(entry) =
            read.entries.iter_mut().find(|entry| entry.key == key && matches!(turn, Turn::Forks))
        {
            return entry.texts.extend(texts);
        }
        let mut entry = Entry::plain(key, String::new(), origin.clone());
        entry.texts = texts;
        read.entries.push(entry);
    };
    match turn {
        Turn::Nothing => {}
        Turn::Plain if value.is_null() => {}
        Turn::Plain => put(key, texts),
        Turn::Magic => {
            let network = match first.as_str() {
                "860833102" => "mainnet",
                "894710606" => "testnet",
                _ => "privnet",
            };
            put("network", vec![network.to_owned()]);
            put(key, texts);
        }
        Turn::Millis => put(key, vec![format!("{first}ms")]),
        // Go writes 1.5s where we write 1500ms.
        Turn::GoDuration => put(key, vec![go_duration(&first).unwrap_or(first)]),
        Turn::Gas => {
            let datoshi = first.parse::<u64>().ok().and_then(|gas| gas.checked_mul(100_000_000));
            put(key, vec![datoshi.map_or(first, |datoshi| datoshi.to_string())]);
        }
        Turn::Forks => put(key, vec![format!("{leaf}={first}")]),
        Turn::Port => put(key, vec![format!("[::]:{first}")]),
        Turn::LocalPort => put(key, vec![format!("127.0.0.1:{first}")]),
        Turn::Listen => put(key, vec![listen(&first)]),
        Turn::Path => {
            let beside = path.parent().map(|folder| folder.join(&first));
            put(key, vec![beside.map_or(first, |path| path.display().to_string())]);
        }
    }
}

fn go_duration(text: &str) -> Option<String> {
    if parse_duration(text).is_some() {
        return Some(text.to_owned());
    }
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Some(format!("{:.0}ms", seconds * 1000.0))
}

/// An address without a host listens everywhere; one without a port takes any.
fn listen(text: &str) -> String {
    match text.rsplit_once(':') {
        Some(("", port)) => format!("[::]:{port}"),
        Some(_) => text.to_owned(),
        None => format!("{text}:0"),
    }
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        Value::Null | Value::Object(_) => Vec::new(),
        other => vec![other.to_string()],
    }
}

/// Calls `put` for each value that is no object; lists of objects are taken as their first one.
fn leaves<'a>(prefix: &str, value: &'a Value, put: &mut impl FnMut(&str, &'a Value)) {
    let members = match value {
        Value::Object(members) => members,
        Value::Array(items) => match items.first() {
            Some(first @ Value::Object(_)) => return leaves(prefix, first, put),
            _ => return put(prefix, value),
        },
        _ => return put(prefix, value),
    };
    for (name, member) in members {
        let place = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        leaves(&place, member, put);
    }
}

fn find<'a>(root: &'a Value, place: &str) -> Option<&'a Value> {
    place.split('.').try_fold(root, |value, name| value.get(name))
}

/// The first line that names a member; 1 when it is not found.
fn line_of(text: &str, leaf: &str) -> usize {
    text.lines().position(|line| line.contains(leaf)).map_or(1, |line| line.saturating_add(1))
}
