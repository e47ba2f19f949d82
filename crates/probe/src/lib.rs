//! What do the GPUs of this machine say about themselves?
//!
//! # What it decides
//! Nothing: it reads. A [`Probe`] asks a driver and keeps a [`Snapshot`]; a [`Poller`] does so in a
//! thread of its own and publishes snapshots that any thread reads without waiting. Every reading
//! is a value with its age, or says why there is none ([`Reading`]): what could not be read is
//! never a zero. Without GPUs, the snapshot's [`Condition`] says why, and what to do about it.
//!
//! # Backends
//!
//! | backend | feature | reads |
//! |---|---|---|
//! | `nvml::Nvml` | `nvml` (default) | everything, through `libnvidia-ml.so.1` |
//! | `cuda::Cuda` | `cuda` | devices and ordinals; memory inside of a context that there is |
//! | `fixture::Fixture` | `fixture` | a file: JSON, as `rampmeter probe --json` writes it |
//! | [`probe::Nothing`] | | nothing |
//!
//! Driver libraries are loaded at run time: this builds and runs without a driver and without a
//! toolkit. CUDA is never started unless that is asked for.
//!
//! # What it is bad at
//! A driver that hangs is waited for, by the poller's thread alone: its snapshot ages. Other
//! vendors than NVIDIA have no backend yet; the trait is where they go.
#![deny(unsafe_code)]

pub mod bridge;
pub mod call;
pub mod clock;
pub mod condition;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod device;
#[cfg(feature = "fixture")]
pub mod document;
#[cfg(feature = "fixture")]
pub mod fixture;
#[cfg(feature = "nvml")]
pub mod nvml;
pub mod ordinal;
pub mod poller;
pub mod probe;
pub mod reading;
pub mod snapshot;
pub mod text;
pub mod watch;

pub use call::Call;
pub use condition::Condition;
pub use device::{Device, DeviceKind, Health, Memory, Process};
pub use poller::{Cadence, Latest, Poller, Reader};
pub use probe::{Due, Probe};
pub use reading::Reading;
pub use snapshot::{Snapshot, Source};
pub use text::Text;
pub use watch::Watch;

/// The example of the guide is compiled with the tests.
#[cfg(all(doctest, feature = "nvml"))]
#[doc = include_str!("../../../docs/guides/probe.md")]
pub struct Guide;
