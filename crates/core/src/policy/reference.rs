//! The table as a listing: what `policy show` prints and the written reference is checked against.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::field::Field;
use super::{
    Account, AccountQuota, Class, DEPTH_MAX, NAME_BYTES_MAX, Policy, Preset,
    RESOURCE_NAME_BYTES_MAX, RESOURCES_MAX, table,
};

/// The sections of a document, in the order in which a policy is printed.
#[cfg(feature = "document")]
pub(crate) const SECTIONS: [&str; 11] = [
    "class",
    "account",
    "account_default",
    "history",
    "objectives",
    "limits",
    "batch",
    "placement",
    "route",
    "gate",
    "hold",
];

/// One key of a policy document.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Key {
    /// Where it stands: `section.key`, with `[]` for the place in a list.
    pub path: &'static str,
    /// Unit of its value, in words.
    pub unit: &'static str,
    /// Value where a document says nothing and names no preset.
    pub default: String,
    /// Values accepted, both ends included.
    pub range: String,
    /// What it does.
    pub about: &'static str,
    /// Where default and range come from.
    pub why: &'static str,
}

/// Every key, section by section, in the order in which a policy is printed.
#[must_use]
pub fn keys() -> Vec<Key> {
    let policy = Policy::default();
    let mut keys = vec![preset(), resources(&policy)];
    keys.push(name(
        "class[].name",
        "What requests call this class. A class of the preset with this name lends its values to \
         the keys that are left out.",
    ));
    keys.extend(describe(&table::CLASS, &Class::new("")));
    keys.push(name("account[].name", "What requests call this account."));
    keys.push(parent());
    keys.extend(
        describe(&table::ACCOUNT, &Account::new("", policy.account_default_weight))
            .map(|key| Key { default: format!("`{}`", key.path.replace("[]", "_default")), ..key }),
    );
    keys.extend(describe(&table::QUOTA, &AccountQuota::default()));
    keys.extend(describe(&table::ACCOUNT_DEFAULT, &policy));
    keys.extend(describe(&table::HISTORY, &policy.history));
    keys.extend(describe(&table::OBJECTIVES, &policy.objectives));
    keys.extend(describe(&table::LIMITS, &policy.limits));
    keys.extend(describe(&table::BATCH, &policy.batch));
    keys.extend(describe(&table::PLACEMENT, &policy.placement));
    keys.extend(describe(&table::ROUTE, &policy.route));
    keys.extend(describe(&table::GATE, &policy.gate));
    keys.extend(describe(&table::HOLD, &policy.hold));
    keys
}

fn describe<'a, T>(fields: &'a [Field<T>], owner: &'a T) -> impl Iterator<Item = Key> + 'a {
    fields.iter().map(|field| Key {
        path: field.path,
        unit: field.unit,
        default: field.access.text(owner),
        range: field.access.to_string(),
        about: field.about,
        why: field.why,
    })
}

fn preset() -> Key {
    Key {
        path: "preset",
        unit: "name",
        default: Preset::default().name().into(),
        range: Preset::ALL.map(Preset::name).join(", "),
        about: "The policy that the rest of the document changes.",
        why: "`balanced`: it assumes least about who is waiting.",
    }
}

fn resources(policy: &Policy) -> Key {
    Key {
        path: "resources",
        unit: "names",
        default: policy.resources.join(", "),
        range: format!(
            "up to {RESOURCES_MAX}, each 1..={RESOURCE_NAME_BYTES_MAX} of a to z, 0 to 9 and _, \
             unique in the list"
        ),
        about: "The resources of a cluster, in the order in which programs give their amounts; \
                each has the unit of its amounts in its name.",
        why: "What tasks ask for wherever GPUs are shared, in the units in which nodes are counted.",
    }
}

fn parent() -> Key {
    Key {
        path: "account[].parent",
        unit: "name",
        default: "none".into(),
        range: format!("an account listed before; at most {DEPTH_MAX} levels"),
        about: "The account that this one is part of: it shares with the other parts of that \
                account, and that account with its own siblings.",
        why: "None: every account stands on the first level.",
    }
}

