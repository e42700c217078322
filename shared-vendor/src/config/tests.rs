use std::{fs, path::PathBuf, time::Duration};

use super::*;
use crate::cli::Common;

crate::settings! {
    /// Settings of a made-up daemon.
    struct Sample {
        /// Memory for recent blocks.
        cache_size: Size = ["cache.size", "64MiB"],
        /// How long a request may take.
        ///
        /// Longer ones are given to another peer.
        timeout: Duration = ["sync.timeout", "10s"; was "sync.patience", "wait"],
        /// Peers to connect to.
        peers: Vec<String> = ["peers.static"],
        /// Spill directory. Unset: never.
        spill: Option<PathBuf> = ["cache.dir"],
        /// Keep an index.
        index: bool = ["index", "false"],
        /// Password of the wallet.
        password: Option<crate::log::Secret<String>> = ["wallet.password"],
    }
}

fn plan() -> Plan<'static> {
    Plan {
        daemon: "sample",
        prefix: "SAMPLE",
        keys: Common::KEYS.iter().chain(Sample::KEYS).copied().collect(),
        networks: &["main", "test"],
        network_defaults: |network| {
            let port = if network == "main" { 1000 } else { 2000 };
            vec![
                ("rpc.addr", format!("127.0.0.1:{port}")),
                ("p2p.addr", format!("[::]:{}", port + 1)),
                ("ops.addr", "127.0.0.1:9999".to_owned()),
                ("data-dir", "/data/sample".to_owned()),
            ]
        },
        profile: |name| if name == "low" { vec![("cache.size", "8MiB".to_owned())] } else { Vec::new() },
        sources: &[],
        foreign_env: &["SAMPLE_HOME"],
    }
}

struct Given {
    folder: PathBuf,
    env: Vec<(OsString, OsString)>,
}

