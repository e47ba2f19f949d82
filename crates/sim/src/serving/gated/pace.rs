//! How many servers an engine is: as many requests as can run together with their tokens in time.
//!
//! # Formula
//! Not its seats: with all of them taken tokens come too late. Of `n` requests that run at a steady
//! pace each step decodes `n`, and, since as many come as go, computes `n P / O` prompt tokens, `P`
//! and `O` being means. A request of `o` outputs meets `n o / O` prompts of others while it decodes, so
//! that its time per token is about normal:
//!
//! ```text
//! mean  =  step(n decodes)  +  c n P / O          c: seconds per prompt token
//! sd    =  c sqrt(n / (O o)) sqrt(E[prompt^2])    compound Poisson, over o steps
//! ```
//!
//! `n` is the largest for which, over all requests, the share that comes within its `tpot_target` is
//! `attainment_min_ratio` of the policy. A front end can measure all of that.
//!
//! # What it is bad at
//! Prompts come in chunks, and those of a rush together: requests of few outputs are late more often
//! than the normal tail says.
//!
//! # Source
//! Variance of a compound Poisson sum (Wald); own experiment, `docs/policies/headroom.md`.

use rampmeter::Nanos;
use rampmeter::engine::StepShape;

use crate::engine::Engine;
use crate::workload::{Request, Workload};

/// What is known of lengths: means, in tokens.
struct Lengths {
    prompt: f64,
    prompt_square: f64,
    output: f64,
}

impl Lengths {
    /// Probability that a request of so many outputs has them in time among `running`.
    fn chance(&self, engine: &Engine, running: u32, outputs: f64, target_s: f64) -> f64 {
        let each_step = f64::from(running) / self.output;
        let decodes = StepShape {
            decode_requests: running,
            decode_context_tokens: (f64::from(running) * (self.prompt + self.output / 2.0)) as u64,
            ..StepShape::default()
        };
        let decode_s = engine.model.seconds(&decodes);
        let with_prompt_s = engine.model.seconds(&decodes.with_prefill(self.prompt as u32, 0));
        let prompt_token_s = (with_prompt_s - decode_s).max(0.0) / self.prompt.max(1.0);
        let mean_s = decode_s + prompt_token_s * each_step * self.prompt;
        let sd_s = prompt_token_s * (each_step / outputs.max(1.0) * self.prompt_square).sqrt();
        if sd_s > 0.0 {
            0.5 * libm::erfc((mean_s - target_s) / sd_s * core::f64::consts::FRAC_1_SQRT_2)
        } else {
            f64::from(u8::from(mean_s <= target_s))
        }
    }
}

/// Requests that can run together, at least one.
pub(super) fn requests_in_time(workload: &Workload, engine: &Engine, attained_ratio: f64) -> u32 {
    let requests = &workload.requests;
    let count = requests.len().max(1) as f64;
    let mean = |of: &dyn Fn(&Request) -> f64| requests.iter().map(of).sum::<f64>() / count;
    let lengths = Lengths {
        prompt: mean(&|request| f64::from(request.prompt_tokens)),
        prompt_square: mean(&|request| f64::from(request.prompt_tokens).powi(2)),
        output: mean(&|request| f64::from(request.output_tokens)).max(1.0),
    };
    let enough = |running: u32| {
        let attained = requests.iter().map(|request| {
            let class = workload.classes.get(usize::from(request.class));
            let target_s = class.map_or(Nanos::MAX, |class| class.tpot_target).as_seconds();
            lengths.chance(engine, running, f64::from(request.output_tokens), target_s)
        });
        attained.sum::<f64>() >= attained_ratio * count
    };
    (1..=engine.running_max).take_while(|running| enough(*running)).last().unwrap_or(1)
}
