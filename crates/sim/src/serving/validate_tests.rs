//! Reading measured runs, good and bad, and replaying the real ones where they are present.

use std::fs;

use super::*;
use crate::serving::testing::realistic_engine;

const META: &str = r#"{"model": "m", "engine_kwargs":
    {"tensor_parallel_size": 2, "max_num_seqs": 8, "max_num_batched_tokens": 512}}"#;

fn row(input: &str, queued: f64, first: f64, last: f64) -> String {
    format!(
        r#"{{"request_id": "r", "input_toks": {input}, "output_toks": 11, "queued_ts": {queued},
        "first_token_ts": {first}, "last_token_ts": {last}}}"#
    )
    .replace('\n', " ")
}

fn read_from(meta: &str, rows: &str) -> Result<MeasuredRun, String> {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("vllm")).unwrap();
    fs::write(dir.path().join("vllm/meta.json"), meta).unwrap();
    fs::write(dir.path().join("vllm/requests.jsonl"), rows).unwrap();
    read(dir.path()).map_err(|error| error.to_string())
}

#[test]
fn a_run_is_read_in_order_of_queueing() {
    let rows = [row("100", 7.5, 8.0, 9.0), row("50", 5.0, 5.5, 7.5)].join("\n");
    let measured = read_from(META, &rows).unwrap();
    assert_eq!(
        (measured.tensor_parallel, measured.running_max, measured.step_tokens_max),
        (2, 8, 512)
    );
    assert_eq!(measured.kv_blocks, None);
    let arrivals: Vec<Nanos> = measured.workload.requests.iter().map(|r| r.arrival).collect();
    assert_eq!(arrivals, [Nanos(0), Nanos(2_500_000_000)]);
    let expected = Latency { ttft_s: 0.5, tpot_s: Some(0.2), latency_s: 2.5 };
    assert_eq!(measured.latencies[0], expected);
}

#[test]
fn recorded_kv_blocks_win_over_the_engine() {
    let meta = META.replacen('{', r#"{"kv_cache": {"num_gpu_blocks": 77},"#, 1);
    let measured = read_from(&meta, &row("100", 1.0, 2.0, 3.0)).unwrap();
    let engine = engine_of(&measured, &realistic_engine(500)).unwrap();
    assert_eq!(engine.kv.blocks().get(), 77);
    assert_eq!((engine.running_max, engine.step_tokens_max), (8, 512));
}

#[test]
fn wrong_input_is_named() {
    let good = row("100", 1.0, 2.0, 3.0);
    let two = |bad: &str| format!("{good}\n{bad}\n");
    for (meta, rows, expected) in [
        (META, String::new(), "requests.jsonl: has no requests"),
        ("{", good.clone(), "meta.json:1: is not JSON"),
        ("{}", good.clone(), "field `engine_kwargs`: there is no such key"),
        (
            &META.replace("8,", "0,"),
            good.clone(),
            "field `engine_kwargs.max_num_seqs`: `0` is not a whole number in 1..=",
        ),
        (META, two("{"), "requests.jsonl:2: is not JSON at column 1"),
        (META, two(&row("0", 1.0, 2.0, 3.0)), "requests.jsonl:2: field `input_toks`: `0` is not"),
        (META, two(&row("-5", 1.0, 2.0, 3.0)), "requests.jsonl:2: field `input_toks`: `-5` is not"),
        (META, two(&row("1", -1.0, 2.0, 3.0)), "field `queued_ts`: `-1` is not a number in 0..="),
        (META, two(&row("1", 3.0, 2.0, 3.0)), "field `first_token_ts`: 2 is before"),
        (META, two(&row("1", 1.0, 4.0, 3.0)), "field `last_token_ts`: 3 is before"),
        (META, two(&row("1", 1.0, 2.0, 1e9)), "at most 864000 s"),
        (META, two(&"x".repeat(2 << 20)), "requests.jsonl:2: is longer than"),
        (META, two(&row("1", 1.0, 2.0, 1e300)), "field `last_token_ts`: `1e+300` is not a number"),
        (&META.replace("8,", "\"8\","), good.clone(), "`\"8\"` is not a whole number"),
    ] {
        let error = read_from(meta, &rows).unwrap_err();
        assert!(error.contains(expected), "{error} does not say {expected}");
        assert!(!error.contains('\n'), "one line: {error}");
    }
    assert!(read(Path::new("/dev/null")).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn measured_runs_replay_to_their_end() {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let shared = std::env::var("RAMPMETER_SHARED").unwrap_or_else(|_| default.to_owned());
    let bench = Path::new(&shared).join("traces/llmservingsim/bench/RTXPRO6000");
    if !bench.is_dir() {
        eprintln!("shared traces absent at {shared}: real-data checks not run");
        return;
    }
    for (model, tensor_parallel) in [("Llama-3.1-8B", 1), ("Qwen3-32B", 2)] {
        let measured = read(&bench.join(model)).unwrap();
        assert_eq!(measured.workload.requests.len(), 300);
        assert_eq!(measured.tensor_parallel, tensor_parallel);
        assert_eq!((measured.running_max, measured.step_tokens_max), (128, 2_048));
        let compared = replay(&measured, &realistic_engine(36_578)).unwrap();
        assert_eq!(compared.len(), 300);
        for pair in compared {
            let Latency { ttft_s, tpot_s, latency_s } = pair.simulated;
            assert!(ttft_s > 0.0 && latency_s >= ttft_s && tpot_s.is_none_or(|tpot| tpot > 0.0));
        }
    }
}
