//! Memory of the host, for GPUs that share it.

use std::fs::File;
use std::io::Read;

use rampmeter::Bytes;

use crate::call::Call;
use crate::device::{Memory, MemoryBasis};
use crate::reading::Reading;

/// Where Linux tells it.
const MEMINFO: &str = "/proc/meminfo";
/// Both lines that matter are among the first three: this is ten times as much.
const BYTES_READ: usize = 1_024;

/// What of the host's memory can still be had. Allocates nothing.
pub(super) fn memory() -> Reading<Memory> {
    let mut text = [0_u8; BYTES_READ];
    let read = File::open(MEMINFO).and_then(|mut file| file.read(&mut text));
    let failed = |code: i32| Reading::Failed { call: Call::HOST_MEMORY, code: code.unsigned_abs() };
    match read {
        Ok(len) => parsed(text.get(..len).unwrap_or_default()).map_or(failed(0), Reading::now),
        Err(error) => failed(error.raw_os_error().unwrap_or(0)),
    }
}

fn parsed(text: &[u8]) -> Option<Memory> {
    let text = std::str::from_utf8(text).ok()?;
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kib.checked_mul(1_024).map(Bytes)
    };
    let (total, free) = (bytes("MemTotal:")?, bytes("MemAvailable:")?);
    let basis = MemoryBasis::HostEstimated;
    (free <= total).then_some(Memory { total, free, used: None, reserved: None, basis })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_that_is_available_counts() {
        let text = b"MemTotal:  100 kB\nMemFree:    7 kB\nMemAvailable:   40 kB\nBuffers: 1 kB\n";
        let memory = parsed(text).unwrap();
        assert_eq!((memory.total, memory.free), (Bytes(102_400), Bytes(40_960)));
        assert_eq!(memory.basis, MemoryBasis::HostEstimated);
        for bad in ["", "MemTotal: 1 kB", "MemTotal: 1 kB\nMemAvailable: 2 kB"] {
            assert_eq!(parsed(bad.as_bytes()), None, "{bad}");
        }
    }
}
