//! CUDA's own numbers, through a library that is really loaded: in a process of its own, since a
//! process loads it by name and once.
#![cfg(feature = "cuda")]

use std::process::Command;
use std::ptr::{null, null_mut};

use rampmeter::error::codes;
use rampmeter_ffi::probe::*;

use crate::caller::sized;
use crate::support::Fake;
use crate::{Asked, Snapshot};

const TWO: &str = "log\ncuda 1 0\n\
    gpu uuid=GPU-0a0a0a0a-0000-0000-0000-000000000000 name=A pci=0:1:0\n\
    gpu uuid=GPU-0b0b0b0b-0000-0000-0000-000000000000 name=B pci=0:2:0\n";

fn seen(fake: &Fake, backend: u32) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cuda::in_a_process_of_its_own", "--ignored", "--nocapture"])
        .env("LD_LIBRARY_PATH", fake.folder())
        .env("RAMPMETER_TEST_BACKEND", backend.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
#[ignore = "run by the others"]
fn in_a_process_of_its_own() {
    let backend = std::env::var("RAMPMETER_TEST_BACKEND").unwrap().parse().unwrap();
    let (cuda, all) = (Asked::of(backend, "").unwrap(), Snapshot::new());
    let (mut poller, mut is_read, mut condition) = (null_mut(), 0, 99);
    let cadence = sized::<rampmeter_cadence>();
    let mut numbers = Vec::new();
    // SAFETY: all are there; no path is where drivers put their library.
    unsafe {
        let (nvml, of, out) = (RAMPMETER_BACKEND_NVML, &raw const cadence, &raw mut poller);
        assert_eq!(rampmeter_poller_start(nvml, null(), of, out, null_mut()), codes::OK);
        let long = 20_000_000_000;
        assert_eq!(rampmeter_poller_wait_first(poller, long, &raw mut is_read, null_mut()), 0);
        assert_eq!(rampmeter_poller_latest(poller, all.0, null_mut()), codes::OK);
        let status = rampmeter_probe_join(cuda.0, all.0, &raw mut condition, null_mut());
        assert_eq!(status, codes::OK);
        for place in 0..all.stats().gpus_len {
            let mut gpu = sized::<rampmeter_gpu>();
            let status = rampmeter_snapshot_gpu(all.0, 0, place, &raw mut gpu, null_mut());
            assert_eq!(status, codes::OK);
            numbers.push((gpu.cuda_ordinal_known == 1).then_some(gpu.cuda_ordinal));
        }
        rampmeter_poller_destroy(poller);
    }
    println!("joined: {condition}, {numbers:?}");
}

#[test]
fn numbers_are_joined_to_what_a_poller_published() {
    let fake = Fake::nvml(TWO).and_cuda(&[]);
    let text = seen(&fake, RAMPMETER_BACKEND_CUDA_START);
    let expected = format!("joined: {RAMPMETER_CONDITION_READY}, [Some(1), Some(0)]");
    assert!(text.contains(&expected), "{text}");
    assert_eq!((fake.called("cuInit"), fake.called("cuDevicePrimaryCtxRetain")), (1, 0));
}

#[test]
fn cuda_is_not_started_by_looking() {
    let fake = Fake::nvml(TWO).and_cuda(&[]);
    let text = seen(&fake, RAMPMETER_BACKEND_CUDA);
    let expected = format!("joined: {RAMPMETER_CONDITION_NOT_STARTED}, [None, None]");
    assert!(text.contains(&expected), "{text}");
    assert_eq!(fake.called("cuInit"), 0);
}
