//! `info.*`: the node and the network. Mirrors `api/info/service.go`.

use avalanche_ids::Id;
use avalanche_utils::upgrade::Fork;
use serde_json::{Map, Value, json};
use shared_vendor::rpc::{Error, Methods, ParamDoc, Spec};

use crate::{
    Context,
    args::{Args, doc},
    failure,
    format::{decimal, no_alias, number, plain_hex, time},
};

/// The release of the reference whose protocol this node speaks.
const RELEASE: &str = "avalanchego/1.14.2";
const MILLI_AVAX: u64 = 1_000_000;

const NONE: &[ParamDoc] = &[];
const ALIAS: &[ParamDoc] = &[doc("alias", "alias of a chain")];
const CHAIN: &[ParamDoc] = &[doc("chain", "alias or id of a chain")];
const NODES: &[ParamDoc] = &[doc("nodeIDs", "peers to tell of; all when left out")];

pub(crate) fn add(methods: &mut Methods<Context>) {
    methods.add(Spec::open("info.getNodeVersion", "versions of the program", NONE), |_, _| Ok(version()));
    methods.add(Spec::open("info.getNodeID", "id and BLS key of this node", NONE), |context, _| {
        let facts = &context.facts;
        Ok(json!({ "nodeID": facts.node.to_string(), "nodePOP": {
            "publicKey": plain_hex(&facts.public_key),
            "proofOfPossession": plain_hex(&facts.proof_of_possession),
        } }))
    });
    methods.add(Spec::open("info.getNodeIP", "where peers reach this node", NONE), |context, _| {
        Ok(json!({ "ip": context.facts.address.to_string() }))
    });
    methods.add(Spec::open("info.getNetworkID", "number of the network", NONE), |context, _| {
        Ok(json!({ "networkID": number(u64::from(context.facts.network_id)) }))
    });
    methods.add(Spec::open("info.getNetworkName", "name of the network", NONE), |context, _| {
        Ok(json!({ "networkName": context.facts.network_name }))
    });
    methods.add(Spec::open("info.getBlockchainID", "id of a chain", ALIAS), |context, params| {
        let alias = Args::new(params, ALIAS).text("alias")?;
        let id = context.chain(alias).ok_or_else(|| failure(no_alias(alias)))?;
        Ok(json!({ "blockchainID": id.to_string() }))
    });
    methods.add(
        Spec::open("info.isBootstrapped", "whether a chain is in consensus", CHAIN),
        |context, params| {
            let chain = Args::new(params, CHAIN).text("chain")?;
            if chain.is_empty() {
                return Err(failure("argument 'chain' not given"));
            }
            let id = context.chain(chain);
            let id = id.ok_or_else(|| failure(format!("there is no chain with alias/ID '{chain}'")))?;
            Ok(json!({ "isBootstrapped": context.node.is_bootstrapped(id) == Some(true) }))
        },
    );
    methods.add(Spec::open("info.peers", "connected peers", NODES), |context, params| {
        peers(context, &Args::new(params, NODES))
    });
    methods
        .add(Spec::open("info.upgrades", "when upgrades activate", NONE), |context, _| Ok(upgrades(context)));
    methods.add(Spec::open("info.uptime", "uptime of this node as validators see it", NONE), |context, _| {
        uptime(context)
    });
    methods.add(Spec::open("info.acps", "votes on proposals", NONE), |_, _| Ok(json!({ "acps": {} })));
    methods.add(Spec::open("info.getTxFee", "fixed fees", NONE), |context, _| Ok(tx_fee(context)));
    methods.add(Spec::open("info.getVMs", "virtual machines and fxs", NONE), |_, _| Ok(machines()));
}

fn version() -> Value {
    json!({
        "version": RELEASE,
        "databaseVersion": "v1.4.5",
        "rpcProtocolVersion": "45",
        "gitCommit": option_env!("BUILD_COMMIT").unwrap_or("unknown"),
        "vmVersions": { "avm": RELEASE, "platform": RELEASE },
    })
}

fn peers(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let wanted = args.nodes("nodeIDs")?;
    let mut peers = context.node.peers();
    peers.retain(|peer| wanted.is_empty() || wanted.contains(&peer.node));
    let peers: Vec<_> = peers
        .into_iter()
        .map(|peer| {
            let subnets: Vec<_> = peer.subnets.iter().map(Id::to_string).collect();
            json!({
                "ip": peer.address.to_string(),
                "publicIP": peer.address.to_string(),
                "nodeID": peer.node.to_string(),
                "version": peer.version,
                "upgradeTime": peer.upgrade_time,
                "lastSent": time(peer.heard.as_secs()),
                "lastReceived": time(peer.heard.as_secs()),
                "observedUptime": number(u64::from(peer.observed_uptime)),
                "trackedSubnets": subnets,
                "supportedACPs": [],
                "objectedACPs": [],
                "benched": peer.benched,
            })
        })
        .collect();
    Ok(json!({ "numPeers": number(u64::try_from(peers.len()).unwrap_or(u64::MAX)), "peers": peers }))
}

