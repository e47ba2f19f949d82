//! Which replica takes it?

mod answers;
mod spec;

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyType};
use rampmeter::route::{
    Candidate as CoreCandidate, ReplicaId, RouteId, RouteRequest, Router as CoreRouter,
    RouterOptions,
};
use rampmeter::units::{Nanos, Tokens};

use crate::desk::{Desk, with_memory};
use crate::error::Fault;
use crate::options::set_options;
use crate::policy::Policy;
use crate::words::{Names, TokenIds};
use answers::{Candidate, Prices, Routed, RoutedPair, RouterStats};

/// Which replica takes it, by the predicted seconds until the first token and what others lose.
///
/// Nothing is needed but `route` and `ended`; each of the other calls makes it better: first tokens,
/// reports of the engines, what their caches hold. Prompts are known by the names (hashes) of their
/// full blocks, the engine's own or those of `hash_blocks`: an array of 64-bit integers (`NumPy`,
/// `array.array`), `bytes` of native ones (the fastest: only these are not copied), or a sequence of
/// `int`.
///
/// Options: `replicas_max=64`, `requests_max=16384`, `block_tokens=16` (tokens in a block of those
/// names), `blocks_max=2**20` and `sets_max=2**20` (blocks that it can know), `prompt_blocks_max=8192`
/// (looked up in a prompt), `adapters_max=8`, `link_groups_max=64`, `kv_bytes_per_token=131072`,
/// `link_bytes_per_s=400e9`, `network_bytes_per_s=50e9`.
///
/// Times are nanoseconds of one monotonic clock; a time before the last one raises
/// `TimeReversedError`.
///
/// >>> from rampmeter import Policy, Router
/// >>> from rampmeter.route import hash_blocks
/// >>> router = Router(Policy(), replicas_max=2, blocks_max=1024, sets_max=1024)
/// >>> first = router.add_replica(0, engine="llama-3.1-8b")
/// >>> other = router.add_replica(0, engine="llama-3.1-8b")
/// >>> prompt = hash_blocks(range(512), block_tokens=16)
/// >>> routed = router.route(1_000, class_index=0, prompt_tokens=512, hashes=prompt)
/// >>> router.first_token(2_000, routed.request)
/// >>> router.ended(3_000, routed.request, output_tokens=10)
/// >>> again = router.route(4_000, class_index=0, prompt_tokens=512, hashes=prompt)
/// >>> again.replica == routed.replica, again.cached_tokens
/// (True, 511)
#[pyclass(frozen, module = "rampmeter.route")]
#[derive(Debug)]
pub(crate) struct Router(Desk<CoreRouter>);

#[pymethods]
impl Router {
    #[new]
    #[pyo3(signature = (policy, **options))]
    fn new(policy: &Bound<'_, Policy>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let (policy, options) = (&policy.get().0, options_of(options)?);
        let build = || {
            options.validate()?;
            let bytes = CoreRouter::bytes_needed(policy, &options);
            with_memory(bytes, || CoreRouter::new(policy, &options))
        };
        Python::attach(|py| Desk::create(py, build)).map(Self)
    }

    /// Bytes that a router for this policy with these options takes, before it is built.
    #[staticmethod]
    #[pyo3(signature = (policy, **options))]
    fn bytes_needed(
        policy: &Bound<'_, Policy>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<u64> {
        let options = options_of(options)?;
        options.validate().map_err(Fault::from)?;
        Ok(CoreRouter::bytes_needed(&policy.get().0, &options))
    }

