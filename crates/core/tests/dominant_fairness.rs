//! What dominant-resource fairness promises, held against brute force and definitions.
//!
//! Tasks are whole, so that each promise of the papers, which hold for infinitely small tasks,
//! stands here with a slack that is derived where it is used.

use proptest::prelude::*;
use rampmeter::share::{AccountId, Amounts, Ledger, LedgerOptions};

const RESOURCES: usize = 3;

/// Somebody who would take any number of equal tasks.
#[derive(Clone, Copy, Debug)]
struct User {
    task: [u64; RESOURCES],
    weight: u32,
}

impl User {
    /// Part of the capacity that one task takes of what it takes most of.
    fn step(&self, capacity: [u64; RESOURCES]) -> f64 {
        dominant(self.task, capacity)
    }
}

fn dominant(held: [u64; RESOURCES], capacity: [u64; RESOURCES]) -> f64 {
    held.iter().zip(&capacity).map(|(held, all)| *held as f64 / *all as f64).fold(0.0, f64::max)
}

fn amounts(of: [u64; RESOURCES]) -> Amounts {
    let mut amounts = Amounts::ZERO;
    amounts.0[..RESOURCES].copy_from_slice(&of);
    amounts
}

fn times(task: [u64; RESOURCES], count: u64) -> [u64; RESOURCES] {
    task.map(|amount| amount * count)
}

fn ledger(accounts_max: u32, capacity: [u64; RESOURCES]) -> Ledger {
    let resources = RESOURCES as u32;
    let options = LedgerOptions { accounts_max, resources, dominant: true, ..Default::default() };
    let mut ledger = Ledger::new(&options).unwrap();
    ledger.set_capacity(&amounts(capacity)).unwrap();
    ledger
}

/// Gives tasks to whose turn it is until nothing fits: progressive filling. Tasks given to each,
/// in the order of `tasks`, and the order in which they were given.
fn fill(
    ledger: &mut Ledger,
    free: &mut [u64; RESOURCES],
    tasks: &[(AccountId, [u64; RESOURCES])],
) -> (Vec<u64>, Vec<usize>) {
    for (account, task) in tasks {
        ledger.set_next_task(*account, Some(&amounts(*task))).unwrap();
    }
    let (mut given, mut order) = (vec![0; tasks.len()], Vec::new());
    while let Some(next) = ledger.most_deserving().unwrap() {
        let place = tasks.iter().position(|(account, _)| *account == next).unwrap();
        let task = tasks[place].1;
        if task.iter().zip(&*free).any(|(task, free)| task > free) {
            ledger.set_next_task(next, None).unwrap();
            continue;
        }
        free.iter_mut().zip(&task).for_each(|(free, task)| *free -= task);
        ledger.allocate(next, &amounts(task)).unwrap();
        given[place] += 1;
        order.push(place);
    }
    (given, order)
}

/// All of them below the root.
fn flat(users: &[User], capacity: [u64; RESOURCES]) -> (Vec<u64>, Vec<usize>) {
    let mut ledger = ledger(users.len() as u32, capacity);
    let open = |user: &User| (ledger.open(None, user.weight.into()).unwrap(), user.task);
    let tasks: Vec<_> = users.iter().map(open).collect();
    fill(&mut ledger, &mut capacity.clone(), &tasks)
}

/// Smallest weighted dominant share, exactly: over the product of capacities and weights.
fn smallest_level(users: &[User], given: &[u64], capacity: [u64; RESOURCES]) -> u128 {
    let all: u128 = capacity.iter().map(|amount| u128::from(*amount)).product();
    let weights: u128 = users.iter().map(|user| u128::from(user.weight)).product();
    let level = |(user, given): (&User, &u64)| {
        let of_one =
            |(task, amount): (&u64, &u64)| u128::from(task * given) * (all / u128::from(*amount));
        let largest = user.task.iter().zip(&capacity).map(of_one).max().unwrap();
        largest * (weights / u128::from(user.weight))
    };
    users.iter().zip(given).map(level).min().unwrap()
}

/// The largest smallest level over all numbers of tasks that fit.
fn best_smallest_level(users: &[User], capacity: [u64; RESOURCES]) -> u128 {
    let (mut given, mut best) = (vec![0_u64; users.len()], 0);
    loop {
        best = best.max(smallest_level(users, &given, capacity));
        // The next combination that fits: an odometer whose wheels end where capacity does.
        let mut wheel = 0;
        loop {
            if wheel == users.len() {
                return best;
            }
            given[wheel] += 1;
            let fits = (0..RESOURCES).all(|resource| {
                let used =
                    users.iter().zip(&given).map(|(user, given)| user.task[resource] * given);
                used.sum::<u64>() <= capacity[resource]
            });
            if fits {
                break;
            }
            given[wheel] = 0;
            wheel += 1;
        }
    }
}

