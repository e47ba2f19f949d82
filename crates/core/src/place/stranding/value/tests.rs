//! `u` and Psi against exact recursions on finer grids.

use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::fleet::ModelSet;
use crate::place::stranding::mix::{Entry, TaskMix};
use crate::place::stranding::models::Slots;
use crate::place::stranding::shape::Shape;

const DEVICES: u32 = 4;
const CPU_MAX_MILLI: u32 = 64_000;

fn tables_of(shapes: &[(Shape, u32)]) -> Tables {
    let mut slots = Slots::new();
    slots.see(&crate::fleet::DeviceSpec::default());
    let mut mix = TaskMix::new();
    let entry = |&(shape, weight): &(Shape, u32)| Entry { shape, models: ModelSet::ANY, weight };
    mix.fix(shapes.iter().map(entry));
    let mut frozen = Frozen::new();
    mix.freeze(&slots, &mut frozen);
    let mut tables = Tables::new(DEVICES);
    tables.begin(&frozen, CPU_MAX_MILLI);
    (0..tables.steps()).for_each(|at| tables.step(at, &frozen));
    tables
}

/// `u` for every thousandth, by its definition.
fn exact_fill(shapes: &[(Shape, u32)]) -> Vec<f64> {
    let single: Vec<(usize, f64)> = shapes
        .iter()
        .filter(|(shape, _)| shape.count == 1)
        .map(|(shape, weight)| (shape.milli.into(), f64::from(*weight)))
        .collect();
    let all: f64 = single.iter().map(|(_, weight)| weight).sum();
    let mut fill = vec![0.0; 1_001];
    for left in 1..=1_000 {
        let (mut up, mut down) = (0.0, 0.1 * all);
        for (milli, weight) in single.iter().filter(|(milli, _)| *milli <= left) {
            up += weight * (*milli as f64 + fill[left - milli]);
            down += weight;
        }
        fill[left] = if down > 0.0 { up / down } else { 0.0 };
    }
    fill
}

/// What comes of a node if shapes come one after the other, in whole steps of the grid: by the
/// definition, not by the tables.
fn exact_psi(
    shapes: &[(Shape, u32)],
    cpu: u32,
    idle: u32,
    known: &mut Vec<Vec<Option<f64>>>,
) -> f64 {
    if let Some(value) = known[cpu as usize][idle as usize] {
        return value;
    }
    let all: f64 = shapes.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let (mut up, mut down) = (0.0, 0.02 * all);
    for (shape, weight) in shapes {
        let (own, count) = (shape.cpu_milli / 4_000, u32::from(shape.count));
        if own > cpu {
            continue;
        }
        down += f64::from(*weight);
        let value = if count > idle {
            f64::from(idle) * 1_000.0
        } else {
            f64::from(count) * 1_000.0 + exact_psi(shapes, cpu - own, idle - count, known)
        };
        up += f64::from(*weight) * value;
    }
    let value = up / down;
    known[cpu as usize][idle as usize] = Some(value);
    value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// On shapes that are whole steps of the grid the table is exact, and between its points it is
    /// a mean of both sides.
    #[test]
    fn fill_is_its_definition(
        steps in prop::collection::vec((1_u16..=100, 1_u32..50), 1..12),
    ) {
        let shape = |&(step, weight): &(u16, u32)| {
            (Shape { cpu_milli: 0, count: 1, milli: step * 10 }, weight)
        };
        let shapes: Vec<_> = steps.iter().map(shape).collect();
        let (tables, exact) = (tables_of(&shapes), exact_fill(&shapes));
        for left in (0..=1_000_u16).step_by(10) {
            let own = tables.fill(0, left) as f64 / DEVICE as f64 * 1_000.0;
            let exact = exact[usize::from(left)];
            prop_assert!((own - exact).abs() < 0.02, "{left}: {own} is not {exact}");
        }
        for left in 0..990_u16 {
            let low = tables.fill(0, left / 10 * 10);
            let high = tables.fill(0, left / 10 * 10 + 10);
            let own = tables.fill(0, left);
            prop_assert!(low.min(high) <= own && own <= low.max(high));
        }
    }

    /// Whatever the shapes are, no more is used than there is.
    #[test]
    fn no_more_is_used_than_there_is(
        list in prop::collection::vec((0_u32..70_000, 0_u8..=4, 1_u16..=1_000, 1_u32..50), 1..20),
    ) {
        let shape = |&(cpu_milli, count, milli, weight): &(u32, u8, u16, u32)| {
            let milli = match count { 0 => 0, 1 => milli, _ => 1_000 };
            (Shape { cpu_milli, count, milli }, weight)
        };
        let tables = tables_of(&list.iter().map(shape).collect::<Vec<_>>());
        for (at, fill) in tables.fill[..FILL_LEN].iter().enumerate() {
            prop_assert!((-0.01..=at as f32 * 10.0 + 0.01).contains(&fill[0]), "{at} {}", fill[0]);
        }
        for (at, psi) in tables.psi.iter().enumerate() {
            let most = (at % tables.devices_len) as f32 * 1_000.0;
            prop_assert!((-0.1..=most + 0.1).contains(&psi[0]), "{at} {}", psi[0]);
        }
    }

    #[test]
    fn psi_is_its_definition(
        list in prop::collection::vec((0_u32..=16, 0_u8..=4, 1_u32..50), 1..12),
    ) {
        let shapes: Vec<(Shape, u32)> = list
            .iter()
            .filter(|(cpu, count, _)| *cpu > 0 || *count > 0)
            .map(|&(cpu, count, weight)| {
                let milli = if count == 0 { 0 } else { 1_000 };
                (Shape { cpu_milli: cpu * 4_000, count, milli }, weight)
            })
            .collect();
        prop_assume!(!shapes.is_empty());
        let tables = tables_of(&shapes);
        let mut known = vec![vec![None; 5]; 17];
        for cpu in 0..=16_u32 {
            for idle in 0..=4_u32 {
                let own = tables.psi[cpu as usize * tables.devices_len + idle as usize][0];
                let exact = exact_psi(&shapes, cpu, idle, &mut known);
                prop_assert!((f64::from(own) - exact).abs() < 0.1, "{cpu} {idle}: {own} {exact}");
            }
        }
    }
}
