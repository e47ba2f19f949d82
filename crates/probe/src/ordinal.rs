//! Which device has which number in CUDA?
//!
//! # What it decides
//! From an inventory and two strings, the devices that a CUDA process with these strings in its
//! environment sees, in the order of its numbers. It reads no environment and calls no driver:
//! whoever has the strings gives them ([`visible`]), or says that this process's own count
//! ([`visible_here`]).
//!
//! # Rules
//! 1. `CUDA_DEVICE_ORDER=PCI_BUS_ID` numbers GPUs by address. Otherwise (`FASTEST_FIRST`) the fastest
//!    one is first, by a measure that NVIDIA does not publish, and the others follow by address: that
//!    can be told only where all GPUs are of one name.
//! 2. A GPU in MIG mode stands for its first instance, and only the first such GPU does.
//! 3. `CUDA_VISIBLE_DEVICES` lists numbers of that order, identifiers (`GPU-...`, `MIG-...`) or their
//!    beginnings, as far as they are unique. The list ends before the first entry that names
//!    nothing; an empty list leaves nothing.
//!
//! # What it is bad at
//! Drivers differ for entries that name a device twice: the list ends before the second one here.
//! [`Cuda::join`](crate::cuda) asks the driver itself, where CUDA may be started.
//!
//! # Source
//! CUDA C++ Programming Guide, "CUDA Environment Variables"; MIG User Guide, "Device Enumeration".

use crate::device::{DeviceKind, PciAddress};
use crate::snapshot::Snapshot;

/// The devices that CUDA sees, in the order of its numbers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Visible {
    /// Places in [`Snapshot::devices`].
    pub devices: Vec<u16>,
    /// Entry of the list, counted from 0, that names nothing here; those from there on count for
    /// nothing.
    pub ended_at: Option<u32>,
}

/// Why numbers cannot be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unclear {
    /// GPUs differ, and the fastest is first: by a measure that is not published.
    #[error("GPUs differ in model and CUDA_DEVICE_ORDER is not PCI_BUS_ID")]
    FastestFirst,
    /// The address of a GPU is not known.
    #[error("the PCI address of a GPU is not known")]
    Address,
}

/// What CUDA sees with these values of `CUDA_DEVICE_ORDER` and `CUDA_VISIBLE_DEVICES`; `None` where a
/// variable is not set.
///
/// # Errors
/// [`Unclear`] where the order of numbers cannot be told and the list has numbers, or is not there.
pub fn visible(
    snapshot: &Snapshot,
    order: Option<&str>,
    list: Option<&str>,
) -> Result<Visible, Unclear> {
    let Some(list) = list else {
        return Ok(Visible { devices: enumerated(snapshot, order)?, ended_at: None });
    };
    let mut seen = Visible { devices: Vec::new(), ended_at: None };
    if list.trim().is_empty() {
        return Ok(seen);
    }
    for (index, entry) in list.split(',').enumerate() {
        let named = match named(snapshot, order, entry.trim()) {
            Ok(named) => named.filter(|place| !seen.devices.contains(place)),
            Err(unclear) => return Err(unclear),
        };
        let Some(place) = named else {
            seen.ended_at = Some(index as u32);
            break;
        };
        seen.devices.push(place);
    }
    Ok(seen)
}

/// The same with the values that this process has in its environment now. CUDA itself looks at them
/// once, when it is started.
///
/// # Errors
/// As [`visible`]. A variable that is no text counts as one that names nothing.
pub fn visible_here(snapshot: &Snapshot) -> Result<Visible, Unclear> {
    let value = |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let (order, list) = (value("CUDA_DEVICE_ORDER"), value("CUDA_VISIBLE_DEVICES"));
    visible(snapshot, order.as_deref(), list.as_deref())
}

