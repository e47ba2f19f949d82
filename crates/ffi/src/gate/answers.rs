//! Answers: what a request could expect, and what a gate knows and did.

use rampmeter::Nanos;

use super::rampmeter_gate;
use crate::boundary::look;
use crate::error::rampmeter_error;
use crate::memory::{OutSized, versioned};
use crate::status::rampmeter_status;

/// Reasons for which a request is turned away: as many as there are RAMPMETER_GATE_SHED_...
pub const RAMPMETER_GATE_SHED_REASONS: usize = 4;

/// What a request of a class could expect. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_outlook {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// Ends until it would start; 0 if it starts at once.
    pub starts_before: f64,
    /// Starts a second for its class.
    pub starts_per_s: f64,
    /// Seconds that it would wait, as likely more as less; infinite where nothing leaves.
    pub likely_wait_s: f64,
    /// Probability that it would start in time.
    pub chance: f64,
    /// Ends that this rests on; below 10 nothing waits.
    pub samples: u64,
}
versioned!(rampmeter_outlook, 48);

/// What a gate knows and did. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_stats_gate {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Requests that were held and wait.
    pub waiting: u32,
    /// Requests that run.
    pub running: u32,
    /// Servers that there are.
    pub servers: u32,
    /// Requests that were given up and not yet read.
    pub given_up: u32,
    /// 0.
    pub reserved: u32,
    /// Requests that started at once.
    pub admitted: u64,
    /// Requests that were held.
    pub held: u64,
    /// Requests that started after they were held.
    pub started: u64,
    /// Requests that ended.
    pub ended: u64,
    /// Requests that were held for too long.
    pub expired: u64,
    /// Requests that were held, and gave way to another account.
    pub displaced: u64,
    /// Requests that were turned away, by RAMPMETER_GATE_SHED_...
    pub shed: [u64; RAMPMETER_GATE_SHED_REASONS],
}
versioned!(rampmeter_stats_gate, 104);

/// What a request of a class would find if it came now and displaced nobody.
///
/// Fails: E_TIME_REVERSED, E_RANGE (class), E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads:
/// any number, while nobody changes the gate. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_outlook(
    gate: *const rampmeter_gate,
    now_ns: u64,
    class_index: u32,
    outlook: *mut rampmeter_outlook,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(gate, error, |gate| {
            let out = OutSized::new(outlook, "outlook")?;
            let outlook = gate.outlook(Nanos(now_ns), class_index)?;
            out.set(rampmeter_outlook {
                size: 0,
                reserved: 0,
                starts_before: outlook.starts_before,
                starts_per_s: outlook.starts_per_s,
                likely_wait_s: outlook.likely_wait_s,
                chance: outlook.chance,
                samples: outlook.samples,
            });
            Ok(())
        })
    }
}

/// What the gate knows and did so far.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the gate. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_stats(
    gate: *const rampmeter_gate,
    stats: *mut rampmeter_stats_gate,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(gate, error, |gate| {
            let (out, stats) = (OutSized::new(stats, "stats")?, gate.stats());
            out.set(rampmeter_stats_gate {
                size: 0,
                waiting: stats.waiting,
                running: stats.running,
                servers: stats.servers,
                given_up: stats.given_up,
                reserved: 0,
                admitted: stats.admitted,
                held: stats.held,
                started: stats.started,
                ended: stats.ended,
                expired: stats.expired,
                displaced: stats.displaced,
                shed: stats.shed,
            });
            Ok(())
        })
    }
}
