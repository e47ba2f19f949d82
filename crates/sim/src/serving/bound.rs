//! The bound on the service difference that a policy states for itself.
//!
//! # Formula
//! Two accounts that wait in one class during a whole interval get service of that class that
//! differs by at most
//! ```text
//! 2 * (max(w_p * L, w_q * M) / weight_min + credit)
//! ```
//! `L` is the longest prompt of the workload, `M` the most output tokens that requests running at
//! once can produce: what all seats may ask for, or what the KV cache holds if that is less.
//!
//! # Who states one
//! The library's own policy, with the credit of its document, and `vtc` (credit 0, one queue for
//! all classes), both where they weigh tokens and accounts as the judge does: a difference is
//! measured in the judge's costs and weights. A policy that measures what an output token costs
//! weighs as it finds, and states none. With triage `vtc` passes over accounts,
//! and promises nothing.
//!
//! # What it is bad at
//! It does not hold where requests are preempted, and it is loose: nobody serves one account with
//! all seats at once.
//!
//! # Source
//! Sheng et al., "Fairness in Serving Large Language Models" (OSDI '24), theorem 4.4; the credit:
//! `docs/policies/counters.md`.

use rampmeter::policy::Policy;

use super::peers::OUTPUT_TOKEN_COST_DEFAULT;
use super::rampmeter::read_policy;
use super::spec::{PeerKind, PolicySpec};
use crate::InputError;
use crate::engine::Engine;
use crate::workload::Workload;

/// The bound in the costs of `judge`; `None` where the policy states none in them.
///
/// # Errors
/// [`InputError`] if a policy document cannot be used.
pub fn service_bound(
    spec: &PolicySpec,
    workload: &Workload,
    engine: &Engine,
    judge: &Policy,
) -> Result<Option<f64>, InputError> {
    let (prompt_cost, output_cost) =
        (judge.batch.prompt_token_cost, judge.batch.output_token_cost_assumed());
    let credit = match spec {
        PolicySpec::Rampmeter { document } => {
            let read = document.as_deref().map(read_policy).transpose()?.transpose()?;
            let own = read.unwrap_or_default();
            let costs = (own.batch.prompt_token_cost, own.batch.output_token_cost);
            let alike = costs == (prompt_cost, output_cost) && weighs_alike(&own, workload);
            alike.then_some(own.batch.urgency_credit_tokens)
        }
        PolicySpec::Peer { kind: PeerKind::Vtc, options } if !options.triage => {
            let own = options.output_cost.map_or(OUTPUT_TOKEN_COST_DEFAULT, f64::from);
            ((1.0, own) == (prompt_cost, output_cost)).then_some(0.0)
        }
        PolicySpec::Peer { .. } => None,
    };
    let requests = workload.requests.iter();
    let prompt_tokens_max = requests.clone().map(|request| request.prompt_tokens).max();
    let output_tokens_max = requests.map(|request| request.output_tokens_max).max();
    let seated = u64::from(engine.running_max) * u64::from(output_tokens_max.unwrap_or(0));
    let output_tokens = seated.min(engine.kv.tokens_max());
    let largest = (prompt_cost * f64::from(prompt_tokens_max.unwrap_or(0)))
        .max(output_cost * output_tokens as f64);
    let weights = workload.accounts.iter().map(|account| account.weight);
    let weight_min = weights.fold(f64::INFINITY, f64::min);
    Ok(credit.map(|credit| 2.0 * (largest / weight_min + credit)))
}

/// Whether every account of the workload counts for the policy as it does for the judge.
fn weighs_alike(own: &Policy, workload: &Workload) -> bool {
    workload.accounts.iter().all(|judged| match own.account_index(&judged.name) {
        Some(place) => {
            let account = &own.accounts[place];
            account.parent.is_none() && account.weight == judged.weight
        }
        None => own.account_default_weight == judged.weight,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::testing::{engine, request, workload};

    #[test]
    fn bounds_by_hand() {
        let judge = Policy::default();
        let w_q = judge.batch.output_token_cost_assumed();
        let credit = judge.batch.urgency_credit_tokens;
        let folder = tempfile::tempdir().unwrap();
        let document = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let told = document("told.toml", &format!("[batch]\noutput_token_cost = {w_q:?}\n"));
        let weights = "[[account]]\nname = \"account-2\"\nweight = 2.0\n";
        let weighs =
            document("weighs.toml", &format!("{weights}[batch]\noutput_token_cost = {w_q:?}\n"));
        let requests = vec![request(0.0, 900, 7), request(0.0, 12, 10)];
        let mut workload = workload(requests);
        let mut bound = |text: &str, seats, blocks, weight| {
            workload.accounts[0].weight = weight;
            let spec = text.parse().unwrap();
            service_bound(&spec, &workload, &engine(blocks, seats, 100), &judge).unwrap()
        };
        // Outputs of four seats; blocks of four tokens for half of them; the longest prompt.
        assert_eq!(bound(&told, 40, 999, 1.0), Some(2.0 * (w_q * 400.0 + credit)));
        assert_eq!(bound(&told, 40, 50, 1.0), Some(2.0 * (w_q * 200.0 + credit)));
        assert_eq!(bound(&told, 2, 999, 1.0), Some(2.0 * (900.0 + credit)));
        assert_eq!(bound(&told, 2, 999, 0.5), None, "it does not know of that weight");
        let vtc = format!("vtc+output-cost={w_q}");
        assert_eq!(bound(&vtc, 40, 999, 1.0), Some(2.0 * w_q * 400.0));
        assert_eq!(bound(&vtc, 2, 999, 0.5), Some(2.0 * 1_800.0));
        let measures = document("measures.toml", "[batch]\noutput_token_cost = 0.0\n");
        assert_eq!(bound("rampmeter", 40, 999, 1.0), bound(&told, 40, 999, 1.0));
        for none in [&measures, &weighs, "vtc", "fcfs", "priority", &format!("{vtc}+triage")] {
            assert_eq!(bound(none, 40, 999, 1.0), None, "{none}");
        }
        assert!(
            service_bound(&"no.toml".parse().unwrap(), &workload, &engine(9, 1, 9), &judge)
                .is_err()
        );
    }
}
