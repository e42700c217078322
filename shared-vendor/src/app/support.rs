//! `support-bundle`: what an operator sends to who helps. It reads, changes nothing, and works with the node running or
//! not; what could not be had is named in the bundle.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{COOKIE, Daemon, Loaded, doctor, rpc_node};
use crate::{
    cli::{self, Bundle},
    clock::Clock,
    config,
    datadir::io_error,
    exit::{self, Report},
};

/// Newest bytes of the log file that are taken along.
const LOG_TAIL: u64 = 2 << 20;

/// Files of the data directory that are listed.
const LISTED: usize = 10_000;

/// Writes the bundle, and names what is absent from it on stderr. The text is the path of the file.
pub(super) fn write<D: Daemon>(
    loaded: &Loaded<D>,
    out: Option<PathBuf>,
    with_addresses: bool,
) -> Result<String, Report> {
    let wall = loaded.clock.wall();
    let stamp: String = wall.to_string().chars().filter(char::is_ascii_alphanumeric).take(15).collect();
    let name = format!("{}-support-{stamp}Z", D::NAME);
    let mut bundle = Bundle::new(name.clone(), wall.as_secs(), secrets(loaded), with_addresses);
    gather(&mut bundle, loaded);
    for line in bundle.absent() {
        let _ = writeln!(io::stderr(), "absent: {line}"); // it stands in the bundle, too
    }
    let out = out.unwrap_or_else(|| PathBuf::from(format!("{name}.tar.gz")));
    if out.as_os_str() == "-" {
        let failed = |err: io::Error| Report::new(exit::IO_ERROR, "cannot write to stdout").because(&err);
        return bundle.write(io::stdout().lock()).map_err(failed).map(|()| String::new());
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&out);
    file.and_then(|file| bundle.write(file)).map_err(|err| io_error("cannot write", &out, &err))?;
    Ok(format!("{}\n", out.display()))
}

/// Every text that must not be told, as far as this process knows them: keys are not read at all.
fn secrets<D: Daemon>(loaded: &Loaded<D>) -> Vec<String> {
    let mut secrets: Vec<String> = loaded.values.secrets().map(str::to_owned).collect();
    if let Ok(cookie) = fs::read_to_string(loaded.network_dir().join(COOKIE)) {
        secrets.extend(cookie.trim().split_once(':').map(|(_, secret)| secret.to_owned()));
        secrets.push(cookie.trim().to_owned());
    }
    secrets
}

fn gather<D: Daemon>(bundle: &mut Bundle, loaded: &Loaded<D>) {
    let ops = loaded.common.ops_addr;
    bundle.add("version.json", Ok(cli::version(D::NAME, D::VERSION, true)));
    let warnings = loaded.values.warnings.iter().map(|text| format!("# warning: {text}\n"));
    bundle.add("config.txt", Ok(config::show(&loaded.values, true) + &warnings.collect::<String>()));
    let mut checks = doctor::checks(&loaded.common, &*loaded.clock);
    checks.extend(D::checks(loaded));
    let answers = cli::page(ops, "/livez").is_ok();
    let note = if answers { "The node answers: addresses in use are its own.\n" } else { "" };
    bundle.add("doctor.txt", Ok(note.to_owned() + &doctor::render(&checks).0));
    for (name, path) in [
        ("status.json", "/status.json"),
        ("health.json", "/healthz"),
        ("metrics.txt", "/metrics"),
        ("log.txt", "/log"),
    ] {
        bundle.add(name, cli::page(ops, path));
    }
    if let Some(method) = D::PEERS {
        let peers = rpc_node(loaded, None).and_then(|node| node.call(method, &serde_json::json!([])));
        bundle.add("peers.json", peers.map(|peers| format!("{peers:#}\n")));
    }
    if let Some(path) = &loaded.common.log_file {
        bundle.add("logfile.txt", tail(path).map_err(|err| io_error("cannot read", path, &err)));
    }
    if let Some(stats) = D::db_stats(loaded) {
        bundle.add("db.txt", stats);
    }
    let root = loaded.network_dir();
    bundle.add("files.txt", list(&root).map_err(|err| io_error("cannot read", &root, &err)));
    let identity = root.join("VERSION.json");
    bundle.add(
        "data.json",
        fs::read_to_string(&identity).map_err(|err| io_error("cannot read", &identity, &err)),
    );
}

/// The end of a file, from the beginning of a line on.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let skipped = file.metadata()?.len().saturating_sub(LOG_TAIL);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let begin = if skipped > 0 { text.find('\n').map_or(0, |end| end + 1) } else { 0 };
    Ok(text[begin..].to_owned())
}

/// Sizes and names of the files below a directory; of keys only how many there are.
fn list(root: &Path) -> io::Result<String> {
    let (mut lines, mut total) = (Vec::new(), 0_u64);
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let name = folder.strip_prefix(root).unwrap_or(&folder).display().to_string();
        if name == "keys" {
            lines.push(format!("{:>14} files in keys/", fs::read_dir(&folder)?.count()));
            continue;
        }
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let Ok(meta) = entry.metadata() else { continue }; // removed meanwhile
            if meta.is_dir() {
                folders.push(entry.path());
            } else {
                total = total.saturating_add(meta.len());
                let path = entry.path();
                lines.push(format!(
                    "{:>14} {}",
                    meta.len(),
                    path.strip_prefix(root).unwrap_or(&path).display()
                ));
            }
        }
    }
    lines.sort_by(|a, b| a.get(15..).cmp(&b.get(15..)));
    let left_out = lines.len().saturating_sub(LISTED);
    lines.truncate(LISTED);
    Ok(format!("{}\n{total:>14} in all\n{left_out:>14} files not listed\n", lines.join("\n")))
}