impl Given {
    fn new(name: &str, file: &str, env: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(format!("config-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("c.toml"), file).unwrap();
        Self { folder, env: env.iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }

    fn load(&self, flags: &[(&str, &str)]) -> Result<Values, Report> {
        let flags = flags
            .iter()
            .map(|(key, text)| Entry::plain(*key, *text, Origin::Flag(format!("--{key}"))))
            .collect();
        load(&plan(), flags, Some(&self.folder.join("c.toml")), None, &self.env)
    }

    fn error(&self) -> String {
        self.load(&[]).unwrap_err().render("sample", false).replace(self.folder.to_str().unwrap(), "")
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn the_higher_layer_wins_and_each_value_keeps_its_origin() {
    let file =
        "profile = \"low\"\n[rpc]\naddr = \"127.0.0.1:1\"\n[sync]\ntimeout = \"2m\"\n[cache]\nsize = 1024\n";
    let given = Given::new("layers", file, &[("SAMPLE_RPC_ADDR", "127.0.0.1:2"), ("SAMPLE_NETWORK", "test")]);
    let values = given.load(&[("rpc.addr", "127.0.0.1:3")]).unwrap();
    let sample = Sample::from_values(&values).unwrap();
    let common = Common::from_values(&values).unwrap();
    assert_eq!(common.rpc_addr.to_string(), "127.0.0.1:3");
    assert_eq!(common.p2p_addr.to_string(), "[::]:2001");
    assert_eq!((sample.timeout, sample.index, sample.spill), (Duration::from_secs(120), false, None));
    assert_eq!(sample.cache_size, Size(1024));
    let shown = show(&values, true).replace(given.folder.to_str().unwrap(), "");
    assert!(shown.contains("rpc.addr = \"127.0.0.1:3\"   # flag --rpc.addr\n"), "{shown}");
    assert!(shown.contains("p2p.addr = \"[::]:2001\"   # network test\n"), "{shown}");
    assert!(shown.contains("network = \"test\"   # env SAMPLE_NETWORK\n"), "{shown}");
    assert!(shown.contains("sync.timeout = \"2m\"   # file /c.toml:5\n"), "{shown}");
    assert!(shown.contains("index = false   # default\n"), "{shown}");
}

#[test]
fn a_profile_changes_defaults_only() {
    let given = Given::new("profile", "profile = \"low\"\n", &[]);
    assert_eq!(Sample::from_values(&given.load(&[]).unwrap()).unwrap().cache_size, Size(8 << 20));
    let values = given.load(&[("cache.size", "1MB")]).unwrap();
    assert_eq!(Sample::from_values(&values).unwrap().cache_size, Size(1_000_000));
}

#[test]
fn what_is_wrong_in_a_file_is_named_with_its_line() {
    for (name, file, expected) in [
        (
            "unknown",
            "\n[cache]\nsiez = 1\n",
            "error[E0102]: unknown configuration key `cache.siez`\n  where: file /c.toml:3\n  do:    did you mean `cache.size`?",
        ),
        (
            "type",
            "index = \"yes\"\n",
            "error[E0103]: `index` = `yes` is not valid: expected true or false\n  where: file /c.toml:1",
        ),
        (
            "value",
            "[sync]\ntimeout = \"10\"\n",
            "error[E0103]: `sync.timeout` = `10` is not valid: expected a duration",
        ),
        (
            "twice",
            "[cache]\nsize = 1\nsize = 2\n",
            "error[E0104]: duplicate key near `size`\n  where: file /c.toml:3",
        ),
        ("syntax", "index = \n", "error[E0107]"),
        (
            "network",
            "network = \"moon\"\n",
            "error[E0103]: unknown network `moon`: expected one of main, test\n  where: file /c.toml:1",
        ),
    ] {
        let text = Given::new(name, file, &[]).error();
        assert!(text.starts_with(expected), "{name}: {text}");
    }
}

#[test]
fn an_unknown_variable_with_our_prefix_is_refused_and_others_are_not_looked_at() {
    let text =
        Given::new("env", "", &[("OTHER_X", "1"), ("SAMPLE_HOME", "/"), ("SAMPLE_RPC_ADR", "x")]).error();
    assert!(text.starts_with("error[E0105]: unknown environment variable SAMPLE_RPC_ADR"), "{text}");
    assert!(text.contains("did you mean SAMPLE_RPC_ADDR?"), "{text}");
}

#[test]
fn a_secret_comes_from_a_file_and_is_never_shown() {
    let given = Given::new("secret", "wait = \"3s\"\n", &[]);
    let path = given.folder.join("pw");
    fs::write(&path, "hunter2\n").unwrap();
    let given = Given {
        env: vec![("SAMPLE_WALLET_PASSWORD_FILE".into(), path.into())],
        folder: given.folder.clone(),
    };
    let values = given.load(&[]).unwrap();
    let sample = Sample::from_values(&values).unwrap();
    assert_eq!(sample.password.as_ref().map(|secret| secret.expose().as_str()), Some("hunter2"));
    assert!(!show(&values, true).contains("hunter2"));
    assert!(!format!("{sample:?}{}", show_json(&values)).contains("hunter2"));
    assert_eq!(sample.timeout, Duration::from_secs(3));
    assert!(
        values.warnings[0].ends_with("the key `wait` is now called `sync.timeout`"),
        "{:?}",
        values.warnings
    );
}

#[test]
fn an_instance_moves_ports_and_data_directory() {
    let given = Given::new("instance", "", &[]);
    let common = Common::from_values(&given.load(&[("instance", "3")]).unwrap()).unwrap();
    assert_eq!(common.rpc_addr.to_string(), "127.0.0.1:1300");
    assert_eq!(common.data_dir, PathBuf::from("/data/sample-3"));
    assert!(given.load(&[("instance", "3"), ("rpc.addr", "127.0.0.1:65500")]).is_err());
}

#[test]
fn lists_take_commas_and_repetition() {
    let given = Given::new("lists", "", &[]);
    let values = given.load(&[("peers.static", "a, b"), ("peers.static", "c")]).unwrap();
    assert_eq!(Sample::from_values(&values).unwrap().peers, ["a", "b", "c"]);
    assert!(given.load(&[("index", "true"), ("index", "false")]).is_err());
}

#[test]
fn the_default_file_with_every_key_uncommented_changes_nothing() {
    let given = Given::new("default", "", &[]);
    let text = default_file("sample", "SAMPLE", &given.load(&[]).unwrap());
    assert!(text.contains("\n# How long a request may take.\n# \n# Longer ones"), "{text}");
    let live: String = text
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let again = Given::new("default2", &live, &[]);
    let (plain, again) = (given.load(&[]).unwrap(), again.load(&[]).unwrap());
    assert_eq!(
        format!("{:?}", Sample::from_values(&plain).unwrap()),
        format!("{:?}", Sample::from_values(&again).unwrap())
    );
    assert_eq!(
        format!("{:?}", Common::from_values(&plain).unwrap()),
        format!("{:?}", Common::from_values(&again).unwrap())
    );
}

#[test]
fn quantities_read_as_people_write_them() {
    assert_eq!(parse_duration("1h30m"), Some(Duration::from_secs(5400)));
    assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
    for wrong in ["", "10", "s", "1x", "1h30", "-1s", "99999999999999999999s", "99999999999999999d"] {
        assert_eq!(parse_duration(wrong), None, "{wrong}");
    }
    assert_eq!(parse_size("64MiB"), Some(64 << 20));
    assert_eq!(parse_size("512MB"), Some(512_000_000));
    for wrong in ["", "MiB", "1.5GB", "-1", "99999999999TiB", "1m"] {
        assert_eq!(parse_size(wrong), None, "{wrong}");
    }
}

#[test]
fn the_nearest_name_is_near() {
    assert_eq!(nearest("netwrok", ["network", "data-dir"]), Some("network"));
    assert_eq!(nearest("zzzz", ["network", "data-dir"]), None);
}
