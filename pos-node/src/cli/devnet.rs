//! `devnet`: a network of nodes on this machine, each a process of its own, until it is told to stop. Whoever starts it
//! again in the same folder goes on with the same chain.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use clap::Args;
use serde_json::json;
use shared_vendor::{
    app::Loaded,
    cli,
    clock::{Clock as _, Time},
    datadir,
    exit::{self, Report},
    signal::{self, Signal},
};
use tokio::sync::mpsc::{Receiver, error::TryRecvError};

use super::{
    PosNode, read_genesis, refused,
    remote::{Node, number},
};
use crate::node::genesis::{self as file, MAX_DEVNET_VALIDATORS};

/// Most nodes of one machine.
const MAX_NODES: u64 = 32;
/// Ports of one node and the next are this far apart.
const PORT_STEP: u16 = 10;
/// Seconds until slot 0, for all nodes to have started.
const START_IN: u64 = 5;
/// The network is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A node that has not stopped in order by then is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Lines of a dead node's log that are shown.
const LAST_LINES: usize = 12;

/// A network to start.
#[derive(Debug, Args)]
pub struct Devnet {
    /// Validators of the network, divided among the nodes; they have the publicly known interop keys
    #[arg(long, default_value_t = 8)]
    validators: u64,
    /// Nodes, each a process
    #[arg(long, default_value_t = 4)]
    nodes: u64,
    /// Length of a slot in milliseconds
    #[arg(long, default_value_t = 2000)]
    slot_ms: u64,
    /// Accounts with coins, whose keys everybody knows
    #[arg(long, default_value_t = 16)]
    accounts: u32,
    /// P2P port of the first node; RPC is one above, operations two above, the next node ten above
    #[arg(long, default_value_t = 29_470)]
    port: u16,
    /// Folder of the network; default is a folder in the data directory
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Stop by itself when this epoch is final
    #[arg(long)]
    until_epoch: Option<u64>,
}

/// A node of the network.
struct Member {
    name: String,
    ports: [u16; 3],
    log: PathBuf,
    child: Child,
}

impl Member {
    fn rpc(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[1])
    }
}

pub(super) fn run(plan: &Devnet, loaded: &Loaded<PosNode>) -> Result<(), Report> {
    if !(1..=MAX_DEVNET_VALIDATORS).contains(&plan.validators) {
        return Err(Report::new(exit::BAD_USAGE, format!("--validators: 1 to {MAX_DEVNET_VALIDATORS}")));
    }
    if !(1..=MAX_NODES.min(plan.validators)).contains(&plan.nodes) {
        let most = MAX_NODES.min(plan.validators);
        return Err(Report::new(exit::BAD_USAGE, format!("--nodes: 1 to {most}, no more than validators")));
    }
    let ports = ports(plan)?;
    let folder = plan.folder.clone().unwrap_or_else(|| loaded.network_dir().join("local"));
    let validators = genesis(plan, loaded, &folder)?;
    let mut signals = signal::listen()
        .map_err(|err| Report::new(exit::UNEXPECTED, "cannot listen for signals").because(&err))?;
    let mut members = Vec::new();
    let outcome = start(plan, validators, &ports, &folder, &mut members)
        .and_then(|()| watch(plan, loaded, &mut signals, &mut members));
    stop(loaded, &mut members);
    outcome
}

/// Three ports for each node; all must be free.
fn ports(plan: &Devnet) -> Result<Vec<[u16; 3]>, Report> {
    let mut all = Vec::new();
    let mut first = plan.port;
    for _ in 0..plan.nodes {
        let beyond = || Report::new(exit::BAD_USAGE, "--port: too high for so many nodes");
        let next = |port: u16, by: u16| port.checked_add(by).ok_or_else(beyond);
        let three = [first, next(first, 1)?, next(first, 2)?];
        for port in three {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            TcpListener::bind(address).map_err(|err| {
                Report::new(exit::PORT_IN_USE, format!("{address} cannot be listened on"))
                    .because(&err)
                    .advice("another network may be running; choose other ports with --port")
            })?;
        }
        all.push(three);
        first = next(first, PORT_STEP)?;
    }
    Ok(all)
}

/// Makes the genesis file, unless the folder has one; gives the number of validators.
fn genesis(plan: &Devnet, loaded: &Loaded<PosNode>, folder: &Path) -> Result<u64, Report> {
    let path = folder.join("genesis.json");
    if path.exists() {
        let known = u64::try_from(read_genesis(&path)?.validators.len()).unwrap_or(u64::MAX);
        cli::print(&format!("going on with the network of {known} validators in {}\n", folder.display()))?;
        return Ok(known);
    }
    std::fs::create_dir_all(folder)
        .map_err(|err| datadir::io_error("cannot make the folder", folder, &err))?;
    let genesis = file::Devnet {
        validators: plan.validators,
        slot_ms: plan.slot_ms,
        genesis_time: loaded.clock.wall().as_secs().saturating_add(START_IN),
        chain_id: 7777,
        accounts: plan.accounts,
    };
    let text = file::devnet(genesis).map_err(|err| refused(&err))?;
    std::fs::write(&path, text).map_err(|err| datadir::io_error("cannot write", &path, &err))?;
    Ok(plan.validators)
}