/// The device that an entry of the list names.
fn named(snapshot: &Snapshot, order: Option<&str>, entry: &str) -> Result<Option<u16>, Unclear> {
    if entry.starts_with("GPU-") || entry.starts_with("MIG-") {
        let is_cut =
            |place: usize| snapshot.devices.iter().any(|other| other.parent == Some(place as u16));
        let mut found = snapshot.devices.iter().enumerate().filter(|(place, device)| {
            let uuid = device.uuid.as_str().as_bytes();
            let begins = uuid
                .get(..entry.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(entry.as_bytes()));
            begins && !is_cut(*place)
        });
        let first = found.next().map(|(place, _)| place as u16);
        return Ok(first.filter(|_| found.next().is_none()));
    }
    let Ok(number) = entry.parse::<usize>() else { return Ok(None) };
    Ok(enumerated(snapshot, order)?.get(number).copied())
}

/// Places of devices in CUDA's own order.
fn enumerated(snapshot: &Snapshot, order: Option<&str>) -> Result<Vec<u16>, Unclear> {
    let mut gpus: Vec<(PciAddress, u16)> = Vec::new();
    let whole = snapshot.devices.iter().enumerate().filter(|(_, device)| device.parent.is_none());
    for (place, device) in whole {
        let address = device.pci.value().ok_or(Unclear::Address)?;
        gpus.push((*address, place as u16));
    }
    gpus.sort_unstable();
    let name = |place: u16| snapshot.devices.get(usize::from(place)).map(|device| device.name);
    let is_by_address = order == Some("PCI_BUS_ID");
    if !is_by_address && gpus.windows(2).any(|two| name(two[0].1) != name(two[1].1)) {
        return Err(Unclear::FastestFirst);
    }
    let mut has_instance = false;
    let mut places = Vec::with_capacity(gpus.len());
    for (_, place) in gpus {
        let is_cut = snapshot
            .devices
            .get(usize::from(place))
            .is_some_and(|device| device.mig.value() == Some(&true));
        if !is_cut {
            places.push(place);
            continue;
        }
        let first = snapshot
            .devices
            .iter()
            .position(|device| device.parent == Some(place) && device.kind == DeviceKind::Mig);
        if let (Some(first), false) = (first, has_instance) {
            places.push(first as u16);
            has_instance = true;
        }
    }
    Ok(places)
}

/// The 16 bytes that an identifier is written for; none for one of another form, such as those of
/// instances before driver 470.
#[must_use]
pub fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix("GPU-").or_else(|| text.strip_prefix("MIG-"))?;
    let mut bytes = [0_u8; 16];
    let mut len = 0;
    for digit in digits.chars().filter(|digit| *digit != '-') {
        let value = digit.to_digit(16)? as u8;
        let byte = bytes.get_mut(len / 2)?;
        *byte = *byte << 4 | value;
        len += 1;
    }
    (len == 32).then_some(bytes)
}

