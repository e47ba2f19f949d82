//! The table of `probe`.

use std::io;

use rampmeter::Bytes;
use rampmeter_probe::device::{Health, Loss};
use rampmeter_probe::{Condition, Device, Reading, Snapshot, Source};

use super::{print, row, table};
use crate::console::Console;
use crate::jobs::Look;

const GIB: f64 = (1_u64 << 30) as f64;

/// Figures older than this are worth a word: several times what any group takes to come again.
const OLD_S: f64 = 3.0;

/// A row for each device, and a line for each thing that an operator should know.
pub(crate) fn machine(look: &Look, console: &mut Console<'_>) -> io::Result<()> {
    let snapshot = &look.snapshot;
    if snapshot.devices.is_empty() {
        nothing(snapshot.condition, console)?;
    } else {
        writeln!(console.out, "{}", head(snapshot))?;
        let has_cuda = look.cuda_condition.is_some();
        let heads = ["GPU", "name", "free GiB", "of", "busy %", "W", "\u{b0}C", "procs"];
        let heads: Vec<&str> = heads.into_iter().chain(has_cuda.then_some("CUDA")).collect();
        let mut table = table(&heads, console);
        for device in &snapshot.devices {
            table.add_row(row(cells(snapshot, device, has_cuda)));
        }
        print(&table, console)?;
        if !snapshot.condition.is_success() {
            nothing(snapshot.condition, console)?;
        }
    }
    for device in &snapshot.devices {
        for note in notes(device) {
            writeln!(console.out, "{}: {note}", short(device))?;
        }
    }
    if snapshot.devices_left_out > 0 {
        writeln!(console.out, "{} more devices have no place here", snapshot.devices_left_out)?;
    }
    if let Some(hanging) = look.hanging {
        let (call, seconds) = (hanging.call, hanging.seconds);
        writeln!(console.out, "The driver hangs: {call} runs for {seconds:.1} s")?;
    }
    if look.age_s > OLD_S {
        writeln!(console.out, "These figures are {:.1} s old", look.age_s)?;
    }
    match look.cuda_condition {
        Some(condition) if !condition.is_success() => {
            writeln!(console.out, "CUDA: {}; {}", condition.reason(), condition.remedy())
        }
        _ => Ok(()),
    }
}

/// Why there is nothing, and what to do about it.
fn nothing(condition: Condition, console: &mut Console<'_>) -> io::Result<()> {
    write!(console.out, "No GPUs: {}", condition.reason())?;
    if let Condition::Failed { call, code } = condition {
        write!(console.out, " ({call} returned {code})")?;
    }
    writeln!(console.out, ".")?;
    match condition.remedy() {
        "" => Ok(()),
        remedy => writeln!(console.out, "To do: {remedy}."),
    }
}

fn head(snapshot: &Snapshot) -> String {
    let source = match snapshot.source {
        Source::Nvml => "NVML",
        Source::Cuda => "CUDA",
        Source::Fixture => "Fixture",
        Source::None => "None",
    };
    let mut parts = vec![source.to_owned()];
    if !snapshot.driver.version.is_empty() {
        parts.push(format!("driver {}", snapshot.driver.version));
    }
    let cuda = snapshot.driver.cuda;
    if cuda > 0 {
        parts.push(format!("CUDA {}.{}", cuda / 1_000, cuda % 1_000 / 10));
    }
    parts.join("; ")
}

/// The identifier as far as it tells devices of one machine apart in practice; an instance stands
/// below its GPU.
fn short(device: &Device) -> String {
    let uuid: String = match device.uuid.as_str() {
        "" => format!("#{}", device.index),
        uuid => uuid.chars().take("GPU-01234567".len()).collect(),
    };
    if device.parent.is_some() { format!("  {uuid}") } else { uuid }
}

/// Its name without what all have in common; of an instance only what it is.
fn called(device: &Device) -> &str {
    let name = device.name.as_str();
    match name.rfind("MIG ") {
        Some(at) if device.parent.is_some() => &name[at..],
        _ => name.strip_prefix("NVIDIA ").unwrap_or(name),
    }
}

fn cells(snapshot: &Snapshot, device: &Device, has_cuda: bool) -> Vec<String> {
    let gib = |bytes: Bytes| format!("{:.1}", bytes.0 as f64 / GIB);
    let mut cells = vec![
        short(device),
        called(device).to_owned(),
        told(device.memory, |memory| gib(memory.free)),
        told(device.memory, |memory| gib(memory.total)),
        told(device.utilization, |busy| busy.gpu_pct.to_string()),
        told(device.power, |power| format!("{:.0}", f64::from(power.draw_mw) / 1e3)),
        told(device.temperature_c, |celsius| celsius.to_string()),
        told(device.processes, |_| snapshot.processes_of(device).len().to_string()),
    ];
    if has_cuda {
        cells.push(device.cuda_ordinal.map_or_else(|| "-".to_owned(), |n| n.to_string()));
    }
    cells
}

fn told<T: Copy>(reading: Reading<T>, form: impl FnOnce(T) -> String) -> String {
    match reading {
        Reading::Ok { value, .. } => form(value),
        Reading::Unsupported => "-".to_owned(),
        Reading::Denied => "denied".to_owned(),
        Reading::Failed { code, .. } => format!("err {code}"),
    }
}

/// What an operator should know of a device.
fn notes(device: &Device) -> Vec<String> {
    let mut notes = Vec::new();
    match device.health {
        Health::Ready => {}
        Health::Unreachable => notes.push("this process cannot have it".to_owned()),
        Health::Lost(Loss::Gone) => {
            notes.push("lost: look at `dmesg`, reset it or reboot".to_owned());
        }
        Health::Lost(Loss::ResetRequired) => {
            notes.push("needs a reset (`nvidia-smi --gpu-reset`)".to_owned());
        }
        Health::Lost(Loss::Xid79) => {
            notes.push("has fallen off the bus (Xid 79): reboot".to_owned());
        }
    }
    if let Some(throttle) = device.throttle.value().filter(|throttle| throttle.is_limiting()) {
        let names: Vec<&str> = throttle.names().collect();
        notes.push(format!("held back: {}", names.join(", ")));
    }
    if let Some(xid) = device.xid.value().filter(|xid| xid.count > 0) {
        notes.push(format!("{} critical events, the last one Xid {}", xid.count, xid.last));
    }
    if let Some(memory) = device.memory.value()
        && memory.basis == rampmeter_probe::device::MemoryBasis::HostEstimated
    {
        notes.push("shares the memory of the host: what is free is estimated".to_owned());
    }
    if let Some(list) = device.processes.value().filter(|list| list.found > list.listed) {
        notes.push(format!("{} processes, of which {} are listed", list.found, list.listed));
    }
    notes
}
