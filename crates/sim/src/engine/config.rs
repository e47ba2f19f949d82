//! `engine.toml`: what a folder of tables does not say about its engine.
//!
//! | key | meaning | range |
//! |---|---|---|
//! | `model` | a known model, whose figures stand for the keys that are left out | |
//! | `layers` | transformer layers | 1 to 1,000 |
//! | `hidden_size` | width of the activations, in elements | 1 to 1,000,000 |
//! | `kv_heads`, `head_dim` | heads with their own keys, elements of a head | 1 to 100,000 |
//! | `kv_bytes_per_token` | KV cache of one token, instead of the two above | 1 to 1,000,000,000 |
//! | `kv_memory_gib` | KV memory of one GPU, in GiB (2^30 bytes) | 0.001 to 1,000,000 |
//! | `kv_blocks` | blocks of the KV cache, instead of the memory | 1 to 4,000,000,000 |
//! | `kv_block_tokens` | tokens in a block; default 16 | 1 to 65,536 |
//! | `seats` | requests that may run at once; default 128 | 1 to 1,000,000 |
//! | `step_tokens` | tokens that one step may compute; default 2,048 | 1 to 10,000,000 |
//! | `link_gb_per_s` | what a link carries one way, 10^9 bytes a second | 0.001 to 100,000 |
//! | `link_latency_us` | an exchange between neighbours, besides its bytes | 0 to 1,000,000 |
//! | `step_overhead_us` | host time a step that no table holds; default 600 | 0 to 1,000,000 |

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::{Spanned, Value};

use super::models::{MODELS, Model};
use crate::nearest::unknown;
use crate::{InputError, input};

/// Every key.
const KEYS: [&str; 14] = [
    "model",
    "layers",
    "hidden_size",
    "kv_heads",
    "head_dim",
    "kv_bytes_per_token",
    "kv_memory_gib",
    "kv_blocks",
    "kv_block_tokens",
    "seats",
    "step_tokens",
    "link_gb_per_s",
    "link_latency_us",
    "step_overhead_us",
];

/// What an `engine.toml` states; every key may be left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct EngineConfig {
    pub(super) model: Option<&'static Model>,
    pub(super) layers: Option<u32>,
    pub(super) hidden_size: Option<u32>,
    pub(super) kv_heads: Option<u32>,
    pub(super) head_dim: Option<u32>,
    pub(super) kv_bytes_per_token: Option<u32>,
    pub(super) kv_memory_gib: Option<f64>,
    pub(super) kv_blocks: Option<u32>,
    pub(super) kv_block_tokens: Option<u32>,
    pub(super) seats: Option<u32>,
    pub(super) step_tokens: Option<u32>,
    pub(super) link_gb_per_s: Option<f64>,
    pub(super) link_latency_us: Option<f64>,
    pub(super) step_overhead_us: Option<f64>,
}

impl EngineConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// Naming file, line and key: what is no TOML, an unknown key, a value of another kind or
    /// outside its range.
    pub(super) fn read(path: &Path) -> Result<Self, InputError> {
        let keys = Keys::read(path)?;
        Ok(Self {
            model: keys.model()?,
            layers: keys.count("layers", 1..=1_000)?,
            hidden_size: keys.count("hidden_size", 1..=1_000_000)?,
            kv_heads: keys.count("kv_heads", 1..=100_000)?,
            head_dim: keys.count("head_dim", 1..=100_000)?,
            kv_bytes_per_token: keys.count("kv_bytes_per_token", 1..=1_000_000_000)?,
            kv_memory_gib: keys.real("kv_memory_gib", 0.001..=1e6)?,
            kv_blocks: keys.count("kv_blocks", 1..=4_000_000_000)?,
            kv_block_tokens: keys.count("kv_block_tokens", 1..=65_536)?,
            seats: keys.count("seats", 1..=1_000_000)?,
            step_tokens: keys.count("step_tokens", 1..=10_000_000)?,
            link_gb_per_s: keys.real("link_gb_per_s", 0.001..=1e5)?,
            link_latency_us: keys.real("link_latency_us", 0.0..=1e6)?,
            step_overhead_us: keys.real("step_overhead_us", 0.0..=1e6)?,
        })
    }
}

