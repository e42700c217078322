//! `export`: blocks of the chain into a file that `import`, the C# node and neo-go read.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use neo_contract::native;
use neo_runtime::{Ledger, LedgerOptions, acc};
use shared_vendor::{app::Loaded, cli::print, datadir::io_error, exit::Report};

use super::{DATABASE_DAMAGED, NeoNode, open_ledger};

/// What to export.
#[derive(Debug, Args)]
pub struct Options {
    /// The file; its form is that of `chain.N.acc`, which begins with the height of the first block
    file: PathBuf,
    /// First height
    #[arg(long, default_value_t = 0, value_name = "HEIGHT")]
    from: u32,
    /// Last height; the tip's without it
    #[arg(long, value_name = "HEIGHT")]
    to: Option<u32>,
    /// Write the older form `chain.acc`, without the height of the first block
    #[arg(long)]
    plain: bool,
    /// The chain was made with `--no-history`
    #[arg(long)]
    no_history: bool,
}

pub(super) fn run(options: &Options, loaded: &Loaded<NeoNode>) -> Result<(), Report> {
    let settings = loaded.config.protocol(&loaded.common.network)?;
    let data = loaded.open_data()?;
    let ledger_options = LedgerOptions { history: !options.no_history, ..LedgerOptions::default() };
    let ledger = open_ledger(&data, settings, ledger_options)?;
    let last = options.to.unwrap_or(u32::MAX).min(ledger.height());
    let count = last.saturating_add(1).saturating_sub(options.from);
    let path = &options.file;
    let file = File::create(path).map_err(|err| io_error("cannot create the file", path, &err))?;
    let mut output = BufWriter::new(file);
    let start = (!options.plain).then_some(options.from);
    let wrote = |err: &io::Error| io_error("cannot write the file", path, err);
    acc::write_head(&mut output, start, count).map_err(|err| wrote(&err))?;
    for height in options.from..options.from.saturating_add(count) {
        write_block(&ledger, height, &mut output, path)?;
    }
    let file = output.into_inner().map_err(|err| wrote(err.error()))?;
    file.sync_all().map_err(|err| wrote(&err))?;
    print(&format!("exported {count} blocks from height {} to {}\n", options.from, path.display()))
}

fn write_block(ledger: &Ledger, height: u32, output: &mut impl Write, path: &Path) -> Result<(), Report> {
    let damaged = |err: &(dyn std::error::Error + 'static)| {
        Report::new(DATABASE_DAMAGED, DATABASE_DAMAGED.title).at(format!("height {height}")).because(err)
    };
    let view = ledger.view().map_err(|err| damaged(&err))?;
    let hash = native::ledger::block_hash(&view, height).map_err(|err| damaged(&err))?;
    let block =
        hash.map(|hash| native::ledger::block(&view, &hash)).transpose().map_err(|err| damaged(&err))?;
    let missing = Report::new(DATABASE_DAMAGED, "a block is missing").at(format!("height {height}"));
    let block = block.flatten().ok_or(missing)?;
    acc::write_block(output, &block).map_err(|err| io_error("cannot write the file", path, &err))
}