    /// A replica comes and may be chosen at once, at the price of its cold start: its handle.
    ///
    /// `engine` is a built-in profile ("llama-3.1-8b", "qwen3-32b", "qwen3-32b-tp2") or an object
    /// that has `step_coefficients` (seven numbers, as `rampmeter fit` makes them), `kv_blocks` and
    /// `kv_block_tokens`; each of these may be said beside it or in its place. Then what is known:
    /// `running_max`,
    /// `step_tokens_max`, `mode="mixed"` ("prefill", "decode"), `link_group=0`, `ready_at_ns=0` (when
    /// it can begin), `host_load_s_per_block=0.0`, `disk_load_s_per_block=0.0`, `adapter_load_s=0.0`.
    ///
    /// Raises `NameUnknownError`, `RangeError` or `FullError`.
    #[pyo3(signature = (now_ns, *, engine = None, **spec))]
    fn add_replica(
        &self,
        py: Python<'_>,
        now_ns: u64,
        engine: Option<&Bound<'_, PyAny>>,
        spec: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<u64> {
        let spec = spec::replica_spec(engine, spec)?;
        self.0.ask(py, |router| Ok(router.add_replica(Nanos(now_ns), &spec)?.to_raw()))
    }

    /// A report of a replica: `False` if one that is no older came before, and nothing is changed.
    ///
    /// `as_of_ns` is when it was so (now, if not said); `prefill_tokens` are prompt tokens that are
    /// still to be computed, `None` where the engine does not say. Raises `StaleError`, `RangeError`.
    #[pyo3(signature = (now_ns, replica, *, running, waiting, kv_blocks_free, **more))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn report(
        &self,
        py: Python<'_>,
        now_ns: u64,
        replica: u64,
        running: u32,
        waiting: u32,
        kv_blocks_free: u32,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<bool> {
        let state = spec::replica_state(now_ns, running, waiting, kv_blocks_free, more)?;
        let replica = ReplicaId::from_raw(replica);
        self.0.ask(py, |router| Ok(router.report(Nanos(now_ns), replica, &state)?))
    }

    /// A replica finishes what it has and gets nothing new, until `resume`.
    fn drain(&self, py: Python<'_>, now_ns: u64, replica: u64) -> PyResult<()> {
        let replica = ReplicaId::from_raw(replica);
        self.0.ask(py, |router| Ok(router.drain(Nanos(now_ns), replica)?))
    }

    /// A replica lost its requests and its cache, and gets nothing until `resume`: how many requests
    /// it had. Route these anew; `ended` for them may be said or not, except that each takes its place
    /// until then.
    fn fail(&self, py: Python<'_>, now_ns: u64, replica: u64) -> PyResult<u32> {
        let replica = ReplicaId::from_raw(replica);
        self.0.scan(py, |router| Ok(router.fail(Nanos(now_ns), replica)?))
    }

    /// A replica that was drained or failed may be chosen again, from `ready_at_ns` on.
    #[pyo3(signature = (now_ns, replica, *, ready_at_ns = 0))]
    fn resume(&self, py: Python<'_>, now_ns: u64, replica: u64, ready_at_ns: u64) -> PyResult<()> {
        let replica = ReplicaId::from_raw(replica);
        self.0.ask(py, |router| Ok(router.resume(Nanos(now_ns), replica, Nanos(ready_at_ns))?))
    }

    /// A replica goes for good, and its requests with it: their handles and its own are stale. Of a
    /// pair, one that decodes elsewhere goes on.
    fn remove_replica(&self, py: Python<'_>, now_ns: u64, replica: u64) -> PyResult<()> {
        let replica = ReplicaId::from_raw(replica);
        self.0.scan(py, |router| Ok(router.remove_replica(Nanos(now_ns), replica)?))
    }

    /// Whether a replica may be chosen: "ready", "draining" or "failed". Raises `StaleError`.
    fn status(&self, py: Python<'_>, replica: u64) -> PyResult<&'static str> {
        let replica = ReplicaId::from_raw(replica);
        Ok(spec::status_name(self.0.ask(py, |router| Ok(router.status(replica)?))?))
    }

    /// Sends a request to the cheapest replica: `Routed`, or `None` if none may be chosen.
    ///
    /// `prompt_tokens` is at least 1; `hashes` are the names of the full blocks of its prompt, in
    /// order; `adapter` is any number of the host, 0 for none. Raises `RangeError`, `FullError`.
    #[pyo3(signature = (now_ns, *, class_index, prompt_tokens, hashes = None, adapter = 0))]
    fn route(
        &self,
        py: Python<'_>,
        now_ns: u64,
        class_index: u16,
        prompt_tokens: u32,
        hashes: Option<Names<'_>>,
        adapter: u64,
    ) -> PyResult<Option<Routed>> {
        let (request, names) = asked(class_index, prompt_tokens, adapter, hashes);
        let routed = self.0.ask(py, |r| Ok(r.route(Nanos(now_ns), &request, &names)?))?;
        Ok(routed.map(Routed::from))
    }

    /// Sends a request to the cheapest pair of a prefill and a decode replica: `RoutedPair`, or `None`
    /// unless there is one of each. `started` and `first_token` are about its prompt; decoding begins
    /// with the first token. Raises as `route`.
    #[pyo3(signature = (now_ns, *, class_index, prompt_tokens, hashes = None, adapter = 0))]
    fn route_pair(
        &self,
        py: Python<'_>,
        now_ns: u64,
        class_index: u16,
        prompt_tokens: u32,
        hashes: Option<Names<'_>>,
        adapter: u64,
    ) -> PyResult<Option<RoutedPair>> {
        let (request, names) = asked(class_index, prompt_tokens, adapter, hashes);
        let pair = self.0.ask(py, |r| Ok(r.route_pair(Nanos(now_ns), &request, &names)?))?;
        Ok(pair.map(RoutedPair::from))
    }

    /// What a request would cost on every replica that computes whole requests and may be chosen.
    /// Routes nothing. Raises as `route`, but for `FullError`.
    #[pyo3(signature = (now_ns, *, class_index, prompt_tokens, hashes = None, adapter = 0))]
    fn explain(
        &self,
        py: Python<'_>,
        now_ns: u64,
        class_index: u16,
        prompt_tokens: u32,
        hashes: Option<Names<'_>>,
        adapter: u64,
    ) -> PyResult<Vec<Candidate>> {
        let (request, names) = asked(class_index, prompt_tokens, adapter, hashes);
        let all = self.0.scan(py, |router| {
            let mut all = vec![CoreCandidate::default(); router.stats().replicas as usize];
            let found = router.explain(Nanos(now_ns), &request, &names, &mut all)?;
            all.truncate(found);
            Ok(all)
        })?;
        Ok(all.into_iter().map(Candidate::from).collect())
    }

    /// A replica began to compute the prompt of a request, and found `cached_tokens` of it.
    /// Raises `StaleError`, `RangeError`, `ContradictionError` (it had begun before).
    #[pyo3(signature = (now_ns, request, *, cached_tokens))]
    fn started(
        &self,
        py: Python<'_>,
        now_ns: u64,
        request: u64,
        cached_tokens: u32,
    ) -> PyResult<()> {
        let (request, cached) = (RouteId::from_raw(request), Tokens(cached_tokens));
        self.0.ask(py, |router| Ok(router.started(Nanos(now_ns), request, cached)?))
    }

    /// The first token of a request is out. Raises `StaleError`, `ContradictionError`.
    fn first_token(&self, py: Python<'_>, now_ns: u64, request: u64) -> PyResult<()> {
        let request = RouteId::from_raw(request);
        self.0.ask(py, |router| Ok(router.first_token(Nanos(now_ns), request)?))
    }

    /// A request ended with so many tokens of answer: done, cancelled or failed. Its handle is stale.
    /// One with an answer had its first token, said or not: where it was not, it is taken to have come
    /// when it was foreseen. Say 0 tokens of one that went before its first token.
    #[pyo3(signature = (now_ns, request, *, output_tokens))]
    fn ended(&self, py: Python<'_>, now_ns: u64, request: u64, output_tokens: u32) -> PyResult<()> {
        let (request, output) = (RouteId::from_raw(request), Tokens(output_tokens));
        self.0.ask(py, |router| Ok(router.ended(Nanos(now_ns), request, output)?))
    }

    /// A replica holds these blocks from now on (vLLM: `BlockStored`), in the tier "device", "host" or
    /// "disk". From its first event on, what it holds is what it tells, besides the prompts that are on
    /// their way to it: let it tell all that it holds.
    #[pyo3(signature = (now_ns, replica, *, hashes, tier = "device"))]
    fn stored(
        &self,
        py: Python<'_>,
        now_ns: u64,
        replica: u64,
        hashes: Names<'_>,
        tier: &str,
    ) -> PyResult<()> {
        let (replica, tier) = (ReplicaId::from_raw(replica), spec::tier(tier)?);
        self.0.ask(py, |router| Ok(router.stored(Nanos(now_ns), replica, tier, &hashes.0)?))
    }

    /// A replica holds these blocks in this tier no more (vLLM: `BlockRemoved`).
    #[pyo3(signature = (now_ns, replica, *, hashes, tier = "device"))]
    fn removed(
        &self,
        py: Python<'_>,
        now_ns: u64,
        replica: u64,
        hashes: Names<'_>,
        tier: &str,
    ) -> PyResult<()> {
        let (replica, tier) = (ReplicaId::from_raw(replica), spec::tier(tier)?);
        self.0.ask(py, |router| Ok(router.removed(Nanos(now_ns), replica, tier, &hashes.0)?))
    }

    /// A replica holds nothing any more (vLLM: `AllBlocksCleared`). Call it also where event numbers
    /// have a gap, and ask the engine for a replay.
    fn cleared(&self, py: Python<'_>, now_ns: u64, replica: u64) -> PyResult<()> {
        let replica = ReplicaId::from_raw(replica);
        self.0.scan(py, |router| Ok(router.cleared(Nanos(now_ns), replica)?))
    }

    /// A replica has an adapter from now on.
    #[pyo3(signature = (now_ns, replica, *, adapter))]
    fn adapter_loaded(
        &self,
        py: Python<'_>,
        now_ns: u64,
        replica: u64,
        adapter: u64,
    ) -> PyResult<()> {
        let replica = ReplicaId::from_raw(replica);
        self.0.ask(py, |router| Ok(router.adapter_loaded(Nanos(now_ns), replica, adapter)?))
    }

    /// A replica has an adapter no more.
    #[pyo3(signature = (now_ns, replica, *, adapter))]
    fn adapter_unloaded(
        &self,
        py: Python<'_>,
        now_ns: u64,
        replica: u64,
        adapter: u64,
    ) -> PyResult<()> {
        let replica = ReplicaId::from_raw(replica);
        self.0.ask(py, |router| Ok(router.adapter_unloaded(Nanos(now_ns), replica, adapter)?))
    }

    /// Delay values and the rules of `[route]` hold from the next request on. Raises `RangeError` if
    /// the policy has another number of classes.
    fn set_policy(&self, py: Python<'_>, policy: &Bound<'_, Policy>) -> PyResult<()> {
        let policy = &policy.get().0;
        self.0.scan(py, |router| Ok(router.set_policy(policy)?))
    }

    /// The whole state, for `restore` with the same options. Handles stay good.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.0.scan(py, |router| {
            let mut bytes = vec![0; router.snapshot_bytes() as usize];
            let written = router.save(&mut bytes)?;
            bytes.truncate(written);
            Ok(bytes)
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// A router that goes on where the saved one was; KV events that came meanwhile are lost: let
    /// engines tell anew what they hold, or call `cleared`. Raises `SnapshotError`.
    #[classmethod]
    #[pyo3(signature = (policy, snapshot, **options))]
    fn restore(
        class: &Bound<'_, PyType>,
        policy: &Bound<'_, Policy>,
        snapshot: &[u8],
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let (policy, options) = (&policy.get().0, options_of(options)?);
        let build = || {
            options.validate()?;
            let bytes = CoreRouter::bytes_needed(policy, &options);
            with_memory(bytes, || CoreRouter::restore(policy, &options, snapshot))
        };
        Desk::create(class.py(), build).map(Self)
    }

    /// What the router holds, and how full it is.
    fn stats(&self, py: Python<'_>) -> PyResult<RouterStats> {
        Ok(self.0.ask(py, |router| Ok(router.stats()))?.into())
    }
}

fn asked(
    class: u16,
    prompt_tokens: u32,
    adapter: u64,
    hashes: Option<Names<'_>>,
) -> (RouteRequest, Cow<'_, [u64]>) {
    let request = RouteRequest { class, prompt_tokens: Tokens(prompt_tokens), adapter };
    (request, hashes.unwrap_or_default().0)
}

fn options_of(given: Option<&Bound<'_, PyDict>>) -> PyResult<RouterOptions> {
    let mut options = RouterOptions::default();
    set_options!(
        given,
        options: replicas_max,
        requests_max,
        block_tokens,
        blocks_max,
        sets_max,
        prompt_blocks_max,
        adapters_max,
        link_groups_max,
        kv_bytes_per_token,
        link_bytes_per_s,
        network_bytes_per_s,
    );
    Ok(options)
}

/// The names of the full blocks of `block_tokens` tokens.
///
/// Two prompts give a block the same name exactly where they agree up to its end, and have the same
/// `root`: anything that must not share, such as a number for the model or the tenant. No
/// cryptographic hash: an engine must not reuse KV by it.
///
/// >>> from rampmeter.route import hash_blocks
/// >>> one, other = hash_blocks([1, 2, 3, 4], block_tokens=2), hash_blocks([1, 2, 5], block_tokens=2)
/// >>> len(one), one[0] == other[0]
/// (2, True)
#[pyfunction]
#[pyo3(signature = (tokens, *, block_tokens, root = 0))]
fn hash_blocks(tokens: TokenIds, block_tokens: u32, root: u64) -> PyResult<Vec<u64>> {
    let max = 65_536;
    rampmeter::error::check_range("block_tokens", block_tokens.into(), 1, max)
        .map_err(Fault::from)?;
    let tokens = tokens.0;
    let mut names = vec![0; tokens.len() / block_tokens as usize];
    let written = rampmeter::route::hash_blocks(root, &tokens, block_tokens, &mut names);
    names.truncate(written);
    Ok(names)
}

pub(crate) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Router>()?;
    module.add_class::<Routed>()?;
    module.add_class::<RoutedPair>()?;
    module.add_class::<Candidate>()?;
    module.add_class::<Prices>()?;
    module.add_class::<RouterStats>()?;
    module.add_function(wrap_pyfunction!(hash_blocks, module)?)
}
