//! Every kind of bad input is refused with one sentence that names file, line, field and range.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rampmeter_sim::trace::{Format, ReadOptions, Spec, guess, read};
use tempfile::TempDir;

fn file(folder: &TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

/// What the error says after the path.
fn refusal(path: &Path, format: Format, options: &ReadOptions) -> String {
    let error = read(path, format, options).expect_err("should be refused").to_string();
    assert!(!error.contains('\n'), "{error}");
    error.strip_prefix(&path.display().to_string()).expect(&error).to_owned()
}

fn refused(format: Format, content: &str, expected: &str) {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "trace", content.as_bytes());
    let rate_per_s = (format == Format::Lengths).then_some(1.0);
    let options = ReadOptions { rate_per_s, ..ReadOptions::default() };
    assert_eq!(refusal(&path, format, &options), expected, "{format}: {content:?}");
}

const TOKENS: &str = "is not a whole number in 1..=10000000";

#[test]
fn azure() {
    let row = |row: &str, expected: &str| {
        let head = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.97,10,5\n";
        refused(Format::Azure, &format!("{head}{row}\n"), expected);
    };
    for bad in ["NaN", "-1", "0", "1.5", "", "1e3", "10000001", "99999999999999999999"] {
        let field = format!(":3: field `ContextTokens`: `{bad}` {TOKENS}");
        row(&format!("2023-11-16 18:17:04,{bad},5"), &field);
        let field = format!(":3: field `GeneratedTokens`: `{bad}` {TOKENS}");
        row(&format!("2023-11-16 18:17:04,5,{bad}"), &field);
    }
    row(
        "yesterday,1,1",
        ":3: field `TIMESTAMP`: `yesterday` is not a time like 2023-11-16 18:17:03.9799600",
    );
    row(
        "2023-11-16 18:17:03.96,1,1",
        ":3: field `TIMESTAMP`: `2023-11-16 18:17:03.96` is not later than the first request: \
         arrivals must be in order",
    );
    row("2023-11-16 18:17:04,1", ":3: has 2 fields where 3 are expected");
    refused(
        Format::Azure,
        "TIMESTAMP,Context,GeneratedTokens\n",
        ":1: field `ContextTokens`: there is no such column \
         (there are: TIMESTAMP, Context, GeneratedTokens)",
    );
    refused(Format::Azure, "", ": is empty: not even a line of column names");
    refused(Format::Azure, "TIMESTAMP,ContextTokens,GeneratedTokens\n", ": holds no request");
}

#[test]
fn later_disorder_is_found_too() {
    refused(
        Format::Csv,
        "arrival_s,prompt_tokens,output_tokens\n1,1,1\n3,1,1\n2.5,1,1\n",
        ":4: field `arrival_s`: 2.5 s is earlier than the line before, 3 s: arrivals must be in \
         order",
    );
    refused(
        Format::Vtc,
        "user,prompt_len,output_len,req_time\n0,1,1,2\n0,1,1,1\n",
        ":3: field `req_time`: 1 s is earlier than the line before, 2 s: arrivals must be in order",
    );
}

#[test]
fn csv() {
    let row = |row: &str, expected: &str| {
        let head = "arrival_s,prompt_tokens,output_tokens,output_tokens_max,class,account\n";
        refused(Format::Csv, &format!("{head}{row}\n"), expected);
    };
    for bad in ["NaN", "-1", "-0.5", "inf", "", "noon", "100000001", "1700000000"] {
        let what = "is not a number of seconds in 0..=100000000 from the start";
        row(&format!("{bad},1,1,,,"), &format!(":2: field `arrival_s`: `{bad}` {what}"));
    }
    row("0,1,9,8,,", ":2: field `output_tokens_max`: `8` is not a whole number in 9..=10000000");
    let long = "x".repeat(129);
    let shown = format!("{}...", "x".repeat(40));
    row(
        &format!("0,1,1,,{long},"),
        &format!(
            ":2: field `class`: `{shown}` is not a name of 1..=128 bytes without control characters"
        ),
    );
    refused(
        Format::Csv,
        "arrival_s,prompt_tokens,output_tokens,acount\n0,1,1,x\n",
        ":1: field `acount`: unknown column `acount`; did you mean `account`?",
    );
    refused(
        Format::Csv,
        "arrival_s,prompt_tokens,output_tokens,GPU\n0,1,1,x\n",
        ":1: field `GPU`: unknown column `GPU`; known are arrival_s, prompt_tokens, output_tokens, \
         output_tokens_max, class, account",
    );
    refused(
        Format::Csv,
        "arrival_s,prompt_tokens,output_tokens,class,class\n",
        ":1: field `class`: this column stands twice",
    );
}

