//! What the matrix offers is what a look at every node finds.

use super::*;
use crate::fleet::ModelSet;
use crate::place::gang::Gang;
use crate::policy::MixWeight;

/// What happens to a cluster between two questions.
#[derive(Clone, Debug)]
enum Event {
    Comes(Demand),
    Goes(prop::sample::Index),
    Drains(prop::sample::Index),
    Fails(prop::sample::Index),
    Returns(prop::sample::Index),
    Loses(prop::sample::Index),
    /// A node is taken away; another one may come with its number.
    Leaves(prop::sample::Index),
    Joins(Machine),
    /// From now on something else is expected.
    Mix(Vec<Demand>),
}

fn any_demand() -> impl Strategy<Value = Demand> {
    let devices = prop_oneof![
        1 => Just(DeviceDemand::None),
        3 => prop::sample::select(vec![1_u8, 1, 2, 4])
            .prop_map(|count| DeviceDemand::Whole { count, memory_mib: 0 }),
        5 => prop::sample::select(vec![120_u16, 250, 330, 500, 810])
            .prop_map(|milli| DeviceDemand::Share { count: 1, milli, memory_mib: 0 }),
        1 => (1_u16..1_000, 0_u32..90)
            .prop_map(|(milli, memory_mib)| DeviceDemand::Share { count: 1, milli, memory_mib }),
    ];
    let models = prop_oneof![3 => Just(u64::MAX), 1 => 1_u64..4];
    let cpu = prop::sample::select(vec![0_u32, 1_000, 2_000, 4_000, 9_000]);
    (cpu, 0_u32..40, devices, models).prop_map(|(cpu_milli, memory_mib, devices, models)| Demand {
        cpu_milli,
        memory_mib,
        devices,
        models: ModelSet(models),
        ..Demand::default()
    })
}

fn event() -> impl Strategy<Value = Event> {
    let index = any::<prop::sample::Index>;
    let no_memory = |mut demand: Demand| {
        if let DeviceDemand::Share { memory_mib, .. } = &mut demand.devices {
            *memory_mib = 0;
        }
        demand
    };
    let mix = prop::collection::vec(any_demand().prop_map(no_memory), 0..6);
    prop_oneof![
        24 => any_demand().prop_map(Event::Comes),
        10 => index().prop_map(Event::Goes),
        1 => index().prop_map(Event::Drains),
        1 => index().prop_map(Event::Fails),
        3 => index().prop_map(Event::Returns),
        1 => index().prop_map(Event::Loses),
        3 => index().prop_map(Event::Leaves),
        3 => machines().prop_map(|mut some| Event::Joins(some.swap_remove(0))),
        1 => mix.prop_map(Event::Mix),
    ]
}

/// 200 nodes of some kinds, so that there are several blocks, chunks and groups.
fn cluster(measure: Measure, kinds: &[Machine], nodes: usize) -> Placer {
    let rules =
        PlacementRules { measure, mix_weight: MixWeight::Arrivals, ..PlacementRules::default() };
    let options = FleetOptions { nodes_max: nodes as u32, devices_per_node_max: 8 };
    let mut fleet = Fleet::new(&options).unwrap();
    for at in 0..nodes {
        fleet.add_node(&kinds[at * at % 7 % kinds.len()].spec()).unwrap();
    }
    let options = PlacerOptions {
        tasks_max: 1_024,
        members_max: 1_024,
        task_members_max: 1,
        accounts_max: 1,
    };
    Placer::new(fleet, &Policy::default().with_placement(rules), &options).unwrap()
}

