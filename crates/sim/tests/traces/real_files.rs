//! The public traces as they are, against counts and sums taken from the files by other means.
//!
//! CSV: `awk -F, 'NR>1{n++;a+=$2;b+=$3}END{print n,a,b}'` (and the like for other columns). JSON
//! lines: the same sums with Python's `json` module.

use std::collections::HashSet;

use rampmeter_sim::trace::{Format, ReadOptions, Trace, guess};

use crate::shared::{assert_near, read_ok, shared, shared_trace};

fn sums(trace: &Trace) -> (usize, u64, u64) {
    (trace.requests.len(), trace.prompt_tokens(), trace.output_tokens())
}

#[test]
fn azure_code() {
    let name = "azure-llm-2023/AzureLLMInferenceTrace_code.csv";
    let Some(trace) = shared_trace(name, Format::Azure) else { return };
    assert_eq!(sums(&trace), (8_819, 18_059_974, 245_896));
    // First line 18:17:03.9799600, last line 19:14:19.9280160.
    assert_eq!(trace.requests[0].arrival.get(), 0);
    assert_eq!(trace.span().get(), 3_435_948_056_000);
    assert_eq!(guess(&shared(name).unwrap()).unwrap(), Format::Azure);
}

#[test]
fn mooncake() {
    let name = "mooncake-fast25/conversation_000-030min.jsonl";
    let Some(trace) = shared_trace(name, Format::Mooncake) else { return };
    assert_eq!(sums(&trace), (5_719, 73_604_194, 1_977_204));
    assert_eq!(trace.span().as_seconds(), 1_797.0);
    let blocks: Vec<u64> =
        trace.requests.iter().flat_map(|request| request.prefix.iter().copied()).collect();
    assert_eq!(blocks.len(), 146_464);
    assert_eq!(blocks.iter().collect::<HashSet<_>>().len(), 96_534);
    assert_eq!(trace.prefix_block_tokens, 512);
    assert_eq!(guess(&shared(name).unwrap()).unwrap(), Format::Mooncake);

    let name = "mooncake-fast25/synthetic_trace.jsonl";
    let Some(trace) = shared_trace(name, Format::Mooncake) else { return };
    assert_eq!(sums(&trace), (3_993, 61_194_628, 595_432));
    let blocks: usize = trace.requests.iter().map(|request| request.prefix.len()).sum();
    assert_eq!(blocks, 121_877);
}

#[test]
fn lengths() {
    let Some(path) = shared("lengths/arxiv_summarization_llama2.csv") else { return };
    let options = ReadOptions { rate_per_s: Some(2.0), ..ReadOptions::default() };
    let trace = read_ok(&path, Format::Lengths, &options);
    assert_eq!(sums(&trace), (28_257, 73_131_321, 8_234_948));
    assert_near("span", trace.span().as_seconds(), 28_257.0 / 2.0, 0.02);
    assert_eq!(guess(&path).unwrap(), Format::Lengths);
}

#[test]
fn vtc() {
    let name = "vtc/results_overload/FCFS.csv";
    let Some(trace) = shared_trace(name, Format::Vtc) else { return };
    assert_eq!(sums(&trace), (2_700, 691_200, 691_200));
    let of = |name: &str| {
        let account = trace.accounts.iter().position(|known| known == name).unwrap() as u32;
        trace.requests.iter().filter(|request| request.account == Some(account)).count()
    };
    assert_eq!((trace.accounts.len(), of("0"), of("1")), (2, 900, 1_800));
    assert_eq!(trace.requests[0].arrival.get(), 650_200_000);
    assert_eq!(guess(&shared(name).unwrap()).unwrap(), Format::Vtc);

    let name = "vtc/results_overload-multi/VTC.csv";
    let Some(trace) = shared_trace(name, Format::Vtc) else { return };
    assert_eq!(sums(&trace), (1_512, 387_072, 387_072));
    assert_eq!(trace.accounts.len(), 8);
}

/// The window from 12,000 s: `awk -F, '$1==12000{n++;r+=$2}END{print n,r*600}' *.csv` says
/// 9 clients and 203,535 requests.
#[test]
fn servegen() {
    const EXPECTED: f64 = 203_535.0;
    let (Some(path), Some(lengths)) =
        (shared("servegen/language/m-small"), shared("lengths/arxiv_summarization_llama2.csv"))
    else {
        return;
    };
    assert_eq!(guess(&path).unwrap(), Format::Servegen);
    let options =
        ReadOptions { lengths: Some(lengths), start_s: 12_000.0, ..ReadOptions::default() };
    let trace = read_ok(&path, Format::Servegen, &options);
    assert_near("default size", trace.requests.len() as f64, 20_000.0, 0.1);
    let whole = ReadOptions { rate_scale: Some(1.0), ..options };
    let trace = read_ok(&path, Format::Servegen, &whole);
    assert_eq!(trace.accounts.len(), 9);
    assert_near("scale 1", trace.requests.len() as f64, EXPECTED, 0.05);
}