#[test]
fn a_column_that_stands_twice_is_refused_in_every_table() {
    for (format, head) in [
        (Format::Azure, "TIMESTAMP,ContextTokens,GeneratedTokens,ContextTokens"),
        (Format::Lengths, "num_prefill_tokens,num_decode_tokens,num_decode_tokens"),
        (Format::Vtc, "user,prompt_len,output_len,req_time,user"),
    ] {
        let twice = head.rsplit(',').next().unwrap();
        let expected = format!(":1: field `{twice}`: this column stands twice");
        refused(format, &format!("{head}\n1,1,1,1,1\n"), &expected);
    }
}

#[test]
fn names_that_would_break_a_table_are_refused() {
    let expected =
        ":2: field `user`: `a\u{fffd}b` is not a name of 1..=128 bytes without control characters";
    for bad in ['\0', '\u{1b}', '\u{85}'] {
        let content = format!("user,prompt_len,output_len,req_time\na{bad}b,1,1,1\n");
        refused(Format::Vtc, &content, expected);
    }
}

#[test]
fn options_that_would_change_nothing_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "t.csv", b"arrival_s,prompt_tokens,output_tokens\n0,1,1\n");
    let rate = ReadOptions { rate_per_s: Some(1.0), ..ReadOptions::default() };
    assert_eq!(
        refusal(&path, Format::Csv, &rate),
        ": field `rate`: the format `csv` has arrivals of its own; only `lengths` takes this option"
    );
    let lengths = ReadOptions { lengths: Some(path.clone()), ..ReadOptions::default() };
    assert_eq!(
        refusal(&path, Format::Csv, &lengths),
        ": field `lengths`: the format `csv` has lengths of its own; only `servegen` takes this \
         option"
    );
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let folder = TempDir::new().unwrap();
    for (format, content) in [
        (Format::Mooncake, "{\"timestamp\": 0, \"input_length\": 3, \"output_length\": 1}\r\n"),
        (Format::Csv, "arrival_s,prompt_tokens,output_tokens\r\n0,3,1\r\n"),
    ] {
        let path = file(&folder, "marked", format!("\u{feff}{content}").as_bytes());
        assert_eq!(guess(&path).unwrap(), format);
        assert_eq!(read(&path, format, &ReadOptions::default()).unwrap().prompt_tokens(), 3);
    }
}

#[test]
fn mooncake() {
    let good = r#"{"timestamp": 5, "input_length": 600, "output_length": 1, "hash_ids": [1, 2]}"#;
    let second = |line: &str, expected: &str| {
        refused(Format::Mooncake, &format!("{good}\n{line}\n"), expected);
    };
    second("{", ":2: is not JSON at column 1");
    second("[1]", ":2: is not a JSON object");
    second(
        r#"{"timestamp": 5, "output_length": 1}"#,
        ":2: field `input_length`: there is no such key",
    );
    for bad in ["0", "-3", "1.5", "null", "\"7\"", "10000001"] {
        let line = format!(r#"{{"timestamp": 5, "input_length": {bad}, "output_length": 1}}"#);
        second(&line, &format!(":2: field `input_length`: `{bad}` {TOKENS}"));
    }
    second(
        r#"{"timestamp": 4, "input_length": 1, "output_length": 1}"#,
        ":2: field `timestamp`: 0.004 s is earlier than the line before, 0.005 s: arrivals must be \
         in order",
    );
    second(
        r#"{"timestamp": 5, "input_length": 513, "output_length": 1, "hash_ids": [1]}"#,
        ":2: field `hash_ids`: has 1 blocks where 513 tokens make 2 of 512",
    );
    second(
        r#"{"timestamp": 5, "input_length": 1, "output_length": 1, "hash_ids": [-1]}"#,
        ":2: field `hash_ids`: `-1` is not a whole number from 0",
    );
    refused(Format::Mooncake, "\n\n", ": holds no request");
}

#[test]
fn lengths_need_a_rate() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "l.csv", b"num_prefill_tokens,num_decode_tokens\n5,5\n");
    assert_eq!(
        refusal(&path, Format::Lengths, &ReadOptions::default()),
        ": field `rate`: has no arrival times: the format `lengths` needs a rate in requests a \
         second"
    );
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 2e6] {
        let options = ReadOptions { rate_per_s: Some(bad), ..ReadOptions::default() };
        let expected = format!(
            ": field `rate`: `{bad}` is not a number of requests a second in 0.000001..=1000000"
        );
        assert_eq!(refusal(&path, Format::Lengths, &options), expected);
    }
}