fn upgrades(context: &Context) -> Value {
    let upgrades = &context.platform.config().upgrades;
    let at = |fork| u64::try_from(upgrades.time(fork)).unwrap_or_default();
    let forks = [
        ("apricotPhase1Time", Fork::ApricotPhase1),
        ("apricotPhase2Time", Fork::ApricotPhase2),
        ("apricotPhase3Time", Fork::ApricotPhase3),
        ("apricotPhase4Time", Fork::ApricotPhase4),
        ("apricotPhase5Time", Fork::ApricotPhase5),
        ("apricotPhasePre6Time", Fork::ApricotPhasePre6),
        ("apricotPhase6Time", Fork::ApricotPhase6),
        ("apricotPhasePost6Time", Fork::ApricotPhasePost6),
        ("banffTime", Fork::Banff),
        ("cortinaTime", Fork::Cortina),
        ("durangoTime", Fork::Durango),
        ("etnaTime", Fork::Etna),
        ("fortunaTime", Fork::Fortuna),
        ("graniteTime", Fork::Granite),
    ];
    let mut object = Map::new();
    for (name, fork) in forks {
        object.insert(name.to_owned(), time(at(fork)));
        if fork == Fork::ApricotPhase4 {
            let height = upgrades.apricot_phase_4_min_p_chain_height;
            object.insert("apricotPhase4MinPChainHeight".to_owned(), json!(height));
        }
        if fork == Fork::Cortina {
            let stop = match context.facts.network_id {
                1 => "jrGWDh5Po9FMj54depyunNixpia5PN4aAYxfmNzU8n752Rjga",
                5 => "2D1cmbiG36BqQMRyHt4kFhWarmatA1ighSpND3FeFgz3vFVtCZ",
                _ => "11111111111111111111111111111111LpoYY",
            };
            object.insert("cortinaXChainStopVertexID".to_owned(), json!(stop));
        }
    }
    let nanos = upgrades.granite_epoch_duration.saturating_mul(1_000_000_000);
    object.insert("graniteEpochDuration".to_owned(), json!(nanos));
    // Years beyond 2554 do not fit a clock of nanoseconds.
    let helicon = u64::try_from(upgrades.time(Fork::Helicon)).unwrap_or_default();
    let helicon = if helicon > 18_000_000_000 { json!("9999-12-01T00:00:00Z") } else { time(helicon) };
    object.insert("heliconTime".to_owned(), helicon);
    Value::Object(object)
}

fn uptime(context: &Context) -> Result<Value, Error> {
    let uptimes =
        uptimes(context).ok_or_else(|| failure("couldn't get node uptime: node is not a validator"))?;
    Ok(json!({
        "rewardingStakePercentage": decimal(uptimes.rewarding),
        "weightedAveragePercentage": decimal(uptimes.average),
    }))
}

/// Our uptime in percent.
pub(crate) struct Uptimes {
    /// Weighted by the stake of those who tell it.
    pub(crate) average: f64,
    /// The stake of those who tell one that is worth a reward.
    pub(crate) rewarding: f64,
}

/// Our uptime as peers tell it; None when this node does not validate.
#[allow(clippy::cast_precision_loss)] // percents for people
pub(crate) fn uptimes(context: &Context) -> Option<Uptimes> {
    let me = context.facts.node;
    let (set, staker) = context
        .platform
        .read(|state| (state.current_set(Id::EMPTY), state.draft().current_validator(Id::EMPTY, me)));
    let own = set.get(&me)?;
    let (mut total, mut weighted, mut rewarding) =
        (own.weight as f64, own.weight as f64 * 100.0, own.weight as f64);
    let requirement = context.platform.config().uptime_requirement(staker?.start) * 100.0;
    for (node, validator) in &set {
        if *node != me {
            total += validator.weight as f64;
        }
    }
    for peer in context.node.peers() {
        let Some(validator) = set.get(&peer.node) else { continue };
        let percent = f64::from(peer.observed_uptime);
        weighted += validator.weight as f64 * percent;
        if percent >= requirement {
            rewarding += validator.weight as f64;
        }
    }
    Some(Uptimes { average: weighted / total, rewarding: 100.0 * rewarding / total })
}

/// Fees of old releases, which the reference still answers with.
fn tx_fee(context: &Context) -> Value {
    let avm = context.avm.config();
    let avax = 1000 * MILLI_AVAX;
    let (subnet, transform, chain) = match context.facts.network_id {
        1 => (avax, 10 * avax, avax),
        _ => (avax / 10, avax / 10, avax / 10),
    };
    json!({
        "txFee": number(avm.tx_fee),
        "createAssetTxFee": number(avm.create_asset_fee),
        "createSubnetTxFee": number(subnet),
        "transformSubnetTxFee": number(transform),
        "createBlockchainTxFee": number(chain),
        "addPrimaryNetworkValidatorFee": number(0),
        "addPrimaryNetworkDelegatorFee": number(0),
        "addSubnetValidatorFee": number(MILLI_AVAX),
        "addSubnetDelegatorFee": number(MILLI_AVAX),
    })
}

fn machines() -> Value {
    let id = |name: &str| Id::from_name(name).to_string();
    let vms = [("avm", "avm"), ("platformvm", "platform")].map(|(name, alias)| (id(name), json!([alias])));
    let fxs = ["nftfx", "propertyfx", "secp256k1fx"].map(|name| (id(name), json!(name)));
    json!({ "vms": Value::Object(Map::from_iter(vms)), "fxs": Value::Object(Map::from_iter(fxs)) })
}