fn name(path: &'static str, about: &'static str) -> Key {
    Key {
        path,
        unit: "name",
        default: "required".into(),
        range: format!("1..={NAME_BYTES_MAX} bytes, no character below U+0020, unique in its list"),
        about,
        why: "128 bytes: twice what DNS and Kubernetes allow, so that `namespace/name` fits.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::AMOUNT_MAX;
    use crate::policy::field::{Access, UNLIMITED};
    use crate::policy::{
        BatchRules, GateRules, HistoryRules, HoldRules, Limits, Objectives, PlacementRules,
        QueueLimits, RateLimits, RouteRules,
    };

    /// Does not compile when a field is added and not counted.
    fn four_fields(rules: RouteRules) {
        let RouteRules {
            stale_after: _,
            interference_weight: _,
            later_weight: _,
            sample_above_replicas: _,
        } = rules;
    }

    /// Does not compile when a field is added here and not counted; fails when it has no row.
    #[test]
    fn every_field_has_a_row() {
        let Policy {
            classes: _,
            accounts: _,
            account_default_weight: _,
            account_default_queue: QueueLimits { requests_max: _, tokens_max: _, wait_max: _ },
            account_default_rates:
                RateLimits { requests_per_minute: _, tokens_per_minute: _, burst: _ },
            resources: _,
            history: HistoryRules { half_life: _, usage_weight: _ },
            objectives: Objectives { attainment_min_ratio: _, slowdown_floor: _ },
            limits:
                Limits {
                    requests_max: _,
                    running_max: _,
                    accounts_max: _,
                    replicas_max: _,
                    adapters_max: _,
                    adapter_slots_max: _,
                    step_tokens_max: _,
                    steps_in_flight_max: _,
                    prompt_tokens_max: _,
                    output_tokens_max: _,
                },
            batch:
                BatchRules {
                    mode: _,
                    triage: _,
                    prefill_floor_tokens: _,
                    deadline_margin_ratio: _,
                    background_step_ratio: _,
                    slack_lending_ratio: _,
                    work_delay_ratio: _,
                    urgency_credit_tokens: _,
                    late_ratio: _,
                    prompt_token_cost: _,
                    cached_token_cost: _,
                    output_token_cost: _,
                    preemptions_max: _,
                    kv_overflow_risk_ratio: _,
                    model_memory_steps: _,
                },
            placement:
                PlacementRules {
                    measure: _,
                    mix_weight: _,
                    shadow_price: _,
                    holding: _,
                    stranding_weight: _,
                    warm_up_weight: _,
                    link_weight: _,
                    interference_weight: _,
                    lost_work_weight: _,
                    interference_sharer_ratio: _,
                    interference_neighbour_ratio: _,
                    interference_gang_ratio: _,
                    order: _,
                    backfill: _,
                    reservations_max: _,
                    cycle_tasks_max: _,
                    cycle_replays_max: _,
                    preemptions_max: _,
                },
            route,
            gate:
                GateRules {
                    expiry: _,
                    expiring_confidence_ratio: _,
                    lasting_confidence_ratio: _,
                    wait_ratio: _,
                    memory_requests: _,
                    usage_memory: _,
                },
            hold: HoldRules { reserve_beta_min: _, memory: _ },
        } = Policy::default();
        let Class {
            name: _,
            ttft_target: _,
            tpot_target: _,
            delay_value: _,
            guaranteed_ratio: _,
            queue: _,
        } = Class::new("x");
        let Account { name: _, parent: _, weight: _, queue: _, rates: _, quota } =
            Account::new("x", 1.0);
        let AccountQuota {
            quota: _,
            limit: _,
            lending_limit: _,
            over_quota_weight: _,
            over_quota_priority: _,
        } = quota;
        let (fields_of_queue, fields_of_rates, fields_of_quota) = (3, 3, 5);
        let fields_of_policy =
            1 + fields_of_queue + fields_of_rates + 1 + 2 + 2 + 10 + 15 + 18 + 4 + 6 + 2;
        four_fields(route);
        let fields_of_class = 5 + fields_of_queue;
        let fields_of_account = 3 + fields_of_queue + fields_of_rates + fields_of_quota;
        let fields_of_entries = fields_of_class + fields_of_account;
        assert_eq!(keys().len(), 1 + fields_of_policy + fields_of_entries);
    }

    #[test]
    fn paths_are_unique() {
        let mut paths: Vec<&str> = keys().iter().map(|key| key.path).collect();
        paths.sort_unstable();
        assert!(paths.windows(2).all(|pair| pair[0] != pair[1]), "{paths:?}");
    }

    /// Each row reaches a field of its own, and both ends of its range come back as they went in.
    fn check_rows<T: Clone>(fields: &[Field<T>], start: &T) {
        for field in fields {
            assert_eq!(field.check(start), Ok(()), "{}: the default is in range", field.path);
            for end in [0, 1] {
                let mut changed = start.clone();
                let expected = match field.access {
                    Access::Integer { min, max, set, .. } => {
                        set(&mut changed, [min, max][end]);
                        [min, max][end].to_string()
                    }
                    Access::Real { min, max, set, .. } => {
                        set(&mut changed, [min, max][end]);
                        [min, max][end].to_string()
                    }
                    Access::Signed { min, max, set, .. } => {
                        set(&mut changed, [min, max][end]);
                        [min, max][end].to_string()
                    }
                    Access::Amounts { set, get, .. } => {
                        let text = [AMOUNT_MAX.to_string(), UNLIMITED.into()];
                        for resource in 0..RESOURCES_MAX {
                            set(&mut changed, resource, [AMOUNT_MAX, u64::MAX][end]);
                            assert_eq!(get(&changed, resource), [AMOUNT_MAX, u64::MAX][end]);
                        }
                        text[end].clone()
                    }
                    Access::Weights { max, set, .. } => {
                        (0..RESOURCES_MAX).for_each(|i| set(&mut changed, i, [0.0, max][end]));
                        [0.0, max][end].to_string()
                    }
                    Access::Word { words, set, .. } => {
                        let place = end * (words.len() - 1);
                        set(&mut changed, place);
                        words[place].into()
                    }
                };
                assert_eq!(field.access.text(&changed), expected, "{}", field.path);
                assert_eq!(field.check(&changed), Ok(()), "{}", field.path);
                for other in fields.iter().filter(|other| other.path != field.path) {
                    assert_eq!(other.access.text(&changed), other.access.text(start));
                }
            }
        }
    }

    #[test]
    fn rows_reach_one_field_each() {
        let policy = Policy::default();
        check_rows(&table::CLASS, &policy.classes[1]);
        check_rows(&table::ACCOUNT, &Account::new("a", 1.0));
        check_rows(&table::QUOTA, &AccountQuota::default());
        check_rows(&table::ACCOUNT_DEFAULT, &policy);
        check_rows(&table::HISTORY, &policy.history);
        check_rows(&table::OBJECTIVES, &policy.objectives);
        check_rows(&table::LIMITS, &policy.limits);
        check_rows(&table::BATCH, &policy.batch);
        check_rows(&table::PLACEMENT, &policy.placement);
        check_rows(&table::ROUTE, &policy.route);
        check_rows(&table::GATE, &policy.gate);
        check_rows(&table::HOLD, &policy.hold);
    }
}
