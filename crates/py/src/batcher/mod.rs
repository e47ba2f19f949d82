//! What runs in the next step of a language model.

mod accounts;
mod answers;
mod engine;
mod plan;
mod results;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};
use rampmeter::batch::continuous::{
    Batcher as CoreBatcher, Change, HandOver, Observation, Phase, RequestId, Submission,
};
use rampmeter::engine::KvSwap;
use rampmeter::share::AccountId;
use rampmeter::units::{Blocks, Nanos, Tokens};

use self::answers::{
    BatcherClassStats, BatcherStats, Explanation, ModelStats, Observed, Progress, Submitted,
};
use self::engine::Engine;
use self::plan::{Arrays, Expiry, Plan, Preemption};
use crate::column::Column;
use crate::desk::{Desk, with_memory};
use crate::error::Fault;
use crate::policy::Policy;

/// A batcher and the memory of its plans.
#[derive(Debug)]
struct Inner {
    core: CoreBatcher,
    arrays: Arrays,
}

impl Inner {
    fn build(
        policy: &Policy,
        make: impl FnOnce() -> Result<CoreBatcher, rampmeter::Error>,
    ) -> Result<Self, Fault> {
        let plan_bytes = Arrays::bytes_needed(policy.0.limits.running_max);
        let bytes = CoreBatcher::bytes_needed(&policy.0).saturating_add(plan_bytes);
        let core = with_memory(bytes, make)?;
        let arrays = Arrays::new(core.stats().running_max);
        Ok(Self { core, arrays })
    }
}

/// Forms the steps of one engine: who gets how many tokens, who is let in, and who gives way.
///
/// Submit requests as they come, and go round this loop: `form` says what the next step computes,
/// the engine runs it, `observe` hears what came out. Up to `limits.steps_in_flight_max` steps may
/// be formed before the first is observed. Times are nanoseconds of one monotonic clock, such as
/// `time.monotonic_ns()`; a time before the last one raises `TimeReversedError`.
///
/// >>> from rampmeter import Batcher, Policy
/// >>> from rampmeter.batch import Engine
/// >>> batcher = Batcher(Policy(), Engine.named("llama-3.1-8b"))
/// >>> account = batcher.open_account()
/// >>> queued = batcher.submit(0, account=account, prompt_tokens=700, output_tokens_max=2, tag=7)
/// >>> now_ns = 0
/// >>> while batcher.next_event(now_ns) is not None:
/// ...     plan = batcher.form(now_ns)
/// ...     now_ns = plan.ends_at_ns
/// ...     emits = [r for r, token in zip(plan.request, plan.emits) if token]
/// ...     seen = batcher.observe(now_ns, plan.step, request=emits)
/// >>> seen.finished
/// 1
#[pyclass(frozen, module = "rampmeter.batch")]
#[derive(Debug)]
pub(crate) struct Batcher(Desk<Inner>);

#[pymethods]
impl Batcher {
    #[new]
    fn new(
        py: Python<'_>,
        policy: &Bound<'_, Policy>,
        engine: &Bound<'_, Engine>,
    ) -> PyResult<Self> {
        let (policy, engine) = (policy.get(), engine.get());
        let (kv, model) = (engine.kv()?, engine.model()?);
        let build = || Inner::build(policy, || CoreBatcher::new(&policy.0, kv, model));
        Desk::create(py, build).map(Self)
    }

    /// Bytes that a batcher for this policy takes, before it is built.
    #[staticmethod]
    fn bytes_needed(policy: &Bound<'_, Policy>) -> u64 {
        CoreBatcher::bytes_needed(&policy.get().0)
    }

