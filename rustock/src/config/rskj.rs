//! The reference's `node.conf`: its keys that mean a setting of ours, its keys that mean nothing to a light client (a warning
//! names each), and its rules of consensus, which a file does not change. Mirrors `reference.conf` and `expected.conf`.

use std::path::Path;

use shared_vendor::{
    config::{Entry, Form, Origin, Read, Source, nearest},
    exit::{self, Report},
};

use super::hocon::{self, Document, Element, Value};

/// HOCON files with the reference's keys.
#[derive(Debug)]
pub struct NodeConf;

impl Source for NodeConf {
    fn name(&self) -> &'static str {
        "hocon"
    }

    fn matches(&self, path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "conf")
    }

    fn read(&self, path: &Path, text: &str) -> Result<Read, Report> {
        let origin = |line| Origin::File(path.to_path_buf(), line);
        let document = hocon::read(text).map_err(|err| {
            Report::new(exit::CONFIG_SYNTAX, err.what.clone()).at(origin(err.line).to_string())
        })?;
        map(&document, origin)
    }
}

/// `-Dkey=value` of the reference's command line as options of ours; `None` when the key means none.
#[must_use]
pub fn define(text: &str) -> Option<Vec<String>> {
    let (key, value) = text.strip_prefix("-D")?.split_once('=')?;
    if key == "rsk.conf.file" {
        return Some(vec![format!("--config={value}")]);
    }
    let document = Document::from([(key.to_owned(), (Value::Text(value.to_owned()), 1))]);
    let read = map(&document, |_| Origin::Flag(format!("-D{key}"))).ok()?;
    let option = |entry: &Entry| format!("--{}={}", entry.key.replace('.', "-"), entry.texts.join(","));
    (!read.entries.is_empty()).then(|| read.entries.iter().map(option).collect())
}

/// Keys of the reference without effect here. Those that end in a dot stand for all below.
const WITHOUT_EFFECT: &[&str] = &[
    "blockchain.config.verify",
    "blockchain.flushNumberOfBlocks",
    "blockchain.gc.",
    "cache.",
    "crypto.",
    "database.import.",
    "database.reset",
    "dump.",
    "hello.phrase",
    "keyvalue.datasource",
    "miner.",
    "peer.bannedMiners",
    "peer.bannedPeerIDs",
    "peer.bannedPeerIPs",
    "peer.capabilities",
    "peer.channel.read.timeout",
    "peer.connection.timeout",
    "peer.discovery.allowMultipleConnectionsPerHostPort",
    "peer.discovery.bucketSize",
    "peer.discovery.maxBootRetries",
    "peer.discovery.msg.timeout",
    "peer.discovery.refresh.period",
    "peer.discovery.usePeersFromLastSession",
    "peer.fastBlockPropagation",
    "peer.filter.",
    "peer.messageQueue.",
    "peer.p2p.",
    "peer.privateKey",
    "peer.trusted",
    "public.ip",
    "public.ipCheckService",
    "rpc.allowCallStateOverride",
    "rpc.callGasCap",
    "rpc.gasEstimationCap",
    "rpc.gasPriceMultiplier",
    "rpc.logs.",
    "rpc.maxResponseSize",
    "rpc.modules.",
    "rpc.providers.web.http.linger_time",
    "rpc.providers.web.http.max_aggregated_frame_size",
    "rpc.providers.web.max_batch_requests_size",
    "rpc.providers.web.ws.max_aggregated_frame_size",
    "rpc.providers.web.ws.max_frame_size",
    "rpc.providers.web.ws.server_write_timeout_seconds",
    "rpc.skipRemasc",
    "rpc.timeout",
    "rpc.trace.",
    "rpc.zeroSignatureIfRemasc",
    "scoring.",
    "solc.path",
    "sync.",
    "system.",
    "transaction.",
    "vm.",
    "wallet.",
    "wire.protocol",
];

/// Rules of consensus: they are those of the network, whatever a file says.
const CONSENSUS: &[&str] = &[
    "blockchain.config.consensusRules.",
    "blockchain.config.hardforkActivationHeights.",
    "genesis",
    "genesis_constants.",
    "peer.networkId",
];