/// The keys of a file with where they stand.
struct Keys {
    path: PathBuf,
    text: String,
    values: BTreeMap<String, Spanned<Value>>,
}

impl Keys {
    fn read(path: &Path) -> Result<Self, InputError> {
        let text = input::document(path)?;
        let values: BTreeMap<String, Spanned<Value>> = toml::from_str(&text).map_err(|error| {
            let problem = error.message().lines().collect::<Vec<_>>().join("; ");
            let input = InputError::new(path, problem);
            match error.span() {
                Some(span) => input.at_line(line_of(&text, span.start)),
                None => input,
            }
        })?;
        let keys = Self { path: path.to_path_buf(), text, values };
        match keys.values.keys().find(|key| !KEYS.contains(&key.as_str())) {
            Some(key) => Err(keys.error(key, unknown(key, "key", KEYS))),
            None => Ok(keys),
        }
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key).map(Spanned::get_ref)
    }

    fn model(&self) -> Result<Option<&'static Model>, InputError> {
        let Some(value) = self.value("model") else { return Ok(None) };
        let name = value.as_str().unwrap_or_default();
        Model::named(name).map(Some).ok_or_else(|| {
            let known = MODELS.iter().map(|model| model.name);
            self.error("model", unknown(name, "model", known))
        })
    }

    fn count(&self, key: &str, range: RangeInclusive<u32>) -> Result<Option<u32>, InputError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let count = value.as_integer().and_then(|count| u32::try_from(count).ok());
        count.filter(|count| range.contains(count)).map(Some).ok_or_else(|| {
            let (min, max) = range.into_inner();
            self.error(key, format!("`{value}` is not a whole number in {min}..={max}"))
        })
    }

    fn real(&self, key: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, InputError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let real = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
        real.filter(|real| range.contains(real)).map(Some).ok_or_else(|| {
            let (min, max) = range.into_inner();
            self.error(key, format!("`{value}` is not a number in {min}..={max}"))
        })
    }

    fn error(&self, key: &str, problem: String) -> InputError {
        let input = InputError::new(&self.path, problem).in_field(key);
        match self.values.get(key) {
            Some(value) => input.at_line(line_of(&self.text, value.span().start)),
            None => input,
        }
    }
}

/// The line (from 1) of a byte of a text.
fn line_of(text: &str, byte: usize) -> u64 {
    1 + text.bytes().take(byte).filter(|&byte| byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use std::fs;

    use std::fmt::Write;

    use super::*;

    fn read(text: &str) -> Result<EngineConfig, InputError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.toml");
        fs::write(&path, text).unwrap();
        EngineConfig::read(&path)
    }

    #[test]
    fn every_listed_key_is_read() {
        let mut text = String::new();
        for key in KEYS {
            let value = if key == "model" { "\"qwen3-32b\"" } else { "16" };
            writeln!(text, "{key} = {value}").unwrap();
        }
        let config = read(&text).unwrap();
        assert_eq!(config.model.unwrap().layers, 64);
        let debug = format!("{config:?}");
        assert!(!debug.contains("None"), "a key is listed but not read: {debug}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let cases = [
            ("layers = 32\nlayer = 3", 2, "layer", "did you mean `layers`?"),
            ("\nlayers = 0", 2, "layers", "`0` is not a whole number in 1..=1000"),
            ("layers = 1.5", 1, "layers", "`1.5` is not a whole number"),
            ("layers = -1", 1, "layers", "`-1` is not"),
            ("seats = \"many\"", 1, "seats", "is not a whole number in 1..=1000000"),
            ("link_gb_per_s = nan", 1, "link_gb_per_s", "is not a number in 0.001..=100000"),
            ("step_overhead_us = -1.0", 1, "step_overhead_us", "is not a number in 0..="),
            ("model = \"Llama-3.1-9B\"", 1, "model", "did you mean `Llama-3.1-8B`?"),
            ("model = 3", 1, "model", "unknown model"),
        ];
        for (text, line, field, problem) in cases {
            let error = read(text).unwrap_err();
            assert_eq!(error.line, Some(line), "{error}");
            assert_eq!(error.field.as_deref(), Some(field), "{error}");
            assert!(error.problem.contains(problem), "{error}");
        }
        assert_eq!(read("layers = 1\n= 2").unwrap_err().line, Some(2));
    }
}
