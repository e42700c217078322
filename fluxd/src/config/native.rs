//! `flux.conf` and the single-dash options of the C++ node, mapped onto the settings of this daemon. Keys that the C++
//! node knows and this one does not implement are warnings, never silence. Mirrors `src/util.cpp` (`ParseParameters`,
//! `ReadConfigFile`) and the option list of `src/init.cpp`.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use shared_vendor::{
    config::{Entry, Origin, Source},
    exit::{self, Report},
};

/// How a native key maps.
#[derive(Clone, Copy)]
enum Map {
    /// To a setting as it is.
    To(&'static str),
    /// A whole number of seconds.
    Seconds(&'static str),
    /// A whole number of mebibytes.
    Mebibytes(&'static str),
    /// A port of the address of a setting; the host comes from another key.
    Port(&'static str),
    /// A host, with or without port, of the address of a setting.
    Host(&'static str),
    /// `1` chooses a network.
    Network(&'static str),
    /// `1` lowers the log level.
    Debug,
    /// Means nothing here: how the C++ node shows itself.
    Nothing,
    /// Known and not implemented.
    Missing,
}

const KEYS: &[(&str, Map)] = &[
    ("testnet", Map::Network("test")),
    ("regtest", Map::Network("regtest")),
    ("txindex", Map::To("index.tx")),
    ("insightexplorer", Map::To("index.insight")),
    ("checkpoints", Map::To("chain.checkpoints")),
    ("reindex", Map::To("chain.reindex")),
    ("dbcache", Map::Mebibytes("chain.cache")),
    ("prune", Map::Mebibytes("chain.prune")),
    ("maxtipage", Map::Seconds("chain.max-tip-age")),
    ("nuparams", Map::To("chain.nuparams")),
    ("blocknotify", Map::To("chain.block-notify")),
    ("mempooltxcostlimit", Map::To("mempool.cost-limit")),
    ("mempoolevictionmemoryminutes", Map::To("mempool.eviction-minutes")),
    ("listen", Map::To("p2p.listen")),
    ("connect", Map::To("p2p.connect")),
    ("addnode", Map::To("p2p.add-node")),
    ("seednode", Map::To("p2p.add-node")),
    ("dnsseed", Map::To("p2p.dns-seed")),
    ("bantime", Map::Seconds("p2p.ban-time")),
    ("peerbloomfilters", Map::To("p2p.bloom")),
    ("whitelist", Map::To("p2p.whitelist")),
    ("limitfreerelay", Map::To("mempool.free-relay")),
    ("relaypriority", Map::To("mempool.relay-priority")),
    ("permitbaremultisig", Map::To("mempool.bare-multisig")),
    ("blockmaxsize", Map::To("mining.max-size")),
    ("blockprioritysize", Map::To("mining.priority-size")),
    ("blockminsize", Map::To("mining.min-size")),
    ("txexpirydelta", Map::To("rpc.expiry-delta")),
    ("maxconnections", Map::To("peers.max")),
    ("port", Map::Port("p2p.addr")),
    ("bind", Map::Host("p2p.addr")),
    ("rpcport", Map::Port("rpc.addr")),
    ("rpcbind", Map::Host("rpc.addr")),
    ("rpcuser", Map::To("rpc.user")),
    ("rpcpassword", Map::To("rpc.password")),
    ("rpcauth", Map::To("rpc.auth")),
    ("rpcallowip", Map::To("rpc.allow-ip")),
    ("rpcthreads", Map::To("rpc.threads")),
    ("rest", Map::To("rpc.rest")),
    ("alerts", Map::To("p2p.alerts")),
    ("alertnotify", Map::To("p2p.alert-notify")),
    ("disablesafemode", Map::To("rpc.no-safe-mode")),
    ("testsafemode", Map::To("rpc.test-safe-mode")),
    ("zelnode", Map::To("fluxnode.enabled")),
    ("zelnodeoutpoint", Map::To("fluxnode.outpoint")),
    ("zelnodeindex", Map::To("fluxnode.index")),
    ("fluxnode", Map::To("fluxnode.enabled")),
    ("fluxnodeoutpoint", Map::To("fluxnode.outpoint")),
    ("fluxnodeindex", Map::To("fluxnode.index")),
    ("mineraddress", Map::To("mining.address")),
    ("zmqpubhashblock", Map::To("zmq.hashblock")),
    ("zmqpubhashtx", Map::To("zmq.hashtx")),
    ("zmqpubrawblock", Map::To("zmq.rawblock")),
    ("zmqpubrawtx", Map::To("zmq.rawtx")),
    ("zmqpubhashblockheight", Map::To("zmq.hashblockheight")),
    ("zmqpubchainreorg", Map::To("zmq.chainreorg")),
    ("zmqpubcheckedblock", Map::To("zmq.checkedblock")),
    ("zmqpubfluxnodelistdelta", Map::To("zmq.fluxnodelistdelta")),
    ("debug", Map::Debug),
    ("server", Map::Nothing),
    ("experimentalfeatures", Map::Nothing),
    ("printtoconsole", Map::Nothing),
    ("showmetrics", Map::Nothing),
    ("metricsui", Map::Nothing),
    ("metricsrefreshtime", Map::Nothing),
    ("logtimestamps", Map::Nothing),
    ("logips", Map::Nothing),
    ("disablewallet", Map::Nothing),
    ("discover", Map::Nothing),
    ("listenonion", Map::Nothing),
    ("daemon", Map::Missing),
    ("daemonwait", Map::Missing),
];

/// Keys of the C++ node that have no meaning here yet.
const MISSING: &[&str] = &[
    "checkblockindex",
    "checkblocks",
    "checklevel",
    "checkmempool",
    "peertimeout",
    "exportdir",
    "loadblock",
    "maxorphantx",
    "mempooltxinputlimit",
    "par",
    "pid",
    "sysperms",
    "banscore",
    "dns",
    "externalip",
    "forcednsseed",
    "maxreceivebuffer",
    "maxsendbuffer",
    "onion",
    "onlynet",
    "enforcenodebloom",
    "proxy",
    "proxyrandomize",
    "timeout",
    "torcontrol",
    "torpassword",
    "whitebind",
    "keypool",
    "migration",
    "migrationdestaddress",
    "mintxfee",
    "paytxfee",
    "rescan",
    "salvagewallet",
    "sendfreetransactions",
    "spendzeroconfchange",
    "txconfirmtarget",
    "maxtxfee",
    "upgradewallet",
    "wallet",
    "walletbroadcast",
    "walletnotify",
    "zapwallettxes",
    "amqppubhashblock",
    "amqppubhashtx",
    "amqppubrawblock",
    "amqppubrawtx",
    "dblogsize",
    "dropmessagestest",
    "fuzzmessagestest",
    "flushwallet",
    "stopafterblockimport",
    "maxsigcachesize",
    "minrelaytxfee",
    "printpriority",
    "privdb",
    "shrinkdebugfile",
    "datacarrier",
    "datacarriersize",
    "blockversion",
    "gen",
    "genproclimit",
    "ponminter",
    "equihashsolver",
    "minetolocalwallet",
    "defaultchangeaddressmainnet",
    "defaultchangeaddresstestnet",
    "rpccookiefile",
    "rpcworkqueue",
    "rpcservertimeout",
    "rpcasyncthreads",
    "sporkkey",
    "zelnodeprivkey",
    "fluxnodeprivkey",
    "help-debug",
    "reindexindex",
    "tor",
    "upnp",
    "zmqpubfluxnodestatus",
];

/// The network that the command line names, for the sections of `flux.conf`.
static CHOSEN: OnceLock<String> = OnceLock::new();

/// The format of `flux.conf`.
#[derive(Clone, Copy, Debug)]
pub struct FluxConf;

impl Source for FluxConf {
    fn name(&self) -> &'static str {
        "flux.conf"
    }

    fn matches(&self, path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "conf")
    }

    fn read(&self, path: &Path, text: &str) -> Result<shared_vendor::config::Read, Report> {
        let mut pairs = Vec::new();
        lines(path, text, true, &mut pairs)?;
        let mut found = Found::default();
        for (key, value, origin) in pairs {
            found.add(&key, &value, origin)?;
        }
        Ok(shared_vendor::config::Read { entries: found.finish(), warnings: found.warnings })
    }
}

type Pair = (String, String, Origin);

fn lines(path: &Path, text: &str, include: bool, pairs: &mut Vec<Pair>) -> Result<(), Report> {
    let mut section = String::new();
    let mut top = Vec::new();
    let mut sections: Vec<(String, Pair)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        let origin = Origin::File(path.to_path_buf(), number);
        if line.is_empty() {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim().to_owned();
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(|| {
            Report::new(exit::CONFIG_SYNTAX, format!("`{line}` is not of the form key=value"))
                .at(origin.to_string())
        })?;
        let pair = (key.trim().trim_start_matches('-').to_owned(), value.trim().to_owned(), origin);
        if pair.0 == "includeconf" && include {
            let other = path.parent().unwrap_or(Path::new(".")).join(&pair.1);
            let text = fs::read_to_string(&other).map_err(|err| {
                Report::new(exit::CONFIG_FILE, "cannot read an included configuration file")
                    .at(other.display().to_string())
                    .because(&err)
            })?;
            lines(&other, &text, false, &mut top)?;
        } else if section.is_empty() {
            top.push(pair);
        } else {
            sections.push((section.clone(), pair));
        }
    }
    let named = top.iter().rev().find_map(|(key, value, _)| match key.as_str() {
        "testnet" if value != "0" => Some("test"),
        "regtest" if value != "0" => Some("regtest"),
        _ => None,
    });
    let network = CHOSEN.get().map(String::as_str).or(named).unwrap_or("main");
    pairs.extend(top);
    pairs.extend(sections.into_iter().filter(|(section, _)| section == network).map(|(_, pair)| pair));
    Ok(())
}

/// What the keys say so far.
#[derive(Default)]
struct Found {
    entries: Vec<Entry>,
    /// Host and port of `p2p.addr` and `rpc.addr`.
    addresses: Vec<(&'static str, Option<String>, Option<String>, Origin)>,
    warnings: Vec<String>,
}

impl Found {
    fn add(&mut self, key: &str, value: &str, origin: Origin) -> Result<(), Report> {
        let (key, value) = match key.strip_prefix("no") {
            Some(positive) if known(key).is_none() && known(positive).is_some() => {
                (positive, if value == "0" { "1" } else { "0" })
            }
            _ => (key, if value.is_empty() { "1" } else { value }),
        };
        let Some(map) = known(key) else {
            return Err(Report::new(exit::UNKNOWN_KEY, format!("unknown option `{key}`"))
                .at(origin.to_string())
                .advice("correct or remove it"));
        };
        match map {
            Map::To(setting) => self.entries.push(Entry::plain(setting, value, origin)),
            Map::Seconds(setting) => self.entries.push(Entry::plain(setting, format!("{value}s"), origin)),
            Map::Mebibytes(setting) if value != "0" => {
                self.entries.push(Entry::plain(setting, format!("{value}MiB"), origin));
            }
            Map::Mebibytes(_) | Map::Nothing => {}
            Map::Port(setting) => self.address(setting, None, Some(value.to_owned()), origin),
            Map::Host(setting) => {
                match value.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']')) {
                    Some((host, port)) => {
                        self.address(setting, Some(host.to_owned()), Some(port.to_owned()), origin)
                    }
                    None => self.address(setting, Some(value.to_owned()), None, origin),
                }
            }
            Map::Network(network) if value != "0" => {
                self.entries.push(Entry::plain("network", network, origin))
            }
            Map::Network(_) => {}
            Map::Debug => {
                if value != "0" && !self.entries.iter().any(|entry| entry.key == "log.level") {
                    self.entries.push(Entry::plain("log.level", "debug", origin));
                }
            }
            Map::Missing => self.warnings.push(format!("{origin}: `{key}` has no effect in this version")),
        }
        Ok(())
    }

    fn address(&mut self, setting: &'static str, host: Option<String>, port: Option<String>, origin: Origin) {
        match self.addresses.iter_mut().find(|(name, ..)| *name == setting) {
            Some((_, old_host, old_port, _)) => {
                *old_host = host.or(old_host.take());
                *old_port = port.or(old_port.take());
            }
            None => self.addresses.push((setting, host, port, origin)),
        }
    }

    fn finish(&mut self) -> Vec<Entry> {
        let network = self
            .entries
            .iter()
            .rev()
            .find(|entry| entry.key == "network")
            .and_then(|entry| entry.texts.first().cloned())
            .or_else(|| CHOSEN.get().cloned())
            .unwrap_or_else(|| "main".to_owned());
        for (setting, host, port, origin) in std::mem::take(&mut self.addresses) {
            let (own_host, own_port) = default_address(setting, &network);
            let host = host.unwrap_or_else(|| own_host.to_owned());
            let bracketed =
                if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
            let text = format!("{bracketed}:{}", port.unwrap_or_else(|| own_port.to_string()));
            self.entries.push(Entry::plain(setting, text, origin));
        }
        std::mem::take(&mut self.entries)
    }
}

fn known(key: &str) -> Option<Map> {
    let found = KEYS.iter().find(|(name, _)| *name == key).map(|(_, map)| *map);
    found.or_else(|| MISSING.contains(&key).then_some(Map::Missing))
}

/// Host and port of the reference for `p2p.addr` and `rpc.addr`.
#[must_use]
pub fn default_address(setting: &str, network: &str) -> (&'static str, u16) {
    match (setting, network) {
        ("p2p.addr", "main") => ("[::]", 16_125),
        ("p2p.addr", "test") => ("[::]", 26_125),
        ("p2p.addr", _) => ("[::]", 26_126),
        (_, "main") => ("127.0.0.1", 16_124),
        _ => ("127.0.0.1", 26_124),
    }
}

/// Single-dash options as options of ours; `flux-cli METHOD ...` as `fluxd rpc METHOD ...`. A `flux.conf` is found
/// beside the data where `-datadir` or `-conf` names it, or in `~/.flux`.
#[must_use]
pub fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
    let mut args = args.into_iter();
    let program = args.next().unwrap_or_default();
    let as_client = Path::new(&program).file_name().is_some_and(|name| name == "flux-cli");
    let (mut ours, mut verb_seen) = (Vec::new(), false);
    let mut found = Found::default();
    let (mut data, mut conf) = (None, None);
    for arg in args {
        let native = arg.to_str().filter(|_| !verb_seen || !as_client).and_then(single_dash);
        let Some((key, value)) = native else {
            verb_seen |= !arg.to_string_lossy().starts_with('-');
            ours.push(arg);
            continue;
        };
        match key.as_str() {
            "datadir" => data = Some(value),
            "conf" => conf = Some(value),
            _ => {
                if found.add(&key, &value, Origin::Flag(format!("-{key}"))).is_err() {
                    ours.push(arg); // the parser names it and what is near
                }
            }
        }
    }
    let entries = found.finish();
    let network =
        entries.iter().rev().find(|entry| entry.key == "network").and_then(|entry| entry.texts.first());
    if let Some(network) = network {
        let _ = CHOSEN.set(network.clone());
    }
    let mut out = vec![program];
    if as_client {
        out.push("rpc".into());
    }
    let flags = entries.into_iter().flat_map(|entry| {
        let flag = format!("--{}", entry.key.replace('.', "-"));
        entry.texts.into_iter().map(move |text| OsString::from(format!("{flag}={text}")))
    });
    let config = native_config(data.as_deref(), conf.as_deref(), &ours);
    let extra = data.into_iter().map(|data| OsString::from(format!("--data-dir={data}")));
    let config = config.into_iter().map(|path| OsString::from(format!("--config={}", path.display())));
    let options: Vec<OsString> = flags.chain(extra).chain(config).collect();
    // Options stand before the words of a call, which may themselves begin with a dash.
    out.extend(options);
    out.extend(ours);
    out
}

fn native_config(data: Option<&str>, conf: Option<&str>, ours: &[OsString]) -> Option<PathBuf> {
    let named = |text: &OsString| text.to_string_lossy().starts_with("--config");
    if ours.iter().any(named) || std::env::var_os("FLUXD_CONFIG").is_some() {
        return None;
    }
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".flux"));
    let base = data.map(PathBuf::from).or_else(|| home.clone());
    if let Some(conf) = conf {
        return Some(base.map_or_else(|| PathBuf::from(conf), |base| base.join(conf)));
    }
    let candidate = base?.join("flux.conf");
    let ours_exists = std::env::var_os("HOME")
        .is_some_and(|home| PathBuf::from(home).join(".config/fluxd/fluxd.toml").is_file());
    (candidate.is_file() && (data.is_some() || !ours_exists)).then_some(candidate)
}

