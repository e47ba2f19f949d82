//! Options: what a dynamic batcher is made from.

use rampmeter::batch::dynamic::{ClassOptions, Expiry, Options, Rule};
use rampmeter::engine::LatencyCurve;
use rampmeter::{Error, Nanos};

use crate::boundary::{answer, desk};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, array, flag, real, real_told, versioned};
use crate::policy::rampmeter_policy;
use crate::status::rampmeter_status;

/// When to launch: by the price of waiting and of launching.
pub const RAMPMETER_RULE_PRICED: u32 = 0;
/// The largest preferred size as soon as it is there, else whatever is there once the oldest has
/// waited `queue_delay_max_ns`.
pub const RAMPMETER_RULE_FIXED: u32 = 1;
/// A request that waited for too long is taken out and reported.
pub const RAMPMETER_EXPIRY_REJECT: u32 = 0;
/// It goes behind all others of its class.
pub const RAMPMETER_EXPIRY_DELAY: u32 = 1;

/// How long a batch takes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_curve_point {
    /// Seconds, 1e-9 to 3,600, no less than those of a smaller batch.
    pub seconds: f64,
    /// Requests in it, up to 2^20; larger than that of the point before.
    pub batch_size: u32,
    /// Must be 0.
    pub reserved: u32,
}

/// How long batches of each size take. Set all of it to 0, then what is known: points, or a
/// straight line.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_curve {
    /// Up to 64 points, in order of size, with straight lines between them; NULL: a straight line
    /// through all.
    pub points: *const rampmeter_curve_point,
    /// Elements of `points`; 0: `fixed_s` and `each_s` are read.
    pub points_len: u32,
    /// 1: it stays as it is given; 0: it learns from what is observed.
    pub fixed: u8,
    /// Must be 0.
    pub reserved: [u8; 3],
    /// Seconds of a batch, whatever its size.
    pub fixed_s: f64,
    /// And so many more for each request.
    pub each_s: f64,
}

/// A kind of request. Set all of it to 0, then what is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_dynamic_class {
    /// Deadline of a request that brings none, from its arrival; 0: it has none.
    pub latency_target_ns: u64,
    /// How long a request may live that does not say it; 0: for ever.
    pub timeout_ns: u64,
    /// What a second of delay is worth, 0.0001 to 10,000; 0: 1.
    pub delay_value: f64,
    /// Part of all seats that is kept for this class while it waits, up to 1; 0: 0.02;
    /// RAMPMETER_ZERO: none.
    pub guaranteed_ratio: f64,
    /// Requests that may wait; 0: any number.
    pub queue_max: u32,
    /// RAMPMETER_EXPIRY_...
    pub expiry: u32,
}

/// What a dynamic batcher is made from. Set all of it to 0, then `size`, then what is known: the
/// largest batch, and a curve.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_dynamic_options {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Largest batch, 1 to 4,096.
    pub batch_size_max: u32,
    /// Requests that may be known at once, running ones included, up to 2^20; 0: 16,384.
    pub requests_max: u32,
    /// Executors that run batches at the same time, up to 64; 0: 1.
    pub instances: u32,
    /// Accounts that may be open at once; 0: 1.
    pub accounts_max: u32,
    /// RAMPMETER_RULE_...
    pub rule: u32,
    /// Elements of `preferred_sizes`, up to 16.
    pub preferred_sizes_len: u32,
    /// Elements of `classes`, up to 16; 0: one class with the defaults.
    pub classes_len: u32,
    /// Elements of `buckets`, 1 to 16, and times the classes at most 64.
    pub buckets_len: u32,
    /// 1: requests may ride in a batch of a later bucket, padded to its shape, where that is
    /// cheaper.
    pub padding: u8,
    /// 1: an idle instance is never kept waiting; 0: as the field `queue_delay_max_ns` says.
    pub no_queue_delay: u8,
    /// Must be 0.
    pub reserved: [u8; 2],
    /// Sizes that the model runs best, in growing order.
    pub preferred_sizes: *const u32,
    /// In order of precedence.
    pub classes: *const rampmeter_dynamic_class,
    /// A latency curve for each bucket of shapes, small shapes first.
    pub buckets: *const rampmeter_curve,
    /// Longest that an idle instance is kept waiting, from the arrival of the oldest; 0: the time
    /// of the largest batch, or none at all with RAMPMETER_RULE_FIXED.
    pub queue_delay_max_ns: u64,
    /// Requests that would probably wait longer are shed; 0: none are.
    pub wait_max_ns: u64,
    /// How far past its fair turn an account may go, in time of instances, for an earlier deadline;
    /// 0: 100 ms. 1 is as good as none.
    pub urgency_credit_ns: u64,
    /// What a missed deadline costs, in deadlines' worth of delay, up to 1,000; 0: 4;
    /// RAMPMETER_ZERO: nothing.
    pub miss_ratio: f64,
    /// By how much waiting must be cheaper than launching to be done, up to 1; 0: 0.3;
    /// RAMPMETER_ZERO: not at all.
    pub wait_gain_ratio: f64,
    /// Part of the seats that is kept for requests that can no longer be in time, up to 0.5; 0:
    /// 0.01; RAMPMETER_ZERO: none.
    pub late_ratio: f64,
}
versioned!(rampmeter_dynamic_options, 112);

fn span(given_ns: u64) -> Option<Nanos> {
    (given_ns != 0).then_some(Nanos(given_ns))
}

fn at_least_default(given: u32, default: u32) -> u32 {
    if given == 0 { default } else { given }
}

