//! Figures of whole synchronisations, printed as lines: how fast one core verifies generated version 2 headers; a download
//! of 100,000 of them from eight peers over a simulated network, where an import takes as long as it really takes; the
//! same over loopback between two daemons, with memory and stopping time; real main network headers over loopback from a
//! checkpoint; how long a start with 1,000,000 stored headers takes. HEADERS and STORED change the numbers.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout
)]

#[path = "../tests/mint/mod.rs"]
mod mint;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use rustock::{
    chain::{Chain, InsertError},
    codec::{decode_headers, genesis::genesis},
    params::{Checkpoint, Params},
    store::Store,
    sync::{
        Effect, HeaderSync, Imported, Input, Part,
        serve::{self, View},
    },
    types::{BlockHash, BlockNumber, Difficulty, Header, Timestamp},
    verify::{self, Sequence},
    wire::rsk::{BlockId, Message},
};
use shared_vendor::{
    clock::{Clock as _, SystemClock, Time},
    hex,
    machine::Machine,
    testing::node::{TempDir, TestNode, run},
};

const BINARY: &str = env!("CARGO_BIN_EXE_rustock");
const NOW: Timestamp = Timestamp(1_800_000_000);
const PEERS: usize = 8;
const ONE_WAY: Duration = Duration::from_millis(50);

/// Time since it was started.
struct Watch(SystemClock);

impl Watch {
    fn start() -> Self {
        Self(SystemClock::default())
    }

    fn elapsed(&self) -> Duration {
        self.0.now().since(Time::ZERO)
    }
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    // `cargo test` runs benches too, as a check that they build.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let wires: Vec<Bytes> =
        mint::Mint::new().make(number("HEADERS", 100_000)).into_iter().map(Bytes::from).collect();
    verification(&wires);
    simulated(&wires);
    loopback(&wires);
    checkpoint();
    start(number("STORED", 1_000_000));
}

/// Decode, both hashes, every rule, links and fork-detection data on this thread, from genesis on.
fn verification(wires: &[Bytes]) {
    let params = Params::regtest();
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let begun = Watch::start();
        let mut sequence = Sequence::at_genesis(&params, genesis(&params).unwrap()).unwrap();
        for run in wires.chunks(192) {
            let headers =
                decode_headers(&params, run.iter().cloned()).into_iter().map(Result::unwrap).collect();
            for checked in verify::check_all(&params, headers, Some(NOW)) {
                sequence.push(&params, checked.unwrap()).unwrap();
            }
        }
        best = best.min(begun.elapsed());
    }
    let rate = wires.len() as f64 / best.as_secs_f64();
    println!("{} generated version 2 headers, one core: {rate:.0}/s", wires.len());
}

/// The chain that the peers have.
struct Served {
    wires: Vec<Bytes>,
    ids: Vec<BlockHash>,
    heights: HashMap<BlockHash, usize>,
}

impl Served {
    fn new(params: &Params, wires: &[Bytes]) -> Self {
        let mut all = vec![genesis(params).unwrap().wire().clone()];
        all.extend_from_slice(wires);
        let headers = decode_headers(params, all.iter().cloned());
        let ids: Vec<BlockHash> = headers.into_iter().map(|header| header.unwrap().hash()).collect();
        let heights = ids.iter().copied().zip(0..).collect();
        Self { wires: all, ids, heights }
    }
}

impl View for Served {
    fn best_number(&self) -> BlockNumber {
        BlockNumber(self.ids.len() as u64 - 1)
    }

    fn hash_at(&self, number: BlockNumber) -> Option<BlockHash> {
        self.ids.get(number.0 as usize).copied()
    }

    fn header(&self, hash: &BlockHash) -> Option<(Bytes, BlockHash)> {
        let height = *self.heights.get(hash)?;
        Some((self.wires[height].clone(), self.ids[height.checked_sub(1)?]))
    }
}

/// Something that happens: to us, or to a peer.
enum Happens {
    Us(Input),
    Peer(usize, Message),
}