#[test]
fn servegen() {
    let folder = TempDir::new().unwrap();
    let lengths = file(&folder, "l.csv", b"num_prefill_tokens,num_decode_tokens\n5,5\n");
    let options = ReadOptions { lengths: Some(lengths), ..ReadOptions::default() };
    let refused = |content: &str| {
        let client = file(&folder, "chunk-3-trace.csv", content.as_bytes());
        let error = read(folder.path(), Format::Servegen, &options).unwrap_err().to_string();
        error.replace(&client.display().to_string(), "CLIENT")
    };
    assert_eq!(
        refused("0,-1,1,Gamma,1,1\n"),
        "CLIENT:1: field `rate_per_s`: `-1` is not a number in 0..=1000000"
    );
    assert_eq!(
        refused("0,1,1,Gamma,NaN,1\n"),
        "CLIENT:1: field `shape`: `NaN` is not a number in 0.01..=100"
    );
    assert_eq!(
        refused("0,1,1,Pareto,1,1\n"),
        "CLIENT:1: field `family`: `Pareto` is not one of Gamma, Weibull, Exponential"
    );
    assert_eq!(
        refused("600,1,1,Gamma,1,1\n0,1,1,Gamma,1,1\n"),
        "CLIENT:2: field `time_s`: `0` is not 600 s or more after the row before"
    );
    assert_eq!(refused("0,1,1\n"), "CLIENT:1: has 3 fields where 6 are expected");
    assert_eq!(refused(""), "CLIENT: is empty");
    assert!(refused("6000,1,1,Gamma,1,1\n").ends_with("no client is active from 0 s to 600 s"));

    file(&folder, "chunk-3-trace.csv", b"0,1,1,Exponential,,\n");
    let refused = |options: &ReadOptions| refusal(folder.path(), Format::Servegen, options);
    let none = ReadOptions { lengths: None, ..options.clone() };
    assert!(refused(&none).starts_with(": field `lengths`: holds rates alone"));
    let bad = ReadOptions { duration_s: f64::NAN, ..options.clone() };
    assert!(refused(&bad).starts_with(": field `duration`: `NaN` is not a number of seconds"));
    let bad = ReadOptions { rate_scale: Some(0.0), ..options.clone() };
    assert!(refused(&bad).starts_with(": field `rate_scale`: `0` is not above 0"));
    assert!(read(folder.path(), Format::Servegen, &options).is_ok());
}

