//! What options, environment and file come to.

use super::*;

fn settle(line: &[&str], file: Option<&str>) -> Result<DaemonConfig, ConfigError> {
    let words = std::iter::once("dfsd").chain(line.iter().copied());
    let options = DaemonOptions::try_parse_from(words).expect("the options parse");
    options.settle(file, |name| (name == "HOME").then(|| OsString::from("/home/u")))
}

#[test]
fn sizes() {
    let cases = [
        ("0", Some(0)),
        ("512", Some(512)),
        ("4KiB", Some(4096)),
        ("16 MiB", Some(16 << 20)),
        ("2GiB", Some(2 << 30)),
        ("1.5GiB", None),
        ("16MB", None),
        ("-1", None),
        ("", None),
        ("99999999999GiB", None),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse::<Size>().ok(), expected.map(Size), "{text}");
    }
    assert_eq!(Size(16 << 20).to_string(), "16MiB");
    assert_eq!(Size(1000).to_string(), "1000");
}

#[test]
fn durations() {
    let cases = [
        ("250ms", Some(250)),
        ("10s", Some(10_000)),
        ("5m", Some(300_000)),
        ("24h", Some(86_400_000)),
        ("30d", Some(2_592_000_000)),
        ("30", None),
        ("1w", None),
        ("s", None),
    ];
    for (text, expected) in cases {
        let expected = expected.map(|count| Period(Duration::from_millis(count)));
        assert_eq!(text.parse::<Period>().ok(), expected, "{text}");
    }
}

#[test]
fn no_option_at_all_works() {
    let config = settle(&[], None).unwrap();
    assert_eq!(config.data, Path::new("/home/u/.local/share/dfsd"));
    assert_eq!(config.listen, "0.0.0.0:7400");
    assert_eq!(config.memory, limits::MEMORY_DEFAULT);
    assert_eq!((config.workers, config.reserve, config.join), (None, None, None));
}

#[test]
fn an_option_beats_the_file_and_the_file_the_default() {
    let file = "memory = \"16MiB\"\nlisten = \"127.0.0.1:1\"\nreserve = 4096\nlog = \"debug\"\n";
    let config = settle(&["--memory", "64MiB"], Some(file)).unwrap();
    assert_eq!(config.memory, 64 << 20);
    assert_eq!(config.listen, "127.0.0.1:1");
    assert_eq!(config.reserve, Some(4096));
    assert_eq!(config.log, log::LevelFilter::Debug);
}

#[test]
fn an_unknown_key_is_an_error_with_its_line() {
    let error = settle(&[], Some("workers = 2\n\nmemroy = \"1GiB\"\n")).unwrap_err().to_string();
    assert!(error.contains("line 3") && error.contains("memroy"), "{error}");
}

#[test]
fn bad_values_are_errors_that_name_them() {
    let cases: [(&[&str], &str); 6] = [
        (&["--memory", "1MiB"], "too little"),
        (&["--collect-rate", "0"], "--collect-rate 0 is too little: 64KiB is the least"),
        (&["--listen", "7400"], "HOST:PORT"),
        (&["--listen", "::1:7400"], "HOST:PORT"),
        (&["--advertise", "me:0"], "real port"),
        (&["--workers", "1000"], "too many"),
    ];
    for (line, expected) in cases {
        let error = settle(line, None).unwrap_err().to_string();
        assert!(error.contains(expected), "{line:?}: {error}");
    }
}

#[test]
fn a_node_that_must_be_there_stands_in_the_file_and_the_command_line_beats_it() {
    let file = Some("existing = true\n");
    let said = |config: DaemonConfig| (config.create, config.existing);
    assert_eq!(said(settle(&[], None).unwrap()), (false, false));
    assert_eq!(said(settle(&[], file).unwrap()), (false, true));
    assert_eq!(said(settle(&["--existing"], None).unwrap()), (false, true));
    assert_eq!(said(settle(&["--create"], file).unwrap()), (true, false));
    for line in [["--create", "--existing"], ["--create", "--join=t"]] {
        let words = std::iter::once("dfsd").chain(line);
        assert!(DaemonOptions::try_parse_from(words).is_err(), "{line:?}");
    }
}

#[test]
fn what_is_printed_means_the_same_as_a_file() {
    let file = "data = \"/a \\\"b\"\nworkers = 2\nmemory = 16777216\nlog = \"debug\"\n";
    let lines: [&[&str]; 3] = [&[], &["--advertise", "me:1", "--reserve", "1GiB"], &["--existing"]];
    for line in lines {
        let config = settle(line, Some(file)).unwrap();
        let printed = config.lines().join("\n");
        assert_eq!(settle(&[], Some(&printed)).unwrap(), config, "{printed}");
    }
    let config = settle(&["--data", "/d"], None).unwrap();
    let expected = [
        "data = \"/d\"",
        "listen = \"0.0.0.0:7400\"",
        "# advertise is not set: the address that is listened on",
        "# workers is not set: one a core, 4 at most",
        "memory = \"32MiB\"",
        "# reserve is not set: 256MiB, or 2 % of the disk if that is more",
        "collect-rate = \"64MiB\"",
        "log = \"info\"",
        "existing = false",
    ];
    assert_eq!(config.lines(), expected);
    let once = settle(&["--join", "t", "--new-node-key"], None).unwrap().lines();
    assert_eq!(once[9..], ["# join = \"t\"", "# new-node-key = true"]);
}

#[test]
fn what_differs_is_named_but_for_the_log_level() {
    let one = settle(&["--memory", "64MiB"], None).unwrap();
    let other = settle(&["--log", "warn", "--listen", "a:1", "--existing"], None).unwrap();
    assert_eq!(one.differences(&other), ["listen", "memory", "existing"]);
    assert_eq!(one.differences(&one), [""; 0]);
}

#[test]
fn the_data_folder_follows_the_rules() {
    let find = |pairs: &'static [(&str, &str)]| {
        default_data(|name| {
            let pair = pairs.iter().find(|pair| pair.0 == name);
            pair.map(|pair| OsString::from(pair.1))
        })
    };
    assert_eq!(find(&[]), None);
    assert_eq!(find(&[("HOME", "/h")]), Some("/h/.local/share/dfsd".into()));
    assert_eq!(find(&[("HOME", "/h"), ("XDG_DATA_HOME", "/x")]), Some("/x/dfsd".into()));
    assert_eq!(
        find(&[("HOME", "/h"), ("XDG_DATA_HOME", "x")]),
        Some("/h/.local/share/dfsd".into())
    );
    assert_eq!(find(&[("DFSD_DATA", "/d"), ("HOME", "/h")]), Some("/d".into()));
    let state = |pairs: &'static [(&str, &str)]| {
        state_folder(&|name: &str| {
            let pair = pairs.iter().find(|pair| pair.0 == name);
            pair.map(|pair| OsString::from(pair.1))
        })
    };
    assert_eq!(state(&[("DFSD_DATA", "/d")]), None);
    assert_eq!(state(&[("HOME", "/h")]), Some("/h/.local/state/dfsd".into()));
    assert_eq!(state(&[("HOME", "/h"), ("XDG_STATE_HOME", "/x")]), Some("/x/dfsd".into()));
}
