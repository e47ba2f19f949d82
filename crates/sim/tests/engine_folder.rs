//! Folders of tables: what is read from them, and what is said about a bad one.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use rampmeter::engine::StepShape;
use rampmeter_sim::InputError;
use rampmeter_sim::engine::{Engine, EngineOverrides, Layout, Step, StepClock, TableClock};
use tempfile::TempDir;

const KERNELS: [&str; 9] = [
    "embedding",
    "layernorm",
    "qkv_proj",
    "rotary_emb",
    "o_proj",
    "gate_up_proj",
    "act_fn",
    "down_proj",
    "final_layernorm",
];

const LAYOUT: Layout = Layout {
    layers: 10,
    hidden_size: 1_000,
    tensor_parallel: 1,
    link_gb_per_s: 10.0,
    link_latency_us: 5.0,
    step_overhead_us: 500.0,
};

/// A folder `NAME/tp1` of straight-line tables: every dense kernel takes `tokens` us.
fn folder(name: &str) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let tables = root.path().join(name).join("tp1");
    fs::create_dir_all(&tables).unwrap();
    let mut dense = "layer,tokens,time_us\n".to_owned();
    for kernel in KERNELS {
        writeln!(dense, "{kernel},1,1\n{kernel},2048,2048").unwrap();
    }
    let mut attention = "prefill_chunk,kv_prefill,n_decode,kv_decode,time_us\n".to_owned();
    for chunk in [0, 2048] {
        for decodes in [0, 1, 128] {
            for history in if chunk == 0 { vec![0] } else { vec![0, 16384] } {
                for context in if decodes == 0 { vec![0] } else { vec![16, 16384] } {
                    let us = chunk + history + decodes * context;
                    if us > 0 {
                        let sizes = format!("{chunk},{history},{decodes},{context}");
                        writeln!(attention, "{sizes},{us}").unwrap();
                    }
                }
            }
        }
    }
    fs::write(tables.join("dense.csv"), dense).unwrap();
    fs::write(tables.join("attention.csv"), attention).unwrap();
    let head = "layer,sequences,time_us\nlm_head,1,100\nsampler,1,1\nsampler,256,256\n";
    fs::write(tables.join("per_sequence.csv"), head).unwrap();
    root
}

fn load(root: &TempDir, name: &str, overrides: EngineOverrides) -> Result<Engine, InputError> {
    Engine::load(root.path().join(name).to_str().unwrap(), &overrides)
}

fn error(root: &TempDir, name: &str) -> InputError {
    load(root, name, EngineOverrides::default()).err().expect("this must be refused")
}

proptest! {
    /// Straight-line tables give the formula back, inside the tables and far beyond.
    #[test]
    fn a_step_takes_what_the_formula_says(p in 1_u32..5_000, kp in 0_u64..40_000,
            n in 1_u32..300, kd in 16_u64..40_000) {
        let root = folder("any");
        let tables = root.path().join("any/tp1");
        let clock = TableClock::read(&tables, &LAYOUT).unwrap();
        let shape = StepShape { prefill_tokens: p, prefill_history_tokens: kp,
            decode_requests: n, decode_context_tokens: u64::from(n) * kd };
        let seconds = clock.seconds(&Step { shape, sampled_requests: n });
        // Only a prompt has a history: its time grows with the chunk from none.
        let history = kp as f64 * f64::from(p) / 2048.0;
        let attention = f64::from(p) + history + f64::from(n) * kd as f64;
        let us = 500.0 + (2.0 + 10.0 * 8.0) * f64::from(p + n) + 10.0 * attention
            + 100.0 + f64::from(n);
        prop_assert!((seconds * 1e6 - us).abs() < 1e-6 * us, "{} {us}", seconds * 1e6);
        // 10 layers, 2 all-reduces each, of 2,000 bytes a token at 10 GB/s and 5 us.
        let two = Layout { tensor_parallel: 2, ..LAYOUT };
        let clock = TableClock::read(&tables, &two).unwrap();
        let added = clock.seconds(&Step { shape, sampled_requests: n }) - seconds;
        let expected = 10.0 * 2.0 * (5.0 + 0.2 * f64::from(p + n));
        prop_assert!((added * 1e6 - expected).abs() < 1e-3 * expected, "{added}");
    }
}

