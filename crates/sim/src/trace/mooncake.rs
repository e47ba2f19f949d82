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
use serde_json::Value;

use super::builder::{Builder, plain, source};
use super::{ARRIVAL_MAX_S, ReadOptions, TOKENS_MAX, Trace, TraceRequest};
use crate::InputError;
use crate::input::Lines;
use crate::json::Object;

/// Tokens of one block; fixed by the format.
pub(super) const BLOCK_TOKENS: u32 = 512;

const MILLIS_PER_SECOND: u64 = 1_000;

pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Trace, InputError> {
    let mut lines = Lines::open(path)?;
    let mut builder = Builder::new(path, options);
    while !builder.is_full() {
        let Some((line, text)) = lines.next_line()? else { break };
        let request = request(path, text).map_err(|error| error.at_line(line))?;
        builder.push(line, "timestamp", request)?;
    }
    builder.finish(source("mooncake", path), BLOCK_TOKENS)
}

fn request(path: &Path, text: &str) -> Result<TraceRequest, InputError> {
    let object = Object::parse(path, text)?;
    let prompt_tokens = object.count("input_length", 1, TOKENS_MAX)?;
    let output_tokens = object.count("output_length", 1, TOKENS_MAX)?;
    let millis = object.whole("timestamp", 0, ARRIVAL_MAX_S * MILLIS_PER_SECOND)?;
    let mut request = plain(Nanos::from_millis(millis), prompt_tokens, output_tokens);
    request.prefix = blocks(&object, prompt_tokens)?;
    Ok(request)
}

/// The prefix hashes: none, or one for each block that the prompt touches.
fn blocks(object: &Object<'_>, prompt_tokens: u32) -> Result<Box<[u64]>, InputError> {
    const KEY: &str = "hash_ids";
    let Some(list) = object.list(KEY)? else { return Ok(Box::default()) };
    let expected = prompt_tokens.div_ceil(BLOCK_TOKENS) as usize;
    if !list.is_empty() && list.len() != expected {
        let problem = format!(
            "has {} blocks where {prompt_tokens} tokens make {expected} of {BLOCK_TOKENS}",
            list.len()
        );
        return Err(object.error(KEY, problem));
    }
    let hash = |value: &Value| {
        value.as_u64().ok_or_else(|| object.wrong(KEY, value, "a whole number from 0"))
    };
    list.iter().map(hash).collect()
}