fn choice(field: &'static str, value: u32) -> Fault {
    Error::Range { field, value: value.into(), min: 0, max: 1 }.into()
}

impl rampmeter_curve {
    /// # Safety
    /// `points` is null, or so many elements may be read.
    unsafe fn core(&self, batch_size_max: u32) -> Result<LatencyCurve, Fault> {
        let reserved = self.reserved.map(u64::from).into_iter().sum();
        rampmeter::error::check_range("reserved", reserved, 0, 0)?;
        // SAFETY: passed on; any bits are a point.
        let points = unsafe { array(self.points, self.points_len as usize, "buckets[].points")? };
        let curve = if points.is_empty() {
            LatencyCurve::linear(self.fixed_s, self.each_s)?
        } else {
            let points: Vec<_> =
                points.iter().map(|point| (point.batch_size, point.seconds)).collect();
            LatencyCurve::from_points(&points)?
        };
        let is_fixed = flag(self.fixed, "buckets[].fixed")?;
        Ok(if is_fixed { curve } else { curve.learning(batch_size_max)? })
    }
}

impl rampmeter_dynamic_class {
    fn core(&self) -> Result<ClassOptions, Fault> {
        let default = ClassOptions::default();
        Ok(ClassOptions {
            latency_target: span(self.latency_target_ns),
            delay_value: if self.delay_value == 0.0 {
                default.delay_value
            } else {
                self.delay_value
            },
            guaranteed_ratio: real(self.guaranteed_ratio, default.guaranteed_ratio),
            queue_max: at_least_default(self.queue_max, default.queue_max),
            timeout: span(self.timeout_ns),
            expiry: match self.expiry {
                RAMPMETER_EXPIRY_REJECT => Expiry::Reject,
                RAMPMETER_EXPIRY_DELAY => Expiry::Delay,
                other => return Err(choice("classes[].expiry", other)),
            },
        })
    }
}

impl rampmeter_dynamic_options {
    /// # Safety
    /// Each pointer is null, or as many elements as its length says may be read.
    pub(super) unsafe fn core(&self) -> Result<Options, Fault> {
        let reserved = self.reserved.map(u64::from).into_iter().sum();
        rampmeter::error::check_range("reserved", reserved, 0, 0)?;
        // SAFETY: passed on; any bits are an element of each.
        let (preferred, classes, buckets) = unsafe {
            (
                array(self.preferred_sizes, self.preferred_sizes_len as usize, "preferred_sizes")?,
                array(self.classes, self.classes_len as usize, "classes")?,
                array(self.buckets, self.buckets_len as usize, "buckets")?,
            )
        };
        let most = rampmeter::batch::dynamic::BUCKETS_MAX as u64;
        rampmeter::error::check_range("buckets", buckets.len() as u64, 1, most)?;
        let curves = buckets
            .iter()
            // SAFETY: passed on.
            .map(|bucket| unsafe { bucket.core(self.batch_size_max) })
            .collect::<Result<Box<[_]>, Fault>>()?;
        let default = Options::new(self.batch_size_max, curves[0].clone());
        let no_delay = flag(self.no_queue_delay, "no_queue_delay")?;
        let given = classes.iter().map(rampmeter_dynamic_class::core);
        let given = given.collect::<Result<Box<[_]>, Fault>>()?;
        let credit = span(self.urgency_credit_ns).unwrap_or(default.urgency_credit);
        Ok(Options {
            batch_size_max: self.batch_size_max,
            preferred_sizes: preferred.into(),
            queue_delay_max: if no_delay {
                Some(Nanos::ZERO)
            } else {
                span(self.queue_delay_max_ns)
            },
            requests_max: at_least_default(self.requests_max, default.requests_max),
            instances: at_least_default(self.instances, default.instances),
            accounts_max: at_least_default(self.accounts_max, default.accounts_max),
            rule: match self.rule {
                RAMPMETER_RULE_PRICED => Rule::Priced,
                RAMPMETER_RULE_FIXED => Rule::Fixed,
                other => return Err(choice("rule", other)),
            },
            padding: flag(self.padding, "padding")?,
            wait_max: span(self.wait_max_ns),
            miss_ratio: real(self.miss_ratio, default.miss_ratio),
            wait_gain_ratio: real(self.wait_gain_ratio, default.wait_gain_ratio),
            late_ratio: real(self.late_ratio, default.late_ratio),
            urgency_credit: credit,
            classes: if given.is_empty() { default.classes } else { given },
            buckets: curves,
        })
    }
}

/// A class as a policy has it: its time to first token is the latency target, for the first answer
/// of such a model is its only one.
///
/// Fails: E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_policy_class(
    policy: *const rampmeter_policy,
    class_index: u32,
    class_options: *mut rampmeter_dynamic_class,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        answer(error, || {
            let (out, policy) = (Out::new(class_options, "class_options")?, desk(policy)?);
            let class = policy.classes.get(class_index as usize).ok_or(Error::Range {
                field: "class_index",
                value: class_index.into(),
                min: 0,
                max: (policy.classes.len() as u64).saturating_sub(1),
            })?;
            let class = ClassOptions::from(class);
            out.set(rampmeter_dynamic_class {
                latency_target_ns: class.latency_target.map_or(0, Nanos::get),
                timeout_ns: class.timeout.map_or(0, Nanos::get),
                delay_value: class.delay_value,
                guaranteed_ratio: real_told(class.guaranteed_ratio),
                queue_max: if class.queue_max == u32::MAX { 0 } else { class.queue_max },
                expiry: class.expiry as u32,
            });
            Ok(())
        })
    }
}