#[test]
fn tables_of_a_known_model_need_nothing_else() {
    let root = folder("Llama-3.1-8B");
    let engine = load(&root, "Llama-3.1-8B", EngineOverrides::default()).unwrap();
    assert_eq!(engine.name, "Llama-3.1-8B tp1");
    assert_eq!((engine.kv.blocks().get(), engine.kv.block_tokens()), (36_578, 16));
    assert_eq!((engine.running_max, engine.step_tokens_max), (128, 2_048));
    let overrides = EngineOverrides {
        kv_blocks: Some(7_000),
        running_max: Some(3),
        step_tokens_max: Some(512),
        ..EngineOverrides::default()
    };
    let engine = load(&root, "Llama-3.1-8B", overrides).unwrap();
    assert_eq!(engine.kv.blocks().get(), 7_000);
    assert_eq!((engine.running_max, engine.step_tokens_max), (3, 512));
}

#[test]
fn engine_toml_describes_an_unknown_model() {
    let root = folder("mine");
    let missing = error(&root, "mine");
    assert_eq!(missing.field.as_deref(), Some("layers"));
    let file = root.path().join("mine/engine.toml");
    let text = "layers = 10\nhidden_size = 1000\nkv_heads = 2\nhead_dim = 64\n\
                kv_memory_gib = 1.0\nkv_block_tokens = 32\nseats = 9\nstep_tokens = 99\n";
    fs::write(&file, text).unwrap();
    let engine = load(&root, "mine", EngineOverrides::default()).unwrap();
    // 2^30 / (2 * 10 * 2 * 64 * 2 bytes * 32 tokens)
    assert_eq!((engine.kv.blocks().get(), engine.kv.block_tokens()), (6_553, 32));
    assert_eq!((engine.running_max, engine.step_tokens_max), (9, 99));
    fs::write(&file, text.replace("kv_memory_gib", "kv_memory_gb")).unwrap();
    let error = error(&root, "mine");
    assert!(error.path.ends_with("engine.toml"), "{error}");
    assert_eq!((error.line, error.field.as_deref()), (Some(5), Some("kv_memory_gb")));
    assert!(error.problem.contains("did you mean `kv_memory_gib`?"), "{error}");
}