/// Keys that mean a setting of ours.
const MEANT: &[&str] = &[
    "bind_address",
    "blockchain.config.name",
    "database.dir",
    "peer.active",
    "peer.discovery.enabled",
    "peer.discovery.ip.list",
    "peer.maxActivePeers",
    "peer.port",
    "rpc.providers.web.cors",
    "rpc.providers.web.http.bind_address",
    "rpc.providers.web.http.enabled",
    "rpc.providers.web.http.hosts",
    "rpc.providers.web.http.port",
    "rpc.providers.web.ws.bind_address",
    "rpc.providers.web.ws.enabled",
    "rpc.providers.web.ws.port",
];

fn listed(keys: &[&str], path: &str) -> bool {
    keys.iter().any(|key| if key.ends_with('.') { path.starts_with(key) } else { path == *key })
}

fn map(document: &Document, origin: impl Fn(usize) -> Origin) -> Result<Read, Report> {
    let mut read = Read::default();
    for (path, (_, line)) in document {
        let at = origin(*line);
        if listed(CONSENSUS, path) {
            let what = format!("`{path}` is a rule of consensus: it cannot be set");
            return Err(Report::new(exit::BAD_VALUE, what).at(at.to_string()).advice("remove it"));
        }
        if listed(WITHOUT_EFFECT, path) {
            read.warnings.push(format!("{at}: `{path}` has no effect on a light client"));
        } else if !listed(MEANT, path) {
            let report = Report::new(exit::UNKNOWN_KEY, format!("unknown configuration key `{path}`"));
            let report = report.at(at.to_string());
            let known = MEANT.iter().chain(WITHOUT_EFFECT).copied().filter(|key| !key.ends_with('.'));
            return Err(match nearest(path, known) {
                Some(name) => report.advice(format!("did you mean `{name}`? Correct or remove it")),
                None => report.advice("remove it"),
            });
        }
    }
    settings(document, &origin, &mut read);
    Ok(read)
}

fn settings(document: &Document, origin: &impl Fn(usize) -> Origin, read: &mut Read) {
    let text = |path: &str| match document.get(path) {
        Some((Value::Text(text), line)) => Some((text.clone(), *line)),
        _ => None,
    };
    let mut put = |key: &str, texts: Vec<String>, line: usize| {
        read.entries.push(Entry { key: key.to_owned(), texts, form: Form::Plain, origin: origin(line) });
    };
    if let Some((name, line)) = text("blockchain.config.name") {
        let name = if name == "main" { "mainnet".to_owned() } else { name };
        put("network", vec![name], line);
    }
    for (theirs, ours) in [
        ("database.dir", "data-dir"),
        ("peer.discovery.enabled", "p2p.discovery"),
        ("peer.maxActivePeers", "peers.max"),
    ] {
        if let Some((value, line)) = text(theirs) {
            put(ours, vec![value], line);
        }
    }
    let is_off = |path: &str| text(path).is_some_and(|(value, _)| value == "false");
    let ws_is_on = text("rpc.providers.web.ws.enabled").is_some_and(|(value, _)| value == "true");
    for (ours, bind, port, default, wanted) in [
        ("p2p.addr", "bind_address", "peer.port", ("::", None), true),
        (
            "rpc.addr",
            "rpc.providers.web.http.bind_address",
            "rpc.providers.web.http.port",
            ("127.0.0.1", Some("4444")),
            true,
        ),
        (
            "rpc.ws-addr",
            "rpc.providers.web.ws.bind_address",
            "rpc.providers.web.ws.port",
            ("127.0.0.1", Some("4445")),
            ws_is_on,
        ),
    ] {
        let (host, number) = (text(bind), text(port));
        let enabled = ours == "rpc.ws-addr" && ws_is_on;
        let line = number.as_ref().or(host.as_ref()).map(|(_, line)| *line);
        let line =
            line.or_else(|| text("rpc.providers.web.ws.enabled").filter(|_| enabled).map(|(_, line)| line));
        let number = number.map(|(text, _)| text).or_else(|| default.1.map(str::to_owned));
        if let (true, Some(line), Some(number)) = (wanted, line, number) {
            let host = host.map_or_else(|| default.0.to_owned(), |(text, _)| text);
            let host = if host == "localhost" { "127.0.0.1".to_owned() } else { host };
            let address =
                if host.contains(':') { format!("[{host}]:{number}") } else { format!("{host}:{number}") };
            put(ours, vec![address], line);
        }
    }
    if let Some((cors, line)) = text("rpc.providers.web.cors") {
        let origins = cors.split([' ', ',']).filter(|part| !part.is_empty()).map(str::to_owned).collect();
        put("rpc.allowed-origins", origins, line);
    }
    for (theirs, ours) in [
        ("peer.active", "p2p.peers"),
        ("peer.discovery.ip.list", "p2p.bootnodes"),
        ("rpc.providers.web.http.hosts", "rpc.allowed-hosts"),
    ] {
        let Some((Value::List(elements), line)) = document.get(theirs) else { continue };
        let texts: Vec<String> = elements.iter().filter_map(element).filter(|text| text != "*").collect();
        if !texts.is_empty() {
            put(ours, texts, *line);
        }
    }
    if is_off("rpc.providers.web.http.enabled") {
        read.warnings.push(
            "`rpc.providers.web.http.enabled = false` has no effect: RPC serves on its address".to_owned(),
        );
    }
    let any_host = document.get("rpc.providers.web.http.hosts").is_some_and(
        |(value, _)| matches!(value, Value::List(all) if all.contains(&Element::Text("*".to_owned()))),
    );
    if any_host {
        let warning = "`rpc.providers.web.http.hosts` does not take \"*\" here: addresses and localhost are always allowed, name others";
        read.warnings.push(warning.to_owned());
    }
}