/// Runs the production machine over production verification and storage until the tip; an import that really took a time
/// takes that time times `slow` of the simulated clock. Returns the simulated time and what imports took of it.
fn simulate(served: &Served, slow: f64) -> (Duration, Duration) {
    let params = Params::regtest();
    let chain = Chain::open(Store::in_memory(&params).unwrap(), params).unwrap();
    let tip = BlockId { hash: served.ids[0], number: BlockNumber(0) };
    let mut machine = HeaderSync::new(tip);
    let best = BlockId { hash: *served.ids.last().unwrap(), number: served.best_number() };
    let (mut queue, mut events, mut last) = (BinaryHeap::new(), BTreeMap::new(), 0_u64);
    let mut push =
        |queue: &mut BinaryHeap<_>, events: &mut BTreeMap<u64, Happens>, at: Time, what: Happens| {
            last += 1;
            queue.push(Reverse((at, last)));
            events.insert(last, what);
        };
    for peer in 0..PEERS as u64 {
        push(&mut queue, &mut events, Time::ZERO, Happens::Us(Input::PeerReady(peer)));
        push(&mut queue, &mut events, Time::ZERO, Happens::Us(Input::Announced(peer, best)));
    }
    let (mut now, mut importing) = (Time::ZERO, Duration::ZERO);
    while chain.tip().number != best.number {
        let due = queue.peek().map(|Reverse((at, _))| *at);
        let tick = machine.deadline().filter(|tick| due.is_none_or(|due| *tick < due));
        let input = match (tick, queue.peek()) {
            (Some(tick), _) => {
                now = now.max(tick);
                Input::Tick
            }
            (None, Some(_)) => {
                let Reverse((at, id)) = queue.pop().unwrap();
                now = at;
                match events.remove(&id).unwrap() {
                    Happens::Us(input) => input,
                    Happens::Peer(peer, request) => {
                        if let Some(answer) = serve::answer(served, &request) {
                            let answer = Happens::Us(Input::Message(peer as u64, answer));
                            push(&mut queue, &mut events, now.after(ONE_WAY), answer);
                        }
                        continue;
                    }
                }
            }
            (None, None) => panic!("nothing happens any more"),
        };
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut effects = Vec::new();
            machine.step(now, input, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Send(peer, message) => {
                        push(
                            &mut queue,
                            &mut events,
                            now.after(ONE_WAY),
                            Happens::Peer(peer as usize, message),
                        );
                    }
                    Effect::Locate { query, hash } => {
                        let height = chain.header_by_hash(&hash).unwrap().map(|(header, _)| header.number());
                        inputs.push(Input::Located { query, known: height.is_some(), height });
                    }
                    Effect::Import { job, parts } => {
                        let begun = Watch::start();
                        let result = import(&chain, parts);
                        let took = begun.elapsed().mul_f64(slow);
                        importing += took;
                        push(
                            &mut queue,
                            &mut events,
                            now.after(took),
                            Happens::Us(Input::Imported { job, result }),
                        );
                    }
                    Effect::Fault(peer, fault) => panic!("{peer} {fault:?}"),
                }
            }
        }
    }
    (now.since(Time::ZERO), importing)
}

fn import(chain: &Chain, parts: Vec<Part>) -> Imported {
    let wires: Vec<Bytes> = parts.into_iter().flat_map(|part| part.headers).collect();
    let headers = decode_headers(chain.params(), wires).into_iter().map(Result::unwrap).collect();
    match chain.insert_headers(headers, NOW) {
        Ok(inserted) => {
            let tip = BlockId { hash: inserted.tip.hash, number: inserted.tip.number };
            Imported::Stored { tip, added: inserted.added }
        }
        Err(InsertError::UnknownParent { .. }) => Imported::Misplaced { part: 0 },
        Err(err) => panic!("{err}"),
    }
}

fn simulated(wires: &[Bytes]) {
    let served = Served::new(&Params::regtest(), wires);
    let (free, _) = simulate(&served, 0.0);
    let (real, importing) = simulate(&served, 1.0);
    println!(
        "{} headers from {PEERS} peers, 100 ms away: {:.2} s, imports busy {:.0} % of it; {:.2} s if imports took no time ({:.2} times as long)",
        wires.len(),
        real.as_secs_f64(),
        100.0 * importing.as_secs_f64() / real.as_secs_f64(),
        free.as_secs_f64(),
        real.as_secs_f64() / free.as_secs_f64(),
    );
}

fn memory(pid: u32) -> [f64; 2] {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    ["VmRSS:", "VmHWM:"].map(|name| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0
    })
}

fn start_node(dir: &Path, network: &str, args: &[&str]) -> TestNode {
    TestNode::start(BINARY, dir, &[&["--network", network, "--no-p2p-discovery"], args].concat())
}

fn logged(node: &mut TestNode, name: &str) -> String {
    node.ready();
    let log = node.log();
    let at = log.rfind(&format!(" {name}=")).expect("it is logged") + name.len() + 2;
    log[at..].split_whitespace().next().unwrap().trim_matches('"').to_owned()
}

fn height(rpc: &str) -> Option<u64> {
    let request = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": [] });
    let mut reply = ureq::post(format!("http://{rpc}/")).send_json(request).ok()?;
    let answer: serde_json::Value = reply.body_mut().read_json().ok()?;
    u64::from_str_radix(answer["result"].as_str()?.strip_prefix("0x")?, 16).ok()
}

