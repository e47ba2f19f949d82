//! What is written is read back, and what is read means what its format says.

use std::fs;

use proptest::prelude::*;
use rampmeter::Nanos;
use rampmeter_sim::trace::{
    Format, ReadOptions, Spec, Trace, TraceRequest, guess, read, write_csv,
};
use tempfile::TempDir;

use crate::shared::{arrivals_s, assert_near, gap_cv, read_ok};

fn request() -> impl Strategy<Value = (u64, u32, u32, Option<u32>, Option<u8>, Option<u8>)> {
    (
        0..1_000_000_000_000_u64,
        1..=10_000_000_u32,
        1..=1_000_000_u32,
        prop::option::of(0..9_000_000_u32),
        prop::option::of(0..4_u8),
        prop::option::of(0..4_u8),
    )
}

/// Indices by first appearance, as a reader would number them.
fn renumbered(names: &[&str], chosen: &[Option<u8>]) -> (Vec<String>, Vec<Option<usize>>) {
    let mut list: Vec<String> = Vec::new();
    let indices = chosen.iter().map(|choice| {
        choice.map(|choice| {
            let name = names[usize::from(choice)];
            list.iter().position(|known| known == name).unwrap_or_else(|| {
                list.push(name.to_owned());
                list.len() - 1
            })
        })
    });
    let indices = indices.collect();
    (list, indices)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn csv_survives_a_round_trip(mut rows in prop::collection::vec(request(), 1..50)) {
        rows.sort_by_key(|row| row.0);
        // Names that need quoting, or look like numbers.
        let names = ["acme, inc", "say \"hi\"", "7", "\u{fc}ber"];
        let (classes, class_of) =
            renumbered(&names, &rows.iter().map(|row| row.4).collect::<Vec<_>>());
        let (accounts, account_of) =
            renumbered(&names, &rows.iter().map(|row| row.5).collect::<Vec<_>>());
        let requests = rows.iter().enumerate().map(|(index, row)| TraceRequest {
            arrival: Nanos(row.0),
            prompt_tokens: row.1,
            output_tokens: row.2,
            output_tokens_max: row.3.map(|more| row.2 + more),
            class: class_of[index].map(|index| index as u16),
            account: account_of[index].map(|index| index as u32),
            prefix: Box::default(),
        });
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("t.csv");
        let trace = Trace {
            source: "csv:t.csv".into(),
            requests: requests.collect(),
            classes,
            accounts,
            prefix_block_tokens: 0,
        };
        write_csv(&trace, fs::File::create(&path).unwrap()).unwrap();
        prop_assert_eq!(guess(&path).unwrap(), Format::Csv);
        prop_assert_eq!(read(&path, Format::Csv, &ReadOptions::default()).unwrap(), trace);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("t");
        for head in ["", "arrival_s,prompt_tokens,output_tokens\n", "{\"timestamp\":"] {
            let mut content = head.as_bytes().to_vec();
            content.extend_from_slice(&bytes);
            fs::write(&path, content).unwrap();
            let _ = guess(&path);
            for format in Format::ALL {
                if let Err(error) = read(&path, format, &ReadOptions::default()) {
                    prop_assert!(!error.to_string().contains('\n'), "{}", error);
                }
            }
        }
    }
}

#[test]
fn columns_stand_in_any_order_and_others_are_ignored_where_they_are_foreign() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("azure.csv");
    let text = "\u{feff}GeneratedTokens,NumImages,TIMESTAMP,ContextTokens\r\n\
                5,0,2024-05-10 00:00:00.009930+00:00,10\r\n\
                6,1,2024-05-10 00:00:01.509930+00:00,11\r\n";
    fs::write(&path, text).unwrap();
    let spec = Spec::parse(path.to_str().unwrap()).unwrap();
    assert_eq!(spec.format().unwrap(), Format::Azure);
    let trace = read_ok(&path, Format::Azure, &ReadOptions::default());
    let seen: Vec<_> = trace
        .requests
        .iter()
        .map(|request| (request.arrival.get(), request.prompt_tokens, request.output_tokens))
        .collect();
    assert_eq!(seen, [(0, 10, 5), (1_500_000_000, 11, 6)]);
}

#[test]
fn a_limit_stops_the_reading() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("t.csv");
    fs::write(&path, "arrival_s,prompt_tokens,output_tokens\n0,1,1\n1,2,2\nbroken\n").unwrap();
    let options = ReadOptions { requests: Some(2), ..ReadOptions::default() };
    assert_eq!(read_ok(&path, Format::Csv, &options).requests.len(), 2);
    assert!(read(&path, Format::Csv, &ReadOptions::default()).is_err());
}

