//! What an engine says of itself when it is asked.

use std::collections::BTreeSet;

use rampmeter::route::ReplicaState;
use rampmeter::{Blocks, Nanos, Tokens};

use crate::serving::run::Replica;

/// A replica as it is now, with the requests that were sent to it.
pub(super) fn state_of(now: Nanos, replica: &Replica<'_>, on: &BTreeSet<u32>) -> ReplicaState {
    let state = replica.state();
    let (mut context_tokens, mut prefill_tokens) = (0, 0);
    for &request in on {
        let known = state.known_tokens(request);
        if !state.is_running(request) {
            prefill_tokens += u64::from(known - state.kv().cached_tokens(request, known));
        } else if state.is_decoding(request) || state.remaining_tokens(request) == 0 {
            context_tokens += u64::from(state.computed_tokens(request));
        } else {
            prefill_tokens += u64::from(state.remaining_tokens(request));
        }
    }
    ReplicaState {
        as_of: now,
        running: state.running(),
        waiting: (on.len() as u32).saturating_sub(state.running()),
        context_tokens,
        kv_free: Blocks(state.kv().blocks_free()),
        prefill_tokens: Some(prefill_tokens),
    }
}

/// The same of a replica that decodes what others have computed: it has nothing to compute, and keeps
/// room for what is on its way.
pub(super) fn decoder_state_of(
    now: Nanos,
    replica: &Replica<'_>,
    on: &BTreeSet<u32>,
) -> ReplicaState {
    let (state, mut said) = (replica.state(), state_of(now, replica, on));
    let waiting = on.iter().filter(|request| !state.is_running(**request));
    let prompts = waiting.map(|request| Tokens(state.facts(*request).prompt_tokens));
    let kept: u32 = prompts.map(|it| state.kv().geometry().blocks_for(it).get()).sum();
    said.kv_free = Blocks(said.kv_free.get().saturating_sub(kept));
    said.prefill_tokens = None;
    said
}
