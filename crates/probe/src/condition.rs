//! In what condition the driver is, why no GPU can be seen, and what to do about it.

use crate::call::Call;

/// In what condition the driver is, as far as this process can tell.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Condition {
    /// Nothing was asked yet, or the backend is `none`.
    #[default]
    Off,
    /// It answers, and there are devices.
    Ready,
    /// It answers, and there is no device: a success.
    NoDevices,
    /// There is no driver library.
    NoDriver,
    /// There is a library of that name which lacks the call to begin with.
    NotTheDriver,
    /// The kernel's part is not loaded (NVML 9).
    DriverNotLoaded,
    /// A toolkit's stub was found instead of the driver (CUDA 34).
    StubLibrary,
    /// The library and the kernel's part are of different versions (NVML 18, CUDA 803).
    VersionMismatch,
    /// The driver answers "unknown error" (999) to everything: in a container, the access to its
    /// devices was lost.
    AccessLost,
    /// This process may not use the driver (NVML 4).
    Denied,
    /// The system is not ready, as before a fabric manager has run (NVML 27, CUDA 802).
    NotReady,
    /// CUDA was not started in this process, and nobody asked for it.
    NotStarted,
    /// It has not answered yet. Told by whoever waits for a first snapshot, never by a probe.
    Hanging,
    /// The call to begin with failed otherwise.
    Failed {
        /// Which one.
        call: Call,
        /// Its status, as the driver numbers them.
        code: u32,
    },
}

impl Condition {
    /// Whether the driver answers.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Ready | Self::NoDevices)
    }

    /// A stable word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Ready => "ready",
            Self::NoDevices => "no_devices",
            Self::NoDriver => "no_driver",
            Self::NotTheDriver => "not_the_driver",
            Self::DriverNotLoaded => "driver_not_loaded",
            Self::StubLibrary => "stub_library",
            Self::VersionMismatch => "version_mismatch",
            Self::AccessLost => "access_lost",
            Self::Denied => "denied",
            Self::NotReady => "not_ready",
            Self::NotStarted => "not_started",
            Self::Hanging => "hanging",
            Self::Failed { .. } => "failed",
        }
    }

    /// Why, in a sentence for an operator.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Off => "no backend was asked",
            Self::Ready => "the driver answers",
            Self::NoDevices => "the driver answers, and has no GPU for this process",
            Self::NoDriver => "no NVIDIA driver library was found",
            Self::NotTheDriver => "a library of the driver's name was found that is not the driver",
            Self::DriverNotLoaded => {
                "the driver's library is there, its kernel module is not loaded"
            }
            Self::StubLibrary => "a toolkit's stub was loaded instead of the driver's library",
            Self::VersionMismatch => "the driver's library and its kernel module differ in version",
            Self::AccessLost => "the driver answers \"unknown error\": the access to it was lost",
            Self::Denied => "this process may not use the driver",
            Self::NotReady => "the driver says that the system is not ready",
            Self::NotStarted => "CUDA was not started in this process",
            Self::Hanging => "the driver does not answer",
            Self::Failed { .. } => "the driver could not be started",
        }
    }

    /// What to do about it, in a sentence; nothing where there is nothing to do.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Ready => "",
            Self::Off => "choose a backend",
            Self::NoDevices => {
                "look whether `lspci` shows a GPU; in a container, whether it was given one"
            }
            Self::NoDriver => {
                "install the driver; in a container, start it with the NVIDIA runtime (`--gpus all`)"
            }
            Self::NotTheDriver => {
                "look at LD_LIBRARY_PATH and `ldconfig -p | grep nvidia-ml`, and remove the other one"
            }
            Self::DriverNotLoaded => "`modprobe nvidia`, and look at `dmesg` if that fails",
            Self::StubLibrary => "take the toolkit's `stubs` folder out of LD_LIBRARY_PATH",
            Self::VersionMismatch => {
                "reboot, or unload and load the kernel module: the driver was updated under it; \
                 in a container, start it anew"
            }
            Self::AccessLost => {
                "restart the container: a reload of the daemons took its devices away; keep \
                 device nodes in its specification so that it does not happen again"
            }
            Self::Denied => "look at the permissions of /dev/nvidia*",
            Self::NotReady => "start the fabric manager (`systemctl status nvidia-fabricmanager`)",
            Self::NotStarted => "ask for it (`--cuda`)",
            Self::Hanging => {
                "look at `dmesg`; a GPU that hangs takes the driver with it until a reboot"
            }
            Self::Failed { .. } => "look up the code in the driver's manual; look at `dmesg`",
        }
    }

    /// What it means that the call to begin with NVML returned this.
    #[cfg(any(feature = "nvml", test))]
    pub(crate) const fn of_nvml(call: Call, code: u32) -> Self {
        match code {
            4 => Self::Denied,
            9 => Self::DriverNotLoaded,
            12 => Self::NoDriver,
            18 => Self::VersionMismatch,
            27 => Self::NotReady,
            28 => Self::NoDevices,
            999 => Self::AccessLost,
            code => Self::Failed { call, code },
        }
    }

    /// What it means that CUDA returned this before there was a device.
    #[cfg(any(feature = "cuda", test))]
    pub(crate) const fn of_cuda(call: Call, code: u32) -> Self {
        match code {
            3 => Self::NotStarted,
            34 => Self::StubLibrary,
            100 => Self::NoDevices,
            800 => Self::Denied,
            802 => Self::NotReady,
            803 => Self::VersionMismatch,
            999 => Self::AccessLost,
            code => Self::Failed { call, code },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_that_is_no_success_has_a_remedy() {
        let mut words = Vec::new();
        let failed = Condition::Failed { call: Call::INIT, code: 1 };
        let nvml = [4, 9, 12, 18, 27, 28, 999].map(|code| Condition::of_nvml(Call::INIT, code));
        let cuda = [3, 34].map(|code| Condition::of_cuda(Call::CU_INIT, code));
        for condition in nvml.into_iter().chain(cuda).chain([failed, Condition::NotTheDriver]) {
            assert!(!condition.remedy().is_empty() && !condition.reason().is_empty());
            assert!(!words.contains(&condition.word()), "{condition:?}");
            words.push(condition.word());
        }
        assert!(Condition::NoDevices.is_success() && Condition::Ready.is_success());
        assert!(!failed.is_success());
    }
}
