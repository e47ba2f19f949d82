//! Engine: what a step costs
//!
//! How long one step of a serving engine takes, and how large its KV cache is. Built-in profiles are
//! a start; a batcher corrects the step times by what it observes.

use std::ffi::c_char;

use rampmeter::Blocks;
use rampmeter::engine::{FEATURES, KvGeometry, Profile, StepModel};

use crate::boundary::answer;
use crate::error::{Fault, rampmeter_error};
use crate::memory::{OutSized, name, take, versioned};
use crate::status::rampmeter_status;

/// Coefficients of the step-time model.
pub const RAMPMETER_STEP_COEFFICIENTS: usize = 7;
const _: () = assert!(RAMPMETER_STEP_COEFFICIENTS == FEATURES);

/// An engine: its step times and its KV cache. Set `size` to its sizeof.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_engine {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Tokens in a KV block, 1 to 65,536.
    pub kv_block_tokens: u32,
    /// KV blocks in all, at least 1.
    pub kv_blocks: u32,
    /// Must be 0.
    pub reserved: u32,
    /// Seconds of a step: the sum of these times 1; prompt tokens; requests that decode; KV tokens
    /// of these; p * (h + p / 2) for p prompt tokens whose requests had h in KV; 1 if there is a
    /// prompt; KV tokens that decode beside one.
    pub step_coefficients: [f64; RAMPMETER_STEP_COEFFICIENTS],
}
versioned!(rampmeter_engine, 72);

impl rampmeter_engine {
    pub(crate) fn kv(&self) -> Result<KvGeometry, Fault> {
        Ok(KvGeometry::new(Blocks(self.kv_blocks), self.kv_block_tokens)?)
    }

    pub(crate) fn model(&self) -> Result<StepModel, Fault> {
        Ok(StepModel::new(self.step_coefficients)?)
    }
}

/// # Safety
/// As [`take`].
pub(crate) unsafe fn taken(engine: *const rampmeter_engine) -> Result<rampmeter_engine, Fault> {
    // SAFETY: passed on.
    let engine = unsafe { take(engine, "engine")? };
    rampmeter::error::check_range("reserved", engine.reserved.into(), 0, 0)?;
    Ok(engine)
}

/// A built-in engine: "llama-3.1-8b", "qwen3-32b" or "qwen3-32b-tp2"; `rampmeter fit` makes the
/// numbers of others from measurements. Set `engine->size` before.
///
/// Fails: E_NAME, E_TEXT, E_SIZE, E_POINTER. Allocates: no, but to say which name was wrong.
/// Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_engine_named(
    engine_name: *const c_char,
    engine: *mut rampmeter_engine,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        answer(error, || {
            let (out, given) =
                (OutSized::new(engine, "engine")?, name(engine_name, "engine_name")?);
            let profile = Profile::named(given)
                .ok_or_else(|| Fault::Name { what: "engine_name", name: given.into() })?;
            out.set(rampmeter_engine {
                size: 0,
                kv_block_tokens: profile.kv_block_tokens,
                kv_blocks: profile.kv_blocks,
                reserved: 0,
                step_coefficients: profile.coefficients,
            });
            Ok(())
        })
    }
}