/// Starts the nodes; each knows the first two.
fn start(
    plan: &Devnet,
    validators: u64,
    ports: &[[u16; 3]],
    folder: &Path,
    members: &mut Vec<Member>,
) -> Result<(), Report> {
    let program = std::env::current_exe()
        .map_err(|err| Report::new(exit::UNEXPECTED, "cannot find this program").because(&err))?;
    let share = |at: u64| validators.saturating_mul(at).checked_div(plan.nodes).unwrap_or(0);
    for (at, ports) in (0u64..).zip(ports) {
        let name = format!("node-{at}");
        let data = folder.join(&name);
        std::fs::create_dir_all(&data)
            .map_err(|err| datadir::io_error("cannot make the folder", &data, &err))?;
        let log = data.join("log");
        let err = |err: &std::io::Error| datadir::io_error("cannot write", &log, err);
        let errors = File::options().create(true).append(true).open(&log).map_err(|e| err(&e))?;
        let [p2p, rpc, ops] = ports.map(|port| format!("127.0.0.1:{port}"));
        let mut command = std::process::Command::new(&program);
        command.args(["run", "--network", "devnet", "--data-dir"]).arg(&data);
        command.arg("--chain-genesis").arg(folder.join("genesis.json"));
        command.args(["--p2p-addr", &p2p, "--rpc-addr", &rpc, "--ops-addr", &ops]);
        command.args(["--validator-interop", &format!("{}..{}", share(at), share(at.saturating_add(1)))]);
        command.arg("--validator-doppelganger=false");
        for known in members.iter().take(2) {
            command.args(["--p2p-peers", &format!("/ip4/127.0.0.1/tcp/{}", known.ports[0])]);
        }
        // of a group of its own: an interrupt from the terminal stops the network in order, once
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).process_group(0);
        let child = command.spawn().map_err(|err| {
            Report::new(exit::UNEXPECTED, "cannot start a node")
                .at(program.display().to_string())
                .because(&err)
        })?;
        let member = Member { name, ports: *ports, log, child };
        cli::print(&format!(
            "{}  RPC {}  page http://127.0.0.1:{}/  validators {}..{}  log {}\n",
            member.name,
            member.rpc(),
            member.ports[2],
            share(at),
            share(at.saturating_add(1)),
            member.log.display()
        ))?;
        members.push(member);
    }
    Ok(())
}

/// Tells of progress until a signal comes or a node dies.
fn watch(
    plan: &Devnet,
    loaded: &Loaded<PosNode>,
    signals: &mut Receiver<Signal>,
    members: &mut [Member],
) -> Result<(), Report> {
    let nodes: Vec<Node> = members.iter().map(|member| Node::new(&member.rpc())).collect();
    let mut told = 0;
    let mut next = Time::ZERO;
    loop {
        match signals.try_recv() {
            Ok(Signal::Stop) | Err(TryRecvError::Disconnected) => return Ok(()),
            Ok(_) | Err(TryRecvError::Empty) => {}
        }
        for member in &mut *members {
            if let Ok(Some(status)) = member.child.try_wait() {
                return Err(Report::new(exit::UNEXPECTED, format!("{} has ended: {status}", member.name))
                    .at(member.log.display().to_string())
                    .advice(last_lines(&member.log)));
            }
        }
        let now = loaded.clock.now();
        if now >= next {
            next = now.after(Duration::from_millis(plan.slot_ms.max(250)));
            // a node that does not answer yet, or has nothing final, is looked at again
            let final_epochs: Option<Vec<u64>> = nodes.iter().map(final_epoch).collect();
            let everywhere = final_epochs.and_then(|epochs| epochs.into_iter().min()).unwrap_or(0);
            if everywhere > told {
                told = everywhere;
                cli::print(&format!("epoch {told} is final on all nodes\n"))?;
            }
            if plan.until_epoch.is_some_and(|until| told >= until) {
                return Ok(());
            }
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn final_epoch(node: &Node) -> Option<u64> {
    let finality = node.ask("chain_finality", &json!([])).ok()?.ok()?;
    Some(number(finality.get("finalized")?, "epoch"))
}

fn last_lines(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(LAST_LINES);
    lines.into_iter().skip(skipped).collect::<Vec<_>>().join("\n")
}

/// Stops the nodes in order, and by force when they do not.
fn stop(loaded: &Loaded<PosNode>, members: &mut [Member]) {
    for member in &*members {
        let pid = member.child.id().to_string();
        let _ = std::process::Command::new("kill").args(["-TERM", &pid]).status(); // it may have ended
    }
    let begun = loaded.clock.now();
    for member in members {
        while matches!(member.child.try_wait(), Ok(None)) {
            if loaded.clock.now().since(begun) > STOP_WITHIN {
                let _ = member.child.kill(); // it may have ended meanwhile
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}
