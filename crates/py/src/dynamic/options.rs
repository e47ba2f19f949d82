//! What a dynamic batcher is made from.

use pyo3::prelude::*;
use rampmeter::batch::dynamic::{BUCKETS_MAX, ClassOptions, Expiry, Options, Rule};
use rampmeter::engine::LatencyCurve;
use rampmeter::{Error, Nanos};

use crate::error::Fault;
use crate::policy::Policy;
use crate::record::record;

record! {
    /// How long batches take: pairs of size and seconds in order of size, with straight lines between
    /// them, or `fixed_s` and `each_s` more for each request. A guess to begin with, unless `learns`
    /// is false.
    ///
    /// >>> from rampmeter.dynamic import Curve
    /// >>> Curve([(1, 0.004), (8, 0.010)], learns=False).points
    /// [(1, 0.004), (8, 0.01)]
    "rampmeter.dynamic" Curve {
        points: Vec<(u32, f64)>,
        fixed_s: f64,
        each_s: f64,
        learns: bool,
    }
    impl {
        #[new]
        #[pyo3(signature = (points = None, *, fixed_s = 0.0, each_s = 0.0, learns = true))]
        fn new(
            points: Option<Vec<(u32, f64)>>,
            fixed_s: f64,
            each_s: f64,
            learns: bool,
        ) -> Self {
            Self { points: points.unwrap_or_default(), fixed_s, each_s, learns }
        }
    }
}

impl Curve {
    fn core(&self, batch_size_max: u32) -> Result<LatencyCurve, Fault> {
        let curve = if self.points.is_empty() {
            LatencyCurve::linear(self.fixed_s, self.each_s)?
        } else {
            LatencyCurve::from_points(&self.points)?
        };
        Ok(if self.learns { curve.learning(batch_size_max)? } else { curve })
    }
}

record! {
    /// A kind of request; earlier ones go first. `latency_target_ns` is the deadline of a request
    /// that brings none, `timeout_ns` the life of one that does not say it, both from its arrival;
    /// `queue_max` how many may wait. What has expired is taken out (`expiry` "reject") or goes behind
    /// its class ("delay").
    "rampmeter.dynamic" DynamicClass {
        latency_target_ns: Option<u64>,
        timeout_ns: Option<u64>,
        delay_value: f64,
        guaranteed_ratio: f64,
        queue_max: Option<u32>,
        expiry: &'static str,
    }
    impl {
        #[new]
        #[pyo3(signature = (
            *, latency_target_ns = None, timeout_ns = None, delay_value = None,
            guaranteed_ratio = None, queue_max = None, expiry = "reject"
        ))]
        fn new(
            latency_target_ns: Option<u64>,
            timeout_ns: Option<u64>,
            delay_value: Option<f64>,
            guaranteed_ratio: Option<f64>,
            queue_max: Option<u32>,
            expiry: &str,
        ) -> PyResult<Self> {
            let default = ClassOptions::default();
            let known = ["reject", "delay"].into_iter().find(|name| *name == expiry);
            Ok(Self {
                latency_target_ns,
                timeout_ns,
                delay_value: delay_value.unwrap_or(default.delay_value),
                guaranteed_ratio: guaranteed_ratio.unwrap_or(default.guaranteed_ratio),
                queue_max,
                expiry: known.ok_or_else(|| unknown("expiry", expiry))?,
            })
        }

        /// A class as a policy has it: its time to first token is the latency target, for the first
        /// answer of such a model is its only one. Raises `RangeError`.
        #[staticmethod]
        fn from_policy(policy: &Bound<'_, Policy>, class_index: usize) -> PyResult<Self> {
            let classes = &policy.get().0.classes;
            let max = (classes.len() as u64).saturating_sub(1);
            let value = class_index as u64;
            let outside = Error::Range { field: "class_index", value, min: 0, max };
            let class = classes.get(class_index).ok_or(Fault::Core(outside))?;
            let class = ClassOptions::from(class);
            Ok(Self {
                latency_target_ns: class.latency_target.map(Nanos::get),
                timeout_ns: class.timeout.map(Nanos::get),
                delay_value: class.delay_value,
                guaranteed_ratio: class.guaranteed_ratio,
                queue_max: Some(class.queue_max).filter(|most| *most != u32::MAX),
                expiry: match class.expiry {
                    Expiry::Reject => "reject",
                    Expiry::Delay => "delay",
                },
            })
        }
    }
}

impl DynamicClass {
    fn core(&self) -> ClassOptions {
        ClassOptions {
            latency_target: self.latency_target_ns.map(Nanos),
            delay_value: self.delay_value,
            guaranteed_ratio: self.guaranteed_ratio,
            queue_max: self.queue_max.unwrap_or(u32::MAX),
            timeout: self.timeout_ns.map(Nanos),
            expiry: if self.expiry == "delay" { Expiry::Delay } else { Expiry::Reject },
        }
    }
}

