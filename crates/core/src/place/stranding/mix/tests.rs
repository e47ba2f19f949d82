//! What space saving promises.

use proptest::prelude::*;
use std::collections::BTreeMap;

use super::*;

proptest! {
    #[test]
    fn frequent_shapes_are_kept_and_none_is_counted_too_little(
        arrivals in prop::collection::vec((0_u32..200, 1_u32..5), 1..1_000),
    ) {
        let mut mix = TaskMix::new();
        let mut exact = BTreeMap::new();
        let mut sum = 0.0;
        for (cpu, weight) in arrivals {
            // Small numbers come more often.
            let cpu_milli = cpu * cpu / 200;
            let (shape, weight) = (Shape { cpu_milli, count: 0, milli: 0 }, f64::from(weight));
            mix.learn(shape, ModelSet::ANY, weight, true);
            *exact.entry(cpu_milli).or_insert(0.0) += weight;
            sum += weight;
        }
        let known = &mix.shapes[..mix.shapes_len];
        prop_assert!(known.len() <= SHAPES_MAX);
        let counted: f64 = known.iter().map(|(_, weight)| weight).sum();
        prop_assert_eq!(counted, sum, "what is forgotten is inherited");
        let error_max = sum / SHAPES_MAX as f64;
        for (cpu_milli, weight) in exact {
            let own = known.iter().find(|(shape, _)| shape.cpu_milli == cpu_milli);
            match own {
                Some((_, own)) => prop_assert!((weight..=weight + error_max).contains(own)),
                None => prop_assert!(weight <= error_max),
            }
        }
    }

    #[test]
    fn sets_of_models_are_bounded(sets in prop::collection::vec(1_u64..100, 1..300)) {
        let mut mix = TaskMix::new();
        let shape = Shape { cpu_milli: 0, count: 1, milli: 500 };
        for models in sets {
            mix.learn(shape, ModelSet(models), 1.0, true);
            prop_assert!(mix.wishes().len() <= SETS_MAX);
            prop_assert!(mix.wishes().iter().any(|own| own.models == ModelSet(models)));
        }
    }
}
