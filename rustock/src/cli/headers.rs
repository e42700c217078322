//! `headers verify`, `headers import`, `headers export`.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Subcommand;
use rayon::prelude::*;
use serde_json::json;
use shared_vendor::{
    app::{Daemon, Loaded},
    cli::print,
    clock::Clock as _,
    datadir::io_error,
    exit::Report,
};

use super::{
    HEADER_NOT_LINKED, HEADER_REFUSED,
    lines::{self, Entry, LineError, Lines},
    now, open_chain, params, store_report,
};
use crate::{
    chain::InsertError,
    params::{FORK_DETECTION_WINDOW, Params},
    types::{BlockHash, BlockNumber, Header, Timestamp},
    verify::{self, Checked, Rule, Sequence},
};

/// Lines that are read, checked on all cores and linked at a time.
const BATCH: usize = 2048;

/// `headers ...`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check every rule over a file of headers, without a database
    ///
    /// Each line is `number hash hashForMergedMining headerRlp`; headers in RLP, one after another, work too. A file
    /// that does not begin at genesis begins at a checkpoint: the first header is trusted to be on the chain. Its own
    /// proof of work is checked, its difficulty, gas limit and gas price against its parent are not; fork-detection
    /// data is compared from the 450th header on.
    Verify {
        /// The file; `-` is standard input
        file: PathBuf,
        /// Require the first header to have this hash instead of trusting any
        #[arg(long, value_name = "HASH")]
        from_checkpoint: Option<BlockHash>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Verify a file of headers into the database
    Import {
        /// The file; `-` is standard input
        file: PathBuf,
    },
    /// Write the headers of the chain as lines
    Export {
        /// First height
        #[arg(long, default_value_t = 0, value_name = "HEIGHT")]
        from: u64,
        /// Last height; the tip's without it
        #[arg(long, value_name = "HEIGHT")]
        to: Option<u64>,
        /// File to write instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

pub(super) fn run<D: Daemon>(command: Command, loaded: &Loaded<D>) -> Result<(), Report> {
    match command {
        Command::Verify { file, from_checkpoint, json } => verify(loaded, &file, from_checkpoint, json),
        Command::Import { file } => import(loaded, &file),
        Command::Export { from, to, output } => export(loaded, from, to, output.as_deref()),
    }
}

/// Why a line of a file is refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Line(#[from] LineError),
    #[error(transparent)]
    Rule(#[from] Rule),
    #[error("the first header is not the checkpoint")]
    Checkpoint,
}

impl Refusal {
    fn name(&self) -> &'static str {
        match self {
            Self::Line(error) => error.name(),
            Self::Rule(rule) => rule.name(),
            Self::Checkpoint => "checkpoint",
        }
    }
}

/// The first refused line.
struct Failure {
    line: u64,
    number: Option<BlockNumber>,
    reason: Refusal,
}

/// What verifying a file has shown so far.
#[derive(Default)]
struct Progress {
    run: Option<Sequence>,
    first: Option<(BlockNumber, BlockHash)>,
    count: u64,
    failure: Option<Failure>,
}

fn verify<D: Daemon>(
    loaded: &Loaded<D>,
    file: &Path,
    checkpoint: Option<BlockHash>,
    json: bool,
) -> Result<(), Report> {
    let (params, now) = (params(loaded), now(loaded));
    let mut lines = Lines::open(file)?;
    let started = loaded.clock.now();
    let mut progress = Progress::default();
    while progress.failure.is_none() {
        let batch = lines.next(BATCH)?;
        if batch.is_empty() {
            break;
        }
        progress.extend(&params, now, checkpoint, &batch);
    }
    let took = loaded.clock.now().since(started);
    print(&if json { progress.json(&params, took) } else { progress.text(took) })?;
    match progress.failure {
        None if progress.count == 0 => Err(Report::new(HEADER_REFUSED, "the file holds no headers")),
        None => Ok(()),
        Some(failure) => {
            let number = failure.number.map(|number| format!(", height {number}")).unwrap_or_default();
            let place = format!("{}, line {}{number}", file.display(), failure.line);
            let what = format!("a header breaks the rule {}", failure.reason.name());
            Err(Report::new(HEADER_REFUSED, what).at(place).because(&failure.reason))
        }
    }
}

impl Progress {
    fn extend(&mut self, params: &Params, now: Timestamp, checkpoint: Option<BlockHash>, entries: &[Entry]) {
        let steps: Vec<_> = lines::parse(params, entries)
            .into_par_iter()
            .chunks(lines::AT_ONCE)
            .flat_map_iter(|headers| Step::read(params, headers, now))
            .collect();
        for step in steps {
            let outcome = step.and_then(|step| {
                let number = Some(step.header().number());
                self.push(params, checkpoint, step).map_err(|reason| (number, reason))
            });
            match outcome {
                Ok(()) => self.count += 1,
                Err((number, reason)) => {
                    self.failure = Some(Failure { line: self.count + 1, number, reason });
                    return;
                }
            }
        }
    }

    fn push(&mut self, params: &Params, checkpoint: Option<BlockHash>, step: Step) -> Result<(), Refusal> {
        let header = step.header();
        if self.first.is_none() {
            if checkpoint.is_some_and(|hash| hash != header.hash()) {
                return Err(Refusal::Checkpoint);
            }
            self.first = Some((header.number(), header.hash()));
        }
        match (step, self.run.as_mut()) {
            (Step::Genesis(header), None) => self.run = Some(Sequence::at_genesis(params, header)?),
            (Step::Checked(checked), None) => self.run = Some(Sequence::at_checkpoint(checked)),
            (Step::Checked(checked), Some(run)) => run.push(params, checked)?,
            (Step::Genesis(header), Some(run)) => verify::link(params, &header, run.last())?,
        }
        Ok(())
    }

    /// Headers whose fork-detection data was compared with their ancestors: after the first 449 that are not genesis.
    fn fork_data_compared(&self) -> u64 {
        let genesis = self.first.is_some_and(|(number, _)| number.0 == 0);
        self.count.saturating_sub(FORK_DETECTION_WINDOW).saturating_sub(u64::from(genesis))
    }

    fn text(&self, took: Duration) -> String {
        let Some((number, hash)) = self.first else { return "verified 0 headers\n".to_owned() };
        let last = self.run.as_ref().map_or(number, |run| run.last().number());
        let start = match number.0 {
            0 => "starts at the network's genesis".to_owned(),
            _ => format!("starts at checkpoint {number} {hash}, which is trusted"),
        };
        format!(
            "verified {} headers, {number} to {last}, in {:.3} s ({:.0}/s)\n{start}; fork-detection data compared for {}\n",
            self.count,
            took.as_secs_f64(),
            rate(self.count, took),
            self.fork_data_compared(),
        )
    }

    fn json(&self, params: &Params, took: Duration) -> String {
        let first = self.first.map(|(number, hash)| json!({ "number": number.0, "hash": hash.to_string() }));
        let last = self
            .run
            .as_ref()
            .map(|run| json!({ "number": run.last().number().0, "hash": run.last().hash().to_string() }));
        let failure = self.failure.as_ref().map(|failure| {
            json!({
                "line": failure.line,
                "number": failure.number.map(|number| number.0),
                "rule": failure.reason.name(),
                "message": failure.reason.to_string(),
            })
        });
        let from = self.first.map(|(number, _)| if number.0 == 0 { "genesis" } else { "checkpoint" });
        let document = json!({
            "network": params.network.name(),
            "verified": self.count,
            "from": from,
            "first": first,
            "last": last,
            "fork_detection_compared": self.fork_data_compared(),
            "seconds": took.as_secs_f64(),
            "headers_per_second": rate(self.count, took),
            "failure": failure,
        });
        format!("{document:#}\n")
    }
}

/// A header that was checked alone; genesis has no proof of work.
enum Step {
    Genesis(Header),
    Checked(Checked),
}

/// Why a line is no step, and the number of its header where it is one.
type Refused = (Option<BlockNumber>, Refusal);

impl Step {
    /// What [`lines::parse`] gave, checked together: quicker than one by one.
    fn read(
        params: &Params,
        headers: Vec<Result<Header, LineError>>,
        now: Timestamp,
    ) -> Vec<Result<Self, Refused>> {
        let check = |headers: Vec<Header>| {
            let numbers: Vec<_> = headers.iter().map(Header::number).collect();
            let checked = verify::check_all(params, headers, Some(now)).into_iter().zip(numbers);
            checked.map(|(checked, number)| {
                checked.map(Self::Checked).map_err(|rule| (Some(number), rule.into()))
            })
        };
        let (mut steps, mut waiting) = (Vec::with_capacity(headers.len()), Vec::new());
        for header in headers {
            let header = header.map_err(|error| (None, error.into())).and_then(|header| {
                let canonical = verify::canonical(&header);
                canonical.map_err(|rule| (Some(header.number()), rule.into())).map(|()| header)
            });
            match header {
                Ok(header) if header.number().0 != 0 => waiting.push(header),
                other => {
                    steps.extend(check(std::mem::take(&mut waiting)));
                    steps.push(other.map(Self::Genesis));
                }
            }
        }
        steps.extend(check(waiting));
        steps
    }

    fn header(&self) -> &Header {
        match self {
            Self::Genesis(header) => header,
            Self::Checked(checked) => checked.header(),
        }
    }
}

fn import<D: Daemon>(loaded: &Loaded<D>, file: &Path) -> Result<(), Report> {
    let mut lines = Lines::open(file)?;
    let (_data, chain) = open_chain(loaded)?;
    let started = loaded.clock.now();
    let (mut line_number, mut added) = (0_u64, 0);
    loop {
        let batch = lines.next(BATCH)?;
        if batch.is_empty() {
            break;
        }
        let parsed = lines::parse(chain.params(), &batch);
        let mut headers = Vec::with_capacity(parsed.len());
        let mut broken = None;
        for (index, header) in (1..).zip(parsed) {
            match header {
                Ok(header) => headers.push(header),
                Err(error) => {
                    broken = Some(refused(file, line_number + index, error.name(), &error));
                    break;
                }
            }
        }
        let inserted = chain.insert_headers(headers, now(loaded)).map_err(|err| match &err {
            InsertError::Rejected { index, rule, .. } => {
                let index = u64::try_from(*index).unwrap_or(u64::MAX);
                refused(file, line_number.saturating_add(index).saturating_add(1), rule.name(), &err)
            }
            InsertError::UnknownParent { .. } => Report::new(HEADER_NOT_LINKED, HEADER_NOT_LINKED.title)
                .at(file.display().to_string())
                .because(&err),
            InsertError::Store(err) => store_report(err),
        })?;
        added += inserted.added;
        line_number += u64::try_from(batch.len()).unwrap_or(u64::MAX);
        if let Some(report) = broken {
            return Err(report);
        }
    }
    chain.store().flush().map_err(|err| store_report(&err))?;
    let (took, tip) = (loaded.clock.now().since(started), chain.tip());
    print(&format!(
        "imported {added} new headers of {line_number} in {:.3} s ({:.0}/s), tip {} {}\n",
        took.as_secs_f64(),
        rate(line_number, took),
        tip.number,
        tip.hash,
    ))
}

fn refused(file: &Path, line: u64, rule: &str, error: &(dyn std::error::Error + 'static)) -> Report {
    Report::new(HEADER_REFUSED, format!("a header breaks the rule {rule}"))
        .at(format!("{}, line {line}", file.display()))
        .state("the headers before it are stored")
        .because(error)
}

fn export<D: Daemon>(
    loaded: &Loaded<D>,
    from: u64,
    to: Option<u64>,
    output: Option<&Path>,
) -> Result<(), Report> {
    let (_data, chain) = open_chain(loaded)?;
    let mut file = match output {
        Some(path) => {
            let file = File::create(path).map_err(|err| io_error("cannot create the file", path, &err))?;
            Some((path, BufWriter::new(file)))
        }
        None => None,
    };
    let last = to.unwrap_or(u64::MAX).min(chain.tip().number.0);
    for number in from..=last {
        let header = chain.header_by_number(BlockNumber(number)).map_err(|err| store_report(&err))?;
        let (header, _) =
            header.ok_or_else(|| store_report(&crate::store::StoreError::Missing { row: "number" }))?;
        let mut line = String::new();
        lines::write(chain.params(), &header, &mut line);
        match &mut file {
            None => print(&line)?,
            Some((path, file)) => {
                file.write_all(line.as_bytes())
                    .map_err(|err| io_error("cannot write the file", path, &err))?;
            }
        }
    }
    if let Some((path, file)) = &mut file {
        let written = file.flush().and_then(|()| file.get_ref().sync_all());
        written.map_err(|err| io_error("cannot write the file", path, &err))?;
    }
    Ok(())
}

fn rate(count: u64, took: Duration) -> f64 {
    let count = u32::try_from(count).map_or(f64::INFINITY, f64::from);
    count / took.as_secs_f64().max(1e-9)
}
