//! Driver calls by number, so that a failure can say which it was without a heap.

use std::fmt;

macro_rules! calls {
    ($($number:literal $constant:ident $name:literal)*) => {
        /// A call of a driver library, as a number that never changes its meaning.
        ///
        /// A number and not an enumeration: it crosses an ABI, and comes back from files.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(transparent)]
        pub struct Call(pub u16);

        impl Call {
            $(
                #[doc = concat!("`", $name, "`.")]
                pub const $constant: Self = Self($number);
            )*

            /// All that are known, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self($number)),*];

            /// Its name in the driver's headers; `unknown call` for a number that is none.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($number => $name,)*
                    _ => "unknown call",
                }
            }
        }
    };
}

// Numbers are for ever: 1 to 199 NVML, 200 to 299 CUDA, 300 on the rest.
calls! {
    1 INIT "nvmlInit_v2"
    2 SHUTDOWN "nvmlShutdown"
    3 DRIVER_VERSION "nvmlSystemGetDriverVersion"
    4 NVML_VERSION "nvmlSystemGetNVMLVersion"
    5 CUDA_VERSION "nvmlSystemGetCudaDriverVersion_v2"
    6 COUNT "nvmlDeviceGetCount_v2"
    7 HANDLE_BY_INDEX "nvmlDeviceGetHandleByIndex_v2"
    8 UUID "nvmlDeviceGetUUID"
    9 NAME "nvmlDeviceGetName"
    10 PCI_INFO "nvmlDeviceGetPciInfo_v3"
    11 COMPUTE_CAPABILITY "nvmlDeviceGetCudaComputeCapability"
    12 MEMORY_V1 "nvmlDeviceGetMemoryInfo"
    13 MEMORY_V2 "nvmlDeviceGetMemoryInfo_v2"
    14 UTILIZATION "nvmlDeviceGetUtilizationRates"
    15 PROCESSES_V2 "nvmlDeviceGetComputeRunningProcesses_v2"
    16 PROCESSES_V3 "nvmlDeviceGetComputeRunningProcesses_v3"
    17 POWER "nvmlDeviceGetPowerUsage"
    18 POWER_LIMIT "nvmlDeviceGetEnforcedPowerLimit"
    19 TEMPERATURE "nvmlDeviceGetTemperature"
    20 CLOCK "nvmlDeviceGetClockInfo"
    21 THROTTLE_REASONS "nvmlDeviceGetCurrentClocksThrottleReasons"
    22 EVENT_REASONS "nvmlDeviceGetCurrentClocksEventReasons"
    23 MIG_MODE "nvmlDeviceGetMigMode"
    24 MIG_COUNT_MAX "nvmlDeviceGetMaxMigDeviceCount"
    25 MIG_HANDLE "nvmlDeviceGetMigDeviceHandleByIndex"
    26 GPU_INSTANCE "nvmlDeviceGetGpuInstanceId"
    27 COMPUTE_INSTANCE "nvmlDeviceGetComputeInstanceId"
    28 ATTRIBUTES "nvmlDeviceGetAttributes_v2"
    29 COMMON_ANCESTOR "nvmlDeviceGetTopologyCommonAncestor"
    30 NVLINK_STATE "nvmlDeviceGetNvLinkState"
    31 NVLINK_VERSION "nvmlDeviceGetNvLinkVersion"
    32 NVLINK_REMOTE_TYPE "nvmlDeviceGetNvLinkRemoteDeviceType"
    33 NVLINK_REMOTE_PCI "nvmlDeviceGetNvLinkRemotePciInfo_v2"
    34 CPU_AFFINITY "nvmlDeviceGetCpuAffinity"
    35 MEMORY_AFFINITY "nvmlDeviceGetMemoryAffinity"
    36 NUMA_NODE "nvmlDeviceGetNumaNodeId"
    37 EVENT_SET_CREATE "nvmlEventSetCreate"
    38 EVENT_SET_FREE "nvmlEventSetFree"
    39 EVENT_TYPES "nvmlDeviceGetSupportedEventTypes"
    40 REGISTER_EVENTS "nvmlDeviceRegisterEvents"
    41 EVENT_SET_WAIT "nvmlEventSetWait_v2"
    200 CU_INIT "cuInit"
    201 CU_DRIVER_VERSION "cuDriverGetVersion"
    202 CU_COUNT "cuDeviceGetCount"
    203 CU_DEVICE "cuDeviceGet"
    204 CU_NAME "cuDeviceGetName"
    205 CU_UUID "cuDeviceGetUuid"
    206 CU_UUID_V2 "cuDeviceGetUuid_v2"
    207 CU_TOTAL_MEMORY "cuDeviceTotalMem_v2"
    208 CU_ATTRIBUTE "cuDeviceGetAttribute"
    209 CU_CONTEXT_STATE "cuDevicePrimaryCtxGetState"
    210 CU_CONTEXT_RETAIN "cuDevicePrimaryCtxRetain"
    211 CU_CONTEXT_RELEASE "cuDevicePrimaryCtxRelease_v2"
    212 CU_CONTEXT_CURRENT "cuCtxGetCurrent"
    213 CU_CONTEXT_SET "cuCtxSetCurrent"
    214 CU_MEMORY "cuMemGetInfo_v2"
    300 LOAD_LIBRARY "dlopen"
    301 HOST_MEMORY "/proc/meminfo"
    302 FIXTURE "fixture"
}

impl Call {
    /// The call of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|call| call.name() == name)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_one_to_one() {
        for (index, call) in Call::ALL.iter().enumerate() {
            assert_eq!(Call::named(call.name()), Some(*call));
            assert!(Call::ALL[..index].iter().all(|other| other.0 < call.0), "{call}");
        }
        assert_eq!((Call(0).name(), Call::named("unknown call")), ("unknown call", None));
    }
}
