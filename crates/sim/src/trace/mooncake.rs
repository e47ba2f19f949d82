//! `mooncake`: one JSON object a line, with the prefix blocks of each prompt.
//!
//! `timestamp` in milliseconds from the start, `input_length`, `output_length`, and `hash_ids`:
//! one number for each 512 tokens of the prompt, the last block possibly fewer. Numbers are
//! chained (an equal number means that everything before is equal too) and are taken as the
//! prefix hashes as they are. Other keys are ignored; `hash_ids` may be left out.
//!
//! Source: Qin et al., "Mooncake" (FAST 2025), github.com/kvcache-ai/Mooncake.

use std::path::Path;

use rampmeter::Nanos;
use serde_json::{Map, Value};

use super::builder::{Builder, plain, source};
use super::input::{Lines, shown};
use super::{ARRIVAL_MAX_S, ReadOptions, TOKENS_MAX, Trace};
use crate::InputError;

/// Tokens of one block; fixed by the format.
pub(super) const BLOCK_TOKENS: u32 = 512;

const MILLIS_PER_SECOND: u64 = 1_000;

pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Trace, InputError> {
    let mut lines = Lines::open(path)?;
    let mut builder = Builder::new(path, options);
    while !builder.is_full() {
        let Some((line, text)) = lines.next_line()? else { break };
        let at = |error: InputError| error.at_line(line);
        let object = parse(path, text).map_err(at)?;
        let millis = number(path, &object, "timestamp", 0, ARRIVAL_MAX_S * MILLIS_PER_SECOND);
        let prompt = number(path, &object, "input_length", 1, u64::from(TOKENS_MAX)).map_err(at)?;
        let output =
            number(path, &object, "output_length", 1, u64::from(TOKENS_MAX)).map_err(at)?;
        let arrival = Nanos::from_millis(millis.map_err(at)?);
        let mut request = plain(arrival, prompt as u32, output as u32);
        request.prefix = blocks(path, &object, request.prompt_tokens).map_err(at)?;
        builder.push(line, "timestamp", request)?;
    }
    builder.finish(source("mooncake", path), BLOCK_TOKENS)
}

fn parse(path: &Path, text: &str) -> Result<Map<String, Value>, InputError> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(InputError::new(path, "is not a JSON object")),
        Err(error) => {
            Err(InputError::new(path, format!("is not JSON at column {}", error.column())))
        }
    }
}

fn number(
    path: &Path,
    object: &Map<String, Value>,
    key: &str,
    min: u64,
    max: u64,
) -> Result<u64, InputError> {
    let Some(value) = object.get(key) else {
        return Err(InputError::new(path, "there is no such key").in_field(key));
    };
    match value.as_u64() {
        Some(value) if (min..=max).contains(&value) => Ok(value),
        _ => {
            let value = shown(&value.to_string());
            let problem = format!("`{value}` is not a whole number in {min}..={max}");
            Err(InputError::new(path, problem).in_field(key))
        }
    }
}

/// The prefix hashes: none, or one for each block that the prompt touches.
fn blocks(
    path: &Path,
    object: &Map<String, Value>,
    prompt_tokens: u32,
) -> Result<Box<[u64]>, InputError> {
    const KEY: &str = "hash_ids";
    let wrong = |problem: String| InputError::new(path, problem).in_field(KEY);
    let Some(value) = object.get(KEY) else { return Ok(Box::default()) };
    let Some(list) = value.as_array() else {
        return Err(wrong("is not a list of whole numbers".into()));
    };
    let expected = prompt_tokens.div_ceil(BLOCK_TOKENS) as usize;
    if !list.is_empty() && list.len() != expected {
        return Err(wrong(format!(
            "has {} blocks where {prompt_tokens} tokens make {expected} of {BLOCK_TOKENS}",
            list.len()
        )));
    }
    let hash = |value: &Value| {
        let problem = || format!("`{}` is not a whole number from 0", shown(&value.to_string()));
        value.as_u64().ok_or_else(|| wrong(problem()))
    };
    list.iter().map(hash).collect()
}
