//! Layouts that are built in.
//!
//! # Source
//! Compute and memory slices: NVIDIA Multi-Instance GPU User Guide, "Supported MIG Profiles".
//! Starts: `nvidia-smi mig -lgipp`. Memory: `nvidia-smi mig -lgip`, given there in GiB to an eighth;
//! of A100 as in the mock device of NVIDIA's go-nvml, which agrees; `h200-141gb` as seen by
//! programs that run inside of `3g.71gb`.

use super::{Layout, Profile};

/// Layouts by the name of the device. Of a device that is not here the host gives the layout.
pub const KNOWN: [(&str, Layout<'static>); 7] = [
    ("a30-24gb", Layout { profiles: &A30_24GB, compute_slices: 4 }),
    ("a100-40gb", Layout { profiles: &A100_40GB, compute_slices: 7 }),
    ("a100-80gb", Layout { profiles: &A100_80GB, compute_slices: 7 }),
    ("h100-80gb", Layout { profiles: &H100_80GB, compute_slices: 7 }),
    ("h100-94gb", Layout { profiles: &H100_94GB, compute_slices: 7 }),
    ("h100-96gb", Layout { profiles: &H100_96GB, compute_slices: 7 }),
    ("h200-141gb", Layout { profiles: &H200_141GB, compute_slices: 7 }),
];

/// 1g, 2g and 4g: quarters of the device.
const A30_24GB: [Profile; 3] = [
    Profile { compute_slices: 1, memory_slices: 1, memory_mib: 5_952, starts: 0b1111 },
    Profile { compute_slices: 2, memory_slices: 2, memory_mib: 11_968, starts: 0b0101 },
    Profile { compute_slices: 4, memory_slices: 4, memory_mib: 24_000, starts: 0b0001 },
];

const A100_40GB: [Profile; 6] = sevenths([4_864, 9_856, 19_968, 40_192]);
const A100_80GB: [Profile; 6] = sevenths([9_856, 19_968, 40_192, 80_384]);
const H100_80GB: [Profile; 6] = sevenths([9_984, 20_096, 40_448, 81_152]);
const H100_94GB: [Profile; 6] = sevenths([11_008, 22_144, 47_488, 95_360]);
const H100_96GB: [Profile; 6] = sevenths([11_264, 23_552, 47_616, 95_232]);
const H200_141GB: [Profile; 6] = sevenths([16_384, 33_280, 71_424, 143_360]);

/// The profiles of devices with 7 compute and 8 memory slices, by the memory of one, two, four and
/// all memory slices: 1g, 1g with twice the memory, 2g, 3g, 4g and 7g.
const fn sevenths(memory_mib: [u32; 4]) -> [Profile; 6] {
    let [one, two, four, all] = memory_mib;
    [
        Profile { compute_slices: 1, memory_slices: 1, memory_mib: one, starts: 0b0111_1111 },
        Profile { compute_slices: 1, memory_slices: 2, memory_mib: two, starts: 0b0101_0101 },
        Profile { compute_slices: 2, memory_slices: 2, memory_mib: two, starts: 0b0001_0101 },
        Profile { compute_slices: 3, memory_slices: 4, memory_mib: four, starts: 0b0001_0001 },
        Profile { compute_slices: 4, memory_slices: 4, memory_mib: four, starts: 0b0000_0001 },
        Profile { compute_slices: 7, memory_slices: 8, memory_mib: all, starts: 0b0000_0001 },
    ]
}