/// The limit of infinitely small tasks: all levels rise together, and who needs what is used up
/// stays where it is.
fn fluid(users: &[User], capacity: [u64; RESOURCES]) -> Vec<f64> {
    let (mut levels, mut frozen) = (vec![0.0; users.len()], vec![false; users.len()]);
    let mut free = capacity.map(|amount| amount as f64);
    while frozen.contains(&false) {
        // What all that grow take of each resource while their level rises by one.
        let rate_of = |user: &User, resource: usize| {
            let tasks = f64::from(user.weight) / user.step(capacity);
            user.task[resource] as f64 * tasks
        };
        let rates: [f64; RESOURCES] = core::array::from_fn(|resource| {
            let growing = users.iter().zip(&frozen).filter(|(_, frozen)| !**frozen);
            growing.map(|(user, _)| rate_of(user, resource)).sum()
        });
        let until = |resource: usize| {
            if rates[resource] > 0.0 { free[resource] / rates[resource] } else { f64::INFINITY }
        };
        let full = (0..RESOURCES).min_by(|a, b| until(*a).total_cmp(&until(*b))).unwrap();
        let rise = until(full);
        for resource in 0..RESOURCES {
            free[resource] = (free[resource] - rates[resource] * rise).max(0.0);
        }
        for (place, user) in users.iter().enumerate() {
            if !frozen[place] {
                levels[place] += rise;
                frozen[place] = user.task[full] > 0;
            }
        }
    }
    levels
}

fn user(amount_max: u64, weight_max: u32) -> impl Strategy<Value = User> {
    let task = prop::array::uniform3(0..=amount_max)
        .prop_filter("a task takes something", |task| task.iter().any(|amount| *amount > 0));
    (task, 1..=weight_max).prop_map(|(task, weight)| User { task, weight })
}

/// Section 4.1: 9 CPUs and 18 GB, tasks of 1 CPU and 4 GB and of 3 CPUs and 1 GB.
#[test]
fn the_worked_example_of_the_paper() {
    let users = [User { task: [1, 4, 0], weight: 1 }, User { task: [3, 1, 0], weight: 1 }];
    let capacity = [9, 18, 1];
    let (given, order) = flat(&users, capacity);
    assert_eq!(given, [3, 2]);
    assert_eq!(order, [0, 1, 0, 1, 0], "equal levels go by index; the paper begins with B");
    let found = smallest_level(&users, &given, capacity);
    assert_eq!(found, best_smallest_level(&users, capacity), "no other numbers are fairer");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// By brute force over all numbers of tasks that fit. When the first account is refused, every
    /// other level is above its own by less than one task: numbers with a smallest level of so
    /// much more would contain these and its next task.
    #[test]
    fn the_poorest_gets_what_anybody_could_give_it_but_for_one_task(
        users in prop::collection::vec(user(5, 3), 1..4),
        capacity in prop::array::uniform3(4_u64..16),
    ) {
        let (given, _) = flat(&users, capacity);
        let one = vec![1; users.len()];
        let task = |place: usize| {
            smallest_level(&[users[place]], &one[..1], capacity)
                * users.iter().map(|user| u128::from(user.weight)).product::<u128>()
                / u128::from(users[place].weight)
        };
        let step = (0..users.len()).map(task).max().unwrap();
        let (found, best) =
            (smallest_level(&users, &given, capacity), best_smallest_level(&users, capacity));
        prop_assert!(found + step > best || found == best, "{found} {best} {step} {given:?}");
    }

    /// One level of accounts is flat DRF: the order is that of a list searched for the smallest
    /// weighted share.
    #[test]
    fn one_level_is_flat(
        users in prop::collection::vec(user(9, 3), 1..8),
        capacity in prop::array::uniform3(40_u64..200),
    ) {
        let (_, order) = flat(&users, capacity);
        let (mut given, mut free) = (vec![0; users.len()], capacity);
        let (mut open, mut expected) = (vec![true; users.len()], Vec::new());
        let level = |place: usize, given: &[u64]| {
            let held = times(users[place].task, given[place]);
            dominant(held, capacity) / f64::from(users[place].weight)
        };
        while let Some(next) = (0..users.len()).filter(|place| open[*place])
            .min_by(|a, b| level(*a, &given).total_cmp(&level(*b, &given)))
        {
            if users[next].task.iter().zip(&free).any(|(task, free)| task > free) {
                open[next] = false;
                continue;
            }
            free.iter_mut().zip(&users[next].task).for_each(|(free, task)| *free -= task);
            given[next] += 1;
            expected.push(next);
        }
        prop_assert_eq!(order, expected);
    }
}