#[test]
fn a_bad_table_is_named_with_line_and_column() {
    let dense = "layer,tokens,time_us\nembedding,1,1\n";
    let attention = "prefill_chunk,kv_prefill,n_decode,kv_decode,time_us\n";
    let cases = [
        ("dense.csv", String::new(), Some(1), "layer", "missing"),
        ("dense.csv", "layer,tokens,time_us\n".into(), None, "", "has no rows"),
        ("dense.csv", "layer,tokens\n".into(), Some(1), "time_us", "found: layer, tokens"),
        ("dense.csv", format!("{dense}act_fn,2,NaN\n"), Some(3), "time_us", "`NaN` is not a time"),
        ("dense.csv", format!("{dense}act_fn,2,-1\n"), Some(3), "time_us", "in 0..=3600000000 us"),
        ("dense.csv", format!("{dense}act_fn,2,inf\n"), Some(3), "time_us", "`inf`"),
        ("dense.csv", format!("{dense}act_fn,-2,1\n"), Some(3), "tokens", "`-2` is not a whole"),
        ("dense.csv", format!("{dense}act_fn,1e3,1\n"), Some(3), "tokens", "in 0..=100000000"),
        ("dense.csv", format!("{dense}act_fn,2\n"), Some(3), "", "2 fields where the header has 3"),
        ("dense.csv", format!("{dense}\nact,2,1\n"), Some(4), "layer", "did you mean `act_fn`?"),
        ("dense.csv", dense.replace('\n', "\r\n") + "act_fn,2,x", Some(3), "time_us", "`x`"),
        ("dense.csv", format!("{dense}embedding,1,2\n"), Some(3), "layer, tokens", "line 2"),
        ("dense.csv", dense.into(), None, "layer", "no row for the kernel `layernorm`"),
        ("dense.csv", "x".repeat(10 << 20), Some(1), "layer", "missing"),
        ("per_sequence.csv", dense.into(), Some(1), "sequences", "missing"),
        ("attention.csv", format!("{attention}16,0,0,0,8\n"), None, "n_decode", "`n_decode` >= 1"),
        ("attention.csv", format!("{attention}16,0,1,16,8\n"), None, "n_decode", "`n_decode` = 0"),
        ("attention.csv", format!("{attention}16,0,0,0,x\n"), Some(2), "time_us", "`x`"),
    ];
    for (file, content, line, field, problem) in cases {
        let root = folder("Llama-3.1-8B");
        fs::write(root.path().join("Llama-3.1-8B/tp1").join(file), content).unwrap();
        let error = error(&root, "Llama-3.1-8B");
        assert!(error.path.ends_with(Path::new("tp1").join(file)), "{error}");
        assert_eq!(error.line, line, "{error}");
        assert_eq!(error.field.as_deref().unwrap_or_default(), field, "{error}");
        assert!(error.problem.contains(problem), "{problem}: {error}");
        assert!(error.to_string().len() < 600 && !error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn what_is_no_table_at_all_is_named() {
    let root = folder("Llama-3.1-8B");
    let tables = root.path().join("Llama-3.1-8B/tp1");
    fs::write(tables.join("dense.csv"), b"layer,tokens,time_us\n\xff\xfe,1,1\n").unwrap();
    assert!(error(&root, "Llama-3.1-8B/tp1").problem.contains("name the folder above it"));
    let not_text = error(&root, "Llama-3.1-8B");
    assert_eq!(not_text.line, Some(2), "{not_text}");
    fs::remove_file(tables.join("dense.csv")).unwrap();
    assert!(error(&root, "Llama-3.1-8B").problem.contains("there is no such file"));
    fs::create_dir(tables.join("dense.csv")).unwrap();
    assert!(error(&root, "Llama-3.1-8B").problem.contains("is not a file"));
    let tp2 = EngineOverrides { tensor_parallel: Some(2), ..EngineOverrides::default() };
    let no_folder = load(&root, "Llama-3.1-8B", tp2).err().unwrap();
    assert!(no_folder.problem.contains("no folder `tp2`"), "{no_folder}");
    assert!(no_folder.problem.contains("found: tp1"), "{no_folder}");
    // A file where a folder is meant, and a name that is neither.
    assert!(load(&root, "Llama-3.1-8B/tp1/attention.csv", EngineOverrides::default()).is_err());
    let unknown = Engine::load("llama-3.1-8", &EngineOverrides::default()).err().unwrap();
    assert!(unknown.problem.contains("did you mean `llama-3.1-8b`?"), "{unknown}");
}

#[test]
fn options_out_of_range_are_refused() {
    let default = EngineOverrides::default();
    for (overrides, option) in [
        (EngineOverrides { tensor_parallel: Some(0), ..default }, "--tp"),
        (EngineOverrides { tensor_parallel: Some(2), ..default }, "--tp"),
        (EngineOverrides { kv_blocks: Some(0), ..default }, "--kv-blocks"),
        (EngineOverrides { running_max: Some(0), ..default }, "--seats"),
        (EngineOverrides { step_tokens_max: Some(u32::MAX), ..default }, "--step-tokens"),
    ] {
        let error = Engine::load("llama-3.1-8b", &overrides).err().unwrap();
        assert_eq!(error.path, Path::new(option), "{error}");
    }
    let seats = EngineOverrides { running_max: Some(5), ..default };
    assert_eq!(Engine::load("llama-3.1-8b", &seats).unwrap().running_max, 5);
}