    /// A request comes in: `Queued`, or `Shed` by a limit of its class or account.
    ///
    /// `tag` is the host's own number for it and comes back in every plan. `arrival_ns` is when it
    /// reached the host (default: now); its targets count from there. `cached_tokens` of its prompt
    /// have KV already. `shares` names a request with the same prompt whose KV it shares (n > 1).
    /// `handed_over_output_tokens` and `handed_over_first_token_ns` say what another engine did of
    /// it, whose KV it brings. Raises `RangeError`, `StaleError`, `FullError`,
    /// `ContradictionError`, and nothing is changed.
    #[pyo3(signature = (
        now_ns, *, account, prompt_tokens, output_tokens_max, class_index = 0, tag = 0,
        arrival_ns = None, cached_tokens = 0, deadline_ns = None, expires_at_ns = None, adapter = 0,
        shares = None, handed_over_output_tokens = 0, handed_over_first_token_ns = 0,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords, most of which have defaults")]
    fn submit(
        &self,
        py: Python<'_>,
        now_ns: u64,
        account: u64,
        prompt_tokens: u32,
        output_tokens_max: u32,
        class_index: u16,
        tag: u64,
        arrival_ns: Option<u64>,
        cached_tokens: u32,
        deadline_ns: Option<u64>,
        expires_at_ns: Option<u64>,
        adapter: u32,
        shares: Option<u64>,
        handed_over_output_tokens: u32,
        handed_over_first_token_ns: u64,
    ) -> PyResult<Submitted> {
        let submission = Submission {
            tag,
            class: class_index,
            account: AccountId::from_raw(account),
            arrival: Nanos(arrival_ns.unwrap_or(now_ns)),
            prompt_tokens: Tokens(prompt_tokens),
            cached_tokens: Tokens(cached_tokens),
            output_tokens_max: Tokens(output_tokens_max),
            deadline: deadline_ns.map(Nanos),
            expires_at: expires_at_ns.map(Nanos),
            adapter,
            shares: shares.map(RequestId::from_raw),
            handed_over: (handed_over_output_tokens != 0).then_some(HandOver {
                output_tokens: Tokens(handed_over_output_tokens),
                first_token: Nanos(handed_over_first_token_ns),
            }),
        };
        let submitted =
            self.0.ask(py, |inner| Ok(inner.core.submit(Nanos(now_ns), &submission)?))?;
        Ok(submitted.into())
    }