#[test]
fn servegen_distributions() {
    let folder = TempDir::new().unwrap();
    file(&folder, "chunk-3-trace.csv", b"0,1,1,Exponential,,\n");
    let refused = |json: &str| {
        let lengths = file(&folder, "x.lens.json", json.as_bytes());
        let options = ReadOptions { lengths: Some(lengths.clone()), ..ReadOptions::default() };
        let error = read(folder.path(), Format::Servegen, &options).unwrap_err().to_string();
        error.replace(&lengths.display().to_string(), "LENS")
    };
    let one = |input: &str| {
        format!(r#"{{"0": {{"input_tokens": {input}, "output_tokens": {{"1": 1}}}}}}"#)
    };
    assert_eq!(
        refused(&one(r#"{"0": 1}"#)),
        "LENS: field `0.input_tokens`: `0` is not a whole number in 1..=10000000"
    );
    assert_eq!(
        refused(&one(r#"{"5": 1.5}"#)),
        "LENS: field `0.input_tokens`: `1.5` is not a probability in 0..=1"
    );
    let nothing = "LENS: field `0.input_tokens`: holds no length with a probability above 0";
    assert_eq!(refused(&one("{}")), nothing);
    assert_eq!(refused(&one(r#"{"5": 0}"#)), nothing);
    assert_eq!(refused("{}"), "LENS: holds no length distribution");
    assert!(refused("[").starts_with("LENS:1: is not a table of length distributions"));
}

#[test]
fn what_is_no_file() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("missing.csv");
    for format in Format::ALL {
        let options = ReadOptions {
            rate_per_s: (format == Format::Lengths).then_some(1.0),
            lengths: (format == Format::Servegen).then(|| missing.clone()),
            ..ReadOptions::default()
        };
        assert_eq!(refusal(&missing, format, &options), ": there is no such file", "{format}");
        if format != Format::Servegen {
            let expected = ": is a folder where a file is expected";
            assert_eq!(refusal(folder.path(), format, &options), expected, "{format}");
        }
    }
    assert!(guess(&missing).unwrap_err().to_string().ends_with("there is no such file"));
    assert!(guess(folder.path()).unwrap_err().to_string().contains("without chunk-N-trace.csv"));
}

#[test]
fn what_is_not_text() {
    let folder = TempDir::new().unwrap();
    let table = file(&folder, "a", b"arrival_s,prompt_tokens,output_tokens\n0,1,1\n\xff\xfe,1,1\n");
    assert_eq!(
        refusal(&table, Format::Csv, &ReadOptions::default()),
        ":3: is not UTF-8 text after 0 bytes"
    );
    let lines = file(&folder, "b", b"{\"timestamp\": \xff}\n");
    assert_eq!(
        refusal(&lines, Format::Mooncake, &ReadOptions::default()),
        ":1: is not UTF-8 text after 14 bytes"
    );
}

#[test]
fn long_lines_are_refused_unread() {
    const MEBIBYTE: usize = 1 << 20;
    let folder = TempDir::new().unwrap();
    let expected = ":2: is longer than 1048576 bytes, the longest line accepted";
    let heads = [
        (Format::Csv, "arrival_s,prompt_tokens,output_tokens,class\n", "0,1,1,"),
        (Format::Csv, "arrival_s,prompt_tokens,output_tokens,class\n", "0,1,1,\"a\nb\n"),
        (Format::Mooncake, "{\"timestamp\":0,\"input_length\":1,\"output_length\":1}\n", ""),
    ];
    for (format, head, start) in heads {
        let path = folder.path().join("long");
        let mut file = fs::File::create(&path).unwrap();
        write!(file, "{head}{start}").unwrap();
        for _ in 0..10 {
            file.write_all(&vec![b'x'; MEBIBYTE]).unwrap();
        }
        drop(file);
        assert_eq!(refusal(&path, format, &ReadOptions::default()), expected, "{format}");
        // A terabyte (as a hole) is refused as fast: nothing reads to its end.
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(refusal(&path, format, &ReadOptions::default()), expected, "{format}");
    }
}

#[test]
fn specs() {
    let folder = TempDir::new().unwrap();
    let odd = file(&folder, "a:b.csv", b"x");
    let text = odd.display().to_string();
    let parsed = Spec::parse(&text).unwrap();
    assert_eq!((parsed.path, parsed.given), (odd.clone(), None));
    let parsed = Spec::parse(&format!("{text}:vtc")).unwrap();
    assert_eq!((parsed.path, parsed.given), (odd.clone(), Some(Format::Vtc)));
    let error = Spec::parse(&format!("{text}:azur")).unwrap_err().to_string();
    assert_eq!(error, format!("{text}: unknown format `azur`; did you mean `azure`?"));
    assert_eq!(Spec::parse("no/such:place").unwrap().path, Path::new("no/such:place"));
    assert_eq!(Spec::parse("C:\\t.csv:csv").unwrap().path, Path::new("C:\\t.csv"));
    assert_eq!(Spec::parse(":csv").unwrap().path, Path::new(":csv"));
    assert!(Spec::parse("").is_err());
    let named = file(&folder, "x:azure", b"x");
    assert_eq!(Spec::parse(&named.display().to_string()).unwrap().given, None);
}

#[test]
fn an_unknown_file_is_not_guessed() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "t.csv", b"a,b,c\n1,2,3\n");
    let error = guess(&path).unwrap_err().to_string();
    assert!(error.ends_with(
        ":1: looks like none of the formats (azure, mooncake, lengths, vtc, servegen, csv): add \
         one as PATH:FORMAT"
    ));
    let path = file(&folder, "empty.csv", b"\n");
    assert!(guess(&path).unwrap_err().to_string().ends_with(": is empty"));
}
