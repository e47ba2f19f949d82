//! The drop of a clock, of two snapshots.

use std::ptr::{null, null_mut};

use rampmeter::error::codes;
use rampmeter_ffi::probe::*;

use crate::support::Fake;
use crate::{Snapshot, nvml};

/// The status, and what was told.
fn drop_of(seen: &Snapshot, before: *const rampmeter_snapshot, place: u32) -> (i32, f64, u8) {
    let (mut ratio, mut known) = (-1.0, 9);
    // SAFETY: both places may be written, and snapshots are there or null.
    let status = unsafe {
        let (ratio, known) = (&raw mut ratio, &raw mut known);
        let now = rampmeter_clock_ns();
        rampmeter_snapshot_sm_clock_drop(seen.0, before, now, place, ratio, known, null_mut())
    };
    (status, ratio, known)
}

#[test]
fn a_busy_gpu_that_became_slower_is_told() {
    let fake = Fake::nvml("gpu uuid=GPU-a1 clocks=2000,2619 throttle=0\ngpu uuid=GPU-a2");
    let (asked, before, now) = (nvml(&fake), Snapshot::new(), Snapshot::new());
    assert_eq!(asked.read(0, &before), codes::OK);
    fake.becomes("gpu uuid=GPU-a1 clocks=1500,2619 throttle=64");
    assert_eq!(asked.read(0, &now), codes::OK);
    assert_eq!(drop_of(&now, before.0, 0), (codes::OK, 0.25, 1));
    assert_eq!(drop_of(&before, now.0, 0), (codes::OK, 0.0, 0), "they are in the wrong order");
    assert_eq!(drop_of(&now, now.0, 0), (codes::OK, 0.0, 0), "nothing was read in between");
    // Refused: nothing is written.
    assert_eq!(drop_of(&before, now.0, 1), (codes::RANGE, -1.0, 9), "the second is gone now");
    assert_eq!(drop_of(&now, before.0, 1), (codes::RANGE, -1.0, 9));
    assert_eq!(drop_of(&now, null(), 0), (codes::POINTER, -1.0, 9));
}