/// `-key=value` or `-key`, where the C++ node has such an option; `-h` and `-v` are ours.
fn single_dash(text: &str) -> Option<(String, String)> {
    let rest = text.strip_prefix('-').filter(|rest| rest.len() > 1 && !rest.starts_with('-'))?;
    let (key, value) = rest.split_once('=').unwrap_or((rest, "1"));
    let named = known(key).is_some() || key.strip_prefix("no").is_some_and(|key| known(key).is_some());
    (named || matches!(key, "datadir" | "conf")).then(|| (key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(args: &[&str]) -> Vec<String> {
        let args = std::iter::once("fluxd").chain(args.iter().copied()).map(OsString::from).collect();
        rewrite(args).into_iter().skip(1).map(|arg| arg.into_string().unwrap()).collect()
    }

    #[test]
    fn files_and_options_of_the_reference_become_ours() {
        // before options name a network, which holds for the process
        a_file_maps_with_sections_and_says_what_it_cannot();
        let found = rewritten(&[
            "-regtest",
            "-rpcport=18443",
            "-port=18444",
            "-nolisten",
            "-addnode=a:1",
            "-addnode=b:2",
        ]);
        assert_eq!(
            found,
            [
                "--network=regtest",
                "--p2p-listen=0",
                "--p2p-add-node=a:1",
                "--p2p-add-node=b:2",
                "--rpc-addr=127.0.0.1:18443",
                "--p2p-addr=[::]:18444",
            ]
        );
        assert_eq!(rewritten(&["run", "-dbcache=100"]), ["--chain-cache=100MiB", "run"]);
        assert_eq!(rewritten(&["-nonsense=1", "--quiet"]), ["-nonsense=1", "--quiet"]);
    }

    fn a_file_maps_with_sections_and_says_what_it_cannot() {
        let text = "rpcuser=u # name\n\ntestnet=1\nkeypool=7\n[main]\nrpcport=1\n[test]\nrpcport=2\nzmqpubrawtx=tcp://x:1\n";
        let read = FluxConf.read(Path::new("flux.conf"), text).unwrap();
        let pairs: Vec<(String, String)> =
            read.entries.iter().map(|entry| (entry.key.clone(), entry.texts.join(","))).collect();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            pairs,
            [
                pair("rpc.user", "u"),
                pair("network", "test"),
                pair("zmq.rawtx", "tcp://x:1"),
                pair("rpc.addr", "127.0.0.1:2")
            ]
        );
        assert_eq!(read.warnings.len(), 1);
        assert!(FluxConf.read(Path::new("flux.conf"), "nosuchkey=1\n").is_err());
        assert!(FluxConf.read(Path::new("flux.conf"), "nonsense\n").is_err());
    }
}
