//! The whole tree: against the rules written down recursively, on trees that change in between.

use proptest::prelude::*;
use rampmeter::share::{
    AccountId, AccountQuota, Amounts, Claim, Division, Excess, Ledger, LedgerOptions, Level,
    ShareParts, divide_level,
};

const ACCOUNTS: u32 = 12;
const RESOURCES: u32 = 2;

#[derive(Clone, Copy, Debug)]
enum Op {
    Open(usize),
    Close(usize),
    Rules(usize, [u64; 2], [Option<u64>; 2], [usize; 2], i32),
    Ask(usize, [u64; 2]),
    Hold(usize, [u64; 2]),
    Idle(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let place = 0..ACCOUNTS as usize;
    let amounts = || prop::array::uniform2(0u64..60);
    let limits = prop::array::uniform2(prop::option::of(0u64..90));
    let op = prop_oneof![
        3 => (0..ACCOUNTS as usize + 4).prop_map(Op::Open),
        1 => place.clone().prop_map(Op::Close),
        3 => (place.clone(), amounts(), limits, prop::array::uniform2(0..3_usize), 0..2_i32)
            .prop_map(|(at, quota, limit, weight, priority)| {
                Op::Rules(at, quota, limit, weight, priority)
            }),
        4 => (place.clone(), amounts()).prop_map(|(at, amounts)| Op::Ask(at, amounts)),
        3 => (place.clone(), amounts()).prop_map(|(at, amounts)| Op::Hold(at, amounts)),
        1 => place.prop_map(Op::Idle),
    ];
    prop::collection::vec(op, 0..60)
}

/// What the test knows of an account.
#[derive(Clone, Debug)]
struct Node {
    id: AccountId,
    parent: Option<AccountId>,
    rules: AccountQuota,
    held: [u64; 2],
    asked: [u64; 2],
    opened_at: u64,
}

#[derive(Default)]
struct Model {
    nodes: Vec<Node>,
    opened: u64,
}

fn amounts(of: [u64; 2]) -> Amounts {
    let mut amounts = Amounts::ZERO;
    amounts.0[..2].copy_from_slice(&of);
    amounts
}

impl Model {
    fn node(&mut self, id: AccountId) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.id == id)
    }

    fn apply(&mut self, ledger: &mut Ledger, op: Op) {
        let at = |at: usize| ledger.tree().account_at(at as u32).unwrap_or_default();
        match op {
            Op::Open(place) => {
                let parent = (place < ACCOUNTS as usize).then(|| at(place));
                let Ok(id) = ledger.open(parent, 1.0) else { return };
                let (rules, opened_at) = (AccountQuota::default(), self.opened);
                let node = Node { id, parent, rules, held: [0; 2], asked: [0; 2], opened_at };
                self.nodes.push(node);
                self.opened += 1;
            }
            Op::Close(place) => {
                let id = at(place);
                if ledger.close(id).is_ok() {
                    self.nodes.retain(|node| node.id != id);
                }
            }
            Op::Rules(place, quota, limit, weight, priority) => {
                let mut rules = AccountQuota { quota: amounts(quota), ..AccountQuota::default() };
                rules.over_quota_priority = priority;
                for resource in 0..2 {
                    rules.limit.0[resource] = limit[resource].unwrap_or(u64::MAX);
                    rules.over_quota_weight[resource] = [0.0, 1.0, 2.5][weight[resource]];
                }
                let Some(node) = self.node(at(place)) else { return };
                node.rules = rules;
                ledger.set_quota(node.id, &rules).unwrap();
            }
            Op::Ask(place, asked) => {
                let Some(node) = self.node(at(place)) else { return };
                (0..2).for_each(|resource| node.asked[resource] += asked[resource]);
                ledger.ask(node.id, &amounts(asked)).unwrap();
            }
            Op::Hold(place, held) => {
                let Some(node) = self.node(at(place)) else { return };
                (0..2).for_each(|resource| node.held[resource] += held[resource]);
                ledger.allocate(node.id, &amounts(held)).unwrap();
            }
            Op::Idle(place) => {
                let Some(node) = self.node(at(place)) else { return };
                ledger.withdraw(node.id, &amounts(node.asked)).unwrap();
                ledger.release(node.id, &amounts(node.held)).unwrap();
                (node.asked, node.held) = ([0; 2], [0; 2]);
            }
        }
    }

    fn children(&self, parent: Option<AccountId>) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.parent == parent)
    }

    /// What an account with everybody below it may have of what it wants.
    fn wanted(&self, node: &Node, resource: usize) -> u64 {
        let below: u64 =
            self.children(Some(node.id)).map(|child| self.wanted(child, resource)).sum();
        let all = node.held[resource] + node.asked[resource] + below;
        let nothing_more = node.rules.over_quota_weight[resource] == 0.0;
        let most = if nothing_more { node.rules.quota.0[resource] } else { u64::MAX };
        all.min(node.rules.limit.0[resource]).min(most)
    }

    /// Limits count, wherever they stand; what is guaranteed is part of what then is left.
    fn check_parts(&self, ledger: &mut Ledger, resource: usize) -> Result<(), TestCaseError> {
        let mut parts = [ShareParts::default(); ACCOUNTS as usize];
        ledger.share_parts(resource as u32, &mut parts).unwrap();
        for node in &self.nodes {
            let request = self.wanted(node, resource);
            let expected = ShareParts {
                wanted: ledger.held(node.id).unwrap().0[resource]
                    + ledger.asked(node.id).unwrap().0[resource],
                request,
                guaranteed: request.min(node.rules.quota.0[resource]),
                share: ledger.fair_share(node.id).unwrap().0[resource],
            };
            prop_assert_eq!(parts[node.id.index() as usize], expected);
        }
        Ok(())
    }

    /// Divides `total` among the children of an account, and so on below; compares.
    fn check(
        &self,
        ledger: &Ledger,
        parent: Option<&Node>,
        total: u64,
        resource: usize,
        division: &Division<'_>,
    ) -> Result<(), TestCaseError> {
        let used = |node: &Node| {
            let row = node.id.index() as usize * RESOURCES as usize;
            division.usage[row + resource]
        };
        let part = |used: f64| used / total.max(1) as f64;
        let mut nodes: Vec<_> = self.children(parent.map(|node| node.id)).collect();
        if nodes.is_empty() {
            return Ok(());
        }
        nodes.sort_by_key(|node| node.id.index());
        let claim = |node: &&Node| Claim {
            id: node.id.index(),
            over_quota_priority: node.rules.over_quota_priority,
            quota: node.rules.quota.0[resource],
            limit: node.rules.limit.0[resource],
            request: self.wanted(node, resource),
            over_quota_weight: node.rules.over_quota_weight[resource],
            usage: part(used(node)),
            opened_at: node.opened_at,
            ..Claim::default()
        };
        let mut claims: Vec<_> =
            nodes.iter().map(claim).filter(|claim| claim.request > 0).collect();
        if let Some(node) = parent {
            let below: f64 = nodes.iter().map(|node| used(node)).sum();
            claims.push(Claim {
                id: node.id.index(),
                request: node.held[resource] + node.asked[resource],
                usage: part((used(node) - below).max(0.0)),
                opened_at: node.opened_at,
                ..Claim::default()
            });
        }
        let excess = if parent.is_some() { Excess::Cut } else { Excess::Keep };
        let unit = division.units.0[resource];
        let level = Level { total, unit, usage_weight: division.usage_weight, excess };
        let left = divide_level(&level, &mut claims).unwrap();
        prop_assert!(parent.is_none() || left == 0, "{} lie idle below {:?}", left, parent);
        for node in nodes {
            let claim = claims.iter().find(|claim| claim.id == node.id.index());
            let share = claim.map_or(0, |claim| claim.share);
            prop_assert_eq!(ledger.fair_share(node.id).unwrap().0[resource], share);
            self.check(ledger, Some(node), share, resource, division)?;
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_tree_is_divided_as_the_rules_say(
        ops in prop::collection::vec(ops(), 1..4), capacity in prop::array::uniform2(0u64..400),
        usage in prop::collection::vec(0.0f64..200.0, (ACCOUNTS * RESOURCES) as usize),
        usage_weight in prop_oneof![Just(0.0), 0.0..4.0], unit in 1u64..20,
    ) {
        let resources = RESOURCES;
        let options = LedgerOptions { accounts_max: ACCOUNTS, resources, ..LedgerOptions::default() };
        let mut ledger = Ledger::new(&options).unwrap();
        ledger.set_capacity(&amounts(capacity)).unwrap();
        let mut units = Division::default().units;
        units.0[0] = unit;
        let division = Division { usage_weight, usage: &usage, units };
        let mut model = Model::default();
        for ops in ops {
            for op in ops {
                model.apply(&mut ledger, op);
            }
            ledger.divide(&division).unwrap();
            for (resource, total) in capacity.into_iter().enumerate() {
                model.check(&ledger, None, total, resource, &division)?;
                model.check_parts(&mut ledger, resource)?;
            }
        }
    }
}

fn ledger(accounts_max: u32) -> Ledger {
    let options = LedgerOptions { accounts_max, resources: 1, ..LedgerOptions::default() };
    let mut ledger = Ledger::new(&options).unwrap();
    ledger.set_capacity(&Amounts::first(100)).unwrap();
    ledger
}

fn opened(ledger: &mut Ledger, parent: Option<AccountId>, quota: u64, ask: u64) -> AccountId {
    let account = ledger.open(parent, 1.0).unwrap();
    let quota = Amounts::first(quota);
    ledger.set_quota(account, &AccountQuota { quota, ..AccountQuota::default() }).unwrap();
    ledger.ask(account, &Amounts::first(ask)).unwrap();
    account
}

fn share(ledger: &Ledger, account: AccountId) -> u64 {
    ledger.fair_share(account).unwrap().0[0]
}

/// What is written below an account takes nothing from its siblings.
#[test]
fn nobody_passes_on_more_than_it_was_given() {
    let mut ledger = ledger(8);
    let modest = opened(&mut ledger, None, 60, 60);
    let greedy = opened(&mut ledger, None, 40, 0);
    let children = [(90, 90), (30, 30), (0, 50)]
        .map(|(quota, ask)| opened(&mut ledger, Some(greedy), quota, ask));
    ledger.divide(&Division::default()).unwrap();
    assert_eq!((share(&ledger, modest), share(&ledger, greedy)), (60, 40));
    assert_eq!(children.map(|child| share(&ledger, child)), [30, 10, 0]);
    // Right below the root what was promised stays promised.
    ledger.set_capacity(&Amounts::first(50)).unwrap();
    ledger.divide(&Division::default()).unwrap();
    assert_eq!((share(&ledger, modest), share(&ledger, greedy)), (60, 40));
}

/// What nobody below may have is not kept from siblings.
#[test]
fn limits_below_count_above() {
    let mut ledger = ledger(8);
    let small = opened(&mut ledger, None, 0, 0);
    let child = opened(&mut ledger, Some(small), 0, 90);
    let limit = Amounts::first(7);
    ledger.set_quota(child, &AccountQuota { limit, ..AccountQuota::default() }).unwrap();
    let large = opened(&mut ledger, None, 0, 200);
    ledger.divide(&Division::default()).unwrap();
    assert_eq!([small, child, large].map(|account| share(&ledger, account)), [7, 7, 93]);
}

/// An account's own jobs are one more child, of weight 1.
#[test]
fn own_requests_compete_with_children() {
    let mut ledger = ledger(8);
    let team = opened(&mut ledger, None, 0, 80);
    let users = [0; 4].map(|quota| opened(&mut ledger, Some(team), quota, 80));
    ledger.divide(&Division::default()).unwrap();
    assert_eq!(users.map(|user| share(&ledger, user)), [20; 4], "and 20 for the team itself");
}

#[test]
fn wrong_calls_are_named_and_change_nothing() {
    let mut without = Ledger::new(&LedgerOptions::default()).unwrap();
    assert_eq!(without.divide(&Division::default()).unwrap_err().field(), "resources");
    let mut ledger = ledger(3);
    let account = opened(&mut ledger, None, 0, 500);
    ledger.divide(&Division::default()).unwrap();
    ledger.set_capacity(&Amounts::first(70)).unwrap();
    let refused = |ledger: &mut Ledger, division: Division<'_>| {
        let field = ledger.divide(&division).unwrap_err().field();
        assert_eq!(share(ledger, account), 100);
        field
    };
    let right = Division { usage_weight: 1.0, usage: &[0.0; 3], ..Division::default() };
    let units = Amounts::ZERO;
    assert_eq!(refused(&mut ledger, Division { units, ..right }), "units");
    assert_eq!(refused(&mut ledger, Division { usage: &[0.0; 2], ..right }), "usage");
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(refused(&mut ledger, Division { usage_weight: bad, ..right }), "usage_weight");
        assert_eq!(refused(&mut ledger, Division { usage: &[bad, 0.0, 0.0], ..right }), "usage");
    }
    let mut parts = [ShareParts::default(); 3];
    assert_eq!(ledger.share_parts(1, &mut parts).unwrap_err().field(), "resource");
    assert_eq!(ledger.share_parts(0, &mut parts[1..]).unwrap_err().field(), "out");
    assert_eq!(without.share_parts(0, &mut parts).unwrap_err().field(), "resources");
    // Nobody looks at usage that does not count, or is of nobody.
    ledger.divide(&Division { usage: &[0.0, f64::NAN, 0.0], ..right }).unwrap();
    ledger.divide(&Division { usage_weight: 0.0, usage: &[f64::NAN], ..right }).unwrap();
    assert_eq!(share(&ledger, account), 70);
}
