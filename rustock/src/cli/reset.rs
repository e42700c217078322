//! `--reset` of the reference: the node begins with an empty database. Keys, peers and settings stay.

use std::{
    fs::{self, DirBuilder},
    io::{self, BufRead, IsTerminal, Write},
    os::unix::fs::DirBuilderExt,
};

use shared_vendor::{
    datadir::{DataDir, io_error},
    exit::{self, Report},
};

use crate::config::Reset;

/// Removes the stored headers, if that was asked for and, on a terminal, confirmed. The folder is moved away in one
/// step first, so a process that is killed meanwhile leaves the whole database or none.
pub(super) fn reset(wanted: Reset, data: &DataDir) -> Result<(), Report> {
    match wanted {
        Reset::No => return Ok(()),
        Reset::Yes => {}
        Reset::Ask if io::stdin().is_terminal() => {
            if !confirmed(data) {
                return Err(refused("the database was not removed: nobody confirmed it"));
            }
        }
        Reset::Ask => {
            return Err(
                refused("--reset removes the database, and nobody can be asked here").advice("add --yes")
            );
        }
    }
    let (db, aside) = (data.join("db"), data.join("tmp/db"));
    let renewed = fs::rename(&db, &aside)
        .and_then(|()| DirBuilder::new().mode(0o700).create(&db))
        .and_then(|()| fs::remove_dir_all(&aside));
    renewed.map_err(|err| io_error("cannot remove", &db, &err))?;
    tracing::info!(target: "app", path = %db.display(), "the database was removed, as asked");
    Ok(())
}

fn confirmed(data: &DataDir) -> bool {
    let question =
        format!("Remove all headers below {}? They are fetched again. [y/N] ", data.root().display());
    let mut answer = String::new();
    let asked =
        io::stderr().write_all(question.as_bytes()).and_then(|()| io::stdin().lock().read_line(&mut answer));
    asked.is_ok() && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

fn refused(what: &str) -> Report {
    Report::new(exit::BAD_USAGE, what).state("nothing was removed")
}
