//! `console` and `support-bundle`, with the node running and stopped.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::Stdio,
};

use flate2::read::GzDecoder;
use shared_vendor::testing::node::{TempDir, TestNode, command, run};

use crate::{demo, parts};

/// Flags that find the node.
fn flags(node: &TestNode, home: &TempDir) -> Vec<String> {
    let (rpc, ops) = (node.address("rpc").to_string(), node.address("ops").to_string());
    let data = home.path().display().to_string();
    ["--rpc-addr", &rpc, "--ops-addr", &ops, "--data-dir", &data].map(str::to_owned).to_vec()
}

fn unpacked(path: &Path) -> String {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).expect("the bundle is there");
    GzDecoder::new(file).read_to_end(&mut bytes).expect("it is zipped");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn the_console_answers_the_lines_of_a_script() {
    let home = TempDir::new();
    let mut node = TestNode::start(demo(), home.path(), &["--demo-greeting", "good day"]);
    node.ready();
    let ask = |script: &str| {
        let mut console = command(demo(), home.path());
        console.arg("console").args(flags(&node, &home));
        console.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = console.spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        parts(&child.wait_with_output().unwrap())
    };
    let (code, out, err) =
        ask("greeting\necho [1, -2]\necho value='a'\necho 'two words'\nhello\nexit\nnever\n");
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out, "good day\n[\n  1,\n  -2\n]\n'a'\ntwo words\ngood day\n");
    let (code, out, err) = ask("# comment\n\necho\ngreting\nhelp echo\nstatus\nhelp");
    assert_eq!(code, 1);
    assert!(
        err.contains("error[E0701]: error -32602: ") && err.contains("did you mean `greeting`?"),
        "{err}"
    );
    assert!(out.starts_with("echo value\n") && out.contains("demo ") && out.contains("hello  "), "{out}");
    assert_eq!(node.signal("TERM").exit_code(), 0);
    let stopped = run(demo(), home.path(), &["console", "--data-dir", home.path().to_str().unwrap()]);
    assert_eq!(parts(&stopped).0, 0); // no line, no call
}

#[test]
fn a_support_bundle_holds_the_state_and_no_secret() {
    let home = TempDir::new();
    let (log, keys) = (home.path().join("demo.log"), home.path().join("main/keys"));
    fs::create_dir_all(&keys).unwrap();
    fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let secrets =
        ["correct horse", "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ", "t0ken-0123456789"];
    let mut options = fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create(true), 0o600);
    options.open(keys.join("node")).unwrap().write_all(secrets[1].as_bytes()).unwrap();
    // A line that should never be written, and an address of a peer.
    let leak = format!("password {} token={} from 192.0.2.77:5050\n", secrets[0], secrets[2]);
    fs::write(&log, &leak).unwrap();
    let file = home.path().join("demo.toml");
    fs::write(&file, format!("[demo]\nsecret = \"{}\"\n", secrets[0])).unwrap();
    let settings = ["--config", file.to_str().unwrap(), "--log-file", log.to_str().unwrap()];
    let mut node = TestNode::start(demo(), home.path(), &settings);
    node.ready();
    let flags = flags(&node, &home);
    let bundle = |name: &str, more: &[&str]| {
        let out = home.path().join(name);
        let mut verb = command(demo(), home.path());
        verb.args(["support-bundle", "-o"]).arg(&out).args(&flags).args(settings).args(more);
        (parts(&verb.output().unwrap()), unpacked(&out))
    };
    let cookie = fs::read_to_string(home.path().join("main/.cookie")).unwrap();
    let ((code, out, err), text) = bundle("running.tar.gz", &[]);
    assert_eq!(
        (code, out.trim(), err.as_str()),
        (0, home.path().join("running.tar.gz").to_str().unwrap(), "")
    );
    for part in [
        "demo.secret = \"***\"",
        "\"name\":\"demo\"",
        "demo_build_info{",
        "\"phase\":",
        "app: ready",
        "hello to peers",
        " from address-",
        "format 1 and 0 rows",
        "VERSION.json",
        "\"clean_stop\": false",
        "files in keys/",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    for secret in
        secrets.iter().copied().chain([cookie.trim(), cookie.split_once(':').unwrap().1, "192.0.2.77"])
    {
        assert!(!text.contains(secret), "{secret}\n{text}");
    }
    assert!(bundle("with.tar.gz", &["--with-addresses"]).1.contains("192.0.2.77:5050"));
    assert_eq!(bundle("with.tar.gz", &[]).0.0, 74, "a file is never written over");
    assert_eq!(node.signal("TERM").exit_code(), 0);
    let ((code, _, err), text) = bundle("stopped.tar.gz", &[]);
    assert_eq!(code, 0);
    for name in ["status.json", "metrics.txt", "log.txt", "peers.json"] {
        assert!(err.contains(&format!("absent: {name}: the node does not answer")), "{err}");
        assert!(text.contains(&format!("absent: {name}: ")), "{text}");
    }
    assert!(text.contains("demo.secret = \"***\"") && text.contains("app: stopped"), "{text}");
    assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
}