#[test]
fn lengths_arrive_as_a_poisson_process_of_the_given_rate() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("l.csv");
    let rows = "7,3\n".repeat(20_000);
    fs::write(&path, format!("num_prefill_tokens,num_decode_tokens\n{rows}")).unwrap();
    let with = |seed| {
        let options = ReadOptions { seed, rate_per_s: Some(4.0), ..ReadOptions::default() };
        read_ok(&path, Format::Lengths, &options)
    };
    let trace = with(1);
    assert_near("rate", 20_000.0 / trace.span().as_seconds(), 4.0, 0.03);
    assert_near("CV", gap_cv(&arrivals_s(&trace)), 1.0, 0.03);
    assert_eq!(trace, with(1));
    assert_ne!(trace, with(2));
}

/// Two clients: a steady one, and a bursty one that pauses from 600 to 1,200 s.
fn servegen() -> (TempDir, ReadOptions) {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("chunk-2-trace.csv", "0,2,1,Exponential,,\n600,2,1,Exponential,,\n1200,2,1,Gamma,1,1\n");
    write("chunk-10-trace.csv", "0,5,2,Gamma,0.25,9\n1200,10,3,Weibull,0.5,9\n");
    write("notes.txt", "not a client");
    let lens = r#"{"0": {"input_tokens": {"100": 0.75, "200": 0.25}, "output_tokens": {"9": 1}},
                   "1200": {"input_tokens": {"300": 1.0}, "output_tokens": {"7": 0.1}}}"#;
    write("x.lens.json", lens);
    let lengths = Some(folder.path().join("x.lens.json"));
    let duration_s = 1_800.0;
    let rate_scale = Some(10.0);
    (folder, ReadOptions { lengths, duration_s, rate_scale, ..ReadOptions::default() })
}

#[test]
fn servegen_draws_each_client_at_its_rate() {
    let (folder, options) = servegen();
    assert_eq!(guess(folder.path()).unwrap(), Format::Servegen);
    let trace = read_ok(folder.path(), Format::Servegen, &options);
    let count = |account: &str, from: f64, to: f64| {
        let index = trace.accounts.iter().position(|name| name == account).unwrap() as u32;
        let here = trace.requests.iter().filter(|request| {
            request.account == Some(index) && (from..to).contains(&request.arrival.as_seconds())
        });
        here.count() as f64
    };
    assert_near("steady", count("client-2", 0.0, 1_800.0), 36_000.0, 0.03);
    assert_near("bursty", count("client-10", 0.0, 600.0), 30_000.0, 0.05);
    assert_eq!(count("client-10", 600.0, 1_200.0), 0.0);
    assert_near("Weibull", count("client-10", 1_200.0, 1_800.0), 60_000.0, 0.05);

    let early: Vec<_> =
        trace.requests.iter().filter(|request| request.arrival.as_seconds() < 1_200.0).collect();
    let short = early.iter().filter(|request| request.prompt_tokens == 100).count();
    assert_near("short prompts", short as f64 / early.len() as f64, 0.75, 0.02);
    let late = &trace.requests[early.len()..];
    assert!(late.iter().all(|request| (request.prompt_tokens, request.output_tokens) == (300, 7)));
}

#[test]
fn servegen_windows_start_at_zero_and_have_a_sensible_size() {
    let (folder, options) = servegen();
    let window = ReadOptions { start_s: 1_000.0, duration_s: 150.0, ..options.clone() };
    let trace = read_ok(folder.path(), Format::Servegen, &window);
    assert!(trace.span() < Nanos::from_seconds(150.0));
    assert_eq!(trace.accounts, ["client-2"]);
    // 7/s * 600 + 2/s * 600 + 12/s * 600 = 12,600 are fewer than 20,000: scale 1.
    let free = ReadOptions { rate_scale: None, ..options.clone() };
    let trace = read_ok(folder.path(), Format::Servegen, &free);
    assert_near("scale 1", trace.requests.len() as f64, 12_600.0, 0.06);
    assert_eq!(trace, read_ok(folder.path(), Format::Servegen, &free));
    let other = ReadOptions { seed: 7, ..free };
    assert_ne!(trace, read_ok(folder.path(), Format::Servegen, &other));
}
