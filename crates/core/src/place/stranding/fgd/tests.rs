//! The fast form against the definition.

use proptest::prelude::*;
use std::vec::Vec;

use super::*;
use crate::fleet::{DeviceSpec, ModelId, ModelSet};
use crate::place::stranding::mix::{Entry, TaskMix};
use crate::place::stranding::models::Slots;
use crate::place::stranding::shape::Shape;

fn tables_of(entries: &[Entry], slots: &Slots) -> Tables {
    let mut mix = TaskMix::new();
    mix.fix(entries.iter().copied());
    let mut frozen = Frozen::new();
    mix.freeze(slots, &mut frozen);
    let mut tables = Tables::new();
    tables.begin(&frozen);
    (0..tables.steps()).for_each(|at| tables.step(at, &frozen));
    tables
}

/// Fragments of a node for a mix, shape by shape.
fn by_definition(entries: &[Entry], cpu_milli: u32, model: ModelId, left: &[u16]) -> i64 {
    let idle: i64 = left.iter().map(|milli| i64::from(*milli)).sum();
    let of = |entry: &Entry| {
        let Entry { shape, models, .. } = entry;
        let room = left.iter().filter(|milli| **milli >= shape.milli).count();
        let fits = shape.count > 0
            && models.contains(model)
            && shape.cpu_milli <= cpu_milli
            && room >= usize::from(shape.count);
        let small = left.iter().filter(|milli| **milli < shape.milli);
        if fits { small.map(|milli| i64::from(*milli)).sum() } else { idle }
    };
    entries.iter().map(|entry| i64::from(entry.weight) * of(entry)).sum()
}

fn any_shape() -> impl Strategy<Value = Shape> {
    (0_u32..20, 0_u8..=8, 1_u16..=20).prop_map(|(cpu, count, milli)| {
        let milli = match count {
            0 => 0,
            1 => milli * 50,
            _ => 1_000,
        };
        Shape { cpu_milli: cpu * 1_000, count, milli }
    })
}

proptest! {
    #[test]
    fn the_fast_form_is_the_definition(
        mix in prop::collection::vec((any_shape(), 1_u64..8, 1_u32..100), 1..64),
        left in prop::collection::vec((0_u16..=20).prop_map(|steps| steps * 50), 1..=8),
        cpu in 0_u32..30,
        model in 0_u8..3,
        asked in any_shape(),
    ) {
        let mut slots = Slots::new();
        (0..3).for_each(|model| {
            slots.see(&DeviceSpec { model: ModelId(model), ..DeviceSpec::default() });
        });
        let entry = |&(shape, models, weight): &(Shape, u64, u32)| {
            Entry { shape, models: ModelSet(models), weight }
        };
        let entries: Vec<Entry> = mix.iter().map(entry).collect();
        let tables = tables_of(&entries, &slots);
        let mut sight = Sight::of_cpu(cpu * 1_000);
        (sight.slot, sight.slots) = (model, [model; DEVICES_MAX]);
        left.iter().enumerate().for_each(|(at, milli)| sight.add(at, *milli));
        let definition = |cpu_milli: u32, left: &[u16]| {
            by_definition(&entries, cpu_milli, ModelId(model), left)
        };
        let node = FragmentsOf::new(&tables, &sight);
        let before = definition(sight.cpu_milli, &left);
        prop_assert_eq!(node.before, before);
        let Some(cpu_milli) = sight.cpu_milli.checked_sub(asked.cpu_milli) else { return Ok(()) };
        let fit: Vec<usize> = (0..left.len()).filter(|at| left[*at] >= asked.milli).collect();
        let count = usize::from(asked.count);
        if fit.len() < count {
            return Ok(());
        }
        let (mut after, mut moves) = (left.clone(), Vec::new());
        for at in &fit[..count] {
            let to_milli = left[*at] - asked.milli;
            moves.push(Move { slot: model, count: 1, from_milli: left[*at], to_milli });
            after[*at] = to_milli;
        }
        let decrease = (before - definition(cpu_milli, &after)) as f64 / tables.total as f64;
        let sigmoid = 1.0 / (1.0 + (-decrease / 1_000.0).exp());
        let cost = node.steps(&node.with_cpu_left(cpu_milli), &moves);
        let score = tables.costs.iter().position(|own| *own == cost).unwrap();
        let exact = 100.0 * sigmoid;
        // Where it is a whole number by definition either side of it may be told.
        prop_assert!(score as f64 <= exact + 1e-6 && exact < score as f64 + 1.0 + 1e-6);
    }
}