    /// Forms the next step.
    ///
    /// `cached_tokens(request, tag)` is asked about each request that is about to be let in: how
    /// many of its leading tokens have KV now, or `None` to keep what was said before. It must not
    /// call this batcher (`ReentrantError`); what it raises is reported as unraisable, and counts
    /// as `None`. Raises `TimeReversedError`, and `FullError` if as many steps are in flight as may
    /// be.
    #[pyo3(signature = (now_ns, *, cached_tokens = None))]
    fn form(
        &self,
        py: Python<'_>,
        now_ns: u64,
        cached_tokens: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Plan> {
        let form = |inner: &mut Inner| {
            let arrays = inner.arrays.vacant();
            let mut cached = |request: RequestId, tag: u64| {
                let answer = cached_tokens?.call1((request.to_raw(), tag));
                answer.and_then(|answer| answer.extract::<Option<u32>>()).map_or_else(
                    |error| {
                        error.write_unraisable(py, cached_tokens);
                        None
                    },
                    |tokens| tokens.map(Tokens),
                )
            };
            let room = std::sync::Arc::get_mut(arrays);
            let room = room.ok_or(Fault::Internal { what: "a plan that somebody holds" })?;
            let formed =
                inner.core.form_with_cache(Nanos(now_ns), &mut room.plan(), &mut cached)?;
            Ok(Plan::new(arrays.clone(), formed))
        };
        if cached_tokens.is_some() { self.0.ask_calling(py, form) } else { self.0.ask(py, form) }
    }

    /// What really happened in `step`, the oldest in flight.
    ///
    /// `request`, `output_tokens` and `finished` are buffers (such as columns or `numpy` arrays) or
    /// sequences with one element for each request that produced tokens or ended, in any order;
    /// by default each produced one token and none ended. A planned request that is missing
    /// produced nothing. `kv_blocks_free` is what the engine counts after all that was formed and
    /// all that ended; `duration_ns` how long it worked on the step, where that is known. Requests
    /// that finished are forgotten. Raises `StaleError`, `RangeError`, `ContradictionError`.
    #[pyo3(signature = (
        now_ns, step, *, request = None, output_tokens = None, finished = None,
        kv_blocks_free = None, duration_ns = None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords, all of which have defaults")]
    fn observe(
        &self,
        py: Python<'_>,
        now_ns: u64,
        step: u64,
        request: Option<&Bound<'_, PyAny>>,
        output_tokens: Option<&Bound<'_, PyAny>>,
        finished: Option<&Bound<'_, PyAny>>,
        kv_blocks_free: Option<u32>,
        duration_ns: Option<u64>,
    ) -> PyResult<Observed> {
        let results = results::results(request, output_tokens, finished)?;
        let seen = Observation {
            step,
            kv_blocks_free: kv_blocks_free.map(Blocks),
            duration: duration_ns.map(Nanos),
            results: &results,
        };
        let observed = self.0.ask(py, |inner| Ok(inner.core.observe(Nanos(now_ns), &seen)?))?;
        Ok(observed.into())
    }

    /// The host takes a request back, in whatever stage it is. Raises `StaleError`.
    fn cancel(&self, py: Python<'_>, now_ns: u64, request: u64) -> PyResult<()> {
        let request = RequestId::from_raw(request);
        self.0.ask(py, |inner| Ok(inner.core.cancel(Nanos(now_ns), request)?))
    }

    /// Gives a request another class, deadline or expiry, in any stage. A new class brings its own
    /// target, unless `deadline_ns` is given, too. Raises `StaleError`, `RangeError`.
    #[pyo3(signature = (
        now_ns, request, *, class_index = None, deadline_ns = None, expires_at_ns = None,
    ))]
    fn change(
        &self,
        py: Python<'_>,
        now_ns: u64,
        request: u64,
        class_index: Option<u16>,
        deadline_ns: Option<u64>,
        expires_at_ns: Option<u64>,
    ) -> PyResult<()> {
        let change = Change {
            class: class_index,
            deadline: deadline_ns.map(Nanos),
            expires_at: expires_at_ns.map(Nanos),
        };
        let request = RequestId::from_raw(request);
        self.0.ask(py, |inner| Ok(inner.core.change(Nanos(now_ns), request, &change)?))
    }

    /// A prefill engine's blocks of a request that was handed over are free again. Raises
    /// `StaleError`.
    fn release(&self, py: Python<'_>, now_ns: u64, request: u64) -> PyResult<()> {
        let request = RequestId::from_raw(request);
        self.0.ask(py, |inner| Ok(inner.core.release(Nanos(now_ns), request)?))
    }

    /// More or less of a waiting request's prompt is found in the cache than was thought. Raises
    /// `StaleError`, `RangeError`.
    fn set_cached_tokens(&self, py: Python<'_>, request: u64, cached_tokens: u32) -> PyResult<()> {
        let request = RequestId::from_raw(request);
        self.0.ask(py, |inner| Ok(inner.core.set_cached_tokens(request, Tokens(cached_tokens))?))
    }

    /// Free KV blocks as the engine counts them, between two observations. Raises `RangeError`.
    fn set_kv_blocks_free(&self, py: Python<'_>, now_ns: u64, kv_blocks_free: u32) -> PyResult<()> {
        let free = Blocks(kv_blocks_free);
        self.0.ask(py, |inner| Ok(inner.core.set_kv_blocks_free(Nanos(now_ns), free)?))
    }

    /// Room for KV outside the cache, with the seconds (0 to 1) that a block takes to be moved out
    /// and to come back; 0 blocks: KV that gives way is computed again. Raises `RangeError`.
    #[pyo3(signature = (*, kv_blocks, out_s_per_block, in_s_per_block))]
    fn set_swap(
        &self,
        py: Python<'_>,
        kv_blocks: u32,
        out_s_per_block: f64,
        in_s_per_block: f64,
    ) -> PyResult<()> {
        self.0.ask(py, |inner| {
            let swap = KvSwap::new(Blocks(kv_blocks), out_s_per_block, in_s_per_block)?;
            inner.core.set_swap((kv_blocks > 0).then_some(swap));
            Ok(())
        })
    }

    /// The KV of a request that was swapped out is lost: it is computed again. Raises `StaleError`.
    fn drop_swapped(&self, py: Python<'_>, now_ns: u64, request: u64) -> PyResult<()> {
        let request = RequestId::from_raw(request);
        self.0.ask(py, |inner| Ok(inner.core.drop_swapped(Nanos(now_ns), request)?))
    }

    /// When to call again: now if a step can be formed, else when the oldest step should be done or
    /// a request expires; `None` if nothing happens until a request comes in.
    fn next_event(&self, py: Python<'_>, now_ns: u64) -> PyResult<Option<u64>> {
        let next = self.0.ask(py, |inner| Ok(inner.core.next_event(Nanos(now_ns))))?;
        Ok(next.map(Nanos::get))
    }

    /// What is known of a request. Raises `StaleError`.
    fn progress(&self, py: Python<'_>, request: u64) -> PyResult<Progress> {
        let request = RequestId::from_raw(request);
        Ok(self.0.ask(py, |inner| Ok(inner.core.progress(request)?))?.into())
    }

    /// Why a request is not in the batch, what goes before it, and when it should get its seat.
    /// Takes time in proportion to what waits. Raises `StaleError`, `TimeReversedError`.
    fn explain(&self, py: Python<'_>, now_ns: u64, request: u64) -> PyResult<Explanation> {
        let request = RequestId::from_raw(request);
        Ok(self.0.scan(py, |inner| Ok(inner.core.explain(Nanos(now_ns), request)?))?.into())
    }

    /// What the batcher holds and how full it is.
    fn stats(&self, py: Python<'_>) -> PyResult<BatcherStats> {
        Ok(self.0.ask(py, |inner| Ok(inner.core.stats()))?.into())
    }

    /// How much of a class waits, and how fast it drains. Raises `RangeError`.
    fn class_stats(&self, py: Python<'_>, class_index: u16) -> PyResult<BatcherClassStats> {
        Ok(self.0.ask(py, |inner| Ok(inner.core.class_stats(class_index)?))?.into())
    }

    /// How well the step times are known; `None` where the policy keeps them as they were given.
    fn model_stats(&self, py: Python<'_>) -> PyResult<Option<ModelStats>> {
        Ok(self.0.ask(py, |inner| Ok(inner.core.model_stats()))?.map(Into::into))
    }

    /// The batcher goes on under a changed policy; nothing that waits or runs is lost. Raises
    /// `RangeError` where the number of classes or accounts, a capacity or the mode differs.
    fn set_policy(&self, py: Python<'_>, policy: &Bound<'_, Policy>) -> PyResult<()> {
        let policy = &policy.get().0;
        self.0.scan(py, |inner| Ok(inner.core.set_policy(policy)?))
    }

    /// Takes the step times of `engine` for what is known beforehand; what was learned starts anew
    /// from them. Its KV cache is not read: that of a batcher does not change.
    fn set_engine(&self, py: Python<'_>, engine: &Bound<'_, Engine>) -> PyResult<()> {
        let model = engine.get().model()?;
        self.0.ask(py, |inner| {
            inner.core.set_model(model);
            Ok(())
        })
    }

    /// The whole state, for `restore` under the same policy. Handles of requests stay good.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.0.scan(py, |inner| {
            let mut bytes = vec![0; inner.core.snapshot_bytes() as usize];
            inner.core.save(&mut bytes)?;
            Ok(bytes)
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// A batcher that goes on where the saved one was. `engine` has the same KV cache; the step
    /// times come from the snapshot. Raises `SnapshotError`.
    #[classmethod]
    fn restore(
        class: &Bound<'_, PyType>,
        policy: &Bound<'_, Policy>,
        engine: &Bound<'_, Engine>,
        snapshot: &[u8],
    ) -> PyResult<Self> {
        let (policy, kv) = (policy.get(), engine.get().kv()?);
        let build = || Inner::build(policy, || CoreBatcher::restore(&policy.0, kv, snapshot));
        Desk::create(class.py(), build).map(Self)
    }
}

pub(crate) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("PREFILL", Phase::Prefill as u8)?;
    module.add("DECODE", Phase::Decode as u8)?;
    module.add_class::<Batcher>()?;
    module.add_class::<Engine>()?;
    module.add_class::<Plan>()?;
    module.add_class::<Column>()?;
    module.add_class::<Preemption>()?;
    module.add_class::<Expiry>()?;
    accounts::fill(module)?;
    answers::fill(module)
}