record! {
    /// What a dynamic batcher is made from: a curve for each bucket of shapes, small shapes first, and
    /// the largest batch; everything else has a default, which the attributes show.
    ///
    /// `rule` is "priced" (launch or wait by what either costs) or "fixed" (the largest of
    /// `preferred_sizes` as soon as it is there, else whatever is there once the oldest has waited
    /// `queue_delay_max_ns`). With `padding` requests may ride in a batch of a later bucket. Requests
    /// that would probably wait longer than `wait_max_ns` are shed. `docs/policies/dynamic.md` has
    /// the others.
    "rampmeter.dynamic" DynamicOptions {
        buckets: Vec<Curve>,
        batch_size_max: u32,
        classes: Vec<DynamicClass>,
        requests_max: u32,
        instances: u32,
        accounts_max: u32,
        rule: &'static str,
        preferred_sizes: Vec<u32>,
        padding: bool,
        queue_delay_max_ns: Option<u64>,
        wait_max_ns: Option<u64>,
        urgency_credit_ns: u64,
        miss_ratio: f64,
        wait_gain_ratio: f64,
        late_ratio: f64,
    }
    impl {
        #[new]
        #[pyo3(signature = (
            buckets, *, batch_size_max, classes = None, requests_max = None, instances = 1,
            accounts_max = 1, rule = "priced", preferred_sizes = None, padding = false,
            queue_delay_max_ns = None, wait_max_ns = None, urgency_credit_ns = None,
            miss_ratio = None, wait_gain_ratio = None, late_ratio = None
        ))]
        #[allow(clippy::too_many_arguments)] // Keywords of Python.
        fn new(
            buckets: Vec<Bound<'_, Curve>>,
            batch_size_max: u32,
            classes: Option<Vec<Bound<'_, DynamicClass>>>,
            requests_max: Option<u32>,
            instances: u32,
            accounts_max: u32,
            rule: &str,
            preferred_sizes: Option<Vec<u32>>,
            padding: bool,
            queue_delay_max_ns: Option<u64>,
            wait_max_ns: Option<u64>,
            urgency_credit_ns: Option<u64>,
            miss_ratio: Option<f64>,
            wait_gain_ratio: Option<f64>,
            late_ratio: Option<f64>,
        ) -> PyResult<Self> {
            let default = defaults()?;
            let rules = ["priced", "fixed"].into_iter().find(|name| *name == rule);
            let own = |class: &Bound<'_, DynamicClass>| class.get().clone();
            let classes = match classes {
                Some(classes) => classes.iter().map(own).collect(),
                None => vec![DynamicClass::new(None, None, None, None, None, "reject")?],
            };
            Ok(Self {
                buckets: buckets.iter().map(|curve| curve.get().clone()).collect(),
                batch_size_max,
                classes,
                requests_max: requests_max.unwrap_or(default.requests_max),
                instances,
                accounts_max,
                rule: rules.ok_or_else(|| unknown("rule", rule))?,
                preferred_sizes: preferred_sizes.unwrap_or_default(),
                padding,
                queue_delay_max_ns,
                wait_max_ns,
                urgency_credit_ns: urgency_credit_ns.unwrap_or(default.urgency_credit.get()),
                miss_ratio: miss_ratio.unwrap_or(default.miss_ratio),
                wait_gain_ratio: wait_gain_ratio.unwrap_or(default.wait_gain_ratio),
                late_ratio: late_ratio.unwrap_or(default.late_ratio),
            })
        }
    }
}

impl DynamicOptions {
    pub(super) fn core(&self) -> Result<Options, Fault> {
        let buckets = self.buckets.len() as u64;
        rampmeter::error::check_range("buckets", buckets, 1, BUCKETS_MAX as u64)?;
        let curves = self.buckets.iter().map(|curve| curve.core(self.batch_size_max));
        Ok(Options {
            batch_size_max: self.batch_size_max,
            preferred_sizes: self.preferred_sizes.as_slice().into(),
            queue_delay_max: self.queue_delay_max_ns.map(Nanos),
            requests_max: self.requests_max,
            instances: self.instances,
            accounts_max: self.accounts_max,
            rule: if self.rule == "fixed" { Rule::Fixed } else { Rule::Priced },
            padding: self.padding,
            wait_max: self.wait_max_ns.map(Nanos),
            miss_ratio: self.miss_ratio,
            wait_gain_ratio: self.wait_gain_ratio,
            late_ratio: self.late_ratio,
            urgency_credit: Nanos(self.urgency_credit_ns),
            classes: self.classes.iter().map(DynamicClass::core).collect(),
            buckets: curves.collect::<Result<_, Fault>>()?,
        })
    }
}

/// The core's; those that do not depend on the batch or its curve.
fn defaults() -> Result<Options, Fault> {
    Ok(Options::new(1, LatencyCurve::linear(1.0, 0.0)?))
}

fn unknown(what: &'static str, name: &str) -> Fault {
    Fault::Name { what, name: name.to_owned() }
}