fn happen(placer: &mut Placer, running: &mut Vec<TaskId>, event: &Event) {
    let nodes = placer.fleet.iter().count();
    let node = |placer: &Placer, at: &prop::sample::Index| {
        placer.fleet.iter().nth(at.index(nodes)).unwrap().0
    };
    let (now, mut lost) = (placer.now, [TaskId::default(); 64]);
    match event {
        Event::Comes(demand) => {
            let mut out = [Hold::default()];
            let placed = placer.place(now, &task(*demand, 1), &mut out).unwrap();
            if let Placed::Running { task, .. } = placed {
                running.push(task);
            }
        }
        Event::Goes(at) if !running.is_empty() => {
            let gone = running.swap_remove(at.index(running.len()));
            placer.release(now, gone).unwrap();
        }
        Event::Drains(at) => {
            placer.drain_node(node(placer, at), &mut lost).unwrap();
        }
        Event::Fails(at) => {
            placer.fail_node(node(placer, at), &mut lost).unwrap();
        }
        Event::Returns(at) => placer.return_node(node(placer, at)).unwrap(),
        Event::Loses(at) => {
            let node = node(placer, at);
            if !placer.fleet.devices(node).unwrap().is_empty() {
                placer.fail_device(node, 0, &mut lost).unwrap();
            }
        }
        // The last one stays: there must be one to choose.
        Event::Leaves(at) if nodes > 1 => {
            let node = node(placer, at);
            let lost_len = placer.fail_node(node, &mut lost).unwrap() as usize;
            for task in &lost[..lost_len] {
                placer.release(now, *task).unwrap();
            }
            placer.remove_node(node).unwrap();
        }
        Event::Joins(machine) if nodes < placer.fleet.options().nodes_max as usize => {
            placer.add_node(&machine.spec()).unwrap();
        }
        Event::Goes(_) | Event::Leaves(_) | Event::Joins(_) => {}
        Event::Mix(demands) => {
            let entry = |demand: &Demand| MixEntry { demand: *demand, weight: 3 };
            placer.set_mix(&demands.iter().map(entry).collect::<Vec<_>>()).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// With costs of the present tables it is the same node, or there is none in both.
    #[test]
    fn what_is_offered_is_the_cheapest_of_all(
        kinds in machines(), nodes in prop_oneof![1_usize..8, 1_usize..200],
        measure in prop::sample::select(vec![Measure::Value, Measure::Fgd]),
        events in prop::collection::vec(event(), 1..120),
        asked in prop::collection::vec(any_demand(), 1..5),
        shadow_price in prop::sample::select(vec![0.0, 0.7]),
    ) {
        let mut placer = cluster(measure, &kinds, nodes);
        placer.shadow_price = shadow_price;
        let mut running = Vec::new();
        for (at, event) in events.iter().enumerate() {
            happen(&mut placer, &mut running, event);
            // Whoever is lost with a node is released when it is found.
            running.retain(|task| placer.task(*task).is_ok());
            placer.stranding.price_all(&placer.fleet);
            let asked = task(asked[at % asked.len()], 1);
            placer.look_around(&asked);
            let run = placer.domains.next(Domain::Fleet, 0).unwrap();
            let gang = Gang::new(&asked, 0);
            let offered = placer.choose(&gang, run);
            let plain = placer.choose_among(&gang, run);
            prop_assert_eq!(offered.is_ok(), plain.is_ok(), "{:?} {:?}", offered, plain);
            if let (Ok(offered), Ok(plain)) = (offered, plain) {
                prop_assert_eq!(offered, plain);
            }
        }
    }

    /// Costs are kept of the 128 shapes that were asked for last, as an ordered list says.
    #[test]
    fn shapes_asked_for_last_are_known(
        kinds in machines(), asked in prop::collection::vec(0_u32..150, 1..400),
    ) {
        let mut placer = cluster(Measure::Fgd, &kinds, 2);
        let demand_of = |at: u32| Demand {
            cpu_milli: 10 * (at / 2),
            devices: match at % 2 {
                0 => DeviceDemand::None,
                _ => DeviceDemand::Share { count: 1, milli: 7, memory_mib: at },
            },
            ..Demand::default()
        };
        let mut known: Vec<u32> = Vec::new();
        for at in asked {
            prop_assert_eq!(placer.knows_shape(&demand_of(at)), known.contains(&at));
            let placed = placer.place(placer.now, &task(demand_of(at), 1), &mut [Hold::default()]);
            if let Placed::Running { task, .. } = placed.unwrap() {
                placer.release(placer.now, task).unwrap();
            }
            known.retain(|own| *own != at);
            known.push(at);
            let forgotten = known.len().saturating_sub(128);
            known.drain(..forgotten);
        }
        let devices = DeviceDemand::Share { count: 2, milli: 7, memory_mib: 0 };
        let shares = Demand { devices, ..Demand::default() };
        prop_assert!(!placer.knows_shape(&shares), "there is no row for them");
    }
}