/// Largest amount of a task in what follows, and capacities that are many times as large.
const TASK_MAX: u64 = 12;

/// By how much whole tasks may miss what small ones reach, in dominant shares. Somebody refused
/// leaves less than one task of a resource to the others, who may make up to `TASK_MAX` tasks of
/// that; each of the others may do so once more.
fn slack(users: &[User], capacity: [u64; RESOURCES]) -> f64 {
    let step = users.iter().map(|user| user.step(capacity)).fold(0.0, f64::max);
    users.len() as f64 * (1 + TASK_MAX) as f64 * step
}

/// Tasks of `user` that fit into `held`, as a dominant share.
fn worth(user: &User, held: [u64; RESOURCES], capacity: [u64; RESOURCES]) -> f64 {
    let fits = |(task, held): (&u64, &u64)| {
        if *task == 0 { f64::INFINITY } else { *held as f64 / *task as f64 }
    };
    user.task.iter().zip(&held).map(fits).fold(f64::INFINITY, f64::min) * user.step(capacity)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn small_tasks_come_to_the_fluid_allocation(
        users in prop::collection::vec(user(TASK_MAX, 3), 1..5),
        capacity in prop::array::uniform3(20_000_u64..60_000),
    ) {
        let (given, _) = flat(&users, capacity);
        let expected = fluid(&users, capacity);
        for ((user, given), level) in users.iter().zip(&given).zip(expected) {
            let found = dominant(times(user.task, *given), capacity);
            let expected = level * f64::from(user.weight);
            prop_assert!((found - expected).abs() <= slack(&users, capacity), "{found} {expected}");
        }
    }

    /// Nobody would rather have its part of every resource to itself. When the first is refused,
    /// with a level of `l`, some resource is full but for its task: `1 < sum of (weight * l +
    /// step)`, and no level falls.
    #[test]
    fn sharing_pays(
        users in prop::collection::vec(user(TASK_MAX, 3), 1..6),
        capacity in prop::array::uniform3(400_u64..4_000),
    ) {
        let (given, _) = flat(&users, capacity);
        let weights: f64 = users.iter().map(|user| f64::from(user.weight)).sum();
        let steps: f64 = users.iter().map(|user| user.step(capacity)).sum();
        for (user, given) in users.iter().zip(&given) {
            let found = dominant(times(user.task, *given), capacity);
            let own_part = f64::from(user.weight) * (1.0 - steps) / weights;
            prop_assert!(found >= own_part - 1e-12, "{found} {own_part}");
        }
    }

    /// Nobody would do more with what another one of the same weight has.
    #[test]
    fn nobody_envies_anybody(
        users in prop::collection::vec(user(TASK_MAX, 1), 2..5),
        capacity in prop::array::uniform3(20_000_u64..60_000),
    ) {
        let (given, _) = flat(&users, capacity);
        for (user, own) in users.iter().zip(&given) {
            for (other, theirs) in users.iter().zip(&given) {
                let envied = worth(user, times(other.task, *theirs), capacity);
                let own = dominant(times(user.task, *own), capacity);
                prop_assert!(envied <= own + slack(&users, capacity), "{envied} {own}");
            }
        }
    }

    /// Nobody gets more of its tasks done by asking for other ones.
    #[test]
    fn lies_do_not_pay(
        users in prop::collection::vec(user(TASK_MAX, 3), 2..5),
        lie in user(TASK_MAX, 1),
        capacity in prop::array::uniform3(20_000_u64..60_000),
    ) {
        let (honest, _) = flat(&users, capacity);
        let mut told = users.clone();
        told[0].task = lie.task;
        let (given, _) = flat(&told, capacity);
        let gained = worth(&users[0], times(lie.task, given[0]), capacity);
        let honest = dominant(times(users[0].task, honest[0]), capacity);
        let slack = slack(&users, capacity) + slack(&told, capacity);
        prop_assert!(gained <= honest + slack, "{gained} {honest}");
    }

    /// Groups of users, all of whom would take anything. Each group has at least its weighted part
    /// of some resource, and each user at least its weighted part of what its group must have,
    /// whoever is refused first.
    #[test]
    fn every_level_has_its_guarantee(
        groups in prop::collection::vec(
            (1_u32..4, prop::collection::vec(user(TASK_MAX, 3), 1..4)), 1..4,
        ),
        capacity in prop::array::uniform3(20_000_u64..60_000),
    ) {
        let mut ledger = ledger(16, capacity);
        let (mut tasks, mut members) = (Vec::new(), Vec::new());
        let weights: u32 = groups.iter().map(|group| group.0).sum();
        for (weight, users) in &groups {
            let group = ledger.open(None, (*weight).into()).unwrap();
            let below: u32 = users.iter().map(|user| user.weight).sum();
            for user in users {
                tasks.push((ledger.open(Some(group), user.weight.into()).unwrap(), user.task));
                let part = f64::from(*weight) / f64::from(weights);
                members.push((group, *user, part, f64::from(user.weight) / f64::from(below)));
            }
        }
        let (given, _) = fill(&mut ledger, &mut capacity.clone(), &tasks);
        let users: Vec<User> = members.iter().map(|member| member.1).collect();
        let slack = slack(&users, capacity);
        for ((group, user, part, part_below), given) in members.into_iter().zip(given) {
            let all = ledger.resource_shares(group).unwrap().dominant();
            prop_assert!(all >= part - slack, "a group has {all} of {part}");
            let own = dominant(times(user.task, given), capacity);
            prop_assert!(own >= part * part_below - slack, "{own} of {}", part * part_below);
        }
    }
}

