//! Rows of `[[account]]` for the resources of a cluster.

use crate::policy::field::{Access, Field};
use crate::policy::{AccountQuota, OVER_QUOTA_WEIGHT_MAX};

/// `[[account]]`: what it may have of each resource.
pub(crate) static QUOTA: [Field<AccountQuota>; 5] = [
    Field {
        path: "account[].quota",
        unit: "amount of each resource, in the unit of its name",
        access: Access::Amounts {
            absent: 0,
            get: |quota, resource| quota.quota.0[resource],
            set: |quota, resource, amount| quota.quota.0[resource] = amount,
        },
        about: "Guaranteed to this account and its parts, before anything is divided by weight: \
                `{ gpu_milli = 8000 }`.",
        why: "0: a guarantee is a promise, which only the operator can make; capacity is then \
              divided by weight alone.",
    },
    Field {
        path: "account[].limit",
        unit: "amount of each resource, in the unit of its name",
        access: Access::Amounts {
            absent: u64::MAX,
            get: |quota, resource| quota.limit.0[resource],
            set: |quota, resource, amount| quota.limit.0[resource] = amount,
        },
        about: "The most that this account and its parts may have, however much is free. At least \
                the quota.",
        why: "None: an idle resource serves nobody.",
    },
    Field {
        path: "account[].lending_limit",
        unit: "amount of each resource, in the unit of its name",
        access: Access::Amounts {
            absent: u64::MAX,
            get: |quota, resource| quota.lending_limit.0[resource],
            set: |quota, resource, amount| quota.lending_limit.0[resource] = amount,
        },
        about: "The most of its quota that others may use while this account does not.",
        why: "None: all is lent, since it can be taken back.",
    },
    Field {
        path: "account[].over_quota_weight",
        unit: "relative share of each resource, or one for all",
        access: Access::Weights {
            absent: 1.0,
            max: OVER_QUOTA_WEIGHT_MAX,
            get: |quota, resource| quota.over_quota_weight[resource],
            set: |quota, resource, weight| quota.over_quota_weight[resource] = weight,
        },
        about: "Share of what is left over when every quota is met, next to the other parts of the \
                same account. 0: nothing beyond the quota.",
        why: "1: equal shares of what is nobody's. With 0, what is left over would stand idle until \
              somebody is given a weight. To 10^12, so that the quota itself can be the weight.",
    },
    Field {
        path: "account[].over_quota_priority",
        unit: "rank",
        access: Access::Signed {
            min: i32::MIN as i64,
            max: i32::MAX as i64,
            get: |quota| quota.over_quota_priority.into(),
            set: |quota, rank| quota.over_quota_priority = rank as i32,
        },
        about: "Accounts of a higher rank take what is left over before the other parts of the same \
                account.",
        why: "0: all together, by weight. Any whole number of 32 bits, since only the order counts.",
    },
];
