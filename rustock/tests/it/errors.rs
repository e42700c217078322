//! How the daemon refuses what an operator got wrong: exit codes and the form of the text.

use shared_vendor::testing::node::TempDir;

use crate::nodes::{self, import, start, verb};

/// A fatal error is printed as `error[E....]: what`, with `where:` and `do:` lines.
fn assert_form(stderr: &str, code: &str) {
    assert!(stderr.contains(&format!("error[{code}]: ")), "{stderr}");
    assert!(stderr.contains("\n  do:    ") || stderr.contains("\n  where: "), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_locked_data_directory_is_refused_with_the_pid_of_the_holder() {
    let dir = TempDir::new();
    let mut node = start(dir.path(), &["--no-p2p-discovery"]);
    node.ready();
    let (code, _, stderr) = verb(dir.path(), &["run", "--ops-addr", "127.0.0.1:0"]);
    assert_eq!(code, 75, "{stderr}");
    assert_form(&stderr, "E0201");
    assert!(stderr.contains(&format!("pid {}", node.pid())), "{stderr}");
    assert_eq!(node.signal("TERM").exit_code(), 0);
}

#[test]
fn an_unknown_config_key_is_refused_before_anything_is_opened() {
    let dir = TempDir::new();
    let file = dir.path().join("rustock.toml");
    std::fs::write(&file, "[p2p]\npeer = [\"x\"]\n").unwrap();
    let (code, _, stderr) = verb(dir.path(), &["--config", &file.display().to_string(), "run"]);
    assert_eq!(code, 78, "{stderr}");
    assert_form(&stderr, "E0102");
    assert!(stderr.contains("p2p.peer") && stderr.contains("p2p.peers"), "{stderr}");
    assert!(!dir.path().join("regtest").exists());
}

#[test]
fn data_of_another_network_is_refused() {
    let dir = TempDir::new();
    import(dir.path());
    std::fs::rename(dir.path().join("regtest"), dir.path().join("testnet")).unwrap();
    let data = dir.path().display().to_string();
    let output = shared_vendor::testing::node::run(
        nodes::BINARY,
        dir.path(),
        &["--network", "testnet", "--data-dir", &data, "run", "--ops-addr", "127.0.0.1:0"],
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(76), "{stderr}");
    assert_form(&stderr, "E0202");
}

#[test]
fn a_missing_truncated_or_foreign_header_file_is_refused() {
    let dir = TempDir::new();
    let file = dir.path().join("headers");
    let name = file.display().to_string();
    let (code, _, stderr) = verb(dir.path(), &["headers", "import", &name]);
    assert_eq!(code, 66, "{stderr}");
    assert_form(&stderr, "E0108");

    let recorded = std::fs::read(nodes::RECORDED).unwrap();
    std::fs::write(&file, &recorded[..100_000]).unwrap();
    let (code, _, stderr) = verb(dir.path(), &["headers", "import", &name]);
    assert_ne!(code, 0, "{stderr}");
    assert!(stderr.contains("error[E"), "{stderr}");

    let mut flipped = recorded;
    flipped[300_000] ^= 1;
    std::fs::write(&file, &flipped).unwrap();
    let (code, _, stderr) = verb(dir.path(), &["headers", "import", &name]);
    assert_ne!(code, 0, "{stderr}");
    assert!(stderr.contains("error[E"), "{stderr}");
}

#[test]
fn the_configuration_and_flags_of_the_reference_are_understood() {
    let dir = TempDir::new();
    let file = dir.path().join("node.conf");
    std::fs::write(
        &file,
        "peer.port = 50502\nminer.client.enabled = false\nrpc.providers.web.http.port = 14444\n",
    )
    .unwrap();
    let named = format!("-Drsk.conf.file={}", file.display());
    let (code, stdout, stderr) = verb(dir.path(), &[&named, "--verify-config"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("configuration is valid"), "{stdout}");
    let said = stdout + &stderr;
    assert!(said.contains("`miner.client.enabled` has no effect on a light client"), "{said}");
    let (_, shown, _) = verb(dir.path(), &[&named, "-Dpeer.discovery.enabled=false", "config", "show"]);
    for line in ["p2p.addr = \"[::]:50502\"", "rpc.addr = \"127.0.0.1:14444\"", "p2p.discovery = false"] {
        assert!(shown.contains(line), "{line} is not in:\n{shown}");
    }
    std::fs::write(&file, "peer.networkId = 5\n").unwrap();
    assert_eq!(verb(dir.path(), &[&named, "config", "show"]).0, 78);
}
