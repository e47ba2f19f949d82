//! Which rules a batcher is under, in one number: the same for the same rules only.

use super::super::{ClassOptions, Options};
use crate::snapshot::{self, pair};
use crate::units::Nanos;

/// Digest of everything in the options but capacities and curves.
pub(super) fn digest(options: &Options) -> u64 {
    snapshot::digest(|put| put_options(options, put))
}

fn put_options(options: &Options, put: &mut dyn FnMut(u64)) {
    let Options {
        // Capacities, which are compared one by one.
        batch_size_max: _,
        requests_max: _,
        instances: _,
        accounts_max: _,
        preferred_sizes,
        queue_delay_max,
        rule,
        padding,
        wait_max,
        miss_ratio,
        wait_gain_ratio,
        late_ratio,
        urgency_credit,
        classes,
        // Part of the state.
        buckets: _,
    } = options;
    put(preferred_sizes.len() as u64);
    preferred_sizes.iter().for_each(|size| put((*size).into()));
    put_span(*queue_delay_max, put);
    put_span(*wait_max, put);
    for word in [*rule as u64, (*padding).into(), urgency_credit.get()] {
        put(word);
    }
    for ratio in [miss_ratio, wait_gain_ratio, late_ratio] {
        put(ratio.to_bits());
    }
    for class in classes {
        put_class(class, put);
    }
}

fn put_class(class: &ClassOptions, put: &mut dyn FnMut(u64)) {
    let ClassOptions { latency_target, delay_value, guaranteed_ratio, queue_max, timeout, expiry } =
        class;
    put_span(*latency_target, put);
    put_span(*timeout, put);
    put(delay_value.to_bits());
    put(guaranteed_ratio.to_bits());
    put(pair(*queue_max, *expiry as u32));
}

/// No span is as long as what stands for none.
fn put_span(span: Option<Nanos>, put: &mut dyn FnMut(u64)) {
    put(span.map_or(u64::MAX, Nanos::get));
}
