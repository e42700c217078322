//! `import`: blocks of a file into the chain. The next blocks are read and their signatures checked while one is
//! executed.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use clap::Args;
use neo_base::UInt256;
use neo_contract::native;
use neo_runtime::{
    CheckedBlock, Ledger, LedgerOptions, PersistError,
    acc::{AccError, BlockReader},
};
use shared_vendor::{
    app::Loaded, cli::print, clock::Clock as _, datadir::io_error, exit::Report, progress::Progress,
};

use super::{BLOCK_REFUSED, NeoNode, database_code, ledger_failed, open_ledger};

/// Blocks that wait, checked, for their execution.
const AHEAD: usize = 8;

/// Seconds between two lines of progress.
const REPORT_EVERY: u64 = 5;

/// What to import.
#[derive(Debug, Args)]
pub struct Options {
    /// The file, in the form of `chain.acc` or `chain.N.acc`; `-` is standard input
    file: PathBuf,
    /// Stop after this height
    #[arg(long, value_name = "HEIGHT")]
    to: Option<u32>,
    /// Trust the validators' signatures of blocks and do not check transactions, as the C# node does
    #[arg(long)]
    trust_transactions: bool,
    /// Keep the state of the last height only
    #[arg(long)]
    no_history: bool,
    /// Keep no application logs
    #[arg(long)]
    no_logs: bool,
    /// Mebibytes of changes that are written at once; a killed import goes on from the last write
    #[arg(long, default_value_t = 48, value_name = "MIB")]
    write_buffer: usize,
}

pub(super) fn run(options: &Options, loaded: &Loaded<NeoNode>) -> Result<(), Report> {
    let settings = loaded.config.protocol(&loaded.common.network)?;
    let data = loaded.open_data()?;
    let ledger_options = LedgerOptions {
        history: !options.no_history,
        logs: !options.no_logs,
        verify_transactions: !options.trust_transactions,
        write_buffer: options.write_buffer.saturating_mul(1 << 20),
        tokens: loaded.config.token_index(),
    };
    let ledger = open_ledger(&data, settings, ledger_options)?;
    ledger.index_tokens(|_| true).map_err(|err| ledger_failed(&err))?;
    let blocks = open(&options.file)?;
    let (started, before) = (loaded.clock.now(), ledger.height());
    let result = add_all(&ledger, blocks, options, loaded);
    // what was executed is kept even when a later block is refused
    let flushed = ledger.flush();
    result?;
    flushed.map_err(|err| failed(&err, err.is_damage()))?;
    let (took, tip) = (loaded.clock.now().since(started).as_secs_f64(), ledger.tip());
    let added = tip.height.saturating_sub(before);
    print(&format!(
        "imported {added} blocks in {took:.3} s, height {} {}, state root {}\n",
        tip.height, tip.hash, tip.root,
    ))
}

type Blocks = BlockReader<Box<dyn Read + Send>>;

fn open(path: &Path) -> Result<Blocks, Report> {
    let failed = |err: &io::Error| io_error("cannot read the file", path, err);
    let input: Box<dyn Read + Send> = if path.as_os_str() == "-" {
        Box::new(BufReader::new(io::stdin()))
    } else {
        Box::new(BufReader::with_capacity(1 << 20, File::open(path).map_err(|err| failed(&err))?))
    };
    let mut input = input;
    let mut head = Vec::new();
    input.by_ref().take(4).read_to_end(&mut head).map_err(|err| failed(&err))?;
    // `chain.N.acc` begins with the height of its first block; elsewhere a zero is no number of blocks
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let numbered = name.strip_prefix("chain.").and_then(|name| name.strip_suffix(".acc"));
    let with_start = numbered.is_some_and(|number| number.parse::<u32>().is_ok()) || head == [0; 4];
    let whole: Box<dyn Read + Send> = Box::new(io::Cursor::new(head).chain(input));
    BlockReader::open(whole, with_start).map_err(|err| refused(path, &err))
}

fn failed(err: &(dyn std::error::Error + 'static), is_damage: bool) -> Report {
    let code = database_code(is_damage);
    Report::new(code, code.title).because(err)
}

fn refused(path: &Path, err: &(dyn std::error::Error + 'static)) -> Report {
    Report::new(BLOCK_REFUSED, BLOCK_REFUSED.title).at(path.display().to_string()).because(err)
}

/// A block with what reading and checking it has shown.
type Read1 = Result<CheckedBlock, Failure>;

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    File(#[from] AccError),
    #[error(transparent)]
    Block(#[from] PersistError),
    #[error("block {0} of the file is not the one in the chain")]
    Fork(u32),
}

fn add_all(
    ledger: &Ledger,
    blocks: Blocks,
    options: &Options,
    loaded: &Loaded<NeoNode>,
) -> Result<(), Report> {
    let last =
        blocks.start().saturating_add(blocks.count()).saturating_sub(1).min(options.to.unwrap_or(u32::MAX));
    let (sender, receiver) = sync_channel(AHEAD);
    let trusts = options.trust_transactions;
    thread::scope(|scope| {
        scope.spawn(move || read_ahead(blocks, ledger, last, trusts, &sender));
        execute(ledger, &receiver, last, loaded)
    })
    .map_err(|err| match err {
        Failure::Block(err) if !err.is_fault_of_block() => failed(&err, err.is_damage()),
        err => refused(&options.file, &err).state(format!("the chain ends at height {}", ledger.height())),
    })
}

fn read_ahead(mut blocks: Blocks, ledger: &Ledger, last: u32, trusts: bool, sender: &SyncSender<Read1>) {
    let height = ledger.height();
    loop {
        let checked = match blocks.next_block() {
            Ok(None) => return,
            Ok(Some(block)) => {
                let index = block.header.body().index;
                if index > last {
                    return;
                }
                if index <= height {
                    match is_known(ledger, index, &block.header.hash()) {
                        Ok(()) => continue,
                        Err(err) => Err(err),
                    }
                } else if trusts {
                    Ok(CheckedBlock::trust(Arc::new(block)))
                } else {
                    CheckedBlock::check(ledger.settings(), Arc::new(block)).map_err(Failure::from)
                }
            }
            Err(err) => Err(err.into()),
        };
        let ends = checked.is_err();
        if sender.send(checked).is_err() || ends {
            return;
        }
    }
}

/// A block that the chain has already must be the same one.
fn is_known(ledger: &Ledger, index: u32, hash: &UInt256) -> Result<(), Failure> {
    let view = ledger.view().map_err(|err| PersistError::Ledger(err.into()))?;
    let stored = native::ledger::block_hash(&view, index).map_err(|err| PersistError::Ledger(err.into()))?;
    if stored == Some(*hash) { Ok(()) } else { Err(Failure::Fork(index)) }
}

fn execute(
    ledger: &Ledger,
    receiver: &Receiver<Read1>,
    last: u32,
    loaded: &Loaded<NeoNode>,
) -> Result<(), Failure> {
    let clock = &loaded.clock;
    let mut progress = Progress::new("blocks", clock.now(), ledger.height().into(), ledger.height().into());
    progress.aim(last.into(), last.into());
    let mut reported = clock.now();
    while let Ok(checked) = receiver.recv() {
        ledger.persist_checked(checked?)?;
        let now = clock.now();
        progress.advance(now, ledger.height().into(), 1.0);
        if now.since(reported).as_secs() >= REPORT_EVERY {
            reported = now;
            let numbers = progress.numbers(now);
            tracing::info!(target: "import", height = numbers.height, "{numbers}");
        }
    }
    Ok(())
}