/// An identifier as NVML writes it.
#[cfg(any(feature = "cuda", test))]
pub(crate) fn uuid_text(
    prefix: &str,
    bytes: &[u8; 16],
) -> crate::text::Text<{ crate::device::UUID_LEN }> {
    let hex = format!("{:032x}", u128::from_be_bytes(*bytes));
    let [a, b, c, d, e] =
        [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)].map(|(from, to)| &hex[from..to]);
    crate::text::Text::new(&format!("{prefix}-{a}-{b}-{c}-{d}-{e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::reading::Reading;
    use crate::text::Text;
    use proptest::prelude::*;

    fn gpu(bus: u8, name: &str) -> Device {
        Device {
            uuid: uuid_text("GPU", &[bus; 16]),
            name: Text::new(name),
            pci: Reading::now(PciAddress { domain: 0, bus, device: 0 }),
            ..Device::default()
        }
    }

    fn machine(devices: Vec<Device>) -> Snapshot {
        Snapshot { devices, ..Snapshot::default() }
    }

    const NONE: [u16; 0] = [];
    const BY_ADDRESS: Option<&str> = Some("PCI_BUS_ID");

    fn seen(snapshot: &Snapshot, list: Option<&str>) -> Vec<u16> {
        visible(snapshot, BY_ADDRESS, list).unwrap().devices
    }

    #[test]
    fn numbers_follow_the_address_and_lists_end_at_what_names_nothing() {
        let snapshot = machine(vec![gpu(9, "B"), gpu(3, "A"), gpu(0x41, "B")]);
        assert_eq!(seen(&snapshot, None), [1, 0, 2]);
        assert_eq!(seen(&snapshot, Some("2,0")), [2, 1]);
        assert_eq!(seen(&snapshot, Some("")), NONE);
        assert_eq!(seen(&snapshot, Some("-1")), NONE);
        assert_eq!(seen(&snapshot, Some("NoDevFiles")), NONE);
        assert_eq!(seen(&snapshot, Some(" 1 , 0")), [0, 1]);
        let ended = visible(&snapshot, BY_ADDRESS, Some("0,7,1")).unwrap();
        assert_eq!(ended, Visible { devices: vec![1], ended_at: Some(1) });
        assert_eq!(seen(&snapshot, Some("0,0,1")), [1], "twice the same");
        assert_eq!(seen(&snapshot, Some("GPU-0909,GPU-41")), [0, 2]);
        assert_eq!(seen(&snapshot, Some("GPU-,0")), NONE, "not unique");
        assert_eq!(seen(&snapshot, Some(&"GPU-".repeat(99))), NONE);
    }

    #[test]
    fn the_fastest_first_is_told_only_where_all_are_alike() {
        let mixed = machine(vec![gpu(1, "A"), gpu(2, "B")]);
        assert_eq!(visible(&mixed, None, None), Err(Unclear::FastestFirst));
        assert_eq!(visible(&mixed, None, Some("1")), Err(Unclear::FastestFirst));
        let by_name = visible(&mixed, None, Some("GPU-02")).unwrap();
        assert_eq!(by_name.devices, [1], "identifiers need no order");
        let alike = machine(vec![gpu(2, "A"), gpu(1, "A")]);
        assert_eq!(visible(&alike, None, None).unwrap().devices, [1, 0]);
        let lost = machine(vec![Device::default()]);
        assert_eq!(visible(&lost, None, None), Err(Unclear::Address));
    }

    #[test]
    fn a_cut_gpu_stands_for_its_first_instance() {
        let cut = |bus| Device { mig: Reading::now(true), ..gpu(bus, "A") };
        let part = |of, number| Device {
            uuid: uuid_text("MIG", &[number; 16]),
            parent: Some(of),
            kind: DeviceKind::Mig,
            ..Device::default()
        };
        let devices =
            vec![cut(1), part(0, 0x11), part(0, 0x12), cut(2), part(3, 0x21), gpu(3, "A")];
        let snapshot = machine(devices);
        assert_eq!(seen(&snapshot, None), [1, 5]);
        assert_eq!(seen(&snapshot, Some("MIG-12,MIG-21")), [2, 4]);
        assert_eq!(seen(&snapshot, Some("GPU-0101")), NONE, "a cut GPU is none");
    }

    proptest! {
        #[test]
        fn identifiers_are_read_back(bytes in any::<[u8; 16]>()) {
            prop_assert_eq!(uuid_bytes(uuid_text("MIG", &bytes).as_str()), Some(bytes));
        }

        /// Whatever is written there: no device twice, none that is not there, no panic.
        #[test]
        fn any_list_is_survived(list in "[-0-9, GPUMIabf]{0,40}", order in "(PCI_BUS_ID|FASTEST)") {
            let snapshot = machine(vec![gpu(1, "A"), gpu(0xab, "A")]);
            let mut devices = visible(&snapshot, Some(&order), Some(&list)).unwrap().devices;
            prop_assert!(devices.iter().all(|place| *place < 2));
            devices.sort_unstable();
            devices.dedup();
            prop_assert_eq!(devices.len(), visible(&snapshot, Some(&order), Some(&list)).unwrap().devices.len());
        }
    }
}