/// A sibling that has taken all memory while nobody else wanted any, and can grow no further, does
/// not keep its sibling from CPUs that another group wants as well.
#[test]
fn a_blocked_child_does_not_starve_its_sibling() {
    let capacity = [1_000, 1_000, 1];
    let mut ledger = ledger(8, capacity);
    let group = ledger.open(None, 1.0).unwrap();
    let [memory, late] = [(); 2].map(|()| ledger.open(Some(group), 1.0).unwrap());
    let other = ledger.open(None, 1.0).unwrap();
    let mut free = capacity;
    fill(&mut ledger, &mut free, &[(memory, [0, 1, 0])]);
    assert_eq!(free, [1_000, 0, 1]);
    let wants = [(memory, [0, 1, 0]), (late, [1, 0, 0]), (other, [1, 0, 0])];
    let (given, _) = fill(&mut ledger, &mut free, &wants);
    assert_eq!(given, [0, 500, 500]);
}

/// The price of that: a group in which somebody holds more than its siblings and wants no more
/// counts for less than it holds. Here it ends with 60 of 100, the other one with 40.
#[test]
fn a_group_served_unevenly_counts_for_less_than_it_holds() {
    let capacity = [1_000, 1, 1];
    let mut ledger = ledger(8, capacity);
    let group = ledger.open(None, 1.0).unwrap();
    let [early, late] = [(); 2].map(|()| ledger.open(Some(group), 1.0).unwrap());
    let other = ledger.open(None, 1.0).unwrap();
    ledger.allocate(early, &Amounts::first(400)).unwrap();
    let mut free = [600, 1, 1];
    let (given, _) = fill(&mut ledger, &mut free, &[(late, [1, 0, 0]), (other, [1, 0, 0])]);
    assert_eq!(given, [200, 400]);
}

/// A group of a thousand users with one task each holds a thousand tasks: it does not count as
/// one until each of them has two.
#[test]
fn many_small_users_are_counted_for_what_they_hold() {
    let capacity = [3_000, 1, 1];
    let mut ledger = ledger(1_002, capacity);
    let group = ledger.open(None, 1.0).unwrap();
    let users = (0..1_000).map(|_| ledger.open(Some(group), 1.0).unwrap()).collect::<Vec<_>>();
    let alone = ledger.open(None, 1.0).unwrap();
    let accounts = users.into_iter().chain([alone]);
    let tasks: Vec<_> = accounts.map(|account| (account, [1, 0, 0])).collect();
    let (given, _) = fill(&mut ledger, &mut capacity.clone(), &tasks);
    assert_eq!(given[1_000], 1_500);
    assert!(given[..1_000].iter().all(|given| (1..=2).contains(given)));
}

/// Turns among 100,000 accounts in 1,000 groups. Groups of equal level may differ by one task of
/// the resource that does not dominate, so that two turns for each on average are one to three.
#[test]
fn a_hundred_thousand_accounts() {
    let mut ledger = ledger(101_000, [1 << 40, 1 << 40, 1]);
    let mut users = Vec::new();
    for _ in 0..1_000 {
        let group = ledger.open(None, 1.0).unwrap();
        users.extend((0..100).map(|_| ledger.open(Some(group), 1.0).unwrap()));
    }
    let task = |account: AccountId| amounts([[1, 0, 0], [0, 1, 0]][account.index() as usize % 2]);
    for user in &users {
        ledger.set_next_task(*user, Some(&task(*user))).unwrap();
    }
    let mut turns = std::collections::HashMap::new();
    for _ in 0..200_000 {
        let next = ledger.most_deserving().unwrap().unwrap();
        *turns.entry(next).or_insert(0) += 1;
        ledger.allocate(next, &task(next)).unwrap();
    }
    assert_eq!(turns.len(), 100_000);
    assert!(turns.values().all(|turns| (1..=3).contains(turns)));
}