fn wait_for(rpc: &str, target: u64) {
    while height(rpc) != Some(target) {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn stop(node: &mut TestNode) -> Duration {
    let begun = Watch::start();
    assert_eq!(node.signal("TERM").exit_code(), 0);
    begun.elapsed()
}

fn loopback(wires: &[Bytes]) {
    let (a, b) = (TempDir::new(), TempDir::new());
    let file = a.path().join("headers.rlp");
    std::fs::write(&file, wires.concat()).unwrap();
    let data = a.path().display().to_string();
    let file = file.display().to_string();
    let imported =
        run(BINARY, a.path(), &["--network", "regtest", "--data-dir", &data, "headers", "import", &file]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    print!("import by the daemon: {}", String::from_utf8_lossy(&imported.stdout));
    let mut server = start_node(a.path(), "regtest", &[]);
    let p2p = logged(&mut server, "p2p");
    let begun = Watch::start();
    let mut client = start_node(b.path(), "regtest", &["--p2p-peers", &p2p]);
    let rpc = logged(&mut client, "rpc");
    wait_for(&rpc, wires.len() as u64);
    let took = begun.elapsed();
    std::thread::sleep(Duration::from_secs(2));
    let [rss, peak] = memory(client.pid());
    println!(
        "{} headers over loopback from one peer, start included: {:.1} s; memory at the tip {rss:.0} MiB, at most {peak:.0} MiB; stopped in {:.2} s, with a peer",
        wires.len(),
        took.as_secs_f64(),
        stop(&mut client).as_secs_f64()
    );
    stop(&mut server);
}

/// The recorded headers of the main network: the server begins in the middle of them, the client at the same block.
fn checkpoint() {
    let root =
        std::env::var_os("VECTORS_DIR").map_or_else(|| PathBuf::from("../../shared/vectors"), PathBuf::from);
    let folder = std::fs::read_dir(root.join("rustock/mainnet")).into_iter().flatten().flatten();
    let Some(file) =
        folder.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|is| is == "txt"))
    else {
        println!("skipped: no vectors");
        return;
    };
    let text = std::fs::read_to_string(file).unwrap();
    let wires = text.lines().filter_map(|line| hex::decode(line.rsplit(' ').next()?).ok()).map(Bytes::from);
    let params = Params::mainnet();
    let mut headers: Vec<Header> = decode_headers(&params, wires).into_iter().map(Result::unwrap).collect();
    let tip = headers.last().unwrap().number().0;
    let above = headers.split_off(460);
    let block = headers.last().unwrap();
    let trusted = Checkpoint {
        number: block.number(),
        hash: block.hash(),
        total_difficulty: Difficulty::from_u64(u64::MAX),
    };
    let trusted = Checkpoint { total_difficulty: Difficulty(trusted.total_difficulty.0 << 40), ..trusted };
    let (a, b) = (TempDir::new(), TempDir::new());
    stop(start_node(a.path(), "mainnet", &[]).ready());
    let chain = Chain::open(Store::open(&a.path().join("mainnet/db"), &params).unwrap(), params).unwrap();
    headers.reverse();
    chain.adopt(&trusted, headers).unwrap();
    chain.insert_headers(above, NOW).unwrap();
    drop(chain);
    let mut server = start_node(a.path(), "mainnet", &[]);
    let p2p = logged(&mut server, "p2p");
    let begun = Watch::start();
    let mut client =
        start_node(b.path(), "mainnet", &["--p2p-peers", &p2p, "--sync-checkpoint", &trusted.to_string()]);
    let rpc = logged(&mut client, "rpc");
    wait_for(&rpc, tip);
    println!(
        "from checkpoint {} to {tip} over real main network headers on loopback, start included: {:.2} s",
        trusted.number,
        begun.elapsed().as_secs_f64()
    );
    stop(&mut client);
    stop(&mut server);
}

fn start(stored: usize) {
    let dir = TempDir::new();
    stop(start_node(dir.path(), "regtest", &[]).ready());
    let params = Params::regtest();
    let chain = Chain::open(Store::open(&dir.path().join("regtest/db"), &params).unwrap(), params).unwrap();
    let mut mint = mint::Mint::new();
    let mut left = stored;
    while left > 0 {
        let count = left.min(20_000);
        let wires = mint.make(count).into_iter().map(Bytes::from);
        let headers = decode_headers(chain.params(), wires).into_iter().map(Result::unwrap).collect();
        chain.insert_headers(headers, NOW).unwrap();
        left -= count;
    }
    chain.store().flush().unwrap();
    drop(chain);
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let begun = Watch::start();
        let mut node = start_node(dir.path(), "regtest", &[]);
        while !node.log().contains("ready") {
            std::thread::sleep(Duration::from_micros(200));
        }
        best = best.min(begun.elapsed());
        let rpc = logged(&mut node, "rpc");
        assert_eq!(height(&rpc), Some(stored as u64));
        let [rss, _] = memory(node.pid());
        println!(
            "start with {stored} headers: {:.0} ms, {rss:.0} MiB; stopped in {:.2} s",
            begun.elapsed().as_secs_f64() * 1000.0,
            stop(&mut node).as_secs_f64()
        );
    }
    println!(
        "start with {stored} headers until it serves, best of five: {:.0} ms",
        best.as_secs_f64() * 1000.0
    );
}
