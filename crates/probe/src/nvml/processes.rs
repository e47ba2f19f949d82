//! Who has memory of a device.
//!
//! # Layout
//! The same call writes entries of 16, 24 or 32 bytes, depending on the driver, whatever its number
//! says (version 3 took 24 bytes, then 32 in the first drivers of series 535, then 24 again; see
//! nvitop #79, #89 and #226). So there is room for longer ones than are known, it is filled with a
//! mark, and how far the mark is gone tells how long an entry is.
//!
//! One driver call, which takes milliseconds; no second one to ask how many there are.

use nvml_wrapper_sys::bindings as sys;
use rampmeter::Bytes;

use super::library::{Api, Fault, call, status};
use super::values::Handle;
use crate::call::Call;
use crate::device::Process;
use crate::snapshot::PROCESSES_MAX;

/// Bytes of an entry, in the layouts that there were.
const STRIDES: [usize; 3] = [16, 24, 32];
const LONGEST: usize = STRIDES[STRIDES.len() - 1];
/// Bytes that an entry has room for: twice the longest, since it has grown before.
const STRIDE_ROOM: usize = 64;
/// What bytes are before the driver writes. No byte of a small number or of its complement.
const MARK: u8 = 0xA5;
const MARKED: u64 = u64::from_ne_bytes([MARK; 8]);

/// Room for what the driver writes, kept between calls.
pub(super) struct Buffer {
    /// As words, since entries are aligned to 8 bytes.
    words: Box<[u64]>,
    /// How many of them, from the first on, may have been written to.
    written: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        let words = vec![MARKED; PROCESSES_MAX * STRIDE_ROOM / 8].into_boxed_slice();
        Self { words, written: 0 }
    }
}

impl Buffer {
    /// The processes of a device, and how many the driver told of.
    pub(super) fn read(
        &mut self,
        api: &Api,
        device: Handle,
    ) -> Result<(impl Iterator<Item = Process> + '_, u32), Fault> {
        let written = self.written.min(self.words.len());
        self.words[..written].fill(MARKED);
        // Unless it turns out to be less.
        self.written = self.words.len();
        let room = PROCESSES_MAX as u32;
        let mut found = room;
        let entries = self.words.as_mut_ptr();
        let mut which = Call::PROCESSES_V3;
        let mut told = call!(
            api,
            PROCESSES_V3,
            nvmlDeviceGetComputeRunningProcesses_v3(
                device,
                &raw mut found,
                entries.cast::<sys::nvmlProcessInfo_t>()
            )
        );
        if told.is_err_and(|fault| fault.code == status::FUNCTION_NOT_FOUND) {
            which = Call::PROCESSES_V2;
            found = room;
            told = call!(
                api,
                PROCESSES_V2,
                nvmlDeviceGetComputeRunningProcesses_v2(
                    device,
                    &raw mut found,
                    entries.cast::<sys::nvmlProcessInfo_v2_t>()
                )
            );
        }
        let listed = match told {
            Ok(()) if found <= room => found as usize,
            // More than there is room for: how many is known, who is not.
            Err(Fault { code: status::INSUFFICIENT_SIZE, .. }) if found > room => 0,
            Ok(()) | Err(Fault { code: status::INSUFFICIENT_SIZE, .. }) => {
                return Err(Fault::implausible(which));
            }
            Err(fault) => return Err(fault),
        };
        let stride = stride(&self.words, listed).ok_or(Fault::implausible(which))?;
        if !reaches_beyond(&self.words, listed) {
            self.written = listed * LONGEST / 8;
        }
        let words_each = stride / 8;
        let entries = self.words.chunks_exact(words_each).take(listed);
        Ok((entries.map(process), found))
    }
}

/// Whether the driver wrote more than so many entries of the longest layout: one that clears all the
/// room, say.
fn reaches_beyond(words: &[u64], listed: usize) -> bool {
    let beyond = words.get(listed * LONGEST / 8..).unwrap_or_default();
    beyond.iter().take(STRIDE_ROOM / 8).any(|word| *word != MARKED)
}

/// Bytes of an entry, by how far `listed` entries reach; nothing if there are too few to be so many.
fn stride(words: &[u64], listed: usize) -> Option<usize> {
    // Who wrote beyond them says nothing about entries: then the usual layout.
    if listed == 0 || reaches_beyond(words, listed) {
        return Some(STRIDES[1]);
    }
    let entries = words.get(..listed * LONGEST / 8)?;
    let reached = entries.iter().rposition(|word| *word != MARKED)? + 1;
    // Each entry was written, so that the last one reaches at least to its identifier.
    let least = (listed - 1) * STRIDES[0] / 8 + 1;
    let fits = |stride: &usize| reached * 8 <= listed * stride;
    (reached >= least).then(|| STRIDES.into_iter().find(fits)).flatten()
}

fn process(entry: &[u64]) -> Process {
    let halves = |word: u64| {
        let bytes = word.to_ne_bytes();
        let half = |at: usize| {
            u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        (half(0), half(4))
    };
    let word = |at: usize| entry.get(at).copied();
    let pid = word(0).map_or(0, |word| halves(word).0);
    let memory = word(1).filter(|bytes| *bytes != u64::MAX && *bytes != MARKED).map(Bytes);
    let gpu_instance = word(2).map(|word| halves(word).0).filter(|instance| *instance != u32::MAX);
    Process { pid, memory, gpu_instance }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a driver with entries of this many bytes writes.
    fn written(stride: usize, pids: &[u32]) -> Vec<u64> {
        let mut words = vec![MARKED; 64 * STRIDE_ROOM / 8];
        for (index, pid) in pids.iter().enumerate() {
            let at = index * stride / 8;
            // The gap after the identifier is not written by all compilers.
            words[at] = u64::from(*pid) | (MARKED >> 32) << 32;
            words[at + 1] = 1 << 30;
            if stride >= 24 {
                words[at + 2] = u64::from(3_u32) | u64::from(u32::MAX) << 32;
            }
            if stride >= 32 {
                words[at + 3] = 0;
            }
        }
        words
    }

    proptest! {
        #[test]
        fn entries_of_any_layout_are_read(
            at in 0_usize..3,
            pids in prop::collection::vec(1_u32..1 << 22, 1..40),
        ) {
            let words = written(STRIDES[at], &pids);
            let stride = stride(&words, pids.len()).unwrap();
            prop_assert_eq!(stride, STRIDES[at]);
            let read: Vec<Process> =
                words.chunks_exact(stride / 8).take(pids.len()).map(process).collect();
            for (process, pid) in read.iter().zip(&pids) {
                prop_assert_eq!((process.pid, process.memory), (*pid, Some(Bytes(1 << 30))));
                prop_assert_eq!(process.gpu_instance, (STRIDES[at] >= 24).then_some(3));
            }
        }
    }

    #[test]
    fn a_driver_that_writes_nothing_is_found_out() {
        assert_eq!(stride(&[MARKED; 64], 1), None);
        assert_eq!(stride(&[MARKED; 64], 0), Some(24));
        let mut words = written(24, &[1]);
        assert_eq!(stride(&words, 9), None, "one entry is not nine");
        words.fill(0);
        assert_eq!(stride(&words, 2), Some(24), "all cleared");
    }
}