/// A text, or a peer that is told as an object.
fn element(element: &Element) -> Option<String> {
    match element {
        Element::Text(text) => Some(text.clone()),
        Element::Object(object) => match object.get("url") {
            Some(url) => Some(url.clone()),
            None => Some(format!(
                "enode://{}@{}:{}",
                object.get("nodeId")?,
                object.get("ip")?,
                object.get("port")?
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Read, Report> {
        NodeConf.read(Path::new("node.conf"), text)
    }

    fn pairs(read: &Read) -> Vec<(&str, String)> {
        read.entries.iter().map(|entry| (entry.key.as_str(), entry.texts.join(","))).collect()
    }

    #[test]
    fn a_node_conf_means_our_settings_and_names_what_it_does_not() {
        let found = read(
            "blockchain.config.name = \"regtest\"\nbind_address = \"127.0.0.1\"\npeer.port = 50502\n\
             peer.active = [ { ip = \"127.0.0.1\", port = 15505, nodeId = \"ab\" }, { url = \"enode://cd@127.0.0.1:1\" } ]\n\
             peer.discovery { enabled = false, ip.list = [ \"localhost:50501\" ] }\n\
             rpc.providers.web { cors: \"localhost\", http { enabled = true, port = 14444, hosts = [\"*\"] }, ws.enabled = true }\n\
             miner.client.enabled = false\ndatabase.dir = /tmp/x\n",
        )
        .unwrap();
        let expected = [
            ("network", "regtest"),
            ("data-dir", "/tmp/x"),
            ("p2p.discovery", "false"),
            ("p2p.addr", "127.0.0.1:50502"),
            ("rpc.addr", "127.0.0.1:14444"),
            ("rpc.ws-addr", "127.0.0.1:4445"),
            ("rpc.allowed-origins", "localhost"),
            ("p2p.peers", "enode://ab@127.0.0.1:15505,enode://cd@127.0.0.1:1"),
            ("p2p.bootnodes", "localhost:50501"),
        ];
        assert_eq!(pairs(&found), expected.map(|(key, text)| (key, text.to_owned())));
        assert_eq!(found.warnings.len(), 2, "{:?}", found.warnings);
        assert!(found.warnings[0].contains("node.conf:7: `miner.client.enabled`"), "{:?}", found.warnings);
    }

    #[test]
    fn misspelt_keys_and_rules_of_consensus_are_refused() {
        let refused = |text: &str| format!("{:?}", read(text).unwrap_err());
        assert!(refused("peer.prot = 1").contains("peer.port"));
        assert!(
            refused("blockchain.config.hardforkActivationHeights { orchid = 5 }")
                .contains("rule of consensus")
        );
        assert!(refused("a = ${b}").contains("substitutions"));
    }

    #[test]
    fn definitions_of_the_command_line_are_options() {
        assert_eq!(define("-Dpeer.port=5"), Some(vec!["--p2p-addr=[::]:5".to_owned()]));
        assert_eq!(define("-Drsk.conf.file=x.conf"), Some(vec!["--config=x.conf".to_owned()]));
        assert_eq!(define("-Dminer.minGasPrice=0"), None);
        assert_eq!(define("--peer"), None);
    }
}
